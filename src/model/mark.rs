//! The mark of ownership that a link carries as its alias.

use std::fmt;

use super::{AddrGen, IfName, Loan, Mac, NetworkName, digest};

/// Whose a link is: `vnet:NETWORK:owned` for one that we made, `vnet:NETWORK:port` for one that was given to us.
///
/// It lives on the kernel's object, where `ip link` shows it, so no crash and no lost file separates the two. A bridge
/// that is finished also carries a seal, `vnet:lab:owned:5e0c1b2a`, which tells of which file it was made. And a link
/// that outlives its guest carries what it was before and where it was put, so that it can be given back:
/// `vnet:lab:port:down,1500,eui64,fe:54:00:12:34:57,vn-lab`. A bridge of ours that has a network card's addresses and
/// routes names the card, `vnet:lan:uplink:eth0`, or `vnet:lan:uplink:eth0:down` where that was down before, and a tap
/// that we made to outlive its guests says so, `vnet:lab:persistent`. One that the helper made for a user says for whom and
/// what may be sent by it, `vnet:lab:lent:1000,52:54:00:12:34:57`; on a bridge that is no network's, nothing is
/// between the first two colons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// We made the link for this network; the seal says that it is finished.
    Owned(NetworkName, Option<Seal>),
    /// The link is another's, and a port of this network while its guest runs.
    Port(NetworkName, Option<Former>),
    /// We made the bridge for this network, and this network card is its port, whose addresses and routes it has.
    Uplink(NetworkName, Replaced),
    /// We made the tap for this network, and it stays when no program holds it.
    Persistent(NetworkName),
    /// We made the tap for a user, and it goes with the program that holds it.
    Lent(Loan),
}

/// A network card whose place a bridge took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Its name.
    pub card: IfName,
    /// Whether it was up.
    pub up: bool,
}

/// What a bridge was made of: a digest of what its network's file asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal(u32);

/// What a link was before it became a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// Whether it was up.
    pub up: bool,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// How it made its IPv6 link-local address; `None` where it had no IPv6.
    pub addr_gen: Option<AddrGen>,
    /// Its MAC.
    pub mac: Mac,
    /// The bridge that it was made a port of: from no other may it be taken.
    pub bridge: IfName,
    /// The bridge that it was a port of already.
    pub master: Option<IfName>,
}

impl Seal {
    /// The seal of what is described by these texts.
    pub fn of(texts: &[&str]) -> Self {
        Self(digest(texts.iter().flat_map(|text| text.bytes())))
    }

    fn parse(text: &str) -> Option<Self> {
        let hexadecimal = text.len() == 8 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        hexadecimal.then(|| u32::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl Mark {
    /// The network that the link belongs to; `None` for a user's tap on a bridge that is no network's.
    pub const fn network(&self) -> Option<&NetworkName> {
        match self {
            Self::Owned(network, _) | Self::Port(network, _) | Self::Uplink(network, _) | Self::Persistent(network) => {
                Some(network)
            }
            Self::Lent(loan) => loan.network.as_ref(),
        }
    }

    /// Whether the link belongs to this network.
    pub fn is_of(&self, network: &NetworkName) -> bool {
        self.network() == Some(network)
    }

    /// Reads an alias; `None` if it is not one of ours.
    pub fn parse(alias: &str) -> Option<Self> {
        let (network, role) = alias.strip_prefix("vnet:")?.split_once(':')?;
        if let Some(loan) = role.strip_prefix("lent:") {
            return Loan::parse(network, loan).map(Self::Lent);
        }
        let network = network.parse().ok()?;
        match role.split_once(':') {
            None if role == "owned" => Some(Self::Owned(network, None)),
            None if role == "port" => Some(Self::Port(network, None)),
            None if role == "persistent" => Some(Self::Persistent(network)),
            Some(("owned", seal)) => Some(Self::Owned(network, Some(Seal::parse(seal)?))),
            Some(("uplink", replaced)) => Some(Self::Uplink(network, Replaced::parse(replaced)?)),
            Some(("port", former)) => Some(Self::Port(network, Some(Former::parse(former)?))),
            _ => None,
        }
    }
}

impl Replaced {
    fn parse(text: &str) -> Option<Self> {
        let (card, up) = text.strip_suffix(":down").map_or((text, true), |card| (card, false));
        Some(Self { card: card.parse().ok()?, up })
    }
}

impl Former {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let up = match parts.next()? {
            "up" => true,
            "down" => false,
            _ => return None,
        };
        let mtu = parts.next()?.parse().ok()?;
        let addr_gen = match parts.next()? {
            "no-ipv6" => None,
            "eui64" => Some(AddrGen::Eui64),
            "none" => Some(AddrGen::None),
            "stable-privacy" => Some(AddrGen::StablePrivacy),
            "random" => Some(AddrGen::Random),
            _ => return None,
        };
        let mac = parts.next()?.parse().ok()?;
        let bridge = parts.next()?.parse().ok()?;
        let master = parts.next().map(str::parse).transpose().ok()?;
        match parts.next() {
            None => Some(Self { up, mtu, addr_gen, mac, bridge, master }),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned(network, None) => write!(f, "vnet:{network}:owned"),
            Self::Owned(network, Some(seal)) => write!(f, "vnet:{network}:owned:{seal}"),
            Self::Port(network, None) => write!(f, "vnet:{network}:port"),
            Self::Port(network, Some(former)) => write!(f, "vnet:{network}:port:{former}"),
            Self::Uplink(network, Replaced { card, up: true }) => write!(f, "vnet:{network}:uplink:{card}"),
            Self::Uplink(network, Replaced { card, .. }) => write!(f, "vnet:{network}:uplink:{card}:down"),
            Self::Persistent(network) => write!(f, "vnet:{network}:persistent"),
            Self::Lent(loan) => loan.fmt(f),
        }
    }
}

impl fmt::Display for Former {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},", if self.up { "up" } else { "down" }, self.mtu)?;
        match self.addr_gen {
            Some(mode) => write!(f, "{mode}")?,
            None => f.write_str("no-ipv6")?,
        }
        write!(f, ",{},{}", self.mac, self.bridge)?;
        match &self.master {
            Some(master) => write!(f, ",{master}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_as_it_was_written() {
        for alias in [
            "vnet:lab:owned",
            "vnet:lab:owned:00c0ffee",
            "vnet:lab:port",
            "vnet:my.net-2:port:up,9000,stable-privacy,fe:54:00:12:34:57,vn-lab",
            "vnet:lab:port:down,576,no-ipv6,52:54:00:12:34:57,br0,br0",
            "vnet:lan:uplink:eth0.5",
            "vnet:lan:uplink:eth0:down",
            "vnet:lab:persistent",
            "vnet:lab:lent:1000,52:54:00:12:34:57",
            "vnet:lab:lent:4294967294,52:54:00:12:34:57,guest",
            "vnet::lent:0",
        ] {
            assert_eq!(Mark::parse(alias).map(|mark| mark.to_string()).as_deref(), Some(alias));
        }
    }

    #[test]
    fn another_programs_alias_is_no_mark() {
        for alias in [
            "",
            "vnet",
            "vnet:lab",
            "vnet:lab:",
            "vnet:lab:own",
            "vnet::owned",
            "vnet:a/b:owned",
            "VNET:lab:owned",
            "vnet:lab:owned:x",
            "vnet:lab:port:",
            "vnet:lab:owned:c0ffee",
            "vnet:lab:owned:00C0FFE-",
            "vnet:lab:port:up,9000",
            "vnet:lan:uplink",
            "vnet:lan:uplink:a/b",
            "vnet:lan:uplink:eth0:up",
            "vnet:lan:uplink::down",
            "vnet:lab:persistent:",
            "vnet:lab:port:up,9000,none,fe:54:00:12:34:57",
            "vnet:lab:port:up,9000,none,fe:54:00:12:34:57,br0,br1,br2",
            "vnet:lab:port:up,9000,none,fe:54:00:12:34:57,a/b",
            "uplink to vnet:lab:owned",
            "vnet:lab:lent:",
            "vnet:lab:lent:1000",
            "vnet:lab:lent:+1,52:54:00:12:34:57",
            "vnet:lab:lent:4294967296,52:54:00:12:34:57",
            "vnet:lab:lent:1000,52:54:00:12:34:57,guest,",
            "vnet:a/b:lent:1000,52:54:00:12:34:57",
            "vnet::lent:1000,52:54:00:12:34:57",
        ] {
            assert_eq!(Mark::parse(alias), None, "{alias:?}");
        }
    }
}
