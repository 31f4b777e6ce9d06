//! What on this host breaks networks, or will: (networks, what was found) → complaints, each with what mends it.
//!
//! Nothing here looks at anything, and nothing is changed: what mends is a line to paste.

mod errand;
mod firewall;
mod host;
mod link;
mod managed;
mod packet;
mod passage;
mod remedy;
mod service;

use std::fmt;

use crate::config::Network;
use crate::model::NetworkName;

pub use errand::Ways;
pub use firewall::{drops_bridged, firewalls};
pub use host::{Keepers, frames_filtered, keepers, legacy};
pub use link::{bridge, dead_taps, ports, reverse_paths, way_outside};
pub use service::{Running, Stranger, running, strangers};

/// Something that is wrong, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The network that it is about; `None` where it is about the host.
    pub network: Option<NetworkName>,
    /// What kind of thing it is.
    pub kind: Kind,
    /// What is the matter, without an end.
    pub what: String,
    /// A line to paste into a shell of root's.
    pub remedy: String,
    /// Whether that line mends it. Where it takes a human to tell what would, the line shows more.
    pub mends: bool,
}

impl Complaint {
    fn of(network: &Network, kind: Kind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { network: Some(network.name.clone()), kind, what: what.into(), remedy: remedy.into(), mends: true }
    }

    fn of_host(kind: Kind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { network: None, kind, what: what.into(), remedy: remedy.into(), mends: true }
    }

    /// The same with a line that mends nothing.
    fn shown_only(self) -> Self {
        Self { mends: false, ..self }
    }
}

/// `lab: WHAT; mend it with: REMEDY`, or `look at it with: …`
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = self.network.as_ref().map_or("host", NetworkName::as_str);
        let how = if self.mends { "mend" } else { "look at" };
        write!(f, "{about}: {}; {how} it with: {}", self.what, self.remedy)
    }
}

/// What kind of thing is wrong, as a word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Another program's chain drops what ours let through.
    Firewall,
    /// Rules that only iptables-legacy knows.
    Legacy,
    /// Bridged frames go through chains for routed packets.
    BridgeNetfilter,
    /// NetworkManager may take our links.
    NetworkManager,
    /// systemd-networkd may.
    Networkd,
    /// udev may change our links' MACs.
    Udev,
    /// Strict filtering by reverse path.
    ReversePath,
    /// The spanning tree protocol.
    Stp,
    /// A bridge's MAC.
    Mac,
    /// An MTU that does not fit.
    Mtu,
    /// A tap that its holder left, or that draws another's frames.
    Tap,
    /// A route to the network's own addresses.
    Overlap,
    /// Forwarding is off.
    Forwarding,
    /// The network's server does not run.
    Server,
    /// Another program serves DHCP.
    Dhcp,
    /// The network's rules are gone.
    Rules,
}

impl Kind {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Firewall => "firewall",
            Self::Legacy => "iptables-legacy",
            Self::BridgeNetfilter => "br_netfilter",
            Self::NetworkManager => "networkmanager",
            Self::Networkd => "networkd",
            Self::Udev => "udev",
            Self::ReversePath => "rp_filter",
            Self::Stp => "stp",
            Self::Mac => "mac",
            Self::Mtu => "mtu",
            Self::Tap => "tap",
            Self::Overlap => "overlap",
            Self::Forwarding => "forwarding",
            Self::Server => "dnsmasq",
            Self::Dhcp => "dhcp",
            Self::Rules => "rules",
        }
    }
}
