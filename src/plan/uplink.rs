//! A bridge takes the place of a network card on the LAN, and gives it back.
//!
//! The order is the one in which nobody who talks to the host notices. The addresses come first: as long as both links
//! have them, packets find the host by either. The routes follow while the card is a port, for then what leaves by the
//! bridge and what leaves by the card takes the same wire. The addresses that are no longer needed go last.

use super::bridge::of_another;
use super::{Plan, Refusal, bridge};
use crate::config::Network;
use crate::model::{
    BridgeOptions, Change, Handover, HostAddress, IfName, IpConfig, Kind, Link, Mark, Neighbour, NetworkName,
    NewBridge, Operation, Replaced, Route, Setting, Uplink,
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

/// What makes a link speak IP goes over from one to another, as far as it has not yet.
struct Way<'a> {
    config: &'a IpConfig,
    from: (&'a IfName, &'a IpConfig),
    to: (&'a IfName, &'a IpConfig),
    /// Whether that other is up. On one that is down the kernel takes no address into use, unless it need not ask around.
    to_up: bool,
}

impl Way<'_> {
    /// The addresses, in the order in which the kernel lists them then: it puts a new one of IPv4 behind the others, and
    /// one of IPv6 before them.
    fn arrive(&self, plan: &mut Plan) {
        let (to, has) = self.to;
        let (ipv4, ipv6): (Vec<_>, Vec<_>) = self.config.addresses.iter().partition(|address| address.ip.is_ipv4());
        for address in ipv4.into_iter().chain(ipv6.into_iter().rev()).filter(|address| !is_among(address, has)) {
            plan.change(to, Setting::HostAddress(Box::new(self.arriving(address)), Change::new(false, true)));
        }
    }

    /// The neighbours: those that somebody set, and with them, while the host moves, those that are known, or the first
    /// packets would wait for an answer to who has their MACs.
    fn acquaint(&self, plan: &mut Plan, moves: bool) {
        let ((_, known), (to, has)) = (self.from, self.to);
        let missing = |neighbour: &&Neighbour| !has.neighbours.contains(neighbour);
        let unknown = |neighbour: &&Neighbour| !has.neighbours.iter().any(|other| other.ip == neighbour.ip);
        let set = self.config.neighbours.iter().filter(|neighbour| neighbour.permanent).filter(missing);
        let met = known.neighbours.iter().filter(|neighbour| moves && !neighbour.permanent).filter(unknown);
        for neighbour in set.chain(met) {
            plan.change(to, Setting::Neighbour(*neighbour, Change::new(false, true)));
        }
    }

    /// An address as it is when it comes.
    fn arriving(&self, address: &HostAddress) -> HostAddress {
        if self.to_up { address.at_once() } else { address.clone() }
    }

    /// The routes: none is without a link at any moment. Those without a gateway are on both links while the others are
    /// led over, for the kernel takes no gateway that it cannot reach by the same link, on the way back neither.
    fn lead(&self, plan: &mut Plan) {
        let ((from, old), (to, new)) = (self.from, self.to);
        let (by_gateway, direct): (Vec<_>, Vec<_>) = self.config.routes.iter().partition(|route| route.has_gateway());
        let boxed = |route: &&Route| Box::new((*route).clone());
        for route in direct.iter().filter(|route| !new.routes.contains(route)) {
            plan.change(to, Setting::Route(boxed(route), Change::new(false, true)));
        }
        for route in &by_gateway {
            match (old.routes.contains(route), new.routes.contains(route)) {
                (true, false) => {
                    plan.push(Operation::Reroute(boxed(route), Change::new(from.clone(), to.clone())));
                }
                (true, true) => plan.change(from, Setting::Route(boxed(route), Change::new(true, false))),
                (false, false) => plan.change(to, Setting::Route(boxed(route), Change::new(false, true))),
                (false, true) => {}
            }
        }
        for route in direct.iter().filter(|route| old.routes.contains(route)) {
            plan.change(from, Setting::Route(boxed(route), Change::new(true, false)));
        }
    }

    /// The addresses go where they are no longer needed: IPv4's from the last, for the kernel takes those with it that
    /// came after the first of a subnet. So that they could come back at once, IPv6's are told not to ask around first.
    fn leave(&self, plan: &mut Plan) {
        let (from, has) = self.from;
        // The kernel forgets all of IPv4's with the last address, and would not tell the way back of it.
        for neighbour in has.neighbours.iter().filter(|neighbour| neighbour.permanent) {
            if self.config.neighbours.contains(neighbour) {
                plan.change(from, Setting::Neighbour(*neighbour, Change::new(true, false)));
            }
        }
        let moved = has.addresses.iter().filter(|address| is_among(address, self.config));
        let (ipv4, ipv6): (Vec<_>, Vec<_>) = moved.partition(|address| address.ip.is_ipv4());
        for address in ipv4.into_iter().rev().chain(ipv6) {
            let once = Box::new(address.at_once());
            plan.change(from, Setting::AddressFlags(once.clone(), Change::new(address.flags, once.flags)));
            plan.change(from, Setting::HostAddress(once, Change::new(true, false)));
        }
    }

    /// The addresses get the flags that they had.
    fn settle(&self, plan: &mut Plan) {
        let (to, has) = self.to;
        for address in self.config.addresses.iter().filter(|address| address.ip.is_ipv6()) {
            let there = has.addresses.iter().find(|other| other.is_same(address));
            let before = there.map_or_else(|| self.arriving(address).flags, |there| there.flags);
            let once = Box::new(address.clone());
            plan.change(to, Setting::AddressFlags(once, Change::new(before, address.flags)));
        }
    }
}

fn is_among(address: &HostAddress, config: &IpConfig) -> bool {
    config.addresses.iter().any(|other| other.is_same(address))
}
