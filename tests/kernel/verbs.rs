//! `vnet check` and `vnet plan`.

use std::fs;

use serde_json::Value;

use crate::links::link;
use crate::run::Run;
use crate::tap::Tap;
use crate::world::World;

const ISOLATED: &str = r#"{"mode": "isolated"}"#;

fn vnet(world: &World, arguments: &[&str]) -> Run {
    world.hook("vnet", arguments)
}

/// `vnet check` must find just these problems, which it prints as a line each, in this order.
fn must_find(world: &World, networks: &[&str], problems: &[&str]) {
    let run = vnet(world, &[&["check"], networks].concat());
    assert_eq!(run.code, Some(78), "{run:#?}");
    let found: Vec<_> = run.stdout.lines().collect();
    let problems: Vec<_> = problems.iter().map(|problem| format!("/run/config/{problem}")).collect();
    assert_eq!(found, problems, "{run:#?}");
    assert_eq!(run.log, [""; 0]);
}

#[test]
fn check_of_good_files_counts_them() {
    let world = World::new();
    let run = vnet(&world, &["check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "0 networks and 0 guest files: all good\n"));
    world.network("lab", ISOLATED);
    world.network("web", r#"{"mode": "host-only", "addresses": ["10.0.0.1/24"]}"#);
    world.guest("lab-a", r#"{"network": "web"}"#);
    let run = vnet(&world, &["check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "2 networks and 1 guest file: all good\n"));
    assert_eq!((run.stderr.as_str(), run.log.len()), ("", 0));
}

#[test]
fn check_tells_the_first_error_of_a_file_that_cannot_be_read_and_all_others() {
    let world = World::new();
    world.network("cut", "{\n\"mode\": ");
    world.network("both", "{\"mode\": \"bridged\",\n\"bridge\": \"br0\",\n\"mtu\": 1500,\n\"addresses\": []}");
    world.guest("a", "{\n\"mac\": \"52:54:00:12:34\"}");
    must_find(
        &world,
        &[],
        &[
            "networks/both.json:4: addresses: stands beside mode \"bridged\", whose addresses are the LAN's; remove addresses, or let mode be \"host-only\"",
            "networks/both.json:3: mtu: stands beside mode \"bridged\", whose guests have their LAN's MTU; remove mtu",
            "networks/cut.json:2: this is no JSON: EOF while parsing a value",
            "guests/a.json:2: mac: \"52:54:00:12:34\"; a MAC has six two-digit hexadecimal bytes, such as 52:54:00:12:34:56",
        ],
    );
}

#[test]
fn check_tells_who_is_allowed_and_unknown_here() {
    let world = World::new();
    let allow = r#""allow": {"users": ["root", "nobody-here"], "groups": [7, "root", "no-group-here"]}"#;
    world.network("lab", format!("{{\"mode\": \"isolated\",\n{allow}}}"));
    world.guest("lab-web0", format!("{{\n{allow}}}"));
    let told = |file: &str| {
        let (user, group) = ("user nobody-here in /etc/passwd", "group no-group-here in /etc/group");
        [("users[1]", user, "user"), ("groups[2]", group, "group")].map(|(key, who, kind)| {
            format!("{file}:2: allow.{key}: there is no {who}; add it there, or give the {kind}'s number")
        })
    };
    let expected: Vec<_> = [told("networks/lab.json"), told("guests/lab-web0.json")].concat();
    must_find(&world, &[], &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn check_of_named_networks_reads_no_others() {
    let world = World::new();
    world.network("bad", "{");
    world.network("good", ISOLATED);
    let run = vnet(&world, &["check", "good"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    must_find(&world, &["good", "bad"], &["networks/bad.json:1: this is no JSON: EOF while parsing an object"]);
    let run = vnet(&world, &["check", "gone"]);
    assert_eq!(run.code, Some(78), "{run:#?}");
    assert!(run.stdout.starts_with("/run/config/networks/gone.json: is missing"), "{run:#?}");
}

#[test]
fn check_finds_two_networks_that_take_one_card() {
    let world = World::new();
    world.network("lan", "{\"mode\": \"bridged\",\n\"uplink\": \"eth0\"}");
    world.network("lan2", "{\"mode\": \"bridged\",\n\"uplink\": \"eth0\"}");
    world.network("mac", "{\"mode\": \"macvtap\",\n\"uplink\": \"eth0\"}");
    let taken = |file: &str, other: &str| {
        format!(
            "networks/{file}.json:2: uplink: eth0 is also the uplink of the network {other}, and a card can be a port of one bridge and no more; let the guests of both join one of them"
        )
    };
    let all = [taken("lan2", "lan"), taken("mac", "lan"), taken("mac", "lan2")];
    must_find(&world, &[], &all.each_ref().map(String::as_str));
}

#[test]
fn check_lets_networks_share_a_card_that_none_takes() {
    let world = World::new();
    world.network("mac", "{\"mode\": \"macvtap\", \"uplink\": \"eth0\"}");
    world.network("private", "{\"mode\": \"macvtap\", \"uplink\": \"eth0\", \"variant\": \"private\"}");
    world.network("lan", "{\"mode\": \"bridged\", \"uplink\": \"eth1\"}");
    let run = vnet(&world, &["check"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "3 networks and 0 guest files: all good\n"));
}

#[test]
fn check_finds_networks_that_cannot_share_a_card() {
    let world = World::new();
    let direct = |name: &str, mode: &str, variant: &str| {
        world.network(name, format!("{{\"mode\": \"{mode}\",\n\"uplink\": \"eth0\",\n\"variant\": \"{variant}\"}}"));
    };
    direct("a", "ipvtap", "private");
    direct("b", "ipvtap", "private");
    assert_eq!(vnet(&world, &["check"]).code, Some(0));
    direct("b", "ipvtap", "bridge");
    let differs = "networks/b.json:3: variant: the network a is private on eth0, and all of mode ipvtap on a card have one variant; let both be the same";
    must_find(&world, &[], &[differs]);
    direct("b", "macvtap", "private");
    let both = "networks/b.json:3: variant: eth0 is also the uplink of the network a, and takes guests of mode macvtap or ipvtap, not both; let both have one mode";
    must_find(&world, &[], &[both]);
    direct("a", "macvtap", "passthru");
    let alone = "networks/b.json:3: variant: eth0 is also the uplink of the network a, and passthru has a card to itself; let the guests of both join one of them";
    must_find(&world, &[], &[alone]);
}

#[test]
fn check_finds_two_networks_on_one_bridge() {
    let world = World::new();
    world.network("a", "{\"mode\": \"isolated\",\n\"bridge\": \"br0\"}");
    world.network("b", "{\"mode\": \"bridged\",\n\n\"bridge\": \"br0\"}");
    must_find(&world, &[], &["networks/b.json:3: bridge: br0 is also the bridge of the network a; give each its own"]);
    // Two networks may join one bridge of the administrator's.
    world.network("a", r#"{"mode": "bridged", "bridge": "br0"}"#);
    assert_eq!(vnet(&world, &["check"]).code, Some(0));
}

#[test]
fn check_finds_networks_that_share_a_subnet() {
    let world = World::new();
    world.network("a", r#"{"mode": "host-only", "addresses": ["10.0.0.1/24", "fd00::1/64"]}"#);
    world.network("b", "{\"mode\": \"host-only\",\n\"addresses\": [\"10.0.1.1/16\", \"fd00::2:0:0:1/48\"]}");
    must_find(
        &world,
        &[],
        &[
            "networks/b.json:2: addresses: 10.0.1.1/16 shares a subnet with 10.0.0.1/24 of the network a; choose another",
            "networks/b.json:2: addresses: fd00::2:0:0:1/48 shares a subnet with fd00::1/64 of the network a; choose another",
        ],
    );
}

#[test]
fn check_finds_a_guest_whose_network_is_missing() {
    let world = World::new();
    world.guest("web0", "{\n\n\"network\": \"lab\"}");
    must_find(
        &world,
        &[],
        &["guests/web0.json:3: network: there is no network lab; write /run/config/networks/lab.json"],
    );
}

#[test]
fn check_finds_two_guests_with_one_mac() {
    let world = World::new();
    world.guest("a", r#"{"mac": "52:54:00:12:34:56"}"#);
    world.guest("b", "{\n\"mac\": \"52:54:00:12:34:56\"}");
    must_find(&world, &[], &["guests/b.json:2: mac: is also the MAC of the guest at a; give each its own"]);
}

#[test]
fn check_takes_guests_without_a_mac_for_different_ones() {
    let world = World::new();
    for tap in ["a", "b"] {
        world.guest(tap, "{}");
    }
    assert_eq!(vnet(&world, &["check"]).stdout, "0 networks and 2 guest files: all good\n");
}

#[test]
fn check_finds_files_whose_names_are_no_names() {
    let world = World::new();
    world.network("a b", ISOLATED);
    world.guest("longer-than-15-bytes", "{}");
    let run = vnet(&world, &["check"]);
    assert_eq!(run.code, Some(78));
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{run:#?}");
    assert!(lines[0].starts_with("/run/config/networks/a b.json: its name is no good: "), "{run:#?}");
    assert!(lines[1].starts_with("/run/config/guests/longer-than-15-bytes.json: its name is no good: "), "{run:#?}");
}

#[test]
fn plan_tells_what_the_hook_then_does() {
    let world = World::new();
    world.network("lab", r#"{"mode": "host-only", "addresses": ["10.0.0.1/24"], "mtu": 9000}"#);
    world.guest("lab-a", r#"{"mac": "52:54:00:12:34:56"}"#);
    let _tap = Tap::new("lab-a");
    let before = world.picture();
    let run = vnet(&world, &["plan", "lab-a"]);
    assert_eq!((run.code, run.stderr.as_str(), run.log.len()), (Some(0), "", 0), "{run:#?}");
    world.must_look_like(&before);
    assert!(!world.state().exists(), "a plan takes no lock");
    let mut lines = run.stdout.lines();
    assert_eq!(lines.next(), Some("lab-a joins vn-lab of the network lab (host-only):"));
    let operations: Vec<_> = lines.map(|line| line.split_once(". ").unwrap().1).collect();
    // In full the hook tells only what it did to the tap.
    let (of_tap, of_network): (Vec<&str>, Vec<&str>) = operations.iter().partition(|one| one.contains("lab-a"));
    let said = world.up("lab-a");
    let start = format!("lab-a: on vn-lab of the network lab (brought up by {} changes): ", of_network.len());
    let done = said.text().strip_prefix(&start).unwrap().rsplit_once("; ").unwrap().0;
    assert_eq!(done, of_tap.join(", "));
    let run = vnet(&world, &["plan", "lab-a"]);
    assert_eq!(run.stdout, "lab-a joins vn-lab of the network lab (host-only): nothing to change\n");
}

#[test]
fn plan_tells_programs_each_value_before_and_after() {
    let world = World::new();
    world.network("lab", r#"{"mode": "isolated", "mtu": 9000}"#);
    let _tap = Tap::new("lab-a");
    let run = vnet(&world, &["plan", "--json", "lab-a"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    let plan: Value = serde_json::from_str(&run.stdout).unwrap();
    for (key, value) in [("tap", "lab-a"), ("network", "lab"), ("mode", "isolated"), ("bridge", "vn-lab")] {
        assert_eq!(plan[key], value, "{plan}");
    }
    assert_eq!(plan["notes"], serde_json::json!([]));
    let operations = plan["operations"].as_array().unwrap();
    let of = |link: &str, setting: &str| {
        let found = operations.iter().find(|one| one["link"] == link && one["setting"] == setting);
        let found = found.unwrap_or_else(|| panic!("no {setting} of {link}: {plan}"));
        (found["before"].clone(), found["after"].clone())
    };
    assert_eq!(of("vn-lab", "bridge").0, Value::Null);
    assert_eq!(of("vn-lab", "bridge").1["options"]["stp"], false);
    assert_eq!(of("vn-lab", "net.ipv6.conf.vn-lab.disable_ipv6"), (0.into(), 1.into()));
    assert_eq!(of("lab-a", "alias"), (Value::Null, "vnet:lab:port".into()));
    assert_eq!(of("lab-a", "mtu"), (1500.into(), 9000.into()));
    assert_eq!(of("lab-a", "addrgenmode"), ("eui64".into(), "none".into()));
    assert_eq!(of("lab-a", "master"), (Value::Null, "vn-lab".into()));
    assert_eq!(of("lab-a", "up"), (false.into(), true.into()));
}

#[test]
fn plan_tells_what_is_worth_knowing() {
    let world = World::new();
    world.ip("link add br0 up type bridge stp_state 1 forward_delay 1500");
    world.network("lab", r#"{"mode": "bridged", "bridge": "br0"}"#);
    let _tap = Tap::new("lab-a");
    let note = "br0 runs the spanning tree protocol, so the guest is cut off for the first 30 s";
    let run = vnet(&world, &["plan", "lab-a"]);
    assert_eq!(run.stdout.lines().last(), Some(format!("note: {note}").as_str()), "{run:#?}");
    let run = vnet(&world, &["plan", "--json", "lab-a"]);
    let plan: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(plan["notes"], serde_json::json!([note]));
}

#[test]
fn plan_needs_no_privilege() {
    let world = World::new();
    world.network("lab", ISOLATED);
    let _tap = Tap::new("lab-a");
    let run = crate::input_host::without_privileges(&world, "vnet", &["plan", "lab-a"]);
    assert_eq!(run.code, Some(0), "{run:#?}");
    assert!(run.stdout.contains("attach lab-a to vn-lab"), "{run:#?}");
    assert!(link("vn-lab").is_none());
}

#[test]
fn plan_fails_as_the_hook_would() {
    let world = World::new();
    world.network("lab", ISOLATED);
    let run = vnet(&world, &["plan", "lab-a"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:#?}");
    assert!(run.stderr.starts_with("vnet: lab-a: no such link; "), "{run:#?}");
    world.network("lab", "{");
    let run = vnet(&world, &["plan", "lab-a"]);
    assert_eq!(run.code, Some(78), "{run:#?}");
    assert!(run.stderr.starts_with("vnet: lab-a: /run/config/networks/lab.json:1: "), "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1);
}

#[test]
fn wrong_command_lines_exit_with_64() {
    let world = World::new();
    for arguments in
        [&[][..], &["plan"], &["plan", "a/b"], &["plan", "a", "b"], &["check", "../x"], &["fly"], &["--fast"]]
    {
        let run = vnet(&world, arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(64), ""), "{arguments:?}: {run:#?}");
        assert_ne!(run.stderr, "");
    }
    for arguments in [["--help"], ["--version"]] {
        let run = vnet(&world, &arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is_one() {
    let world = World::new();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let mut command = world.command(world.program("vnet"));
    command.arg("check").stdout(std::process::Stdio::from(writer));
    let run = world.run(command);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    let mut command = world.command("strace");
    command.args(["-o", "/run/trace", "-e", "inject=write:error=ENOSPC:when=1"]);
    command.arg(world.program("vnet")).arg("check");
    let run = world.run(command);
    assert_eq!(run.code, Some(1), "{run:#?}");
    assert_eq!(run.stderr, "vnet: cannot write: No space left on device (os error 28)\n");
}

#[test]
fn a_directory_that_is_no_directory_is_a_problem() {
    let world = World::new();
    fs::remove_dir(world.config().join("guests")).unwrap();
    fs::write(world.config().join("guests"), "").unwrap();
    assert_eq!(vnet(&world, &["check"]).code, Some(78));
}
