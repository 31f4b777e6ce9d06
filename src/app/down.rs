//! `vnet down`: networks go, with everything that was made for them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::anyhow;

use super::answer::Answer;
use super::change::{carry_out, leave_out_spared};
use super::deadline::Deadline;
use super::failure::exit_code;
use super::give_back::{observe_uplink, put_back};
use super::journal::Journal;
use super::lock::lock_network;
use super::networks::parsed;
use super::observe::{files_of, machine_id, seen_enclave, turned_on};
use super::others::{docker, others as rest};
use super::settings::Settings;
use super::up::log;
use super::uplink;
use super::wanted::server;
use crate::config::{HostSettings, Reach};
use crate::kernel::sys::clock;
use crate::kernel::{self, Host, OpenDevices};
use crate::model::{
    Change, Element, Former, IfName, Kind, Link, Mac, Mark, NetworkName, Operation, Server, Service, Setting, Subnet,
    Tables,
};
use crate::plan::{self, Plan, Standing};

/// Takes the named networks down, or all that are up, one after the other; one that fails does not keep the others from
/// it. What there is of a network is asked of the kernel: its file may have changed, or gone. One with guests attached
/// goes only by `force`.
///
/// # Errors
/// A name that is none.
pub fn run(names: &[OsString], all: bool, force: bool) -> anyhow::Result<Answer> {
    let settings = Settings::load()?;
    // What is wrong with the host's file must not keep anybody from taking a network down.
    let on_host = settings.host();
    let mut host = Host::open(on_host.as_ref().unwrap_or(&HostSettings::STANDARD).mark)?.with_taps().with_ip_config();
    let names = if all { standing_names(&settings, &mut host)? } else { parsed(names)? };
    if all {
        locks_remove(&settings, &names);
    }
    let mut answer = Answer::good(String::new());
    if let Err(problems) = on_host {
        answer.complain(&format!("{problems}"), 0);
    }
    for name in names {
        match take_down(&settings, &mut host, &name, force) {
            Ok(text) => answer.text.push_str(&format!("{name}: {text}\n")),
            Err(error) => answer.complain(&format!("{name}: {error:#}"), exit_code(&error)),
        }
    }
    Ok(answer)
}

/// The networks of which there is anything.
pub(super) fn standing_names(settings: &Settings, host: &mut Host) -> anyhow::Result<Vec<NetworkName>> {
    let mut names = BTreeSet::new();
    names.extend(host.links()?.iter().filter_map(Link::mark).filter_map(|mark| mark.network().cloned()));
    names.extend(host.firewall()?.elements.into_iter().map(|(network, _)| network));
    let directories = fs::read_dir(&settings.run_dir).into_iter().flatten().filter_map(Result::ok);
    names.extend(directories.filter_map(|entry| entry.file_name().to_str()?.parse().ok()));
    Ok(names.into_iter().collect())
}

/// Removes the locks of networks of which there is nothing else: whoever brought a guest to a bridged network left one,
/// and whoever could not bring a network up.
pub(super) fn locks_remove(settings: &Settings, standing: &[NetworkName]) {
    let locks = fs::read_dir(settings.run_dir.join("lock")).into_iter().flatten().filter_map(Result::ok);
    let names = locks.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for name in names.filter(|name| !standing.contains(name)) {
        // One that is held for long is not idle.
        if let Ok(lock) = lock_network(&settings.run_dir, &name, Deadline::of_run(clock::now())) {
            lock.remove();
        }
    }
    // A run that was killed while it gave up the last one leaves the directories.
    for directory in [&settings.run_dir.join("lock"), &settings.run_dir] {
        let _ = fs::remove_dir(directory);
    }
}

/// Takes one network down, and tells what was done.
fn take_down(settings: &Settings, host: &mut Host, network: &NetworkName, force: bool) -> anyhow::Result<String> {
    let deadline = Deadline::of_run(clock::now());
    let lock = lock_network(&settings.run_dir, network, deadline)?;
    put_back(host, settings, network)?;
    refuse_without_card(settings, host, network, force)?;
    let guests = attached(host, network)?;
    if !guests.is_empty() && !force {
        lock.remove_unless_noted();
        return Err(anyhow!(
            "{}, and nothing is changed; stop them first, or cut them off: vnet down --force {network}",
            told_attached(&guests)
        ));
    }
    let guests = guests.len();
    let plan = clear_away(settings, host, network, deadline, |host| look(settings, host, network))?;
    lock.remove();
    let mut text = match (plan.operations.len(), guests) {
        (0, _) => "was not up".to_owned(),
        (_, 0) => "down".to_owned(),
        (_, 1) => "down; 1 guest was cut off".to_owned(),
        _ => format!("down; {guests} guests were cut off"),
    };
    let made = made_by_us(&plan);
    if !made.is_empty() {
        text.push_str(&format!("; removed what vnet tap add had made: {}", made.join(", ")));
    }
    log(settings).note(&format!("{network}: {text}"), false);
    Ok(text)
}

/// Refuses where what the bridge has of a network card would go with it, for the card is not there to have it again.
fn refuse_without_card(settings: &Settings, host: &mut Host, network: &NetworkName, force: bool) -> anyhow::Result<()> {
    match look(settings, host, network)?.uplink {
        Some((handover, uplink)) if uplink.card.is_none() && !force && !uplink.on_bridge.addresses.is_empty() => {
            Err(anyhow!(
                "there is no network card {0}, which is to have the addresses of {1} again, and nothing is changed; if it was renamed: ip link set NAME name {0}; if it is gone, remove them with: vnet down --force {network}",
                handover.card,
                handover.bridge
            ))
        }
        _ => Ok(()),
    }
}

/// The links that we had made to stay and that went: nothing makes them anew when the network comes back.
fn made_by_us(plan: &Plan) -> Vec<&str> {
    let gone = plan.operations.iter().filter_map(|operation| match operation {
        Operation::Link(name, Setting::Tap(Change { after: None, .. })) => Some(name.as_str()),
        _ => None,
    });
    gone.collect()
}

/// The network's guests' links behind which somebody is.
fn attached(host: &mut Host, network: &NetworkName) -> Result<Vec<IfName>, kernel::Error> {
    let is_guests = |link: &Link| matches!(link.mark(), Some(Mark::Port(..) | Mark::Persistent(_) | Mark::Lent(_)));
    let mut links: Vec<_> = host.links_of(network)?.into_iter().filter(is_guests).collect();
    links.iter_mut().for_each(kernel::tap_ask_holder);
    // What QEMU is given as a character device is up from its making.
    let is_direct =
        |link: &Link| matches!(link.mark(), Some(Mark::Persistent(_))) && !matches!(link.kind, Kind::Tun { .. });
    let open = links.iter().any(is_direct).then(OpenDevices::look);
    let is_held = |link: &Link| match &open {
        Some(open) if is_direct(link) => kernel::direct_is_held(link, open) == Some(true),
        _ => link.is_held(),
    };
    Ok(links.into_iter().filter(is_held).map(|link| link.name).collect())
}

/// `2 guests are attached (lab-a, lab-b)`
fn told_attached(guests: &[IfName]) -> String {
    /// More than these do not fit into a line.
    const NAMED: usize = 8;
    let names: Vec<_> = guests.iter().take(NAMED).map(IfName::as_str).collect();
    let more = if guests.len() > NAMED { ", and others" } else { "" };
    let number = if guests.len() == 1 { "1 guest is".to_owned() } else { format!("{} guests are", guests.len()) };
    format!("{number} attached ({}{more})", names.join(", "))
}

/// Removes what there is of a network whose lock is held, as `look` sees it, and tells what that was.
pub(super) fn clear_away(
    settings: &Settings,
    host: &mut Host,
    network: &NetworkName,
    deadline: Deadline,
    look: impl Fn(&mut Host) -> anyhow::Result<Standing>,
) -> anyhow::Result<Plan> {
    let standing = look(host)?;
    let mut plan = plan::down(network, &standing);
    let left = |host: &mut Host| Ok(plan::down(network, &look(host)?).operations);
    match &standing.uplink {
        Some((handover, _)) => {
            uplink::take_down(settings, host, (network, handover), &plan.operations, deadline, left)?;
        }
        None => carry_out(host, &plan.operations, deadline, left)?,
    }
    leave_out_spared(host, &mut plan);
    directories_remove(&settings.directory(network));
    Journal::of(&settings.run_dir, network).sweep();
    Ok(plan)
}

/// Removes the network's directories, where a run that was ended left them empty.
fn directories_remove(directory: &Path) {
    for path in [directory.join("dhcp"), directory.join("hosts"), directory.to_owned()] {
        // One that holds more is left, whatever that is.
        let _ = fs::remove_dir(path);
    }
}

/// What is there of a network.
pub(super) fn look(settings: &Settings, host: &mut Host, network: &NetworkName) -> anyhow::Result<Standing> {
    // Before the links: a tap is there before what guards it, so what guards none of these guards one that is gone.
    let firewall = host.firewall()?;
    let links = host.links()?;
    let of_network = |link: &&Link| link.mark().is_some_and(|mark| mark.is_of(network));
    let (mut bridges, others): (Vec<_>, Vec<_>) = links.iter().filter(of_network).cloned().partition(Link::is_bridge);
    bridges.extend(unmarked_bridge(settings, &links, network)?);
    let mut uplink = None;
    for bridge in &bridges {
        if let Some(Mark::Uplink(_, replaced)) = bridge.mark() {
            let seen = observe_uplink(host, &replaced.card, &bridge.name)?;
            uplink = Some((plan::handover_of(&bridge.name, replaced, &seen), seen));
        }
    }
    let mut standing = Standing { bridges, uplink, elements: firewall.of(network), ..Standing::default() };
    if firewall.tables == Tables::Damaged {
        let own = standing.elements.iter().map(|element| (network.clone(), element.clone()));
        standing.rebuild = Some(own.chain(rest(settings, Some(network), &links, &firewall.elements)).collect());
    }
    let docker = docker(host, settings, network, &links)?;
    if !docker.asked_by_others {
        standing.docker = docker.chains;
    }
    let mut enclave = None;
    for link in others {
        match link.mark() {
            // Looked at by itself: a list does not tell whose port it is.
            Some(Mark::Port(_, former)) => {
                let home = match former {
                    Some(Former { master: Some(home), .. }) => host.link(&home)?.map(|home| home.name),
                    _ => None,
                };
                let mut port = host.link(&link.name)?;
                port.iter_mut().filter(|port| port.is_dead_tap()).for_each(kernel::tap_ask_holder);
                standing.ports.extend(port.map(|port| (port, home)));
            }
            Some(Mark::Persistent(_)) => {
                let state = host.tap_state(&link)?;
                standing.taps.extend(state.map(|state| (link.name, state.made)));
            }
            Some(Mark::Lent(_)) => {
                let mut tap = host.link(&link.name)?;
                tap.iter_mut().filter(|tap| tap.is_dead_tap()).for_each(kernel::tap_ask_holder);
                standing.ports.extend(tap.map(|tap| (tap, None)));
            }
            Some(Mark::Owned(..)) => enclave = Some(link),
            _ => {}
        }
    }
    let directory = settings.directory(network);
    standing.service = service(settings, network, enclave)?;
    let mut subnets: Vec<_> = standing.elements.iter().filter_map(Element::subnet).collect();
    for bridge in &standing.bridges {
        // The firewall may have been emptied.
        subnets.extend(host.addresses(bridge)?.into_iter().map(Subnet::from));
    }
    let proxies = host.proxies(&links, None)?;
    let (ours, of_others): (Vec<_>, Vec<_>) =
        proxies.into_iter().partition(|(_, ip)| subnets.iter().any(|subnet| subnet.contains(*ip)));
    standing.proxies = ours;
    let needed = |link: &IfName| of_others.iter().any(|(other, ip)| other == link && ip.is_ipv6());
    standing.proxy_ndp = turned_on(&directory).into_iter().filter(|link| !needed(link)).collect();
    Ok(standing)
}

/// A bridge that a run made for the network and that it could not mark any more: it has the MAC that only we give.
pub(super) fn unmarked_bridge(
    settings: &Settings,
    links: &[Link],
    network: &NetworkName,
) -> anyhow::Result<Option<Link>> {
    let configured = settings.store.network(network).ok().flatten().map(|network| network.bridge);
    let usual = || match *network == NetworkName::built_in() {
        true => Some(IfName::built_in()),
        false => format!("vn-{network}").parse().ok(),
    };
    let Some(name) = configured.or_else(usual) else { return Ok(None) };
    let derived = Mac::derived(&machine_id()?, name.as_str());
    let is_it = |link: &&Link| link.is_bridge() && link.name == name && link.alias.is_none() && link.mac == derived;
    Ok(links.iter().find(is_it).cloned())
}

/// The network's server and its files.
fn service(settings: &Settings, network: &NetworkName, enclave: Option<Link>) -> anyhow::Result<Service> {
    let directory = settings.directory(network);
    let failed = |error| kernel::Error::of_io(format!("reading {}", directory.display()), &error);
    let files = files_of(&directory, true).map_err(failed)?;
    let there = enclave.is_some();
    // As its file says, where that is still there: so it can be started again, should the rest fail.
    let configured = settings.store.network(network).ok().flatten();
    let own = configured.as_ref().and_then(|network| Some((network, network.own()?)));
    let server = match own {
        Some((network, own)) if (own.reach == Reach::Isolated) == there => server(network, own, directory)?,
        _ => Server {
            network: network.clone(),
            program: "dnsmasq".into(),
            directory,
            enclave: enclave.map(seen_enclave),
        },
    };
    // One that died left its directories.
    let traces = [server.pid_file(), server.ending_file()];
    let left = || traces.iter().chain(&server.hosts_directories()).any(|trace| trace.exists());
    let running = (there || kernel::server_process(&server).is_some() || left()).then_some(server);
    Ok(Service { running, files, ..Service::default() })
}
