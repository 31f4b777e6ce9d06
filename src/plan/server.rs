//! What a network's DHCP and DNS server, dnsmasq, is told.
//!
//! Its configuration has one directive per line: a line break in a value would be another directive, and there are
//! directives that run programs as root. So nothing comes in here but what has a type with a grammar of its own, and
//! the [`Place`], which checks its own texts.

use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::routing::forwards;
use crate::config::{Dhcp, Network, OwnNetwork, Reach};
use crate::model::{Invalid, Subnet};

/// The end of the virtual link that a server has which is alone in a namespace.
const ALONE: &str = "eth0";

/// As many leases as dnsmasq allows by itself. There have to be some beside those of the range, for IPv6 and for
/// addresses that are reserved outside of it; and with fewer than its file holds it would not start.
const LEASES_BESIDE: u32 = 1000;

/// More leases than this are not for one network: what they cost grows with their number, and guests decide it.
const LEASES_OF_RANGE: u32 = 65_536;

/// What every server is told.
///
/// - Its own bridge's addresses are all that it binds, and a packet for one of them that came by another link is left
///   alone.
/// - Nobody else's hosts are known to it, and a name without a dot is never asked for upstream.
/// - It does not wait for a system log that is stuck.
const ALWAYS: &str = "\
except-interface=lo
bind-dynamic
no-hosts
domain-needed
log-async=25
";

/// What is told besides to one that gives out addresses.
///
/// - Nobody else does so here: a guest that comes with an address of former days is told at once, and nothing has to
///   be pinged first.
/// - A guest may call itself what it likes, but not by the names that others look up without being told to. A star
///   stands at the end only; so each name has a second line for its form with a domain.
/// - Guests decide how often they ask: only what is wrong is logged.
const WITH_DHCP: &str = "\
dhcp-authoritative
no-ping
dhcp-name-match=set:nameless,wpad
dhcp-name-match=set:nameless,wpad.*
dhcp-name-match=set:nameless,localhost
dhcp-name-match=set:nameless,localhost.*
dhcp-ignore-names=tag:nameless
quiet-dhcp
quiet-dhcp6
quiet-ra
";

/// Where a server keeps its files, and as whom it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
    user: String,
    group: String,
}

impl Place {
    /// A server of this directory. An empty `group` leaves it those that it is started with: in a user namespace none
    /// can be left.
    pub fn new(directory: PathBuf, user: &str, group: &str) -> Result<Self, Invalid> {
        const RIGHT: &str = "the server's directory and user have letters, digits, '/', '_', '.', '+' and '-' only";
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'.' | b'+' | b'-');
        for text in [directory.as_os_str().as_encoded_bytes(), user.as_bytes(), group.as_bytes()] {
            if !text.iter().all(|byte| harmless(*byte)) {
                return Err(Invalid::new(Invalid::quote(text), RIGHT));
            }
        }
        Ok(Self { directory, user: user.to_owned(), group: group.to_owned() })
    }

    /// The directory of its configuration, hosts and leases.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of its leases.
    pub fn leases(&self) -> PathBuf {
        self.directory.join("leases")
    }
}

/// A text of directives.
struct Conf(String);

impl Conf {
    fn say(&mut self, key: &str, value: &dyn fmt::Display) {
        // A String takes all that is written to it.
        _ = writeln!(self.0, "{key}={value}");
    }
}

/// The whole of a server's configuration; nothing for a network that has none.
pub fn server_conf(network: &Network, place: &Place) -> String {
    let mut conf = Conf(String::new());
    if let Some(own) = network.own().filter(|own| own.serves()) {
        let link = if own.reach == Reach::Isolated { ALONE } else { network.bridge.as_str() };
        conf.base(link, place);
        if own.reach == Reach::Isolated {
            conf.enclave(own);
        }
        conf.names(own);
        if let Some(dhcp) = &own.dhcp {
            conf.leases(own, dhcp, place);
            conf.addresses(own, dhcp);
            conf.addresses6(own, dhcp, link);
        }
    }
    conf.0
}

impl Conf {
    fn base(&mut self, link: &str, place: &Place) {
        let directory = place.directory.display();
        self.say("interface", &link);
        self.say("user", &place.user);
        self.say("group", &place.group);
        self.say("pid-file", &format_args!("{directory}/dnsmasq.pid"));
        self.say("hostsdir", &format_args!("{directory}/hosts"));
        self.0.push_str(ALWAYS);
    }

    /// What its namespace is made of, as comments: nobody changes that while it runs, so that a server which is told
    /// otherwise has to be started anew.
    fn enclave(&mut self, own: &OwnNetwork) {
        for address in &own.addresses {
            self.say("# address", address);
        }
        self.say("# mtu", &own.mtu.get());
    }

    /// Which names it knows, and whom it asks for others.
    fn names(&mut self, own: &OwnNetwork) {
        let dns = own.dns.as_ref();
        if let Some(domain) = dns.and_then(|dns| dns.domain.as_ref()) {
            self.say("domain", domain);
            self.say("local", &format_args!("/{domain}/"));
            self.0.push_str("expand-hosts\n");
        }
        for subnet in own.subnets().filter(is_zone) {
            self.say("rev-server", &subnet);
        }
        let upstream = dns.map_or(&[][..], |dns| &dns.upstream);
        // Else it asks whom the host asks, and sees when that changes.
        if !upstream.is_empty() || !own.routes() {
            self.0.push_str("no-resolv\n");
        }
        for server in upstream {
            self.say("server", server);
        }
    }

    fn leases(&mut self, own: &OwnNetwork, dhcp: &Dhcp, place: &Place) {
        self.0.push_str(WITH_DHCP);
        self.say("dhcp-leasefile", &place.leases().display());
        self.say("dhcp-hostsdir", &place.directory.join("dhcp").display());
        let size =
            dhcp.range.map_or(0, |(first, last)| last.to_bits().saturating_sub(first.to_bits()).saturating_add(1));
        self.say("dhcp-lease-max", &(size.min(LEASES_OF_RANGE) + LEASES_BESIDE));
        self.say("dhcp-option", &format_args!("option:mtu,{}", own.mtu.get()));
        if !forwards(own) {
            // Without a value it is not sent: the host would be named otherwise, and passes nothing on.
            self.say("dhcp-option", &"option:router");
        }
    }

    fn addresses(&mut self, own: &OwnNetwork, dhcp: &Dhcp) {
        if let (Some((first, last)), Some(address)) = (dhcp.range, own.address_of_family(true)) {
            let mask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(address.prefix)).unwrap_or(0));
            self.say("dhcp-range", &format_args!("{first},{last},{mask},{}", dhcp.lease));
        }
    }

    /// By DHCPv6, and by router advertisement, which alone tells the prefix, the router and the MTU.
    fn addresses6(&mut self, own: &OwnNetwork, dhcp: &Dhcp, link: &str) {
        if let (Some((first, last)), Some(address)) = (dhcp.range6, own.address_of_family(false)) {
            let prefix = address.prefix;
            // A guest makes an address of its own from a prefix of this length only (RFC 4862, section 5.5.3).
            let modes = if prefix == 64 { "slaac,ra-names," } else { "" };
            self.say("dhcp-range", &format_args!("{first},{last},{modes}{prefix},{}", dhcp.lease));
            self.0.push_str("enable-ra\n");
            // A lifetime of 0 is no router (RFC 4861, section 4.2); the 0 before it stands for the usual interval.
            let lifetime = if forwards(own) { "" } else { ",0" };
            self.say("ra-param", &format_args!("{link},mtu:{},0{lifetime}", own.mtu.get()));
            // Else it would name its link-local address, which not every resolver takes.
            self.say("dhcp-option", &format_args!("option6:dns-server,[{}]", address.ip));
            if let Some(domain) = own.dns.as_ref().and_then(|dns| dns.domain.as_ref()) {
                self.say("dhcp-option", &format_args!("option6:domain-search,{domain}"));
            }
        }
    }
}

/// Whether the names of a subnet's addresses are a zone of the DNS, so that it can be said not to ask others for them.
fn is_zone(subnet: &Subnet) -> bool {
    let (prefix, digit) = match subnet.first() {
        IpAddr::V4(_) => (subnet.prefix(), 8),
        IpAddr::V6(_) => (subnet.prefix(), 4),
    };
    prefix % digit == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Allow, Dns, Lease, Mode};
    use crate::model::Mtu;

    fn network(reach: Reach, addresses: &[&str], dhcp: bool, dns: Option<Dns>) -> Network {
        let ranges = Dhcp {
            range: Some(([10, 1, 0, 50].into(), [10, 1, 0, 59].into())),
            range6: Some(("fd57::1000".parse().unwrap(), "fd57::1fff".parse().unwrap())),
            lease: Lease { seconds: None },
        };
        let own = OwnNetwork {
            reach,
            mtu: Mtu::ETHERNET,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            dhcp: dhcp.then_some(ranges),
            dns,
            forwards: Vec::new(),
            peers: Vec::new(),
            docker: false,
        };
        let mode = Mode::Own(own);
        Network {
            name: "lab".parse().unwrap(),
            bridge: "vnbr0".parse().unwrap(),
            mode,
            allow: Allow::default(),
            source: None,
        }
    }

    fn place() -> Place {
        Place::new("/run/vnet/lab".into(), "dnsmasq", "nogroup").unwrap()
    }

    fn nat() -> Reach {
        Reach::Nat { source: Vec::new() }
    }

    fn lines(network: &Network) -> Vec<String> {
        server_conf(network, &place()).lines().map(str::to_owned).collect()
    }

    fn has(network: &Network, line: &str) -> bool {
        lines(network).iter().any(|other| other == line)
    }

    #[test]
    fn all_that_the_server_of_a_whole_network_is_told() {
        let dns = Dns { domain: Some("lab.internal".parse().unwrap()), upstream: vec!["9.9.9.9".parse().unwrap()] };
        let network = network(nat(), &["10.1.0.1/24", "fd57::1/64"], true, Some(dns));
        let expected = format!(
            "interface=vnbr0\nuser=dnsmasq\ngroup=nogroup\npid-file=/run/vnet/lab/dnsmasq.pid\n\
             hostsdir=/run/vnet/lab/hosts\n{ALWAYS}domain=lab.internal\nlocal=/lab.internal/\nexpand-hosts\n\
             rev-server=10.1.0.0/24\nrev-server=fd57::/64\nno-resolv\nserver=9.9.9.9\n{WITH_DHCP}\
             dhcp-leasefile=/run/vnet/lab/leases\ndhcp-hostsdir=/run/vnet/lab/dhcp\ndhcp-lease-max=1010\n\
             dhcp-option=option:mtu,1500\ndhcp-range=10.1.0.50,10.1.0.59,255.255.255.0,infinite\n\
             dhcp-range=fd57::1000,fd57::1fff,slaac,ra-names,64,infinite\nenable-ra\n\
             ra-param=vnbr0,mtu:1500,0\ndhcp-option=option6:dns-server,[fd57::1]\n\
             dhcp-option=option6:domain-search,lab.internal\n"
        );
        assert_eq!(server_conf(&network, &place()), expected);
    }

    #[test]
    fn the_host_is_named_as_a_router_where_it_is_one() {
        for (reach, router) in [
            (Reach::Isolated, false),
            (Reach::HostOnly, false),
            (Reach::Routed { proxy_arp: false }, true),
            (nat(), true),
        ] {
            let link = if reach == Reach::Isolated { "eth0" } else { "vnbr0" };
            let network = network(reach, &["10.1.0.1/24", "fd57::1/64"], true, None);
            assert_eq!(has(&network, "dhcp-option=option:router"), !router);
            assert!(has(&network, &format!("ra-param={link},mtu:1500,0{}", if router { "" } else { ",0" })));
            assert!(has(&network, &format!("interface={link}")));
            assert_eq!(has(&network, "# address=fd57::1/64"), link == "eth0");
            assert_eq!(has(&network, "# mtu=1500"), link == "eth0");
            assert_eq!(has(&network, "no-resolv"), !router);
        }
    }

    #[test]
    fn a_subnet_that_is_no_zone_or_too_small_for_slaac_has_less() {
        let network = network(nat(), &["10.1.0.1/25", "fd57::1/112"], true, None);
        let all = lines(&network);
        assert!(all.iter().any(|line| line == "dhcp-range=10.1.0.50,10.1.0.59,255.255.255.128,infinite"));
        assert!(all.iter().any(|line| line == "dhcp-range=fd57::1000,fd57::1fff,112,infinite"));
        assert!(!all.iter().any(|line| line == "rev-server=10.1.0.0/25"));
        assert!(all.iter().any(|line| line == "rev-server=fd57::/112"));
    }

    #[test]
    fn names_alone_are_served_without_leases_and_nothing_without_either() {
        let names = network(Reach::HostOnly, &["10.1.0.1/24"], false, Some(Dns::default()));
        assert!(!lines(&names).iter().any(|line| line.contains("dhcp")), "{:?}", lines(&names));
        assert!(has(&names, "hostsdir=/run/vnet/lab/hosts"));
        assert_eq!(server_conf(&network(nat(), &["10.1.0.1/24"], false, None), &place()), "");
        let bridged = Network::bridged("lan".parse().unwrap(), "br0".parse().unwrap());
        assert_eq!(server_conf(&bridged, &place()), "");
    }

    #[test]
    fn a_place_has_harmless_characters_only() {
        for (directory, user, group) in [
            ("/run/a\nb", "u", "g"),
            ("/run/a b", "u", "g"),
            ("/run/a#b", "u", "g"),
            ("/run/\"a", "u", "g"),
            ("/run/ä", "u", "g"),
            ("/run/a", "u\ndhcp-script=/x", "g"),
            ("/run/a", "u", "g,h"),
        ] {
            assert!(Place::new(directory.into(), user, group).is_err(), "{directory:?} {user:?} {group:?}");
        }
        assert!(Place::new("/run/vnet+1/a_b.c-D".into(), "root", "").is_ok());
    }
}
