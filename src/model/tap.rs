//! Links that we make for guests, to outlive the programs that hold them.

use std::fmt;

use super::{IfName, Mac};

/// How guests sit on a network card without a bridge (`macvtap` and `ipvtap` of ip-link(8)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direct {
    /// Each with a MAC of its own.
    Macvtap(Variant),
    /// All with the card's MAC, each with addresses of its own.
    Ipvtap(Variant),
}

/// Whom guests that sit on a network card reach without help from the LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Each other.
    Bridge,
    /// Each other, if the LAN's switch sends back what came in by the port.
    Vepa,
    /// Nobody of each other.
    Private,
    /// There is but one, which has the card to itself.
    Passthru,
}

impl Direct {
    /// What the kernel calls such links.
    pub const KINDS: [&'static str; 2] = ["macvtap", "ipvtap"];

    /// What the kernel calls such a link.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Macvtap(_) => "macvtap",
            Self::Ipvtap(_) => "ipvtap",
        }
    }

    /// Its variant.
    pub const fn variant(self) -> Variant {
        match self {
            Self::Macvtap(variant) | Self::Ipvtap(variant) => variant,
        }
    }

    /// Whether such a link has the card's MAC, and can have no other.
    pub const fn has_the_cards_mac(self) -> bool {
        matches!(self, Self::Ipvtap(_) | Self::Macvtap(Variant::Passthru))
    }
}

/// `macvtap bridge`
impl fmt::Display for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.variant())
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bridge => "bridge",
            Self::Vepa => "vepa",
            Self::Private => "private",
            Self::Passthru => "passthru",
        })
    }
}

/// What a guest's link is given when it is created; all else follows in operations of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTap {
    /// The link's own MAC. On a network card that is the guest's as well; where the card's is used, this is that.
    pub mac: Mac,
    /// What it is.
    pub form: TapForm,
}

/// What a guest's link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapForm {
    /// A tap. It goes with the process that makes it until it is told to stay.
    Tap {
        /// The number of the one user who may open a queue of it; `None` where any user may.
        owner: Option<u32>,
        /// Whether it takes several queues.
        many_queues: bool,
    },
    /// A link on a network card. Whose it is the owner of its device node tells.
    Direct {
        /// The card.
        card: IfName,
        /// How it sits there.
        direct: Direct,
    },
}

/// A guest's link as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapState {
    /// What it would be made as.
    pub made: NewTap,
    /// Whether frames get through: a tap has no carrier while no program holds it.
    pub carrier: bool,
    /// The group of links that it belongs to (`ip link show group`).
    pub group: u32,
}

impl TapState {
    /// The group that links on a network card are created in: "vnet" in ASCII. The kernel ignores an alias in the
    /// creating message and may override the MAC, but keeps this: by it a link is known as ours from the first moment.
    pub const OURS: u32 = 0x766e_6574;

    /// Whether a link without an alias is one that we made on a network card and could not mark any more.
    pub const fn is_unmarked(&self) -> bool {
        matches!(self.made.form, TapForm::Direct { .. }) && self.group == Self::OURS
    }

    /// Whether a program holds it; `None` where the kernel does not tell.
    pub const fn is_held(&self) -> Option<bool> {
        match self.made.form {
            TapForm::Tap { .. } => Some(self.carrier),
            TapForm::Direct { .. } => None,
        }
    }
}

/// What `vnet tap add` on a network card looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectSight {
    /// The link of the guest's name, and what is known of it as a guest's.
    pub link: Option<(super::Link, Option<TapState>)>,
    /// The settings under /proc/sys/net that it has, or would start with.
    pub sysctls: Vec<(super::Sysctl, u32)>,
    /// The number of the user whose its device node is; `None` where there is no node.
    pub node: Option<u32>,
    /// The network card.
    pub card: Option<super::Link>,
    /// Whether the card is Wi-Fi.
    pub wireless: bool,
    /// The MAC of a link of this name that we make, where nothing says another.
    pub derived_mac: Mac,
    /// The other links on the card that are told apart by their addresses, each with how it sits there; `None` of one
    /// that is no guest's.
    pub others: Vec<(IfName, Option<Direct>)>,
    /// The addresses that the link has, each with whether the host takes it for its own.
    pub addresses: Vec<(super::HostAddress, bool)>,
}
