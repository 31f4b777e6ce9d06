//! One change of the host, with the value before and after.

use std::fmt;

use super::{AddrGen, Address, BridgeOptions, IfName, Mac};

/// One change of one setting of one link. What undoes it is the same with before and after swapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The link that is changed.
    pub link: IfName,
    /// What is changed, from what to what.
    pub setting: Setting,
}

/// A value before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<T> {
    /// What the kernel has now.
    pub before: T,
    /// What it shall have.
    pub after: T,
}

impl<T: PartialEq> Change<T> {
    /// From one value to another.
    pub const fn new(before: T, after: T) -> Self {
        Self { before, after }
    }

    /// Whether nothing is to be done.
    pub fn is_nothing(&self) -> bool {
        self.before == self.after
    }

    /// The way back.
    pub fn reversed(self) -> Self {
        Self { before: self.after, after: self.before }
    }
}

/// What can be changed about a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Whether a bridge of this name exists.
    Bridge(Change<Option<NewBridge>>),
    /// The alias, which carries the mark of ownership.
    Alias(Change<Option<String>>),
    /// The MTU in bytes.
    Mtu(Change<u32>),
    /// The link's own MAC.
    Mac(Change<Mac>),
    /// How the link makes its IPv6 link-local address.
    AddrGen(Change<AddrGen>),
    /// A bridge's settings.
    BridgeOptions(Change<BridgeOptions>),
    /// A setting under /proc/sys/net that netlink cannot change.
    Sysctl(Sysctl, Change<u32>),
    /// Whether the host has this address on the link.
    Address(Address, Change<bool>),
    /// The bridge that the link is a port of.
    Master(Change<Option<IfName>>),
    /// Whether other users may open a queue of the tap. The kernel has no way to open it again, and need not: the
    /// tap goes with the program that holds it.
    Open(Change<bool>),
    /// Whether the link is up.
    Up(Change<bool>),
}

/// What a bridge is given in the message that creates it; all else follows in operations of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewBridge {
    /// Pinned: a bridge without an address of its own takes its lowest port's, and so changes as guests come and go.
    pub mac: Mac,
    /// Other than the one that it shall have: the kernel lets a bridge follow its ports' MTU until another is set, and
    /// setting the same is nothing to it.
    pub mtu: u32,
    /// Given at once, or the first port would wait for the spanning tree.
    pub options: BridgeOptions,
}

/// A setting of one link under /proc/sys/net (Documentation/networking/ip-sysctl.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sysctl {
    /// `net.ipv6.conf.LINK.disable_ipv6`: the link has no IPv6 at all.
    DisableIpv6,
    /// `net.ipv6.conf.LINK.accept_ra`: whether a guest may give the host an address and a route.
    AcceptRa,
    /// `net.ipv4.conf.LINK.arp_ignore`: 1 answers for an address only on the link that has it.
    ArpIgnore,
    /// `net.ipv4.conf.LINK.rp_filter`: 1 drops what comes from an address that is not routed to the link.
    RpFilter,
    /// `net.ipv4.conf.LINK.forwarding`: whether what comes in here may be routed on.
    Forwarding,
}

impl Sysctl {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::DisableIpv6, Self::AcceptRa, Self::ArpIgnore, Self::RpFilter, Self::Forwarding];

    /// The protocol's directory under /proc/sys/net, and the file's name in the link's directory below it.
    pub const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::DisableIpv6 => ("ipv6", "disable_ipv6"),
            Self::AcceptRa => ("ipv6", "accept_ra"),
            Self::ArpIgnore => ("ipv4", "arp_ignore"),
            Self::RpFilter => ("ipv4", "rp_filter"),
            Self::Forwarding => ("ipv4", "forwarding"),
        }
    }
}

impl Operation {
    /// The operation that undoes this one.
    pub fn reversed(self) -> Self {
        let setting = match self.setting {
            Setting::Bridge(change) => Setting::Bridge(change.reversed()),
            Setting::Alias(change) => Setting::Alias(change.reversed()),
            Setting::Mtu(change) => Setting::Mtu(change.reversed()),
            Setting::Mac(change) => Setting::Mac(change.reversed()),
            Setting::AddrGen(change) => Setting::AddrGen(change.reversed()),
            Setting::BridgeOptions(change) => Setting::BridgeOptions(change.reversed()),
            Setting::Sysctl(sysctl, change) => Setting::Sysctl(sysctl, change.reversed()),
            Setting::Address(address, change) => Setting::Address(address, change.reversed()),
            Setting::Master(change) => Setting::Master(change.reversed()),
            Setting::Open(change) => Setting::Open(change.reversed()),
            Setting::Up(change) => Setting::Up(change.reversed()),
        };
        Self { link: self.link, setting }
    }

    /// Whether before and after are the same.
    pub fn is_nothing(&self) -> bool {
        match &self.setting {
            Setting::Bridge(change) => change.is_nothing(),
            Setting::Alias(change) => change.is_nothing(),
            Setting::Mtu(change) => change.is_nothing(),
            Setting::Mac(change) => change.is_nothing(),
            Setting::AddrGen(change) => change.is_nothing(),
            Setting::BridgeOptions(change) => change.is_nothing(),
            Setting::Master(change) => change.is_nothing(),
            Setting::Sysctl(_, change) => change.is_nothing(),
            Setting::Address(_, change) | Setting::Open(change) | Setting::Up(change) => change.is_nothing(),
        }
    }

    /// Whether the operation brings its link into being.
    pub const fn creates(&self) -> bool {
        matches!(self.setting, Setting::Bridge(Change { before: None, after: Some(_) }))
    }
}

/// What the operation does, in the imperative, with both values: `set the MTU of lab-a: 1500 → 9000`.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = &self.link;
        match &self.setting {
            Setting::Bridge(Change { after: Some(new), .. }) => {
                write!(f, "create the bridge {link} with MAC {}", new.mac)
            }
            Setting::Bridge(Change { after: None, .. }) => write!(f, "delete the bridge {link}"),
            Setting::Alias(Change { before, after }) => {
                write!(f, "mark {link}: {} → {}", or_none(before.as_ref()), or_none(after.as_ref()))
            }
            Setting::Mtu(Change { before, after }) => write!(f, "set the MTU of {link}: {before} → {after}"),
            Setting::Mac(Change { before, after }) => write!(f, "set the MAC of {link}: {before} → {after}"),
            Setting::AddrGen(Change { before, after }) => {
                write!(f, "set how {link} makes its IPv6 address: {before} → {after}")
            }
            Setting::BridgeOptions(Change { before, after }) => write!(
                f,
                "set up the bridge {link}: stp {} → {}, forward delay {} → {}, multicast snooping {} → {}",
                on_off(before.stp),
                on_off(after.stp),
                before.forward_delay,
                after.forward_delay,
                on_off(before.snooping),
                on_off(after.snooping),
            ),
            Setting::Sysctl(sysctl, Change { before, after }) => {
                let (protocol, name) = sysctl.place();
                write!(f, "set net.{protocol}.conf.{link}.{name}: {before} → {after}")
            }
            Setting::Address(address, Change { after: true, .. }) => write!(f, "add the address {address} to {link}"),
            Setting::Address(address, Change { after: false, .. }) => {
                write!(f, "remove the address {address} from {link}")
            }
            Setting::Master(Change { before: None, after: Some(bridge) }) => write!(f, "attach {link} to {bridge}"),
            Setting::Master(Change { before: Some(old), after: Some(new) }) => write!(f, "move {link}: {old} → {new}"),
            Setting::Master(Change { before: Some(bridge), after: None }) => write!(f, "detach {link} from {bridge}"),
            Setting::Master(Change { before: None, after: None }) => write!(f, "leave {link} unattached"),
            Setting::Open(Change { after: false, .. }) => write!(f, "close {link} to other users"),
            Setting::Open(Change { after: true, .. }) => write!(f, "leave {link} closed to other users"),
            Setting::Up(Change { after: true, .. }) => write!(f, "set {link} up"),
            Setting::Up(Change { after: false, .. }) => write!(f, "set {link} down"),
        }
    }
}

fn or_none(text: Option<&String>) -> &str {
    text.map_or("none", String::as_str)
}

const fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
