//! The bridge of a network: found, or made and finished.

use super::{Plan, Refusal};
use crate::config::{Mode, Network, OwnBridge};
use crate::model::{
    Address, BridgeOptions, Change, Groundwork, IfName, Kind, Link, Mark, Mtu, NewBridge, Seal, Setting, Snapshot,
    Sysctl,
};

/// Whether planning asks for more than the links: where a bridge of ours has yet to be made or finished.
pub fn needs_groundwork(network: &Network, bridge: Option<&Link>) -> bool {
    match network.mode {
        Mode::Bridged => false,
        Mode::Isolated(_) | Mode::HostOnly(_) => bridge.is_none_or(|bridge| !is_finished(network, bridge)),
    }
}

/// Up, sealed as made of what the file says now, and not made to forward since: whoever turns the host's forwarding on
/// turns it on for every link.
fn is_finished(network: &Network, bridge: &Link) -> bool {
    let sealed = seal(network).map(|seal| Mark::Owned(network.name.clone(), Some(seal)));
    bridge.up && !bridge.forwards && bridge.mark() == sealed
}

/// What tells this version of the network's file from another, where the bridge is ours.
fn seal(network: &Network) -> Option<Seal> {
    /// Another, once a bridge is given other things than now.
    const VERSION: u32 = 1;
    let (Mode::Isolated(own) | Mode::HostOnly(own)) = &network.mode else { return None };
    let addresses: Vec<_> = own.addresses.iter().map(ToString::to_string).collect();
    Some(Seal::of(&format!("{VERSION} {} {} {}", network.mode.word(), own.mtu, addresses.join(" "))))
}

/// Plans what the bridge lacks, and tells the MTU that its ports shall have.
pub(super) fn prepare(plan: &mut Plan, network: &Network, snapshot: &Snapshot) -> Result<u32, Refusal> {
    let name = &network.bridge;
    let found = snapshot.bridge.as_ref();
    if let Some(bridge) = found.filter(|bridge| bridge.name != *name) {
        return Err(Refusal::BridgeAlternativeName(name.clone(), bridge.name.clone()));
    }
    let own = match &network.mode {
        Mode::Bridged => return join(plan, name, found),
        Mode::Isolated(own) | Mode::HostOnly(own) => own,
    };
    match found {
        Some(bridge) if is_finished(network, bridge) && snapshot.groundwork.is_none() => match bridge.kind {
            Kind::Bridge(_) => {}
            _ => return Err(Refusal::BridgeTaken(name.clone())),
        },
        _ => {
            let ground = snapshot.groundwork.as_ref().ok_or_else(|| Refusal::Unobserved(name.clone()))?;
            finish(plan, network, own, found, ground)?;
        }
    }
    Ok(own.mtu.get())
}

/// A bridge of the administrator's: it has to be there, and is taken as it is.
fn join(plan: &mut Plan, name: &IfName, bridge: Option<&Link>) -> Result<u32, Refusal> {
    let bridge = bridge.ok_or_else(|| Refusal::NoSuchBridge(name.clone()))?;
    match &bridge.kind {
        Kind::Bridge(options) if options.stp && options.forward_delay > 0 => plan.notes.push(format!(
            "{name} runs the spanning tree protocol, so the guest is cut off for the first {} s",
            2 * options.forward_delay / 100
        )),
        Kind::Bridge(_) => {}
        kind => return Err(Refusal::NotABridge(name.clone(), kind.clone())),
    }
    if let Some(mark) = bridge.mark() {
        return Err(Refusal::BridgeOfAnother(name.clone(), mark.network().clone()));
    }
    if !bridge.up {
        plan.notes.push(format!("{name} is down, so nobody reaches anybody until it is set up"));
    }
    Ok(bridge.mtu)
}

/// Makes a bridge of ours, or finishes one that a run before us began, or that its file or somebody has changed since.
///
/// It is unsealed first, and sealed when all but going up is done, so that a run that ends in between leaves it for the
/// next one to finish.
fn finish(
    plan: &mut Plan,
    network: &Network,
    own: &OwnBridge,
    found: Option<&Link>,
    ground: &Groundwork,
) -> Result<(), Refusal> {
    let name = &network.bridge;
    let unsealed = Mark::Owned(network.name.clone(), None).to_string();
    let sealed = seal(network).map(|seal| Mark::Owned(network.name.clone(), Some(seal)).to_string());
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
    let kept = remove_addresses(&mut inner, name, own, ground);
    inner.change(name, Setting::Mtu(Change::new(mtu, own.mtu.get())));
    for (sysctl, after) in sysctls(own) {
        if let Some((_, before)) = ground.sysctls.iter().find(|(known, _)| *known == sysctl) {
            inner.change(name, Setting::Sysctl(sysctl, Change::new(*before, after)));
        }
    }
    for address in &own.addresses {
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

/// Removes what the file does not name, and tells what is left. Where one IPv4 address goes all go, and come again: the
/// kernel takes those with it that came after it in its subnet.
fn remove_addresses(plan: &mut Plan, name: &IfName, own: &OwnBridge, ground: &Groundwork) -> Vec<Address> {
    let unnamed = |address: &Address| !own.addresses.contains(address);
    let all_ipv4 = ground.addresses.iter().any(|address| address.ip.is_ipv4() && unnamed(address));
    let goes = |address: &&Address| unnamed(address) || (all_ipv4 && address.ip.is_ipv4());
    for address in ground.addresses.iter().filter(goes) {
        plan.change(name, Setting::Address(*address, Change::new(true, false)));
    }
    ground.addresses.iter().filter(|address| !goes(address)).copied().collect()
}

/// The MTU that a bridge is made with: one that carries IPv6, and not the one that it shall have.
fn initial_mtu(own: &OwnBridge) -> u32 {
    if own.mtu.get() == Mtu::IPV6_MIN { Mtu::ETHERNET.get() } else { Mtu::IPV6_MIN }
}

/// A link of the bridge's name, if it is ours to finish: it is marked, or has the MAC that only we give and no alias
/// yet, for the run that made it ended before it could set one.
fn claimed(network: &Network, link: &Link, ground: &Groundwork) -> Result<BridgeOptions, Refusal> {
    let name = &network.bridge;
    let Kind::Bridge(options) = link.kind else { return Err(Refusal::BridgeTaken(name.clone())) };
    match (link.mark(), &link.alias) {
        (Some(Mark::Owned(owner, _)), _) if owner == network.name => Ok(options),
        (Some(mark), _) => Err(Refusal::BridgeOfAnother(name.clone(), mark.network().clone())),
        (None, None) if link.mac == ground.derived_mac => Ok(options),
        _ => Err(Refusal::BridgeTaken(name.clone())),
    }
}

/// What keeps the host out of a network's reach, as far as it goes without a firewall.
fn sysctls(own: &OwnBridge) -> impl Iterator<Item = (Sysctl, u32)> {
    [
        // Without this a bridge that has no IPv6 address of the host's gets a link-local one, at which guests reach
        // the host all the same.
        (Sysctl::DisableIpv6, u32::from(!own.has_ipv6())),
        // A guest must not give the host an address or a default route.
        (Sysctl::AcceptRa, 0),
        // Without this the host answers for its addresses on other links.
        (Sysctl::ArpIgnore, 1),
        // On an isolated network, where the host has no address, this drops what comes from any address at all.
        (Sysctl::RpFilter, 1),
        (Sysctl::Forwarding, 0),
    ]
    .into_iter()
    // The kernel has none of IPv6's settings for a link that cannot carry it.
    .filter(|(sysctl, _)| own.mtu.get() >= Mtu::IPV6_MIN || sysctl.place().0 != "ipv6")
}
