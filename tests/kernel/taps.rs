//! `vnet tap`: links for guests that are made beforehand, and who holds them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};

use crate::links::{Guest, addresses, field, index, is_up, link, must_be};
use crate::run::Run;
use crate::tap::Tap;
use crate::world::{World, mounted, output, whole_machines_root};

/// A user without any rights.
const NOBODY: u32 = 65_534;
const MAC: &str = "52:54:00:12:34:57";
const TAP_MAC: &str = "fe:54:00:12:34:57";

fn world() -> World {
    let world = World::new();
    world.network("lab", r#"{"mode": "isolated", "mtu": 4000}"#);
    world
}

/// A network of the LAN of `lan0`, at whose other end is a machine.
fn lan(variant: &str) -> (World, Guest) {
    let world = World::new();
    let machine = Guest::plugged_into(&world, "lan0", &["10.9.0.2/24"]);
    world.ip("addr add 10.9.0.1/24 dev lan0");
    set_up(&world, "lan0");
    world.network("lan", format!(r#"{{"mode": "macvtap", "uplink": "lan0", "variant": "{variant}"}}"#));
    (world, machine)
}

/// Sets a link up, and waits until the kernel has done all that follows.
pub fn set_up(world: &World, card: &str) {
    world.ip(&format!("link set {card} addrgenmode none up"));
    world.must_come_true(|| match world.ip(&format!("-6 route show table all dev {card}")) {
        routes if routes.contains("ff00::/8") => Ok(()),
        routes => Err(format!("{card} is not in use yet: {routes}")),
    });
}

/// Whom a link may be given to: in a user namespace of one user there is no other.
fn somebody() -> u32 {
    if whole_machines_root() { NOBODY } else { 0 }
}

/// The one line by which `vnet` refused or failed, without the program's name.
fn refused(run: &Run, code: i32) -> String {
    assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{run:#?}");
    let line = run.stderr.strip_suffix('\n').and_then(|line| line.strip_prefix("vnet: "));
    line.filter(|line| !line.contains('\n')).unwrap_or_else(|| panic!("{run:#?}")).to_owned()
}

fn listed(world: &World) -> Value {
    serde_json::from_str(&world.told("tap list --json")).unwrap()
}

/// Waits until the bridge has seen that no program holds the taps: it is told a moment later.
fn must_be_idle(world: &World, names: &[&str]) {
    world.must_come_true(|| {
        match names.iter().find(|name| field(name, "/linkinfo/info_slave_data/state") != "disabled") {
            None => Ok(()),
            Some(name) => Err(format!("{name} is still in use")),
        }
    });
}

/// Where the kernel put nothing, for it is no devtmpfs.
fn node(name: &str) -> PathBuf {
    format!("/dev/tap{}", index(name)).into()
}

fn nodes() -> Vec<PathBuf> {
    let all = fs::read_dir("/dev").unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.to_str().unwrap().starts_with("/dev/tap")).collect()
}

/// Lets every user open /dev/net/tun, here and nowhere else.
fn open_tun() {
    mknod("/run/tun", SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(10, 200)).unwrap();
    fs::set_permissions("/run/tun", fs::Permissions::from_mode(0o666)).unwrap();
    mounted(Some("/run/tun"), "/dev/net/tun", None, MsFlags::MS_BIND);
}

/// A shell as a user without any rights.
fn as_nobody(world: &World, script: &str) -> Command {
    let mut command = world.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    command.args(["sh", "-c", script]);
    command
}

/// QEMU with these arguments, which may run no other program; its machine does not start.
fn qemu(world: &World, arguments: &str) -> Child {
    let script = format!(
        "exec qemu-system-x86_64 -S -accel tcg -m 32 -display none -serial none -monitor stdio -sandbox on,spawn=deny {arguments}"
    );
    let mut command = as_nobody(world, &script);
    command.stdin(Stdio::piped()).spawn().unwrap()
}

fn quit(world: &World, mut qemu: Child) -> Run {
    qemu.stdin.take().unwrap().write_all(b"quit\n").unwrap();
    world.finish(qemu)
}

#[test]
fn a_tap_is_made_as_the_hook_would_attach_it_and_stays() {
    let world = world();
    world.guest("web0", format!(r#"{{"network": "lab", "mac": "{MAC}"}}"#));
    let arguments = world.told(&format!("tap add web0 --user {}", somebody()));
    let expected =
        format!("-netdev tap,id=n0,ifname=web0,script=no,downscript=no -device virtio-net-pci,netdev=n0,mac={MAC}\n");
    assert_eq!(arguments, expected);
    for (pointer, expected) in [
        ("/master", json!("vn-lab")),
        ("/ifalias", json!("vnet:lab:persistent")),
        ("/address", json!(TAP_MAC)),
        ("/mtu", json!(4000)),
        ("/inet6_addr_gen_mode", json!("none")),
        ("/linkinfo/info_data/persist", json!(true)),
        ("/linkinfo/info_data/vnet_hdr", json!(true)),
        ("/linkinfo/info_data/pi", json!(false)),
        ("/linkinfo/info_data/multi_queue", json!(false)),
    ] {
        must_be("web0", pointer, expected);
    }
    assert!(is_up("web0") && is_up("vn-lab"));
    let owner = fs::read_to_string("/sys/class/net/web0/owner").unwrap();
    assert_eq!(owner.trim(), somebody().to_string());
    must_be_idle(&world, &["web0"]);
    let before = world.picture();
    assert_eq!(world.told(&format!("tap add web0 --network lab --user {}", somebody())), arguments);
    world.must_look_like(&before);
}

#[test]
fn a_tap_joins_a_bridge_of_the_administrators() {
    let world = World::new();
    world.ip("link add br0 type bridge");
    world.ip("link set br0 address 02:00:00:00:00:01 addrgenmode none up");
    world.network("office", r#"{"mode": "bridged", "bridge": "br0"}"#);
    let bridge = world.picture().of("br0");
    let arguments = world.told("tap add web0 --network office --queues 4");
    assert!(arguments.contains("ifname=web0,script=no,downscript=no,queues=4 ") && arguments.contains(",mq=on\n"));
    must_be("web0", "/master", "br0");
    must_be("web0", "/linkinfo/info_data/multi_queue", true);
    // The guest's own MAC is another than the tap's, and the same on any day.
    let guest = arguments.split("mac=").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let its_tap = guest.split_once(':').map(|(_, rest)| format!("fe:{rest}")).unwrap();
    must_be("web0", "/address", its_tap);
    assert_eq!(world.told("tap del web0"), "web0: removed\n");
    assert!(link("web0").is_none());
    assert!(!world.state().exists(), "a lock is left");
    assert!(world.told("tap add web0 --network office").contains(&guest));
    world.told("tap del web0");
    world.must_come_true(|| match bridge.differences(&world.picture().of("br0")) {
        differences if differences.is_empty() => Ok(()),
        differences => Err(differences.join("\n")),
    });
}

#[test]
fn the_list_tells_whose_each_is_and_who_is_at_it() {
    let world = world();
    assert_eq!(world.told("tap list"), "");
    assert_eq!(listed(&world), json!([]));
    world.told(&format!("tap add web1 --network lab --user {}", somebody()));
    world.told("tap add web0 --network lab --user root --queues 2");
    let name = if whole_machines_root() { "nobody" } else { "root" };
    assert_eq!(world.told("tap list"), format!("web0: lab, tap of root, free\nweb1: lab, tap of {name}, free\n"));
    let held = Tap::with_queues("web0", 2);
    assert!(world.told("tap list").starts_with("web0: lab, tap of root, held\n"));
    let all = listed(&world);
    assert_eq!((&all[0]["tap"], &all[0]["held"], &all[0]["uid"]), (&json!("web0"), &json!(true), &json!(0)));
    assert_eq!((&all[1]["network"], &all[1]["held"], &all[1]["kind"]), (&json!("lab"), &json!(false), &json!("tap")));
    assert!(world.told("status lab").contains("  guest on web1 (no program holds it)\n  guest on web0\n"));
    drop(held);
    world.ip("link set web0 down");
    assert!(world.told("tap list").starts_with("web0: lab, tap of root, down\n"));
}

#[test]
fn a_tap_that_is_held_is_not_removed() {
    let world = world();
    world.told("tap add web0 --network lab");
    let held = Tap::new("web0");
    let before = world.picture();
    assert_eq!(refused(&world.vnet("tap del web0"), 1), "web0: a program holds it; end the guest first");
    world.must_look_like(&before);
    drop(held);
    assert_eq!(world.told("tap del web0"), "web0: removed\n");
}

/// The hook of a guest that has such a tap leaves its mark, and so does the one at its end.
#[test]
fn a_hook_leaves_a_tap_that_stays_as_it_is() {
    let world = world();
    world.told("tap add lab-web0 --network lab");
    must_be_idle(&world, &["lab-web0"]);
    let before = world.picture();
    let held = Tap::new("lab-web0");
    assert!(world.up("lab-web0").text().contains(": nothing to change; "));
    let run = world.down("lab-web0");
    assert!(run.text().contains("vnet made it, and it stays for the next guest"), "{run:#?}");
    drop(held);
    world.must_look_like(&before);
    world.network("web", r#"{"mode": "isolated"}"#);
    world.link_hook("vnet-ifup-web");
    let run = world.hook("vnet-ifup-web", &["lab-web0"]);
    assert!(run.failed(1).contains("lab-web0: it was made to stay in the network lab; "), "{run:#?}");
    world.down("lab-web0");
    assert!(world.told("tap list").starts_with("lab-web0: lab, "));
}

#[test]
fn what_somebody_changed_about_a_tap_is_mended_by_asking_for_it_again() {
    let world = world();
    world.told("tap add web0 --network lab");
    must_be_idle(&world, &["web0"]);
    let before = world.picture().of("web0");
    for change in ["nomaster", "down", "mtu 1500", "addrgenmode eui64"] {
        world.ip(&format!("link set web0 {change}"));
    }
    world.told("tap add web0 --network lab");
    must_be_idle(&world, &["web0"]);
    assert_eq!(before.differences(&world.picture().of("web0")), [""; 0]);
}

#[test]
fn a_tap_that_somebody_took_out_is_taken_back_when_its_network_is_brought_up() {
    let world = world();
    world.told("tap add web0 --network lab");
    world.told("tap add web1 --network lab");
    must_be_idle(&world, &["web0", "web1"]);
    let before = world.picture().of("web0");
    world.ip("link set web0 nomaster");
    assert_eq!(world.told("up lab"), "lab: up on vn-lab (isolated), 1 change\n");
    must_be_idle(&world, &["web0"]);
    assert_eq!(before.differences(&world.picture().of("web0")), [""; 0]);
    world.ip("link del vn-lab");
    world.told("up lab");
    must_be_idle(&world, &["web0", "web1"]);
    assert_eq!(before.differences(&world.picture().of("web0")), [""; 0]);
    // Into another's bridge somebody moved it on purpose.
    world.ip("link add br0 type bridge");
    world.ip("link set web0 master br0");
    let said =
        "lab: up on vn-lab (isolated), nothing to change; somebody moved web0 to br0, and it is left there as it is\n";
    assert_eq!(world.told("up lab"), said);
    must_be("web0", "/master", "br0");
}

#[test]
fn the_network_goes_with_the_taps_that_were_made_for_it() {
    let world = world();
    let before = world.picture();
    world.told("tap add web0 --network lab");
    world.told("tap add web1 --network lab --queues 2");
    assert_eq!(world.told("down lab"), "lab: down; removed what vnet tap add had made: web0, web1\n");
    world.must_look_like(&before);
    assert!(!world.state().exists());
}

#[test]
fn an_unknown_name_network_or_user_is_told_with_what_mends_it() {
    let world = world();
    let guest = world.guest("web1", "{\n\"network\": \"lab\"}");
    let before = world.picture();
    for (arguments, code, said) in [
        (
            "add web0",
            64,
            "web0: which network? name it with --network NETWORK, or as \"network\" in /run/config/guests/web0.json",
        ),
        (
            "add a:b --network lab",
            64,
            "\"a:b\" holds ':'; an interface's name has letters, digits, '_', '.' and '-', and no '-' in front",
        ),
        ("add web0 --network a/b", 64, "\"a/b\" holds '/'; "),
        ("add web0 --network nix", 78, "/run/config/networks/nix.json: is missing; "),
        (
            "add web0 --network lab --user nix",
            64,
            "there is no user nix in /etc/passwd; name one that is there, or give a number",
        ),
        ("add web0 --network lab --user -1", 64, ""),
        ("add web0 --network lab --user 4294967295", 64, "there is no user 4294967295 in /etc/passwd; "),
        ("add web0 --network lab --queues 0", 64, ""),
        ("add web0 --network lab --queues 257", 64, ""),
        ("add", 64, ""),
        ("del", 64, ""),
        ("del web0", 1, "web0: there is no such link; see those that are there: vnet tap list"),
        ("del a:b", 64, "\"a:b\" holds ':'; "),
    ] {
        let run = world.vnet(&format!("tap {arguments}"));
        if said.is_empty() {
            assert_eq!(run.code, Some(code), "{arguments}: {run:#?}");
        } else {
            assert!(refused(&run, code).starts_with(said), "{arguments}: {run:#?}");
        }
    }
    world.network("web", r#"{"mode": "isolated"}"#);
    let said = format!("web1: {}:2 says that it joins lab, not web; change one of them", guest.display());
    assert_eq!(refused(&world.vnet("tap add web1 --network web"), 1), said);
    world.must_look_like(&before);
}

#[test]
fn a_name_that_is_taken_and_a_tap_that_is_another_are_refused() {
    let world = world();
    world.network("web", r#"{"mode": "isolated"}"#);
    world.told("tap add web0 --network lab");
    world.ip("tuntap add theirs mode tap");
    world.ip("tuntap add noted mode tap");
    world.ip("link set noted alias backup");
    let _guest = Guest::plugged_into(&world, "veth0", &[]);
    let _qemus = Tap::new("lab-web1");
    world.up("lab-web1");
    must_be_idle(&world, &["web0"]);
    let before = world.picture();
    let taken = "a link of that name is there, and vnet did not make it to stay; choose another name; see what it is: ip -d link show dev NAME";
    let other = "choose another name, or remove it first: vnet tap del NAME";
    for (arguments, said) in [
        ("theirs --network lab", taken.to_owned()),
        ("noted --network lab", taken.to_owned()),
        ("veth0 --network lab", taken.to_owned()),
        ("lab-web1 --network lab", taken.to_owned()),
        ("vn-lab --network lab", taken.to_owned()),
        ("lo --network lab", taken.to_owned()),
        ("web0 --network web", format!("it was made to stay in the network lab; {other}")),
        (
            "web0 --network lab --user 7",
            format!("it is there already, and it is the user 0's, not the user 7's; {other}"),
        ),
        (
            "web0 --network lab --queues 2",
            format!("it is there already, and it takes one queue, and several are asked for; {other}"),
        ),
    ] {
        let run = world.vnet(&format!("tap add {arguments}"));
        let name = arguments.split(' ').next().unwrap();
        assert_eq!(refused(&run, 1), format!("{name}: {said}"), "{arguments}");
    }
    for name in ["theirs", "noted", "veth0", "lab-web1", "vn-lab", "lo"] {
        // A line that may be pasted must not take a bridge or a network card away.
        let is_tap = ["theirs", "noted", "lab-web1"].contains(&name);
        let how = if is_tap { format!(": ip link del {name}") } else { String::new() };
        let said =
            format!("{name}: vnet did not make it to stay, and leaves it alone; whoever made it removes it{how}");
        assert_eq!(refused(&world.vnet(&format!("tap del {name}")), 1), said);
    }
    world.must_look_like(&before);
}

#[test]
fn without_privileges_nothing_is_made_and_the_list_is_shown() {
    let world = world();
    world.told("tap add web0 --network lab");
    must_be_idle(&world, &["web0"]);
    let before = world.picture();
    let vnet = world.program("vnet");
    let run = |arguments: &str| {
        let mut command = world.command("setpriv");
        command.args(["--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
        if !whole_machines_root() {
            command = world.command("setpriv");
            command.args(["--inh-caps=-all", "--bounding-set=-all"]);
        }
        command.arg(&vnet).arg("tap").args(arguments.split(' '));
        world.run(command)
    };
    for arguments in ["add web1 --network lab", "del web0"] {
        assert_eq!(run(arguments).code, Some(77), "{arguments}: {:#?}", run(arguments));
    }
    assert_eq!(run("list").stdout, "web0: lab, tap of root, free\n");
    world.must_look_like(&before);
}

/// A QEMU that may start no program takes the tap as the user to whom it was given, and as no other.
#[test]
fn a_qemu_without_privileges_holds_the_tap_that_is_its_users() {
    if !whole_machines_root() {
        // There is no other user here, and no device can be made: what can be is that the tap has an owner.
        return a_tap_is_made_as_the_hook_would_attach_it_and_stays();
    }
    let world = world();
    open_tun();
    let arguments = world.told("tap add web0 --network lab --user nobody");
    world.told("tap add web1 --network lab");
    must_be_idle(&world, &["web0", "web1"]);
    let before = world.picture();
    let guest = qemu(&world, arguments.trim());
    world.must_come_true(|| match world.told("tap list") {
        list if list.contains("web0: lab, tap of nobody, held\n") => Ok(()),
        list => Err(format!("{list}\n{:?}", link("web0"))),
    });
    let run = quit(&world, guest);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    // The other is root's.
    let run = quit(&world, qemu(&world, &arguments.replace("ifname=web0", "ifname=web1")));
    assert!(run.code != Some(0) && run.stderr.contains("Operation not permitted"), "{run:#?}");
    world.must_look_like(&before);
}

/// In a user namespace no device can be made, and the LAN's links are refused for it; nothing is left then.
fn devices_can_be_made(world: &World) -> bool {
    if !whole_machines_root() {
        let before = world.picture();
        let run = world.vnet("tap add web0 --network lan");
        assert_eq!(run.code, Some(77), "{run:#?}");
        world.must_look_like(&before);
    }
    whole_machines_root()
}

#[test]
fn a_link_on_a_card_is_its_users_and_leaves_the_card_as_it_is() {
    let (world, _machine) = lan("bridge");
    if !devices_can_be_made(&world) {
        return;
    }
    world.guest("web0", format!(r#"{{"mac": "{MAC}"}}"#));
    let (all, card) = (world.picture(), world.picture().of("lan0"));
    let arguments = world.told("tap add web0 --network lan --user nobody");
    let node = node("web0");
    let expected = format!("-netdev tap,id=n0,fd=3 -device virtio-net-pci,netdev=n0,mac={MAC} 3<>{}\n", node.display());
    assert_eq!(arguments, expected);
    for (pointer, expected) in [
        ("/linkinfo/info_kind", json!("macvtap")),
        ("/linkinfo/info_data/mode", json!("bridge")),
        ("/link", json!("lan0")),
        ("/ifalias", json!("vnet:lan:persistent")),
        ("/address", json!(MAC)),
        ("/inet6_addr_gen_mode", json!("none")),
    ] {
        must_be("web0", pointer, expected);
    }
    assert!(is_up("web0") && addresses("web0").is_empty());
    let status = fs::symlink_metadata(&node).unwrap();
    assert!(status.file_type().is_char_device());
    assert_eq!((status.uid(), status.mode() & 0o7777), (NOBODY, 0o600));
    let mut changed = card.changed(&world.picture().of("lan0"));
    // The kernel lets in what is for the guest, as it sees fit.
    changed.retain(|what| !["lan0: link allmulti", "lan0: link promiscuity"].contains(&what.as_str()));
    assert_eq!(changed, [""; 0]);
    assert_eq!(world.told("tap add web0 --network lan --user nobody"), arguments);
    assert_eq!(
        world.told("tap list"),
        format!("web0: lan, macvtap bridge on lan0 by {} of nobody, free\n", node.display())
    );
    assert!(world.told("status lan").ends_with("lan: up, macvtap on lan0, 10.9.0.1/24\n  guest on web0\n"));
    let run = world.vnet("tap add web0 --network lan");
    assert!(refused(&run, 1).contains("it is the user 65534's, not the user 0's"), "{run:#?}");
    assert_eq!(world.told("tap del web0"), "web0: removed\n");
    assert_eq!(nodes(), [""; 0].map(PathBuf::from));
    world.must_look_like(&all);
}

#[test]
fn each_variant_is_the_kernels_and_all_go_with_the_network() {
    for variant in ["bridge", "vepa", "private", "passthru"] {
        std::thread::spawn(move || {
            let (world, _machine) = lan(variant);
            if !devices_can_be_made(&world) {
                return;
            }
            let before = world.picture();
            let arguments = world.told("tap add web0 --network lan --queues 2");
            must_be("web0", "/linkinfo/info_data/mode", variant);
            let node = node("web0").display().to_string();
            assert!(arguments.contains(",fds=3:4 ") && arguments.ends_with(&format!(",mq=on 3<>{node} 4<>{node}\n")));
            if variant == "passthru" {
                assert_eq!(field("web0", "/address"), field("lan0", "/address"));
                let run = world.vnet("tap add web1 --network lan");
                assert!(refused(&run, 1).contains("the card takes no such link"), "{run:#?}");
                world.guest("web0", format!(r#"{{"mac": "{MAC}"}}"#));
                let run = world.vnet("tap add web0 --network lan");
                assert!(refused(&run, 1).contains("but here guests have the card's, "), "{run:#?}");
            }
            // The kernel gives numbers of devices again, and another test's program may hold for a moment what had this one.
            world.must_come_true(|| match world.vnet("down lan") {
                run if run.stdout == "lan: down; removed what vnet tap add had made: web0\n" => Ok(()),
                run => Err(format!("{run:#?}")),
            });
            assert_eq!(nodes(), [""; 0].map(PathBuf::from));
            world.must_look_like(&before);
        })
        .join()
        .unwrap_or_else(|panic| {
            eprintln!("variant {variant}");
            std::panic::resume_unwind(panic)
        });
    }
}

/// While no program holds the link the kernel gives the host what comes in there: it must not answer for its own
/// addresses with the guest's MAC, nor listen to routers there.
#[test]
fn the_host_does_not_answer_by_a_guests_link() {
    let (world, machine) = lan("bridge");
    if !devices_can_be_made(&world) {
        return;
    }
    world.told("tap add web0 --network lan");
    let answers = machine.inside(|| {
        let mut arping = Command::new("busybox");
        let run = arping.args("arping -c 3 -I eth0 10.9.0.1".split(' ')).output().unwrap();
        String::from_utf8(run.stdout).unwrap()
    });
    let card = field("lan0", "/address");
    let replies: Vec<_> = answers.lines().filter(|line| line.contains("reply from")).collect();
    assert!(!replies.is_empty(), "{answers}");
    assert!(replies.iter().all(|reply| reply.contains(card.as_str().unwrap())), "{answers}");
    assert_eq!(world.picture().sysctl("web0", "ipv6 disable_ipv6"), Some("1"));
}

/// Ethernet, IPv4 and UDP from 10.9.0.9 to 10.9.0.2, port 9, behind the header that such a link has before each frame.
fn frame(to: &str, from: &str) -> Vec<u8> {
    let mac = |text: &str| text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect::<Vec<_>>();
    let mut packet = vec![0x45, 0, 0, 33, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 9, 10, 9, 0, 2];
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend([0, 9, 0, 9, 0, 13, 0, 0]);
    packet.extend(b"hello");
    [vec![0; 10], mac(to), mac(from), vec![8, 0], packet].concat()
}

/// A program without privileges opens the node, and the LAN hears it and is heard by it.
#[test]
fn frames_pass_between_the_lan_and_who_holds_the_link() {
    let (world, machine) = lan("bridge");
    if !devices_can_be_made(&world) {
        return;
    }
    world.guest("web0", format!(r#"{{"mac": "{MAC}"}}"#));
    world.told("tap add web0 --network lan --user nobody");
    let node = node("web0");
    let there = machine.inside(|| field("eth0", "/address").as_str().unwrap().to_owned());
    fs::write("/run/frame", frame(&there, MAC)).unwrap();
    fs::set_permissions("/run/frame", fs::Permissions::from_mode(0o644)).unwrap();
    let listener = machine.inside(|| {
        output("ip", &format!("neigh add 10.9.0.9 lladdr {MAC} dev eth0"));
        UdpSocket::bind("10.9.0.2:9").unwrap()
    });
    listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let script = format!(
        "exec 3<>{}; dd if=/run/frame bs=2000 count=1 >&3 2>/dev/null; busybox timeout 5 dd bs=2000 count=1 <&3 2>/dev/null | od -An -c -v",
        node.display()
    );
    let holder = as_nobody(&world, &script).spawn().unwrap();
    let mut buffer = [0; 64];
    let (length, from) = listener.recv_from(&mut buffer).expect("the LAN heard nothing");
    assert_eq!((&buffer[..length], from.to_string().as_str()), (&b"hello"[..], "10.9.0.9:9"));
    listener.send_to(b"and back", "10.9.0.9:9").unwrap();
    let run = world.finish(holder);
    let heard: String = run.stdout.split_whitespace().collect();
    assert!(run.code == Some(0) && heard.ends_with("andback"), "{run:#?}");
    // Whose it is not cannot open it.
    fs::set_permissions(&node, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&node, Some(1), None).unwrap();
    let run = world.run(as_nobody(&world, &format!("exec 3<>{}", node.display())));
    assert!(run.code != Some(0) && run.stderr.contains("Permission denied"), "{run:#?}");
}

/// Whoever looks for an IPv6 address asks a group that the guest has joined, and not the host.
#[test]
fn the_lan_finds_who_holds_the_link_by_its_ipv6_address() {
    let (world, machine) = lan("bridge");
    if !devices_can_be_made(&world) {
        return;
    }
    world.guest("web0", format!(r#"{{"mac": "{MAC}"}}"#));
    world.told("tap add web0 --network lan");
    let mut guest = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(node("web0")).unwrap();
    let seeker = machine.inside(|| {
        output("ip", "addr add fd09::2/64 dev eth0 nodad");
        UdpSocket::bind("[::]:0").unwrap()
    });
    seeker.send_to(b"x", "[fd09::5054:ff:fe12:3457]:9").unwrap();
    world.must_come_true(|| {
        let mut buffer = [0; 2000];
        while let Ok(length) = guest.read(&mut buffer) {
            if buffer[..length].get(10..16) == Some(&[0x33, 0x33, 0xff, 0x12, 0x34, 0x57]) {
                return Ok(());
            }
        }
        Err("nobody looks for the guest".to_owned())
    });
}

#[test]
fn a_qemu_without_privileges_takes_a_link_on_a_card() {
    let (world, _machine) = lan("bridge");
    if !devices_can_be_made(&world) {
        return;
    }
    for queues in [1, 2] {
        let arguments = world.told(&format!("tap add web{queues} --network lan --user nobody --queues {queues}"));
        let run = quit(&world, qemu(&world, arguments.trim()));
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
    }
}

#[test]
fn a_link_on_a_card_that_is_held_goes_only_by_force() {
    let (world, _machine) = lan("bridge");
    if !devices_can_be_made(&world) {
        return;
    }
    let all = world.picture();
    world.told("tap add web0 --network lan");
    world.told("tap add web1 --network lan");
    let held = File::options().read(true).write(true).open(node("web0")).unwrap();
    let before = world.picture();
    let list = world.told("tap list");
    let said: Vec<_> = list.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(said, ["held", "free"], "{list}");
    assert_eq!(listed(&world)[0]["held"], json!(true));
    assert_eq!(refused(&world.vnet("tap del web0"), 1), "web0: a program holds it; end the guest first");
    let said = "lan: 1 guest is attached (web0), and nothing is changed; stop them first, or cut them off: vnet down --force lan";
    assert_eq!(refused(&world.vnet("down lan"), 1), said);
    // It may be open under another path.
    fs::rename(node("web0"), "/dev/tap-moved").unwrap();
    assert_eq!(refused(&world.vnet("down lan"), 1), said);
    fs::rename("/dev/tap-moved", node("web0")).unwrap();
    world.must_look_like(&before);
    let said = "lan: down; 1 guest was cut off; removed what vnet tap add had made: web0, web1\n";
    assert_eq!(world.told("down --force lan"), said);
    drop(held);
    assert_eq!(nodes(), [""; 0].map(PathBuf::from));
    world.must_look_like(&all);
}

/// Where nobody removes a link's node with it, the next link may get the same number.
#[test]
fn a_node_that_another_link_left_does_not_lead_to_the_next_one() {
    let (world, _machine) = lan("bridge");
    if !devices_can_be_made(&world) {
        return;
    }
    world.told("tap add web0 --network lan");
    let (node, number) = (node("web0"), fs::symlink_metadata(node("web0")).unwrap().rdev());
    fs::remove_file(&node).unwrap();
    let left = |name: &str, number| {
        mknod(name, SFlag::S_IFCHR, Mode::S_IRUSR, number).unwrap();
        std::os::unix::fs::chown(name, Some(NOBODY), None).unwrap();
    };
    left("/dev/tap4000000", number);
    for (name, number) in [("/dev/tap4000001", makedev(1, 3)), ("/dev/tapestry", number), ("/dev/theirs", number)] {
        left(name, number);
    }
    world.told("tap add web0 --network lan");
    assert!(!Path::new("/dev/tap4000000").exists());
    assert_eq!(fs::symlink_metadata(&node).unwrap().rdev(), number);
    for name in ["/dev/tap4000001", "/dev/tapestry", "/dev/theirs"] {
        assert_eq!(fs::symlink_metadata(name).unwrap().uid(), NOBODY, "{name}");
    }
}

/// What lies in the node's place is not followed, changed or removed.
#[test]
fn what_lies_in_the_nodes_place_is_left_and_no_link_is_made() {
    let (world, _machine) = lan("bridge");
    if !devices_can_be_made(&world) {
        return;
    }
    fs::write("/run/precious", "mine").unwrap();
    fs::set_permissions("/run/precious", fs::Permissions::from_mode(0o644)).unwrap();
    let before = world.picture();
    let next = || {
        // The kernel counts on, also over links that are gone.
        world.ip("link add probe type bridge");
        let next = index("probe") + 1;
        world.ip("link del probe");
        PathBuf::from(format!("/dev/tap{next}"))
    };
    let lies: [fn(&Path); 3] = [
        |path| std::os::unix::fs::symlink("/run/precious", path).unwrap(),
        |path| fs::write(path, "mine").unwrap(),
        |path| mknod(path, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3)).unwrap(),
    ];
    for lie in lies {
        let path = next();
        lie(&path);
        let said = fs::symlink_metadata(&path).unwrap();
        let run = world.vnet("tap add web0 --network lan --user nobody");
        let line = refused(&run, 1);
        assert!(
            line.contains(&format!("taking {}, which is not the link's device", path.display()))
                || line.contains("something else has its place in /dev"),
            "{line}"
        );
        let now = fs::symlink_metadata(&path).unwrap();
        assert_eq!((now.ino(), now.uid(), now.mode()), (said.ino(), said.uid(), said.mode()));
        fs::remove_file(path).unwrap();
        world.must_look_like(&before);
    }
    let precious = fs::metadata("/run/precious").unwrap();
    assert_eq!((precious.uid(), precious.mode() & 0o777), (0, 0o644));
    // The next one has another number.
    world.told("tap add web0 --network lan --user nobody");
    // Also where it leads to the right device.
    let path = node("web0");
    fs::rename(&path, "/dev/moved").unwrap();
    std::os::unix::fs::symlink("/dev/moved", &path).unwrap();
    let run = world.vnet("tap add web0 --network lan --user nobody");
    assert!(refused(&run, 1).contains("which is not the link's device"), "{run:#?}");
    assert!(listed(&world)[0]["owner"].is_null());
    world.told("tap del web0");
    assert!(fs::symlink_metadata(&path).is_ok_and(|status| status.is_symlink()));
    world.must_look_like(&before);
}

/// One is kept as it is, and only what is missing of it made anew.
#[test]
fn a_node_that_is_gone_is_made_again() {
    let (world, _machine) = lan("bridge");
    if !devices_can_be_made(&world) {
        return;
    }
    world.told("tap add web0 --network lan --user nobody");
    fs::remove_file(node("web0")).unwrap();
    assert!(listed(&world)[0]["owner"].is_null());
    world.told("tap add web0 --network lan --user nobody");
    assert_eq!(fs::symlink_metadata(node("web0")).unwrap().uid(), NOBODY);
}

#[test]
fn a_card_that_takes_no_guest_is_told_with_what_mends_it() {
    let (world, _machine) = lan("bridge");
    world.ip("link add br0 type bridge");
    let cards = [
        (
            "nix",
            "there is no network card nix (configured in FILE:1); name a network card that is there; see which with: ip -br link",
        ),
        (
            "lo",
            "lo carries no Ethernet, so no guest can sit on it (configured in FILE:1); name a network card of the LAN",
        ),
        (
            "port0",
            "port0 is a port of br0, which takes all that comes in (configured in FILE:1); name that one, or let mode be \"bridged\" with that as bridge",
        ),
        (
            "down0",
            "down0 is down, and no link on it can be up (configured in FILE:1); set it up first: ip link set UPLINK up",
        ),
    ];
    let _port = Guest::plugged_into(&world, "port0", &[]);
    let _down = Guest::plugged_into(&world, "down0", &[]);
    world.ip("link set port0 master br0");
    set_up(&world, "port0");
    let before = world.picture();
    for (card, said) in cards {
        let file = world.network("lan", format!(r#"{{"mode": "macvtap", "uplink": "{card}"}}"#));
        let said = format!("web0: {}", said.replace("FILE", &file.display().to_string()));
        assert_eq!(refused(&world.vnet("tap add web0 --network lan"), 1), said);
    }
    world.must_look_like(&before);
}

/// A hook cannot hand QEMU a character device.
#[test]
fn the_hook_sends_who_would_join_a_card_to_the_verb_that_can() {
    let (world, _machine) = lan("bridge");
    let _tap = Tap::new("lan-web0");
    let before = world.picture();
    let run = world.hook("vnet-ifup", &["lan-web0"]);
    let line = "vnet-ifup: lan-web0: guests sit on lan0 itself, and a hook cannot hand QEMU the device of such a link (configured in /run/config/networks/lan.json:1); make the guest's link beforehand, and give QEMU what that prints: vnet tap add NAME --network NETWORK";
    assert_eq!(run.failed(1), line);
    assert!(refused(&world.vnet("plan lan-web0"), 1).starts_with("lan-web0: guests sit on lan0 itself, "));
    assert_eq!(
        world.told("up lan"),
        "lan: nothing to make: guests join lan0 one by one, by vnet tap add TAP --network lan\n"
    );
    world.must_look_like(&before);
}

/// Where the kernel lacks a kind of link, that is said; this machine's may have it.
#[test]
fn a_kernel_without_ipvtap_says_so_and_nothing_is_left() {
    let (world, _machine) = lan("bridge");
    world.network("lan", r#"{"mode": "ipvtap", "uplink": "lan0"}"#);
    let before = world.picture();
    let run = world.vnet("tap add web0 --network lan");
    if run.code == Some(0) {
        assert_eq!(field("web0", "/linkinfo/info_kind"), "ipvtap");
        assert_eq!(field("web0", "/address"), field("lan0", "/address"));
        world.told("tap del web0");
    } else if whole_machines_root() {
        assert!(refused(&run, 1).contains(": this kernel has no such links (EOPNOTSUPP: "), "{run:#?}");
    }
    world.must_look_like(&before);
}
