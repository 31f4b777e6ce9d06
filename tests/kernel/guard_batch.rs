//! The batches by which a helper without a lock guards a port, on a real kernel.

use std::cell::Cell;
use std::thread;

use nix::errno::Errno;
use vnet::kernel::Error;
use vnet::kernel::netlink::nftables::{Guard, Nftables};
use vnet::model::{Element, Elements, Firewall, IfName, NetworkName, Tables};

use crate::world::{World, output};

const MARK: u32 = 0x1000;

fn name(text: &str) -> NetworkName {
    text.parse().unwrap()
}

fn bridge() -> IfName {
    "n0".parse().unwrap()
}

fn open() -> Nftables {
    Nftables::open().unwrap()
}

/// What a network has without guests.
fn network() -> Elements {
    [Element::Bridge(bridge()), Element::Same(bridge()), Element::Claimed(bridge(), "10.1.0.1".parse().unwrap())].into()
}

fn ports(numbers: impl IntoIterator<Item = u32>) -> Elements {
    let port = |number: u32| {
        let mac = format!("52:54:00:00:{:02x}:{:02x}", number / 256, number % 256).parse().unwrap();
        [
            Element::Guarded(number, bridge()),
            Element::GuardMac(number, mac),
            Element::Known { link: number, ipv4: true },
            Element::GuardAddress(number, "10.1.0.9".parse().unwrap()),
            Element::Known { link: number, ipv4: false },
            Element::GuardAddress(number, "fd57::9".parse().unwrap()),
        ]
    };
    numbers.into_iter().flat_map(port).collect()
}

fn up() {
    open().change(&name("lab"), &Elements::new(), &network(), MARK, &|| true).unwrap();
}

/// Guards a port for the network `lab`, of a bridge of ours or not.
fn guard(elements: &Elements, is_ours: bool, live: &mut dyn FnMut() -> Vec<u32>) -> Result<(), Error> {
    let (network, bridge) = (name("lab"), bridge());
    let guard = Guard { network: &network, bridge: &bridge, is_ours, elements, mark: MARK };
    open().guard(&guard, &mut || Ok(live()))
}

fn found() -> Firewall {
    open().look(MARK).unwrap()
}

/// The tables are whole and have these elements and no others.
fn must_have(elements: &[Elements]) {
    let firewall = found();
    assert_eq!(firewall.tables, Tables::Whole);
    let wanted: Elements = elements.iter().flatten().cloned().collect();
    assert_eq!(firewall.of(&name("lab")), wanted);
    assert_eq!(firewall.elements.len(), wanted.len());
}

#[test]
fn a_port_is_guarded_beside_others_that_are_there() {
    let _world = World::new();
    up();
    guard(&ports([7]), true, &mut Vec::new).unwrap();
    guard(&ports([8]), true, &mut || vec![7, 9]).unwrap();
    must_have(&[network(), ports([7, 8])]);
}

#[test]
fn what_guarded_ports_that_are_gone_goes_with_the_next() {
    let _world = World::new();
    up();
    guard(&ports([5, 6, 7]), true, &mut Vec::new).unwrap();
    guard(&ports([8]), true, &mut || vec![6]).unwrap();
    must_have(&[network(), ports([6, 8])]);
}

/// Who looks at the network while a helper is at it guards a port that is marked and not guarded yet.
#[test]
fn a_number_that_is_guarded_already_keeps_what_is_right_and_no_more() {
    let _world = World::new();
    up();
    let other = Element::GuardMac(7, "52:54:00:00:00:99".parse().unwrap());
    let mut some = ports([7]);
    some.retain(|element| !matches!(element, Element::GuardAddress(..)));
    some.insert(other);
    guard(&some, true, &mut Vec::new).unwrap();
    guard(&ports([7]), true, &mut || vec![7]).unwrap();
    must_have(&[network(), ports([7])]);
    guard(&ports([7]), true, &mut || vec![7]).unwrap();
    must_have(&[network(), ports([7])]);
}

#[test]
fn links_that_cannot_be_listed_are_an_error_and_change_nothing() {
    let _world = World::new();
    up();
    let (network_name, bridge, elements) = (name("lab"), bridge(), ports([7]));
    let guard = Guard { network: &network_name, bridge: &bridge, is_ours: true, elements: &elements, mark: MARK };
    let error = open().guard(&guard, &mut || Err(Error::new("listing links", Errno::ENOBUFS))).unwrap_err();
    assert_eq!(error.errno, Errno::ENOBUFS, "{error}");
    must_have(&[network()]);
}

#[test]
fn a_firewall_that_is_gone_or_damaged_is_an_error_and_stays_as_it_is() {
    let _world = World::new();
    for (is_ours, damage) in [
        (true, "flush ruleset"),
        (true, "delete table bridge vnet"),
        (true, "delete table inet vnet"),
        (false, "delete table bridge vnet"),
        (false, "delete table inet vnet"),
        (true, "flush chain bridge vnet in_arp"),
        (false, "flush chain bridge vnet claims"),
        (false, "add rule bridge vnet guarded accept"),
        (true, "delete element inet vnet br { n0 }"),
        (true, "flush set inet vnet br"),
    ] {
        open().rebuild(&network().into_iter().map(|one| (name("lab"), one)).collect::<Vec<_>>(), MARK).unwrap();
        output("nft", damage);
        let before = output("nft", "list ruleset");
        let error = guard(&ports([7]), is_ours, &mut Vec::new).unwrap_err();
        assert_eq!(error.errno, Errno::EUCLEAN, "{damage}: {error}");
        assert!(error.to_string().contains("a port of the network lab, whose firewall is gone or damaged"), "{error}");
        assert_eq!(output("nft", "list ruleset"), before, "{damage}");
    }
    // The bridge is another network's.
    open().rebuild(&network().into_iter().map(|one| (name("other"), one)).collect::<Vec<_>>(), MARK).unwrap();
    assert_eq!(guard(&ports([7]), true, &mut Vec::new).map_err(|error| error.errno), Err(Errno::EUCLEAN));
    // Another mark is another ruleset.
    open().remove().unwrap();
    open().rebuild(&network().into_iter().map(|one| (name("lab"), one)).collect::<Vec<_>>(), 0x2000).unwrap();
    assert_eq!(guard(&ports([7]), true, &mut Vec::new).map_err(|error| error.errno), Err(Errno::EUCLEAN));
}

#[test]
fn a_bridge_that_is_not_ours_needs_no_table_and_gets_both() {
    let _world = World::new();
    guard(&ports([7]), false, &mut || panic!("nothing is guarded yet")).unwrap();
    must_have(&[ports([7])]);
    guard(&ports([8]), false, &mut || vec![7]).unwrap();
    must_have(&[ports([7, 8])]);
    open().unguard(&ports([7]), MARK).unwrap();
    must_have(&[ports([8])]);
    open().unguard(&ports([8]), MARK).unwrap();
    assert_eq!(output("nft", "list ruleset"), "");
    open().unguard(&ports([8]), MARK).unwrap();
    assert_eq!(output("nft", "list ruleset"), "");
}

#[test]
fn what_guards_a_port_is_taken_out_again() {
    let _world = World::new();
    up();
    guard(&ports([7, 8]), true, &mut Vec::new).unwrap();
    output("nft", "delete element bridge vnet known4 { 7 }");
    open().unguard(&ports([7]), MARK).unwrap();
    must_have(&[network(), ports([8])]);
    open().unguard(&ports([7]), MARK).unwrap();
    must_have(&[network(), ports([8])]);
}

#[test]
fn ports_that_come_at_once_are_all_guarded() {
    const PORTS: u32 = 64;
    let _world = World::new();
    up();
    thread::scope(|scope| {
        for number in 1..=PORTS {
            scope.spawn(move || guard(&ports([number]), true, &mut || (1..=PORTS).collect()).unwrap());
        }
    });
    must_have(&[network(), ports(1..=PORTS)]);
}

/// The ruleset is made anew between the look at it and the batch.
#[test]
fn a_rebuild_meanwhile_is_looked_at_again() {
    let _world = World::new();
    up();
    guard(&ports([6, 7]), true, &mut Vec::new).unwrap();
    let times = Cell::new(0);
    let kept: Elements = network().into_iter().chain(ports([6])).collect();
    guard(&ports([8]), true, &mut || {
        times.set(times.get() + 1);
        if times.get() == 1 {
            open().rebuild(&kept.iter().map(|one| (name("lab"), one.clone())).collect::<Vec<_>>(), MARK).unwrap();
        }
        vec![6]
    })
    .unwrap();
    assert_eq!(times.get(), 2);
    must_have(&[network(), ports([6, 8])]);
}

/// One that ends with the firewall gone is an error, not a port without a guard.
#[test]
fn a_firewall_that_goes_meanwhile_is_an_error() {
    let _world = World::new();
    up();
    let error = guard(&ports([8]), true, &mut || {
        open().remove().unwrap();
        Vec::new()
    });
    assert_eq!(error.map_err(|error| error.errno), Err(Errno::EUCLEAN));
    assert_eq!(output("nft", "list ruleset"), "");
}
