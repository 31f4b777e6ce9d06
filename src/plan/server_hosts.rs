//! What a network's server is told of its guests: two small files for each, so that one who comes or goes touches
//! nobody else's.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::server::{Place, server_conf};
use crate::config::{Guest, Network, OwnNetwork};
use crate::model::{IfName, Subnet};

/// All files of a network's server, but for those that it writes itself.
pub fn server_files(network: &Network, guests: &[Guest], place: &Place) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    if let Some(own) = network.own().filter(|own| own.serves()) {
        files.insert(place.directory().join("dnsmasq.conf"), server_conf(network, place));
        for guest in guests {
            let known = guest_files(own, guest, place.directory()).into_iter();
            files.extend(known.filter_map(|(path, text)| Some((path, text?))));
        }
    }
    files
}

/// The files of one guest, and what they say; `None` where there shall be none.
pub fn guest_files(own: &OwnNetwork, guest: &Guest, directory: &Path) -> [(PathBuf, Option<String>); 2] {
    let name = file_name(&guest.tap);
    let path = |kind: &str| directory.join(kind).join(&name);
    [(path("dhcp"), dhcp_host(own, guest)), (path("hosts"), hosts(guest))]
}

/// The name of a guest's files. dnsmasq passes over one that starts with a dot, which a tap's name may.
fn file_name(tap: &IfName) -> String {
    let at = if tap.as_str().starts_with('.') { "@" } else { "" };
    format!("{at}{tap}")
}

/// The line that reserves a guest its addresses and its name: `MAC,IPV4,[IPV6],HOSTNAME.`
///
/// `None` where nothing is reserved, and for a guest whose MAC is not known: by its name alone any guest could claim
/// what is another's.
pub fn dhcp_host(own: &OwnNetwork, guest: &Guest) -> Option<String> {
    own.dhcp.as_ref()?;
    let mut line = guest.mac?.to_string();
    let alone = line.len();
    // Only what lies in the subnets that are served can be given out, and of IPv4 one address.
    let served = |ipv4| {
        let subnet = own.address_of_family(ipv4).map(Subnet::from);
        guest.addresses.iter().filter(move |ip| subnet.is_some_and(|subnet| subnet.contains(**ip)))
    };
    for ip in served(true).take(1).chain(served(false)) {
        _ = match ip {
            IpAddr::V4(ip) => write!(line, ",{ip}"),
            IpAddr::V6(ip) => write!(line, ",[{ip}]"),
        };
    }
    if let Some(hostname) = &guest.hostname {
        // With the dot it can be nothing but a name: "infinite" and "1d" would be the time of the lease, "ignore" a
        // command.
        _ = write!(line, ",{hostname}.");
    }
    (line.len() > alone).then(|| line + "\n")
}

/// The lines that name a guest's addresses: `ADDRESS HOSTNAME`. `None` where there is no name, or nothing to name.
pub fn hosts(guest: &Guest) -> Option<String> {
    let hostname = guest.hostname.as_ref()?;
    let mut text = String::new();
    for ip in &guest.addresses {
        _ = writeln!(text, "{ip} {hostname}");
    }
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Allow, Dns, Mode, Source};

    fn network(addresses: &[&str]) -> Network {
        let first = addresses.first().unwrap().parse().unwrap();
        let mut network = Network::built_in("lab".parse().unwrap(), first);
        if let Mode::Own(own) = &mut network.mode {
            own.addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        }
        network
    }

    fn guest(tap: &str, mac: Option<&str>, addresses: &[&str], hostname: Option<&str>) -> Guest {
        Guest {
            tap: tap.parse().unwrap(),
            network: None,
            mac: mac.map(|mac| mac.parse().unwrap()),
            tap_mac: None,
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
            hostname: hostname.map(|name| name.parse().unwrap()),
            allow: Allow::default(),
            source: Source { path: "guest.json".into(), text: String::new() },
        }
    }

    #[test]
    fn what_is_reserved_and_what_is_named() {
        let network = network(&["10.1.0.1/24", "10.2.0.1/24", "fd57::1/64"]);
        let own = network.own().unwrap();
        let mac = Some("52:54:00:12:34:57");
        for (mac, addresses, hostname, dhcp, named) in [
            (None, &[][..], None, None, None),
            (mac, &[], None, None, None),
            (mac, &[], Some("web0"), Some("52:54:00:12:34:57,web0.\n"), None),
            (None, &["10.1.0.9"], Some("web0"), None, Some("10.1.0.9 web0\n")),
            (mac, &["10.1.0.9"], None, Some("52:54:00:12:34:57,10.1.0.9\n"), None),
            (mac, &["10.2.0.9"], Some("ignore"), Some("52:54:00:12:34:57,ignore.\n"), Some("10.2.0.9 ignore\n")),
            (
                mac,
                &["10.2.0.9", "fd57::9", "10.1.0.9", "10.1.0.10"],
                Some("1d"),
                Some("52:54:00:12:34:57,10.1.0.9,[fd57::9],1d.\n"),
                Some("10.2.0.9 1d\nfd57::9 1d\n10.1.0.9 1d\n10.1.0.10 1d\n"),
            ),
        ] {
            let guest = guest("web0", mac, addresses, hostname);
            assert_eq!(dhcp_host(own, &guest).as_deref(), dhcp, "{guest:?}");
            assert_eq!(hosts(&guest).as_deref(), named, "{guest:?}");
        }
    }

    #[test]
    fn each_guest_has_its_own_files() {
        let mut network = network(&["10.1.0.1/24"]);
        let place = Place::new("/run/vnet/lab".into(), "dnsmasq", "nogroup").unwrap();
        let guests = [
            guest("web0", Some("52:54:00:12:34:57"), &["10.1.0.9"], Some("web0")),
            guest(".b", Some("52:54:00:12:34:58"), &["10.1.0.10"], None),
            guest("c", None, &[], None),
        ];
        let names = |network: &Network| -> Vec<_> {
            server_files(network, &guests, &place).into_keys().map(|path| path.display().to_string()).collect()
        };
        let expected =
            ["dhcp/@.b", "dhcp/web0", "dnsmasq.conf", "hosts/web0"].map(|name| format!("/run/vnet/lab/{name}"));
        assert_eq!(names(&network), expected);
        if let Mode::Own(own) = &mut network.mode {
            own.dhcp = None;
            own.dns = Some(Dns::default());
        }
        assert_eq!(names(&network), expected.get(2..).unwrap());
        if let Mode::Own(own) = &mut network.mode {
            own.dns = None;
        }
        assert_eq!(names(&network), [""; 0]);
    }
}
