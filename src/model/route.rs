//! A route of the host's, as the kernel tells it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::ip_config::ip_of;
use super::{Attribute, Subnet};

/// A route of which a link is the way, or one of several.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The first address that it leads to.
    pub to: IpAddr,
    /// The number of leading bits that the addresses share that it leads to.
    pub prefix: u8,
    /// The number of leading bits of the addresses that it is for (`ip -6 route … from`).
    pub from_prefix: u8,
    /// The service that it is for (`tos`).
    pub tos: u8,
    /// Its table.
    pub table: u32,
    /// Who set it (`RTPROT_*` in linux/rtnetlink.h).
    pub protocol: u8,
    /// How far it leads (`RT_SCOPE_*`).
    pub scope: u8,
    /// What it is (`RTN_*`).
    pub kind: u8,
    /// Those of its flags that are not the kernel's own to say (`RTNH_F_ONLINK`).
    pub flags: u32,
    /// Of several to the same place, the one with the least is taken.
    pub metric: u32,
    /// The seconds until it goes; `None` for ever.
    pub expires: Option<u32>,
    /// Of IPv4: whether it is the first of several with the same key, by whatever links, and so the one that is taken.
    pub ahead: bool,
    /// The ways that it has; of one with a single way, none.
    pub hops: Vec<Hop>,
    /// Everything else: gateway, preferred source, metrics.
    pub attributes: Vec<Attribute>,
}

/// One of the ways that a route has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// The index of its link; `None` for the link whose route this is.
    pub link: Option<u32>,
    /// Its flags (`RTNH_F_*`) that are not the kernel's own to say.
    pub flags: u8,
    /// Its weight, less one.
    pub weight: u8,
    /// Its gateway and whatever else.
    pub attributes: Vec<Attribute>,
}

/// Where a route leads: its address and number of bits, the number of bits of whom it is for, the service, the table,
/// and the metric.
pub type RouteKey = (IpAddr, u8, u8, u8, u32, u32);

// linux/rtnetlink.h
pub(super) const RTPROT_KERNEL: u8 = 2;
const RTPROT_RA: u8 = 9;
pub(super) const RT_TABLE_MAIN: u32 = 254;
pub(super) const RT_SCOPE_LINK: u8 = 253;
pub(super) const RT_SCOPE_HOST: u8 = 254;
pub(super) const RT_TABLE_LOCAL: u32 = 255;
pub(super) const RTN_UNICAST: u8 = 1;
pub(super) const RTN_LOCAL: u8 = 2;
const RTA_GATEWAY: u16 = 5;
pub(super) const RTA_PREFSRC: u16 = 7;
const RTA_VIA: u16 = 18;

/// But for its lifetime, which runs, and its place among others, which change.
impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
            && (self.protocol, self.scope, self.kind, self.flags)
                == (other.protocol, other.scope, other.kind, other.flags)
            && self.expires.is_some() == other.expires.is_some()
            && self.hops == other.hops
            && self.attributes == other.attributes
    }
}

impl Eq for Route {}

impl Route {
    /// Where it leads.
    pub fn subnet(&self) -> Subnet {
        Subnet::new(self.to, self.prefix)
    }

    /// Whether a router advertised it.
    pub const fn is_advertised(&self) -> bool {
        self.protocol == RTPROT_RA
    }

    /// Whether a gateway is on its way. Those without must be there first: the kernel takes no gateway that it cannot
    /// reach by the same link.
    pub fn has_gateway(&self) -> bool {
        let all = self.attributes.iter().chain(self.hops.iter().flat_map(|hop| &hop.attributes));
        all.into_iter().any(|attribute| matches!(attribute.kind, RTA_GATEWAY | RTA_VIA))
    }

    /// Whether it is the kernel's own for IPv6's link-local addresses.
    pub fn is_link_local(&self) -> bool {
        const LINK_LOCAL: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0));
        (self.to, self.prefix, self.protocol) == (LINK_LOCAL, 64, RTPROT_KERNEL) && !self.has_gateway()
    }

    /// What tells it from routes that are not in its way: the kernel orders those that have it in common.
    pub const fn key(&self) -> RouteKey {
        (self.to, self.prefix, self.from_prefix, self.tos, self.table, self.metric)
    }

    /// Its gateway, where it has a single one.
    fn gateway(&self) -> Option<IpAddr> {
        let found = self.attributes.iter().find(|attribute| attribute.kind == RTA_GATEWAY)?;
        ip_of(self.to, &found.value)
    }
}

/// `default via 192.0.2.1`, as `ip route` writes it.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            0 => f.write_str(if self.to.is_ipv4() { "default" } else { "default of IPv6" })?,
            prefix => write!(f, "{}/{prefix}", self.to)?,
        }
        if let Some(gateway) = self.gateway() {
            write!(f, " via {gateway}")?;
        }
        if self.metric != 0 && self.to.is_ipv4() {
            write!(f, " metric {}", self.metric)?;
        }
        if self.table == RT_TABLE_MAIN { Ok(()) } else { write!(f, " of table {}", self.table) }
    }
}
