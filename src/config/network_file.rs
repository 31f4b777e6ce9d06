//! The file `networks/NAME.json`: first each value, then what the values mean together.

use std::str::FromStr;

use super::dhcp::DhcpFile;
use super::dns::DnsFile;
use super::forward::ForwardFile;
use super::judge::{Judge, Known};
use super::mode_word::{MODES, Word};
use super::problem::Problem;
use super::store::Source;
use super::unicast::Unicast;
use super::variant::VARIANTS;
use super::{Allow, Direct, Mode, Network, OwnNetwork, Reach, Variant};
use crate::model::{Address, IfName, Invalid, Mtu, NetworkName};

/// The file as it is written: each value is good by itself.
struct NetworkFile {
    mode: Option<Word>,
    bridge: Option<IfName>,
    addresses: Option<Vec<Address>>,
    dhcp: Option<DhcpFile>,
    dns: Option<DnsFile>,
    forwards: Option<Vec<ForwardFile>>,
    peers: Option<Vec<NetworkName>>,
    source: Option<Vec<Unicast>>,
    proxy_arp: Option<bool>,
    docker: Option<Docker>,
    uplink: Option<IfName>,
    variant: Option<Variant>,
    mtu: Option<Mtu>,
    allow: Allow,
}

/// The keys that the file may have.
const KEYS: Known = &[
    (
        "",
        &[
            "mode",
            "bridge",
            "addresses",
            "dhcp",
            "dns",
            "forwards",
            "peers",
            "source",
            "proxy_arp",
            "docker",
            "uplink",
            "variant",
            "mtu",
            "allow",
        ],
    ),
    ("dhcp", DhcpFile::KEYS),
    ("dns", DnsFile::KEYS),
    ("forwards", ForwardFile::KEYS),
    ("allow", Allow::KEYS),
];

use Word::{Bridged, HostOnly, Ipvtap, Isolated, Macvtap, Nat, Routed};

/// Docker's firewall lets through what ours lets through.
struct Docker;

impl FromStr for Docker {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let unknown = || Invalid::new(format!("{} is no choice", Invalid::quote(text.as_bytes())), "say \"allow\"");
        if text == "allow" { Ok(Self) } else { Err(unknown()) }
    }
}

impl Network {
    /// Reads a network's file.
    pub(super) fn read(name: NetworkName, source: Source) -> Result<Self, Vec<Problem>> {
        let mut judge = Judge::open(&source, KEYS)?;
        let mut file = NetworkFile::read(&mut judge);
        if !judge.problems.is_empty() {
            return Err(judge.problems);
        }
        let bridge = file.place(&name, &mut judge);
        file.bridge = None;
        let allow = std::mem::take(&mut file.allow);
        let mode = file.judge(&name, &mut judge);
        let problems = judge.problems;
        match (mode, bridge) {
            (Some(mode), Some(bridge)) if problems.is_empty() => {
                Ok(Self { name, bridge, mode, allow, source: Some(source) })
            }
            _ => Err(problems),
        }
    }
}

/// The bridge of a network whose file names none.
fn own_bridge(network: &NetworkName, joins: bool, judge: &mut Judge<'_>) -> Option<IfName> {
    let bridge = format!("vn-{network}");
    let what = match bridge.parse() {
        _ if joins => {
            "is missing, and mode \"bridged\" needs the name of a bridge that is there, such as \"br0\"; or give it an uplink, a network card such as \"eth0\", for a bridge of its own".to_owned()
        }
        Ok(name) => return Some(name),
        Err(_) => {
            format!("is missing, and \"{bridge}\" would be too long for it; give a name of at most 15 bytes")
        }
    };
    judge.refuse("bridge", what);
    None
}

impl NetworkFile {
    fn read(judge: &mut Judge<'_>) -> Self {
        const SOURCE: &str = "one of the host's addresses such as \"192.0.2.5\"";
        let mtu = judge.number("mtu", "a whole number of bytes from 68 to 65535");
        let mtu =
            mtu.and_then(|mtu| Mtu::try_from(mtu).map_err(|invalid| judge.refuse("mtu", invalid.to_string())).ok());
        let address = "the host's address with its prefix length, such as \"192.168.57.1/24\"";
        Self {
            mode: judge.value("mode", MODES),
            bridge: judge.value("bridge", "an interface's name such as \"vnbr0\""),
            addresses: judge.list("addresses", "a list of addresses such as [\"192.168.57.1/24\"]", address),
            dhcp: DhcpFile::read(judge),
            dns: DnsFile::read(judge),
            forwards: ForwardFile::read_all(judge),
            peers: judge.list("peers", "a list of networks such as [\"lab\"]", "a network's name such as \"lab\""),
            source: match judge.is_list("source") {
                true => judge.list("source", SOURCE, SOURCE),
                false => judge.value("source", SOURCE).map(|source| vec![source]),
            },
            proxy_arp: judge.flag("proxy_arp"),
            docker: judge.value("docker", "\"allow\""),
            uplink: judge.value("uplink", "a network card's name such as \"eth0\""),
            variant: judge.value("variant", VARIANTS),
            mtu,
            allow: Allow::read(judge),
        }
    }

    /// The link whose ports its guests are, or on which they sit.
    fn place(&self, name: &NetworkName, judge: &mut Judge<'_>) -> Option<IfName> {
        if matches!(self.mode, Some(Macvtap | Ipvtap)) {
            let missing = || "is missing; give the network card whose LAN the guests join, such as \"eth0\"".to_owned();
            return self.uplink.clone().or_else(|| {
                judge.refuse("uplink", missing());
                None
            });
        }
        let joins = self.mode == Some(Bridged) && self.uplink.is_none();
        let bridge = self.bridge.clone().or_else(|| own_bridge(name, joins, judge));
        if bridge.is_some() && bridge == self.uplink {
            judge.refuse("uplink", "is also the bridge, of which it has to be a port; name another bridge".to_owned());
        }
        bridge
    }

    /// What the network is.
    fn judge(self, name: &NetworkName, judge: &mut Judge<'_>) -> Option<Mode> {
        let Some(word) = self.mode else {
            judge.refuse("mode", format!("is missing; say {MODES}"));
            return None;
        };
        self.judge_places(word, judge);
        let reach = match word {
            Bridged => return Some(self.uplink.map_or(Mode::Bridged, Mode::Uplink)),
            Macvtap => return Some(Mode::Direct(Direct::Macvtap(self.variant.unwrap_or(Variant::Bridge)))),
            Ipvtap => return Some(Mode::Direct(Direct::Ipvtap(self.variant.unwrap_or(Variant::Bridge)))),
            Isolated => Reach::Isolated,
            HostOnly => Reach::HostOnly,
            Routed => Reach::Routed { proxy_arp: self.proxy_arp.unwrap_or_default() },
            Nat => Reach::Nat { source: self.source.into_iter().flatten().map(|Unicast(ip)| ip).collect() },
        };
        let addresses = self.addresses.unwrap_or_default();
        let dhcp = self.dhcp.map(|dhcp| dhcp.judge(&addresses, judge));
        let dns = self.dns.map(|dns| dns.judge(word == Isolated, &addresses, judge));
        let (mtu, peers) = (self.mtu.unwrap_or(Mtu::ETHERNET), self.peers.unwrap_or_default());
        let docker = self.docker.is_some();
        let mut own = OwnNetwork { reach, mtu, addresses, dhcp, dns, forwards: Vec::new(), peers, docker };
        own.judge(name, word, judge);
        ForwardFile::judge_all(self.forwards.unwrap_or_default(), &mut own, judge);
        Some(Mode::Own(own))
    }

    /// Refuses the keys that mean nothing in a mode.
    fn judge_places(&self, word: Word, judge: &mut Judge<'_>) {
        let unserved = word == Isolated && self.dhcp.is_none() && self.dns.is_none();
        const LAN: &[Word] = &[Bridged, Macvtap, Ipvtap];
        let places: [(&str, bool, &[Word], &str); 14] = [
            (
                "addresses",
                self.addresses.is_some() && unserved,
                &[Isolated],
                "on which the host has no address; remove addresses, add \"dhcp\": {} for a server that has them, or let mode be \"host-only\"",
            ),
            (
                "addresses",
                self.addresses.is_some(),
                LAN,
                "whose addresses are the LAN's; remove addresses, or let mode be \"host-only\"",
            ),
            ("mtu", self.mtu.is_some(), LAN, "whose guests have their LAN's MTU; remove mtu"),
            (
                "dhcp",
                self.dhcp.is_some(),
                LAN,
                "whose guests ask the server of their LAN; remove dhcp, or let mode be \"nat\"",
            ),
            (
                "dns",
                self.dns.is_some(),
                LAN,
                "whose guests ask the server of their LAN; remove dns, or let mode be \"nat\"",
            ),
            (
                "forwards",
                self.forwards.is_some(),
                &[Isolated, HostOnly, Bridged, Macvtap, Ipvtap],
                "to whose guests the host forwards nothing; remove forwards, or let mode be \"nat\" or \"routed\"",
            ),
            (
                "peers",
                self.peers.is_some(),
                &[Isolated, Bridged, Macvtap, Ipvtap],
                "whose guests the host leads to no other network; remove peers, or let mode be \"host-only\"",
            ),
            (
                "source",
                self.source.is_some(),
                &[Isolated, HostOnly, Routed, Bridged, Macvtap, Ipvtap],
                "whose guests never go out as the host; remove source, or let mode be \"nat\"",
            ),
            (
                "proxy_arp",
                self.proxy_arp.is_some(),
                &[Isolated, HostOnly, Nat, Bridged, Macvtap, Ipvtap],
                "for whose guests the host never answers outside; remove proxy_arp, or let mode be \"routed\"",
            ),
            (
                "docker",
                self.docker.is_some(),
                &[Isolated, HostOnly, Bridged, Macvtap, Ipvtap],
                "whose packets no firewall of the host's is told to let through; remove docker, or let mode be \"nat\" or \"routed\"",
            ),
            (
                "uplink",
                self.uplink.is_some(),
                &[Isolated, HostOnly, Routed, Nat],
                "whose guests leave by whatever route the host has; remove uplink, or let mode be \"bridged\"",
            ),
            (
                "variant",
                self.variant.is_some(),
                &[Isolated, HostOnly, Routed, Nat, Bridged],
                "whose guests are ports of a bridge; remove variant, or let mode be \"macvtap\"",
            ),
            (
                "variant",
                self.variant == Some(Variant::Passthru),
                &[Ipvtap],
                "which has no \"passthru\"; let it be \"bridge\", \"vepa\" or \"private\"",
            ),
            (
                "bridge",
                self.bridge.is_some(),
                &[Macvtap, Ipvtap],
                "whose guests sit on the network card itself; remove bridge, or let mode be \"bridged\"",
            ),
        ];
        for (key, given, misplaced, why) in places {
            if given && misplaced.contains(&word) {
                judge.refuse(key, format!("stands beside mode \"{word}\", {why}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Network, Vec<String>> {
        Network::read("lab".parse().unwrap(), Source { path: "lab.json".into(), text: text.to_owned() })
            .map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn own(text: &str) -> OwnNetwork {
        let network = read(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        network.own().unwrap().clone()
    }

    /// The one problem of a file in which a key stands on the second line.
    fn refused(text: &str, key: &str) -> String {
        let problems = read(text).expect_err(text);
        let [problem] = problems.as_slice() else { panic!("{text}: {problems:#?}") };
        problem.strip_prefix(&format!("lab.json:2: {key}: ")).unwrap_or_else(|| panic!("{text}: {problem}")).to_owned()
    }

    #[test]
    fn the_least_that_each_mode_needs() {
        for text in [
            r#"{"mode": "isolated"}"#,
            r#"{"mode": "host-only", "addresses": ["10.0.0.1/24", "fd57::1/64"]}"#,
            r#"{"mode": "routed", "addresses": ["10.0.0.1/24"]}"#,
            r#"{"mode": "nat", "addresses": ["fd57::1/64"]}"#,
            r#"{"mode": "bridged", "bridge": "br0"}"#,
            r#"{"mode": "bridged", "uplink": "eth0"}"#,
            r#"{"mode": "macvtap", "uplink": "eth0"}"#,
            r#"{"mode": "ipvtap", "uplink": "eth0", "variant": "private"}"#,
        ] {
            let network = read(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
            assert!(text.contains(&format!("{{\"mode\": \"{}\"", network.mode.word())), "{text}");
        }
        assert_eq!(read(r#"{"mode": "isolated"}"#).map(|network| network.bridge.to_string()).as_deref(), Ok("vn-lab"));
    }

    #[test]
    fn in_every_mode_somebody_may_be_allowed_and_else_nobody_is() {
        let more = |mode| match mode {
            "isolated" => "",
            "bridged" => r#", "bridge": "br0""#,
            "macvtap" | "ipvtap" => r#", "uplink": "eth0""#,
            _ => r#", "addresses": ["10.0.0.1/24"]"#,
        };
        for (mode, _) in crate::config::mode_word::WORDS {
            let file = |allow| format!("{{\"mode\": \"{mode}\"{}{allow}}}", more(mode));
            assert_eq!(read(&file("")).map(|network| network.allow), Ok(Allow::nobody()), "{mode}");
            let allow = read(&file(r#", "allow": {"users": ["alice"], "groups": [7]}"#)).unwrap().allow;
            assert_eq!((allow.users.len(), allow.groups.len()), (1, 1), "{mode}");
        }
        assert_eq!(
            refused("{\"mode\": \"isolated\",\n\"allow\": {\"users\": [-1]}}", "allow.users[0]").split(';').next(),
            Some("-1 is no number of a user or group")
        );
    }

    #[test]
    fn all_that_a_network_can_have() {
        let nat = own(r#"{"mode": "nat", "bridge": "vnbr0", "addresses": ["192.168.57.1/24", "fd57::1/64"],
            "dhcp": {"range": "192.168.57.50-192.168.57.200", "range6": "fd57::1000-fd57::1fff", "lease": "2h"},
            "dns": {"domain": "lab.internal", "upstream": ["9.9.9.9", "2620:fe::fe", "127.0.0.53"]},
            "forwards": [{"listen": "tcp/2222", "to": "web0:22"}, {"listen": "udp/8000-8010", "to": "[fd57::10]:9000"}],
            "peers": ["web", "db"], "source": ["192.0.2.5", "2001:db8::5"], "mtu": 9000}"#);
        let source = ["192.0.2.5".parse().unwrap(), "2001:db8::5".parse().unwrap()];
        assert_eq!(nat.reach, Reach::Nat { source: source.to_vec() });
        let dhcp = nat.dhcp.as_ref().unwrap();
        assert_eq!(dhcp.range, Some(("192.168.57.50".parse().unwrap(), "192.168.57.200".parse().unwrap())));
        assert_eq!(dhcp.range6, Some(("fd57::1000".parse().unwrap(), "fd57::1fff".parse().unwrap())));
        assert_eq!(dhcp.lease.to_string(), "7200");
        let dns = nat.dns.as_ref().unwrap();
        assert_eq!((dns.domain.as_ref().unwrap().as_str(), dns.upstream.len()), ("lab.internal", 3));
        assert_eq!((nat.forwards.len(), nat.forwards[1].port, nat.peers.len(), nat.mtu.get()), (2, 9000, 2, 9000));
        assert!(nat.routes() && nat.serves() && nat.has_ipv6());
        let routed = own(r#"{"mode": "routed", "addresses": ["10.0.0.1/22"], "proxy_arp": true}"#);
        assert_eq!(routed.reach, Reach::Routed { proxy_arp: true });
        assert!(routed.routes() && !routed.serves() && !routed.has_ipv6());
        let nat = own(r#"{"mode": "nat", "addresses": ["10.0.0.1/24"], "source": "192.0.2.5"}"#);
        assert_eq!(nat.reach, Reach::Nat { source: vec!["192.0.2.5".parse().unwrap()] });
    }

    #[test]
    fn an_isolated_networks_addresses_are_its_servers() {
        let isolated = own(r#"{"mode": "isolated", "addresses": ["10.0.0.1/24", "fd57::1/64"], "dhcp": {}}"#);
        assert_eq!((isolated.addresses.len(), isolated.bridge_addresses().len()), (2, 0));
        assert!(!isolated.has_ipv6() && isolated.serves());
        for (text, key) in [
            (r#"{"mode": "isolated", "dhcp": {}}"#, "addresses"),
            (r#"{"mode": "isolated", "dns": {}}"#, "addresses"),
            (r#"{"mode": "isolated", "addresses": []}"#, "addresses"),
        ] {
            let problems = read(text).expect_err(text);
            assert!(
                problems[0].starts_with(&format!("lab.json:1: {key}: ")) && problems[0].contains("server"),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn the_built_in_network_serves_its_guests() {
        let network = Network::built_in("default".parse().unwrap(), "192.168.57.1/24".parse().unwrap());
        let written = own(r#"{"mode": "nat", "addresses": ["192.168.57.1/24"], "dhcp": {}, "dns": {}}"#);
        assert_eq!((network.bridge.as_str(), network.own()), ("vnbr0", Some(&written)));
    }

    #[test]
    fn problems_between_keys_name_both() {
        for (text, key, other) in [
            (r#"{"bridge": "br0"}"#, "mode", "missing"),
            (r#"{"mode": "bridged"}"#, "bridge", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "mtu": 1500}"#, "mtu", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "addresses": ["10.0.0.1/24"]}"#, "addresses", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "dhcp": {}}"#, "dhcp", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "dns": {}}"#, "dns", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "forwards": []}"#, "forwards", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "peers": []}"#, "peers", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "source": "192.0.2.5"}"#, "source", "bridged"),
            (r#"{"mode": "bridged", "bridge": "br0", "proxy_arp": false}"#, "proxy_arp", "bridged"),
            (r#"{"mode": "isolated", "addresses": ["10.0.0.1/24"]}"#, "addresses", "isolated"),
            (r#"{"mode": "isolated", "forwards": []}"#, "forwards", "isolated"),
            (r#"{"mode": "isolated", "peers": ["web"]}"#, "peers", "isolated"),
            (r#"{"mode": "isolated", "source": "192.0.2.5"}"#, "source", "isolated"),
            (r#"{"mode": "isolated", "proxy_arp": true}"#, "proxy_arp", "isolated"),
            (
                r#"{"mode": "isolated", "addresses": ["10.0.0.1/24"], "dns": {"upstream": ["9.9.9.9"]}}"#,
                "dns.upstream",
                "isolated",
            ),
            (r#"{"mode": "host-only"}"#, "addresses", "host-only"),
            (r#"{"mode": "host-only", "addresses": []}"#, "addresses", "host-only"),
            (r#"{"mode": "host-only", "addresses": ["fd57::1/64"], "mtu": 1279}"#, "mtu", "addresses"),
            (r#"{"mode": "host-only", "addresses": ["10.0.0.1/24", "10.0.0.2/16"]}"#, "addresses", "10.0.0.2/16"),
            (r#"{"mode": "host-only", "addresses": ["10.0.0.1/24"], "forwards": []}"#, "forwards", "host-only"),
            (r#"{"mode": "host-only", "addresses": ["10.0.0.1/24"], "source": []}"#, "source", "host-only"),
            (r#"{"mode": "host-only", "addresses": ["10.0.0.1/24"], "proxy_arp": true}"#, "proxy_arp", "host-only"),
            (r#"{"mode": "routed"}"#, "addresses", "routed"),
            (r#"{"mode": "routed", "addresses": ["10.0.0.1/24"], "source": "192.0.2.5"}"#, "source", "routed"),
            (r#"{"mode": "nat"}"#, "addresses", "nat"),
            (r#"{"mode": "nat", "addresses": ["10.0.0.1/24"], "proxy_arp": true}"#, "proxy_arp", "nat"),
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
        assert_eq!(keys, ["lab.json:1: bridge", "lab.json:3: addresses", "lab.json:2: mtu"]);
    }

    #[test]
    fn wrong_values_are_told_with_the_right_ones() {
        let modes = MODES;
        for (text, expected) in [
            (r#"{"mode": "natted"}"#, format!("mode: \"natted\" is no mode; say {modes}")),
            (r#"{"mode": 5}"#, format!("mode: invalid type: integer `5`; expected {modes}")),
            (r#"{"mode": {"isolated": null}}"#, "mode: invalid type: map; expected \"isolated\"".to_owned()),
            (
                r#"{"mode": "nat", "source": 5}"#,
                "source: invalid type: integer `5`; expected one of the host's".to_owned(),
            ),
            (
                r#"{"mode": "nat", "source": ["::1", "x"]}"#,
                "source[1]: \"x\"; an address here is one host's".to_owned(),
            ),
            (
                r#"{"mode": "nat", "proxy_arp": "yes"}"#,
                "proxy_arp: invalid type: string \"yes\"; expected true or false".to_owned(),
            ),
            (
                r#"{"mode": "nat", "peers": ["a", "-b"]}"#,
                "peers[1]: \"-b\" starts with a dash; a network's name".to_owned(),
            ),
            (r#"{"mode": "nat", "dhcp": []}"#, "dhcp: invalid type: sequence; expected an object such as".to_owned()),
            (
                r#"{"mode": "nat", "dns": ["lab"]}"#,
                "dns: invalid type: sequence; expected an object such as".to_owned(),
            ),
            (
                r#"{"mode": "nat", "forwards": [["tcp/1", "a:1"]]}"#,
                "forwards[0]: invalid type: sequence; expected an object".to_owned(),
            ),
            (
                r#"{"mode": "nat", "dhcp": {"start": 1}}"#,
                "dhcp.start: unknown field `start`; expected one of `range`".to_owned(),
            ),
            (
                r#"{"mode": "nat", "dns": {"domain": "a", "domain": "b"}}"#,
                "dns.domain: duplicate field `domain`; keep one".to_owned(),
            ),
            (
                r#"{"mode": "nat", "forwards": [{"listen": "tcp/1"}]}"#,
                "forwards[0]: missing field `to`; add it".to_owned(),
            ),
            (r#"{"mode": "isolated", "mtu": null}"#, "mtu: invalid type: null; expected a whole number".to_owned()),
            (
                r#"{"mode": "isolated", "bridge": null}"#,
                "bridge: invalid type: null; expected an interface's name".to_owned(),
            ),
            (r#"{"mode": "isolated", "mtu": 67}"#, "mtu: 67 bytes; an MTU is 68 to 65535 bytes".to_owned()),
            (r#"{"mode": "isolated", "mtu": "1500"}"#, "expected a whole number of bytes from 68 to 65535".to_owned()),
            (
                r#"{"mode": "isolated", "bridge": "a:b"}"#,
                "bridge: \"a:b\" holds ':'; an interface's name has letters".to_owned(),
            ),
            (
                r#"{"mode": "host-only", "addresses": ["10.0.0.1/33"]}"#,
                "addresses[0]: 10.0.0.1/33 has the prefix length 33; an IPv4 prefix length".to_owned(),
            ),
            (r#"[]"#, "this is no JSON object".to_owned()),
        ] {
            let problems = read(text).err().unwrap_or_default();
            assert!(problems.iter().any(|problem| problem.contains(&expected)), "{text}: {problems:?}");
        }
    }

    #[test]
    fn proxy_arp_answers_for_1022_addresses_at_most() {
        let with =
            |address: &str| format!("{{\"mode\": \"routed\", \"addresses\": [\"{address}\"],\n\"proxy_arp\": true}}");
        assert!(read(&with("10.0.0.1/22")).is_ok());
        assert!(read(&with("fd57::1/64")).is_ok());
        assert_eq!(
            refused(&with("10.0.9.1/21"), "proxy_arp"),
            "would answer for each address of 10.0.8.0/21; give a prefix length of 22 to 30 in addresses, or remove proxy_arp"
        );
        assert!(read(r#"{"mode": "routed", "addresses": ["10.0.0.1/8"], "proxy_arp": false}"#).is_ok());
    }

    #[test]
    fn a_source_is_an_address_of_the_host_outside() {
        for (source, said) in [
            (r#"["192.0.2.5", "192.0.2.6"]"#, "192.0.2.6 is the second address of its IP version; keep one of them"),
            (r#""2001:db8::5""#, "no guest goes out as 2001:db8::5, for addresses has none of its IP version"),
            (
                r#""10.0.0.1""#,
                "nobody outside can answer to 10.0.0.1; give an address that the host has on another link",
            ),
            (r#""10.0.0.77""#, "nobody outside can answer to 10.0.0.77; "),
            (r#""127.0.0.1""#, "nobody outside can answer to 127.0.0.1; "),
        ] {
            let text = format!("{{\"mode\": \"nat\", \"addresses\": [\"10.0.0.1/24\"],\n\"source\": {source}}}");
            let problem = refused(&text, "source");
            assert!(problem.starts_with(said), "{problem}");
        }
    }

    #[test]
    fn peers_are_others_and_named_once() {
        let with = |peers: &str| {
            format!("{{\"mode\": \"host-only\", \"addresses\": [\"10.0.0.1/24\"], \"peers\": [\"web\",\n{peers}]}}")
        };
        assert_eq!(
            refused(&with("\"lab\""), "peers[1]"),
            "lab is this network itself, whose guests reach each other anyway; remove it"
        );
        assert_eq!(refused(&with("\"web\""), "peers[1]"), "web is named twice; keep one of them");
        assert!(read(&with("\"db\"")).is_ok());
    }

    #[test]
    fn a_range_is_inside_of_the_subnet_and_beside_the_gateway() {
        let with = |key: &str, range: &str| {
            format!(
                "{{\"mode\": \"nat\", \"addresses\": [\"10.0.0.9/28\", \"fd57::1/64\"], \"dhcp\": {{\n\"{key}\": \"{range}\"}}}}"
            )
        };
        let widest = "; the widest range here is 10.0.0.1-10.0.0.8";
        for (range, said) in [
            ("10.0.0.10-10.0.0.14", None),
            ("10.0.0.1-10.0.0.8", None),
            ("10.0.0.5-10.0.0.5", None),
            ("10.0.0.10-10.0.0.16", Some("10.0.0.16 lies outside of the network's 10.0.0.0/28")),
            ("9.255.255.255-10.0.0.3", Some("9.255.255.255 lies outside of the network's 10.0.0.0/28")),
            ("10.0.0.10-10.0.0.15", Some("10.0.0.15 is the broadcast address of the subnet 10.0.0.0/28")),
            ("10.0.0.0-10.0.0.5", Some("10.0.0.0 is the number of the subnet 10.0.0.0/28")),
            ("10.0.0.2-10.0.0.12", Some("holds 10.0.0.9, the network's own address")),
            ("10.0.0.9-10.0.0.12", Some("10.0.0.9 is the network's own address")),
            ("10.0.0.2-10.0.0.9", Some("10.0.0.9 is the network's own address")),
            ("fd57::2-fd57::3", Some("fd57::2 is of the other IP version")),
        ] {
            let text = with("range", range);
            match said {
                None => assert!(read(&text).is_ok(), "{text}: {:?}", read(&text)),
                Some(said) => assert_eq!(refused(&text, "dhcp.range"), format!("{said}{widest}"), "{text}"),
            }
        }
        assert_eq!(
            refused(&with("range6", "fd57::-fd57::5"), "dhcp.range6"),
            "fd57:: is the number of the subnet fd57::/64; the widest range here is fd57::1000-fd57::ffff"
        );
        assert!(read(&with("range6", "fd57::ffff:0:0:0-fd57::ffff:ffff:ffff:ffff")).is_ok());
    }

    #[test]
    fn dhcp_needs_an_address_to_serve_from() {
        let text =
            "{\"mode\": \"nat\", \"addresses\": [\"10.0.0.1/24\"], \"dhcp\": {\n\"range6\": \"fd57::2-fd57::9\"}}";
        assert_eq!(
            refused(text, "dhcp.range6"),
            "needs an IPv6 address of the network; add one to addresses, or remove it"
        );
        let text = "{\"mode\": \"nat\", \"addresses\": [\"fd57::1/48\"],\n\"dhcp\": {}}";
        assert_eq!(
            refused(text, "dhcp"),
            "cannot serve fd57::/48, for DHCPv6 needs a prefix length of 64 to 126; give such a one in addresses, or remove dhcp"
        );
        let text = "{\"mode\": \"nat\", \"addresses\": [\"10.0.0.1/24\"], \"dns\": {\"upstream\": [\"9.9.9.9\",\n\"10.0.0.1\"]}}";
        assert!(
            refused(text, "dns.upstream[1]").starts_with("10.0.0.1 is the network's own address, so that its server")
        );
    }

    #[test]
    fn forwards_fit_the_network_and_each_other() {
        let with = |to: &str| {
            format!(
                "{{\"mode\": \"nat\", \"addresses\": [\"10.0.0.1/24\", \"fd57::1/64\"], \"dns\": {{}},\n\"forwards\": [{to}]}}"
            )
        };
        for (forward, key, said) in [
            (
                r#"{"listen": "tcp/80", "to": "10.0.1.5:80"}"#,
                "to",
                "10.0.1.5 lies outside of the network's 10.0.0.0/24 and fd57::/64; give one inside",
            ),
            (
                r#"{"listen": "tcp/80", "to": "10.0.0.1:80"}"#,
                "to",
                "10.0.0.1 is the network's own address; give the guest's",
            ),
            (
                r#"{"listen": "tcp/80", "to": "10.0.0.0:80"}"#,
                "to",
                "10.0.0.0 is the number of the subnet 10.0.0.0/24; give one between its ends",
            ),
            (
                r#"{"listen": "tcp/80", "to": "10.0.0.255:80"}"#,
                "to",
                "10.0.0.255 is the broadcast address of the subnet 10.0.0.0/24; give one between its ends",
            ),
            (
                r#"{"listen": "tcp/192.0.2.1:80", "to": "[fd57::5]:80"}"#,
                "to",
                "fd57::5 cannot be reached through 192.0.2.1, which is of the other IP version; let both be IPv4 or both IPv6",
            ),
            (
                r#"{"listen": "tcp/[2001:db8::1]:80", "to": "10.0.0.5:80"}"#,
                "to",
                "10.0.0.5 cannot be reached through 2001:db8::1, which is of the other IP version; let both be IPv4 or both IPv6",
            ),
            (
                r#"{"listen": "tcp/80-90", "to": "a:65526"}"#,
                "to",
                "the range tcp/80-90 would end at the guest's port 65536; ports end at 65535; begin lower or make the range shorter",
            ),
            (
                r#"{"listen": "udp/50-60", "to": "a:5000"}"#,
                "listen",
                "udp/50-60 takes udp/10.0.0.1:53, at which guests ask the network's own server; name another address or port",
            ),
            (
                r#"{"listen": "tcp/[fd57::1]:53", "to": "a:53"}"#,
                "listen",
                "tcp/[fd57::1]:53 takes tcp/[fd57::1]:53, at which guests ask the network's own server; name another address or port",
            ),
        ] {
            assert_eq!(refused(&with(forward), &format!("forwards[0].{key}")), said);
        }
        let two =
            with("{\"listen\": \"tcp/80-90\", \"to\": \"a:80\"}, {\"listen\": \"tcp/192.0.2.1:85\", \"to\": \"b:80\"}");
        assert_eq!(
            refused(&two, "forwards[1].listen"),
            "tcp/192.0.2.1:85 takes what forwards[0] takes; give each ports of its own"
        );
        for forward in [
            r#"{"listen": "tcp/80-90", "to": "a:65525"}"#,
            r#"{"listen": "udp/192.0.2.1:53", "to": "a:53"}"#,
            r#"{"listen": "udp/67", "to": "a:67"}"#,
            r#"{"listen": "tcp/80", "to": "a:80"}, {"listen": "tcp/127.0.0.1:80", "to": "a:81"}, {"listen": "udp/80", "to": "a:80"}"#,
        ] {
            assert!(read(&with(forward)).is_ok(), "{forward}: {:?}", read(&with(forward)));
        }
    }

    #[test]
    fn a_problem_names_the_line_of_its_nested_key() {
        let text = "{\"mode\": \"nat\", \"addresses\": [\"10.0.0.1/24\"], \"forwards\": [\n{\"listen\": \"tcp/80\",\n\"to\": \"a:80\"},\n{\"listen\": \"tcp/81\",\n\n\"to\":\n \"9.9.9.9:81\"}]}";
        let problems = read(text).unwrap_err();
        assert!(problems[0].starts_with("lab.json:7: forwards[1].to: 9.9.9.9 lies outside"), "{problems:?}");
        let text = "{\"mode\": \"isolated\",\n\"dhcp\":\n{}}";
        assert!(read(text).unwrap_err()[0].starts_with("lab.json:1: addresses: is missing"));
    }

    #[test]
    fn hostile_texts_are_refused_in_one_line() {
        let long = "a".repeat(300);
        let hostile = [
            "",
            "\\n",
            "a\\ndhcp-script=/x",
            "\\\"",
            "'",
            "/",
            "\\\\",
            "\\u0000",
            "\\u202e",
            "\\u001b[2J",
            "ä",
            "-1",
            "+1",
            "0",
            "4294967296",
            "18446744073709551616",
            &long,
        ];
        for text in hostile {
            for key in [
                format!("\"dhcp\": {{\"range\": \"{text}\"}}"),
                format!("\"dhcp\": {{\"range6\": \"fd57::2-{text}\"}}"),
                format!("\"dhcp\": {{\"lease\": \"{text}\"}}"),
                format!("\"dns\": {{\"domain\": \"{text}/\"}}"),
                format!("\"dns\": {{\"upstream\": [\"{text}\"]}}"),
                format!("\"forwards\": [{{\"listen\": \"tcp/{text}\", \"to\": \"a:1\"}}]"),
                format!("\"forwards\": [{{\"listen\": \"tcp/1\", \"to\": \"{text}\"}}]"),
                format!("\"forwards\": [{{\"listen\": \"tcp/1\", \"to\": \"a:{text}\"}}]"),
                format!("\"peers\": [\"{text}/\"]"),
                format!("\"source\": \"{text}\""),
                format!("\"source\": [\"{text}\"]"),
                format!("\"{text}\": 1"),
            ] {
                let file = format!("{{\"mode\": \"nat\", \"addresses\": [\"10.0.0.1/24\", \"fd57::1/64\"], {key}}}");
                let problems = read(&file).expect_err(&file);
                assert!(problems.len() == 1 && !problems[0].contains(|c: char| c.is_control()), "{file}: {problems:?}");
            }
        }
    }
}
