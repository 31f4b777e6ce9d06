//! A network: what the file `networks/NAME.json` says, or what one is that needs no file.

use std::net::IpAddr;

use super::store::Source;
use super::{Allow, Dhcp, Dns, Forward};
use crate::model::{Address, IfName, Mtu, NetworkName, Subnet};
pub use crate::model::{Direct, Variant};

/// A network as its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name, which is its file's.
    pub name: NetworkName,
    /// The bridge whose ports its guests are; where they sit on a network card itself, that.
    pub bridge: IfName,
    /// What it is.
    pub mode: Mode,
    /// Who may put guests on it without being root, by the bridge helper.
    pub allow: Allow,
    /// Its file; `None` for one that no file describes.
    pub source: Option<Source>,
}

/// What a network is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Its bridge is ours.
    Own(OwnNetwork),
    /// Guests are ports of a bridge of the administrator's, which is never changed.
    Bridged,
    /// Its bridge is ours, and takes the host's addresses and routes over from this network card, which becomes its
    /// port: guests are on the LAN.
    Uplink(IfName),
    /// Guests are on the LAN of the network card that takes the bridge's place, by links of their own on it.
    Direct(Direct),
}

/// What a network of ours shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnNetwork {
    /// Whom its guests reach besides each other.
    pub reach: Reach,
    /// The MTU of the bridge and its ports.
    pub mtu: Mtu,
    /// Its own addresses: the host's on the bridge, or on an isolated network those of its server, which is alone in a
    /// namespace of its own.
    pub addresses: Vec<Address>,
    /// What its server gives out; `None` where guests get no addresses from it.
    pub dhcp: Option<Dhcp>,
    /// Which names its server knows; `None` where guests cannot ask it for any.
    pub dns: Option<Dns>,
    /// Its guests' ports that are reached through the host.
    pub forwards: Vec<Forward>,
    /// The networks whose guests its own reach, and the other way round.
    pub peers: Vec<NetworkName>,
    /// Whether Docker's firewall is told to let through what ours lets through.
    pub docker: bool,
}

/// Whom the guests of a network of ours reach besides each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nobody.
    Isolated,
    /// The host, at its address on the bridge.
    HostOnly,
    /// The outside as well, which reaches them at their own addresses.
    Routed {
        /// Whether the host answers outside for its guests, so that nobody there needs a route to them.
        proxy_arp: bool,
    },
    /// The outside as well, where they are seen as the host.
    Nat {
        /// The host's addresses that they are seen as, one of each IP version at most; of a version without one it is
        /// that of the link they leave by.
        source: Vec<IpAddr>,
    },
}

impl Mode {
    /// The word that stands for it in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Own(own) => match own.reach {
                Reach::Isolated => "isolated",
                Reach::HostOnly => "host-only",
                Reach::Routed { .. } => "routed",
                Reach::Nat { .. } => "nat",
            },
            Self::Bridged | Self::Uplink(_) => "bridged",
            Self::Direct(Direct::Macvtap(_)) => "macvtap",
            Self::Direct(Direct::Ipvtap(_)) => "ipvtap",
        }
    }
}

impl OwnNetwork {
    /// The host's addresses on the bridge.
    pub fn bridge_addresses(&self) -> &[Address] {
        match self.reach {
            Reach::Isolated => &[],
            _ => &self.addresses,
        }
    }

    /// Whether the host has an IPv6 address on the bridge.
    pub fn has_ipv6(&self) -> bool {
        self.bridge_addresses().iter().any(|address| address.ip.is_ipv6())
    }

    /// The subnets of its addresses.
    pub fn subnets(&self) -> impl Iterator<Item = Subnet> {
        self.addresses.iter().map(|address| Subnet::from(*address))
    }

    /// Its first IPv4 address, or else its first IPv6 address: the one whose subnet is served.
    pub fn address_of_family(&self, ipv4: bool) -> Option<Address> {
        self.addresses.iter().find(|address| address.ip.is_ipv4() == ipv4).copied()
    }

    /// Whether the host passes packets on between its guests and the outside.
    pub const fn routes(&self) -> bool {
        matches!(self.reach, Reach::Routed { .. } | Reach::Nat { .. })
    }

    /// Whether it has a server of its own.
    pub const fn serves(&self) -> bool {
        self.dhcp.is_some() || self.dns.is_some()
    }
}

impl Network {
    /// The network whose guests join a bridge of the administrator's, and which no file describes.
    pub const fn bridged(name: NetworkName, bridge: IfName) -> Self {
        Self { name, bridge, mode: Mode::Bridged, allow: Allow::nobody(), source: None }
    }

    /// The network of a host without configuration: its guests get an address from this one's subnet, find names, and
    /// reach the outside as the host.
    pub fn built_in(name: NetworkName, address: Address) -> Self {
        let addresses = vec![address];
        let own = OwnNetwork {
            reach: Reach::Nat { source: Vec::new() },
            mtu: Mtu::ETHERNET,
            dhcp: Some(Dhcp::of(&addresses)),
            dns: Some(Dns::default()),
            addresses,
            forwards: Vec::new(),
            peers: Vec::new(),
            docker: false,
        };
        Self { name, bridge: IfName::built_in(), mode: Mode::Own(own), allow: Allow::nobody(), source: None }
    }

    /// The same network, whose guests get no addresses and find no names.
    pub fn without_server(mut self) -> Self {
        if let Mode::Own(own) = &mut self.mode {
            (own.dhcp, own.dns) = (None, None);
        }
        self
    }

    /// What a network of ours shall have; `None` where guests are on a LAN that others run.
    pub const fn own(&self) -> Option<&OwnNetwork> {
        match &self.mode {
            Mode::Own(own) => Some(own),
            Mode::Bridged | Mode::Uplink(_) | Mode::Direct(_) => None,
        }
    }

    /// The network card that the network puts its guests' LAN behind.
    pub const fn uplink(&self) -> Option<&IfName> {
        match &self.mode {
            Mode::Uplink(card) => Some(card),
            Mode::Direct(_) => Some(&self.bridge),
            Mode::Own(_) | Mode::Bridged => None,
        }
    }

    /// `FILE:LINE` of a key, where there is a file.
    pub fn place(&self, key: &str) -> Option<String> {
        self.source.as_ref().map(|source| source.place(key))
    }
}
