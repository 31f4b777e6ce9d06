//! Ethernet addresses.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::invalid::{Invalid, deserialize_text, serialize_text};

/// An Ethernet (MAC) address. Read from text it is one that a single interface can have: unicast and not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The address as the kernel gave it, whatever it is.
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The six bytes, in the order they go over the wire.
    pub const fn bytes(&self) -> &[u8; 6] {
        &self.0
    }

    /// The host's end of a tap whose guest's end has this address: the same with 0xFE in front.
    ///
    /// A bridge without an address of its own takes its ports' lowest, and 0xFE is never that; and a tap with the
    /// guest's own address would draw the guest's frames to the host.
    pub const fn tap_end(self) -> Self {
        let [_, b, c, d, e, f] = self.0;
        Self([0xfe, b, c, d, e, f])
    }

    /// The link-local address that the kernel gives an interface with this MAC (RFC 4291, appendix A).
    pub fn link_local(&self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let halves = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
        let [w, x, y, z] = halves;
        Ipv6Addr::new(0xfe80, 0, 0, 0, w, x, y, z)
    }

    /// The address of an interface that vnet makes: the same for the same machine and name, on any day.
    ///
    /// It marks the interface as ours before its alias is set, for the kernel ignores an alias in the message that
    /// creates. Locally administered and unicast (IEEE 802, clause 8.4).
    pub fn derived(machine_id: &[u8], name: &str) -> Self {
        // FNV-1a, 64 bits: spread is all that is asked of it.
        let parts = machine_id.iter().chain(b"/vnet/").chain(name.as_bytes());
        let hash = parts
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        let [_, _, a, b, c, d, e, f] = hash.to_be_bytes();
        let first = match (a & 0xfc) | 0x02 {
            // It would be its own tap end, and a bridge takes what is for that for the host's.
            0xfe => 0xfa,
            first => first,
        };
        Self([first, b, c, d, e, f])
    }
}

impl FromStr for Mac {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const RIGHT: &str = "a MAC has six two-digit hexadecimal bytes, such as 52:54:00:12:34:56";
        let malformed = || Invalid::new(Invalid::quote(text.as_bytes()), RIGHT);
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(malformed)?;
            if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(malformed());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| malformed())?;
        }
        if parts.next().is_some() {
            return Err(malformed());
        }
        if bytes == [0; 6] {
            return Err(Invalid::new(format!("{text} is no address"), "a MAC is not all zero"));
        }
        let [first, ..] = bytes;
        if first & 1 == 1 {
            return Err(Invalid::new(
                format!("{text} is a multicast address"),
                "one interface's MAC has an even first byte, such as 52:54:00:12:34:56",
            ));
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

deserialize_text!(Mac, "a MAC address such as \"52:54:00:12:34:56\"");
serialize_text!(Mac);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["52:54:00:12:34:56", "fe:ff:ff:ff:ff:ff"] {
            assert_eq!(text.parse::<Mac>().map(|mac| mac.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_no_single_interface_can_have_is_refused() {
        for text in [
            "",
            "52:54:00:12:34",
            "52:54:00:12:34:56:78",
            "52-54-00-12-34-56",
            "5:54:00:12:34:56",
            "+5:54:00:12:34:56",
            "00:00:00:00:00:00",
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "52:54:00:12:34:5g",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn derived_addresses_are_stable_unicast_and_local() {
        let mac = Mac::derived(b"0123", "vnbr0");
        assert_eq!(mac.to_string(), "82:fc:62:ac:0e:90");
        assert_ne!(mac, Mac::derived(b"0123", "vnbr1"));
        assert_ne!(mac, Mac::derived(b"0124", "vnbr0"));
        assert_eq!(mac.bytes()[0] & 3, 2);
        let all = (0..1000).map(|number| Mac::derived(b"0123", &number.to_string()));
        assert_eq!(all.into_iter().find(|mac| *mac == mac.tap_end() || mac.bytes()[0] & 3 != 2), None);
    }

    #[test]
    fn a_mac_gives_the_link_local_address_of_eui64() {
        let link_local = |text: &str| text.parse::<Mac>().unwrap().link_local().to_string();
        assert_eq!(link_local("52:54:00:12:34:57"), "fe80::5054:ff:fe12:3457");
        assert_eq!(link_local("02:00:00:00:00:01"), "fe80::ff:fe00:1");
    }
}
