//! `vnet check`: is the configuration good?

use std::ffi::OsString;

use super::answer::Answer;
use super::failure::{Problems, Usage, exit_code};
use super::settings::Settings;
use crate::config::{Guest, Mode, Network, OwnBridge, Problem, Store};
use crate::model::{IfName, NetworkName};

/// Reads all files, or those of the named networks, and tells every problem, a line each, of each file by itself and
/// between files; or how many files are good.
///
/// # Errors
/// A name that is none, or a directory that cannot be listed.
pub fn run(names: &[OsString]) -> anyhow::Result<Answer> {
    let store = Settings::load()?.store;
    let mut found = Found::default();
    if names.is_empty() {
        found.read_all(&store)?;
    } else {
        for name in names {
            let name = name.to_string_lossy().parse().map_err(|invalid| Usage(format!("{invalid}")))?;
            found.read_network(&store, name);
        }
    }
    found.compare_networks();
    found.compare_guests(&store);
    if found.problems.is_empty() {
        let networks = count(found.networks.len(), "network");
        let guests = count(found.guests.len(), "guest file");
        return Ok(Answer::good(format!("{networks} and {guests}: all good\n")));
    }
    let text = found.problems.iter().map(|problem| format!("{problem}\n")).collect();
    Ok(Answer { text, exit_code: exit_code(&Problems(found.problems).into()) })
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// What was read, and what is wrong with it.
#[derive(Default)]
struct Found {
    networks: Vec<Network>,
    guests: Vec<(IfName, Guest)>,
    problems: Vec<Problem>,
}

impl Found {
    fn read_all(&mut self, store: &Store) -> Result<(), Problems> {
        let (networks, misnamed) = store.network_names().map_err(|problem| Problems(vec![problem]))?;
        self.problems.extend(misnamed);
        for name in networks {
            self.read_network(store, name);
        }
        let (guests, misnamed) = store.guest_names().map_err(|problem| Problems(vec![problem]))?;
        self.problems.extend(misnamed);
        for tap in guests {
            match store.guest(&tap) {
                Ok(guest) => self.guests.extend(guest.map(|guest| (tap, guest))),
                Err(problems) => self.problems.extend(problems),
            }
        }
        Ok(())
    }

    fn read_network(&mut self, store: &Store, name: NetworkName) {
        match store.network(&name) {
            Ok(Some(network)) => self.networks.push(network),
            Ok(None) => self.problems.push(missing(store, &name)),
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// Two networks never share a bridge of ours, nor a subnet.
    fn compare_networks(&mut self) {
        for (number, network) in self.networks.iter().enumerate() {
            for other in self.networks.iter().take(number) {
                let both_join = network.mode == Mode::Bridged && other.mode == Mode::Bridged;
                if network.bridge == other.bridge && !both_join {
                    let what = format!(
                        "{} is also the bridge of the network {}; give each its own",
                        network.bridge, other.name
                    );
                    self.problems.extend(problem(network, "bridge", what));
                }
                for address in addresses(network) {
                    if let Some(same) = addresses(other).iter().find(|same| same.overlaps(address)) {
                        let what = format!(
                            "{address} shares a subnet with {same} of the network {}; choose another",
                            other.name
                        );
                        self.problems.extend(problem(network, "addresses", what));
                    }
                }
            }
        }
    }

    /// A guest's network exists, and no two guests have one MAC.
    fn compare_guests(&mut self, store: &Store) {
        for (number, (_, guest)) in self.guests.iter().enumerate() {
            if let Some(name) = &guest.network {
                if !store.network_path(name).exists() {
                    let what = format!("there is no network {name}; write {}", store.network_path(name).display());
                    self.problems.push(guest.source.problem("network", what));
                }
            }
            let same_mac = |(_, other): &&(IfName, Guest)| guest.mac.is_some() && other.mac == guest.mac;
            if let Some((other, _)) = self.guests.iter().take(number).find(same_mac) {
                let what = format!("is also the MAC of the guest at {other}; give each its own");
                self.problems.push(guest.source.problem("mac", what));
            }
        }
    }
}

fn missing(store: &Store, name: &NetworkName) -> Problem {
    let what = "is missing; write it, or see the names that are there beside it".to_owned();
    Problem { file: store.network_path(name), line: None, key: String::new(), what }
}

fn problem(network: &Network, key: &str, what: String) -> Option<Problem> {
    network.source.as_ref().map(|source| source.problem(key, what))
}

fn addresses(network: &Network) -> &[crate::model::Address] {
    match &network.mode {
        Mode::Isolated(OwnBridge { addresses, .. }) | Mode::HostOnly(OwnBridge { addresses, .. }) => addresses,
        Mode::Bridged => &[],
    }
}
