//! A network is brought up, or to what its file says now.

use std::collections::BTreeMap;

use super::overlap::{outside, refuse_overlap};
use super::rules::{is_lost, rules};
use super::{Plan, Refusal, Wanted, bridge, ports, routing, service};
use crate::config::{Mode, Network, OwnNetwork};
use crate::model::{
    Change, Docker, DockerInstead, DockerRule, Element, Groundwork, Guarding, IfName, Kind, Link, Listener, Operation,
    PortForward, Setting, Snapshot, Sysctl, Tables,
};

/// What makes a network as its file says; guests that have joined it stay, and those that were detached come back.
///
/// # Errors
/// Why nothing should be changed.
pub fn up(network: &Network, wanted: Option<&Wanted>, snapshot: &Snapshot) -> Result<Plan, Refusal> {
    let mut plan = Plan::default();
    let mtu = prepare(&mut plan, network, wanted, snapshot)?;
    ports::keep(&mut plan, network, wanted, snapshot, mtu);
    Ok(plan)
}

/// Plans what the network lacks, and tells the MTU in bytes that its ports shall have.
pub(super) fn prepare(
    plan: &mut Plan,
    network: &Network,
    wanted: Option<&Wanted>,
    snapshot: &Snapshot,
) -> Result<u32, Refusal> {
    let name = &network.bridge;
    let found = snapshot.bridge.as_ref();
    if let Some(bridge) = found.filter(|bridge| bridge.name != *name) {
        return Err(Refusal::BridgeAlternativeName(name.clone(), bridge.name.clone()));
    }
    let own = match &network.mode {
        Mode::Own(own) => own,
        Mode::Bridged | Mode::Direct(_) | Mode::Uplink(_) => {
            let mtu = match &network.mode {
                Mode::Uplink(_) => bridge::join_uplink(plan, network, found)?,
                _ => bridge::join(plan, name, found)?,
            };
            if let (Some(Guarding { firewall, others }), Some(wanted)) = (&snapshot.guarding, wanted) {
                rules(plan, network, wanted, (firewall, others), false);
            }
            return Ok(mtu);
        }
    };
    match (&snapshot.groundwork, wanted) {
        (Some(ground), Some(wanted)) => raise(plan, (network, own), wanted, (found, ground))?,
        _ if bridge::is_unfinished(network, found) => return Err(Refusal::Unobserved(name.clone())),
        _ if !matches!(found.map(|found| &found.kind), Some(Kind::Bridge(_))) => {
            return Err(Refusal::BridgeTaken(name.clone()));
        }
        _ => {}
    }
    Ok(own.mtu.get())
}

/// Rules first, then the bridge, which goes up last, and then who serves on it.
fn raise(
    plan: &mut Plan,
    (network, own): (&Network, &OwnNetwork),
    wanted: &Wanted,
    (found, ground): (Option<&Link>, &Groundwork),
) -> Result<(), Refusal> {
    admit((network, own), wanted, (found, ground))?;
    if bridge::closes_loopback(wanted, (found, ground)) {
        // Before its rules go.
        plan.change(&network.bridge, Setting::Sysctl(Sysctl::RouteLocalnet, Change::new(1, 0)));
    }
    let finished = !bridge::is_unfinished(network, found);
    rules(plan, network, wanted, (&ground.firewall, &ground.others), finished);
    docker(plan, own, &ground.docker);
    routing::turn_on(plan, own, &ground.routing);
    bridge::finish(plan, network, own, wanted, (found, ground))?;
    answer_outside(plan, own, wanted, ground);
    service::serve(plan, wanted, &ground.service, found.is_none());
    Ok(())
}

/// Whether the host has room for the network.
fn admit(
    (network, own): (&Network, &OwnNetwork),
    wanted: &Wanted,
    (found, ground): (Option<&Link>, &Groundwork),
) -> Result<(), Refusal> {
    if let Some(bridge) = &ground.elsewhere {
        return Err(Refusal::Elsewhere(network.name.clone(), bridge.clone()));
    }
    refuse_overlap(own, &ground.taken)?;
    if own.serves() && ground.service.program.is_none() {
        return Err(Refusal::NoServer);
    }
    let has = ground.firewall.of(&network.name);
    // Whoever began to listen while the forwards were there loses what comes there anyhow, and must not keep the network
    // from being mended.
    let flushed = ground.firewall.tables != Tables::Whole && !bridge::is_unfinished(network, found);
    refuse_taken(network, wanted, ground)?;
    for forward in wanted.forwards() {
        if !flushed && !has.contains(&Element::Forward(*forward)) {
            refuse_in_use(forward, &ground.listeners)?;
        }
    }
    Ok(())
}

/// Why the network cannot forward what comes there: another has a forward there, or will when lost tables are back.
fn refuse_taken(network: &Network, wanted: &Wanted, ground: &Groundwork) -> Result<(), Refusal> {
    let held = if is_lost(&ground.firewall, &ground.others) { &ground.others } else { &ground.firewall.elements };
    let mut taken: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (owner, element) in held.iter().filter(|(owner, _)| *owner != network.name) {
        if let Element::Forward(forward) = element {
            taken.entry((forward.protocol, forward.port)).or_default().push((owner, forward.listen()));
        }
    }
    for listen in wanted.forwards().map(PortForward::listen) {
        let there = taken.get(&(listen.protocol, listen.first)).into_iter().flatten();
        if let Some((owner, _)) = there.into_iter().find(|(_, other)| other.conflicts(&listen)) {
            return Err(Refusal::ForwardTaken(listen, (*owner).clone()));
        }
    }
    Ok(())
}

/// Why nobody can forward what comes there: a program of the host's waits for it.
fn refuse_in_use(forward: &PortForward, listeners: &[Listener]) -> Result<(), Refusal> {
    let listen = forward.listen();
    let of_family = |listener: &Listener| listener.both_families || listener.address.is_ipv4() == forward.to.is_ipv4();
    match listeners.iter().find(|listener| listener.loses_to(&listen) && of_family(listener)) {
        Some(listener) => Err(Refusal::PortInUse(listen, *listener)),
        None => Ok(()),
    }
}

/// Keeps our one rule in Docker's chain as long as a network asks for it.
fn docker(plan: &mut Plan, own: &OwnNetwork, docker: &Docker) {
    let after = DockerRule::asked(own.docker || docker.asked_by_others);
    for (table, has) in &docker.chains {
        plan.push(Operation::Docker(*table, Change::new(*has, after)));
    }
    if own.docker && docker.chains.is_empty() {
        let why = match docker.instead {
            Some(DockerInstead::Legacy) => "iptables-legacy keeps the rules, which nf_tables knows nothing of",
            Some(DockerInstead::Nftables) => "its own nftables backend has none",
            None => "Docker is not running, or makes none",
        };
        plan.notes
            .push(format!("Docker's firewall is left alone: there is no chain DOCKER-USER in nf_tables, for {why}"));
    }
}

/// Lets the host answer outside for the guests of a network that asks for it.
fn answer_outside(plan: &mut Plan, own: &OwnNetwork, wanted: &Wanted, ground: &Groundwork) {
    let (mut shall, mut deaf) = (Vec::new(), Vec::new());
    for subnet in own.subnets() {
        let Some(outside) = outside(subnet, &ground.taken) else { continue };
        let known = shall.len();
        let here = wanted.proxied.iter().filter(|ip| subnet.contains(**ip));
        shall.extend(here.map(|ip| (outside.link.clone(), *ip)));
        let asks = subnet.first().is_ipv6() && shall.len() > known;
        if asks && !outside.proxy_ndp && !deaf.contains(&outside.link) {
            deaf.push(outside.link.clone());
        }
    }
    remember(plan, &deaf, ground);
    for link in &deaf {
        plan.change(link, Setting::Sysctl(Sysctl::ProxyNdp, Change::new(0, 1)));
    }
    for (link, ip) in ground.proxies.iter().filter(|proxy| !shall.contains(proxy)) {
        plan.change(link, Setting::Proxy(*ip, Change::new(true, false)));
    }
    for (link, ip) in shall.iter().filter(|proxy| !ground.proxies.contains(proxy)) {
        plan.change(link, Setting::Proxy(*ip, Change::new(false, true)));
    }
}

/// Writes down that a setting of somebody else's links is ours to take back.
fn remember(plan: &mut Plan, links: &[IfName], ground: &Groundwork) {
    let known = &ground.turned_on;
    let text = |links: &mut dyn Iterator<Item = &IfName>| {
        let text: String = links.map(|link| format!("{link}\n")).collect();
        Some(text).filter(|text| !text.is_empty())
    };
    let new = links.iter().filter(|link| !known.contains(link));
    let change = Change::new(text(&mut known.iter()), text(&mut known.iter().chain(new)));
    plan.push(Operation::File(ground.directory.join("proxy_ndp"), change));
}
