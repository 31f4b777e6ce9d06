//! `vnet tap`: links for guests that are made beforehand and stay, for whoever runs a guest without privileges.

use std::ffi::OsStr;

use anyhow::anyhow;
use nix::unistd::Uid;

use super::answer::Answer;
use super::change::carry_out;
use super::deadline::Deadline;
use super::failure::{Problems, Usage};
use super::ifup::refused;
use super::lock::lock_network;
use super::networks::{self, parsed};
use super::observe::{Observed, machine_id, observe};
use super::settings::Settings;
use super::tap_list::{Made, node};
use super::up::log;
use super::upkeep::Upkeep;
use super::verified::Verified;
use crate::config::{Direct, Guest, Mode, Network};
use crate::kernel::sys::lock::Lock;
use crate::kernel::sys::{clock, user};
use crate::kernel::{self, Host, OpenDevices};
use crate::model::{IfName, Kind, Mac, NewTap, TapForm};
use crate::plan::{self, Plan};

/// A link that is asked for.
struct Asked {
    name: IfName,
    network: Network,
    guest: Option<Guest>,
    /// The number of the user who may hold it.
    owner: u32,
    queues: u16,
}

/// Makes a link for a guest that stays, and tells the arguments by which QEMU takes it.
///
/// # Errors
/// A name, network or user that is none; a name that is taken; what the network refuses.
pub fn add(name: &OsStr, network: Option<&OsStr>, user: Option<&OsStr>, queues: u16) -> anyhow::Result<Answer> {
    let name = name_of(name)?;
    let settings = Settings::load()?;
    let mut host = Host::open(settings.host()?.mark)?.with_taps().with_ip_config();
    let (network, guest) = chosen(&settings, &mut host, &name, network)?;
    let asked = Asked { owner: owner(user)?, name, network, guest, queues };
    let deadline = Deadline::of_run(clock::now());
    let made = lock_network(&settings.run_dir, &asked.network.name, deadline).and_then(|lock| {
        let made = match asked.network.mode {
            Mode::Direct(direct) => add_direct(&settings, &mut host, &asked, (direct, deadline)),
            _ => add_port(&settings, &mut host, &asked, (&lock, deadline)),
        };
        // Where the network is ours and up, it has a note, and stays.
        lock.remove_unless_noted();
        made
    });
    made.map_err(|error| error.context(asked.name.clone()))
}

/// A tap that is a port of the network's bridge.
fn add_port(
    settings: &Settings,
    host: &mut Host,
    asked: &Asked,
    (lock, deadline): (&Lock, Deadline),
) -> anyhow::Result<Answer> {
    let Asked { name, network, guest, owner, queues } = asked;
    let derived = Mac::derived(&machine_id()?, name.as_str());
    let mac = guest.as_ref().and_then(Guest::wanted_tap_mac).unwrap_or(derived.tap_end());
    let new = NewTap { mac, form: TapForm::Tap { owner: Some(*owner), many_queues: *queues > 1 } };
    let joins = (network, guest.as_ref());
    let replan = |observed: &Observed| -> anyhow::Result<Plan> {
        plan::tap_add(name, joins, observed.wanted.as_ref(), (&observed.snapshot, &new))
            .map_err(|refusal| refused(network, refusal))
    };
    let verified = Verified::read(lock);
    let observed = observe(host, settings, name, joins, &verified)?;
    let plan = replan(&observed)?;
    let upkeep = Upkeep { settings, network, lock, verified, deadline };
    let warnings = upkeep.carry_out(host, Some(name), (observed, &plan), replan)?;
    let of_guest = guest.as_ref().and_then(|guest| guest.mac).unwrap_or(derived);
    let netdev = match queues {
        1 => format!("tap,id=n0,ifname={name},script=no,downscript=no"),
        many => format!("tap,id=n0,ifname={name},script=no,downscript=no,queues={many}"),
    };
    Ok(told(settings, asked, &plan, &warnings, format!("-netdev {netdev} {}", device(of_guest, *queues))))
}

/// A link on the network's card.
fn add_direct(
    settings: &Settings,
    host: &mut Host,
    asked: &Asked,
    (direct, deadline): (Direct, Deadline),
) -> anyhow::Result<Answer> {
    let Asked { name, network, guest, owner, queues } = asked;
    let machine_id = machine_id()?;
    let mut seen = None;
    let mut replan = |host: &mut Host| -> anyhow::Result<Plan> {
        let sight = host.direct(name, &network.bridge, &machine_id)?;
        let plan = plan::direct_add(name, (network, guest.as_ref()), direct, (&sight, *owner))
            .map_err(|refusal| refused(network, refusal));
        seen = sight.link.map(|(link, _)| link);
        plan
    };
    let plan = replan(host)?;
    carry_out(host, &plan.operations, deadline, |host| Ok(replan(host)?.operations))?;
    let link = seen.ok_or_else(|| anyhow!("it went away meanwhile; try again"))?;
    // Standard input, output and error come before.
    let descriptors: Vec<_> = (3..3 + u32::from(*queues)).map(|number| number.to_string()).collect();
    let key = if *queues == 1 { "fd" } else { "fds" };
    let mut arguments = format!("-netdev tap,id=n0,{key}={} {}", descriptors.join(":"), device(link.mac, *queues));
    for descriptor in &descriptors {
        arguments.push_str(&format!(" {descriptor}<>{}", node(&link).display()));
    }
    Ok(told(settings, asked, &plan, &[], arguments))
}

/// The guest's end, for QEMU.
fn device(mac: Mac, queues: u16) -> String {
    let many = if queues == 1 { "" } else { ",mq=on" };
    format!("-device virtio-net-pci,netdev=n0,mac={mac}{many}")
}

/// The arguments alone, for they may be pasted; all else goes where complaints go, and into the log.
fn told(settings: &Settings, asked: &Asked, plan: &Plan, warnings: &[String], arguments: String) -> Answer {
    let Asked { name, network, owner, .. } = asked;
    let mut answer = Answer::good(format!("{arguments}\n"));
    let notes: Vec<_> = plan.notes.iter().chain(warnings).cloned().collect();
    notes.iter().for_each(|note| answer.complain(&format!("{name}: {note}"), 0));
    if !plan.operations.is_empty() {
        let what = format!("{name}: made for the user {owner} on {} of the network {}", network.bridge, network.name);
        log(settings).note(&what, !notes.is_empty());
    }
    answer
}

/// The network that the command line or the guest's file names, which have to agree.
fn chosen(
    settings: &Settings,
    host: &mut Host,
    name: &IfName,
    network: Option<&OsStr>,
) -> anyhow::Result<(Network, Option<Guest>)> {
    let guest = settings.store.guest(name).map_err(Problems)?;
    let file = settings.store.guest_path(name);
    let asked = network.map(|network| parsed(&[network.to_owned()])).transpose()?.and_then(|mut names| names.pop());
    let network = match (asked, guest.as_ref().and_then(|guest| guest.network.clone())) {
        (Some(asked), Some(other)) if asked != other => {
            let file = guest.as_ref().map_or_else(String::new, |guest| guest.source.place("network"));
            return Err(anyhow!("{name}: {file} says that it joins {other}, not {asked}; change one of them"));
        }
        (Some(asked), _) | (None, Some(asked)) => asked,
        (None, None) => {
            let file = file.display();
            let what = format!("{name}: which network? name it with --network NETWORK, or as \"network\" in {file}");
            return Err(Usage(what).into());
        }
    };
    Ok((networks::network(settings, host, &network)?, guest))
}

/// The number of the user who may hold the link; who runs this where none is named.
fn owner(named: Option<&OsStr>) -> anyhow::Result<u32> {
    let Some(named) = named else { return Ok(Uid::effective().as_raw()) };
    let named = named.to_string_lossy();
    match user::number_of(&named)? {
        Some(number) => Ok(number),
        None => {
            let named = named.escape_debug();
            Err(Usage(format!("there is no user {named} in /etc/passwd; name one that is there, or give a number"))
                .into())
        }
    }
}

/// Removes a link that we made to stay.
///
/// # Errors
/// A link that is not there, that is another's, or that a program holds.
pub fn del(name: &OsStr) -> anyhow::Result<Answer> {
    let name = name_of(name)?;
    let settings = Settings::load()?;
    let deadline = Deadline::of_run(clock::now());
    let mut host = Host::open(0)?.with_taps().with_ip_config();
    let network = removable(&mut host, &name)?.network;
    let lock = network.as_ref().map(|network| lock_network(&settings.run_dir, network, deadline)).transpose();
    let removed = lock.and_then(|lock| {
        // Another run may have changed it meanwhile.
        let result = removable(&mut host, &name).and_then(|made| {
            let plan = plan::tap_del(&name, made.state.made);
            carry_out(&mut host, &plan.operations, deadline, |host| {
                let left = host.link(&name)?.map_or(Ok(None), |link| Made::of(host, link))?;
                Ok(left.map_or_else(Vec::new, |made| plan::tap_del(&name, made.state.made).operations))
            })
        });
        lock.into_iter().for_each(Lock::remove_unless_noted);
        result
    });
    removed.map_err(|error| error.context(name.clone()))?;
    let of = network.map_or_else(String::new, |network| format!(" of the network {network}"));
    log(&settings).note(&format!("{name}: removed{of}"), false);
    Ok(Answer::good(format!("{name}: removed\n")))
}

/// The link, if it may be removed.
fn removable(host: &mut Host, name: &IfName) -> anyhow::Result<Made> {
    let link = host.link(name)?.filter(|link| link.name == *name);
    let link = link.ok_or_else(|| anyhow!("{name}: there is no such link; see those that are there: vnet tap list"))?;
    let kind = link.kind.clone();
    let mut made = Made::of(host, link)?.ok_or_else(|| {
        // Of a bridge or a network card more than a guest's link would go.
        let how = if matches!(kind, Kind::Tun { .. }) { format!(": ip link del {name}") } else { String::new() };
        anyhow!("{name}: vnet did not make it to stay, and leaves it alone; whoever made it removes it{how}")
    })?;
    kernel::tap_ask_holder(&mut made.link);
    let is_tap = matches!(made.link.kind, Kind::Tun { .. });
    // Only for another are all processes looked into.
    let is_held = if is_tap { made.link.carrier } else { made.is_held(&OpenDevices::look()) == Some(true) };
    if is_held {
        return Err(anyhow!("{name}: a program holds it; end the guest first"));
    }
    Ok(made)
}

fn name_of(name: &OsStr) -> Result<IfName, Usage> {
    IfName::from_bytes(name.as_encoded_bytes()).map_err(|invalid| Usage(invalid.to_string()))
}
