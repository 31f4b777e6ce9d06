//! Addresses of the host on a network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::invalid::{Invalid, deserialize_text};

/// The host's address on a bridge with its subnet's prefix length, such as `192.168.57.1/24` or `fd57::1/64`.
///
/// Read from text it is one that a host can have in a subnet with room for a guest: unicast, neither the subnet's
/// own number nor its broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The host's address.
    pub ip: IpAddr,
    /// The number of leading bits that the subnet's addresses share.
    pub prefix: u8,
}

impl Address {
    /// Whether both belong to one subnet, or one's subnet holds the other's.
    pub fn overlaps(&self, other: &Self) -> bool {
        let shorter = self.prefix.min(other.prefix);
        match (self.ip, other.ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                u128::from((a.to_bits() ^ b.to_bits()) >> (32 - shorter.clamp(1, 32))) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()) >> (128 - shorter.clamp(1, 128)) == 0,
            _ => false,
        }
    }

    /// The host part's bits, and a mask of all of them.
    fn host_part(&self) -> (u128, u128) {
        match self.ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                (u128::from(ip.to_bits() & mask), u128::from(mask))
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                (ip.to_bits() & mask, mask)
            }
        }
    }
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const RIGHT: &str = "the host's address has the form 192.168.57.1/24 or fd57::1/64";
        let malformed = || Invalid::new(Invalid::quote(text.as_bytes()), RIGHT);
        let (ip, prefix) = text.split_once('/').ok_or_else(malformed)?;
        let ip: IpAddr = ip.parse().map_err(|_| malformed())?;
        if prefix.starts_with(['0', '+']) && prefix != "0" {
            return Err(malformed());
        }
        let prefix: u8 = prefix.parse().map_err(|_| malformed())?;
        let (most, range) = match ip {
            IpAddr::V4(_) => (30, "an IPv4 prefix length here is 1 to 30, so that a guest has room"),
            IpAddr::V6(_) => (126, "an IPv6 prefix length here is 1 to 126, so that a guest has room"),
        };
        if prefix == 0 || prefix > most {
            return Err(Invalid::new(format!("{text} has the prefix length {prefix}"), range));
        }
        let unusable = ip.is_unspecified()
            || ip.is_loopback()
            || ip.is_multicast()
            || match ip {
                IpAddr::V4(ip) => ip.is_broadcast() || ip.octets().first() == Some(&0),
                IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some(),
            };
        if unusable {
            return Err(Invalid::new(
                format!("{ip} cannot be a bridge's address"),
                "give a unicast address of its own subnet, such as 192.168.57.1/24",
            ));
        }
        let address = Self { ip, prefix };
        match address.host_part() {
            (0, _) => Err(Invalid::new(
                format!("{ip} is the number of the subnet {text}"),
                "give the host's own address in it, such as 192.168.57.1/24",
            )),
            (host, all) if ip.is_ipv4() && host == all => Err(Invalid::new(
                format!("{ip} is the broadcast address of the subnet"),
                "give the host's own address in it, such as 192.168.57.1/24",
            )),
            _ => Ok(address),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

deserialize_text!(Address, "the host's address with its prefix length, such as \"192.168.57.1/24\"");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_taken() {
        for text in ["192.168.57.1/24", "10.0.0.1/8", "10.0.0.1/30", "fd57::1/64", "2001:db8::1/126"] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn addresses_that_are_refused() {
        for text in [
            "",
            "192.168.57.1",
            "192.168.57.1/",
            "192.168.57.1/0",
            "192.168.57.1/31",
            "192.168.57.1/32",
            "192.168.57.1/33",
            "192.168.57.1/+24",
            "192.168.57.1/24 ",
            "192.168.57.0/24",
            "192.168.57.255/24",
            "127.0.0.1/8",
            "0.0.0.1/8",
            "224.0.0.1/24",
            "255.255.255.255/24",
            "::1/64",
            "fe80::1/64",
            "ff02::1/64",
            "fd57::/64",
            "fd57::1/127",
            "::ffff:10.0.0.1/96",
            "fd57::1/0",
            "192.168.57.1/024",
            "x/24",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn overlap_is_by_the_shorter_prefix() {
        let overlaps = |a: &str, b: &str| a.parse::<Address>().ok().zip(b.parse().ok()).map(|(a, b)| a.overlaps(&b));
        assert_eq!(overlaps("10.0.0.1/24", "10.0.0.9/30"), Some(true));
        assert_eq!(overlaps("10.0.0.1/24", "10.0.1.1/24"), Some(false));
        assert_eq!(overlaps("10.0.0.1/8", "10.200.1.1/24"), Some(true));
        assert_eq!(overlaps("fd57::1/64", "fd57:0:0:1::1/64"), Some(false));
        assert_eq!(overlaps("fd57::1/64", "10.0.0.1/8"), Some(false));
    }
}
