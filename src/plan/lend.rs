//! A user's tap joins a network, or a bridge of the administrator's, as it is: nothing of either is changed.

use std::net::IpAddr;

use super::bridge::{is_unfinished, join, join_uplink};
use super::{Plan, Refusal};
use crate::config::{Guest, Mode, Network};
use crate::model::{Element, Elements, IfName, Link, Loan, Mac};

/// Where a tap joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgePort {
    /// The bridge's number.
    pub bridge: u32,
    /// The MTU of its ports, in bytes.
    pub mtu: u32,
    /// What is worth saying though nothing need be done about it.
    pub notes: Vec<String>,
}

/// Where a user's tap joins a network.
///
/// # Errors
/// Why it cannot: the network is not up, or the bridge is another's, or guests of this one have no bridge.
pub fn lend(network: &Network, bridge: Option<&Link>) -> Result<BridgePort, Refusal> {
    let mut plan = Plan::default();
    let mtu = match &network.mode {
        Mode::Own(own) => match bridge {
            Some(bridge) if bridge.up && !is_unfinished(network, Some(bridge)) => own.mtu.get(),
            _ => return Err(Refusal::Down(network.name.clone())),
        },
        Mode::Bridged => match bridge.filter(|bridge| bridge.is_bridge() && !bridge.up) {
            Some(bridge) => return Err(Refusal::BridgeDown(bridge.name.clone())),
            None => join(&mut plan, &network.bridge, bridge)?,
        },
        Mode::Uplink(_) => join_uplink(&mut plan, network, bridge).map_err(|refusal| match refusal {
            Refusal::NotUp(network) => Refusal::Down(network),
            refusal => refusal,
        })?,
        Mode::Direct(_) => return Err(Refusal::NotByHelper(network.name.clone())),
    };
    bridge_port(&network.bridge, bridge, mtu, plan)
}

/// Where a user's tap joins a bridge that is no network's.
///
/// # Errors
/// Why it cannot: it is no bridge, or a network's, which alone says who joins that.
pub fn lend_bridge(bridge: &Link) -> Result<BridgePort, Refusal> {
    let mut plan = Plan::default();
    let mtu = join(&mut plan, &bridge.name, Some(bridge)).map_err(|refusal| match refusal {
        Refusal::BridgeOfAnother(bridge, network) => Refusal::BridgeOfNetwork(bridge, network),
        refusal => refusal,
    })?;
    bridge_port(&bridge.name, Some(bridge), mtu, plan)
}

fn bridge_port(name: &IfName, bridge: Option<&Link>, mtu: u32, plan: Plan) -> Result<BridgePort, Refusal> {
    match bridge {
        Some(bridge) if bridge.name == *name => Ok(BridgePort { bridge: bridge.index, mtu, notes: plan.notes }),
        Some(bridge) => Err(Refusal::BridgeAlternativeName(name.clone(), bridge.name.clone())),
        None => Err(Refusal::NoSuchBridge(name.clone())),
    }
}

/// The MAC of the host's end of a lent tap; `None` where it may have any.
pub fn tap_mac(loan: &Loan, guest: Option<&Guest>) -> Option<Mac> {
    let of_file = guest.filter(|_| loan.of_guest_file).and_then(Guest::wanted_tap_mac);
    of_file.or_else(|| loan.mac.map(Mac::tap_end))
}

/// What guards a port: its guest's MAC and addresses. Where no address of a family is known, the guest may use any that
/// nobody else is known to have.
pub fn guard_elements(link: u32, bridge: &IfName, mac: Mac, addresses: &[IpAddr]) -> Elements {
    let mut elements = Elements::from([Element::Guarded(link, bridge.clone()), Element::GuardMac(link, mac)]);
    elements.extend(addresses.iter().map(|ip| Element::Known { link, ipv4: ip.is_ipv4() }));
    elements.extend(addresses.iter().map(|ip| Element::GuardAddress(link, *ip)));
    elements
}
