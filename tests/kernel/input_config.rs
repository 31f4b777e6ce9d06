//! Bad configuration: exit code 78, and the line that is wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::input_host::without_capabilities;
use crate::run::Run;
use crate::tap::Tap;
use crate::world::World;

const ISOLATED: &str = r#"{"mode": "isolated"}"#;
const NETWORK: &str = "/run/config/networks/default.json";
const GUEST: &str = "/run/config/guests/tap0.json";

/// Runs the hook on a tap that is there: it must fail for the configuration's sake, say this of it, and change nothing.
fn must_fail(world: &World, said: &str) -> Run {
    let _tap = Tap::new("tap0");
    let before = world.picture();
    let run = world.hook("vnet-ifup", &["tap0"]);
    assert_eq!(run.failed(78), format!("vnet-ifup: tap0: {said}"));
    world.must_look_like(&before);
    run
}

fn network_is_refused(text: impl AsRef<[u8]>, said: &str) {
    let world = World::new();
    world.network("default", text);
    must_fail(&world, &format!("{NETWORK}{said}"));
}

fn guest_is_refused(text: &str, said: &str) {
    let world = World::new();
    world.network("default", ISOLATED);
    world.guest("tap0", text);
    must_fail(&world, &format!("{GUEST}{said}"));
}

#[test]
fn an_empty_file() {
    network_is_refused(
        "",
        ": is empty; the least is {\"mode\": \"isolated\"} for a network, {} for a guest or the host",
    );
}

#[test]
fn a_file_that_is_cut_short() {
    network_is_refused("{\n\"mode\": \"iso", ":2: this is no JSON: EOF while parsing a string");
}

#[test]
fn a_file_of_64_kib_and_one_byte() {
    let text = format!("{ISOLATED}{}", " ".repeat(64 * 1024 + 1 - ISOLATED.len()));
    network_is_refused(text, ": has 65537 bytes or more; a file here has at most 65536");
}

#[test]
fn a_file_of_64_kib_is_good() {
    let world = World::new();
    world.network("default", format!("{ISOLATED}{}", " ".repeat(64 * 1024 - ISOLATED.len())));
    let _tap = Tap::new("tap0");
    world.up("tap0");
}

#[test]
fn a_file_that_is_nested_10_000_deep() {
    for (open, close) in [("[", "]"), ("{\"mode\":", "}")] {
        let world = World::new();
        world.network("default", format!("{{\"mode\": {}1{}}}", open.repeat(7_000), close.repeat(7_000)));
        let _tap = Tap::new("tap0");
        let before = world.picture();
        let run = world.hook("vnet-ifup", &["tap0"]);
        assert!(run.failed(78).starts_with(&format!("vnet-ifup: tap0: {NETWORK}:1: ")), "{run:#?}");
        world.must_look_like(&before);
    }
    let world = World::new();
    world.network("default", format!("{{\"mode\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000)));
    let _tap = Tap::new("tap0");
    let run = world.hook("vnet-ifup", &["tap0"]);
    assert!(run.failed(78).starts_with(&format!("vnet-ifup: tap0: {NETWORK}:1: ")), "{run:#?}");
}

#[test]
fn an_unknown_key() {
    network_is_refused(
        "{\"mode\": \"isolated\",\n\"bridges\": \"br0\"}",
        ":2: bridges: unknown field `bridges`; expected one of `mode`, `bridge`, `addresses`, `dhcp`, `dns`, `forwards`, `peers`, `source`, `proxy_arp`, `docker`, `uplink`, `variant`, `mtu`, `allow`",
    );
}

#[test]
fn an_unknown_key_of_a_guest() {
    guest_is_refused(
        "{\"mac\": \"52:54:00:12:34:56\",\n\"tapmac\": \"fe:00:00:00:00:01\"}",
        ":2: tapmac: unknown field `tapmac`; expected one of `network`, `mac`, `tap_mac`, `addresses`, `hostname`, `allow`",
    );
}

#[test]
fn a_doubled_key() {
    network_is_refused(
        "{\"mode\": \"isolated\",\n\"mode\": \"isolated\"}",
        ":2: mode: duplicate field `mode`; keep one of them",
    );
    guest_is_refused(
        "{\"network\": \"lab\",\n\"network\": \"lab\"}",
        ":2: network: duplicate field `network`; keep one of them",
    );
}

#[test]
fn a_file_that_is_not_utf_8() {
    network_is_refused(b"{\"mode\": \"\xff\"}", ": holds bytes that are not UTF-8; a file here is UTF-8 text");
}

#[test]
fn an_mtu_out_of_range() {
    for mtu in [0, 67, 65_536] {
        network_is_refused(
            format!("{{\"mode\": \"isolated\",\n\"mtu\": {mtu}}}"),
            &format!(":2: mtu: {mtu} bytes; an MTU is 68 to 65535 bytes; Ethernet has 1500"),
        );
    }
}

#[test]
fn a_multicast_mac() {
    for key in ["mac", "tap_mac"] {
        guest_is_refused(
            &format!("{{\n\"{key}\": \"01:00:5e:00:00:01\"}}"),
            &format!(
                ":2: {key}: 01:00:5e:00:00:01 is a multicast address; one interface's MAC has an even first byte, such as 52:54:00:12:34:56"
            ),
        );
    }
}

#[test]
fn a_mac_that_is_zero() {
    for key in ["mac", "tap_mac"] {
        guest_is_refused(
            &format!("{{\n\"{key}\": \"00:00:00:00:00:00\"}}"),
            &format!(":2: {key}: 00:00:00:00:00:00 is no address; a MAC is not all zero"),
        );
    }
}

#[test]
fn a_tap_mac_that_is_the_guests_own() {
    guest_is_refused(
        "{\"mac\": \"52:54:00:12:34:56\",\n\"tap_mac\": \"52:54:00:12:34:56\"}",
        ":2: tap_mac: is 52:54:00:12:34:56, which is also mac, the guest's own: its frames would go to the host; give tap_mac another, or remove it",
    );
}

#[test]
fn a_file_that_others_may_write() {
    for mode in [0o664, 0o646, 0o666] {
        let world = World::new();
        let path = world.network("default", ISOLATED);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let said = format!("{NETWORK}: has mode {mode:04o}, so that others may write it; chmod go-w takes that away");
        must_fail(&world, &said);
    }
}

#[test]
fn a_guests_file_that_others_may_write() {
    let world = World::new();
    world.network("default", ISOLATED);
    let path = world.guest("tap0", "{}");
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    must_fail(&world, &format!("{GUEST}: has mode 0666, so that others may write it; chmod go-w takes that away"));
}

#[test]
fn a_symbolic_link() {
    let world = World::new();
    fs::write("/run/elsewhere.json", ISOLATED).unwrap();
    symlink("/run/elsewhere.json", NETWORK).unwrap();
    must_fail(&world, &format!("{NETWORK}: is a symbolic link; put the file itself here"));
}

#[test]
fn a_fifo_does_not_hang_the_hook() {
    let world = World::new();
    mkfifo(NETWORK, Mode::from_bits_truncate(0o644)).unwrap();
    must_fail(&world, &format!("{NETWORK}: is no regular file; write the configuration into a plain file"));
}

#[test]
fn a_directory() {
    let world = World::new();
    fs::create_dir(NETWORK).unwrap();
    must_fail(&world, &format!("{NETWORK}: is no regular file; write the configuration into a plain file"));
}

/// In a user namespace that knows one user no file can be given away; there a file of the machine's root, whom it does
/// not know, is another's.
#[test]
fn a_file_of_another_users() {
    let world = World::new();
    let path = world.network("default", ISOLATED);
    let owner = if chown(&path, Some(65_534), None).is_ok() {
        65_534
    } else {
        let anothers = Path::new("/etc/hostname");
        crate::world::mounted(anothers.to_str(), NETWORK, None, nix::mount::MsFlags::MS_BIND);
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(&path).unwrap())
    };
    assert_ne!(owner, 0);
    must_fail(&world, &format!("{NETWORK}: belongs to user {owner}; chown root lets it count"));
}

#[test]
fn a_file_in_place_of_the_networks_directory() {
    let world = World::new();
    fs::remove_dir(world.config().join("networks")).unwrap();
    fs::write(world.config().join("networks"), "").unwrap();
    let _tap = Tap::new("tap0");
    let before = world.picture();
    let run = world.hook("vnet-ifup", &["tap0"]);
    let line = run.failed(78);
    assert!(line.starts_with("vnet-ifup: tap0: /run/config/networks"), "{line}");
    world.must_look_like(&before);
}

/// A slip of the rights must not put a guest on the LAN either.
#[test]
fn a_networks_directory_that_cannot_be_listed() {
    let world = World::new();
    world.network("lab", ISOLATED);
    fs::set_permissions(world.config().join("networks"), fs::Permissions::from_mode(0o111)).unwrap();
    let _tap = Tap::new("tap0");
    let run = without_capabilities(&world, "vnet-ifup", &["tap0"]);
    let line = "vnet-ifup: tap0: /run/config/networks: cannot be listed: Permission denied (os error 13); make it a directory that can be read, or remove it";
    assert_eq!(run.failed(78), line);
}

#[test]
fn all_problems_of_a_file_are_told_in_the_one_line() {
    network_is_refused(
        "{\"mode\": \"bridged\",\n\"bridge\": \"br0\",\n\"mtu\": 1500,\n\"addresses\": [\"10.0.0.1/24\"]}",
        &format!(
            ":4: addresses: stands beside mode \"bridged\", whose addresses are the LAN's; remove addresses, or let mode be \"host-only\"; also {NETWORK}:3: mtu: stands beside mode \"bridged\", whose guests have their LAN's MTU; remove mtu"
        ),
    );
}
