//! What a user's tap joins, as what, and who is told what keeps it from that.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::caller::{Caller, MACHINE_ID, OTHER, Privilege, USER, bridge_conf, host};
use crate::frames::{Mac, arp, ethernet, mac};
use crate::lending::{Lending, MODES, guard_numbers, guest_file, guest_mac, loan, must_go};
use crate::links::{Guest, field, index, link, must_be, must_have_addresses};
use crate::taps::set_up;
use crate::world::World;

/// As the file has it.
fn machine_id() -> String {
    format!("{MACHINE_ID}\n")
}

/// What every lent tap is: its user's, down to no address of the host's.
fn must_be_lent(tap: &str, bridge: &str, guest: &str, tap_mac: &str, mtu: u32) {
    must_be(tap, "/master", bridge);
    must_be(tap, "/address", tap_mac);
    must_be(tap, "/mtu", mtu);
    must_be(tap, "/inet6_addr_gen_mode", "none");
    must_be(tap, "/linkinfo/info_data/persist", false);
    must_be(tap, "/linkinfo/info_data/user", "stranger");
    must_be(tap, "/linkinfo/info_data/vnet_hdr", true);
    must_be(tap, "/linkinfo/info_data/multi_queue", false);
    assert_eq!(loan(tap)[..2], [USER.to_string(), guest.to_owned()]);
    assert!(crate::links::is_up(tap));
    assert_eq!(crate::links::addresses(tap), [""; 0]);
    assert_eq!(guard_numbers(), [index(tap)]);
}

#[test]
fn a_guest_joins_every_mode_that_has_a_bridge_and_leaves_nothing_there() {
    for mode in MODES {
        println!("{mode}");
        let site = Lending::new(mode);
        let tap = site.lent("--br=lab");
        assert_eq!(tap.tap, "vu65533-0");
        if site.is_ours && mode != "isolated" {
            // The kernel gives the bridge one when it sees the first guest.
            must_have_addresses(&site.world, &[site.bridge]);
        }
        must_go(&site.world, vec![tap]);
        site.world.told("repair");
        let before = site.world.picture();
        let tap = site.lent("--br=lab");
        let (network, name) = ("lab".parse().unwrap(), tap.tap.parse().unwrap());
        let derived = vnet::model::Loan::derived_mac(machine_id().as_bytes(), &network, &name).to_string();
        let said = format!(
            "vnet-bridge-helper: {}: the guest has to have the MAC {derived}: -device ...,mac={derived}\n",
            tap.tap
        );
        assert_eq!((tap.run.stderr.as_str(), tap.run.log.as_slice()), (said.as_str(), &[][..]), "{mode}");
        must_be_lent(&tap.tap, site.bridge, &derived, &format!("fe{}", derived.get(2..).unwrap()), 1500);
        must_go(&site.world, vec![tap]);
        let tap = site.lent("--br=lab --guest=web0");
        assert_eq!((tap.tap.as_str(), tap.run.stderr.as_str()), ("web0", ""), "{mode}");
        must_be_lent("web0", site.bridge, "52:54:00:12:34:50", "fe:54:00:12:34:50", 1500);
        assert_eq!(loan("web0")[2], "guest");
        must_go(&site.world, vec![tap]);
        site.world.told("repair");
        site.world.must_look_like(&before);
    }
}

#[test]
fn a_tap_takes_frames_as_long_as_its_bridge() {
    let world = host();
    for (network, mtu) in [("small", 1280), ("large", 9000)] {
        let text = format!(r#"{{"mode": "isolated", "mtu": {mtu}, "allow": {{"users": [{USER}]}}}}"#);
        world.network(network, text);
    }
    // Too small for IPv6.
    world.ip("link add br0 address 02:00:00:00:00:01 type bridge");
    world.ip("link set br0 mtu 1000 up");
    world.network("lan", format!(r#"{{"mode": "bridged", "bridge": "br0", "allow": {{"users": [{USER}]}}}}"#));
    world.told("up small large lan");
    let caller = Caller::new(&world, Privilege::Setuid);
    for (network, mtu) in [("small", 1280), ("large", 9000), ("lan", 1000)] {
        let tap = caller.lent(&world, &format!("--br={network}"));
        must_be(&tap.tap, "/mtu", mtu);
    }
    must_be("br0", "/mtu", 1000);
}

#[test]
fn a_network_that_is_not_up_is_told_with_what_brings_it_up() {
    for mode in MODES {
        println!("{mode}");
        let site = Lending::down(mode);
        let refused = |said: &str| {
            let before = site.world.picture();
            for arguments in ["--br=lab", "--br=lab --guest=web0"] {
                let asked = site.caller.ask(&site.world, arguments);
                assert_eq!(asked.refused(1), said, "{mode}");
            }
            site.world.must_look_like(&before);
        };
        match mode {
            "bridged" => {
                site.world.ip("link delete br0");
                refused("cannot join br0: no such bridge; make the bridge, or name one that is there");
                site.world.ip("link add br0 type veth");
                refused("cannot join br0: it is a link of kind veth, no bridge; name a bridge");
            }
            "uplink" => refused(
                "the network lab is not up, or not as its file says now; an administrator brings it up: vnet up lab",
            ),
            _ => {
                let said = "the network lab is not up, or not as its file says now; an administrator brings it up: vnet up lab";
                refused(said);
                site.world.told("up lab");
                site.world.ip("link set vn-lab down");
                refused(said);
                site.world.told("up lab");
                drop(site.lent("--br=lab"));
                // Written anew, and not yet in force.
                let path = site.world.config().join("networks/lab.json");
                let text = std::fs::read_to_string(&path).unwrap();
                site.world.network("lab", format!("{text}\n"));
                refused(said);
                site.world.told("up lab");
                drop(site.lent("--br=lab"));
                site.world.told("down lab");
                refused(said);
            }
        }
    }
}

#[test]
fn guests_on_a_card_are_sent_to_who_can_make_their_links() {
    let world = host();
    let _machine = Guest::plugged_into(&world, "lan0", &[]);
    set_up(&world, "lan0");
    let caller = Caller::new(&world, Privilege::File);
    world.guest("web0", guest_file(0, USER));
    for mode in ["macvtap", "ipvtap"] {
        let allow = format!(r#""allow": {{"users": [{USER}]}}"#);
        world.network("lab", format!(r#"{{"mode": "{mode}", "uplink": "lan0", {allow}}}"#));
        let before = world.picture();
        for arguments in ["--br=lab", "--br=lab --guest=web0"] {
            let asked = caller.ask(&world, arguments);
            let said = asked.refused(1);
            assert!(said.contains("vnet tap add ") && said.contains(" --network lab --user "), "{mode}: {said}");
        }
        world.must_look_like(&before);
    }
}

/// Who may join is for the network's own file to say, and its guests have to be guarded.
#[test]
fn a_networks_bridge_is_nobodys_by_its_own_name() {
    for mode in MODES.into_iter().filter(|mode| *mode != "bridged") {
        let site = Lending::new(mode);
        bridge_conf("allow all\n");
        let before = site.world.picture();
        let asked = site.caller.ask(&site.world, "--br=vn-lab");
        let said = "vn-lab is the bridge of the network lab; ask for the network by its name: br=lab";
        assert_eq!(asked.refused(1), said, "{mode}");
        site.world.must_look_like(&before);
    }
    // A bridge of the administrator's has no mark that tells: there both files count.
    let site = Lending::new("bridged");
    assert!(site.caller.ask(&site.world, "--br=br0").refused(77).starts_with("access denied: "));
}

#[test]
fn a_networks_name_is_never_a_bridges() {
    let site = Lending::new("nat");
    site.world.ip("link add closed address 02:00:00:00:00:02 type bridge");
    site.world.ip("link set closed up");
    bridge_conf("allow all\n");
    drop(site.lent("--br=closed"));
    site.world.network("closed", r#"{"mode": "isolated"}"#);
    assert!(site.caller.ask(&site.world, "--br=closed").refused(77).starts_with("access denied: "));
}

#[test]
fn a_guests_file_says_who_runs_it_and_where() {
    let site = Lending::new("nat");
    let world = &site.world;
    let text = r#"{"mode": "isolated", "allow": {"users": [65532]}}"#;
    world.network("other", text);
    world.told("up other");
    let denied = |arguments: &str| {
        let asked = site.caller.ask(world, arguments);
        let said = asked.refused(77).to_owned();
        assert!(said.starts_with("access denied: there is no guest "), "{said}");
        said
    };
    // Another's, and nobody's: one text.
    assert_eq!(
        denied("--br=lab --guest=web1").replace("web1", "NAME"),
        denied("--br=lab --guest=web9").replace("web9", "NAME")
    );
    // Its network is the file's, and QEMU's own word for a bridge is none.
    let asked = site.caller.ask(world, "--br=other --guest=web0");
    assert_eq!(asked.refused(64), "the guest web0 is of the network lab, not of other; ask for br=lab");
    let tap = site.lent("--br=br0 --guest=web0");
    must_be("web0", "/master", "vn-lab");
    let asked = site.caller.ask(world, "--br=lab --guest=web0");
    let said = asked.refused(1);
    assert!(said.starts_with("cannot make the tap web0: there is a link of that name ("), "{said}");
    assert!(said.contains("stop the guest that has it; ") && said.ends_with("; nothing is changed"), "{said}");
    must_be("web0", "/master", "vn-lab");
    drop(tap);
    // To run the guest is enough where its file names the network.
    world.network("lab", r#"{"mode": "nat", "addresses": ["10.1.0.1/24", "fd57::1/64"]}"#);
    world.told("up lab");
    assert!(
        site.caller.ask(world, "--br=lab").refused(77).starts_with("access denied: there is no network or bridge lab ")
    );
    drop(site.lent("--br=lab --guest=web0"));
    // Where it does not, the network has its own say.
    world.guest("free", format!(r#"{{"mac": "52:54:00:00:00:09", "allow": {{"users": [{USER}, {OTHER}]}}}}"#));
    denied("--br=other --guest=free");
    denied("--br=none --guest=free");
    let tap = site.lent_to_other("--br=other --guest=free");
    assert_eq!(field("free", "/ifalias"), "vnet:other:lent:65532,52:54:00:00:00:09,guest");
    must_be("free", "/master", "vn-other");
    drop(tap);
    // The MACs of both ends are the file's.
    world.guest(
        "both",
        format!(r#"{{"network": "lab", "tap_mac": "02:00:00:00:00:aa", "allow": {{"users": [{USER}]}}}}"#),
    );
    let tap = site.lent("--br=lab --guest=both");
    must_be("both", "/address", "02:00:00:00:00:aa");
    let guest = loan("both")[1].clone();
    assert_eq!(
        guest,
        vnet::model::Loan::derived_mac(machine_id().as_bytes(), &"lab".parse().unwrap(), &"both".parse().unwrap())
            .to_string()
    );
    assert_eq!(tap.run.stderr, "", "what its file leaves open it has to find in the status");
    assert!(world.told("status lab").contains(&format!("  guest on both, lent to user {USER}, MAC {guest}\n")));
    assert_eq!(world.told("repair"), "");
}

#[test]
fn a_guest_that_the_server_does_not_know_yet_is_not_started() {
    for mode in ["nat", "isolated"] {
        let world = host();
        let text = |more: &str| format!(r#"{{"mode": "{mode}", {more} "allow": {{"users": [{USER}]}}}}"#);
        world.network("lab", text(r#""addresses": ["10.1.0.1/24", "fd57::1/64"], "dhcp": {},"#));
        world.guest("web0", guest_file(0, USER));
        world.told("up lab");
        let caller = Caller::new(&world, Privilege::File);
        drop(caller.lent(&world, "--br=lab --guest=web0"));
        let unknown = |guest: &str| {
            format!(
                "the server of the network lab does not know the guest {guest} as its file is now; an administrator lets it read that: vnet up lab"
            )
        };
        world.guest("web2", guest_file(2, USER));
        assert_eq!(caller.ask(&world, "--br=lab --guest=web2").refused(1), unknown("web2"));
        world.guest("web0", guest_file(0, USER).replace("10.1.0.10", "10.1.0.77"));
        assert_eq!(caller.ask(&world, "--br=lab --guest=web0").refused(1), unknown("web0"));
        world.told("up lab");
        drop(caller.lent(&world, "--br=lab --guest=web2"));
        drop(caller.lent(&world, "--br=lab --guest=web0"));
        // Without a server nobody has to know.
        world.network("lab", text(if mode == "nat" { r#""addresses": ["10.1.0.1/24", "fd57::1/64"],"# } else { "" }));
        world.told("up lab");
        world.guest("web3", guest_file(3, USER));
        drop(caller.lent(&world, "--br=lab --guest=web3"));
    }
}

/// A guest of our own: who asks for its address is told its MAC, and what comes then is heard.
fn answers(world: &World, tap: &crate::caller::Lent, (me, ip): (Mac, &str), wanted: impl Fn(&[u8]) -> bool) {
    let asked = ip.parse::<std::net::Ipv4Addr>().unwrap().octets();
    world.must_come_true(|| {
        let frames = tap.drain();
        for frame in &frames {
            if frame.len() >= 42 && frame[12..14] == [8, 6] && frame[20..22] == [0, 1] && frame[38..42] == asked {
                let to = format!("{}.{}.{}.{}", frame[28], frame[29], frame[30], frame[31]);
                let reply = ethernet(me, 0x0806, &arp(2, (me, ip), &to));
                tap.send(&[&frame[6..12], &reply[6..]].concat());
            }
        }
        if frames.iter().any(|frame| wanted(frame)) { Ok(()) } else { Err("nobody wants that guest".to_owned()) }
    });
}

#[test]
fn a_forward_reaches_a_guest_that_a_user_started() {
    let world = host();
    let outside = Guest::plugged_into(&world, "uplink", &["192.0.2.2/24"]);
    world.ip("addr add 192.0.2.1/24 dev uplink");
    world.ip("link set uplink up");
    world.network(
        "lab",
        r#"{"mode": "nat", "addresses": ["10.1.0.1/24", "fd57::1/64"], "forwards": [{"listen": "tcp/2222", "to": "web0:22"}]}"#,
    );
    world.guest("web0", guest_file(0, USER));
    world.told("up lab");
    let tap = Caller::new(&world, Privilege::File).lent(&world, "--br=lab --guest=web0");
    tap.must_forward(&world);
    std::thread::scope(|scope| {
        let outside = &outside;
        let address: SocketAddr = "192.0.2.1:2222".parse().unwrap();
        let caller =
            scope.spawn(move || outside.inside(|| TcpStream::connect_timeout(&address, Duration::from_secs(4))));
        // A SYN to port 22 of the guest.
        answers(&world, &tap, (guest_mac(0), "10.1.0.10"), |frame| {
            frame.get(12..14) == Some(&[8, 0])
                && frame.get(30..34) == Some(&[10, 1, 0, 10])
                && frame.get(36..38) == Some(&[0, 22])
        });
        assert_eq!(frame_owner(&tap), mac("52:54:00:12:34:50"));
        let ended = caller.join().unwrap();
        assert!(ended.is_err_and(|error| error.kind() == ErrorKind::TimedOut), "nobody says more than that");
    });
    assert!(link("web0").is_some());
}

/// The MAC that the host knows the guest by.
fn frame_owner(tap: &crate::caller::Lent) -> Mac {
    let known = crate::picture::json("ip", "-j neigh show 10.1.0.10 dev vn-lab");
    assert_eq!(known.len(), 1, "{}: {known:?}", tap.tap);
    mac(known[0]["lladdr"].as_str().unwrap())
}
