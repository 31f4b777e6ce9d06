//! Bad bridges.

use std::fmt::Write;
use std::fs;

use crate::input::must_fail;
use crate::tap::Tap;
use crate::world::World;

/// A world whose network `lab` is of the bridge br9, as its third line says.
fn world() -> World {
    let world = World::new();
    world.network("lab", "{\n\"mode\": \"bridged\",\n\"bridge\": \"br9\"\n}");
    world.guest("tap0", r#"{"network": "lab"}"#);
    world
}

const CONFIGURED: &str = "(configured in /run/config/networks/lab.json:3)";

#[test]
fn a_missing_bridge() {
    let world = world();
    let _tap = Tap::new("tap0");
    let line = format!(
        "vnet-ifup: tap0: cannot join br9: no such bridge {CONFIGURED}; make the bridge, or name one that is there"
    );
    must_fail(&world, &["tap0"], 1, &line);
}

#[test]
fn a_link_that_is_no_bridge() {
    let world = world();
    world.ip("link add br9 type veth peer name other");
    let _tap = Tap::new("tap0");
    let line =
        format!("vnet-ifup: tap0: cannot join br9: it is a link of kind veth, no bridge {CONFIGURED}; name a bridge");
    must_fail(&world, &["tap0"], 1, &line);
}

#[test]
fn a_tap_in_place_of_the_bridge() {
    let world = world();
    let _other = Tap::new("br9");
    let _tap = Tap::new("tap0");
    let line = format!("vnet-ifup: tap0: cannot join br9: it is a tap, no bridge {CONFIGURED}; name a bridge");
    must_fail(&world, &["tap0"], 1, &line);
}

#[test]
fn a_bridge_of_another_network_of_ours() {
    let world = world();
    world.network("web", r#"{"mode": "isolated", "bridge": "br9"}"#);
    let _other = Tap::new("web-a");
    world.up("web-a");
    let _tap = Tap::new("tap0");
    let line = format!(
        "vnet-ifup: tap0: cannot join br9: it is the bridge of the network web {CONFIGURED}; choose another name for bridge"
    );
    must_fail(&world, &["tap0"], 1, &line);
}

#[test]
fn a_bridge_of_the_administrators_where_ours_should_be() {
    let world = World::new();
    world.network("lab", "{\n\"mode\": \"isolated\"}");
    world.ip("link add vn-lab type bridge");
    let _tap = Tap::new("lab-a");
    let line = "vnet-ifup: lab-a: cannot make the bridge vn-lab: a link of that name is there, and vnet did not make it (configured in /run/config/networks/lab.json:1); choose another name for bridge, or mode \"bridged\" to join it as it is";
    must_fail(&world, &["lab-a"], 1, line);
}

#[test]
fn a_bridge_with_a_foreign_alias_where_ours_should_be() {
    let world = World::new();
    world.network("lab", "{\n\"mode\": \"isolated\"}");
    let tap = Tap::new("lab-a");
    world.up("lab-a");
    drop(tap);
    world.ip("link set vn-lab alias mine");
    let _tap = Tap::new("lab-a");
    let before = world.picture();
    world.hook("vnet-ifup", &["lab-a"]).failed(1);
    world.must_look_like(&before);
}

#[test]
fn a_full_bridge() {
    /// BR_MAX_PORTS less the number 0.
    const MOST: usize = 1023;
    let world = world();
    world.ip("link add br9 type bridge");
    let mut batch = String::new();
    // One veth pair makes two ports.
    for pair in 0..=MOST / 2 {
        writeln!(batch, "link add a{pair} type veth peer name b{pair}").unwrap();
        writeln!(batch, "link set a{pair} master br9").unwrap();
        if pair * 2 + 1 < MOST {
            writeln!(batch, "link set b{pair} master br9").unwrap();
        }
    }
    fs::write("/run/batch", batch).unwrap();
    world.ip("-batch /run/batch");
    let _tap = Tap::new("tap0");
    let before = crate::links::link("tap0");
    let bridge = crate::links::link("br9");
    let run = world.hook("vnet-ifup", &["tap0"]);
    let line = run.failed(1);
    let start = "vnet-ifup: tap0: cannot attach tap0 to br9: the bridge has 1,023 ports, the most it can have (EXFULL: Exchange full";
    assert!(line.starts_with(start), "{line}");
    assert!(line.ends_with("; use another bridge; nothing is changed"), "{line}");
    assert_eq!(crate::links::link("tap0"), before);
    assert_eq!(crate::links::link("br9"), bridge);
}
