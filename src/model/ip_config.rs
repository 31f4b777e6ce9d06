//! What makes a link speak IP, so that another can take it over.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::route::{
    RT_SCOPE_HOST, RT_SCOPE_LINK, RT_TABLE_LOCAL, RT_TABLE_MAIN, RTA_PREFSRC, RTN_LOCAL, RTN_UNICAST, RTPROT_KERNEL,
};
use super::{Mac, Route, Subnet};

/// What makes a link speak IP: its addresses, the routes that leave by it, and who its neighbours are.
///
/// The link itself is not named: the same can be another's. All is kept as the kernel tells it, also what is not known
/// here, so that nothing is lost on the way to another link and back. IPv6's link-local addresses are not among it, for
/// each link has its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpConfig {
    /// Its addresses, in the kernel's order.
    pub addresses: Vec<HostAddress>,
    /// The routes by it in all tables, in the kernel's order, without those that the kernel sets for an address.
    pub routes: Vec<Route>,
    /// The neighbours whose MACs are known, in the order of their addresses.
    pub neighbours: Vec<Neighbour>,
}

/// An attribute of a netlink message, as the kernel told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Its number.
    pub kind: u16,
    /// Its bytes.
    pub value: Vec<u8>,
}

/// One of the host's addresses on a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostAddress {
    /// The address.
    pub ip: IpAddr,
    /// The number of leading bits that its subnet shares.
    pub prefix: u8,
    /// Where it counts (`RT_SCOPE_*` in linux/rtnetlink.h).
    pub scope: u8,
    /// Those of its flags that are not the kernel's own to say (`IFA_F_*` in linux/if_addr.h).
    pub flags: u32,
    /// How it is kept.
    pub origin: Origin,
    /// For how long it may be used; `None` for ever.
    pub lifetime: Option<Lifetime>,
    /// Everything else: its label, broadcast address, peer, metric, protocol.
    pub attributes: Vec<Attribute>,
}

/// Where an address comes from, as far as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Somebody set it.
    Set,
    /// The kernel made it of a router's advertisement.
    Advertised,
}

/// For how long an address may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lifetime {
    /// The seconds until it goes; `u32::MAX` for ever.
    pub valid: u32,
    /// The seconds until no new connection uses it; `u32::MAX` for ever.
    pub preferred: u32,
}

/// A neighbour on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Its address.
    pub ip: IpAddr,
    /// Its MAC.
    pub mac: Mac,
    /// Whether somebody set it, so that the kernel never forgets it.
    pub permanent: bool,
}

// linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_RT_PRIORITY: u16 = 9;
/// The address is usable at once, without the second in which the kernel asks whether another has it.
const IFA_F_NODAD: u32 = 0x02;
/// The kernel sets no route to the address's subnet.
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
/// The metric of the routes that the kernel sets for addresses of IPv6 (`IP6_RT_PRIO_ADDRCONF`).
const METRIC_OF_6: u32 = 256;

impl HostAddress {
    /// The same address, which the kernel shall not ask around for: another link of this host has it still.
    #[must_use]
    pub fn at_once(&self) -> Self {
        let flags = if self.ip.is_ipv6() { self.flags | IFA_F_NODAD } else { self.flags };
        Self { flags, ..self.clone() }
    }

    /// Whether the kernel takes it into use without asking around whether another has it.
    pub const fn is_at_once(&self) -> bool {
        self.flags & IFA_F_NODAD != 0
    }

    /// One of IPv4 by which a link is known to have a guest: no other address of the host's shares a subnet with it, and
    /// the host takes it for no packet of its own.
    pub const fn of_guest(ip: Ipv4Addr) -> Self {
        Self {
            ip: IpAddr::V4(ip),
            prefix: 32,
            scope: RT_SCOPE_HOST,
            flags: 0,
            origin: Origin::Set,
            lifetime: None,
            attributes: Vec::new(),
        }
    }

    /// Of one of IPv4, the route that the kernel sets by which the host takes it for its own.
    pub const fn local_route(&self) -> Route {
        Route {
            to: self.ip,
            prefix: 32,
            from_prefix: 0,
            tos: 0,
            table: RT_TABLE_LOCAL,
            protocol: RTPROT_KERNEL,
            scope: RT_SCOPE_HOST,
            kind: RTN_LOCAL,
            flags: 0,
            metric: 0,
            expires: None,
            ahead: false,
            hops: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Whether a router advertised it.
    pub const fn is_advertised(&self) -> bool {
        matches!(self.origin, Origin::Advertised)
    }

    /// Whether it is this address of this subnet, whatever else is said of it.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.ip, self.prefix, self.peer()) == (other.ip, other.prefix, other.peer())
    }

    /// Whether the kernel sets this route of the same link when it is given this address
    /// (`fib_add_ifaddr` in net/ipv4/fib_frontend.c, `inet6_addr_add` in net/ipv6/addrconf.c).
    pub fn brings(&self, route: &Route) -> bool {
        if (route.protocol, route.kind, route.table) != (RTPROT_KERNEL, RTN_UNICAST, RT_TABLE_MAIN)
            || route.has_gateway()
        {
            return false;
        }
        let own_metric = self.metric();
        let peer = self.peer().and_then(|attribute| ip_of(self.ip, &attribute.value));
        let sets_subnet = self.flags & IFA_F_NOPREFIXROUTE == 0;
        if self.ip.is_ipv4() {
            let source = route.attributes.iter().find(|attribute| attribute.kind == RTA_PREFSRC);
            sets_subnet
                && route.subnet() == Subnet::new(peer.unwrap_or(self.ip), self.prefix)
                && source.and_then(|found| ip_of(self.ip, &found.value)) == Some(self.ip)
                && route.scope == RT_SCOPE_LINK
                && route.metric == own_metric.unwrap_or(0)
        } else {
            let is_peer = peer.is_some_and(|peer| route.subnet() == Subnet::new(peer, 128));
            let is_own = sets_subnet && route.subnet() == Subnet::new(self.ip, self.prefix);
            (is_peer || is_own) && route.metric == own_metric.unwrap_or(METRIC_OF_6)
        }
    }

    /// Of IPv6, the route to its subnet that the kernel sets for it.
    pub fn subnet_route(&self) -> Option<Route> {
        let sets_subnet = self.ip.is_ipv6() && self.flags & IFA_F_NOPREFIXROUTE == 0;
        sets_subnet.then(|| Route {
            to: Subnet::new(self.ip, self.prefix).first(),
            prefix: self.prefix,
            from_prefix: 0,
            tos: 0,
            table: RT_TABLE_MAIN,
            protocol: RTPROT_KERNEL,
            scope: 0,
            kind: RTN_UNICAST,
            flags: 0,
            metric: self.metric().unwrap_or(METRIC_OF_6),
            expires: None,
            ahead: false,
            hops: Vec::new(),
            attributes: Vec::new(),
        })
    }

    /// The metric of the routes that the kernel sets for it, where somebody said one.
    fn metric(&self) -> Option<u32> {
        let found = self.attributes.iter().find(|attribute| attribute.kind == IFA_RT_PRIORITY)?;
        found.value.first_chunk().copied().map(u32::from_ne_bytes)
    }

    /// Whether it is one end of a point-to-point link, of which the other is known.
    pub fn has_peer(&self) -> bool {
        self.peer().is_some()
    }

    /// On a point-to-point link the other end.
    fn peer(&self) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.kind == IFA_ADDRESS)
    }
}

/// But for its lifetime, which runs.
impl PartialEq for HostAddress {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
            && (self.scope, self.flags, self.origin) == (other.scope, other.flags, other.origin)
            && self.attributes == other.attributes
            && self.lifetime.is_some() == other.lifetime.is_some()
    }
}

impl Eq for HostAddress {}

/// An address of the same family.
pub(super) fn ip_of(family: IpAddr, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        IpAddr::V4(_) => bytes.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        IpAddr::V6(_) => bytes.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
    }
}

/// `192.0.2.5/24`
impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}
