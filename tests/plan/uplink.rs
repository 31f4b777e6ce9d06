//! What holds whenever a bridge takes a network card's place on the LAN and gives it back, whatever the host has there,
//! and wherever on the way a run ends.

use vnet::config::{Allow, Mode, Network};
use vnet::model::{Change, Handover, IfName, IpConfig, Mark, Operation, Setting};
use vnet::plan::{self, undo};

use crate::properties::same;
use crate::uplink_config::{ALL, DOWN_WITH_IPV6, card, host};
use crate::uplink_host::{Lan, RP_FILTER};

fn bridge() -> IfName {
    "vn-lan".parse().unwrap()
}

fn network() -> Network {
    Network {
        name: "lan".parse().unwrap(),
        bridge: bridge(),
        mode: Mode::Uplink(card()),
        allow: Allow::default(),
        source: None,
    }
}

/// A host as it was before a bridge took its card's place, what it had, and what takes the place.
struct Case {
    origin: Lan,
    config: IpConfig,
    handover: Handover,
    take: Vec<Operation>,
}

impl Case {
    fn new(text: &str) -> Self {
        let origin = host(text);
        let config = plan::host_config(&network(), &origin.look());
        assert_eq!(config, origin.card.config);
        let up = origin.card.link.up;
        let handover = Handover { card: card(), bridge: bridge(), up, config: config.clone() };
        let take = take(&origin, &config).unwrap();
        Self { origin, config, handover, take }
    }

    /// The host after so many operations.
    fn after(&self, done: usize) -> Result<Lan, String> {
        after(&self.origin, &self.take[..done])
    }

    fn taken(&self) -> Result<Lan, String> {
        self.after(self.take.len())
    }

    /// What gives the card back what it had.
    fn give_back(&self, host: &Lan) -> Vec<Operation> {
        plan::give_back(&network().name, &self.handover, &host.look()).operations
    }

    /// The card must have back what it had, and nothing must be left to do.
    fn must_be_given_back(&self, mut host: Lan) -> Result<(), String> {
        host.run(&self.give_back(&host))?;
        must_be_empty(&self.give_back(&host))?;
        must_be(host, self.origin.clone())
    }
}

fn take(host: &Lan, config: &IpConfig) -> Result<Vec<Operation>, String> {
    let plan = plan::take(&network(), config, &host.look());
    plan.map(|plan| plan.operations).map_err(|refusal| refusal.to_string())
}

/// What the bridge of a network that is up lacks.
fn take_again(host: &Lan) -> Result<Vec<Operation>, String> {
    take(host, &plan::host_config(&network(), &host.look()))
}

fn after(host: &Lan, operations: &[Operation]) -> Result<Lan, String> {
    let mut host = host.clone();
    host.run(operations)?;
    Ok(host)
}

fn must_be(host: Lan, expected: Lan) -> Result<(), String> {
    same(&host.settled(), &expected.settled())
}

fn must_be_empty(operations: &[Operation]) -> Result<(), String> {
    let left: Vec<_> = operations.iter().map(ToString::to_string).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("left to do: {left:?}")) }
}

/// Checks each host, and tells of all that fail.
fn each(check: impl Fn(&Case) -> Result<(), String>) {
    let wrong: Vec<_> =
        ALL.iter().filter_map(|(name, text)| Some(format!("{name}: {}", check(&Case::new(text)).err()?))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Checks the host after each number of operations, from none to all.
fn at_each_step(
    host: &Lan,
    operations: &[Operation],
    check: impl Fn(Lan, &[Operation]) -> Result<(), String>,
) -> Result<(), String> {
    (0..=operations.len()).try_for_each(|done| {
        let done = &operations[..done];
        check(after(host, done)?, done).map_err(|wrong| match done.last() {
            Some(last) => format!("after {} operations, \"{last}\" the last: {wrong}", done.len()),
            None => format!("before the first operation: {wrong}"),
        })
    })
}

/// At no step may the host lose an address or a route that it has at first.
fn loses_nothing(config: &IpConfig, host: &Lan, operations: &[Operation]) -> Result<(), String> {
    let lacked = host.lost(config);
    at_each_step(host, operations, |host, _| {
        let lost: Vec<_> = host.lost(config).into_iter().filter(|lost| !lacked.contains(lost)).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("the host has lost {lost:?}")) }
    })
}

#[test]
fn the_bridge_has_what_the_card_had_and_the_card_nothing() {
    each(|case| {
        let taken = case.taken()?.settled();
        let bridge = taken.bridge.as_ref().ok_or("there is no bridge")?;
        let expected = case.origin.clone().settled().card.config;
        let is_port = taken.card.link.master.as_ref().is_some_and(|master| master.name == bridge.link.name);
        let marked = match bridge.link.mark() {
            Some(Mark::Uplink(network, replaced)) => {
                network.as_str() == "lan" && replaced.card == card() && replaced.up == case.origin.card.link.up
            }
            _ => false,
        };
        let alike = (bridge.link.mac, bridge.link.mtu, bridge.link.addr_gen)
            == (taken.card.link.mac, taken.card.link.mtu, taken.card.link.addr_gen);
        if bridge.config != expected || taken.card.config != IpConfig::default() {
            return Err(format!("the bridge has {:#?}, the card {:#?}", bridge.config, taken.card.config));
        }
        let up = bridge.link.up && taken.card.link.up;
        let wrong = !(is_port && marked && alike && up && bridge.sysctls == case.origin.card.sysctls);
        if wrong { Err(format!("{taken:#?}")) } else { Ok(()) }
    });
}

#[test]
fn planning_again_finds_nothing_to_do() {
    each(|case| {
        let taken = case.taken()?;
        must_be_empty(&take(&taken, &case.config)?)?;
        must_be_empty(&take_again(&taken)?)
    });
}

#[test]
fn the_host_has_its_addresses_and_routes_at_every_step() {
    each(|case| {
        loses_nothing(&case.config, &case.origin, &case.take)?;
        let taken = case.taken()?;
        loses_nothing(&case.config, &taken, &case.give_back(&taken))
    });
}

#[test]
fn the_card_gets_back_what_it_had() {
    each(|case| case.must_be_given_back(case.taken()?));
}

#[test]
fn the_bridge_alone_tells_what_the_card_gets_back() {
    each(|case| {
        let taken = case.taken()?;
        let uplink = taken.look();
        let Some(Mark::Uplink(_, replaced)) = uplink.bridge.as_ref().and_then(|bridge| bridge.mark()) else {
            return Err("the bridge is not marked".to_owned());
        };
        let handover = plan::handover_of(&bridge(), replaced, &uplink);
        let given = after(&taken, &plan::give_back(&network().name, &handover, &uplink).operations)?;
        must_be(given, case.origin.clone())
    });
}

#[test]
fn a_run_that_ends_at_any_step_is_taken_back() {
    each(|case| {
        at_each_step(&case.origin, &case.take, |host, _| {
            loses_nothing(&case.config, &host, &case.give_back(&host))?;
            case.must_be_given_back(host)
        })
    });
}

#[test]
fn giving_back_that_ends_at_any_step_is_finished_by_the_next() {
    each(|case| {
        let taken = case.taken()?;
        at_each_step(&taken, &case.give_back(&taken), |host, _| {
            loses_nothing(&case.config, &host, &case.give_back(&host))?;
            case.must_be_given_back(host)
        })
    });
}

#[test]
fn a_failure_at_any_step_is_undone_without_a_trace() {
    each(|case| {
        at_each_step(&case.origin, &case.take, |host, done| {
            loses_nothing(&case.config, &host, &undo(done))?;
            must_be(after(&host, &undo(done))?, case.origin.clone())
        })
    });
}

#[test]
fn giving_back_that_fails_at_any_step_is_undone_without_a_trace() {
    each(|case| {
        let taken = case.taken()?;
        let steps = case.give_back(&taken);
        // There is no way back from where the bridge is gone.
        at_each_step(&taken, &steps[..steps.len() - 1], |host, done| {
            loses_nothing(&case.config, &host, &undo(done))?;
            must_be(after(&host, &undo(done))?, taken.clone())
        })
    });
}

#[test]
fn a_card_that_is_down_has_its_ipv6_addresses_again() {
    // The kernel takes them from the card that is set down again, in an undo as well: what was written down of them is
    // needed.
    let case = Case::new(DOWN_WITH_IPV6);
    let all = at_each_step(&case.origin, &case.take, |host, done| {
        case.must_be_given_back(host.clone())?;
        case.must_be_given_back(after(&host, &undo(done))?)
    });
    assert_eq!(all, Ok(()));
}

/// Somebody took the card out of its bridge.
fn detached(taken: &Lan) -> Result<Lan, String> {
    after(taken, &[Operation::Link(card(), Setting::Master(Change::new(Some(bridge()), None)))])
}

#[test]
fn a_card_that_was_taken_out_is_put_in_again_and_gets_all_back() {
    each(|case| {
        let (taken, out) = (case.taken()?, detached(&case.taken()?)?);
        let steps = take_again(&out)?;
        loses_nothing(&case.config, &out, &steps)?;
        let again = after(&out, &steps)?;
        must_be_empty(&take_again(&again)?)?;
        must_be(again, taken)?;
        at_each_step(&out, &steps, |host, _| case.must_be_given_back(host))
    });
}

#[test]
fn an_address_that_a_card_has_again_is_the_bridges_and_no_second_one() {
    each(|case| {
        let addresses = &case.config.addresses;
        let Some(address) = addresses.iter().find(|address| address.ip.is_ipv4()).or(addresses.last()) else {
            return Ok(());
        };
        let taken = case.taken()?;
        let set = Setting::HostAddress(Box::new(address.at_once()), Change::new(false, true));
        let out = after(&detached(&taken)?, &[Operation::Link(card(), set)])?;
        assert_eq!(plan::host_config(&network(), &out.look()).addresses, *addresses);
        must_be(after(&out, &take_again(&out)?)?, taken)?;
        case.must_be_given_back(out)
    });
}

#[test]
fn what_a_card_got_after_it_was_taken_out_goes_over_as_well() {
    each(|case| {
        let later = host("address 203.0.113.99/24\nup\nroute 198.18.0.0/15 via 203.0.113.98").card.config;
        let (address, route) = (later.addresses[0].clone(), later.routes[0].clone());
        let set = [
            Setting::HostAddress(Box::new(address.clone()), Change::new(false, true)),
            Setting::Route(Box::new(route.clone()), Change::new(false, true)),
        ];
        let out = after(&detached(&case.taken()?)?, &set.map(|setting| Operation::Link(card(), setting)))?;
        let steps = take_again(&out)?;
        loses_nothing(&later, &out, &steps)?;
        let again = after(&out, &steps)?;
        let on_bridge = again.look().on_bridge;
        let all = case.config.addresses.len() + 1 == on_bridge.addresses.len() && again.lost(&case.config).is_empty();
        let has = on_bridge.addresses.contains(&address) && on_bridge.routes.contains(&route);
        must_be_empty(&take_again(&again)?)?;
        if all && has && again.clone().settled().card.config == IpConfig::default() {
            Ok(())
        } else {
            Err(format!("{again:#?}"))
        }
    });
}

#[test]
fn what_somebody_changed_about_a_network_that_is_up_is_mended() {
    each(|case| {
        let taken = case.taken()?;
        let drift = [
            Operation::Link(bridge(), Setting::Sysctl(RP_FILTER, Change::new(1, 0))),
            Operation::Link(bridge(), Setting::Mtu(Change::new(1500, 1400))),
        ];
        let drifted = after(&taken, &drift)?;
        let steps = take_again(&drifted)?;
        loses_nothing(&case.config, &drifted, &steps)?;
        must_be(after(&drifted, &steps)?, taken)?;
        at_each_step(&drifted, &steps, |host, done| {
            must_be(after(&host, &undo(done))?, drifted.clone())?;
            case.must_be_given_back(host)
        })
    });
}

/// What is said of a host's addresses and routes.
fn judged(text: &str, keep_lease: bool) -> Result<Vec<String>, String> {
    let config = host(text).card.config;
    plan::judge_config(&network(), &config, keep_lease).map_err(|refusal| refusal.to_string())
}

#[test]
fn what_somebody_set_is_taken_without_a_word() {
    for (_, text) in ALL {
        assert_eq!(judged(text, false), Ok(Vec::new()));
    }
}

#[test]
fn a_lease_is_taken_only_if_somebody_says_so() {
    let text = "address 192.0.2.6/24\naddress 192.0.2.5/24 leased\nup";
    let refusal = judged(text, false).unwrap_err();
    assert!(refusal.contains("192.0.2.5/24") && refusal.contains("eth0"), "{refusal}");
    let notes = judged(text, true).unwrap();
    assert!(notes.len() == 1 && notes[0].starts_with("192.0.2.5/24 is leased for 600 s more"), "{notes:?}");
}

#[test]
fn what_a_router_advertised_is_never_taken() {
    for (text, what) in [
        ("address 2001:db8::5/64 advertised\nup", "2001:db8::5/64"),
        ("address 2001:db8::5/64\nup\nroute ::/0 via fe80::1 advertised", "the route default of IPv6 via fe80::1"),
    ] {
        for keep_lease in [false, true] {
            let refusal = judged(text, keep_lease).unwrap_err();
            assert!(refusal.contains(what), "{refusal}");
        }
    }
}

/// What is said of a bridge or card that another has, or has named otherwise.
fn refused(change: impl Fn(&mut Lan)) -> String {
    let mut host = Case::new(ALL[0].1).taken().unwrap();
    change(&mut host);
    take_again(&host).unwrap_err()
}

#[test]
fn what_is_anothers_is_not_taken() {
    let alias = |alias: &str| {
        let alias = Some(alias.to_owned());
        refused(|host| host.bridge.as_mut().unwrap().link.alias = alias.clone())
    };
    assert!(alias("vnet:office:uplink:eth0").contains("office"));
    assert!(alias("my bridge").contains("vn-lan"));
    let in_another = refused(|host| host.card.link.master.as_mut().unwrap().name = "br0".parse().unwrap());
    assert!(in_another.contains("br0"), "{in_another}");
    let renamed = refused(|host| host.card.link.name = "enp1s0".parse().unwrap());
    assert!(renamed.contains("enp1s0"), "{renamed}");
}

#[test]
fn a_bridge_of_the_administrators_is_left_to_it() {
    let case = Case::new(ALL[0].1);
    let mut host = case.taken().unwrap();
    assert!(!plan::is_administrators(&host.look()));
    host.bridge.as_mut().unwrap().link.alias = None;
    assert!(plan::is_administrators(&host.look()));
    // What the bridge has is not the network's to take.
    assert_eq!(plan::host_config(&network(), &host.look()), IpConfig::default());
    host.bridge.as_mut().unwrap().link.alias = Some("vnet:office:uplink:eth0".to_owned());
    let before = host.clone();
    // And none of it goes, whatever was written down before.
    host.card.link.master = None;
    let given = after(&host, &case.give_back(&host)).unwrap();
    assert_eq!(given.bridge, before.bridge);
}
