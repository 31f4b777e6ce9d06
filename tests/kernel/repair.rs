//! `vnet repair`: what was changed, lost or left behind, each alone and all at once; and that nothing else is touched.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use vnet::model::TapState;

use crate::contract::hold_lock;
use crate::links::{Guest, addresses, field, is_up, link, must_be};
use crate::picture::{Picture, servers};
use crate::tap::Tap;
use crate::uplink::{Uplink, must_be_back};
use crate::world::{World, output};

const NAT: &str = r#"{"mode": "nat", "addresses": ["10.1.0.1/24", "fd57::1/64"], "dhcp": {}, "dns": {"domain": "lab.internal"},
    "forwards": [{"listen": "tcp/2222", "to": "web0:22"}]}"#;
const WEB0: &str =
    r#"{"network": "lab", "mac": "52:54:00:12:34:57", "addresses": ["10.1.0.10", "fd57::10"], "hostname": "web0"}"#;
const ISOLATED: &str = r#"{"mode": "isolated", "addresses": ["10.3.0.1/24"], "dhcp": {}}"#;
const ROUTED: &str = r#"{"mode": "routed", "proxy_arp": true, "addresses": ["192.0.2.65/28", "2001:db8::40:1/112"]}"#;
const RT0: &str = r#"{"network": "rt", "addresses": ["192.0.2.66", "2001:db8::40:2"]}"#;
const HOST_ONLY: &str = r#"{"mode": "host-only", "addresses": ["10.2.0.1/24"]}"#;

/// A host with three networks that are up, and two guests of `lab`: one with a file, behind a tap, and one behind a
/// veth pair.
struct Site {
    host: Uplink,
    tap: Option<Tap>,
    _guest: Guest,
    whole: Picture,
}

impl Site {
    fn new() -> Self {
        let host = Uplink::new();
        let world = &host.world;
        for (name, text) in [("lab", NAT), ("iso", ISOLATED), ("rt", ROUTED)] {
            world.network(name, text);
        }
        world.guest("web0", WEB0);
        world.guest("rt0", RT0);
        world.told("up --all");
        let tap = Some(Tap::new("web0"));
        world.up("web0");
        let guest = Guest::plugged_into(world, "lab-0", &[]);
        world.up("lab-0");
        // The kernel gives the bridge one when it sees the first guest.
        world.must_come_true(|| match addresses("vn-lab").iter().any(|address| address.starts_with("fe80:")) {
            true => Ok(()),
            false => Err("vn-lab has no link-local address".to_owned()),
        });
        let whole = world.picture();
        Self { whole, host, tap, _guest: guest }
    }

    /// Does damage, which shows; repairs it; and sees that this tells it, and that a second run finds nothing.
    fn is_mended(&self, damage: &Damage) {
        let world = &self.host.world;
        let what = damage.what;
        damage.do_it(world);
        assert!(!self.whole.differences(&world.picture()).is_empty(), "{what}: does not show");
        assert_eq!(world.told("repair"), damage.told, "{what}");
        self.must_be_whole(what);
    }

    fn must_be_whole(&self, what: &str) {
        let world = &self.host.world;
        let whole = || match self.whole.differences(&world.picture()) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(differences.join("\n")),
        };
        world.comes_true(whole).unwrap_or_else(|differences| panic!("{what}:\n{differences}"));
        assert_eq!(world.told("repair"), "", "{what}, a second time");
        whole().unwrap_or_else(|differences| panic!("{what}, a second time:\n{differences}"));
    }
}

/// What somebody does, and what is told when it is mended.
struct Damage {
    what: &'static str,
    told: &'static str,
}

const fn damage(what: &'static str, told: &'static str) -> Damage {
    Damage { what, told }
}

impl Damage {
    /// `PROGRAM ARGUMENTS`, or `write FILE TEXT`, `remove FILE` below the run directory, `kill NETWORK` for its server.
    fn do_it(&self, world: &World) {
        for command in self.what.split("; ") {
            match command.split_once(' ').unwrap() {
                ("write", rest) => {
                    let (file, text) = rest.split_once(' ').unwrap();
                    fs::write(file, text).unwrap();
                }
                ("remove", file) => fs::remove_file(world.state().join(file)).unwrap(),
                ("kill", network) => kill_server(world, network),
                (tool, arguments) => drop(output(tool, arguments)),
            }
        }
    }
}

fn kill_server(world: &World, network: &str) {
    let number = fs::read_to_string(world.state().join(network).join("dnsmasq.pid")).unwrap();
    let number: i32 = number.trim().parse().unwrap();
    kill(Pid::from_raw(number), Signal::SIGKILL).unwrap();
    let is_gone =
        || if servers().iter().any(|server| server.process == number) { Err("it runs".to_owned()) } else { Ok(()) };
    world.must_come_true(is_gone);
}

const ALL: [Damage; 21] = [
    damage(
        "nft flush ruleset",
        "iso: mended: the firewall's rules; the firewall's tables had been changed, and are written anew\n",
    ),
    damage(
        "nft flush set inet vnet br",
        "iso: mended: the firewall's rules\nlab: mended: the firewall's rules\nrt: mended: the firewall's rules\n",
    ),
    damage("ip link set web0 nomaster", "lab: mended: web0 attached again\n"),
    damage("ip link set lab-0 nomaster; ip link set lab-0 down", "lab: mended: lab-0 attached again\n"),
    damage("ip link set web0 address 52:54:00:12:34:99", "lab: mended: the MAC of web0\n"),
    damage("ip link set web0 mtu 1400", "lab: mended: the MTU of web0\n"),
    damage("kill lab", "lab: mended: dnsmasq started again\n"),
    damage("kill iso", "iso: mended: dnsmasq started again\n"),
    damage("remove lab/dhcp/web0", "lab: mended: its files\n"),
    damage("ip link set vn-lab address 52:54:00:00:00:99", "lab: mended: the MAC of vn-lab\n"),
    damage("ip link set vn-lab mtu 1400", "lab: mended: the MTU of vn-lab\n"),
    damage("ip link set vn-lab type bridge stp_state 1", "lab: mended: the settings of the bridge vn-lab\n"),
    damage("ip addr del 10.1.0.1/24 dev vn-lab", "lab: mended: the addresses of vn-lab\n"),
    damage("ip link set vn-rt down", "rt: mended: the addresses of vn-rt, vn-rt set up\n"),
    damage("write /proc/sys/net/ipv4/conf/vn-lab/arp_ignore 0", "lab: mended: net.ipv4.conf.vn-lab.arp_ignore\n"),
    damage("write /proc/sys/net/ipv6/conf/vn-iso/disable_ipv6 0", "iso: mended: net.ipv6.conf.vn-iso.disable_ipv6\n"),
    damage("ip link set vn-lab alias x; ip link set vn-lab alias vnet:lab:owned", "lab: mended: the mark of vn-lab\n"),
    damage("ip link set vd-iso nomaster", "iso: mended: vd-iso attached again\n"),
    damage("ip neigh del proxy 192.0.2.66 dev uplink", "rt: mended: for whom the host answers on uplink\n"),
    damage(
        "ip link del vn-lab",
        "lab: mended: the bridge vn-lab made again, dnsmasq started again, web0 attached again, lab-0 attached again\n",
    ),
    damage(
        "ip link del vn-iso",
        "iso: mended: removed what was left of it: dnsmasq stopped, its files, the firewall's rules\n",
    ),
];

#[test]
fn each_kind_of_damage_is_mended_alone() {
    let site = Site::new();
    // The last one ends its network, of which no guest is there.
    ALL.iter().take(ALL.len() - 1).for_each(|damage| site.is_mended(damage));
}

#[test]
fn all_kinds_of_damage_are_mended_at_once() {
    let site = Site::new();
    let world = &site.host.world;
    // What needs the bridge or the rules that are gone by then cannot be done besides.
    let impossible = ["del vn-", "flush ruleset", "vd-iso"];
    let possible = |damage: &&Damage| !impossible.iter().any(|part| damage.what.contains(part));
    ALL.iter().filter(possible).for_each(|damage| damage.do_it(world));
    for damage in ["ip link set lab-0 nomaster", "ip link set web0 nomaster", "nft flush ruleset"] {
        Damage { what: damage, told: "" }.do_it(world);
    }
    let told = world.told("repair --all");
    let names: Vec<_> = told.lines().map(|line| line.split(": mended: ").next().unwrap()).collect();
    assert_eq!(names, ["iso", "lab", "rt"], "{told}");
    site.must_be_whole("all at once");
}

#[test]
fn only_the_named_networks_are_mended() {
    let site = Site::new();
    let world = &site.host.world;
    output("ip", "link set web0 nomaster");
    assert_eq!(world.told("repair iso rt"), "");
    assert_eq!(link("web0").unwrap().get("master"), None);
    assert_eq!(world.told("repair lab"), "lab: mended: web0 attached again\n");
    site.must_be_whole("lab alone");
}

#[test]
fn a_network_that_is_brought_up_takes_its_guests_back() {
    let site = Site::new();
    let world = &site.host.world;
    for detached in ["link set web0 nomaster", "link del vn-lab"] {
        world.ip(detached);
        let told = world.told("up lab");
        assert!(told.starts_with("lab: up on vn-lab (nat), "), "{told}");
        site.must_be_whole(detached);
    }
}

#[test]
fn a_changed_file_is_no_damage_and_is_followed_all_the_same() {
    let site = Site::new();
    let world = &site.host.world;
    world.guest("web0", WEB0.replace("34:57", "34:58"));
    assert_eq!(world.told("repair"), "lab: mended: its files, what dnsmasq knows of its guests, the MAC of web0\n");
    must_be("web0", "/address", "fe:54:00:12:34:58");
    assert_eq!(world.told("repair"), "");
}

#[test]
fn what_is_left_of_one_network_is_not_in_the_way_of_another() {
    let host = Uplink::new();
    let world = &host.world;
    let forwarding =
        |address: &str, forwards: &str| format!(r#"{{"mode": "nat", "addresses": ["{address}"]{forwards}}}"#);
    world.network("lab", forwarding("10.1.0.1/24", ""));
    world.network("zoo", forwarding("10.2.0.1/24", r#", "forwards": [{"listen": "tcp/2222", "to": "10.2.0.10:22"}]"#));
    world.told("up --all");
    world.ip("link del vn-zoo");
    world.network("lab", forwarding("10.1.0.1/24", r#", "forwards": [{"listen": "tcp/2222", "to": "10.1.0.10:22"}]"#));
    let told = "zoo: mended: removed what was left of it: the firewall's rules\n\
                lab: mended: the firewall's rules, the mark of vn-lab\n";
    assert_eq!(world.told("repair"), told);
    assert_eq!(world.told("repair"), "");
}

/// What there is of a network that is not up goes, as by `vnet down`.
fn is_removed(network: &str, damage: impl Fn(&World), told: &str) {
    let host = Uplink::new();
    let world = &host.world;
    let before = world.picture();
    world.network("lab", network);
    world.guest("web0", WEB0);
    world.guest("rt0", r#"{"network": "lab", "addresses": ["192.0.2.66", "2001:db8::40:2"]}"#);
    if network != ROUTED {
        fs::remove_file(world.config().join("guests/rt0.json")).unwrap();
    }
    if network != NAT {
        fs::remove_file(world.config().join("guests/web0.json")).unwrap();
    }
    damage(world);
    assert_eq!(world.told("repair"), told);
    must_be_back(world, &before);
    assert_eq!(world.told("repair"), "");
    must_be_back(world, &before);
}

#[test]
fn what_is_left_of_a_network_whose_bridge_was_deleted_goes() {
    let deleted = |world: &World| {
        world.told("up lab");
        world.ip("link del vn-lab");
    };
    is_removed(NAT, deleted, "lab: mended: removed what was left of it: dnsmasq stopped, the firewall's rules\n");
    is_removed(ISOLATED, deleted, "lab: mended: removed what was left of it: dnsmasq stopped, the firewall's rules\n");
    let routed = "lab: mended: removed what was left of it: for whom the host answers on uplink, net.ipv6.conf.uplink.proxy_ndp, the firewall's rules, its files\n";
    is_removed(ROUTED, deleted, routed);
}

#[test]
fn what_a_killed_run_left_goes() {
    let directories = |world: &World| fs::create_dir_all(world.state().join("lab/dhcp")).unwrap();
    is_removed(NAT, directories, "lab: mended: removed what was left of it: dnsmasq stopped\n");
    let lock = |world: &World| {
        fs::create_dir_all(world.state().join("lock")).unwrap();
        fs::write(world.state().join("lock/lab"), "").unwrap();
    };
    is_removed(NAT, lock, "");
    let bridge = |world: &World| {
        world.told("up lab");
        let mac = field("vn-lab", "/address");
        world.told("down lab");
        world.ip(&format!("link add vn-lab address {} type bridge", mac.as_str().unwrap()));
    };
    is_removed(HOST_ONLY, bridge, "lab: mended: removed what was left of it: the bridge vn-lab removed\n");
}

#[test]
fn files_of_a_server_that_a_network_has_no_more_go() {
    let host = Uplink::new();
    let world = &host.world;
    world.network("lab", NAT);
    world.guest("web0", WEB0);
    world.told("up lab");
    kill_server(world, "lab");
    world.network("lab", r#"{"mode": "nat", "addresses": ["10.1.0.1/24", "fd57::1/64"]}"#);
    let told = world.told("repair");
    assert!(told.starts_with("lab: mended: ") && told.contains("dnsmasq stopped"), "{told}");
    assert!(!world.state().join("lab").exists());
    assert_eq!(world.told("repair"), "");
}

/// What a guest does that made its tap persistent, and ended.
fn die(world: &World, name: &str, tap: Tap) {
    tap.persist();
    drop(tap);
    // A process that another test starts just now has the tap open until it runs its program.
    world.must_come_true(|| match field(name, "/flags").as_array().unwrap().contains(&"NO-CARRIER".into()) {
        true => Ok(()),
        false => Err(format!("{name} is held")),
    });
}

#[test]
fn taps_that_dead_guests_left_go() {
    for queues in [1, 2] {
        for detached in [false, true] {
            let site = Site::new();
            let world = &site.host.world;
            let tap = if queues == 1 { Tap::new("lab-d") } else { Tap::with_queues("lab-d", queues) };
            world.up("lab-d");
            tap.persist();
            if detached {
                world.ip("link set lab-d nomaster");
                assert_eq!(world.told("repair"), "lab: mended: lab-d attached again\n");
            }
            assert_eq!(world.told("repair"), "", "it is held");
            die(world, "lab-d", tap);
            if detached {
                world.ip("link set lab-d nomaster");
            }
            assert!(link("lab-d").is_some());
            assert_eq!(world.told("repair"), "lab: mended: the dead tap lab-d removed\n");
            assert_eq!(link("lab-d"), None);
            site.must_be_whole("a dead tap");
        }
    }
}

/// Whoever holds a tap may say that nobody does, and let it stay: it looks like one that a dead guest left.
#[test]
fn a_guest_that_plays_dead_is_no_dead_tap() {
    for queues in [1, 2] {
        for persistent in [true, false] {
            let site = Site::new();
            let world = &site.host.world;
            let tap = if queues == 1 { Tap::new("lab-d") } else { Tap::with_queues("lab-d", queues) };
            world.up("lab-d");
            if persistent {
                tap.persist();
            }
            tap.put_carrier_out();
            world.must_come_true(|| match field("lab-d", "/linkinfo/info_slave_data/state") == "disabled" {
                true => Ok(()),
                false => Err("the bridge did not see it yet".to_owned()),
            });
            let before = world.picture();
            for verb in ["repair", "repair lab", "repair --all"] {
                assert_eq!(world.told(verb), "", "{verb}");
            }
            assert_eq!(world.told("up lab"), "lab: up on vn-lab (nat), nothing to change\n");
            let run = world.vnet("down lab");
            assert!(run.stderr.starts_with("vnet: lab: 3 guests are attached (web0, lab-0, lab-d), "), "{run:#?}");
            world.must_look_like(&before);
            world.ip("link set lab-d nomaster");
            assert_eq!(world.told("repair"), "lab: mended: lab-d attached again\n");
            assert_eq!(world.told("down lab --force"), "lab: down; 3 guests were cut off\n");
            must_be("lab-d", "/linkinfo/info_data/persist", persistent);
            assert_eq!(link("lab-d").unwrap().get("ifalias"), None);
        }
    }
}

#[test]
fn a_link_on_a_card_that_was_not_made_to_its_end_goes() {
    const OURS: u32 = TapState::OURS;
    // Whether or not a network is there that it may have been for.
    for networks in [true, false] {
        let world = World::new();
        if networks {
            world.network("lan", r#"{"mode": "macvtap", "uplink": "lan0"}"#);
            world.network("other", r#"{"mode": "macvtap", "uplink": "lan0", "variant": "vepa"}"#);
        }
        world.ip("link add lan0 type veth peer lan1");
        let before = world.picture();
        world.ip(&format!("link add link lan0 name half group {OURS} type macvtap mode bridge"));
        if networks {
            assert_eq!(world.told("repair lan"), "", "nobody knows whose network it was to be on");
        }
        let told = world.told("repair");
        assert_eq!(told, "removed half, a link on a network card that a run was ended at making\n");
        world.must_look_like(&before);
        assert_eq!(world.told("repair"), "");
        for (name, group) in [("foreign", 0), ("named", OURS), ("plain", OURS)] {
            let kind = if name == "plain" { "macvlan" } else { "macvtap" };
            world.ip(&format!("link add link lan0 name {name} group {group} type {kind} mode bridge"));
        }
        world.ip("link set named alias another's");
        let others = world.picture();
        assert_eq!(world.told("repair"), "");
        world.must_look_like(&others);
    }
}

/// Whoever makes it holds its network's lock.
#[test]
fn a_link_on_a_card_that_is_just_being_made_stays() {
    const OURS: u32 = TapState::OURS;
    let world = World::new();
    world.network("lab", r#"{"mode": "macvtap", "uplink": "lan0"}"#);
    world.ip("link add lan0 type veth peer lan1");
    // Else the lock would be one that nobody needs, and repair would wait for it before it looks.
    world.ip("link add link lan0 name whole type macvtap mode bridge");
    world.ip("link set whole alias vnet:lab:persistent");
    let lock = hold_lock(&world);
    world.ip(&format!("link add link lan0 name half group {OURS} type macvtap mode bridge"));
    let repair = world.command(world.program("vnet")).arg("repair").spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(link("half").is_some());
    world.ip("link set half alias vnet:lab:persistent");
    drop(lock);
    let run = world.finish(repair);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""), "{run:#?}");
    assert!(link("half").is_some());
}

/// Somebody takes a dead tap between the look at it and its removal. Here it is held all the time, by a guest that plays
/// dead, and the call fails by which the plan's look would learn of that.
#[test]
fn a_dead_tap_that_is_taken_in_that_moment_is_left_and_not_told_of() {
    /// Of the looks at it: two see whether the network is up, and the third is the plan's.
    const OF_PLAN: usize = 3;
    const TRACE: &str = "/run/trace";
    let site = Site::new();
    let world = &site.host.world;
    let tap = Tap::new("lab-d");
    world.up("lab-d");
    tap.persist();
    tap.put_carrier_out();
    world.must_come_true(|| match field("lab-d", "/linkinfo/info_slave_data/state") == "disabled" {
        true => Ok(()),
        false => Err("the bridge did not see it yet".to_owned()),
    });
    let before = world.picture();
    let repair = |inject: &[&str]| {
        let mut command = world.command("strace");
        command.args(["-o", TRACE, "-e", "trace=ioctl"]).args(inject);
        command.arg(world.program("vnet")).args(["repair", "lab"]);
        let run = world.run(command);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""), "{run:#?}");
        fs::read_to_string(TRACE).unwrap()
    };
    let asks = |calls: &str| calls.lines().filter(|call| call.contains("TUNSETIFF")).count();
    let calls = repair(&[]);
    let of_plan = calls.lines().enumerate().filter(|(_, call)| call.contains("TUNSETIFF")).nth(OF_PLAN - 1).unwrap().0;
    let seen = repair(&["-e", &format!("inject=ioctl:error=EPERM:when={}", of_plan + 1)]);
    // Once more to remove it, and once more to see what became of that.
    assert_eq!(asks(&seen), asks(&calls) + 2, "{calls}\nthen\n{seen}");
    world.must_look_like(&before);
}

/// Its guests alone keep a network of another's bridge up.
#[test]
fn a_guest_that_plays_dead_keeps_its_place_on_a_bridge_of_the_administrators() {
    let world = World::new();
    world.ip("link add br0 type bridge");
    world.ip("link set br0 address 52:54:00:00:00:01 addrgenmode none up");
    world.network("lan", r#"{"mode": "bridged", "bridge": "br0"}"#);
    let tap = Tap::new("lan-a");
    world.up("lan-a");
    tap.persist();
    tap.put_carrier_out();
    assert_eq!(world.told("repair"), "");
    must_be("lan-a", "/master", "br0");
    assert_eq!(world.told("up lan"), "lan: guests join br0, which is not vnet's to change\n");
    let run = world.vnet("down lan");
    assert!(run.stderr.starts_with("vnet: lan: 1 guest is attached (lan-a), "), "{run:#?}");
    drop(tap);
    assert_eq!(world.told("repair"), "lan: mended: removed what was left of it: the dead tap lan-a removed\n");
}

#[test]
fn a_dead_tap_goes_with_its_network() {
    let mut site = Site::new();
    let world = &site.host.world;
    die(world, "web0", site.tap.take().unwrap());
    world.ip("link set lab-0 down");
    assert_eq!(world.told("down lab"), "lab: down\n");
    assert_eq!(link("web0"), None);
    // And without its bridge it brings no network up.
    world.told("up lab");
    let tap = Tap::new("web0");
    world.up("web0");
    die(world, "web0", tap);
    world.ip("link del vn-lab");
    let told = world.told("repair");
    assert!(told.contains("removed what was left of it") && told.contains("the dead tap web0 removed"), "{told}");
    assert!(link("web0").is_none() && link("vn-lab").is_none());
}

#[test]
fn taps_that_somebody_made_to_stay_stay() {
    let site = Site::new();
    let world = &site.host.world;
    for tap in ["lab-before", "lab-ours", "lab-unmarked"] {
        world.ip(&format!("tuntap add {tap} mode tap"));
    }
    world.up("lab-before");
    world.ip("link set lab-ours alias vnet:lab:persistent");
    world.up("lab-ours");
    world.ip("link set lab-unmarked master vn-lab up");
    let before = world.picture();
    assert_eq!(world.told("repair"), "");
    for tap in ["lab-before", "lab-ours", "lab-unmarked"] {
        world.ip(&format!("link set {tap} nomaster"));
    }
    assert_eq!(world.told("repair"), "lab: mended: lab-before attached again, lab-ours attached again\n");
    world.ip("link set lab-unmarked master vn-lab");
    world.must_look_like(&before);
}

#[test]
fn what_is_not_ours_is_not_touched() {
    let site = Site::new();
    let world = &site.host.world;
    fs::write("/run/rules", "table inet mine { chain c { type filter hook forward priority 0; counter accept; }; }")
        .unwrap();
    output("nft", "-f /run/rules");
    world.ip("link add br0 address 52:54:00:00:00:01 type bridge stp_state 1");
    world.ip("link add br1 type bridge");
    world.ip("link set br1 alias vnet:lab:strange");
    world.ip("link add vn-other address 02:00:00:00:00:77 type bridge");
    world.ip("tuntap add theirs mode tap");
    world.ip("link set theirs master br0 up");
    world.ip("neigh add proxy 203.0.113.9 dev uplink");
    fs::write(world.state().join("strange"), "x").unwrap();
    fs::create_dir(world.state().join("kept")).unwrap();
    fs::write(world.state().join("kept/mine"), "x").unwrap();
    world.ip("link set web0 master br0");
    world.ip("link set lab-0 nomaster");
    world.ip("addr add 198.51.100.1/24 dev lab-0");
    let before = world.picture();
    assert_eq!(world.told("repair lab iso rt"), "");
    world.must_look_like(&before);
    // Whoever brings it up is told.
    let told = world.told("up lab");
    assert!(told.contains("nothing to change; somebody moved web0 to br0, and it is left there as it is; lab-0 is not attached again: the host has the address 198.51.100.1/24 on it"), "{told}");
    world.ip("addr del 198.51.100.1/24 dev lab-0");
    world.ip("link set web0 master vn-lab");
    output("nft", "flush table inet vnet");
    world.told("repair lab iso rt");
    let (now, theirs) = (world.picture(), ["br0", "br1", "vn-other", "theirs", "uplink", "lo"]);
    for name in theirs {
        assert_eq!(before.of(name).differences(&now.of(name)), [""; 0], "{name}");
    }
    let changed = before.changed(&now);
    assert!(
        !changed.iter().any(|key| key.contains("inet mine") || key.contains("strange") || key.contains("kept")),
        "{changed:?}"
    );
}

#[test]
fn a_guest_of_a_bridge_of_the_administrators_comes_back() {
    let world = World::new();
    world.ip("link add br0 address 52:54:00:00:00:01 type bridge");
    // The kernel gives it an address some time later otherwise.
    world.ip("link set br0 addrgenmode none up");
    world.network("lan", r#"{"mode": "bridged", "bridge": "br0"}"#);
    let tap = Tap::new("lan-a");
    world.up("lan-a");
    let before = world.picture();
    assert_eq!(world.told("repair"), "");
    world.must_look_like(&before);
    world.ip("link set lan-a nomaster");
    assert_eq!(world.told("repair"), "lan: mended: lan-a attached again\n");
    world.must_look_like(&before);
    world.ip("link set lan-a nomaster");
    assert_eq!(world.told("up lan"), "lan: guests join br0, which is not vnet's to change; lan-a attached again\n");
    world.must_look_like(&before);
    die(&world, "lan-a", tap);
    assert_eq!(world.told("repair"), "lan: mended: removed what was left of it: the dead tap lan-a removed\n");
    assert_eq!(world.told("repair"), "");
    assert!(is_up("br0"));
}

#[test]
fn one_that_cannot_be_mended_does_not_keep_the_others_from_it() {
    let site = Site::new();
    let world = &site.host.world;
    world.network("iso", "{");
    world.ip("link set web0 nomaster");
    let run = world.vnet("repair");
    assert_eq!((run.code, run.stdout.as_str()), (Some(78), "lab: mended: web0 attached again\n"), "{run:#?}");
    assert!(run.stderr.starts_with("vnet: iso: it is up, and stays as it is, for what it shall be is not known: /run/config/networks/iso.json:1: "), "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1);
}

#[test]
fn a_network_whose_file_is_gone_stays_closed() {
    let host = Uplink::new();
    let world = &host.world;
    world.network("lab", NAT);
    world.guest("web0", WEB0);
    world.told("up lab");
    fs::remove_file(world.config().join("networks/lab.json")).unwrap();
    fs::remove_file(world.config().join("guests/web0.json")).unwrap();
    // Another has a file, or the built-in network would be one.
    world.network("other", HOST_ONLY);
    let before = world.picture();
    let run = world.vnet("repair");
    assert_eq!((run.code, run.stdout.as_str()), (Some(78), ""), "{run:#?}");
    world.must_look_like(&before);
    output("nft", "flush ruleset");
    let run = world.vnet("repair");
    assert_eq!((run.code, run.stdout.as_str()), (Some(78), "lab: mended: the firewall's rules\n"), "{run:#?}");
    let rules = output("nft", "list set inet vnet iso");
    assert!(rules.contains("vn-lab"), "{rules}");
    assert_eq!(world.vnet("repair").stdout, "");
    assert_eq!(world.told("down lab"), "lab: down\n");
}

#[test]
fn there_may_be_nothing_to_mend() {
    let host = Uplink::new();
    let world = &host.world;
    world.network("lab", NAT);
    world.guest("web0", WEB0);
    let before = world.picture();
    for arguments in ["repair", "repair --all", "repair lab"] {
        assert_eq!(world.told(arguments), "", "{arguments}");
    }
    let run = world.vnet("repair labb");
    assert_eq!((run.code, run.stdout.as_str()), (Some(78), ""), "{run:#?}");
    assert!(run.stderr.starts_with("vnet: labb: /run/config/networks/labb.json: is missing"), "{run:#?}");
    let run = world.vnet("repair --all lab");
    assert_eq!(run.code, Some(64), "{run:#?}");
    must_be_back(world, &before);
}

#[test]
fn a_tap_of_our_own_counts_while_it_is_held_and_goes_with_its_network() {
    let host = Uplink::new();
    let world = &host.world;
    world.network("lab", HOST_ONLY);
    let tap = Tap::new("lab-ours");
    tap.persist();
    world.ip("link set lab-ours alias vnet:lab:persistent");
    world.up("lab-ours");
    let run = world.vnet("down lab");
    assert!(run.stderr.starts_with("vnet: lab: 1 guest is attached (lab-ours), "), "{run:#?}");
    die(world, "lab-ours", tap);
    world.ip("link del vn-lab");
    // It alone brings no network up.
    world.told("repair");
    assert_eq!(link("vn-lab"), None);
    assert_eq!(link("lab-ours").unwrap()["ifalias"], "vnet:lab:persistent");
    world.told("up lab");
    must_be("lab-ours", "/master", "vn-lab");
    assert_eq!(world.told("down lab"), "lab: down; removed what vnet tap add had made: lab-ours\n");
    assert_eq!(link("lab-ours"), None);
}

#[test]
fn a_network_with_guests_goes_only_by_force() {
    let site = Site::new();
    let world = &site.host.world;
    let run = world.vnet("down lab");
    let said = "vnet: lab: 2 guests are attached (web0, lab-0), and nothing is changed; stop them first, or cut them off: vnet down --force lab\n";
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(1), "", said), "{run:#?}");
    world.must_look_like(&site.whole);
    world.ip("link set lab-0 down");
    let run = world.vnet("down --all");
    let said = "vnet: lab: 1 guest is attached (web0), and nothing is changed; stop them first, or cut them off: vnet down --force lab\n";
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (Some(1), "iso: down\nrt: down\n", said),
        "{run:#?}"
    );
    must_be("web0", "/master", "vn-lab");
    assert_eq!(world.told("down --force --all"), "lab: down; 1 guest was cut off\n");
    assert!(!world.state().exists());
}
