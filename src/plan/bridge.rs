//! The bridge of a network: found, or made and finished.

use super::{Plan, Refusal};
use crate::config::{Mode, Network, OwnBridge};
use crate::model::{
    BridgeOptions, Change, Groundwork, IfName, Kind, Link, Mark, Mtu, NewBridge, Setting, Snapshot, Sysctl,
};

/// Whether planning asks for more than the links: where a bridge of ours has yet to be made or finished.
pub fn needs_groundwork(network: &Network, bridge: Option<&Link>) -> bool {
    match network.mode {
        Mode::Bridged => false,
        Mode::Isolated(_) | Mode::HostOnly(_) => bridge.is_none_or(|bridge| !is_finished(network, bridge)),
    }
}

/// Marked as ours, and up: the step that comes last.
fn is_finished(network: &Network, bridge: &Link) -> bool {
    bridge.up && bridge.mark() == Some(Mark::Owned(network.name.clone()))
}

/// Plans what the bridge lacks, and tells the MTU that its ports shall have.
pub(super) fn prepare(plan: &mut Plan, network: &Network, snapshot: &Snapshot) -> Result<u32, Refusal> {
    let name = &network.bridge;
    let own = match &network.mode {
        Mode::Bridged => return join(plan, name, snapshot.bridge.as_ref()),
        Mode::Isolated(own) | Mode::HostOnly(own) => own,
    };
    match &snapshot.bridge {
        Some(bridge) if is_finished(network, bridge) => return finished(plan, name, own, bridge),
        found => {
            let ground = snapshot.groundwork.as_ref().ok_or_else(|| Refusal::Unobserved(name.clone()))?;
            finish(plan, network, own, found.as_ref(), ground)?;
        }
    }
    Ok(own.mtu.get())
}

/// A bridge of ours that was finished: its guests may be at work, so it stays as it is.
fn finished(plan: &mut Plan, name: &IfName, own: &OwnBridge, bridge: &Link) -> Result<u32, Refusal> {
    let Kind::Bridge(_) = bridge.kind else { return Err(Refusal::BridgeTaken(name.clone())) };
    if bridge.mtu != own.mtu.get() {
        plan.notes.push(format!(
            "{name} has the MTU {}, not the {} of its file; a bridge that is set down gets it with the next guest",
            bridge.mtu, own.mtu
        ));
    }
    Ok(bridge.mtu)
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

/// Makes a bridge of ours, or finishes one that a run before us began.
fn finish(
    plan: &mut Plan,
    network: &Network,
    own: &OwnBridge,
    found: Option<&Link>,
    ground: &Groundwork,
) -> Result<(), Refusal> {
    let name = &network.bridge;
    let options = match found {
        Some(link) => claimed(network, link, ground)?,
        None => {
            let new = NewBridge { mac: ground.derived_mac, options: BridgeOptions::OURS };
            plan.change(name, Setting::Bridge(Change::new(None, Some(new))));
            BridgeOptions::OURS
        }
    };
    let alias = Mark::Owned(network.name.clone()).to_string();
    let found_alias = found.and_then(|link| link.alias.clone());
    // What a new bridge has, where there is none yet.
    let (mac, mtu, up) = found.map_or((ground.derived_mac, 1500, false), |link| (link.mac, link.mtu, link.up));
    plan.change(name, Setting::Alias(Change::new(found_alias, Some(alias))));
    plan.change(name, Setting::BridgeOptions(Change::new(options, BridgeOptions::OURS)));
    plan.change(name, Setting::Mac(Change::new(mac, ground.derived_mac)));
    plan.change(name, Setting::Mtu(Change::new(mtu, own.mtu.get())));
    for address in ground.addresses.iter().filter(|address| !own.addresses.contains(address)) {
        plan.change(name, Setting::Address(*address, Change::new(true, false)));
    }
    for (sysctl, after) in sysctls(own) {
        if let Some((_, before)) = ground.sysctls.iter().find(|(known, _)| *known == sysctl) {
            plan.change(name, Setting::Sysctl(sysctl, Change::new(*before, after)));
        }
    }
    for address in &own.addresses {
        plan.change(name, Setting::Address(*address, Change::new(ground.addresses.contains(address), true)));
    }
    plan.set_up(name, up, true);
    Ok(())
}

/// A link of the bridge's name, if it is ours to finish: it is marked, or has the MAC that only we give and no alias
/// yet, for the run that made it ended before it could set one.
fn claimed(network: &Network, link: &Link, ground: &Groundwork) -> Result<BridgeOptions, Refusal> {
    let name = &network.bridge;
    let Kind::Bridge(options) = link.kind else { return Err(Refusal::BridgeTaken(name.clone())) };
    match (link.mark(), &link.alias) {
        (Some(Mark::Owned(owner)), _) if owner == network.name => Ok(options),
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
        // On an isolated network, where the host has no address, this drops all that comes in.
        (Sysctl::RpFilter, 1),
        (Sysctl::Forwarding, 0),
    ]
    .into_iter()
    // The kernel has none of IPv6's settings for a link that cannot carry it.
    .filter(|(sysctl, _)| own.mtu.get() >= Mtu::IPV6_MIN || sysctl.place().0 != "ipv6")
}
