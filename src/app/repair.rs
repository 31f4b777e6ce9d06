//! `vnet repair`: the host is made to match what is up, and what is left of networks that are not goes.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::answer::Answer;
use super::change::carry_out;
use super::deadline::Deadline;
use super::down::{clear_away, locks_remove, look, standing_names, unmarked_bridge};
use super::failure::exit_code;
use super::give_back;
use super::journal::Journal;
use super::lock::lock_network;
use super::networks::{all_names, network, parsed};
use super::others::others;
use super::settings::Settings;
use super::unmarked::unmarked_remove;
use super::up::{admitted, log, raise_silently, take_card};
use super::uplink::Terms;
use crate::config::Network;
use crate::kernel::sys::clock;
use crate::kernel::sys::lock::Lock;
use crate::kernel::{self, Host};
use crate::model::{Change, IfName, Link, Mark, NetworkName, Operation, Server, Setting, Tables};
use crate::plan::{self, Plan, Standing};

/// Mends the named networks, or all of which there is anything where none is named; one that cannot be mended does not
/// keep the others from it. Tells what was mended, and nothing where there was nothing to mend.
///
/// # Errors
/// A name that is none, or settings of the host's that cannot be read.
pub fn run(names: &[OsString], all: bool) -> anyhow::Result<Answer> {
    let settings = Settings::load()?;
    let mut host = Host::open(settings.host()?.mark)?.with_taps().with_ip_config();
    let named = !all && !names.is_empty();
    let names = if named { parsed(names)? } else { known_names(&settings, &mut host)? };
    if !named {
        locks_remove(&settings, &names);
    }
    // What is left of networks that are down goes first: it may be in the way of one that is up.
    let links = links(&mut host)?;
    let (up, left): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_up(&links, name));
    let mut answer = Answer::good(String::new());
    if !named {
        // Each by a socket of its own: where an answer is lost its rest is still on the way.
        let mut host = Host::open(host.mark())?.with_taps().with_ip_config();
        match unmarked_remove(&settings, &mut host) {
            Ok(removed) => removed.iter().for_each(|link| {
                tell(
                    &settings,
                    &mut answer,
                    &format!("removed {link}, a link on a network card that a run was ended at making"),
                );
            }),
            Err(error) => answer.complain(&format!("{error:#}"), exit_code(&error)),
        }
    }
    for name in left.into_iter().chain(up) {
        match mend(&settings, &mut host, &name) {
            Ok(Mended { done, complaint }) => {
                if !done.is_empty() {
                    tell(&settings, &mut answer, &format!("{name}: mended: {done}"));
                } else if named && complaint.is_none() && !is_up(&links, &name) {
                    // A name that is misspelt.
                    network(&settings, &mut host, &name)
                        .err()
                        .iter()
                        .for_each(|error| answer.complain(&format!("{name}: {error:#}"), exit_code(error)));
                }
                complaint.iter().for_each(|error| answer.complain(&format!("{name}: {error:#}"), exit_code(error)));
            }
            Err(error) => answer.complain(&format!("{name}: {error:#}"), exit_code(&error)),
        }
    }
    if !named {
        let mut host = Host::open(host.mark())?;
        match dead_loans_remove(&mut host) {
            Ok(removed) => removed.iter().for_each(|tap| {
                tell(&settings, &mut answer, &format!("removed the dead tap {tap}, which was lent"));
            }),
            Err(error) => answer.complain(&format!("{error:#}"), exit_code(&error)),
        }
        let mut host = Host::open(host.mark())?;
        match tables_remove(&settings, &mut host) {
            Ok(true) => {
                tell(
                    &settings,
                    &mut answer,
                    "removed the firewall's tables, which somebody changed and no network needs",
                );
            }
            Ok(false) => {}
            Err(error) => answer.complain(&format!("{error:#}"), exit_code(&error)),
        }
    }
    Ok(answer)
}

fn tell(settings: &Settings, answer: &mut Answer, done: &str) {
    log(settings).note(done, true);
    answer.text.push_str(&format!("{done}\n"));
}

/// What was done for a network, empty for nothing, and what could not be.
struct Mended {
    done: String,
    complaint: Option<anyhow::Error>,
}

/// The networks of which there is anything. Of a bridge that a killed run could not mark the name tells whose it is.
fn known_names(settings: &Settings, host: &mut Host) -> anyhow::Result<Vec<NetworkName>> {
    let mut names: BTreeSet<_> = standing_names(settings, host)?.into_iter().collect();
    names.extend(Journal::all(&settings.run_dir));
    let links = host.links()?;
    let by_name = links.iter().filter_map(|link| link.name.as_str().strip_prefix("vn-")?.parse().ok());
    // Names of files that are none are told of by `vnet check`.
    let candidates = all_names(settings).unwrap_or_default().into_iter().chain(by_name);
    for name in candidates.chain([NetworkName::built_in()]) {
        if unmarked_bridge(settings, &links, &name)?.is_some() {
            names.insert(name);
        }
    }
    Ok(names.into_iter().collect())
}

/// The links; one that is held does not count as a dead tap, whatever its holder says.
fn links(host: &mut Host) -> Result<Vec<Link>, kernel::Error> {
    let mut links = host.links()?;
    kernel::taps_ask_holders(&mut links);
    Ok(links)
}

/// Whether a network is up: its bridge is there, or guests that are attached to it by their mark.
fn is_up(links: &[Link], name: &NetworkName) -> bool {
    links.iter().any(|link| match link.mark() {
        Some(Mark::Owned(owner, _) | Mark::Uplink(owner, _)) => owner == *name && link.is_bridge(),
        Some(mark @ (Mark::Port(..) | Mark::Lent(_))) => mark.is_of(name) && !link.is_dead_tap(),
        _ => false,
    })
}

fn mend(settings: &Settings, host: &mut Host, name: &NetworkName) -> anyhow::Result<Mended> {
    let deadline = Deadline::of_run(clock::now());
    let lock = lock_network(&settings.run_dir, name, deadline)?;
    let put_back = give_back::put_back(host, settings, name)?;
    let put_back = put_back.map(|card| format!("gave {card} back what a change took from it that nobody confirmed"));
    if !is_up(&links(host)?, name) {
        let look = |host: &mut Host| Ok(left_over(look(settings, host, name)?));
        let plan = clear_away(settings, host, name, deadline, look)?;
        lock.remove();
        let removed = plan::mended(&plan.operations).join(", ");
        let removed = (!removed.is_empty()).then(|| format!("removed what was left of it: {removed}"));
        let done = put_back.into_iter().chain(removed).collect::<Vec<_>>().join("; ");
        return Ok(Mended { done, complaint: None });
    }
    let result = mend_up(settings, host, name, (&lock, deadline));
    if result.is_err() {
        lock.remove_unless_noted();
    }
    result
}

/// What is left of a network that is not up. Taps that were made to stay do so, whether their network is up or not, and who
/// is lent one meanwhile keeps it, and its guard.
fn left_over(mut standing: Standing) -> Standing {
    let (dead, alive): (Vec<_>, Vec<_>) = standing.ports.into_iter().partition(|(port, _)| port.is_dead_tap());
    let keeps = |link: u32| alive.iter().any(|(port, _)| port.index == link);
    standing.elements.retain(|element| !element.guarded().is_some_and(keeps));
    Standing { taps: Vec::new(), ports: dead, ..standing }
}

/// Mends a network that is up; one whose file is gone or wrong stays as it is, and closed.
fn mend_up(
    settings: &Settings,
    host: &mut Host,
    name: &NetworkName,
    (lock, deadline): (&Lock, Deadline),
) -> anyhow::Result<Mended> {
    let network = match network(settings, host, name) {
        Ok(network) => network,
        Err(error) => {
            let plan = close(settings, host, deadline)?;
            let complaint = error.context("it is up, and stays as it is, for what it shall be is not known");
            return Ok(Mended { done: told(&plan), complaint: Some(complaint) });
        }
    };
    let in_force = admitted(settings, host, &network)?;
    let taken = take_card(settings, host, &network, Terms::STANDARD, deadline)?;
    let taken = taken.filter(|(_, anything)| *anything).map(|(text, _)| text);
    let deadline = if taken.is_some() { Deadline::of_run(clock::now()) } else { deadline };
    let (mut plan, _) = raise_silently(settings, host, &network, &in_force, (lock, deadline))?;
    plan.operations.extend(server_traces_remove(settings, host, &network)?);
    let mended = Some(told(&plan)).filter(|mended| !mended.is_empty());
    Ok(Mended { done: taken.into_iter().chain(mended).collect::<Vec<_>>().join("; "), complaint: None })
}

/// What was mended, with what is worth saying about that.
fn told(plan: &Plan) -> String {
    let done = plan::mended(&plan.operations).join(", ");
    if done.is_empty() { done } else { [vec![done], plan.notes.clone()].concat().join("; ") }
}

/// Removes taps that were lent on no network, made persistent by who held them, and left; tells of those that are gone then,
/// for their user may take one again in that moment.
fn dead_loans_remove(host: &mut Host) -> anyhow::Result<Vec<IfName>> {
    let is_nobodys = |link: &Link| link.loan().is_some_and(|loan| loan.network.is_none());
    let dead = links(host)?.into_iter().filter(|link| is_nobodys(link) && link.is_dead_tap());
    let mut removed = Vec::new();
    for Link { name, .. } in dead {
        host.execute(&Operation::Link(name.clone(), Setting::Persistent(Change::new(true, false))))?;
        if host.link(&name)?.is_none() {
            removed.push(name);
        }
    }
    Ok(removed)
}

/// Writes the firewall's tables anew where somebody changed or emptied them, so that also those networks are closed of
/// which nobody knows any more what they shall be.
fn close(settings: &Settings, host: &mut Host, deadline: Deadline) -> anyhow::Result<Plan> {
    let lost = |host: &mut Host| -> anyhow::Result<Vec<Operation>> {
        let firewall = host.firewall()?;
        if firewall.tables == Tables::Whole {
            return Ok(Vec::new());
        }
        let links = host.links()?;
        let needed = others(settings, None, &links, &firewall.elements);
        let is_gone = firewall.tables == Tables::Absent && needed.is_empty();
        Ok((!is_gone).then_some(Operation::Rebuild(needed)).into_iter().collect())
    };
    let operations = lost(host)?;
    carry_out(host, &operations, deadline, lost)?;
    Ok(Plan { operations, notes: Vec::new() })
}

/// Removes the firewall's tables where somebody changed them and no network is up that needs them; without an element
/// in them they are nobody's. Tells whether it did.
fn tables_remove(settings: &Settings, host: &mut Host) -> anyhow::Result<bool> {
    let links = host.links()?;
    let firewall = host.firewall()?;
    let is_needed = !firewall.elements.is_empty() || !others(settings, None, &links, &[]).is_empty();
    if firewall.tables != Tables::Damaged || is_needed {
        return Ok(false);
    }
    host.execute(&Operation::Rebuild(Vec::new()))?;
    Ok(true)
}

/// Removes what a server that was killed left of a network that has none any more.
fn server_traces_remove(settings: &Settings, host: &mut Host, network: &Network) -> anyhow::Result<Option<Operation>> {
    let server = Server {
        network: network.name.clone(),
        program: "dnsmasq".into(),
        directory: settings.directory(&network.name),
        enclave: None,
    };
    let serves = network.own().is_some_and(|own| own.serves());
    let traces = [server.pid_file(), server.ending_file()];
    if serves || !traces.iter().chain(&server.hosts_directories()).any(|trace| trace.exists()) {
        return Ok(None);
    }
    let stop = Operation::Server(server, Change::new(true, false));
    host.execute(&stop)?;
    host.settle()?;
    Ok(Some(stop))
}
