//! What the kernel had at one moment, as far as a plan asks.

use super::{Address, Link, Mac, Sysctl};

/// The part of the host that one tap and its network are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The tap, if there is such a link.
    pub tap: Option<Link>,
    /// Whether a queue of the tap was left open in this process, as QEMU does; looked at only for a tap that is open.
    pub holds_queue: bool,
    /// The host's addresses on the tap, without link-local ones; looked at only for a link that outlives its guest.
    pub tap_addresses: Vec<Address>,
    /// The network's bridge, if there is such a link.
    pub bridge: Option<Link>,
    /// What else a network of ours rests on; read only where its bridge has yet to be made or finished.
    ///
    /// A bridge of ours goes up last: one that is up was finished.
    pub groundwork: Option<Groundwork>,
}

/// What a bridge of ours needs besides the link. Where the bridge is absent, what it would start with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groundwork {
    /// The MAC that the bridge has if we made it.
    pub derived_mac: Mac,
    /// The host's addresses on the bridge, without link-local ones.
    pub addresses: Vec<Address>,
    /// The settings under /proc/sys/net that the kernel has for it.
    pub sysctls: Vec<(Sysctl, u32)>,
}
