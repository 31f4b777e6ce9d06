//! `vnet forward`: ways in to the guests of a network that is up, until it is taken down.

use std::ffi::OsStr;

use serde_json::{Value, json};

use super::answer::Answer;
use super::deadline::Deadline;
use super::failure::Usage;
use super::lock::lock_network;
use super::networks::{network, parsed};
use super::observe::changes;
use super::settings::Settings;
use super::up::raise;
use crate::config::{Changes, Forward, Network};
use crate::kernel::Host;
use crate::kernel::sys::clock;
use crate::kernel::sys::lock::Lock;
use crate::model::{Link, Listen, Mark, NetworkName};

/// A network that is up, with the forwards that came and went.
struct Running {
    settings: Settings,
    host: Host,
    network: Network,
    changes: Changes,
}

impl Running {
    fn open(name: &OsStr) -> anyhow::Result<Self> {
        let settings = Settings::load()?;
        let mut host = Host::open(settings.host()?.mark)?;
        let name = parsed(&[name.to_owned()])?.remove(0);
        let network = network(&settings, &mut host, &name)?;
        let Some(own) = network.own() else {
            return Err(Usage(format!(
                "{name} is bridged: its guests have addresses of the LAN, and need no forwards"
            ))
            .into());
        };
        if !own.routes() {
            return Err(
                Usage(format!("{name} is {}: its guests are not reached from outside", network.mode.word())).into()
            );
        }
        let is_up = |bridge: Link| bridge.up && matches!(bridge.mark(), Some(Mark::Owned(owner, _)) if owner == name);
        if !host.link(&network.bridge)?.is_some_and(is_up) {
            return Err(anyhow::anyhow!("{name} is not up; bring it up first: vnet up {name}"));
        }
        let changes = changes(&settings, &name)?;
        Ok(Self { settings, host, network, changes })
    }

    /// The forwards that there are now, each with whether the network's file has it.
    fn forwards(&self) -> Vec<(&Forward, bool)> {
        let own = self.network.own().map_or(&[][..], |own| &own.forwards);
        let stays = |forward: &&Forward| !self.changes.removed.contains(&forward.listen);
        let added = self.changes.added.iter().map(|(forward, _)| (forward, false));
        own.iter().filter(stays).map(|forward| (forward, true)).chain(added).collect()
    }
}

/// The same while nobody else can change it.
struct Held {
    running: Running,
    lock: Lock,
    deadline: Deadline,
}

impl Held {
    fn open(name: &OsStr) -> anyhow::Result<Self> {
        let deadline = Deadline::of_run(clock::now());
        let found = Running::open(name)?;
        let lock = lock_network(&found.settings.run_dir, &found.network.name, deadline)?;
        // Whoever held it until now may have changed it.
        Ok(Self { running: Running::open(name)?, lock, deadline })
    }

    fn apply(self, changes: &Changes, done: &str) -> anyhow::Result<Answer> {
        let Running { settings, mut host, network, .. } = self.running;
        raise(&settings, &mut host, &network, (changes, None), (&self.lock, self.deadline))
            .map_err(|error| error.context(network.name.clone()))?;
        Ok(Answer::good(format!("{}: {done}\n", network.name)))
    }
}

/// Adds a forward to a network that is up.
///
/// # Errors
/// A network that is not up or has none, a place that is taken, a guest that has no address.
pub fn add(network: &OsStr, listen: &OsStr, to: &OsStr) -> anyhow::Result<Answer> {
    let held = Held::open(network)?;
    let running = &held.running;
    let listen = listen_of(listen)?;
    let to = to.to_string_lossy().into_owned();
    let forward = Forward::new(listen, &to).map_err(|invalid| Usage(invalid.to_string()))?;
    if let Some((other, _)) = running.forwards().into_iter().find(|(other, _)| other.listen.conflicts(&listen)) {
        let name = &running.network.name;
        return Err(anyhow::anyhow!(
            "{name}: {listen} is taken by its forward {other}; remove that first: vnet forward del {name} {}",
            other.listen
        ));
    }
    let mut changes = running.changes.clone();
    let left = changes.without_removed(&running.network);
    let misfits = left.own().map(|own| own.misfits(&forward)).unwrap_or_default();
    if let Some((_, what)) = misfits.into_iter().next() {
        return Err(anyhow::anyhow!("{}: {what}", running.network.name));
    }
    let own = running.network.own().map_or(&[][..], |own| &own.forwards);
    if own.contains(&forward) {
        changes.removed.retain(|removed| *removed != listen);
    } else {
        changes.added.push((forward, to.clone()));
    }
    held.apply(&changes, &format!("forward {listen} to {to}"))
}

/// Takes a forward from a network that is up, and ends the connections that came in by it.
///
/// # Errors
/// A network that is not up, or has no such forward.
pub fn del(network: &OsStr, listen: &OsStr) -> anyhow::Result<Answer> {
    let held = Held::open(network)?;
    let running = &held.running;
    let listen = listen_of(listen)?;
    let Some((_, of_file)) = running.forwards().into_iter().find(|(forward, _)| forward.listen == listen) else {
        let name = &running.network.name;
        return Err(anyhow::anyhow!("{name} has no forward {listen}; see those that it has: vnet forward list {name}"));
    };
    let mut changes = running.changes.clone();
    if of_file {
        changes.removed.push(listen);
    } else {
        changes.added.retain(|(forward, _)| forward.listen != listen);
    }
    held.apply(&changes, &format!("no forward {listen} any more"))
}

/// Lists the forwards of a network that is up, or of all that are.
///
/// # Errors
/// A network that is not up or has none.
pub fn list(name: Option<&OsStr>, as_json: bool) -> anyhow::Result<Answer> {
    let running = match name {
        Some(name) => vec![Running::open(name)?],
        None => {
            let all = standing_names()?.into_iter().map(|name| Running::open(name.as_str().as_ref()));
            // Those that have no forwards have nothing to list.
            all.filter(|running| running.as_ref().err().is_none_or(|error| !error.is::<Usage>()))
                .collect::<Result<_, _>>()?
        }
    };
    let all = running
        .iter()
        .flat_map(|running| running.forwards().into_iter().map(|forward| (&running.network.name, forward)));
    let text = if as_json {
        let listed: Vec<Value> = all
            .map(|(name, (forward, of_file))| {
                let (listen, to) = (forward.listen.to_string(), forward.destination());
                json!({ "network": name.as_str(), "listen": listen, "to": to, "configured": of_file })
            })
            .collect();
        format!("{:#}\n", Value::from(listed))
    } else {
        all.map(|(name, (forward, of_file))| {
            let until = if of_file { "" } else { " (until the network goes down)" };
            format!("{name}: {forward}{until}\n")
        })
        .collect()
    };
    Ok(Answer::good(text))
}

/// The networks that are up.
fn standing_names() -> anyhow::Result<Vec<NetworkName>> {
    let owned = |link: &Link| link.mark().filter(|mark| link.is_bridge() && matches!(mark, Mark::Owned(..)));
    let mut names: Vec<_> =
        Host::open(0)?.links()?.iter().filter_map(owned).filter_map(|mark| mark.network().cloned()).collect();
    names.sort();
    Ok(names)
}

fn listen_of(text: &OsStr) -> Result<Listen, Usage> {
    text.to_string_lossy().parse().map_err(|invalid| Usage(format!("{invalid}")))
}
