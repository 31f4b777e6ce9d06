//! The bridge of a network: found, or made and finished.

use super::{Plan, Refusal, Wanted, routing};
use crate::config::{Mode, Network, OwnNetwork, Reach};
use crate::model::{
    Address, BridgeOptions, Change, Groundwork, IfName, Kind, Link, Mark, Mtu, NewBridge, Seal, Setting, Sysctl,
};

/// Whether a bridge of ours has yet to be made or finished: it is not up, not sealed as made of what the file says now,
/// or somebody changed since whether it forwards: whoever turns the host's forwarding on or off does so for every link.
pub fn is_unfinished(network: &Network, bridge: Option<&Link>) -> bool {
    let Mode::Own(own) = &network.mode else { return false };
    bridge.is_none_or(|bridge| {
        !bridge.up || bridge.forwards != routing::forwards(own) || bridge.mark() != Some(sealed(network))
    })
}

/// The mark of a finished bridge, which tells this version of the network's file from another.
fn sealed(network: &Network) -> Mark {
    /// Another, once a bridge is given other things than now.
    const VERSION: &str = "2";
    let text = network.source.as_ref().map(|source| source.text.as_str());
    let own = network.own().and_then(|own| own.addresses.first()).map(ToString::to_string).unwrap_or_default();
    Mark::Owned(network.name.clone(), Some(Seal::of(&[VERSION, text.unwrap_or(&own)])))
}

/// A bridge of the administrator's: it has to be there, and is taken as it is. Tells its MTU in bytes.
pub(super) fn join(plan: &mut Plan, name: &IfName, bridge: Option<&Link>) -> Result<u32, Refusal> {
    let bridge = bridge.ok_or_else(|| Refusal::NoSuchBridge(name.clone()))?;
    match &bridge.kind {
        Kind::Bridge(options) if options.stp && options.forward_delay > 0 => plan.notes.push(format!(
            "{name} runs the spanning tree protocol, so the guest is cut off for the first {} s",
            2 * options.forward_delay / 100
        )),
        Kind::Bridge(_) => {}
        kind => return Err(Refusal::NotABridge(name.clone(), kind.clone())),
    }
    if let Some(owner) = bridge.mark().and_then(|mark| mark.network().cloned()) {
        return Err(Refusal::BridgeOfAnother(name.clone(), owner));
    }
    if !bridge.up {
        plan.notes.push(format!("{name} is down, so nobody reaches anybody until it is set up"));
    }
    Ok(bridge.mtu)
}

/// The bridge that took a card's place, or that the administrator made with the card as its port. Tells its MTU in bytes.
pub(super) fn join_uplink(plan: &mut Plan, network: &Network, bridge: Option<&Link>) -> Result<u32, Refusal> {
    match bridge.map(|bridge| (bridge, bridge.mark())) {
        Some((bridge, Some(Mark::Uplink(owner, _)))) if owner == network.name && bridge.up => Ok(bridge.mtu),
        None => Err(Refusal::NotUp(network.name.clone())),
        Some((_, Some(mark))) if mark.is_of(&network.name) => Err(Refusal::NotUp(network.name.clone())),
        Some((bridge, _)) => join(plan, &network.bridge, Some(bridge)),
    }
}

/// Makes a bridge of ours, or finishes one that a run before us began, or that its file or somebody has changed since.
///
/// It is unsealed first, and sealed when all but going up is done, so that a run that ends in between leaves it for the
/// next one to finish.
pub(super) fn finish(
    plan: &mut Plan,
    network: &Network,
    own: &OwnNetwork,
    wanted: &Wanted,
    (found, ground): (Option<&Link>, &Groundwork),
) -> Result<(), Refusal> {
    let name = &network.bridge;
    let unsealed = Mark::Owned(network.name.clone(), None).to_string();
    let sealed = Some(sealed(network).to_string());
    // What a new bridge has, where there is none yet.
    let mut before = (BridgeOptions::OURS, ground.derived_mac, initial_mtu(own), false);
    match found {
        Some(link) => before = (claimed(network, link, ground)?, link.mac, link.mtu, link.up),
        None => {
            let new = NewBridge { mac: ground.derived_mac, mtu: initial_mtu(own), options: BridgeOptions::OURS };
            plan.change(name, Setting::Bridge(Change::new(None, Some(new))));
        }
    }
    let (options, mac, mtu, up) = before;
    let mut inner = Plan::default();
    inner.change(name, Setting::BridgeOptions(Change::new(options, BridgeOptions::OURS)));
    inner.change(name, Setting::Mac(Change::new(mac, ground.derived_mac)));
    let addresses = own.bridge_addresses();
    let kept = remove_addresses(&mut inner, name, addresses, ground);
    inner.change(name, Setting::Mtu(Change::new(mtu, own.mtu.get())));
    let closed = closes_loopback(wanted, (found, ground)).then_some(Sysctl::RouteLocalnet);
    for (sysctl, after) in sysctls(own, wanted).filter(|(sysctl, _)| Some(*sysctl) != closed) {
        if let Some((_, before)) = ground.sysctls.iter().find(|(known, _)| *known == sysctl) {
            // It goes on for every link, and for those to come.
            let turned_on = sysctl == Sysctl::Forwarding && routing::turns_on_ipv4(own, &ground.routing);
            let before = if turned_on { 1 } else { *before };
            inner.change(name, Setting::Sysctl(sysctl, Change::new(before, after)));
        }
    }
    if let Some(offloads) = ground.checksum_offload {
        let serves = own.dhcp.is_some() && own.reach != Reach::Isolated;
        inner.change(name, Setting::ChecksumOffload(Change::new(offloads, !serves)));
    }
    for address in addresses {
        inner.change(name, Setting::Address(*address, Change::new(kept.contains(address), true)));
    }
    let alias = found.and_then(|link| link.alias.clone());
    if inner.operations.is_empty() && alias == sealed {
        plan.set_up(name, up, true);
        return Ok(());
    }
    plan.change(name, Setting::Alias(Change::new(alias, Some(unsealed.clone()))));
    plan.operations.append(&mut inner.operations);
    plan.change(name, Setting::Alias(Change::new(Some(unsealed), sealed)));
    plan.set_up(name, up, true);
    Ok(())
}

/// Whether 127.0.0.0/8 goes in and out of a bridge of ours, and shall no longer.
pub(super) fn closes_loopback(wanted: &Wanted, (found, ground): (Option<&Link>, &Groundwork)) -> bool {
    let is_ours = found.is_some_and(|bridge| matches!(bridge.mark(), Some(Mark::Owned(..))));
    is_ours && !wanted.listens_on_loopback() && ground.sysctls.contains(&(Sysctl::RouteLocalnet, 1))
}

/// Removes what the file does not name, and tells what is left. Where one IPv4 address goes all go, and come again: the
/// kernel takes those with it that came after it in its subnet.
fn remove_addresses(plan: &mut Plan, name: &IfName, named: &[Address], ground: &Groundwork) -> Vec<Address> {
    let unnamed = |address: &Address| !named.contains(address);
    let all_ipv4 = ground.addresses.iter().any(|address| address.ip.is_ipv4() && unnamed(address));
    let goes = |address: &&Address| unnamed(address) || (all_ipv4 && address.ip.is_ipv4());
    for address in ground.addresses.iter().filter(goes) {
        plan.change(name, Setting::Address(*address, Change::new(true, false)));
    }
    ground.addresses.iter().filter(|address| !goes(address)).copied().collect()
}

/// The MTU that a bridge is made with: one that carries IPv6, and not the one that it shall have.
fn initial_mtu(own: &OwnNetwork) -> u32 {
    other_mtu(own.mtu.get())
}

/// One that carries IPv6, and is not this.
pub(super) const fn other_mtu(mtu: u32) -> u32 {
    if mtu == Mtu::IPV6_MIN { Mtu::ETHERNET.get() } else { Mtu::IPV6_MIN }
}

/// A link of the bridge's name, if it is ours to finish: it is marked, or has the MAC that only we give and no alias
/// yet, for the run that made it ended before it could set one.
fn claimed(network: &Network, link: &Link, ground: &Groundwork) -> Result<BridgeOptions, Refusal> {
    let name = &network.bridge;
    let Kind::Bridge(options) = link.kind else { return Err(Refusal::BridgeTaken(name.clone())) };
    match (link.mark(), &link.alias) {
        (Some(Mark::Owned(owner, _)), _) if owner == network.name => Ok(options),
        (None, None) if link.mac == ground.derived_mac => Ok(options),
        (mark, _) => Err(of_another(network, mark.as_ref())),
    }
}

/// Why a bridge of the network's name is not the network's.
pub(super) fn of_another(network: &Network, mark: Option<&Mark>) -> Refusal {
    let name = network.bridge.clone();
    match mark.and_then(Mark::network) {
        Some(owner) if *owner == network.name => Refusal::Elsewhere(owner.clone(), name),
        Some(owner) => Refusal::BridgeOfAnother(name, owner.clone()),
        None => Refusal::BridgeTaken(name),
    }
}

/// The kernel's own settings of the bridge. What keeps the host out of an isolated network's reach is here as well as
/// in the firewall, for that may be flushed.
fn sysctls(own: &OwnNetwork, wanted: &Wanted) -> impl Iterator<Item = (Sysctl, u32)> {
    let carries_ipv6 = own.mtu.get() >= Mtu::IPV6_MIN;
    [
        // Without this a bridge that has no IPv6 address of the host's gets a link-local one, at which guests reach
        // the host all the same.
        (Sysctl::DisableIpv6, u32::from(!own.has_ipv6())),
        // A guest must not give the host an address or a default route.
        (Sysctl::AcceptRa, 0),
        // The addresses are the host's own to give; the server is there at once, and not when the kernel has asked
        // around.
        (Sysctl::AcceptDad, 0),
        // Without this the host answers for its addresses on other links.
        (Sysctl::ArpIgnore, 1),
        // On an isolated network, where the host has no address, this drops what comes from any address at all.
        (Sysctl::RpFilter, 1),
        (Sysctl::Forwarding, u32::from(routing::forwards(own))),
        (Sysctl::RouteLocalnet, u32::from(wanted.listens_on_loopback())),
    ]
    .into_iter()
    // The kernel has none of IPv6's settings for a link that cannot carry it.
    .filter(move |(sysctl, _)| carries_ipv6 || sysctl.place().0 != "ipv6")
}
