//! What whoever holds a lent tap can do to it, and that it harms neither the network nor another guest.
#![allow(unsafe_code)]

use std::fs::{self, OpenOptions};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use serde_json::Value;

use crate::caller::{Caller, OTHER, Privilege, USER, bridge_conf, host};
use crate::confinement::child;
use crate::doctor::findings;
use crate::frames::{arp, ethernet, ipv4, tagged, tags, udp};
use crate::holder::{
    IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE, IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, IFF_VNET_HDR, take_queue,
};
use crate::lending::{Lending, MODES, administrators_bridge, guards_of_ports, guest_mac, loan};
use crate::links::{field, link, must_be};
use crate::picture::json;
use crate::world::World;

/// What holders do is no privilege of root's: the tests hold the queues as root, and root may do it without as well.
const TAKEN: &str = "user 65533 has used up its quota of taps, which is 1; ";

fn quota(world: &World, number: u32) {
    fs::write(world.config().join("vnet.json"), format!(r#"{{"quota": {number}}}"#)).unwrap();
}

/// What a process of a user without privileges gets that opens another queue of a tap, with each of these flags.
fn tries_queue(user: u32, tap: &str, flags: &[i32]) -> Vec<String> {
    let said = child(|| {
        setresgid(Gid::from_raw(user), Gid::from_raw(user), Gid::from_raw(user)).unwrap();
        setresuid(Uid::from_raw(user), Uid::from_raw(user), Uid::from_raw(user)).unwrap();
        let try_one = |flags: &i32| {
            let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap();
            match take_queue(&tun, tap, *flags) {
                Ok(()) => "taken".to_owned(),
                Err(errno) => format!("{errno:?}"),
            }
        };
        flags.iter().map(try_one).collect::<Vec<_>>().join(" ")
    });
    said.well().split(' ').map(str::to_owned).collect()
}

#[test]
fn a_tap_that_was_made_to_stay_is_reaped() {
    for mode in MODES {
        for verb in ["repair", "repair lab", "up lab", "down lab"] {
            println!("{mode}: {verb}");
            let site = Lending::new(mode);
            let held = site.lent_to_other("--br=lab --guest=web1");
            let before = guards_of_ports();
            let tap = site.lent("--br=lab").die(&site.world);
            assert_ne!(guards_of_ports(), before);
            if verb == "down lab" {
                drop(held);
                site.world.must_come_true(|| link("web1").map_or(Ok(()), |_| Err("web1 is there".to_owned())));
                let told = site.world.told(verb);
                assert_eq!(told, "lab: down\n", "{mode}");
                assert_eq!(guards_of_ports(), [""; 0], "{mode}");
            } else {
                let told = site.world.told(verb);
                if verb.starts_with("repair") {
                    assert_eq!(told, format!("lab: mended: the dead tap {tap} removed\n"), "{mode}");
                }
                assert_eq!(guards_of_ports(), before, "{mode}");
                must_be("web1", "/master", site.bridge);
            }
            assert_eq!(link(&tap), None, "{mode}");
            assert_eq!(site.world.told("repair"), "", "{mode}");
        }
    }
}

#[test]
fn a_tap_that_was_made_to_stay_on_a_bridge_of_the_administrators_is_reaped() {
    let world = host();
    let _lan = administrators_bridge(&world);
    bridge_conf("allow br0\n");
    let caller = Caller::new(&world, Privilege::File);
    let before = world.picture();
    let held = caller.lent(&world, "--br=br0");
    assert_eq!(field(&held.tap, "/ifalias"), format!("vnet::lent:{USER}"));
    held.persist();
    held.put_carrier(false);
    assert_eq!(world.told("repair"), "", "it is held, whatever its holder says");
    let tap = caller.lent(&world, "--br=br0").die(&world);
    assert_eq!(world.told("repair"), format!("removed the dead tap {tap}, which was lent\n"));
    assert_eq!(link(&tap), None);
    assert_eq!(world.told("repair"), "");
    let tap = held.die(&world);
    assert_eq!(world.told("repair"), format!("removed the dead tap {tap}, which was lent\n"));
    world.must_look_like(&before);
}

#[test]
fn a_holder_that_plays_dead_keeps_its_place() {
    for mode in ["nat", "bridged"] {
        for persistent in [true, false] {
            let site = Lending::new(mode);
            let tap = site.lent("--br=lab");
            tap.must_forward(&site.world);
            if persistent {
                tap.persist();
            }
            tap.put_carrier(false);
            let guards = guards_of_ports();
            assert_eq!(site.world.told("repair"), "", "{mode}");
            let run = site.world.vnet("down lab");
            let said = format!("vnet: lab: 1 guest is attached ({}), ", tap.tap);
            if persistent || mode == "nat" {
                assert!(run.stderr.starts_with(&said), "{mode}: {run:#?}");
            }
            assert_eq!(guards_of_ports(), guards, "{mode}");
            must_be(&tap.tap, "/master", site.bridge);
            tap.put_carrier(true);
            tap.must_forward(&site.world);
        }
    }
}

/// The alias tells on whose account a tap is, and only who may change the host's network can change that.
#[test]
fn a_tap_that_is_given_away_stays_on_its_users_account() {
    for new_owner in [OTHER, 0] {
        let site = Lending::new("nat");
        quota(&site.world, 1);
        let tap = site.lent("--br=lab");
        tap.give_to(new_owner);
        tap.give_to_group(OTHER);
        assert!(site.caller.ask(&site.world, "--br=lab").refused(1).starts_with(TAKEN));
        // The other has what it may have.
        let others = site.lent_to_other("--br=lab");
        let name = tap.die(&site.world);
        assert!(site.caller.ask(&site.world, "--br=lab").refused(1).starts_with(TAKEN), "one that stays counts");
        assert_eq!(loan(&name)[0], USER.to_string());
        assert_eq!(site.world.told("repair"), format!("lab: mended: the dead tap {name} removed\n"));
        drop(others);
        site.lent("--br=lab");
    }
}

#[test]
fn a_tap_has_one_queue_and_who_takes_it_again_is_guarded_as_before() {
    const FLAGS: [i32; 4] = [
        IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
        IFF_TAP | IFF_NO_PI,
        IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE,
        IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE,
    ];
    let site = Lending::new("nat");
    let mut tap = site.lent("--br=lab");
    assert_eq!(tries_queue(USER, &tap.tap, &FLAGS), ["EBUSY", "EBUSY", "EINVAL", "EINVAL"]);
    assert_eq!(tries_queue(OTHER, &tap.tap, &FLAGS[..2]), ["EPERM", "EPERM"]);
    for flag in [IFF_DETACH_QUEUE, IFF_ATTACH_QUEUE] {
        assert_eq!(tap.turn_queue(flag), Err(Errno::EINVAL));
    }
    // InfiniBand, a tunnel, nothing.
    for kind in [32, 768, 0xfffe] {
        assert_eq!(tap.become_kind(kind), Err(Errno::EBUSY));
    }
    must_be(&tap.tap, "/link_type", "ether");
    let me = crate::frames::mac(&loan(&tap.tap)[1]);
    let (guards, name) = (guards_of_ports(), tap.tap.clone());
    tap.persist();
    let closed = OpenOptions::new().read(true).open("/dev/null").unwrap();
    tap.queue = closed.into();
    site.world.must_come_true(|| {
        let said = tries_queue(OTHER, &name, &FLAGS);
        if said == ["EPERM", "EPERM", "EINVAL", "EINVAL"] { Ok(()) } else { Err(format!("{said:?}")) }
    });
    assert_eq!(tries_queue(USER, &name, &FLAGS[2..]), ["EINVAL", "EINVAL"]);
    // It is its owner's to take again.
    let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun").unwrap();
    take_queue(&tun, &name, FLAGS[0]).unwrap();
    tap.queue = tun.into();
    assert_eq!(guards_of_ports(), guards);
    tap.must_forward(&site.world);
    let other = site.lent_to_other("--br=lab --guest=web1");
    other.must_forward(&site.world);
    let says = |ip| ethernet(me, 0x0806, &arp(2, (me, ip), ip));
    tap.send(&tagged(&says("10.1.0.1"), 1));
    tap.send(&tagged(&says("10.1.0.99"), 2));
    site.world.must_come_true(|| match tags(&other.drain()) {
        heard if heard.contains(&1) => panic!("it speaks for the router"),
        heard if heard.contains(&2) => Ok(()),
        heard => Err(format!("{heard:?}")),
    });
}

#[test]
fn the_bridges_mac_stays_what_it_is_whatever_a_holder_does() {
    for mode in MODES {
        let site = Lending::new(mode);
        let before = field(site.bridge, "/address");
        let taps = [site.lent("--br=lab"), site.lent_to_other("--br=lab")];
        for mac in [[0, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 1], guest_mac(0)] {
            taps.iter().for_each(|tap| tap.set_mac(mac));
            assert_eq!(field(site.bridge, "/address"), before, "{mode}");
        }
        taps[0].persist();
        taps[0].put_carrier(false);
        assert_eq!(field(site.bridge, "/address"), before, "{mode}");
        drop(taps);
        assert_eq!(field(site.bridge, "/address"), before, "{mode}");
    }
}

/// Nothing keeps a holder from this: see SECURITY.md.
#[test]
fn a_tap_with_another_guests_mac_is_told_of_and_mended() {
    for mode in MODES {
        println!("{mode}");
        let site = Lending::new(mode);
        let one = site.lent("--br=lab --guest=web0");
        let unknown = site.lent("--br=lab");
        let other = site.lent_to_other("--br=lab --guest=web1");
        [&one, &unknown, &other].into_iter().for_each(|tap| tap.must_forward(&site.world));
        let about_lab = |found: &[Value]| -> Vec<(String, String)> {
            let told = found.iter().filter(|found| found["kind"] == "tap");
            told.map(|found| (found["what"].as_str().unwrap().to_owned(), found["remedy"].as_str().unwrap().to_owned()))
                .collect()
        };
        assert_eq!(about_lab(&findings(&site.world)), []);
        let stranger = loan(&unknown.tap)[1].clone();
        for (tap, mac, what) in [
            (
                &one,
                guest_mac(1),
                "web0 has the MAC of the guest at web1: frames for that guest go to the host".to_owned(),
            ),
            (
                &one,
                crate::frames::mac(&stranger),
                format!(
                    "web0 was lent with the MAC fe:54:00:12:34:50 and has {stranger}: frames for whoever has that go to the host"
                ),
            ),
            (
                &unknown,
                [2, 0, 0, 0, 0, 9],
                format!(
                    "{} was lent with the MAC fe{} and has 02:00:00:00:00:09: frames for whoever has that go to the host",
                    unknown.tap,
                    stranger.get(2..).unwrap()
                ),
            ),
        ] {
            let before = field(&tap.tap, "/address");
            tap.set_mac(mac);
            let found = about_lab(&findings(&site.world));
            assert_eq!(found.iter().map(|(what, _)| what.as_str()).collect::<Vec<_>>(), [what], "{mode}");
            let told = site.world.told("repair");
            assert!(told.starts_with("lab: mended: "), "{mode}: {told}");
            assert_eq!(field(&tap.tap, "/address"), before, "{mode}");
            assert_eq!(about_lab(&findings(&site.world)), [], "{mode}");
            // And so does what doctor names.
            tap.set_mac(mac);
            crate::doctor::paste(&site.world, &found[0].1);
            assert_eq!(field(&tap.tap, "/address"), before, "{mode}");
            // Frames for the other guest go to it again.
            other.drain();
            let asks = ipv4(17, "10.1.0.10", "10.1.0.11", &udp(9, 9, b"x"));
            let frame = ethernet(guest_mac(0), 0x0800, &asks);
            let frame = [&guest_mac(1)[..], &frame[6..]].concat();
            one.send(&tagged(&frame, 7));
            site.world.must_come_true(|| match tags(&other.drain()).contains(&7) {
                true => Ok(()),
                false => Err("the other guest hears nothing".to_owned()),
            });
        }
        let entries = json("bridge", "-j fdb show");
        let local = |mac: &str| entries.iter().any(|entry| entry["mac"] == mac && entry["state"] == "permanent");
        assert!(!local("52:54:00:12:34:51") && !local(&stranger), "{mode}");
    }
}
