//! One interface of a guest: the file `guests/TAP.json`.

use serde::Deserialize;

use super::json;
use super::problem::Problem;
use super::store::Source;
use crate::model::{Mac, NetworkName};

/// What is said of the guest behind a tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The network that it joins; `None` leaves that to the names.
    pub network: Option<NetworkName>,
    /// The guest's own MAC, as QEMU's `mac=` gives it.
    pub mac: Option<Mac>,
    /// The MAC of the host's end, the tap; `None` leaves it to the guest's or the kernel.
    pub tap_mac: Option<Mac>,
    /// Its file.
    pub source: Source,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"network\": \"lab\", \"mac\": \"52:54:00:12:34:56\"}")]
struct GuestFile {
    #[serde(default, deserialize_with = "json::given")]
    network: Option<NetworkName>,
    #[serde(default, deserialize_with = "json::given")]
    mac: Option<Mac>,
    #[serde(default, deserialize_with = "json::given")]
    tap_mac: Option<Mac>,
}

impl Guest {
    /// Reads a guest's file: first each value, then what the values mean together.
    pub(super) fn read(source: Source) -> Result<Self, Vec<Problem>> {
        let GuestFile { network, mac, tap_mac } =
            json::parse(&source.path, &source.text).map_err(|problem| vec![problem])?;
        let problem = match (mac, tap_mac) {
            (Some(mac), Some(tap_mac)) if mac == tap_mac => {
                let what = format!(
                    "is {tap_mac}, which is also mac, the guest's own: its frames would go to the host; give tap_mac another, or remove it"
                );
                Some(source.problem("tap_mac", what))
            }
            (Some(mac), None) if mac == mac.tap_end() => {
                let what = format!(
                    "is {mac}, which the tap would get as well, for tap_mac is not given and starts with fe then; give either another"
                );
                Some(source.problem("mac", what))
            }
            _ => None,
        };
        match problem {
            Some(problem) => Err(vec![problem]),
            None => Ok(Self { network, mac, tap_mac, source }),
        }
    }

    /// The MAC that the tap shall have, where the file decides it.
    pub fn wanted_tap_mac(&self) -> Option<Mac> {
        self.tap_mac.or(self.mac.map(Mac::tap_end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Guest, Vec<Problem>> {
        Guest::read(Source { path: "web0.json".into(), text: text.to_owned() })
    }

    #[test]
    fn the_tap_has_its_own_mac_or_one_made_of_the_guests() {
        let wanted = |text| read(text).map(|guest| guest.wanted_tap_mac().map(|mac| mac.to_string()));
        assert_eq!(wanted("{}"), Ok(None));
        assert_eq!(wanted(r#"{"mac": "52:54:00:12:34:56"}"#), Ok(Some("fe:54:00:12:34:56".to_owned())));
        let both = r#"{"mac": "52:54:00:12:34:56", "tap_mac": "fe:00:00:00:00:01"}"#;
        assert_eq!(wanted(both), Ok(Some("fe:00:00:00:00:01".to_owned())));
    }

    #[test]
    fn the_tap_never_has_the_guests_own_mac() {
        for text in [
            r#"{"mac": "52:54:00:12:34:56", "tap_mac": "52:54:00:12:34:56"}"#,
            r#"{"mac": "fe:54:00:12:34:56"}"#,
            r#"{"mac": "01:00:5e:00:00:01"}"#,
            r#"{"tap_mac": "00:00:00:00:00:00"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
