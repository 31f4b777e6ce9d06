//! One interface of a guest: the file `guests/TAP.json`.

use std::net::IpAddr;

use super::judge::{Judge, Known};
use super::problem::Problem;
use super::store::Source;
use super::unicast::Unicast;
use super::{Allow, GuestName};
use crate::model::{Hostname, IfName, Mac, NetworkName};

/// What is said of the guest behind a tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The tap, which is its file's name.
    pub tap: IfName,
    /// The network that it joins; `None` leaves that to the names.
    pub network: Option<NetworkName>,
    /// The guest's own MAC, as QEMU's `mac=` gives it.
    pub mac: Option<Mac>,
    /// The MAC of the host's end, the tap; `None` leaves it to the guest's or the kernel.
    pub tap_mac: Option<Mac>,
    /// Its own addresses: those that the network's server gives it, and that forwards lead to.
    pub addresses: Vec<IpAddr>,
    /// What other guests of its network call it.
    pub hostname: Option<Hostname>,
    /// Who may run it without being root, by the bridge helper.
    pub allow: Allow,
    /// Its file.
    pub source: Source,
}

/// The keys that the file may have.
const KEYS: Known = &[("", &["network", "mac", "tap_mac", "addresses", "hostname", "allow"]), ("allow", Allow::KEYS)];

impl Guest {
    /// Reads a guest's file: first each value, then what the values mean together.
    pub(super) fn read(tap: IfName, source: Source) -> Result<Self, Vec<Problem>> {
        const MAC: &str = "a MAC address such as \"52:54:00:12:34:56\"";
        let mut judge = Judge::open(&source, KEYS)?;
        let network = judge.value("network", "a network's name such as \"lab\"");
        let (mac, tap_mac) = (judge.value("mac", MAC), judge.value("tap_mac", MAC));
        let list = "a list of addresses such as [\"192.168.57.10\"]";
        let addresses = judge.list("addresses", list, Unicast::EXPECTED).unwrap_or_default();
        let addresses: Vec<_> = addresses.into_iter().map(|Unicast(ip)| ip).collect();
        let hostname = judge.value("hostname", "a hostname such as \"web0\"");
        let allow = Allow::read(&mut judge);
        if judge.problems.is_empty() {
            judge_macs(mac, tap_mac, &mut judge);
            judge_addresses(&addresses, &mut judge);
        }
        match judge.problems {
            problems if problems.is_empty() => {
                Ok(Self { tap, network, mac, tap_mac, addresses, hostname, allow, source })
            }
            problems => Err(problems),
        }
    }

    /// Whether this is one of its names: its hostname, or its tap.
    pub fn is_called(&self, name: &GuestName) -> bool {
        let name = name.as_str();
        self.tap.as_str() == name || self.hostname.as_ref().is_some_and(|hostname| hostname.as_str() == name)
    }

    /// The MAC that the tap shall have, where the file decides it.
    pub fn wanted_tap_mac(&self) -> Option<Mac> {
        self.tap_mac.or(self.mac.map(Mac::tap_end))
    }
}

/// The tap never has the guest's own MAC.
fn judge_macs(mac: Option<Mac>, tap_mac: Option<Mac>, judge: &mut Judge<'_>) {
    match (mac, tap_mac) {
        (Some(mac), Some(tap_mac)) if mac == tap_mac => judge.refuse(
            "tap_mac",
            format!("is {tap_mac}, which is also mac, the guest's own: its frames would go to the host; give tap_mac another, or remove it"),
        ),
        (Some(mac), None) if mac == mac.tap_end() => judge.refuse(
            "mac",
            format!("is {mac}, which the tap would get as well, for tap_mac is not given and starts with fe then; give either another"),
        ),
        _ => {}
    }
}

fn judge_addresses(addresses: &[IpAddr], judge: &mut Judge<'_>) {
    for (number, ip) in addresses.iter().enumerate() {
        let what = if ip.is_loopback() {
            format!("{ip} is each host's own; give one of the network's subnet")
        } else if addresses.iter().take(number).any(|other| other == ip) {
            format!("{ip} is named twice; keep one of them")
        } else {
            continue;
        };
        judge.refuse(&format!("addresses[{number}]"), what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Guest, Vec<Problem>> {
        Guest::read("web0".parse().unwrap(), Source { path: "web0.json".into(), text: text.to_owned() })
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
    fn addresses_and_a_hostname() {
        let guest = read(r#"{"addresses": ["192.168.57.10", "fd57::10"], "hostname": "web0"}"#).unwrap();
        assert_eq!((guest.tap.as_str(), guest.hostname.unwrap().as_str()), ("web0", "web0"));
        assert_eq!(guest.addresses, ["192.168.57.10".parse::<IpAddr>().unwrap(), "fd57::10".parse().unwrap()]);
        assert_eq!(read("{}").map(|guest| guest.addresses.len()), Ok(0));
    }

    #[test]
    fn somebody_may_be_allowed_to_run_it_and_else_nobody_is() {
        assert_eq!(read("{}").map(|guest| guest.allow), Ok(Allow::nobody()));
        let allow = read(r#"{"allow": {"users": ["alice", 7]}}"#).unwrap().allow;
        assert_eq!((allow.users.len(), allow.groups.len()), (2, 0));
        assert!(read(r#"{"allow": ["alice"]}"#).is_err());
    }

    #[test]
    fn hostile_addresses_and_hostnames_are_refused_in_one_line() {
        let (long, network) = ("a".repeat(300), "192.168.57.10/24");
        for text in [
            "",
            "\\n",
            "web0\\n10.0.0.1 x",
            "\\\"",
            "'",
            "/",
            "\\u0000",
            "\\u202e",
            "bücher",
            "-1",
            "+1",
            "0",
            "4294967296",
            network,
            &long,
        ] {
            for file in [format!("{{\"addresses\": [\"{text}\"]}}"), format!("{{\"hostname\": \"{text}\"}}")] {
                let problems = read(&file).expect_err(&file);
                let [problem] = problems.as_slice() else { panic!("{file}: {problems:?}") };
                let problem = problem.to_string();
                assert!(
                    problem.starts_with("web0.json:1: ") && !problem.contains(char::is_control),
                    "{file}: {problem}"
                );
            }
        }
    }

    #[test]
    fn an_address_is_the_guests_and_named_once() {
        for (text, said) in [
            (
                "{\"addresses\": [\"10.0.0.5\",\n\"127.0.0.1\"]}",
                "127.0.0.1 is each host's own; give one of the network's subnet",
            ),
            ("{\"addresses\": [\"10.0.0.5\",\n\"10.0.0.5\"]}", "10.0.0.5 is named twice; keep one of them"),
        ] {
            assert_eq!(read(text).unwrap_err()[0].to_string(), format!("web0.json:2: addresses[1]: {said}"));
        }
        assert!(read(r#"{"addresses": "10.0.0.5"}"#).is_err());
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
