//! What can be changed about a link.

use std::fmt;
use std::net::IpAddr;

use super::{
    AddrGen, Address, BridgeOptions, Change, HostAddress, IfName, Mac, Neighbour, NewTap, Route, Sysctl, TapForm,
};

/// What can be changed about a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Whether a bridge of this name exists.
    Bridge(Change<Option<NewBridge>>),
    /// Whether a guest's link of this name exists, which we make to stay.
    Tap(Change<Option<NewTap>>),
    /// Whether the tap stays when no program holds it: until then it goes with the process that made it.
    Stays(Change<bool>),
    /// The number of the user whose the device node of a link on a network card is; `None` where there is no node.
    Node(Change<Option<u32>>),
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
    /// Whether the host has this address on the link, with all that the kernel told of it.
    HostAddress(Box<HostAddress>, Change<bool>),
    /// The flags of an address of the host's on the link.
    AddressFlags(Box<HostAddress>, Change<u32>),
    /// Whether this route leaves by the link.
    Route(Box<Route>, Change<bool>),
    /// Whether the link knows this neighbour.
    Neighbour(Neighbour, Change<bool>),
    /// The bridge that the link is a port of.
    Master(Change<Option<IfName>>),
    /// Whether other users may open a queue of the tap. The kernel has no way to open it again, and need not: the
    /// tap goes with the program that holds it.
    Open(Change<bool>),
    /// Whether the tap stays when no program holds it: one that nobody holds goes with this. The kernel's removal of a
    /// link has no way back.
    Persistent(Change<bool>),
    /// Whether a frame may leave by the port that it came in by.
    Hairpin(Change<bool>),
    /// Whether the link leaves checksums of what it sends to whoever receives it: DHCP clients that look at raw
    /// packets refuse those that are not filled in.
    ChecksumOffload(Change<bool>),
    /// Whether the host answers for this address on the link, which is behind another.
    Proxy(IpAddr, Change<bool>),
    /// Whether what is sent by the link leaves it, as far as the kernel knows already. It finds out by itself, and is
    /// waited for; what it does not find out in time is no error.
    Running(Change<bool>),
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

impl Setting {
    /// The change that undoes this one.
    pub fn reversed(self) -> Self {
        match self {
            Self::Bridge(change) => Self::Bridge(change.reversed()),
            Self::Tap(change) => Self::Tap(change.reversed()),
            Self::Stays(change) => Self::Stays(change.reversed()),
            Self::Node(change) => Self::Node(change.reversed()),
            Self::Alias(change) => Self::Alias(change.reversed()),
            Self::Mtu(change) => Self::Mtu(change.reversed()),
            Self::Mac(change) => Self::Mac(change.reversed()),
            Self::AddrGen(change) => Self::AddrGen(change.reversed()),
            Self::BridgeOptions(change) => Self::BridgeOptions(change.reversed()),
            Self::Sysctl(sysctl, change) => Self::Sysctl(sysctl, change.reversed()),
            Self::Address(address, change) => Self::Address(address, change.reversed()),
            Self::HostAddress(address, change) => Self::HostAddress(address, change.reversed()),
            Self::AddressFlags(address, change) => Self::AddressFlags(address, change.reversed()),
            Self::Route(route, change) => Self::Route(route, change.reversed()),
            Self::Neighbour(neighbour, change) => Self::Neighbour(neighbour, change.reversed()),
            Self::Master(change) => Self::Master(change.reversed()),
            Self::Open(change) => Self::Open(change.reversed()),
            Self::Persistent(change) => Self::Persistent(change.reversed()),
            Self::Hairpin(change) => Self::Hairpin(change.reversed()),
            Self::ChecksumOffload(change) => Self::ChecksumOffload(change.reversed()),
            Self::Proxy(ip, change) => Self::Proxy(ip, change.reversed()),
            Self::Running(change) => Self::Running(change.reversed()),
            Self::Up(change) => Self::Up(change.reversed()),
        }
    }

    /// Whether before and after are the same.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Bridge(change) => change.is_nothing(),
            Self::Tap(change) => change.is_nothing(),
            Self::Node(change) => change.is_nothing(),
            Self::Alias(change) => change.is_nothing(),
            Self::Mtu(change) => change.is_nothing(),
            Self::Mac(change) => change.is_nothing(),
            Self::AddrGen(change) => change.is_nothing(),
            Self::BridgeOptions(change) => change.is_nothing(),
            Self::Master(change) => change.is_nothing(),
            Self::Sysctl(_, change) => change.is_nothing(),
            Self::AddressFlags(_, change) => change.is_nothing(),
            Self::Address(_, change)
            | Self::HostAddress(_, change)
            | Self::Route(_, change)
            | Self::Neighbour(_, change)
            | Self::Stays(change)
            | Self::Open(change)
            | Self::Persistent(change)
            | Self::Hairpin(change)
            | Self::ChecksumOffload(change)
            | Self::Proxy(_, change)
            | Self::Running(change)
            | Self::Up(change) => change.is_nothing(),
        }
    }

    /// What is done to the link of this name, in the imperative, with both values: `set the MTU of lab-a: 1500 → 9000`.
    pub(super) fn describe(&self, link: &IfName, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bridge(Change { after: Some(new), .. }) => {
                write!(f, "create the bridge {link} with MAC {}", new.mac)
            }
            Self::Bridge(Change { after: None, .. }) => write!(f, "delete the bridge {link}"),
            Self::Tap(Change { after: Some(NewTap { mac, form: TapForm::Tap { owner, .. } }), .. }) => {
                write!(f, "create the tap {link} with MAC {mac} for {}", user(owner.as_ref()))
            }
            Self::Tap(Change { after: Some(NewTap { mac, form: TapForm::Direct { card, direct } }), .. }) => {
                write!(f, "create {link} on {card} ({direct}) with MAC {mac}")
            }
            Self::Tap(Change { after: None, .. }) => write!(f, "delete the tap {link}"),
            Self::Stays(Change { after: true, .. }) => write!(f, "let {link} stay when no program holds it"),
            Self::Stays(_) => write!(f, "let {link} go with the program that holds it"),
            Self::Node(Change { after: None, .. }) => write!(f, "remove the device node of {link}"),
            Self::Node(Change { after, .. }) => write!(f, "give the device node of {link} to {}", user(after.as_ref())),
            Self::Alias(Change { before, after }) => {
                write!(f, "mark {link}: {} → {}", or_none(before.as_ref()), or_none(after.as_ref()))
            }
            Self::Mtu(Change { before, after }) => write!(f, "set the MTU of {link}: {before} → {after}"),
            Self::Mac(Change { before, after }) => write!(f, "set the MAC of {link}: {before} → {after}"),
            Self::AddrGen(Change { before, after }) => {
                write!(f, "set how {link} makes its IPv6 address: {before} → {after}")
            }
            Self::BridgeOptions(Change { before, after }) => write!(
                f,
                "set up the bridge {link}: stp {} → {}, forward delay {} → {}, multicast snooping {} → {}",
                on_off(before.stp),
                on_off(after.stp),
                before.forward_delay,
                after.forward_delay,
                on_off(before.snooping),
                on_off(after.snooping),
            ),
            Self::Sysctl(sysctl, Change { before, after }) => {
                let (protocol, name) = sysctl.place();
                write!(f, "set net.{protocol}.conf.{link}.{name}: {before} → {after}")
            }
            Self::Address(address, Change { after: true, .. }) => write!(f, "add the address {address} to {link}"),
            Self::Address(address, _) => write!(f, "remove the address {address} from {link}"),
            Self::HostAddress(address, Change { after: true, .. }) => write!(f, "add the address {address} to {link}"),
            Self::HostAddress(address, _) => write!(f, "remove the address {address} from {link}"),
            Self::AddressFlags(address, Change { before, after }) => {
                write!(f, "set the flags of {address} on {link}: {before:#x} → {after:#x}")
            }
            Self::Route(route, Change { after: true, .. }) => write!(f, "add the route {route} by {link}"),
            Self::Route(route, _) => write!(f, "remove the route {route} by {link}"),
            Self::Neighbour(neighbour, Change { after: true, .. }) => {
                write!(f, "tell {link} that {} has MAC {}", neighbour.ip, neighbour.mac)
            }
            Self::Neighbour(neighbour, _) => write!(f, "let {link} forget the MAC of {}", neighbour.ip),
            Self::Master(Change { before: None, after: Some(bridge) }) => write!(f, "attach {link} to {bridge}"),
            Self::Master(Change { before: Some(old), after: Some(new) }) => write!(f, "move {link}: {old} → {new}"),
            Self::Master(Change { before: Some(bridge), after: None }) => write!(f, "detach {link} from {bridge}"),
            Self::Master(Change { before: None, after: None }) => write!(f, "leave {link} unattached"),
            Self::Open(Change { after: false, .. }) => write!(f, "close {link} to other users"),
            Self::Open(_) => write!(f, "leave {link} closed to other users"),
            Self::Persistent(Change { after: false, .. }) => write!(f, "remove the dead tap {link}"),
            Self::Persistent(_) => write!(f, "leave {link} removed"),
            Self::Hairpin(change) => {
                write!(f, "set whether {link} sends back what came in by it: {}", on_off(change.after))
            }
            Self::ChecksumOffload(change) => write!(f, "set checksum offload of {link}: {}", on_off(change.after)),
            Self::Proxy(ip, Change { after: true, .. }) => write!(f, "answer for {ip} on {link}"),
            Self::Proxy(ip, _) => write!(f, "no longer answer for {ip} on {link}"),
            Self::Running(_) => write!(f, "wait until {link} has a carrier"),
            Self::Up(Change { after: true, .. }) => write!(f, "set {link} up"),
            Self::Up(_) => write!(f, "set {link} down"),
        }
    }
}

fn user(number: Option<&u32>) -> String {
    number.map_or_else(|| "any user".to_owned(), |number| format!("the user {number}"))
}

fn or_none(text: Option<&String>) -> &str {
    text.map_or("none", String::as_str)
}

const fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
