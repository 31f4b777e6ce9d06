//! What the kernel had at one moment, as far as a plan asks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::{
    Address, Barrier, Docker, Element, Firewall, IfName, Link, Listener, Mac, NetworkName, Server, Subnet, Sysctl,
    TapState,
};

/// The part of the host that one tap and its network are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The tap, if there is such a link.
    pub tap: Option<Link>,
    /// What else there is to know of the tap; looked at only where we made it to stay.
    pub made: Option<TapState>,
    /// Whether a queue of the tap was left open in this process, as QEMU does; looked at only for a tap that is open.
    pub holds_queue: bool,
    /// The host's addresses on the tap, without link-local ones; looked at only for a link that outlives its guest.
    pub tap_addresses: Vec<Address>,
    /// Whether the tap, as a port, sends back what came in by it; looked at only where that may be needed.
    pub hairpin: bool,
    /// The network's bridge, if there is such a link.
    pub bridge: Option<Link>,
    /// The links that carry the network's mark, but for its bridge; looked at only where no tap joins.
    pub ports: Vec<Port>,
    /// Which bridged frames the kernel also shows to the firewall's chains for routed packets; looked at only where it
    /// matters.
    pub frames_filtered: FramesFiltered,
    /// Other programs' chains that stop what they do not know; looked at only where it matters.
    pub barriers: Vec<Barrier>,
    /// What else a network of ours rests on; read only where the network has yet to be made or finished, or may have
    /// been changed by others since.
    pub groundwork: Option<Groundwork>,
    /// What the firewall holds of a network on a LAN; looked at only where all of the network is.
    pub guarding: Option<Guarding>,
}

/// What the firewall holds of a network that is not routed: what guards the taps of it that were lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarding {
    /// What our tables of the firewall hold.
    pub firewall: Firewall,
    /// What the other networks that are up have to have in the tables; looked at only where these have to be written
    /// anew.
    pub others: Vec<(NetworkName, Element)>,
}

/// A link that is marked as a network's port, or as made by it to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The link, a port of the bridge or not.
    pub link: Link,
    /// Whether it sends back what came in by it; looked at only where it is the port of a bridge of ours.
    pub hairpin: bool,
    /// An address of the host's on it; looked at only where it is in no bridge.
    pub address: Option<Address>,
}

/// What the module br_netfilter does (`net.bridge.bridge-nf-call-iptables` and `…-ip6tables`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramesFiltered {
    /// To frames of IPv4.
    pub ipv4: bool,
    /// To frames of IPv6.
    pub ipv6: bool,
}

/// What a network of ours needs besides its bridge's link. Where the bridge is absent, what it would start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groundwork {
    /// The MAC that the bridge has if we made it.
    pub derived_mac: Mac,
    /// The host's addresses on the bridge, without link-local ones.
    pub addresses: Vec<Address>,
    /// The settings under /proc/sys/net that the kernel has for it.
    pub sysctls: Vec<(Sysctl, u32)>,
    /// Whether the bridge leaves checksums to who receives; `None` where the kernel does not say.
    pub checksum_offload: Option<bool>,
    /// What our tables of the firewall hold.
    pub firewall: Firewall,
    /// What the other networks that are up have to have in the tables; looked at only where these have to be written
    /// anew.
    pub others: Vec<(NetworkName, Element)>,
    /// How the host forwards.
    pub routing: Routing,
    /// What the host's own addresses and routes occupy, without those on the network's bridge.
    pub taken: Vec<Taken>,
    /// Another bridge that is marked as this network's.
    pub elsewhere: Option<IfName>,
    /// For whom the host answers on other links, as far as we made it so for this network.
    pub proxies: Vec<(IfName, IpAddr)>,
    /// The links for which proxy_ndp was turned on because of this network.
    pub turned_on: Vec<IfName>,
    /// Where the network's files are.
    pub directory: PathBuf,
    /// What there is of Docker's chains.
    pub docker: Docker,
    /// Who listens on the host; looked at only for a network that has forwards.
    pub listeners: Vec<Listener>,
    /// What is there of the network's server.
    pub service: Service,
}

/// How the host forwards packets between its links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Whether it does for IPv4 (`net.ipv4.ip_forward`).
    pub ipv4: bool,
    /// Whether it does for IPv6 (`net.ipv6.conf.all.forwarding`).
    pub ipv6: bool,
    /// `net.ipv4.conf.all.accept_redirects`, which the kernel resets when forwarding goes on.
    pub accept_redirects: u32,
    /// The links over which the host learned its default route by router advertisement, with their accept_ra: a host
    /// that forwards listens to routers only where that is 2.
    pub advertised: Vec<(IfName, u32)>,
    /// Bridges of ours that must not forward, and do not now.
    pub closed: Vec<IfName>,
    /// The host's own network cards that are up.
    pub cards: Vec<IfName>,
}

/// A subnet that is the host's already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The subnet.
    pub subnet: Subnet,
    /// The link that it is reached by.
    pub link: IfName,
    /// The host's own address in it; `None` for a route.
    pub address: Option<IpAddr>,
    /// Whether proxy_ndp is on for the link.
    pub proxy_ndp: bool,
}

/// A route over another link than a network's own, to addresses that it shares with the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignRoute {
    /// Where it leads.
    pub to: Subnet,
    /// The link that it leads over.
    pub link: IfName,
    /// The number of its table.
    pub table: u32,
    /// Whether the kernel set it for an address of that link.
    pub connected: bool,
}

/// A network's DHCP and DNS server, as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The program, if it is installed.
    pub program: Option<PathBuf>,
    /// What runs now.
    pub running: Option<Server>,
    /// Whether it has a file of leases.
    pub has_leases: bool,
    /// The network's files below the run directory, but those that come and go by themselves.
    pub files: BTreeMap<PathBuf, String>,
}
