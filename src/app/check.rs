//! `vnet check`: is the configuration good?

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::answer::Answer;
use super::failure::{Problems, Usage, exit_code};
use super::settings::Settings;
use crate::config::{Direct, Forward, Guest, Mode, Network, OwnNetwork, Problem, Store, Variant, resolve};
use crate::kernel::Error;
use crate::kernel::sys::user;
use crate::model::{IfName, NetworkName};

/// Reads all files, or those of the named networks and their guests, and tells every problem, a line each, of each file
/// by itself and between files; or how many files are good.
///
/// # Errors
/// A name that is none, or a directory that cannot be listed.
pub fn run(names: &[OsString]) -> anyhow::Result<Answer> {
    let store = Settings::load()?.store;
    let mut found = Found::default();
    found.problems.extend(store.host().err().into_iter().flatten());
    if names.is_empty() {
        found.read_all(&store)?;
    } else {
        for name in names {
            let name = name.to_string_lossy().parse().map_err(|invalid| Usage(format!("{invalid}")))?;
            found.read_with_guests(&store, name);
        }
    }
    found.compare_networks();
    found.compare_peers(&store);
    found.compare_guests(&store);
    found.find_accounts()?;
    if found.problems.is_empty() {
        let networks = count(found.networks.len(), "network");
        let guests = count(found.guests.len(), "guest file");
        return Ok(Answer::good(format!("{networks} and {guests}: all good\n")));
    }
    let text = found.problems.iter().map(|problem| format!("{problem}\n")).collect();
    Ok(Answer { exit_code: exit_code(&Problems(found.problems).into()), ..Answer::good(text) })
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// What was read, and what is wrong with it.
#[derive(Default)]
struct Found {
    networks: Vec<Network>,
    guests: Vec<Guest>,
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
                Ok(guest) => self.guests.extend(guest),
                Err(problems) => self.problems.extend(problems),
            }
        }
        Ok(())
    }

    fn read_with_guests(&mut self, store: &Store, name: NetworkName) {
        if self.networks.iter().any(|network| network.name == name) {
            return;
        }
        match store.guests_of(&name) {
            Ok(guests) => self.guests.extend(guests),
            Err(problems) => self.add(problems),
        }
        self.read_network(store, name);
    }

    fn read_network(&mut self, store: &Store, name: NetworkName) {
        match store.network(&name) {
            Ok(Some(network)) => self.networks.push(network),
            Ok(None) => self.problems.push(missing(store, &name)),
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// Adds what was not found before: a file that is wrong may be read for the sake of another as well.
    fn add(&mut self, problems: Vec<Problem>) {
        for problem in problems {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
    }

    /// Two networks never share a bridge of ours, nor a subnet, nor a port of the host.
    fn compare_networks(&mut self) {
        for (number, network) in self.networks.iter().enumerate() {
            for other in self.networks.iter().take(number) {
                if let Some(card) = shared_uplink(network, other) {
                    let what = format!(
                        "{card} is also the uplink of the network {}, and a card can be a port of one bridge and no more; let the guests of both join one of them",
                        other.name
                    );
                    self.problems.extend(problem(network, "uplink", what));
                } else if network.bridge == other.bridge && !(may_share(network) && may_share(other)) {
                    let what = format!(
                        "{} is also the bridge of the network {}; give each its own",
                        network.bridge, other.name
                    );
                    self.problems.extend(problem(network, "bridge", what));
                } else if let Some(what) = at_odds(network, other) {
                    self.problems.extend(problem(network, "variant", what));
                }
                if let (Some(own), Some(others)) = (network.own(), other.own()) {
                    self.problems.extend(shared_subnets(network, own, other, others));
                    self.problems.extend(shared_ports(network, own, other, others));
                    self.problems.extend(taken_from_server(network, own, other, others));
                    self.problems.extend(taken_from_server(other, others, network, own));
                }
            }
        }
    }

    /// Peers are there, and each names the other.
    fn compare_peers(&mut self, store: &Store) {
        let wrong: Vec<_> = self.networks.iter().filter_map(|network| store.peers_of(network).err()).collect();
        wrong.into_iter().for_each(|problems| self.add(problems));
    }

    /// A guest's network exists, its addresses and names are its own there, forwards find it, and no two guests have
    /// one MAC.
    fn compare_guests(&mut self, store: &Store) {
        let mut joined: BTreeMap<NetworkName, Vec<Guest>> = BTreeMap::new();
        for guest in &self.guests {
            if let Some(name) = store.network_of(guest) {
                joined.entry(name).or_default().push(guest.clone());
            }
        }
        for network in &self.networks {
            let guests = joined.remove(&network.name).unwrap_or_default();
            self.problems.extend(resolve(network, &guests).err().into_iter().flatten());
        }
        for (number, guest) in self.guests.iter().enumerate() {
            if let Some(name) = &guest.network {
                if !store.network_path(name).exists() {
                    let what = format!("there is no network {name}; write {}", store.network_path(name).display());
                    self.problems.push(guest.source.problem("network", what));
                }
            }
            let same_mac = |other: &&Guest| guest.mac.is_some() && other.mac == guest.mac;
            let told = |problem: &Problem| problem.file == guest.source.path && problem.key == "mac";
            if let Some(other) = self.guests.iter().take(number).find(same_mac) {
                if !self.problems.iter().any(told) {
                    let what = format!("is also the MAC of the guest at {}; give each its own", other.tap);
                    self.problems.push(guest.source.problem("mac", what));
                }
            }
        }
    }

    /// Whoever is allowed anything is known to this host.
    fn find_accounts(&mut self) -> Result<(), Error> {
        let networks = self.networks.iter().filter_map(|network| Some((&network.allow, network.source.as_ref()?)));
        let given: Vec<_> = networks.chain(self.guests.iter().map(|guest| (&guest.allow, &guest.source))).collect();
        if given.iter().any(|(allow, _)| allow.names_users() || allow.names_groups()) {
            let accounts = user::accounts()?;
            let unknown = given.iter().flat_map(|(allow, source)| {
                allow.unknown(&accounts).into_iter().map(|(key, what)| source.problem(&key, what))
            });
            self.problems.extend(unknown);
        }
        Ok(())
    }
}

fn missing(store: &Store, name: &NetworkName) -> Problem {
    let what = "is missing; write it, or see the names that are there beside it".to_owned();
    Problem::of_file(&store.network_path(name), what)
}

fn problem(network: &Network, key: &str, what: String) -> Option<Problem> {
    network.source.as_ref().map(|source| source.problem(key, what))
}

/// Whether the link may also be another network's.
const fn may_share(network: &Network) -> bool {
    matches!(network.mode, Mode::Bridged | Mode::Direct(_))
}

/// The network card that one of the two makes its bridge's port, and the other uses as well.
fn shared_uplink<'a>(network: &'a Network, other: &Network) -> Option<&'a IfName> {
    let is_taken = [network, other].iter().any(|network| matches!(network.mode, Mode::Uplink(_)));
    network.uplink().filter(|card| is_taken && other.uplink() == Some(card))
}

/// Why guests of the two cannot sit on the one network card that both name.
fn at_odds(network: &Network, other: &Network) -> Option<String> {
    let (Mode::Direct(direct), Mode::Direct(its)) = (&network.mode, &other.mode) else { return None };
    let (card, name) = (network.uplink().filter(|card| other.uplink() == Some(card))?, &other.name);
    match (*direct, *its) {
        (Direct::Ipvtap(variant), Direct::Ipvtap(its)) if variant != its => Some(format!(
            "the network {name} is {its} on {card}, and all of mode ipvtap on a card have one variant; let both be the same"
        )),
        (Direct::Macvtap(_), Direct::Ipvtap(_)) | (Direct::Ipvtap(_), Direct::Macvtap(_)) => Some(format!(
            "{card} is also the uplink of the network {name}, and takes guests of mode macvtap or ipvtap, not both; let both have one mode"
        )),
        _ if [direct, its].iter().any(|direct| direct.variant() == Variant::Passthru) => Some(format!(
            "{card} is also the uplink of the network {name}, and passthru has a card to itself; let the guests of both join one of them"
        )),
        _ => None,
    }
}

/// Isolated networks are apart: none of their addresses is the host's, so two of them may have the same.
fn shared_subnets(network: &Network, own: &OwnNetwork, other: &Network, others: &OwnNetwork) -> Vec<Problem> {
    let shared = own.bridge_addresses().iter().filter_map(|address| {
        let same = others.bridge_addresses().iter().find(|same| same.overlaps(address))?;
        let what = format!("{address} shares a subnet with {same} of the network {}; choose another", other.name);
        problem(network, "addresses", what)
    });
    shared.collect()
}

/// Of two forwards that take the same packet one would get none.
fn shared_ports(network: &Network, own: &OwnNetwork, other: &Network, others: &OwnNetwork) -> Vec<Problem> {
    let shared = own.forwards.iter().enumerate().filter_map(|(number, Forward { listen, .. })| {
        let at = others.forwards.iter().position(|forward| forward.listen.conflicts(listen))?;
        let what = format!(
            "{listen} takes what forwards[{at}] of the network {} takes; give each ports of its own",
            other.name
        );
        problem(network, &format!("forwards[{number}].listen"), what)
    });
    shared.collect()
}

/// A forward must not take what another network's guests ask their server.
fn taken_from_server(network: &Network, own: &OwnNetwork, other: &Network, others: &OwnNetwork) -> Vec<Problem> {
    let taken = own.forwards.iter().enumerate().filter_map(|(number, Forward { listen, .. })| {
        let port = others.served_port(*listen)?;
        let what = format!(
            "{listen} takes {port}, at which guests of the network {} ask its server; name another address or port",
            other.name
        );
        problem(network, &format!("forwards[{number}].listen"), what)
    });
    taken.collect()
}
