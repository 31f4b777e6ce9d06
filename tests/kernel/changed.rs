//! `vnet up` of a network whose file changed since: the smallest difference, and guests stay attached.

use std::fs;
use std::net::{TcpListener, TcpStream};

use crate::links::{Guest, index, must_be};
use crate::picture::servers;
use crate::uplink::{Uplink, connect, echo, echoes, must_be_back};

/// A NAT network with these keys besides, a guest on it, and its connection with outside.
struct Site {
    host: Uplink,
    _guest: Guest,
    stream: TcpStream,
    bridge: u32,
}

fn nat(keys: &str) -> String {
    format!(r#"{{"mode": "nat", "addresses": ["10.1.0.1/24"]{keys}}}"#)
}

impl Site {
    fn new(keys: &str) -> Self {
        let host = Uplink::new();
        host.world.network("lab", nat(keys));
        let guest = host.guest("lab-0", &["10.1.0.10/24"]);
        echo(host.outside.inside(|| TcpListener::bind("[::]:7").unwrap()));
        let stream = connect(&guest, "192.0.2.2:7").unwrap();
        let bridge = index("vn-lab");
        Self { host, _guest: guest, stream, bridge }
    }

    /// Changes the file; brings the network up again; tells what is different, without the bridge's seal, which always
    /// is.
    fn changes(&mut self, network: &str) -> Vec<String> {
        let world = &self.host.world;
        assert!(echoes(&mut self.stream));
        let before = world.picture();
        world.network("lab", network);
        world.told("up lab");
        assert!(echoes(&mut self.stream), "the guest's connection is cut");
        must_be("lab-0", "/master", "vn-lab");
        assert_eq!(index("vn-lab"), self.bridge, "another bridge");
        let mut changed = before.changed(&world.picture());
        let seal = changed.iter().position(|key| key == "vn-lab: link ifalias").expect("the seal is the same");
        changed.remove(seal);
        assert_eq!(world.told("up lab"), "lab: up on vn-lab (nat), nothing to change\n");
        changed
    }
}

const DHCP: &str = r#", "dhcp": {"lease": "2h"}"#;

#[test]
fn a_forward_more_and_less() {
    let mut site = Site::new(DHCP);
    let server = servers()[0].process;
    let forward = format!(r#"{DHCP}, "forwards": [{{"listen": "tcp/2222", "to": "10.1.0.10:22"}}]"#);
    assert_eq!(site.changes(&nat(&forward)), ["table inet vnet, map fwd4"]);
    assert_eq!(site.changes(&nat(DHCP)), ["table inet vnet, map fwd4"]);
    assert_eq!(servers()[0].process, server, "the server was started again for nothing");
}

#[test]
fn a_server_more_and_less() {
    let mut site = Site::new("");
    let files = [
        "file lab",
        "file lab/dhcp",
        "file lab/dnsmasq.conf",
        "file lab/dnsmasq.pid",
        "file lab/hosts",
        "file lab/leases",
        "server 0",
    ];
    let own: Vec<_> = site.changes(&nat(DHCP)).into_iter().filter(|key| !files.contains(&key.as_str())).collect();
    assert!(own.iter().all(|key| key.starts_with("file lab/")), "{own:?}");
    assert_eq!(servers().len(), 1);
    site.changes(&nat(""));
    assert_eq!(servers().len(), 0);
    assert!(!fs::exists(site.host.world.state().join("lab")).unwrap());
}

#[test]
fn another_lease() {
    let mut site = Site::new(DHCP);
    assert_eq!(site.changes(&nat(r#", "dhcp": {"lease": "3h"}"#)), ["file lab/dnsmasq.conf"]);
    assert_eq!(servers().len(), 1);
}

#[test]
fn a_subnet_more_and_less() {
    let mut site = Site::new("");
    let with = r#"{"mode": "nat", "addresses": ["10.1.0.1/24", "10.2.0.1/24"]}"#;
    let changes = [
        "routes -4",
        "table bridge vnet, set own4",
        "table inet vnet, set masq4",
        "table inet vnet, set net4",
        "vn-lab: addresses",
    ];
    assert_eq!(site.changes(with), changes);
    assert_eq!(site.changes(&nat("")), changes);
}

#[test]
fn another_mtu_of_the_bridge() {
    let mut site = Site::new("");
    let changed = site.changes(&nat(r#", "mtu": 1400"#));
    let of_mtu = |key: &&String| !key.contains("mtu");
    assert_eq!(changed.iter().filter(of_mtu).count(), 0, "{changed:?}");
}

#[test]
fn another_mode() {
    let mut site = Site::new(DHCP);
    let world = &site.host.world;
    let before = world.picture();
    world.network("lab", r#"{"mode": "routed", "addresses": ["10.1.0.1/24"], "dhcp": {"lease": "2h"}}"#);
    world.told("up lab");
    let changes = ["table inet vnet, set masq4", "table inet vnet, set nat", "vn-lab: link ifalias"];
    assert_eq!(before.changed(&world.picture()), changes);
    assert!(!echoes(&mut site.stream), "the guest goes on as the host");
    for mode in [r#"{"mode": "host-only", "addresses": ["10.1.0.1/24"]}"#, r#"{"mode": "isolated"}"#] {
        world.network("lab", mode);
        world.told("up lab");
        must_be("lab-0", "/master", "vn-lab");
        assert!(!echoes(&mut site.stream), "what {mode} does not let through goes on");
    }
    world.network("lab", nat(DHCP));
    world.told("up lab");
    world.must_look_like(&before);
}

#[test]
fn another_reservation_of_a_guest_is_known_to_the_server_that_runs() {
    let site = Site::new(DHCP);
    let world = &site.host.world;
    let server = servers()[0].process;
    let guest = |ip: &str| format!(r#"{{"network": "lab", "mac": "52:54:00:12:34:57", "addresses": ["{ip}"]}}"#);
    for ip in ["10.1.0.77", "10.1.0.78"] {
        world.guest("lab-x", guest(ip));
        world.told("up lab");
        let client = Guest::plugged_into(world, "lab-x", &[]);
        client.inside(|| crate::world::output("ip", "link set eth0 address 52:54:00:12:34:57"));
        world.up("lab-x");
        assert_eq!(client.inside(|| crate::client::dhcp(""))["ip"], ip);
        world.ip("link del lab-x");
    }
    assert_eq!(servers()[0].process, server);
}

#[test]
fn a_hook_brings_up_what_the_file_says_now() {
    let host = Uplink::new();
    let world = &host.world;
    let before = world.picture();
    world.network("lab", nat(""));
    world.told("up lab");
    world.network("lab", nat(DHCP));
    let tap = crate::tap::Tap::new("lab-a");
    world.up("lab-a");
    assert_eq!(servers().len(), 1);
    drop(tap);
    world.told("down lab");
    must_be_back(world, &before);
}
