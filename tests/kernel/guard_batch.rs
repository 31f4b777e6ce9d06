//! The batches by which a helper without a lock guards a port, on a real kernel.

use std::cell::Cell;
use std::thread;

use nix::errno::Errno;
use vnet::kernel::netlink::nftables::{Guard, LinksThere, Nftables};
use vnet::kernel::{Error, Lender};
use vnet::model::{Element, Elements, Firewall, IfName, Loan, NetworkName, Tables};

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

/// The links that there are: the taps, and those of networks.
struct Links<'a>(&'a mut dyn FnMut() -> Vec<u32>, Result<Vec<u32>, Errno>);

impl LinksThere for Links<'_> {
    fn taps(&mut self) -> Result<Vec<u32>, Error> {
        Ok(self.0())
    }

    fn of_networks(&mut self) -> Result<Vec<u32>, Error> {
        self.1.clone().map_err(|errno| Error::new("listing the links", errno))
    }
}

/// Guards a port for the network `lab`, of a bridge of ours or not.
fn guard(elements: &Elements, is_ours: bool, live: &mut dyn FnMut() -> Vec<u32>) -> Result<(), Error> {
    guard_among(elements, is_ours, &mut Links(live, Ok(Vec::new())))
}

fn guard_among(elements: &Elements, is_ours: bool, links: &mut dyn LinksThere) -> Result<(), Error> {
    let (network, bridge) = (name("lab"), bridge());
    let guard = Guard { network: &network, bridge: &bridge, is_ours, elements, mark: MARK };
    open().guard(&guard, links)
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
    struct Unlisted;
    impl LinksThere for Unlisted {
        fn taps(&mut self) -> Result<Vec<u32>, Error> {
            Err(Error::new("listing the taps", Errno::ENOBUFS))
        }
        fn of_networks(&mut self) -> Result<Vec<u32>, Error> {
            Err(Error::new("listing the links", Errno::ENOBUFS))
        }
    }
    let error = guard_among(&ports([7]), true, &mut Unlisted).unwrap_err();
    assert_eq!(error.errno, Errno::ENOBUFS, "{error}");
    must_have(&[network()]);
    open().remove().unwrap();
    let error = guard_among(&ports([7]), false, &mut Unlisted).unwrap_err();
    assert_eq!(error.errno, Errno::ENOBUFS, "{error}");
    assert_eq!(output("nft", "list ruleset"), "");
}

/// Empty tables in place of those that networks lost would keep `up` and `repair` from seeing that.
#[test]
fn no_tables_are_made_where_other_links_lost_theirs() {
    let _world = World::new();
    let nothing = &mut || panic!("nothing is guarded yet");
    for links in [vec![5], vec![7, 5]] {
        let error = guard_among(&ports([7]), false, &mut Links(nothing, Ok(links))).unwrap_err();
        assert_eq!(error.errno, Errno::EUCLEAN, "{error}");
        assert!(error.to_string().contains("a port of the network lab, whose firewall is gone or damaged"), "{error}");
        assert_eq!(output("nft", "list ruleset"), "");
    }
    // The tap itself is marked already.
    guard_among(&ports([7]), false, &mut Links(nothing, Ok(vec![7]))).unwrap();
    must_have(&[ports([7])]);
    // Where they are, nobody asks.
    guard_among(&ports([8]), false, &mut Links(&mut || vec![7], Err(Errno::ENOBUFS))).unwrap();
    must_have(&[ports([7, 8])]);
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

/// A tap lent on the network `lan`, of a bridge that is not ours.
fn lend_on_lan() -> Result<Lender, Error> {
    let (network, bridge): (_, IfName) = (name("lan"), "br0".parse().unwrap());
    let mut lender = Lender::open(true)?;
    let tap = lender.make("vu7-%d", 7, false)?;
    let mac = Loan::derived_mac(&[], &network, &tap.name);
    let loan = Loan { network: Some(network.clone()), user: 7, mac: Some(mac), of_guest_file: false };
    lender.prepare(&tap, &loan, &mac.tap_end(), 1500)?;
    let elements = [Element::Guarded(tap.index, bridge.clone()), Element::GuardMac(tap.index, mac)].into();
    lender.guard(&Guard { network: &network, bridge: &bridge, is_ours: false, elements: &elements, mark: MARK })?;
    Ok(lender)
}

#[test]
fn a_lent_tap_hides_not_that_networks_lost_their_rules() {
    let world = World::new();
    let refused = || {
        output("nft", "flush ruleset");
        assert_eq!(lend_on_lan().map(drop).map_err(|error| error.errno), Err(Errno::EUCLEAN));
        assert_eq!(output("nft", "list ruleset"), "");
    };
    world.network("lab", r#"{"mode": "isolated"}"#);
    world.told("up lab");
    refused();
    world.told("down lab");
    let lent = lend_on_lan().unwrap();
    // One that is just being made has lost nothing.
    output("nft", "flush ruleset");
    lend_on_lan().map(drop).unwrap();
    output("ip", "link set vu7-0 up");
    refused();
    drop(lent);
    // A tap on a bridge that is no network's needs none.
    let mut plain = Lender::open(false).unwrap();
    let tap = plain.make("vu8-%d", 8, false).unwrap();
    let loan = Loan { network: None, user: 8, mac: None, of_guest_file: false };
    plain.prepare(&tap, &loan, &tap.mac, 1500).unwrap();
    world.must_come_true(|| lend_on_lan().map(drop).map_err(|error| error.to_string()));
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
