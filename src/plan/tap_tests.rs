//! What makes guests' links that stay, in order, and why it is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::config::{Allow, Mode, Source};
use crate::model::{Mac, Master, Variant};

fn mac(last: u8) -> Mac {
    Mac::from_bytes([2, 0, 0, 0, 0, last])
}

fn name() -> IfName {
    "web0".parse().unwrap()
}

fn link(name: &str, kind: Kind, mac: Mac) -> Link {
    let new = NewTap { mac, form: TapForm::Tap { owner: None, many_queues: false } };
    Link { up: true, ..fresh(&name.parse().unwrap(), &new, kind, 1500) }
}

fn lan(direct: Direct) -> Network {
    Network { mode: Mode::Direct(direct), ..Network::bridged("lan".parse().unwrap(), "eth0".parse().unwrap()) }
}

const BRIDGE: Direct = Direct::Macvtap(Variant::Bridge);

/// A card on which there is no link yet.
fn sight() -> DirectSight {
    DirectSight {
        link: None,
        sysctls: vec![(Sysctl::DisableIpv6, 0), (Sysctl::ArpIgnore, 0)],
        node: None,
        card: Some(link("eth0", Kind::Device, mac(1))),
        wireless: false,
        derived_mac: mac(9),
        others: Vec::new(),
        addresses: Vec::new(),
    }
}

fn guest(its: Option<Mac>) -> Guest {
    let source = Source { path: "web0.json".into(), text: String::new() };
    Guest {
        tap: name(),
        network: None,
        mac: its,
        tap_mac: None,
        addresses: Vec::new(),
        hostname: None,
        allow: Allow::default(),
        source,
    }
}

fn plan_of(direct: Direct, guest: Option<&Guest>, sight: &DirectSight) -> Result<Plan, Refusal> {
    direct_add(&name(), (&lan(direct), guest), direct, (sight, 1000))
}

fn add(direct: Direct, guest: Option<&Guest>, sight: &DirectSight) -> Result<Vec<String>, Refusal> {
    let plan = plan_of(direct, guest, sight)?;
    Ok(plan.operations.iter().map(ToString::to_string).collect())
}

/// The link as a run that nothing disturbed leaves it.
fn made(direct: Direct) -> DirectSight {
    let its = if direct.has_the_cards_mac() { mac(1) } else { mac(9) };
    let kind = Kind::Other(direct.kind().to_owned());
    let alias = Some("vnet:lan:persistent".to_owned());
    let found = Link { alias, addr_gen: Some(AddrGen::None), ..link("web0", kind, its) };
    let form = TapForm::Direct { card: "eth0".parse().unwrap(), direct };
    let state = TapState { made: NewTap { mac: its, form }, carrier: true, group: TapState::OURS };
    let sysctls = vec![(Sysctl::DisableIpv6, 1), (Sysctl::ArpIgnore, 1)];
    DirectSight { link: Some((found, Some(state))), node: Some(1000), sysctls, ..sight() }
}

#[test]
fn a_link_on_a_card_is_marked_first_and_goes_up_last() {
    let expected = [
        "create web0 on eth0 (macvtap bridge) with MAC 02:00:00:00:00:09",
        "mark web0: none → vnet:lan:persistent",
        "set how web0 makes its IPv6 address: eui64 → none",
        "set net.ipv6.conf.web0.disable_ipv6: 0 → 1",
        "set net.ipv4.conf.web0.arp_ignore: 0 → 1",
        "give the device node of web0 to the user 1000",
        "set web0 up",
    ];
    assert_eq!(add(BRIDGE, None, &sight()).unwrap(), expected);
}

#[test]
fn one_that_is_there_as_asked_for_is_left() {
    for direct in [BRIDGE, Direct::Macvtap(Variant::Passthru), Direct::Ipvtap(Variant::Private)] {
        assert_eq!(add(direct, None, &made(direct)), Ok(Vec::new()), "{direct}");
    }
}

#[test]
fn what_somebody_changed_about_it_is_mended() {
    let mut sight = made(BRIDGE);
    let (found, _) = sight.link.as_mut().unwrap();
    (found.mtu, found.mac, found.addr_gen) = (1400, mac(8), Some(AddrGen::Eui64));
    sight.sysctls = vec![(Sysctl::DisableIpv6, 1), (Sysctl::ArpIgnore, 0)];
    sight.node = None;
    let expected = [
        "set the MTU of web0: 1400 → 1500",
        "set the MAC of web0: 02:00:00:00:00:08 → 02:00:00:00:00:09",
        "set how web0 makes its IPv6 address: eui64 → none",
        "set net.ipv4.conf.web0.arp_ignore: 0 → 1",
        "give the device node of web0 to the user 1000",
    ];
    assert_eq!(add(BRIDGE, None, &sight).unwrap(), expected);
}

/// A run may end anywhere: before it could set the alias, the group tells whose the link is.
#[test]
fn one_that_a_run_left_half_made_is_finished() {
    let mut sight = made(BRIDGE);
    let (found, state) = sight.link.as_mut().unwrap();
    (found.alias, found.up) = (None, false);
    sight.node = Some(0);
    let expected =
        ["mark web0: none → vnet:lan:persistent", "give the device node of web0 to the user 1000", "set web0 up"];
    let left = state.clone();
    assert_eq!(add(BRIDGE, None, &sight).unwrap(), expected);
    // The same link of somebody else's.
    sight.link.as_mut().unwrap().1 = left.map(|state| TapState { group: 0, ..state });
    assert_eq!(add(BRIDGE, None, &sight), Err(Refusal::TapTaken));
}

#[test]
fn a_guests_mac_is_its_links() {
    let of = |direct, its| add(direct, Some(&guest(its)), &sight());
    assert!(of(BRIDGE, Some(mac(5))).unwrap()[0].ends_with("with MAC 02:00:00:00:00:05"));
    assert_eq!(of(BRIDGE, Some(mac(1))), Err(Refusal::MacOfTheCard(mac(1))));
    for direct in [Direct::Macvtap(Variant::Passthru), Direct::Ipvtap(Variant::Bridge)] {
        assert!(of(direct, None).unwrap()[0].ends_with("with MAC 02:00:00:00:00:01"));
        assert!(of(direct, Some(mac(1))).is_ok());
        assert_eq!(of(direct, Some(mac(5))), Err(Refusal::MacIsTheCards { mac: mac(5), card: mac(1) }));
    }
}

#[test]
fn a_card_that_takes_no_guest_is_refused() {
    let eth0: IfName = "eth0".parse().unwrap();
    let with = |change: fn(&mut Link)| {
        let mut sight = sight();
        change(sight.card.as_mut().unwrap());
        add(BRIDGE, None, &sight).unwrap_err()
    };
    assert_eq!(add(BRIDGE, None, &DirectSight { card: None, ..sight() }), Err(Refusal::NoSuchCard(eth0.clone())));
    assert_eq!(with(|card| card.ethernet = false), Refusal::CardIsNoEthernet(eth0.clone()));
    assert_eq!(with(|card| card.up = false), Refusal::CardIsDown(eth0.clone()));
    assert_eq!(
        with(|card| card.master = Some(Master { index: 3, name: "br0".parse().unwrap() })),
        Refusal::CardIsAPort(eth0.clone(), "br0".parse().unwrap())
    );
    assert_eq!(
        with(|card| card.name = "lan0".parse().unwrap()),
        Refusal::BridgeAlternativeName(eth0.clone(), "lan0".parse().unwrap())
    );
    let wireless = DirectSight { wireless: true, ..sight() };
    assert_eq!(add(BRIDGE, None, &wireless), Err(Refusal::CardIsWireless(eth0)));
    assert!(add(Direct::Ipvtap(Variant::Bridge), None, &wireless).is_ok());
}

#[test]
fn another_link_of_the_name_is_refused() {
    let with = |change: fn(&mut Link, &mut TapState)| {
        let mut sight = made(BRIDGE);
        let (link, state) = sight.link.as_mut().unwrap();
        change(link, state.as_mut().unwrap());
        add(BRIDGE, None, &sight).unwrap_err()
    };
    assert_eq!(with(|link, _| link.alias = Some("backup".to_owned())), Refusal::TapTaken);
    assert_eq!(with(|link, _| link.alias = Some("vnet:lan:port".to_owned())), Refusal::TapTaken);
    const LAB: &str = "vnet:lab:persistent";
    assert_eq!(with(|link, _| link.alias = Some(LAB.to_owned())), Refusal::TapOfAnother("lab".parse().unwrap()));
    let other = with(|_, state| {
        state.made.form = TapForm::Direct { card: "eth1".parse().unwrap(), direct: BRIDGE };
    });
    assert_eq!(other, Refusal::TapDiffers("it is a link on eth1 (macvtap bridge)".to_owned()));
    let mut sight = made(BRIDGE);
    sight.node = Some(7);
    assert_eq!(
        add(BRIDGE, None, &sight),
        Err(Refusal::TapDiffers("it is the user 7's, not the user 1000's".to_owned()))
    );
}

const IPVTAP: Direct = Direct::Ipvtap(Variant::Bridge);

fn addressed(addresses: &[&str]) -> Guest {
    Guest { addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(), ..guest(None) }
}

#[test]
fn an_ipvtap_has_its_guests_addresses_and_the_host_does_not() {
    let web0 = addressed(&["192.0.2.7", "2001:db8::7"]);
    let planned = add(IPVTAP, Some(&web0), &sight()).unwrap();
    let expected = [
        "give the device node of web0 to the user 1000",
        "add the address 192.0.2.7/32 to web0",
        "set web0 up",
        "remove the route 192.0.2.7/32 of table 255 by web0",
    ];
    assert_eq!(planned[planned.len() - 4..], expected);
    let address = HostAddress::of_guest([192, 0, 2, 7].into());
    let with = |taken| DirectSight { addresses: vec![(address.clone(), taken)], ..made(IPVTAP) };
    assert_eq!(add(IPVTAP, Some(&web0), &with(false)), Ok(Vec::new()));
    // Somebody set the link down and up.
    assert_eq!(add(IPVTAP, Some(&web0), &with(true)).unwrap(), expected[3..]);
    // The file was changed.
    let moved = ["remove the address 192.0.2.7/32 from web0", "add the address 192.0.2.8/32 to web0"];
    let planned = add(IPVTAP, Some(&addressed(&["192.0.2.8"])), &with(false)).unwrap();
    assert_eq!(planned, [moved[0], moved[1], "remove the route 192.0.2.8/32 of table 255 by web0"]);
    // A macvtap is told from others by its MAC.
    assert!(!add(BRIDGE, Some(&web0), &sight()).unwrap().iter().any(|operation| operation.contains("192.0.2.7")));
}

#[test]
fn a_guest_that_an_ipvtap_does_not_serve_is_told() {
    let notes = |addresses| {
        let guest = addressed(addresses);
        plan_of(IPVTAP, Some(&guest), &sight()).unwrap().notes
    };
    assert!(notes(&[])[0].ends_with(": write them as \"addresses\" into guests/web0.json, and run this again"));
    assert_eq!(notes(&["192.0.2.7"]), <[&str; 0]>::default());
    assert!(notes(&["192.0.2.7", "2001:db8::7"])[0].starts_with("its addresses of IPv6 are not served"));
}

/// The kernel has one variant for all such links on a card, and a new one changes it.
#[test]
fn an_ipvtap_that_would_change_another_is_refused() {
    let beside = |other| {
        let others = vec![("web1".parse().unwrap(), other)];
        add(IPVTAP, None, &DirectSight { others, ..sight() })
    };
    let refused = Err(Refusal::CardIsShared("eth0".parse().unwrap(), "web1".parse().unwrap()));
    assert!(beside(Some(IPVTAP)).is_ok());
    assert_eq!(beside(Some(Direct::Ipvtap(Variant::Private))), refused);
    assert_eq!(beside(None), refused);
}

/// A small card's links have no IPv6, and none of its settings.
#[test]
fn a_link_that_cannot_carry_ipv6_gets_none_of_its_settings() {
    let mut sight = sight();
    sight.card.as_mut().unwrap().mtu = 1000;
    let planned = add(BRIDGE, None, &sight).unwrap();
    assert!(!planned.iter().any(|operation| operation.contains("pv6")), "{planned:?}");
}

const TAP: TapForm = TapForm::Tap { owner: Some(1000), many_queues: false };

fn on_bridge() -> Snapshot {
    let options = crate::model::BridgeOptions::OURS;
    Snapshot { bridge: Some(link("br0", Kind::Bridge(options), mac(2))), ..Snapshot::default() }
}

fn tap(snapshot: &Snapshot, form: TapForm) -> Result<Vec<String>, Refusal> {
    let network = Network::bridged("lab".parse().unwrap(), "br0".parse().unwrap());
    let new = NewTap { mac: mac(9).tap_end(), form };
    let plan = tap_add(&name(), (&network, None), None, (snapshot, &new))?;
    Ok(plan.operations.iter().map(ToString::to_string).collect())
}

#[test]
fn a_tap_has_its_owner_before_its_bridge_and_stays_when_all_is_done() {
    let expected = [
        "create the tap web0 with MAC fe:00:00:00:00:09 for the user 1000",
        "mark web0: none → vnet:lab:persistent",
        "set how web0 makes its IPv6 address: eui64 → none",
        "attach web0 to br0",
        "set web0 up",
        "let web0 stay when no program holds it",
    ];
    assert_eq!(tap(&on_bridge(), TAP).unwrap(), expected);
}

fn with_tap(persistent: bool, alias: &str) -> Snapshot {
    let found = link("web0", Kind::Tun { persistent, open: false }, mac(9).tap_end());
    let master = Some(Master { index: 0, name: "br0".parse().unwrap() });
    let found = Link { alias: Some(alias.to_owned()), master, addr_gen: Some(AddrGen::None), ..found };
    let made = TapState { made: NewTap { mac: found.mac, form: TAP }, carrier: false, group: 0 };
    Snapshot { tap: Some(found), made: Some(made), ..on_bridge() }
}

#[test]
fn a_tap_that_is_there_as_asked_for_is_left_or_taken_back() {
    let mut snapshot = with_tap(true, "vnet:lab:persistent");
    assert_eq!(tap(&snapshot, TAP), Ok(Vec::new()));
    snapshot.tap.as_mut().unwrap().master = None;
    assert_eq!(tap(&snapshot, TAP).unwrap(), ["attach web0 to br0"]);
}

#[test]
fn a_tap_that_is_another_than_asked_for_is_refused() {
    let ours = with_tap(true, "vnet:lab:persistent");
    for (owner, many_queues, said) in [
        (Some(0), false, "it is the user 1000's, not the user 0's"),
        (Some(1000), true, "it takes one queue, and several are asked for"),
    ] {
        let asked = TapForm::Tap { owner, many_queues };
        assert_eq!(tap(&ours, asked), Err(Refusal::TapDiffers(said.to_owned())));
    }
    let holder = "the program that holds it does not let it stay".to_owned();
    assert_eq!(tap(&with_tap(false, "vnet:lab:persistent"), TAP), Err(Refusal::TapDiffers(holder)));
    let web = Refusal::TapOfAnother("web".parse().unwrap());
    assert_eq!(tap(&with_tap(true, "vnet:web:persistent"), TAP), Err(web));
    for alias in ["mine", "vnet:lab:port", "vnet:lab:owned"] {
        assert_eq!(tap(&with_tap(true, alias), TAP), Err(Refusal::TapTaken), "{alias}");
    }
}

/// One that was made for another network is not taken from it by the hook either.
#[test]
fn the_hook_takes_no_tap_from_another_network_and_none_to_a_card() {
    let network = Network::bridged("lab".parse().unwrap(), "br0".parse().unwrap());
    let hook = |network: &Network, snapshot: &Snapshot| super::super::attach(&name(), (network, None), None, snapshot);
    let web = Refusal::TapOfAnother("web".parse().unwrap());
    assert_eq!(hook(&network, &with_tap(true, "vnet:web:persistent")), Err(web));
    assert_eq!(hook(&network, &with_tap(true, "vnet:lab:persistent")), Ok(Plan::default()));
    assert_eq!(hook(&lan(BRIDGE), &on_bridge()), Err(Refusal::NotByHook("eth0".parse().unwrap())));
}

/// What was made on the way goes with the link; what was deleted cannot be put back.
#[test]
fn the_way_back_deletes_the_link() {
    let new = || Some(NewTap { mac: mac(9), form: TAP });
    let operation = |setting| Operation::Link(name(), setting);
    let done = [
        operation(Setting::Tap(Change::new(None, new()))),
        operation(Setting::Up(Change::new(false, true))),
        operation(Setting::Stays(Change::new(false, true))),
    ];
    assert_eq!(super::super::undo(&done), [operation(Setting::Tap(Change::new(new(), None)))]);
    assert_eq!(super::super::undo(&tap_del(&name(), new().unwrap()).operations), []);
}
