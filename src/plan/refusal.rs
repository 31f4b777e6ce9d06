//! Why there is no plan.

use std::fmt;

use crate::model::{Address, IfName, Kind, Listen, Listener, Mac, NetworkName, Subnet, Taken};

/// A reason to change nothing. Its text says what is the matter and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The tap does not exist.
    NoSuchLink,
    /// The tap's name is another one of a link whose own name is this.
    AlternativeName(IfName),
    /// The link carries traffic of the host's own: it has this address.
    HasAddress(Address),
    /// The bridge's name is another one of a link whose own name is the second.
    BridgeAlternativeName(IfName, IfName),
    /// The tap carries no Ethernet frames.
    NotEthernet(Kind),
    /// The tap is itself a bridge.
    IsABridge,
    /// The tap is a network card of the machine, or its like.
    IsADevice,
    /// The tap has an alias that is not ours.
    ForeignAlias(String),
    /// The tap is a port of another link.
    InAnother(IfName),
    /// The tap is the bridge that it should join.
    IsItsOwnBridge,
    /// The tap cannot have the MTU.
    Mtu {
        /// What the network has, in bytes.
        wanted: u32,
        /// The least and the most that the tap takes.
        range: (u32, u32),
    },
    /// The tap cannot have the MTU of the administrator's bridge.
    BridgeMtu {
        /// What the bridge has, in bytes.
        wanted: u32,
        /// The least and the most that the tap takes.
        range: (u32, u32),
    },
    /// The administrator's bridge does not exist.
    NoSuchBridge(IfName),
    /// The link that the tap should join is no bridge.
    NotABridge(IfName, Kind),
    /// The name of our bridge is taken by a link that we did not make.
    BridgeTaken(IfName),
    /// The bridge is ours, and another network's.
    BridgeOfAnother(IfName, NetworkName),
    /// The network is up already, on another bridge.
    Elsewhere(NetworkName, IfName),
    /// One of the network's subnets is the host's already.
    Overlap {
        /// The network's.
        subnet: Subnet,
        /// The host's.
        taken: Taken,
    },
    /// Another network has a forward there.
    ForwardTaken(Listen, NetworkName),
    /// A program of the host's listens there.
    PortInUse(Listen, Listener),
    /// The network asks for DHCP or DNS, and dnsmasq is not installed.
    NoServer,
    /// The uplink does not exist.
    NoSuchCard(IfName),
    /// An address of the uplink's is a DHCP client's to keep.
    Leased {
        /// The uplink.
        card: IfName,
        /// The address, with its prefix length.
        address: String,
        /// The bridge that would get it.
        bridge: IfName,
    },
    /// An address or a route of the uplink's came by router advertisement, and is the kernel's to keep.
    Advertised {
        /// The uplink.
        card: IfName,
        /// The address with its prefix length, or the route.
        what: String,
    },
    /// The network's bridge is not up, and the hook does not take a network card away from the host.
    NotUp(NetworkName),
    /// The network card cannot be the network's uplink.
    Uplink {
        /// Why not.
        matter: String,
        /// What to do; after its first line come commands, a line each.
        remedy: String,
    },
    /// Guests sit on this network card, and a hook cannot hand QEMU a link there.
    NotByHook(IfName),
    /// A link of the tap's name is there that we did not make to stay.
    TapTaken,
    /// The tap was made to stay in this network.
    TapOfAnother(NetworkName),
    /// The tap is there, and is another than what is asked for.
    TapDiffers(String),
    /// The network card carries no Ethernet.
    CardIsNoEthernet(IfName),
    /// The network card is a port of another link.
    CardIsAPort(IfName, IfName),
    /// The network card is Wi-Fi.
    CardIsWireless(IfName),
    /// Another link is on the network card, which this one would change: all have what the kernel was told last.
    CardIsShared(IfName, IfName),
    /// The network card is down.
    CardIsDown(IfName),
    /// The guest has to have the network card's MAC, and its file says another.
    MacIsTheCards {
        /// What the guest's file says.
        mac: Mac,
        /// The card's.
        card: Mac,
    },
    /// The guest must not have the network card's MAC, and its file says so.
    MacOfTheCard(Mac),
    /// The network is not up, and who asks may not bring it up.
    Down(NetworkName),
    /// The helper made the tap for this user, in another network or in none.
    Lent(u32),
    /// The administrator's bridge is down, and who asks may not set it up.
    BridgeDown(IfName),
    /// Guests of the network sit on a network card, and the helper may not open the device of such a link.
    NotByHelper(NetworkName),
    /// The bridge is a network's, whose file says who joins it.
    BridgeOfNetwork(IfName, NetworkName),
    /// The snapshot lacks what the bridge rests on: a mistake of the program's.
    Unobserved(IfName),
}

impl Refusal {
    /// The key of the network's file that the refusal is about.
    pub const fn key(&self) -> Option<&'static str> {
        match self {
            Self::Mtu { .. } => Some("mtu"),
            Self::Overlap { .. } => Some("addresses"),
            Self::ForwardTaken(..) | Self::PortInUse(..) => Some("forwards"),
            Self::NoServer => Some("dhcp"),
            Self::NotByHook(_) => Some("mode"),
            Self::NoSuchCard(_)
            | Self::Uplink { .. }
            | Self::Leased { .. }
            | Self::Advertised { .. }
            | Self::CardIsNoEthernet(_)
            | Self::CardIsAPort(..)
            | Self::CardIsWireless(_)
            | Self::CardIsDown(_) => Some("uplink"),
            Self::CardIsShared(..) => Some("variant"),
            Self::NoSuchBridge(_)
            | Self::Elsewhere(..)
            | Self::NotABridge(..)
            | Self::BridgeTaken(_)
            | Self::BridgeOfAnother(..)
            | Self::BridgeAlternativeName(..)
            | Self::IsItsOwnBridge => Some("bridge"),
            _ => None,
        }
    }
}

impl Refusal {
    /// What is the matter.
    pub fn matter(&self) -> String {
        match self {
            Self::NoSuchLink => "no such link".to_owned(),
            Self::AlternativeName(name) => format!("it is an alternative name of the link {name}"),
            Self::NotEthernet(Kind::Tun { .. }) => "it is a layer-3 tun, which carries no Ethernet".to_owned(),
            Self::NotEthernet(_) => "it is no Ethernet link, and a bridge takes nothing else".to_owned(),
            Self::IsABridge => "it is a bridge, and a bridge cannot be another's port".to_owned(),
            Self::IsADevice => {
                "it is a network card of this machine, and attaching it could cut the machine off".to_owned()
            }
            Self::ForeignAlias(alias) => {
                format!("its alias \"{}\" says that another program uses it", alias.escape_debug())
            }
            Self::InAnother(master) => format!("it is a port of {master} already"),
            Self::HasAddress(address) => {
                format!("the host has the address {address} on it, and would lose what it reaches there")
            }
            Self::BridgeAlternativeName(bridge, own) => {
                format!("cannot join {bridge}: it is an alternative name of the link {own}")
            }
            Self::IsItsOwnBridge => "it has the name of the bridge that it should join".to_owned(),
            Self::Mtu { wanted, range: (least, most) } => {
                format!("it cannot have the network's MTU of {wanted} bytes, but {least} to {most}")
            }
            Self::BridgeMtu { wanted, range: (least, most) } => {
                format!("it cannot have the bridge's MTU of {wanted} bytes, but {least} to {most}")
            }
            Self::NoSuchBridge(bridge) => format!("cannot join {bridge}: no such bridge"),
            Self::NotABridge(bridge, kind) => format!("cannot join {bridge}: it is {}, no bridge", described(kind)),
            Self::BridgeTaken(bridge) => {
                format!("cannot make the bridge {bridge}: a link of that name is there, and vnet did not make it")
            }
            Self::BridgeOfAnother(bridge, network) => {
                format!("cannot join {bridge}: it is the bridge of the network {network}")
            }
            Self::Elsewhere(network, bridge) => format!("the network {network} is up on the bridge {bridge}"),
            Self::Overlap { subnet, taken: Taken { subnet: other, link, address, .. } } => match address {
                Some(address) => format!("the subnet {subnet} is taken: the host has the address {address} on {link}"),
                None => format!("the subnet {subnet} is taken: the host has a route to {other} by {link}"),
            },
            Self::ForwardTaken(listen, network) => {
                format!("cannot forward {listen}: the network {network} has a forward there")
            }
            Self::PortInUse(listen, Listener { address, port, .. }) => {
                format!("cannot forward {listen}: a program of this host listens on port {port} of {address}")
            }
            Self::NoServer => "the network asks for DHCP or DNS, and dnsmasq is not installed".to_owned(),
            Self::Leased { card, address, bridge } => {
                format!(
                    "{card} has {address} from a DHCP server, and its client would go on renewing it on {card}, not on {bridge}"
                )
            }
            Self::Advertised { card, what } => {
                format!(
                    "{card} has {what} by router advertisement, which the kernel would no longer hear on {card}: IPv6 would end with its lifetime"
                )
            }
            Self::NotUp(network) => format!("the network {network} is not up"),
            Self::Down(network) => format!("the network {network} is not up, or not as its file says now"),
            Self::Lent(user) => format!("the helper made it for user {user}, and not for this network"),
            Self::BridgeDown(bridge) => format!("{bridge} is down"),
            Self::NotByHelper(network) => {
                format!("guests of the network {network} sit on a network card, where root makes their links")
            }
            Self::BridgeOfNetwork(bridge, network) => format!("{bridge} is the bridge of the network {network}"),
            Self::Uplink { matter, .. } => matter.clone(),
            Self::NotByHook(card) => {
                format!("guests sit on {card} itself, and a hook cannot hand QEMU the device of such a link")
            }
            Self::TapTaken => "a link of that name is there, and vnet did not make it to stay".to_owned(),
            Self::TapOfAnother(network) => format!("it was made to stay in the network {network}"),
            Self::TapDiffers(how) => format!("it is there already, and {how}"),
            Self::NoSuchCard(card) => format!("there is no network card {card}"),
            Self::CardIsNoEthernet(card) => format!("{card} carries no Ethernet, so no guest can sit on it"),
            Self::CardIsAPort(card, master) => format!("{card} is a port of {master}, which takes all that comes in"),
            Self::CardIsWireless(card) => {
                format!("{card} is Wi-Fi, where the access point takes frames of one MAC only")
            }
            Self::CardIsShared(card, other) => {
                format!("{other} is on {card} in another way, and the kernel lets all links there be as the last one")
            }
            Self::CardIsDown(card) => format!("{card} is down, and no link on it can be up"),
            Self::MacIsTheCards { mac, card } => {
                format!("the guest's file gives it the MAC {mac}, but here guests have the card's, {card}")
            }
            Self::MacOfTheCard(mac) => format!("the guest's file gives it the MAC {mac}, which is the card's"),
            Self::Unobserved(bridge) => format!("cannot join {bridge}: what it rests on was not looked at"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.matter(), self.remedy())
    }
}

impl std::error::Error for Refusal {}

fn described(kind: &Kind) -> String {
    match kind {
        Kind::Bridge(_) => "a bridge".to_owned(),
        Kind::Tun { .. } => "a tap".to_owned(),
        Kind::Other(kind) => format!("a link of kind {kind}"),
        Kind::Device => "a network card".to_owned(),
    }
}
