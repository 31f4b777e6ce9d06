//! A bridge takes the place of a network card on the LAN, and gives it back.
//!
//! The order is the one in which nobody who talks to the host notices. The addresses come first: as long as both links
//! have them, packets find the host by either. The routes follow while the card is a port, for then what leaves by the
//! bridge and what leaves by the card takes the same wire. The addresses that are no longer needed go last.

use super::bridge::of_another;
use super::way::Way;
use super::way::is_among;
use super::{Plan, Refusal, bridge};
use crate::config::Network;
use crate::model::{
    BridgeOptions, Change, Handover, IfName, IpConfig, Kind, Link, Mark, NetworkName, NewBridge, Replaced, Setting,
    Uplink,
};

/// Whether the bridge is one of the administrator's that the card is a port of already: guests join it as it is.
pub fn is_administrators(uplink: &Uplink) -> bool {
    let unmarked = uplink.bridge.as_ref().filter(|bridge| bridge.is_bridge() && bridge.mark().is_none());
    unmarked.is_some_and(|bridge| is_port(uplink.card.as_ref(), &bridge.name))
}

/// What makes the host speak IP on the LAN, wherever that is: with the card, with the bridge whose port the card is, or
/// with both where somebody took the card out of the bridge.
pub fn host_config(network: &Network, uplink: &Uplink) -> IpConfig {
    let card = network.uplink().unwrap_or(&network.bridge);
    let ours = uplink.bridge.as_ref().filter(|bridge| claimed(network, card, bridge).is_ok());
    let Some(bridge) = ours else { return uplink.on_card.clone() };
    let mut config = uplink.on_bridge.clone();
    if !is_port(uplink.card.as_ref(), &bridge.name) {
        let IpConfig { addresses, routes, neighbours } = uplink.on_card.clone();
        config.addresses.extend(addresses.into_iter().filter(|address| !is_among(address, &uplink.on_bridge)));
        config.routes.extend(routes.into_iter().filter(|route| !uplink.on_bridge.routes.contains(route)));
        config.neighbours.extend(neighbours);
    }
    config
}

/// What is to be known of addresses and routes that go over to a bridge.
///
/// # Errors
/// They are kept by a program or by the kernel, which would go on doing so on the card; for `keep_lease` a DHCP client's
/// goes over nevertheless.
pub fn judge_config(network: &Network, config: &IpConfig, keep_lease: bool) -> Result<Vec<String>, Refusal> {
    let (card, bridge) = (network.uplink().unwrap_or(&network.bridge), &network.bridge);
    if let Some(address) = config.addresses.iter().find(|address| address.is_advertised()) {
        return Err(Refusal::Advertised { card: card.clone(), what: address.to_string() });
    }
    if let Some(route) = config.routes.iter().find(|route| route.is_advertised()) {
        return Err(Refusal::Advertised { card: card.clone(), what: format!("the route {route}") });
    }
    let leased = config.addresses.iter().filter_map(|address| Some((address, address.lifetime?)));
    let mut notes = Vec::new();
    for (address, lifetime) in leased {
        if !keep_lease {
            return Err(Refusal::Leased { card: card.clone(), address: address.to_string(), bridge: bridge.clone() });
        }
        notes.push(format!(
            "{address} is leased for {} s more, and its DHCP client renews it on {card}, where the server's answers no longer arrive: let it run on {bridge} before then, or the address goes",
            lifetime.valid
        ));
    }
    Ok(notes)
}

/// What makes the network's bridge, puts it in the card's place, and gives it what the card had.
///
/// # Errors
/// Why nothing should be changed.
pub fn take(network: &Network, config: &IpConfig, uplink: &Uplink) -> Result<Plan, Refusal> {
    let (bridge, wanted) = (&network.bridge, network.uplink().unwrap_or(&network.bridge));
    let card = uplink.card.as_ref().ok_or_else(|| Refusal::NoSuchCard(wanted.clone()))?;
    if card.name != *wanted {
        return Err(Refusal::AlternativeName(card.name.clone()));
    }
    if let Some(master) = card.master.as_ref().filter(|master| master.name != *bridge) {
        return Err(Refusal::InAnother(master.name.clone()));
    }
    let mut plan = Plan::default();
    let new = NewBridge { mac: card.mac, mtu: bridge::other_mtu(card.mtu), options: BridgeOptions::OURS };
    let mut before = (new.options, new.mac, new.mtu, false, None);
    let mut addr_gen = card.addr_gen.and(uplink.addr_gen);
    match &uplink.bridge {
        Some(link) => {
            before = (claimed(network, wanted, link)?, link.mac, link.mtu, link.up, link.alias.clone());
            addr_gen = link.addr_gen;
        }
        None => plan.change(bridge, Setting::Bridge(Change::new(None, Some(new)))),
    }
    let (options, mac, mtu, up, alias) = before;
    let mut inner = Plan::default();
    inner.change(bridge, Setting::BridgeOptions(Change::new(options, BridgeOptions::OURS)));
    inner.change(bridge, Setting::Mac(Change::new(mac, card.mac)));
    inner.change(bridge, Setting::Mtu(Change::new(mtu, card.mtu)));
    for (sysctl, change) in &uplink.sysctls {
        inner.change(bridge, Setting::Sysctl(*sysctl, *change));
    }
    if let (Some(before), Some(after)) = (addr_gen, card.addr_gen) {
        inner.change(bridge, Setting::AddrGen(Change::new(before, after)));
    }
    inner.set_up(bridge, up, true);
    let way = Way { config, from: (&card.name, &uplink.on_card), to: (bridge, &uplink.on_bridge), to_up: true };
    way.arrive(&mut inner);
    inner.set_up(&card.name, card.up, true);
    let master = card.master.as_ref().map(|master| master.name.clone());
    inner.change(&card.name, Setting::Master(Change::new(master, Some(bridge.clone()))));
    // A link without a carrier forgets its neighbours.
    way.acquaint(&mut inner, card.master.is_none());
    if card.master.is_none() && card.carrier {
        // What is sent by a bridge before the kernel took note of its carrier is lost.
        inner.change(bridge, Setting::Running(Change::new(false, true)));
    }
    way.lead(&mut inner);
    way.leave(&mut inner);
    way.settle(&mut inner);
    let up = match uplink.bridge.as_ref().and_then(Link::mark) {
        Some(Mark::Uplink(_, replaced)) => replaced.up,
        _ => card.up,
    };
    let finished = Some(Mark::Uplink(network.name.clone(), Replaced { card: card.name.clone(), up }).to_string());
    if alias == finished {
        // The mark stays: by it whoever comes next, should this run be ended, knows what the bridge has.
        return Ok(inner);
    }
    let unfinished = Some(Mark::Owned(network.name.clone(), None).to_string());
    plan.change(bridge, Setting::Alias(Change::new(alias, unfinished.clone())));
    plan.operations.append(&mut inner.operations);
    plan.change(bridge, Setting::Alias(Change::new(unfinished, finished)));
    Ok(plan)
}

/// What gives the card back what it had, wherever that is now, and removes the bridge.
pub fn give_back(network: &NetworkName, handover: &Handover, uplink: &Uplink) -> Plan {
    let mut plan = Plan::default();
    let ours = uplink.bridge.as_ref().filter(|bridge| is_ours(network, handover, bridge, uplink.card.as_ref()));
    if let Some(card) = uplink.card.as_ref() {
        let bridge = &handover.bridge;
        let attached = is_port(Some(card), bridge);
        let nothing = IpConfig::default();
        let on_bridge = if ours.is_some() { &uplink.on_bridge } else { &nothing };
        // The kernel leads no route by a link that is down.
        let addresses = IpConfig { addresses: handover.config.addresses.clone(), ..IpConfig::default() };
        let config = if handover.up { &handover.config } else { &addresses };
        let goes_down = card.up && !handover.up;
        let on_card = if goes_down { &down(&uplink.on_card) } else { &uplink.on_card };
        let way = Way { config, from: (bridge, on_bridge), to: (&card.name, on_card), to_up: handover.up };
        plan.set_up(&card.name, card.up, handover.up);
        way.arrive(&mut plan);
        way.acquaint(&mut plan, attached && handover.up);
        way.lead(&mut plan);
        way.leave(&mut plan);
        if attached && ours.is_some() {
            plan.change(&card.name, Setting::Master(Change::new(Some(bridge.clone()), None)));
        }
        way.settle(&mut plan);
    }
    if let Some((bridge, Kind::Bridge(options))) = ours.map(|bridge| (bridge, &bridge.kind)) {
        let was = NewBridge { mac: bridge.mac, mtu: bridge.mtu, options: *options };
        plan.change(&bridge.name, Setting::Bridge(Change::new(Some(was), None)));
    }
    plan
}

/// What the card shall have again when the bridge goes, or does not come.
pub fn handover(network: &Network, card: &IfName, uplink: &Uplink) -> Handover {
    let up = match uplink.bridge.as_ref().and_then(Link::mark) {
        Some(Mark::Uplink(_, replaced)) => replaced.up,
        _ => uplink.card.as_ref().is_some_and(|card| card.up),
    };
    Handover { card: card.clone(), bridge: network.bridge.clone(), up, config: host_config(network, uplink) }
}

/// What the card shall have again when this bridge goes.
pub fn handover_of(bridge: &IfName, replaced: Replaced, uplink: &Uplink) -> Handover {
    let config = uplink.on_bridge.clone();
    Handover { card: replaced.card, bridge: bridge.clone(), up: replaced.up, config }
}

/// What a link still has when it was set down: the kernel takes the addresses of IPv6 and all routes from it.
fn down(config: &IpConfig) -> IpConfig {
    let addresses = config.addresses.iter().filter(|address| address.ip.is_ipv4()).cloned().collect();
    IpConfig { addresses, ..IpConfig::default() }
}

fn is_port(card: Option<&Link>, bridge: &IfName) -> bool {
    card.and_then(|card| card.master.as_ref()).is_some_and(|master| master.name == *bridge)
}

/// A link of the bridge's name, if it is the one that took this card's place.
fn claimed(network: &Network, card: &IfName, link: &Link) -> Result<BridgeOptions, Refusal> {
    let name = &network.bridge;
    if link.name != *name {
        return Err(Refusal::BridgeAlternativeName(name.clone(), link.name.clone()));
    }
    let Kind::Bridge(options) = link.kind else { return Err(Refusal::BridgeTaken(name.clone())) };
    match link.mark() {
        Some(Mark::Uplink(owner, replaced)) if owner == network.name && replaced.card == *card => Ok(options),
        // It may be up as what its file said before.
        mark => Err(of_another(network, mark.as_ref())),
    }
}

/// Whether the bridge is one that we made for the card: it is marked, or has the card's MAC and no alias yet, for the run
/// that made it ended before it could set one.
fn is_ours(network: &NetworkName, handover: &Handover, bridge: &Link, card: Option<&Link>) -> bool {
    let named = bridge.name == handover.bridge && bridge.is_bridge();
    named
        && match bridge.mark() {
            Some(Mark::Owned(owner, _) | Mark::Uplink(owner, _)) => owner == *network,
            Some(_) => false,
            None => bridge.alias.is_none() && card.is_some_and(|card| card.mac == bridge.mac),
        }
}
