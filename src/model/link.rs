//! What the kernel says about a link.

use serde::{Deserialize, Serialize};

use super::{IfName, Loan, Mac, Mark};

/// A link as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number, which a renamed link keeps.
    pub index: u32,
    /// The kernel's own name for it, never one of its alternative names.
    pub name: IfName,
    /// What the link is.
    pub kind: Kind,
    /// Whether it carries Ethernet frames (`ARPHRD_ETHER`); a bridge takes nothing else.
    pub ethernet: bool,
    /// Whether the administrator's flag `IFF_UP` is set.
    pub up: bool,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// The least and the most that its MTU may be, as far as the driver says: `(0, 0)` where it does not.
    pub mtu_range: (u32, u32),
    /// Its MAC.
    pub mac: Mac,
    /// The link that it is a port of.
    pub master: Option<Master>,
    /// The text that `ip link` shows as its alias.
    pub alias: Option<String>,
    /// How it makes its IPv6 link-local address; `None` where the link or the kernel has no IPv6.
    pub addr_gen: Option<AddrGen>,
    /// Whether what comes in by it over IPv4 may be routed on (`net.ipv4.conf.LINK.forwarding`).
    pub forwards: bool,
    /// Whether something is at its other end: of a tap, a program that holds it. Of a persistent tap with one queue this
    /// may be wrong: who holds it may put the carrier out, and only who tries to take the queue knows.
    pub carrier: bool,
}

impl Link {
    /// Whose it is, when its alias says that it is ours.
    pub fn mark(&self) -> Option<Mark> {
        self.alias.as_deref().and_then(Mark::parse)
    }

    /// For whom it was made, when the helper made it.
    pub fn loan(&self) -> Option<Loan> {
        match self.mark() {
            Some(Mark::Lent(loan)) => Some(loan),
            _ => None,
        }
    }

    /// Whether it is a bridge.
    pub const fn is_bridge(&self) -> bool {
        matches!(self.kind, Kind::Bridge(_))
    }

    /// The alias that another program or person gave it.
    pub fn foreign_alias(&self) -> Option<&str> {
        self.alias.as_deref().filter(|alias| Mark::parse(alias).is_none())
    }

    /// Whether it is a tap that another user could listen on, and speak from, by a queue of its own.
    pub const fn is_open(&self) -> bool {
        matches!(self.kind, Kind::Tun { open: true, .. })
    }

    /// Whether a guest is behind it. Of other links than taps nobody can tell, and so one that is up counts.
    pub const fn is_held(&self) -> bool {
        match self.kind {
            Kind::Tun { .. } => self.carrier,
            _ => self.up,
        }
    }

    /// Whether it is a tap that came, or was lent, as one which goes with its holder, was made persistent by that, and has
    /// none now. One that was persistent before it became a port has a mark that says what it was.
    pub fn is_dead_tap(&self) -> bool {
        let persistent = matches!(self.kind, Kind::Tun { persistent: true, .. });
        persistent && !self.carrier && matches!(self.mark(), Some(Mark::Port(_, None) | Mark::Lent(_)))
    }

    /// Whether the helper is just making it: it is marked before it is attached, and set up as it is attached.
    pub fn is_being_lent(&self) -> bool {
        !self.up && self.master.is_none() && matches!(self.mark(), Some(Mark::Lent(_)))
    }

    /// Whether the kernel removes it by itself when the program that holds it goes.
    pub fn goes_with_its_holder(&self) -> bool {
        matches!(self.kind, Kind::Tun { persistent: false, .. })
    }
}

/// The link that another is a port of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Master {
    /// The kernel's number.
    pub index: u32,
    /// Its name, for messages.
    pub name: IfName,
}

/// What a link is, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bridge, with its settings.
    Bridge(BridgeOptions),
    /// A tap, or a layer-3 tun.
    Tun {
        /// Whether it stays when no program holds it.
        persistent: bool,
        /// Whether any user who may open /dev/net/tun may open a queue of it while a program holds another: it has
        /// several, and neither owner nor group.
        open: bool,
    },
    /// Another kind that the kernel names, such as `veth` or `macvlan`.
    Other(String),
    /// A device of the machine itself: the kernel names no kind.
    Device,
}

/// The settings of a bridge that vnet cares about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeOptions {
    /// Whether the spanning tree protocol runs: then a new port forwards after twice the forward delay.
    pub stp: bool,
    /// How long a port listens and learns, in hundredths of a second.
    pub forward_delay: u32,
    /// Whether multicast goes only to ports that asked for it: without a querier it is lost after a while.
    pub snooping: bool,
}

impl BridgeOptions {
    /// What a bridge of ours has: it forwards at once, and to everyone.
    pub const OURS: Self = Self { stp: false, forward_delay: 0, snooping: false };
}

/// How a link makes its IPv6 link-local address (`IN6_ADDR_GEN_MODE_*` in linux/if_link.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddrGen {
    /// From its MAC: the kernel's default.
    Eui64,
    /// Not at all: the link stays without IPv6.
    None,
    /// From a secret and the prefix (RFC 7217).
    StablePrivacy,
    /// From a secret that is drawn at random.
    Random,
}

impl AddrGen {
    /// The kernel's number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Eui64 => 0,
            Self::None => 1,
            Self::StablePrivacy => 2,
            Self::Random => 3,
        }
    }

    /// The mode that has this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Eui64),
            1 => Some(Self::None),
            2 => Some(Self::StablePrivacy),
            3 => Some(Self::Random),
            _ => None,
        }
    }
}

impl std::fmt::Display for AddrGen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Eui64 => "eui64",
            Self::None => "none",
            Self::StablePrivacy => "stable-privacy",
            Self::Random => "random",
        })
    }
}
