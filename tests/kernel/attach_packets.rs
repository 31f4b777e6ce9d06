//! Packets: who reaches whom.

use crate::links::Guest;
use crate::world::World;

#[test]
fn guests_of_an_isolated_network_reach_each_other_and_not_the_host() {
    let world = World::new();
    world.network("lab", r#"{"mode": "isolated"}"#);
    // An address of the host's elsewhere, in the guests' own subnet: it must not answer for that either.
    world.ip("link add other type bridge");
    world.ip("link set other up");
    world.ip("addr add 10.0.0.254/24 dev other");
    world.ip("addr add fd00::254/64 dev other nodad");
    let one = Guest::plugged_into(&world, "lab-a", &["10.0.0.1/24", "fd00::1/64"]);
    let two = Guest::plugged_into(&world, "lab-b", &["10.0.0.2/24", "fd00::2/64"]);
    world.up("lab-a");
    world.up("lab-b");
    for address in ["10.0.0.2", "fd00::2"] {
        assert!(one.reaches(address), "{address}");
    }
    for address in ["10.0.0.1", "fd00::1"] {
        assert!(two.reaches(address), "{address}");
    }
    for address in ["10.0.0.254", "fd00::254"] {
        assert!(!one.reaches(address), "{address}");
    }
}

#[test]
fn a_guest_reaches_the_hosts_addresses_on_a_host_only_network() {
    let world = World::new();
    world.network("lab", r#"{"mode": "host-only", "addresses": ["192.168.57.1/24", "fd57::1/64"]}"#);
    let guest = Guest::plugged_into(&world, "lab-a", &["192.168.57.10/24", "fd57::10/64"]);
    world.up("lab-a");
    for address in ["192.168.57.1", "fd57::1"] {
        assert!(guest.reaches(address), "{address}");
    }
}

#[test]
fn guests_of_two_networks_do_not_reach_each_other() {
    let world = World::new();
    world.network("lab", r#"{"mode": "isolated"}"#);
    world.network("web", r#"{"mode": "isolated"}"#);
    let one = Guest::plugged_into(&world, "lab-a", &["10.0.0.1/24"]);
    let _two = Guest::plugged_into(&world, "web-a", &["10.0.0.2/24"]);
    world.up("lab-a");
    world.up("web-a");
    assert!(!one.reaches("10.0.0.2"));
}

#[test]
fn a_guest_on_a_bridge_of_the_administrators_reaches_its_ports() {
    let world = World::new();
    world.ip("link add br0 type bridge");
    world.ip("link set br0 up");
    world.network("lan", r#"{"mode": "bridged", "bridge": "br0"}"#);
    let one = Guest::plugged_into(&world, "lan-a", &["10.0.0.1/24", "fd00::1/64"]);
    let _two = Guest::plugged_into(&world, "lan-b", &["10.0.0.2/24", "fd00::2/64"]);
    world.up("lan-a");
    world.up("lan-b");
    world.ip("addr add 10.0.0.254/24 dev br0");
    for address in ["10.0.0.2", "fd00::2", "10.0.0.254"] {
        assert!(one.reaches(address), "{address}");
    }
}
