//! The size of a link's largest packet.

use std::fmt;

use super::invalid::Invalid;

/// A maximum transmission unit in bytes, without the Ethernet header: 68 (RFC 791) to 65,535, the most a bridge takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mtu(u32);

impl Mtu {
    /// What a network has that does not say otherwise: Ethernet's own, and what the kernel gives a new tap.
    pub const ETHERNET: Self = Self(1500);

    /// The least that carries IPv6 (RFC 8200, section 5).
    pub const IPV6_MIN: u32 = 1280;

    /// The number of bytes.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Mtu {
    type Error = Invalid;

    fn try_from(bytes: i64) -> Result<Self, Invalid> {
        match u32::try_from(bytes) {
            Ok(bytes @ 68..=65_535) => Ok(Self(bytes)),
            _ => Err(Invalid::new(format!("{bytes} bytes"), "an MTU is 68 to 65535 bytes; Ethernet has 1500")),
        }
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> serde::Deserialize<'de> for Mtu {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl serde::de::Visitor<'_> for Number {
            type Value = Mtu;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number of bytes from 68 to 65535")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Mtu, E> {
                Mtu::try_from(number).map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Mtu, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_i64(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_68_to_65535() {
        for (bytes, taken) in [(67, false), (68, true), (1500, true), (65_535, true), (65_536, false), (-1, false)] {
            assert_eq!(Mtu::try_from(bytes).is_ok(), taken, "{bytes}");
        }
    }
}
