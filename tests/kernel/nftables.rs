//! Our tables of nf_tables on a real kernel: what it then lists is what `nft` makes of `tests/nftables/ruleset.nft`.

use std::fs;
use std::thread;

use nix::errno::Errno;
use vnet::kernel::netlink::nftables::Nftables;
use vnet::model::{Element, Elements, Firewall, IfName, NetworkName, PortForward, Protocol, Subnet, Tables};

use crate::world::{World, output};

const MARK: u32 = 0x1000;
const RULESET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nftables/ruleset.nft");

fn name(text: &str) -> NetworkName {
    text.parse().unwrap()
}

fn link(text: &str) -> IfName {
    text.parse().unwrap()
}

fn subnet(text: &str) -> Subnet {
    let (first, prefix) = text.split_once('/').unwrap();
    let subnet = Subnet::new(first.parse().unwrap(), prefix.parse().unwrap());
    assert_eq!(subnet.to_string(), text);
    subnet
}

fn forward(protocol: Protocol, listen: &str, port: u16, to: &str) -> Element {
    let address = Some(listen).filter(|listen| !listen.is_empty()).map(|listen| listen.parse().unwrap());
    Element::Forward(PortForward { protocol, address, port, to: to.parse().unwrap() })
}

/// The networks of `ruleset.nft`.
fn networks() -> Vec<(NetworkName, Elements)> {
    use Element::{Bridge, Host, Isolated, Masquerade, Nat, Peer, Same, Source};
    let own = |link: &IfName| [Bridge(link.clone()), Same(link.clone())];
    let behind = |link: &IfName, subnets: &[&str]| {
        subnets.iter().map(|text| Element::Subnet(link.clone(), subnet(text))).collect::<Vec<_>>()
    };
    let [n0, i0, h0, r0, br0] = ["n0", "i0", "h0", "r0", "br0"].map(link);
    let mut lab = Elements::from(own(&n0));
    lab.extend([Host(n0.clone()), Nat(n0.clone()), Peer(n0.clone(), r0.clone()), Peer(r0.clone(), n0.clone())]);
    lab.extend(behind(&n0, &["10.1.0.0/24", "fd57:1::/64"]));
    lab.extend(["10.1.0.0/24", "10.1.1.0/24", "fd57:1::/64"].map(|text| Masquerade(subnet(text))));
    lab.insert(Source(subnet("10.1.2.0/24"), "192.0.2.1".parse().unwrap()));
    lab.insert(Source(subnet("fd57:1:2::/64"), "2001:db8::1".parse().unwrap()));
    lab.extend([
        forward(Protocol::Tcp, "", 8080, "10.1.0.10:80"),
        forward(Protocol::Udp, "", 8053, "10.1.0.10:53"),
        forward(Protocol::Tcp, "", 8080, "[fd57:1::10]:80"),
        forward(Protocol::Tcp, "127.0.0.1", 2222, "10.1.0.10:22"),
        forward(Protocol::Tcp, "192.0.2.1", 443, "10.1.0.11:443"),
        forward(Protocol::Tcp, "2001:db8::1", 443, "[fd57:1::11]:443"),
    ]);
    lab.extend(["10.1.0.1", "10.1.0.10", "fe80::1"].map(|ip| Element::Claimed(n0.clone(), ip.parse().unwrap())));
    for (link, mac) in [(4001, "52:54:00:12:34:57"), (4002, "52:54:00:12:34:58")] {
        lab.extend([Element::Guarded(link, n0.clone()), Element::GuardMac(link, mac.parse().unwrap())]);
    }
    lab.extend([true, false].map(|ipv4| Element::Known { link: 4001, ipv4 }));
    lab.extend(["10.1.0.10", "fd57:1::10"].map(|ip| Element::GuardAddress(4001, ip.parse().unwrap())));
    let mut cell = Elements::from(own(&i0));
    cell.insert(Isolated(i0));
    let mut office = Elements::from(own(&h0));
    office.extend([Host(h0.clone()), Isolated(h0.clone())]);
    office.extend(behind(&h0, &["10.2.0.0/24", "fd57:2::/64"]));
    let mut dmz = Elements::from(own(&r0));
    dmz.insert(Host(r0.clone()));
    dmz.extend(behind(&r0, &["10.3.0.0/28", "2001:db8:3::/64"]));
    let lan = Elements::from([Same(br0)]);
    vec![(name("lab"), lab), (name("cell"), cell), (name("office"), office), (name("dmz"), dmz), (name("lan"), lan)]
}

/// A NAT network, the way they all are.
fn nat_network(number: u32) -> (NetworkName, Elements) {
    let bridge = link(&format!("n{number}"));
    let (v4, v6) = (format!("10.{}.{}.0/24", 1 + number / 250, number % 250), format!("fd57:{:x}::/64", number + 1));
    let elements = Elements::from([
        Element::Bridge(bridge.clone()),
        Element::Same(bridge.clone()),
        Element::Host(bridge.clone()),
        Element::Nat(bridge.clone()),
        Element::Subnet(bridge.clone(), subnet(&v4)),
        Element::Subnet(bridge, subnet(&v6)),
        Element::Masquerade(subnet(&v4)),
        Element::Masquerade(subnet(&v6)),
    ]);
    (name(&format!("net{number}")), elements)
}

fn open() -> Nftables {
    Nftables::open().unwrap()
}

fn add(nftables: &mut Nftables, (network, elements): &(NetworkName, Elements)) {
    nftables.change(network, &Elements::new(), elements, MARK, &|| true).unwrap_or_else(|error| panic!("{error}"));
}

fn take_away(nftables: &mut Nftables, (network, elements): &(NetworkName, Elements)) {
    nftables.change(network, elements, &Elements::new(), MARK, &|| true).unwrap_or_else(|error| panic!("{error}"));
}

/// All elements of networks, in an order that does not depend on the kernel's.
fn sorted(mut elements: Vec<(NetworkName, Element)>) -> Vec<(NetworkName, Element)> {
    elements.sort();
    elements
}

fn in_turn(networks: &[(NetworkName, Elements)]) -> Vec<(NetworkName, Element)> {
    let all = networks.iter().flat_map(|(name, elements)| elements.iter().map(|one| (name.clone(), one.clone())));
    all.collect()
}

fn flat(networks: &[(NetworkName, Elements)]) -> Vec<(NetworkName, Element)> {
    sorted(in_turn(networks))
}

fn must_be_whole(nftables: &mut Nftables, networks: &[(NetworkName, Elements)]) -> Firewall {
    let firewall = nftables.look(MARK).unwrap();
    assert_eq!(firewall.tables, Tables::Whole, "{}", output("nft", "list ruleset"));
    assert_eq!(sorted(firewall.elements.clone()), flat(networks));
    firewall
}

/// The ruleset as `nft` prints it: what it says to people, and each expression.
fn listing() -> (String, String) {
    (output("nft", "list ruleset"), output("nft", "--terse --debug=netlink list ruleset"))
}

/// What `nft` made of the ruleset's file, and in place of what stands in the chains `claims` and `to_server` for what it
/// cannot write the way in which it prints that.
fn as_we_can_say((text, expressions): (String, String)) -> (String, String) {
    let target = [
        ("iif . ip6 daddr @addr6 return", "meta protocol ip6 iif . @th,64,128 @addr6 return"),
        ("meta mark . ip6 daddr @own6 drop", "meta protocol ip6 meta mark . @th,64,128 @own6 drop"),
    ];
    let client = [("iif . ether saddr @mac return", "iif . @th,288,48 @mac return")];
    let behind = |text: &str, chain: &str, stands_for: &[(&str, &str)]| {
        let (before, rest) = text.split_once(chain).unwrap_or_else(|| panic!("{chain}: {text}"));
        let said = stands_for.iter().fold(rest.to_owned(), |rest, (here, there)| {
            assert!(rest.contains(here), "{here}: {rest}");
            rest.replace(here, there)
        });
        [before, chain, &said].concat()
    };
    let target_load = [("16b @ network header + 24 ", "16b @ transport header + 8 ")];
    let client_load = [("6b @ link header + 6 ", "6b @ transport header + 36 ")];
    let expressions = behind(&expressions, "bridge vnet claims ", &target_load);
    let expressions = behind(&expressions, "bridge vnet to_server ", &client_load);
    let said = |text: &str| behind(&behind(text, "chain claims", &target), "chain to_server", &client);
    (said(&text), said(&expressions))
}

fn must_list_the_same(of: &str, (text, expressions): &(String, String)) {
    let now = listing();
    for (now, then) in [(&now.0, text), (&now.1, expressions)] {
        for (number, (now, then)) in now.lines().zip(then.lines()).enumerate() {
            assert_eq!(now, then, "{of}, line {}", number + 1);
        }
        assert_eq!(now.lines().count(), then.lines().count(), "{of}");
    }
}

#[test]
fn what_nft_lists_is_what_it_makes_itself() {
    let _world = World::new();
    output("nft", &format!("-f {RULESET}"));
    let wanted = as_we_can_say(listing());
    let mut nftables = open();
    assert_eq!(sorted(nftables.look(MARK).unwrap().elements), flat(&networks()), "what nft wrote can be read");
    output("nft", "flush ruleset");
    for network in &networks() {
        add(&mut nftables, network);
    }
    must_list_the_same("made one by one", &wanted);
    must_be_whole(&mut nftables, &networks());
    nftables.rebuild(&in_turn(&networks()), MARK).unwrap();
    must_list_the_same("made anew", &wanted);
    must_be_whole(&mut nftables, &networks());
}

#[test]
fn another_mark_is_another_ruleset() {
    let _world = World::new();
    let mut nftables = open();
    nftables.rebuild(&flat(&networks()), 0x0200_0000).unwrap();
    assert_eq!(nftables.look(0x0200_0000).map(|firewall| firewall.tables), Ok(Tables::Whole));
    assert_eq!(nftables.look(MARK).map(|firewall| firewall.tables), Ok(Tables::Damaged));
    let listed = output("nft", "list ruleset");
    assert!(listed.contains("meta mark set meta mark | 0x02000000 accept"), "{listed}");
}

#[test]
fn damage_is_seen_and_mended() {
    let _world = World::new();
    let mut nftables = open();
    let before = nftables.look(MARK).unwrap();
    assert_eq!((before.tables, before.elements.len()), (Tables::Absent, 0));
    nftables.rebuild(&in_turn(&networks()), MARK).unwrap();
    let wanted = listing();
    let handle = |chain: &str, rule: &str| {
        let listed = output("nft", &format!("-a list chain {chain}"));
        let line = listed.lines().find(|line| line.contains(rule)).unwrap_or_else(|| panic!("{rule}: {listed}"));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let reject = |chain: &str| handle(chain, "reject with icmpx admin-prohibited #");
    let damages: &[&dyn Fn() -> String] = &[
        &|| "flush table inet vnet".into(),
        &|| "flush table bridge vnet".into(),
        &|| "flush chain inet vnet post".into(),
        &|| "delete table bridge vnet".into(),
        &|| "delete table inet vnet".into(),
        &|| format!("delete rule inet vnet input handle {}", reject("inet vnet input")),
        &|| "insert rule inet vnet input accept".into(),
        &|| "add rule inet vnet ok accept".into(),
        &|| "add rule bridge vnet pre drop".into(),
        &|| format!("replace rule inet vnet to_guest handle {} accept", reject("inet vnet to_guest")),
        &|| {
            format!(
                "replace rule inet vnet ok handle {} meta mark set meta mark | 0x2000 accept",
                handle("inet vnet ok", "accept")
            )
        },
        &|| "add chain inet vnet more".into(),
        &|| "add set inet vnet more { type ifname ; }".into(),
        &|| "add chain inet vnet forward { policy drop ; }".into(),
        &|| {
            "flush chain bridge vnet guarded ; flush chain bridge vnet in_arp ; flush chain bridge vnet to_server ; delete set bridge vnet mac".into()
        },
    ];
    for damage in damages {
        let damage = damage();
        fs::write("/run/damage.nft", &damage).unwrap();
        output("nft", "-f /run/damage.nft");
        let firewall = nftables.look(MARK).unwrap();
        assert_eq!(firewall.tables, Tables::Damaged, "{damage}");
        let (network, elements) = &nat_network(100);
        let error = nftables.change(network, &Elements::new(), elements, MARK, &|| true).unwrap_err();
        assert_eq!(error.errno, Errno::EUCLEAN, "{damage}: {error}");
        nftables.rebuild(&in_turn(&networks()), MARK).unwrap();
        must_list_the_same(&damage, &wanted);
        must_be_whole(&mut nftables, &networks());
    }
    output("nft", "flush ruleset");
    assert_eq!(nftables.look(MARK).unwrap().tables, Tables::Absent);
}

#[test]
fn an_element_that_no_network_of_ours_can_have_written_is_damage() {
    let _world = World::new();
    let mut nftables = open();
    let networks = networks();
    for element in [
        "br { foreign }",
        "br { foreign comment \"a b\" }",
        "same { n0 . i0 comment \"lab\" }",
        "net4 { n0 . 10.9.0.1-10.9.0.5 comment \"lab\" }",
        "masq4 { 10.9.0.1-10.9.0.5 comment \"lab\" }",
        "fwd4 { sctp . 80 comment \"lab\" : 10.0.0.1 . 80 }",
    ] {
        nftables.rebuild(&flat(&networks), MARK).unwrap();
        must_be_whole(&mut nftables, &networks);
        output("nft", &format!("add element inet vnet {element}"));
        let firewall = nftables.look(MARK).unwrap();
        assert_eq!(firewall.tables, Tables::Damaged, "{element}");
        assert_eq!(sorted(firewall.elements), flat(&networks), "{element}");
    }
}

#[test]
fn what_is_left_of_damaged_tables_is_still_told() {
    let _world = World::new();
    let mut nftables = open();
    nftables.rebuild(&in_turn(&networks()), MARK).unwrap();
    output("nft", "flush chain inet vnet input");
    assert_eq!(sorted(nftables.look(MARK).unwrap().elements), flat(&networks()));
}

#[test]
fn a_network_comes_and_goes_without_touching_the_others() {
    let _world = World::new();
    let mut nftables = open();
    let networks = networks();
    for network in &networks {
        add(&mut nftables, network);
    }
    let (lab, others) = networks.split_first().unwrap();
    take_away(&mut nftables, lab);
    must_be_whole(&mut nftables, others);
    // Once more: what is gone already is no error, nor is what is there already.
    take_away(&mut nftables, lab);
    add(&mut nftables, lab);
    add(&mut nftables, lab);
    must_be_whole(&mut nftables, &networks);
    for (number, network) in networks.iter().enumerate() {
        take_away(&mut nftables, network);
        if number + 1 < networks.len() {
            must_be_whole(&mut nftables, &networks[number + 1..]);
        }
    }
    assert_eq!(output("nft", "list ruleset"), "");
    take_away(&mut nftables, lab);
    assert_eq!(output("nft", "list ruleset"), "");
}

#[test]
fn a_change_is_the_smallest_difference() {
    let _world = World::new();
    let mut nftables = open();
    let (network, before) = nat_network(1);
    add(&mut nftables, &(network.clone(), before.clone()));
    let mut after = before.clone();
    after.remove(&Element::Nat(link("n1")));
    after.insert(forward(Protocol::Udp, "", 53, "10.1.1.9:53"));
    // An element that somebody took away already does not keep the others from going.
    output("nft", "delete element inet vnet nat { n1 }");
    nftables.change(&network, &before, &after, MARK, &|| true).unwrap();
    must_be_whole(&mut nftables, &[(network.clone(), after.clone())]);
    let generation = nftables.generation().unwrap();
    nftables.change(&network, &after, &after, MARK, &|| true).unwrap();
    assert_eq!(nftables.generation(), Ok(generation), "there was nothing to change");
}

#[test]
fn what_another_network_has_cannot_be_had() {
    let _world = World::new();
    let mut nftables = open();
    let (lab, other) = (name("lab"), name("other"));
    let taken = Elements::from([forward(Protocol::Tcp, "", 8080, "10.1.0.10:80")]);
    nftables.change(&lab, &Elements::new(), &taken, MARK, &|| true).unwrap();
    for element in [forward(Protocol::Tcp, "", 8080, "10.2.0.2:80"), forward(Protocol::Tcp, "", 8080, "10.1.0.10:80")] {
        let wanted = Elements::from([Element::Bridge(link("x0")), element.clone()]);
        let error = nftables.change(&other, &Elements::new(), &wanted, MARK, &|| true).unwrap_err();
        assert_eq!(error.errno, Errno::EEXIST, "{error}");
        let said = error.to_string();
        assert!(said.contains(&format!("\"{element}\"")) && said.contains("which the network lab has"), "{said}");
        must_be_whole(&mut nftables, &[(lab.clone(), taken.clone())]);
    }
    // What another has is not removed either.
    nftables.change(&other, &taken, &Elements::new(), MARK, &|| true).unwrap();
    must_be_whole(&mut nftables, &[(lab, taken)]);
}

#[test]
fn an_overlap_is_refused_by_the_kernel_and_named() {
    let _world = World::new();
    let mut nftables = open();
    let (network, elements) = nat_network(1);
    add(&mut nftables, &(network, elements));
    let wider = Elements::from([Element::Masquerade(subnet("10.1.0.0/16"))]);
    let error = nftables.change(&name("other"), &Elements::new(), &wider, MARK, &|| true).unwrap_err();
    assert_eq!(error.errno, Errno::EEXIST, "{error}");
    assert!(error.to_string().contains("\"10.1.0.0/16 goes out as the host\""), "{error}");
}

#[test]
fn the_widest_ranges() {
    let _world = World::new();
    let mut nftables = open();
    let elements = Elements::from([
        Element::Masquerade(subnet("0.0.0.0/1")),
        Element::Masquerade(subnet("128.0.0.0/1")),
        Element::Masquerade(subnet("::/0")),
        Element::Source(subnet("0.0.0.0/32"), "192.0.2.1".parse().unwrap()),
        Element::Source(subnet("255.255.255.255/32"), "192.0.2.1".parse().unwrap()),
        Element::Subnet(link("fifteen-bytes.x"), subnet("::/0")),
    ]);
    let network = (name("thirty-two-bytes-of-a-name-is-ok"), elements);
    add(&mut nftables, &network);
    must_be_whole(&mut nftables, std::slice::from_ref(&network));
    take_away(&mut nftables, &network);
    assert_eq!(output("nft", "list ruleset"), "");
}

#[test]
fn networks_that_come_at_once_are_all_there() {
    const THREADS: u32 = 8;
    const EACH: u32 = 6;
    let _world = World::new();
    let all: Vec<_> = (0..THREADS * EACH).map(nat_network).collect();
    thread::scope(|scope| {
        for networks in all.chunks(EACH as usize) {
            scope.spawn(move || {
                let mut nftables = open();
                for network in networks {
                    add(&mut nftables, network);
                }
            });
        }
    });
    must_be_whole(&mut open(), &all);
    thread::scope(|scope| {
        for networks in all.chunks(EACH as usize) {
            scope.spawn(move || {
                let mut nftables = open();
                for network in networks {
                    take_away(&mut nftables, network);
                }
            });
        }
    });
    assert_eq!(output("nft", "list ruleset"), "");
}

/// A batch that was made for a ruleset that has changed since is refused, and made again.
#[test]
fn a_change_of_anothers_meanwhile_is_no_error() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let _world = World::new();
    let mut nftables = open();
    output("nft", "add table ip busy");
    let done = AtomicBool::new(false);
    let made = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                output("nft", "add chain ip busy c");
                output("nft", "delete chain ip busy c");
            }
        });
        let mut make = |(network, elements): (NetworkName, Elements)| {
            nftables.change(&network, &Elements::new(), &elements, MARK, &|| true)
        };
        let made: Vec<_> = (0..20).map(|number| make(nat_network(number))).collect();
        done.store(true, Ordering::Relaxed);
        made
    });
    assert_eq!(made, [(); 20].map(Ok));
    must_be_whole(&mut nftables, &(0..20).map(nat_network).collect::<Vec<_>>());
}

#[test]
fn many_elements_are_one_batch() {
    let _world = World::new();
    let mut nftables = open();
    let networks: Vec<_> = (0..500).map(nat_network).collect();
    nftables.rebuild(&flat(&networks), MARK).unwrap();
    must_be_whole(&mut nftables, &networks);
    // Nor is there too little room for as many refusals.
    let taken: Elements = (1..=4000).map(|port| forward(Protocol::Tcp, "", port, "10.1.0.10:80")).collect();
    nftables.change(&name("lab"), &Elements::new(), &taken, MARK, &|| true).unwrap();
    let error = nftables.change(&name("other"), &Elements::new(), &taken, MARK, &|| true).unwrap_err();
    assert_eq!(error.errno, Errno::EEXIST, "{error}");
    nftables.remove().unwrap();
    assert_eq!(output("nft", "list ruleset"), "");
    nftables.remove().unwrap();
}

#[test]
fn a_barrier_is_a_chain_that_stops_what_none_of_its_rules_let_through() {
    let _world = World::new();
    let mut nftables = open();
    add(&mut nftables, &nat_network(1));
    let mut barriers = || {
        let found = nftables.barriers(MARK, &"br0".parse().unwrap()).unwrap();
        found.into_iter().map(|barrier| barrier.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(barriers(), [""; 0]);
    output("iptables-nft", "-N DOCKER-USER");
    output("iptables-nft", "-A FORWARD -j DOCKER-USER");
    assert_eq!(barriers(), [""; 0]);
    output("iptables-nft", "-P FORWARD DROP");
    output("ip6tables-nft", "-A FORWARD -j REJECT");
    assert_eq!(barriers(), ["ip filter FORWARD", "ip6 filter FORWARD"]);
    output("iptables-nft", "-P FORWARD ACCEPT");
    output("ip6tables-nft", "-F FORWARD");
    output("ip6tables-nft", "-A FORWARD -j DROP");
    assert_eq!(barriers(), ["ip6 filter FORWARD"]);
    output("ip6tables-nft", "-I FORWARD -p tcp -j DROP");
    output("ip6tables-nft", "-R FORWARD 2 -i lo -j DROP");
    assert_eq!(barriers(), [""; 0]);
    let rules = "table inet wall { chain c { type filter hook forward priority 10; ct state established accept
                     counter log reject with icmpx admin-prohibited; }; }
                 table bridge wall { chain c { type filter hook forward priority 0; policy drop; }; }
                 table ip wall { chain c { type filter hook input priority 0; policy drop; }; }
                 table inet near { chain c { type filter hook forward priority 0; drop; counter accept; }; }";
    fs::write("/run/walls.nft", rules).unwrap();
    output("nft", "-f /run/walls.nft");
    let mut found = barriers();
    found.sort();
    assert_eq!(found, ["bridge wall c", "inet wall c"]);
}

#[test]
fn a_chain_that_lets_through_what_is_marked_or_stays_on_the_bridge_is_no_barrier() {
    for (rule, passes) in [
        ("-I DOCKER-USER -m mark --mark 0x1000/0x1000 -j ACCEPT", true),
        ("-I FORWARD -i br0 -o br0 -j ACCEPT", true),
        ("-I FORWARD -m mark --mark 0x2000/0x2000 -j ACCEPT", false),
        ("-I FORWARD -m mark --mark 0x1000/0x1000 -p tcp -j ACCEPT", false),
        ("-I FORWARD -m mark --mark 0x1000/0x1000 -j DROP", false),
        ("-I FORWARD -i br0 -o br1 -j ACCEPT", false),
        ("-I FORWARD -i br0 -j ACCEPT", false),
        ("-I INPUT -m mark --mark 0x1000/0x1000 -j ACCEPT", false),
        ("-I FORWARD -i br00 -o br00 -j ACCEPT", false),
    ] {
        let _world = World::new();
        output("iptables-nft", "-P FORWARD DROP");
        output("iptables-nft", "-N DOCKER-USER");
        output("iptables-nft", "-A FORWARD -j DOCKER-USER");
        output("iptables-nft", rule);
        let found = open().barriers(MARK, &"br0".parse().unwrap()).unwrap();
        assert_eq!(found.is_empty(), passes, "{rule}");
    }
    // Nothing has our mark before our own chain; there the bridge's name is asked for.
    let _world = World::new();
    output("nft", "add table inet early");
    output("nft", "add chain inet early c { type filter hook forward priority -100; policy drop; }");
    for (matches, passes) in [
        ("meta mark and 0x1000 == 0x1000", false),
        ("iifname br1", false),
        ("iifname br0", false),
        ("oifname br0", true),
    ] {
        output("nft", &format!("insert rule inet early c {matches} accept"));
        let found = open().barriers(MARK, &"br0".parse().unwrap()).unwrap();
        assert_eq!(found.is_empty(), passes, "{matches}");
        assert!(found.iter().all(|barrier| !barrier.sees_mark));
    }
    let _world = World::new();
    output("iptables-nft", "-P FORWARD DROP");
    assert!(open().barriers(MARK, &"br0".parse().unwrap()).unwrap()[0].sees_mark);
    output("nft", "insert rule ip filter FORWARD meta mark and 0x1000 == 0x1000 accept");
    assert_eq!(open().barriers(MARK, &"br0".parse().unwrap()).unwrap(), []);
}
