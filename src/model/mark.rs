//! The mark of ownership that a link carries as its alias.

use std::fmt;

use super::{AddrGen, Mac, NetworkName};

/// Whose a link is: `vnet:NETWORK:owned` for one that we made, `vnet:NETWORK:port` for one that was given to us.
///
/// It lives on the kernel's object, where `ip link` shows it, so no crash and no lost file separates the two. On a
/// link that outlives its guest the mark also keeps what the link was before:
/// `vnet:lab:port:down,1500,eui64,fe:54:00:12:34:57`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// We made the link for this network.
    Owned(NetworkName),
    /// The link is another's, and a port of this network while its guest runs.
    Port(NetworkName, Option<Former>),
}

/// What a link was before it became a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// Whether it was up.
    pub up: bool,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// How it made its IPv6 link-local address; `None` where it had no IPv6.
    pub addr_gen: Option<AddrGen>,
    /// Its MAC.
    pub mac: Mac,
}

impl Mark {
    /// The network that the link belongs to.
    pub const fn network(&self) -> &NetworkName {
        match self {
            Self::Owned(network) | Self::Port(network, _) => network,
        }
    }

    /// Reads an alias; `None` if it is not one of ours.
    pub fn parse(alias: &str) -> Option<Self> {
        let (network, role) = alias.strip_prefix("vnet:")?.split_once(':')?;
        let network = network.parse().ok()?;
        match role.split_once(':') {
            None if role == "owned" => Some(Self::Owned(network)),
            None if role == "port" => Some(Self::Port(network, None)),
            Some(("port", former)) => Some(Self::Port(network, Some(Former::parse(former)?))),
            _ => None,
        }
    }
}

impl Former {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ',');
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
        Some(Self { up, mtu, addr_gen, mac })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned(network) => write!(f, "vnet:{network}:owned"),
            Self::Port(network, None) => write!(f, "vnet:{network}:port"),
            Self::Port(network, Some(Former { up, mtu, addr_gen, mac })) => {
                let up = if *up { "up" } else { "down" };
                write!(f, "vnet:{network}:port:{up},{mtu},")?;
                match addr_gen {
                    Some(mode) => write!(f, "{mode},{mac}"),
                    None => write!(f, "no-ipv6,{mac}"),
                }
            }
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
            "vnet:lab:port",
            "vnet:my.net-2:port:up,9000,stable-privacy,fe:54:00:12:34:57",
            "vnet:lab:port:down,576,no-ipv6,52:54:00:12:34:57",
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
            "vnet:lab:port:up,9000",
            "uplink to vnet:lab:owned",
        ] {
            assert_eq!(Mark::parse(alias), None, "{alias:?}");
        }
    }
}
