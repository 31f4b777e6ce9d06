//! What our tables of the firewall hold.
//!
//! The chains never change. What there is to say of a network are elements of their sets and maps, and each carries
//! the network's name as its comment, so that the kernel itself tells whose it is.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::{IfName, Mac, NetworkName, PortForward, Subnet};

/// One element of one set or map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// Set `br`: this link is a bridge of ours.
    Bridge(IfName),
    /// Set `same`, the link twice: its guests reach each other.
    Same(IfName),
    /// Set `host`: its guests reach the host's address on it.
    Host(IfName),
    /// Set `iso`: its guests reach no outside, and nobody there reaches them.
    Isolated(IfName),
    /// Set `nat`: nobody outside reaches its guests but by a forward.
    Nat(IfName),
    /// Set `peer`: guests of the first reach guests of the second.
    Peer(IfName, IfName),
    /// Sets `net4` and `net6`: the addresses that are behind this bridge.
    Subnet(IfName, Subnet),
    /// Sets `masq4` and `masq6`: who goes outside as the host.
    Masquerade(Subnet),
    /// Maps `snat4` and `snat6`: who goes outside as this address.
    Source(Subnet, IpAddr),
    /// Maps `fwd4`, `fwd6`, `fwda4` and `fwda6`: what is passed on to a guest.
    Forward(PortForward),
    /// Sets `own4` and `own6` of the bridges' table: whose address this is behind this bridge is known, and no other guarded
    /// port there may speak from it or answer for it.
    Claimed(IfName, IpAddr),
    /// Map `guard`: what comes in by the link of this number is looked at, as a port of this bridge. By its number, for a
    /// name is free again when a tap goes, and the next one to have it must not be held to what is left of the last.
    Guarded(u32, IfName),
    /// Set `mac`: what comes in by this link may have this source.
    GuardMac(u32, Mac),
    /// Sets `known4` and `known6`: all addresses of the guest behind this link are known, of IPv4 or else of IPv6.
    Known {
        /// The link's number.
        link: u32,
        /// Whether it is those of IPv4.
        ipv4: bool,
    },
    /// Sets `addr4` and `addr6`: what comes in by this link may have this source.
    GuardAddress(u32, IpAddr),
}

impl Element {
    /// The number of the link that it guards.
    pub const fn guarded(&self) -> Option<u32> {
        match self {
            Self::Guarded(link, _)
            | Self::GuardMac(link, _)
            | Self::Known { link, .. }
            | Self::GuardAddress(link, _) => Some(*link),
            _ => None,
        }
    }

    /// The addresses that are behind a bridge.
    pub const fn subnet(&self) -> Option<Subnet> {
        match self {
            Self::Subnet(_, subnet) => Some(*subnet),
            _ => None,
        }
    }
}

/// The elements of one network.
pub type Elements = BTreeSet<Element>;

/// Whether our tables are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tables {
    /// They are not: no network is up, or somebody flushed the ruleset.
    #[default]
    Absent,
    /// They are there as this version writes them.
    Whole,
    /// They are there, but somebody changed or emptied them, or another version or mark wrote them.
    Damaged,
}

/// What the kernel has of our tables, at one generation of its ruleset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// The number that the kernel raises with each change of its ruleset, by whomever.
    pub generation: u32,
    /// Whether our tables are there.
    pub tables: Tables,
    /// All elements that are in them, with the network that each is of.
    pub elements: Vec<(NetworkName, Element)>,
}

impl Firewall {
    /// The elements of one network.
    pub fn of(&self, network: &NetworkName) -> Elements {
        self.elements.iter().filter(|(owner, _)| owner == network).map(|(_, element)| element.clone()).collect()
    }
}

/// A chain of another program's that drops or rejects forwarded packets that none of its rules let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// The table's family: `ip`, `ip6`, `inet` or `bridge`.
    pub family: &'static str,
    /// The table's name.
    pub table: String,
    /// The chain's name.
    pub chain: String,
    /// Whether packets come there after our own chain, and so with our mark.
    pub sees_mark: bool,
}

impl Barrier {
    /// Whether it sees IPv4, or else IPv6.
    pub fn sees(&self, ipv4: bool) -> bool {
        match self.family {
            "ip" => ipv4,
            "ip6" => !ipv4,
            _ => true,
        }
    }
}

impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.family, self.table, self.chain)
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge(link) => write!(f, "{link} is a network's bridge"),
            Self::Same(link) => write!(f, "guests of {link} reach each other"),
            Self::Host(link) => write!(f, "guests of {link} reach the host"),
            Self::Isolated(link) => write!(f, "guests of {link} reach no outside"),
            Self::Nat(link) => write!(f, "outside reaches guests of {link} by forwards only"),
            Self::Peer(from, to) => write!(f, "guests of {from} reach guests of {to}"),
            Self::Subnet(link, subnet) => write!(f, "{subnet} is behind {link}"),
            Self::Masquerade(subnet) => write!(f, "{subnet} goes out as the host"),
            Self::Source(subnet, source) => write!(f, "{subnet} goes out as {source}"),
            Self::Forward(forward) => write!(f, "forward {forward}"),
            Self::Claimed(bridge, ip) => write!(f, "{ip} has its place behind {bridge}"),
            Self::Guarded(link, bridge) => write!(f, "link number {link} is guarded as a port of {bridge}"),
            Self::GuardMac(link, mac) => write!(f, "link number {link} may send from {mac}"),
            Self::Known { link, ipv4 } => {
                write!(f, "of link number {link} all IPv{} addresses are known", if *ipv4 { 4 } else { 6 })
            }
            Self::GuardAddress(link, ip) => write!(f, "link number {link} may send from {ip}"),
        }
    }
}
