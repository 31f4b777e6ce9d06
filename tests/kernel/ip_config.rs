//! What makes a card speak IP goes to a bridge and comes back, and nothing of it is lost.

use nix::errno::Errno;
use vnet::kernel::Host;
use vnet::model::{Attribute, Change, HostAddress, IfName, IpConfig, Operation, Origin, Route, Setting};

use crate::world::World;

/// The card, the bridge that takes over, and another link of the host's.
const CARD: &str = "card";
const BRIDGE: &str = "br0";

/// What `ip` shows of addresses and routes.
const VIEWS: [&str; 5] =
    ["-d -4 addr show", "-d -6 addr show", "-d route show table all", "-d -6 route show table all", "rule"];

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

/// A host with a card and another link.
fn make_host(world: &World) {
    world.ip("link add card address 52:54:00:00:00:01 type veth peer name lan");
    world.ip("link add other address 52:54:00:00:00:02 type veth peer name beyond");
    for link in ["lan", "beyond"] {
        world.ip(&format!("link set {link} addrgenmode none up"));
    }
    for link in ["card", "other"] {
        world.ip(&format!("link set {link} addrgenmode none up"));
    }
    world.ip("addr add 203.0.113.2/24 dev other");
    world.ip("-6 addr add 2001:db8:f::2/64 dev other nodad");
}

/// All that an administrator may set.
fn rich(world: &World) {
    for line in [
        "addr add 192.0.2.5/24 brd + dev card",
        "addr add 192.0.2.6/24 brd + dev card label card:1",
        "addr add 198.51.100.1/25 dev card scope link metric 77",
        "addr add 10.1.1.1 peer 10.1.1.2/32 dev card",
        "addr add 10.3.0.9/16 dev card noprefixroute valid_lft 4000 preferred_lft 3000",
        "addr add 10.4.0.1/32 dev card",
        "-6 addr add fe80::5/64 dev card nodad",
        "-6 addr add 2001:db8:1::5/64 dev card nodad",
        "-6 addr add 2001:db8:1::6/64 dev card nodad noprefixroute",
        "-6 addr add 2001:db8:2::7/80 dev card nodad valid_lft 5000 preferred_lft 4000 metric 300",
        "-6 addr add 2001:db8:3::1 peer 2001:db8:3::2/128 dev card nodad home",
        "-6 addr add fd00::9/128 dev card nodad",
        "route add 10.3.0.0/16 dev card proto kernel scope link src 10.3.0.9 metric 100",
        "route add 10.9.0.1 dev card src 192.0.2.6 proto static",
        "route add default via 192.0.2.1 dev card proto static src 192.0.2.5 mtu 1400 advmss lock 1300",
        "route append default via 203.0.113.1 dev other",
        "route add default via 192.0.2.1 dev card metric 100",
        "route add default via 203.0.113.1 dev other metric 200",
        "route append default via 192.0.2.3 dev card metric 200",
        "route add default via 10.9.0.1 dev card metric 300 proto bird",
        "route append default via 192.0.2.1 dev card metric 300",
        "route add 10.20.0.0/16 nexthop via 192.0.2.1 dev card weight 3 nexthop via 203.0.113.1 dev other \
         nexthop via 172.31.0.1 dev card onlink",
        "route add 10.21.0.0/16 via 172.31.0.9 dev card onlink table 100",
        "route add 10.22.0.0/16 via inet6 fe80::1 dev card table 1000 proto bird",
        "route add 10.23.0.0/16 dev card tos 0x10 scope link",
        "route add 10.23.0.0/16 via 192.0.2.4 dev card",
        "route add multicast 239.0.0.0/8 dev card",
        "route add throw 10.99.0.0/16 table 100",
        "-6 route add default via fe80::1 dev card proto static metric 512 pref high mtu 1400",
        "-6 route add default via fe80::1 dev other metric 600",
        "-6 route append default via fe80::1 dev card metric 600",
        "-6 route append default via fe80::3 dev card metric 600",
        "-6 route add default metric 700 nexthop via fe80::1 dev card weight 2 nexthop via fe80::1 dev other",
        "-6 route add 2001:db8:20::/48 via 2001:db8:1::1 dev card src 2001:db8:1::5 proto bird table 1000",
        "-6 route add 2001:db8:21::/48 dev card expires 900 table 100",
        "-6 route add 2001:db8:22::/48 via 2001:db8:99::1 dev card onlink pref low",
        "-6 route add 2001:db8:24::/48 dev card",
        "-6 route add 2001:db8:24::/48 via fe80::9 dev card metric 2048 expires 800",
        "-6 route add 2001:db8:23::/48 from 2001:db8:1::/64 dev card",
        "-6 route add blackhole 2001:db8:66::/48",
    ] {
        world.ip(line);
    }
    for line in [
        "neigh add 192.0.2.1 lladdr 52:54:00:00:00:aa dev card nud stale",
        "neigh add 192.0.2.3 lladdr 52:54:00:00:00:ab dev card nud permanent",
        "neigh add fe80::1 lladdr 52:54:00:00:00:aa dev card nud stale",
        "neigh add fe80::3 lladdr 52:54:00:00:00:ab dev card nud permanent",
        "neigh add 192.0.2.77 lladdr 52:54:00:00:00:ad dev card nud noarp",
        "neigh add proxy 192.0.2.99 dev card",
        "neigh add 203.0.113.1 lladdr 52:54:00:00:00:ac dev other nud permanent",
    ] {
        world.ip(line);
    }
}

/// What iproute2 6.1 has no word for: addresses with the protocol that set them (`IFA_PROTO`).
fn with_protocols(world: &World, host: &mut Host) {
    for (ip, prefix, flags) in [("10.4.0.9", 24, 0), ("2001:db8:4::9", 64, 0x202)] {
        let attributes = vec![Attribute { kind: 11, value: vec![0x55] }];
        let ip = ip.parse().unwrap();
        let address = HostAddress { ip, prefix, scope: 0, flags, origin: Origin::Set, lifetime: None, attributes };
        host.link(&name(CARD)).unwrap();
        execute(host, &[give(CARD, &address, true)]);
        assert!(config(host, CARD).addresses.contains(&address), "{address}");
        let of_host = |family| world.ip(&format!("{family} route show table local")).contains(&address.ip.to_string());
        world.must_come_true(|| if of_host("-4") || of_host("-6") { Ok(()) } else { Err(format!("no route to {ip}")) });
    }
}

/// What `ip` shows, without what counts or runs.
fn shown(world: &World) -> Vec<String> {
    let show = |view: &&str| world.ip(view).lines().map(|line| but_what_runs(line).join(" ")).collect::<Vec<_>>();
    VIEWS.iter().flat_map(show).collect()
}

/// The words of a line without seconds.
fn but_what_runs(line: &str) -> Vec<String> {
    let runs = |word: &str| word.ends_with("sec") && word.starts_with(|first: char| first.is_ascii_digit());
    line.split_whitespace().filter(|word| !runs(word)).map(str::to_owned).collect()
}

fn config(host: &mut Host, link: &str) -> IpConfig {
    let link = host.link(&name(link)).unwrap().unwrap();
    host.ip_config(&link).unwrap()
}

fn on(link: &str, setting: Setting) -> Operation {
    Operation::Link(name(link), setting)
}

fn give(link: &str, address: &HostAddress, there: bool) -> Operation {
    on(link, Setting::HostAddress(Box::new(address.clone()), Change::new(!there, there)))
}

fn by(link: &str, route: &Route, there: bool) -> Operation {
    on(link, Setting::Route(Box::new(route.clone()), Change::new(!there, there)))
}

/// A bridge with the card's MAC, and nothing else.
fn make_bridge(world: &World, host: &mut Host) {
    world.ip("link add br0 address 52:54:00:00:00:01 type bridge");
    world.ip("link set br0 addrgenmode none up");
    host.link(&name(BRIDGE)).unwrap();
}

/// All from one link to the other, in an order in which the host always has its addresses and ways: what is done before
/// the card becomes a port or is one no more, and what is done then.
fn moves(config: &IpConfig, from: &str, to: &str) -> (Vec<Operation>, Vec<Operation>) {
    let (four, six): (Vec<_>, Vec<_>) = config.addresses.iter().partition(|address| address.ip.is_ipv4());
    let (by_gateway, direct): (Vec<_>, Vec<_>) = config.routes.iter().partition(|route| route.has_gateway());
    let known = |link: &str, there: bool| -> Vec<_> {
        let all = config.neighbours.iter();
        all.map(|known| on(link, Setting::Neighbour(*known, Change::new(!there, there)))).collect()
    };
    let addresses = four.iter().chain(six.iter().rev()).map(|address| give(to, &address.at_once(), true));
    let reroute = |route: &&Route| Operation::Reroute(Box::new((*route).clone()), Change::new(name(from), name(to)));
    let mut then = known(to, true);
    then.extend(direct.iter().map(|route| by(to, route, true)));
    then.extend(by_gateway.iter().map(reroute));
    then.extend(direct.iter().map(|route| by(from, route, false)));
    // With the last address of IPv4 the kernel forgets all neighbours, which undoing that would not bring back.
    then.extend(known(from, false));
    then.extend(four.iter().rev().chain(&six).map(|address| give(from, address, false)));
    for address in six.iter().filter(|address| **address != &address.at_once()) {
        let flags = Change::new(address.at_once().flags, address.flags);
        then.push(on(to, Setting::AddressFlags(Box::new(address.at_once()), flags)));
    }
    (addresses.collect(), then)
}

fn execute(host: &mut Host, operations: &[Operation]) {
    for operation in operations {
        host.execute(operation).unwrap_or_else(|error| panic!("{operation}: {error}"));
    }
}

/// The addresses of this link and all routes, with the card's name in place of this one's. What each link has of its own
/// is left out: link-local addresses and multicast.
fn shown_as_cards(world: &World, link: &str) -> Vec<String> {
    let addresses = ["-4", "-6"].map(|family| world.ip(&format!("-o -d {family} addr show dev {link}"))).concat();
    let addresses: Vec<_> =
        addresses.lines().filter_map(|line| line.find("inet").and_then(|at| line.get(at..))).collect();
    let routes = world.ip(VIEWS[2]) + &world.ip(VIEWS[3]);
    let own = |line: &&str| {
        ["inet6 fe80", "unicast fe80", "local fe80", "multicast ff00"].iter().any(|own| line.starts_with(own))
    };
    let all = addresses.into_iter().chain(routes.lines()).filter(|line| !own(line));
    all.map(|line| {
        let words = but_what_runs(&line.replace('\\', " "));
        let words = words.iter().map(|word| if word == link { CARD } else { word });
        words.collect::<Vec<_>>().join(" ")
    })
    .collect()
}

/// Whether the lines are these; else from where on they are not.
fn same(found: &[String], wanted: &[String], when: &str) -> Result<(), String> {
    let place = (0..found.len().max(wanted.len())).find(|at| found.get(*at) != wanted.get(*at));
    let Some(at) = place else { return Ok(()) };
    let rest = |lines: &[String]| lines[at.min(lines.len())..].join("\n");
    Err(format!("{when}: from line {at} on it is\n{}\nand was\n{}", rest(found), rest(wanted)))
}

/// The kernel sets IPv6's own route to an address a little later, and notices a carrier late too.
fn must_be_shown(world: &World, wanted: &[String], when: &str) {
    world.must_come_true(|| same(&shown(world), wanted, when));
}

fn must_be_same(found: &IpConfig, wanted: &IpConfig, when: &str) {
    let lines = |config: &IpConfig| {
        let addresses = config.addresses.iter().map(|address| format!("{address:?}"));
        let routes = config.routes.iter().map(|route| format!("{route:?}"));
        let neighbours = config.neighbours.iter().map(|neighbour| format!("{neighbour:?}"));
        addresses.chain(routes).chain(neighbours).collect::<Vec<_>>()
    };
    if found != wanted {
        panic!("{}", same(&lines(found), &lines(wanted), when).unwrap_err());
    }
}

#[test]
fn all_that_a_card_has_goes_to_a_bridge_and_back() {
    let world = World::new();
    make_host(&world);
    rich(&world);
    let mut host = Host::open(0).unwrap().with_ip_config();
    with_protocols(&world, &mut host);
    let before = shown(&world);
    let of_card = config(&mut host, CARD);
    make_bridge(&world, &mut host);
    let (first, then) = moves(&of_card, CARD, BRIDGE);
    execute(&mut host, &first);
    world.ip("link set card master br0");
    execute(&mut host, &then);
    let there = config(&mut host, BRIDGE);
    must_be_same(&there, &of_card, "there");
    assert_eq!(config(&mut host, CARD), IpConfig::default());
    let (first, then) = moves(&there, BRIDGE, CARD);
    execute(&mut host, &first);
    world.ip("link set card nomaster");
    execute(&mut host, &then);
    must_be_same(&config(&mut host, CARD), &of_card, "there and back");
    world.ip("link del br0");
    must_be_shown(&world, &before, "there and back");
}

/// The undo of each of them is the same backwards.
#[test]
fn what_is_undone_in_the_middle_is_as_it_was() {
    let world = World::new();
    make_host(&world);
    rich(&world);
    let mut host = Host::open(0).unwrap().with_ip_config();
    with_protocols(&world, &mut host);
    let before = shown(&world);
    let of_card = config(&mut host, CARD);
    let (first, then) = moves(&of_card, CARD, BRIDGE);
    let all: Vec<_> = first.into_iter().chain(then).collect();
    for done in 0..=all.len() {
        let when = format!("after {done} of {}: {}", all.len(), all[done.saturating_sub(1)]);
        make_bridge(&world, &mut host);
        execute(&mut host, &all[..done]);
        let undo: Vec<_> = all[..done].iter().rev().map(|operation| operation.clone().reversed()).collect();
        execute(&mut host, &undo);
        must_be_same(&config(&mut host, CARD), &of_card, &when);
        world.ip("link del br0");
        must_be_shown(&world, &before, &when);
    }
}

/// In all that `ip` shows, and in the same order.
#[test]
fn a_bridge_has_all_that_the_card_had() {
    let world = World::new();
    make_host(&world);
    rich(&world);
    let mut host = Host::open(0).unwrap().with_ip_config();
    with_protocols(&world, &mut host);
    let before = shown_as_cards(&world, CARD);
    let of_card = config(&mut host, CARD);
    make_bridge(&world, &mut host);
    let (first, then) = moves(&of_card, CARD, BRIDGE);
    execute(&mut host, &first);
    world.ip("link set card master br0");
    execute(&mut host, &then);
    world.must_come_true(|| same(&shown_as_cards(&world, BRIDGE), &before, "there"));
    let left = world.ip("addr show dev card");
    let left: Vec<_> = left.lines().filter(|line| line.contains("inet")).collect();
    assert!(left.len() == 1 && left[0].contains("fe80::5/64"), "{left:#?}");
}

#[test]
fn what_is_gone_is_deleted_and_what_is_moved_is_moved() {
    let world = World::new();
    make_host(&world);
    rich(&world);
    let mut host = Host::open(0).unwrap().with_ip_config();
    let of_card = config(&mut host, CARD);
    make_bridge(&world, &mut host);
    let (first, then) = moves(&of_card, CARD, BRIDGE);
    execute(&mut host, &first);
    let there = |host: &mut Host, operation| host.execute(operation).map_err(|error| (error.errno, error.answer_lost));
    for operation in &first {
        assert_eq!(there(&mut host, operation), Err((Errno::EEXIST, false)), "{operation}");
    }
    for operation in &then {
        execute(&mut host, std::slice::from_ref(operation));
        match operation {
            Operation::Link(_, Setting::Route(_, Change { after: true, .. })) => {
                assert_eq!(there(&mut host, operation), Err((Errno::EEXIST, false)), "{operation}");
            }
            _ => execute(&mut host, std::slice::from_ref(operation)),
        }
    }
    must_be_same(&config(&mut host, BRIDGE), &of_card, "twice");
    assert_eq!(config(&mut host, CARD), IpConfig::default());
}

/// As the hook does, which so keeps what it has no use for out of its program.
#[test]
fn a_host_that_is_not_asked_to_change_ip_does_not() {
    let world = World::new();
    make_host(&world);
    rich(&world);
    let mut host = Host::open(0).unwrap();
    let of_card = config(&mut host, CARD);
    make_bridge(&world, &mut host);
    let before = shown(&world);
    let (first, then) = moves(&of_card, CARD, BRIDGE);
    let waits = on(BRIDGE, Setting::Running(Change::new(false, true)));
    for operation in first.iter().chain(&then).chain([&waits]) {
        let error = host.execute(operation).unwrap_err();
        assert_eq!((error.errno, error.answer_lost), (Errno::ENOTSUP, false), "{operation}: {error}");
    }
    must_be_shown(&world, &before, "refused");
}

/// A gateway that the other link cannot reach.
#[test]
fn a_route_that_cannot_be_moved_stays() {
    let world = World::new();
    make_host(&world);
    rich(&world);
    let mut host = Host::open(0).unwrap().with_ip_config();
    let of_card = config(&mut host, CARD);
    make_bridge(&world, &mut host);
    let before = shown(&world);
    let by_its_addresses = |route: &&Route| route.to.is_ipv4() && route.has_gateway() && route.table == 254;
    for route in of_card.routes.iter().filter(by_its_addresses) {
        let operation = Operation::Reroute(Box::new(route.clone()), Change::new(name(CARD), name(BRIDGE)));
        let error = host.execute(&operation).unwrap_err();
        assert_eq!((error.errno, error.answer_lost), (Errno::ENETUNREACH, false), "{operation}: {error}");
        must_be_shown(&world, &before, &operation.to_string());
    }
}
