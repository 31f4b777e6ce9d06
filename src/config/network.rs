//! A network: the file `networks/NAME.json`.

use std::str::FromStr;

use serde::Deserialize;

use super::json;
use super::problem::Problem;
use super::store::Source;
use crate::model::{Address, IfName, Invalid, Mtu, NetworkName, deserialize_text};

/// A network as its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name, which is its file's.
    pub name: NetworkName,
    /// The bridge whose ports its guests are.
    pub bridge: IfName,
    /// What it is.
    pub mode: Mode,
    /// Its file; `None` for one that no file describes.
    pub source: Option<Source>,
}

/// What a network is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Guests reach each other and nothing else.
    Isolated(OwnBridge),
    /// Guests reach each other and the host's addresses on the bridge.
    HostOnly(OwnBridge),
    /// Guests are ports of a bridge of the administrator's, which is never changed.
    Bridged,
}

impl Mode {
    /// The word that stands for it in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Isolated(_) => "isolated",
            Self::HostOnly(_) => "host-only",
            Self::Bridged => "bridged",
        }
    }
}

/// What a bridge of ours shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnBridge {
    /// The MTU of the bridge and its ports.
    pub mtu: Mtu,
    /// The host's addresses on it; empty on an isolated network.
    pub addresses: Vec<Address>,
}

impl OwnBridge {
    /// Whether the host has an IPv6 address on it.
    pub fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(|address| address.ip.is_ipv6())
    }
}

/// The file as it is written: each value is good by itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"mode\": \"isolated\"}")]
struct NetworkFile {
    #[serde(default, deserialize_with = "json::given")]
    mode: Option<Word>,
    #[serde(default, deserialize_with = "json::given")]
    bridge: Option<IfName>,
    #[serde(default, deserialize_with = "json::given")]
    addresses: Option<Vec<Address>>,
    #[serde(default, deserialize_with = "json::given")]
    mtu: Option<Mtu>,
}

#[derive(Clone, Copy)]
enum Word {
    Isolated,
    HostOnly,
    Bridged,
}

impl FromStr for Word {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "isolated" => Ok(Self::Isolated),
            "host-only" => Ok(Self::HostOnly),
            "bridged" => Ok(Self::Bridged),
            other => Err(Invalid::new(
                format!("{} is no mode", Invalid::quote(other.as_bytes())),
                "say \"isolated\", \"host-only\" or \"bridged\"",
            )),
        }
    }
}

deserialize_text!(Word, "\"isolated\", \"host-only\" or \"bridged\"");

impl Network {
    /// An existing bridge that guests join though no file says so.
    pub const fn bridged(name: NetworkName, bridge: IfName) -> Self {
        Self { name, bridge, mode: Mode::Bridged, source: None }
    }

    /// Reads a network's file: first each value, then what the values mean together.
    pub(super) fn read(name: NetworkName, source: Source) -> Result<Self, Vec<Problem>> {
        let file: NetworkFile = json::parse(&source.path, &source.text).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let mode = file.mode(&source, &mut problems);
        let bridge = file.bridge(&name, &source, &mut problems);
        match (mode, bridge) {
            (Some(mode), Some(bridge)) if problems.is_empty() => Ok(Self { name, bridge, mode, source: Some(source) }),
            _ => Err(problems),
        }
    }

    /// `FILE:LINE` of a key, where there is a file.
    pub fn place(&self, key: &str) -> Option<String> {
        self.source.as_ref().map(|source| source.place(key))
    }
}

impl NetworkFile {
    fn mode(&self, source: &Source, problems: &mut Vec<Problem>) -> Option<Mode> {
        let mut refuse = |key: &str, what: &str| problems.push(source.problem(key, what));
        let addresses = self.addresses.clone().unwrap_or_default();
        let own = OwnBridge { mtu: self.mtu.unwrap_or(Mtu::ETHERNET), addresses };
        match self.mode {
            None => {
                refuse("mode", "is missing; say \"isolated\", \"host-only\" or \"bridged\"");
                return None;
            }
            Some(Word::Bridged) => {
                if self.addresses.is_some() {
                    refuse(
                        "addresses",
                        "stands beside mode \"bridged\", whose bridge is never changed; remove addresses, or let mode be \"host-only\"",
                    );
                }
                if self.mtu.is_some() {
                    refuse("mtu", "stands beside mode \"bridged\", whose guests have their bridge's MTU; remove mtu");
                }
                return Some(Mode::Bridged);
            }
            Some(Word::Isolated) if self.addresses.is_some() => {
                refuse(
                    "addresses",
                    "stands beside mode \"isolated\", on which the host has no address; remove addresses, or let mode be \"host-only\"",
                );
            }
            Some(Word::HostOnly) if own.addresses.is_empty() => {
                refuse(
                    "addresses",
                    "is missing, and mode \"host-only\" needs the host's address; such as [\"192.168.57.1/24\"]",
                );
            }
            Some(Word::Isolated | Word::HostOnly) => {}
        }
        if own.has_ipv6() && own.mtu.get() < Mtu::IPV6_MIN {
            refuse(
                "mtu",
                "is under 1280, with which addresses cannot hold an IPv6 one; raise mtu, or remove that from addresses",
            );
        }
        for (number, address) in own.addresses.iter().enumerate() {
            if let Some(other) = own.addresses.iter().take(number).find(|other| other.overlaps(address)) {
                refuse("addresses", &format!("holds {other} and {address}, which are of one subnet; keep one of them"));
            }
        }
        Some(if matches!(self.mode, Some(Word::Isolated)) { Mode::Isolated(own) } else { Mode::HostOnly(own) })
    }

    fn bridge(&self, network: &NetworkName, source: &Source, problems: &mut Vec<Problem>) -> Option<IfName> {
        match (&self.bridge, self.mode) {
            (Some(bridge), _) => Some(bridge.clone()),
            (None, Some(Word::Bridged)) => {
                problems.push(source.problem(
                    "bridge",
                    "is missing, and mode \"bridged\" needs the name of a bridge that is there; such as \"br0\"",
                ));
                None
            }
            (None, _) => {
                match format!("vn-{network}").parse() {
                    Ok(bridge) => Some(bridge),
                    Err(_) => {
                        problems.push(source.problem("bridge", format!("is missing, and \"vn-{network}\" would be too long for it; give a name of at most 15 bytes")));
                        None
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Network, Vec<String>> {
        let name = "lab".parse().unwrap_or_else(|error| panic!("{error}"));
        Network::read(name, Source { path: "lab.json".into(), text: text.to_owned() })
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_least_that_each_mode_needs() {
        for text in [
            r#"{"mode": "isolated"}"#,
            r#"{"mode": "host-only", "addresses": ["10.0.0.1/24", "fd57::1/64"]}"#,
            r#"{"mode": "bridged", "bridge": "br0"}"#,
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
        assert_eq!(read(r#"{"mode": "isolated"}"#).map(|network| network.bridge.to_string()).as_deref(), Ok("vn-lab"));
    }

    #[test]
    fn problems_between_keys_name_both() {
        for (text, key, other) in [
            (r#"{"bridge": "br0"}"#, "mode", "missing"),
            (r#"{"mode": "bridged"}"#, "bridge", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "mtu": 1500}"#, "mtu", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "addresses": ["10.0.0.1/24"]}"#, "addresses", "bridged"),
            (r#"{"mode": "isolated", "addresses": ["10.0.0.1/24"]}"#, "addresses", "isolated"),
            (r#"{"mode": "host-only"}"#, "addresses", "host-only"),
            (r#"{"mode": "host-only", "addresses": []}"#, "addresses", "host-only"),
            (r#"{"mode": "host-only", "addresses": ["fd57::1/64"], "mtu": 1279}"#, "mtu", "addresses"),
            (r#"{"mode": "host-only", "addresses": ["10.0.0.1/24", "10.0.0.2/16"]}"#, "addresses", "10.0.0.2/16"),
        ] {
            let problems = read(text).err().unwrap_or_default();
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.starts_with(&format!("lab.json:1: {key}: ")) && problem.contains(other)),
                "{text}: {problems:?}"
            );
        }
    }

    #[test]
    fn all_problems_of_a_file_are_told_at_once() {
        let problems = read("{\"mode\": \"bridged\",\n\"mtu\": 1500,\n\"addresses\": [\"10.0.0.1/24\"]}")
            .err()
            .unwrap_or_default();
        let keys: Vec<_> =
            problems.iter().map(|problem| problem.split(": ").take(2).collect::<Vec<_>>().join(": ")).collect();
        assert_eq!(keys, ["lab.json:3: addresses", "lab.json:2: mtu", "lab.json:1: bridge"]);
    }

    #[test]
    fn wrong_values_are_told_with_the_right_ones() {
        for (text, expected) in [
            (r#"{"mode": "natted"}"#, "mode: \"natted\" is no mode; say \"isolated\", \"host-only\" or \"bridged\""),
            (r#"{"mode": 5}"#, "mode: invalid type: integer `5`; expected \"isolated\", \"host-only\" or \"bridged\""),
            (r#"{"mode": {"isolated": null}}"#, "mode: invalid type: map; expected \"isolated\""),
            (r#"{"mode": "isolated", "mtu": null}"#, "mtu: invalid type: null; expected a whole number"),
            (r#"{"mode": "isolated", "bridge": null}"#, "bridge: invalid type: null; expected an interface's name"),
            (r#"{"mode": "isolated", "mtu": 67}"#, "mtu: 67 bytes; an MTU is 68 to 65535 bytes"),
            (r#"{"mode": "isolated", "mtu": "1500"}"#, "expected a whole number of bytes from 68 to 65535"),
            (r#"{"mode": "isolated", "bridge": "a:b"}"#, "bridge: \"a:b\" holds ':'; an interface's name has letters"),
            (
                r#"{"mode": "host-only", "addresses": ["10.0.0.1/33"]}"#,
                "addresses[0]: 10.0.0.1/33 has the prefix length 33; an IPv4 prefix length",
            ),
            (r#"[]"#, "this is no JSON object"),
        ] {
            let problems = read(text).err().unwrap_or_default();
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:?}");
        }
    }
}
