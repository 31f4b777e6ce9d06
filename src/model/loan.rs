//! Taps that the helper makes for users who are not root.

use std::fmt;

use super::{IfName, Mac, NetworkName};

/// A tap that was made for a user, who has nothing of it but its queue.
///
/// Who holds the queue may change the tap's owner, MAC and carrier, and make it persistent; the alias that carries this
/// only `CAP_NET_ADMIN` can change. So what the tap is for, and on whose account, is told by this and not by the tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loan {
    /// The network that it is a port of; `None` for a bridge of the administrator's that no network's file describes.
    pub network: Option<NetworkName>,
    /// The number of the user whose guest it is.
    pub user: u32,
    /// The one MAC that its guest may speak from; `None` where nothing is guarded, which is on such a bridge.
    pub mac: Option<Mac>,
    /// Whether the guest is the one that the file of the tap's name describes.
    pub of_guest_file: bool,
}

impl Loan {
    /// The name of a tap for this user's guest that has no file: the kernel puts the lowest free number in place of `%d`.
    ///
    /// It is the same for the same user's first guest at any time, and so is the MAC that is derived from it.
    pub fn name_pattern(user: u32) -> String {
        format!("vu{user}-%d")
    }

    /// The MAC of the guest behind a tap whose guest has no file.
    pub fn derived_mac(machine_id: &[u8], network: &NetworkName, tap: &IfName) -> Mac {
        Mac::derived(machine_id, &format!("guest of {network} at {tap}"))
    }

    /// Reads what follows `vnet:NETWORK:lent:`.
    pub(super) fn parse(network: &str, text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let user = parts.next()?;
        let user = Some(user).filter(|user| user.bytes().all(|digit| digit.is_ascii_digit()))?.parse().ok()?;
        let mac = parts.next().map(str::parse).transpose().ok()?;
        let of_guest_file = match parts.next() {
            None => false,
            Some("guest") => true,
            Some(_) => return None,
        };
        let network = if network.is_empty() { None } else { Some(network.parse().ok()?) };
        let guarded = network.is_some() == mac.is_some();
        (guarded && parts.next().is_none()).then_some(Self { network, user, mac, of_guest_file })
    }
}

/// `vnet:lab:lent:1000,52:54:00:12:34:57,guest`, and on a bridge of the administrator's nothing between the
/// first two colons, and no MAC.
impl fmt::Display for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = self.network.as_ref().map_or("", NetworkName::as_str);
        write!(f, "vnet:{network}:lent:{}", self.user)?;
        self.mac.iter().try_for_each(|mac| write!(f, ",{mac}"))?;
        if self.of_guest_file { f.write_str(",guest") } else { Ok(()) }
    }
}
