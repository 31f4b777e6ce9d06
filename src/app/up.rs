//! `vnet up`: networks are brought up, or to what their files say now.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::iter;

use super::answer::Answer;
use super::change::leave_out_spared;
use super::deadline::Deadline;
use super::failure::{Problems, exit_code};
use super::ifup::refused;
use super::lock::lock_network;
use super::log::Log;
use super::networks::named;
use super::observe::{changes, observe_bridge, observe_network};
use super::settings::Settings;
use super::upkeep::Upkeep;
use super::uplink::{self, Terms};
use super::verified::Verified;
use super::wanted::wanted_with;
use crate::config::{Changes, Facility, Guest, Mode, Network};
use crate::kernel::Host;
use crate::kernel::sys::clock;
use crate::kernel::sys::lock::Lock;
use crate::model::{IfName, Link, Mac, Port, Snapshot};
use crate::plan::{self, Plan, Refusal};

/// Brings the named networks up, or all that have a file, one after the other; one that fails does not keep the others
/// from it.
///
/// # Errors
/// A name that is none, or a configuration that cannot be listed.
pub fn run(names: &[OsString], all: bool, terms: Terms) -> anyhow::Result<Answer> {
    let settings = Settings::load()?;
    let mut host = Host::open(settings.host()?.mark)?.with_ip_config();
    let mut answer = Answer::good(String::new());
    for network in named(&settings, &mut host, names, all)? {
        let (name, result) = match network {
            Ok(network) => (network.name.clone(), bring_up(&settings, &mut host, &network, terms)),
            Err((name, error)) => (name, Err(error)),
        };
        match result {
            Ok(text) => answer.text.push_str(&format!("{name}: {text}\n")),
            Err(error) => answer.complain(&format!("{name}: {error:#}"), exit_code(&error)),
        }
    }
    Ok(answer)
}

/// Makes a network what its file says, with the changes of its forwards that are in force; tells what was done.
fn bring_up(settings: &Settings, host: &mut Host, network: &Network, terms: Terms) -> anyhow::Result<String> {
    if let Mode::Direct(_) = network.mode {
        let Network { name, bridge, .. } = network;
        return Ok(format!("nothing to make: guests join {bridge} one by one, by vnet tap add TAP --network {name}"));
    }
    let deadline = Deadline::of_run(clock::now());
    let lock = lock_network(&settings.run_dir, &network.name, deadline)?;
    let result = bring_up_locked(settings, host, network, terms, (&lock, deadline));
    if result.is_err() {
        lock.remove_unless_noted();
    }
    result
}

fn bring_up_locked(
    settings: &Settings,
    host: &mut Host,
    network: &Network,
    terms: Terms,
    held: (&Lock, Deadline),
) -> anyhow::Result<String> {
    let in_force = admitted(settings, host, network)?;
    let (lock, deadline) = held;
    let Some((text, anything)) = take_card(settings, host, network, terms, deadline)? else {
        return raise(settings, host, network, (&in_force, None), held);
    };
    // Somebody may have taken his time to confirm it.
    let held = (lock, if anything { Deadline::of_run(clock::now()) } else { deadline });
    match raise(settings, host, network, (&in_force, Some(text.clone())), held) {
        // The card's new place is good, whatever is wrong with the guests there.
        Err(error) if anything => {
            let text = format!(
                "{text}; but its guests were not looked after: {error:#}; try again with: vnet up {}",
                network.name
            );
            log(settings).note(&format!("{}: {text}", network.name), true);
            Ok(text)
        }
        result => result,
    }
}

/// Puts the bridge of a network that has an uplink in its place; tells what was done, and whether anything was.
pub(super) fn take_card(
    settings: &Settings,
    host: &mut Host,
    network: &Network,
    terms: Terms,
    deadline: Deadline,
) -> anyhow::Result<Option<(String, bool)>> {
    let Mode::Uplink(card) = &network.mode else { return Ok(None) };
    uplink::bring_up(settings, host, (network, card), terms, deadline).map(Some)
}

/// The changes of its forwards that are in force, for a network that may be brought up as its file says.
pub(super) fn admitted(settings: &Settings, host: &mut Host, network: &Network) -> anyhow::Result<Changes> {
    if network.own().is_none() {
        refuse_own_bridge(host, network)?;
    }
    Ok(changes(settings, &network.name)?)
}

/// The same with these changes of its forwards, for who holds its lock, and has done that much already.
pub(super) fn raise(
    settings: &Settings,
    host: &mut Host,
    network: &Network,
    (changes, taken): (&Changes, Option<String>),
    (lock, deadline): (&Lock, Deadline),
) -> anyhow::Result<String> {
    let (plan, warnings) = raise_silently(settings, host, network, changes, (lock, deadline))?;
    let text = told(network, taken, &plan, &warnings);
    let worth_a_look = !plan.notes.is_empty() || !warnings.is_empty();
    log(settings).note(&format!("{}: {text}", network.name), worth_a_look);
    Ok(text)
}

/// The same, for who tells of it in words of its own: what was done, and what is to be said of the network besides.
pub(super) fn raise_silently(
    settings: &Settings,
    host: &mut Host,
    network: &Network,
    changes: &Changes,
    (lock, deadline): (&Lock, Deadline),
) -> anyhow::Result<(Plan, Vec<String>)> {
    let verified = Verified::read(lock);
    let mut wanted = wanted_with(settings, network, changes)?;
    let mut snapshot = Snapshot::default();
    observe_bridge(host, network, &mut snapshot)?;
    wanted.tap_macs = tap_macs(settings, &snapshot.ports)?;
    let observed = observe_network(host, settings, network, Some(wanted), snapshot)?;
    let replan = |observed: &super::observe::Observed| -> anyhow::Result<Plan> {
        plan::up(network, observed.wanted.as_ref(), &observed.snapshot).map_err(|refusal| refused(network, refusal))
    };
    let mut plan = replan(&observed)?;
    let upkeep = Upkeep { settings, network, lock, verified, deadline };
    let warnings = upkeep.carry_out(host, None, (observed, &plan), replan)?;
    leave_out_spared(host, &mut plan);
    Ok((plan, warnings))
}

/// The MACs that the files of guests ask for whose taps are these, and that lent ones were given.
fn tap_macs(settings: &Settings, ports: &[Port]) -> Result<BTreeMap<IfName, Mac>, Problems> {
    let mut macs = BTreeMap::new();
    for Port { link, .. } in ports {
        let loan = link.loan();
        let has_file = loan.as_ref().is_none_or(|loan| loan.of_guest_file);
        let guest = if has_file { settings.store.guest(&link.name).map_err(Problems)? } else { None };
        let mac = match &loan {
            Some(loan) => plan::tap_mac(loan, guest.as_ref()),
            None => guest.as_ref().and_then(Guest::wanted_tap_mac),
        };
        macs.extend(mac.map(|mac| (link.name.clone(), mac)));
    }
    Ok(macs)
}

/// A network that joins a bridge of the administrator's may still be up as what its file said before.
fn refuse_own_bridge(host: &mut Host, network: &Network) -> anyhow::Result<()> {
    let other = |link: &&Link| link.name != network.bridge || network.uplink().is_none();
    let is_own =
        |link: &&Link| link.is_bridge() && other(link) && link.mark().is_some_and(|mark| mark.is_of(&network.name));
    match host.links()?.iter().find(is_own) {
        Some(bridge) => Err(refused(network, Refusal::Elsewhere(network.name.clone(), bridge.name.clone()))),
        None => Ok(()),
    }
}

/// Where the verbs leave a line for each network that they changed.
pub(super) fn log(settings: &Settings) -> Log<'static> {
    let facility = settings.host().map_or(Facility::DAEMON, |host| host.facility);
    Log { program: "vnet", facility }
}

fn told(network: &Network, taken: Option<String>, plan: &Plan, warnings: &[String]) -> String {
    let done = match plan.operations.len() {
        0 => "nothing to change".to_owned(),
        1 => "1 change".to_owned(),
        number => format!("{number} changes"),
    };
    let mut text = match network.mode {
        Mode::Own(_) => format!("up on {} ({}), {done}", network.bridge, network.mode.word()),
        _ => {
            let text =
                taken.unwrap_or_else(|| format!("guests join {}, which is not vnet's to change", network.bridge));
            iter::once(text).chain(plan::mended(&plan.operations)).collect::<Vec<_>>().join("; ")
        }
    };
    plan.notes.iter().chain(warnings).for_each(|note| text.push_str(&format!("; {note}")));
    text
}
