//! What a network of ours asks of the host besides its bridge.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::{Guest, Network, OwnNetwork, Reach};
use crate::model::{Element, Elements, Enclave, IfName, Mac, PortForward, Seal, Server, Subnet};

/// What a network of ours asks of the host besides its bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What the firewall shall hold of it.
    pub elements: Elements,
    /// The guests' addresses that the host shall answer for outside.
    pub proxied: Vec<IpAddr>,
    /// The server, if it has one.
    pub server: Option<Server>,
    /// The server's files, and whatever else is kept of the network below the run directory.
    pub files: BTreeMap<PathBuf, String>,
    /// The MACs that the taps of guests shall have whose files say so; looked up only where guests are attached that
    /// stay.
    pub tap_macs: BTreeMap<IfName, Mac>,
    /// The numbers of the taps that were lent by the time of the first look: the helper takes no lock, and what it lends
    /// meanwhile is its own to finish.
    pub lent: Option<BTreeSet<u32>>,
}

impl Wanted {
    /// What the firewall shall know of a network whose forwards lead to these addresses and whose peers have these
    /// bridges.
    pub fn elements(network: &Network, own: &OwnNetwork, forwards: &[PortForward], peers: &[IfName]) -> Elements {
        let bridge = || network.bridge.clone();
        let mut elements = Elements::from([Element::Bridge(bridge()), Element::Same(bridge())]);
        if own.reach != Reach::Isolated {
            elements.insert(Element::Host(bridge()));
            elements.extend(own.subnets().map(|subnet| Element::Subnet(bridge(), subnet)));
        }
        match &own.reach {
            Reach::Isolated | Reach::HostOnly => {
                elements.insert(Element::Isolated(bridge()));
            }
            Reach::Routed { .. } => {}
            Reach::Nat { source } => {
                elements.insert(Element::Nat(bridge()));
                elements.extend(own.subnets().map(|subnet| translated(subnet, source)));
            }
        }
        elements.extend(peers.iter().map(|peer| Element::Peer(bridge(), peer.clone())));
        elements.extend(forwards.iter().copied().map(Element::Forward));
        elements
    }

    /// Adds what guards the network's lent taps that are there, in place of what guarded those that were.
    pub fn guard(&mut self, guards: Elements) {
        self.elements.retain(|element| element.guarded().is_none());
        self.elements.extend(guards);
    }

    /// Whether a forward listens on 127.0.0.0/8, which the kernel routes nowhere unless it is told to.
    pub(super) fn listens_on_loopback(&self) -> bool {
        let loopback = |forward: &PortForward| forward.address.is_some_and(|address| address.is_loopback());
        self.forwards().any(loopback)
    }

    /// The forwards, one for each port.
    pub fn forwards(&self) -> impl Iterator<Item = &PortForward> {
        self.elements.iter().filter_map(|element| match element {
            Element::Forward(forward) => Some(forward),
            _ => None,
        })
    }
}

/// The addresses behind the network's bridge of which it is known whose they are: its own, with the link-local one that
/// routers' advertisements come from, and those of guests whose files say so.
pub fn claims(network: &Network, own: &OwnNetwork, guests: &[Guest], machine_id: &[u8]) -> Elements {
    let claimed = |ip| Element::Claimed(network.bridge.clone(), ip);
    let ours = own.addresses.iter().map(|address| address.ip);
    let guests = guests.iter().flat_map(|guest| guest.addresses.iter().copied());
    let router = match enclave(network, own, machine_id) {
        Some(enclave) => enclave.mac,
        None => Mac::derived(machine_id, network.bridge.as_str()),
    };
    let has_ipv6 = own.addresses.iter().any(|address| address.ip.is_ipv6());
    let router = has_ipv6.then(|| IpAddr::from(router.link_local()));
    ours.chain(guests).chain(router).map(claimed).collect()
}

/// As whom a subnet's guests go outside.
fn translated(subnet: Subnet, source: &[IpAddr]) -> Element {
    match source.iter().find(|source| source.is_ipv4() == subnet.first().is_ipv4()) {
        Some(source) => Element::Source(subnet, *source),
        None => Element::Masquerade(subnet),
    }
}

/// The addresses that the host answers for outside, so that nobody there needs a route: all that IPv4 guests may have,
/// and those IPv6 addresses that are known.
pub fn proxied(own: &OwnNetwork, guests: &[Guest]) -> Vec<IpAddr> {
    if !matches!(own.reach, Reach::Routed { proxy_arp: true }) {
        return Vec::new();
    }
    let known = guests.iter().flat_map(|guest| guest.addresses.iter().copied()).filter(IpAddr::is_ipv6);
    let ipv4 = own.subnets().filter_map(|subnet| match (subnet.first(), subnet.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => Some(first.to_bits() + 1..last.to_bits()),
        _ => None,
    });
    let is_hosts = |ip: &IpAddr| own.addresses.iter().any(|address| address.ip == *ip);
    ipv4.flatten().map(|bits| IpAddr::V4(bits.into())).chain(known).filter(|ip| !is_hosts(ip)).collect()
}

/// The namespace that an isolated network's server runs in, so that the host stays out of its guests' reach.
pub fn enclave(network: &Network, own: &OwnNetwork, machine_id: &[u8]) -> Option<Enclave> {
    if own.reach != Reach::Isolated {
        return None;
    }
    Some(Enclave {
        port: enclave_port(network)?,
        bridge: network.bridge.clone(),
        mac: Mac::derived(machine_id, &format!("server of {}", network.name)),
        mtu: own.mtu.get(),
        addresses: own.addresses.clone(),
    })
}

/// `vd-NETWORK`, or a digest in place of a name that is too long for a link's.
fn enclave_port(network: &Network) -> Option<IfName> {
    let name = network.name.as_str();
    let digest = || format!("vd-{}", Seal::of(&[name]));
    format!("vd-{name}").parse().or_else(|_| digest().parse()).ok()
}
