//! `vnet status`: what is up, and who is on it.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::client;
use crate::links::Guest;
use crate::picture::servers;
use crate::tap::Tap;
use crate::world::{World, output, whole_machines_root};

const NAT: &str = r#"{"mode": "nat", "addresses": ["10.1.0.1/24", "fd57::1/64"], "dhcp": {}, "forwards": [{"listen": "tcp/2222", "to": "web0:22"}]}"#;
const WEB0: &str = r#"{"network": "lab", "mac": "52:54:00:12:34:57", "addresses": ["10.1.0.10"], "hostname": "web0"}"#;

fn world() -> World {
    let world = World::new();
    world.network("lab", NAT);
    world.guest("web0", WEB0);
    world
}

fn as_json(world: &World, arguments: &str) -> Value {
    serde_json::from_str(&world.told(&format!("status --json {arguments}"))).unwrap()
}

#[test]
fn nothing_is_there() {
    let world = World::new();
    assert_eq!(world.told("status"), "no network has a file, and none is up\n");
    assert_eq!(as_json(&world, ""), json!([]));
}

#[test]
fn networks_that_are_up_and_down() {
    let world = world();
    world.network("own", r#"{"mode": "host-only", "addresses": ["10.2.0.1/24"]}"#);
    let before = world.picture();
    assert_eq!(world.told("status"), "lab: down, nat on vn-lab\n\nown: down, host-only on vn-own\n");
    assert!(!world.state().exists());
    world.must_look_like(&before);
    world.told("up own");
    assert_eq!(world.told("status own"), "own: up, host-only on vn-own, 10.2.0.1/24\n");
    let own = json!([{
        "network": "own", "mode": "host-only", "bridge": "vn-own", "up": true, "addresses": ["10.2.0.1/24"],
        "guests": [], "leases": [], "forwards": [], "dnsmasq": null, "firewall": true,
    }]);
    assert_eq!(as_json(&world, "own"), own);
    let lab = as_json(&world, "lab");
    for (key, value) in
        [("up", json!(false)), ("addresses", json!([])), ("forwards", json!([])), ("firewall", Value::Null)]
    {
        assert_eq!(lab[0][key], value, "{key}");
    }
}

/// Makes a guest that has taken a lease, and one that is down.
fn populate(world: &World) -> (Guest, Tap) {
    let guest = Guest::plugged_into(world, "web0", &[]);
    guest.inside(|| output("ip", "link set eth0 address 52:54:00:12:34:57"));
    world.up("web0");
    let lease = guest.inside(|| client::dhcp("web0"));
    assert_eq!(lease["ip"], "10.1.0.10");
    let tap = Tap::new("lab-b");
    world.up("lab-b");
    world.ip("link set lab-b down");
    world.must_come_true(|| match fs::read_to_string(world.state().join("lab/leases")) {
        Ok(text) if text.contains("10.1.0.10") => Ok(()),
        other => Err(format!("no lease yet: {other:?}")),
    });
    (guest, tap)
}

#[test]
fn guests_leases_forwards_and_the_server() {
    let world = world();
    let _guests = populate(&world);
    world.told("forward add lab udp/5353 web0:53");
    let before = world.picture();
    let process = servers()[0].process;
    let text = world.told("status lab");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "lab: up, nat on vn-lab, 10.1.0.1/24, fd57::1/64");
    assert_eq!(lines[1], format!("  dnsmasq: process {process}"));
    assert_eq!(lines[2..4], ["  guest on web0", "  guest on lab-b (down)"], "{text}");
    let lease = lines[4].strip_prefix("  lease 10.1.0.10 of web0, 52:54:00:12:34:57, for ").unwrap();
    assert!(["60 min", "59 min"].contains(&lease), "{text}");
    assert_eq!(lines[5..], ["  forward tcp/2222 to web0:22", "  forward udp/5353 to web0:53"], "{text}");
    let found = &as_json(&world, "lab")[0];
    assert_eq!(
        found["guests"],
        json!([
            {"tap": "web0", "up": true, "idle": false, "user": null, "mac": null},
            {"tap": "lab-b", "up": false, "idle": false, "user": null, "mac": null},
        ])
    );
    assert_eq!(found["dnsmasq"], json!({"running": true, "process": process}));
    assert_eq!(found["forwards"], json!(["tcp/2222 to web0:22", "udp/5353 to web0:53"]));
    let lease = &found["leases"][0];
    assert_eq!(
        (&lease["address"], &lease["mac"], &lease["hostname"]),
        (&json!("10.1.0.10"), &json!("52:54:00:12:34:57"), &json!("web0"))
    );
    assert!(lease["until"].as_u64().unwrap() > 1_700_000_000);
    world.must_look_like(&before);
}

#[test]
fn what_is_wrong_is_told_with_what_mends_it() {
    let world = world();
    // It is seen to end before its sockets are closed.
    for _ in 0..20 {
        world.told("up lab");
        kill(Pid::from_raw(servers()[0].process), Signal::SIGKILL).unwrap();
        world.must_come_true(|| if servers().is_empty() { Ok(()) } else { Err("it still runs".to_owned()) });
    }
    let line = "  wrong: dnsmasq does not run; mend it with: vnet up lab";
    assert_eq!(world.told("status lab").lines().nth(1), Some(line));
    assert_eq!(as_json(&world, "lab")[0]["dnsmasq"], json!({"running": false, "process": null}));
    world.told("up lab");
    assert!(!world.told("status lab").contains("wrong"));
    for way in ["flush ruleset", "delete table inet vnet", "flush table inet vnet", "delete table bridge vnet"] {
        output("nft", way);
        let line = "  wrong: the firewall lost its rules; mend it with: vnet up lab";
        assert_eq!(world.told("status lab").lines().nth(1), Some(line), "{way}");
        assert_eq!(as_json(&world, "lab")[0]["firewall"], json!(false), "{way}");
        world.told("up lab");
        assert_eq!(as_json(&world, "lab")[0]["firewall"], json!(true), "{way}");
    }
}

#[test]
fn anybody_may_ask() {
    let world = world();
    let _guests = populate(&world);
    let by_root = world.told("status");
    let mut command = world.command("setpriv");
    // A user namespace has one user only.
    match whole_machines_root() {
        true => command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]),
        false => command.args(["--bounding-set=-all", "--inh-caps=-all"]),
    };
    command.arg(world.program("vnet")).arg("status");
    let run = world.run(command);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    assert_eq!(run.stdout, by_root);
    let run = crate::input_host::without_capabilities(&world, "vnet", &["status", "--json"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&found[0]["firewall"], &found[0]["up"]), (&Value::Null, &json!(true)));
}

#[test]
fn what_cannot_be_told() {
    let world = world();
    for (arguments, code) in [("gone", 78), ("../x", 64)] {
        let run = world.vnet(&format!("status {arguments}"));
        assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{run:#?}");
    }
    // Another's bridge of that name is not this network's.
    world.ip("link add vn-lab type bridge");
    world.ip("link set vn-lab up");
    assert_eq!(world.told("status lab"), "lab: down, nat on vn-lab\n");
}

#[test]
fn a_bridged_network() {
    let world = World::new();
    world.network("lan", r#"{"mode": "bridged", "bridge": "br0"}"#);
    assert_eq!(world.told("status"), "lan: down, bridged on br0\n");
    world.ip("link add br0 type bridge");
    world.ip("addr add 10.7.0.1/24 dev br0");
    world.ip("link set br0 up");
    let _tap = Tap::new("lan-a");
    world.up("lan-a");
    assert_eq!(world.told("status lan"), "lan: up, bridged on br0, 10.7.0.1/24\n  guest on lan-a\n");
}
