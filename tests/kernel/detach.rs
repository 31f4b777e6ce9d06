//! `vnet-ifdown`: a tap leaves its network.

use std::fs;

use crate::contract::hold_lock;
use crate::input_host::without_privileges;
use crate::links::{addresses, field, is_up, link, must_be, must_have_addresses};
use crate::tap::Tap;
use crate::world::{World, whole_machines_root};

/// A world whose network `lab` is up already, for a bridge of ours stays.
fn world() -> World {
    let world = World::new();
    world.network("lab", r#"{"mode": "isolated", "mtu": 9000}"#);
    let first = Tap::new("lab-first");
    world.up("lab-first");
    drop(first);
    world
}

#[test]
fn a_tap_of_qemus_is_left_to_the_kernel_and_leaves_nothing_but_our_bridge() {
    let world = world();
    let before = world.picture();
    let tap = Tap::new("lab-a");
    world.up("lab-a");
    let joined = world.picture();
    let run = world.down("lab-a");
    assert!(run.text().starts_with("lab-a: the kernel removes it and its port when QEMU closes it; "), "{run:#?}");
    world.must_look_like(&joined);
    drop(tap);
    world.must_look_like(&before);
}

#[test]
fn a_persistent_tap_is_what_it_was_before() {
    let world = world();
    world.ip("tuntap add lab-a mode tap");
    world.guest("lab-a", r#"{"mac": "52:54:00:12:34:56"}"#);
    let before = world.picture();
    world.up("lab-a");
    must_be("lab-a", "/mtu", 9000);
    must_be("lab-a", "/address", "fe:54:00:12:34:56");
    let run = world.down("lab-a");
    assert!(run.text().contains("detach lab-a from vn-lab"), "{run:#?}");
    world.must_look_like(&before);
}

#[test]
fn a_veth_is_what_it_was_before() {
    let world = world();
    world.ip("link add lab-a mtu 1400 type veth peer name guest");
    let before = world.picture();
    world.up("lab-a");
    world.down("lab-a");
    world.must_look_like(&before);
}

#[test]
fn a_veth_that_was_up_and_had_an_address_is_what_it_was_before() {
    let world = world();
    world.ip("link add lab-a type veth peer name guest");
    world.ip("link set guest up");
    world.ip("link set lab-a up addrgenmode eui64");
    must_have_addresses(&world, &["lab-a", "guest"]);
    let before = world.picture();
    world.up("lab-a");
    assert_eq!(addresses("lab-a"), [""; 0]);
    world.down("lab-a");
    assert!(is_up("lab-a"));
    world.must_look_like(&before);
}

#[test]
fn up_and_down_many_times_is_up_and_down_once() {
    let world = world();
    world.ip("tuntap add lab-a mode tap multi_queue");
    let before = world.picture();
    for _ in 0..3 {
        world.up("lab-a");
        world.up("lab-a");
        world.down("lab-a");
        world.down("lab-a");
    }
    world.must_look_like(&before);
}

#[test]
fn a_tap_that_is_gone_is_no_failure() {
    let world = world();
    let before = world.picture();
    let run = world.down("lab-a");
    assert!(run.text().starts_with("lab-a: it is gone already; "), "{run:#?}");
    world.must_look_like(&before);
}

#[test]
fn a_link_that_is_not_ours_stays_as_it_is() {
    let world = world();
    world.ip("link add br0 type bridge");
    world.ip("tuntap add lab-a mode tap");
    world.ip("link set lab-a master br0 alias theirs up");
    world.ip("tuntap add lab-b mode tap");
    world.ip("link set lab-b master vn-lab up");
    let before = world.picture();
    for tap in ["lab-a", "lab-b", "br0", "vn-lab", "lo"] {
        world.down(tap);
        world.must_look_like(&before);
    }
}

#[test]
fn a_broken_configuration_keeps_no_tap_from_leaving() {
    let world = world();
    world.ip("tuntap add lab-a mode tap");
    let before = world.picture();
    world.up("lab-a");
    world.network("lab", "{");
    world.down("lab-a");
    world.must_look_like(&before);
}

#[test]
fn a_missing_configuration_keeps_no_tap_from_leaving() {
    let world = world();
    world.ip("tuntap add lab-a mode tap");
    let before = world.picture();
    world.up("lab-a");
    fs::remove_dir_all(world.config()).unwrap();
    fs::remove_dir_all(world.state()).unwrap();
    world.down("lab-a");
    world.must_look_like(&before);
}

/// With -runas QEMU is another user by then.
#[test]
fn without_privileges_it_changes_nothing_says_so_and_succeeds() {
    let world = world();
    world.ip("tuntap add lab-a mode tap");
    world.up("lab-a");
    let before = world.picture();
    let run = without_privileges(&world, "vnet-ifdown", &["lab-a"]).succeeded();
    let (priority, program, text) = run.said().unwrap();
    assert_eq!((priority, program), ("<28>", "vnet-ifdown"));
    assert!(text.starts_with("lab-a: left as it is: vnet-ifdown ran without privileges (QEMU's -runas)"), "{text}");
    world.must_look_like(&before);
}

/// Another user, where there can be one: a user namespace of one user has none, and there it has no capability at all.
#[test]
fn as_another_user_it_changes_nothing_and_succeeds() {
    let world = world();
    fs::set_permissions("/dev/log", std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    world.ip("tuntap add lab-a mode tap");
    world.up("lab-a");
    let _tap = Tap::new("lab-b");
    world.up("lab-b");
    let before = world.picture();
    for tap in ["lab-a", "lab-b", "lab-gone"] {
        let mut command = world.command("setpriv");
        if whole_machines_root() {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        } else {
            command.args(["--bounding-set=-all", "--inh-caps=-all"]);
        }
        command.arg(world.program("vnet-ifdown")).arg(tap);
        let run = world.run(command).succeeded();
        assert!(run.log[0].contains("without privileges"), "{:?}", run.log);
        world.must_look_like(&before);
    }
}

#[test]
fn a_tap_that_left_joins_another_network() {
    let world = world();
    world.network("web", r#"{"mode": "isolated"}"#);
    world.ip("tuntap add lab-a mode tap");
    world.guest("lab-a", r#"{"network": "web"}"#);
    world.up("lab-a");
    must_be("lab-a", "/master", "vn-web");
    world.down("lab-a");
    world.guest("lab-a", "{}");
    world.up("lab-a");
    must_be("lab-a", "/master", "vn-lab");
    world.down("lab-a");
    assert!(field("lab-a", "/master").is_null());
}

/// QEMU was killed and its persistent tap is still a port; meanwhile the guest was given another network.
#[test]
fn a_port_of_ours_moves_where_its_file_says_and_still_knows_what_it_was() {
    let world = world();
    world.network("web", r#"{"mode": "isolated"}"#);
    world.ip("tuntap add lab-a mode tap");
    let before = link("lab-a");
    world.up("lab-a");
    world.guest("lab-a", r#"{"network": "web"}"#);
    world.up("lab-a");
    must_be("lab-a", "/master", "vn-web");
    must_be("lab-a", "/mtu", 1500);
    world.down("lab-a");
    assert_eq!(link("lab-a").unwrap()["address"], before.unwrap()["address"]);
    assert!(field("lab-a", "/ifalias").is_null());
}

#[test]
fn bad_names_are_refused_by_the_name_of_the_hook() {
    let world = world();
    let run = world.hook("vnet-ifdown", &["a/b"]);
    assert!(run.failed(64).starts_with("vnet-ifdown: \"a/b\" holds '/'"), "{run:#?}");
    let run = world.hook::<&str>("vnet-ifdown", &[]);
    assert!(run.failed(64).starts_with("vnet-ifdown: no argument"), "{run:#?}");
}

#[test]
fn a_lock_that_is_held_is_waited_for_and_then_all_is_looked_at_again() {
    let world = world();
    world.ip("tuntap add lab-a mode tap");
    world.up("lab-a");
    world.ip("tuntap add lab-b mode tap");
    let before = link("lab-b");
    world.up("lab-b");
    let lock = hold_lock(&world);
    let start = |tap| world.command(world.program("vnet-ifdown")).arg(tap).spawn().unwrap();
    let (first, second) = (start("lab-a"), start("lab-b"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    must_be("lab-a", "/master", "vn-lab");
    must_be("lab-b", "/master", "vn-lab");
    // Somebody else takes the first one over.
    world.ip("link set lab-a alias theirs");
    let taken = link("lab-a");
    drop(lock);
    world.finish(first);
    world.finish(second);
    assert_eq!(link("lab-a"), taken);
    assert_eq!(link("lab-b").unwrap()["address"], before.unwrap()["address"]);
    assert!(field("lab-b", "/master").is_null() && field("lab-b", "/ifalias").is_null());
}

#[test]
fn where_nothing_is_to_be_undone_no_lock_is_waited_for() {
    let world = world();
    let _tap = Tap::new("lab-a");
    world.up("lab-a");
    let _lock = hold_lock(&world);
    let run = world.down("lab-a");
    assert!(run.text().starts_with("lab-a: the kernel removes it and its port when QEMU closes it; "), "{run:#?}");
}
