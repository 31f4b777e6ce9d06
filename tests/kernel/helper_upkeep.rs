//! Lent taps while others work on their network: what somebody destroyed is mended, what is gone is swept up, and all who
//! come at once succeed.

use std::fs;

use serde_json::{Value, json};

use crate::caller::{Caller, Lent, OTHER, Privilege, USER, bridge_conf, host};
use crate::frames::{Ear, arp, ethernet, mac, tagged, tags};
use crate::lending::{Lending, MODES, administrators_bridge, guard_numbers, guards, guards_of_ports, loan, must_go};
use crate::links::{field, index, must_be};
use crate::tap::Tap;
use crate::world::output;

const ARP: u16 = 0x0806;

/// Whether the host hears the guest speak with its own MAC, and with another's.
fn heard(site: &Lending, tap: &Lent) -> [bool; 2] {
    tap.must_forward(&site.world);
    let mut host = Ear::at(site.bridge);
    let loan = loan(&tap.tap);
    let ip = if loan.len() > 2 { "10.1.0.10" } else { "10.1.0.77" };
    for (number, from) in [mac(&loan[1]), [2, 0, 0, 0, 0, 9]].into_iter().enumerate() {
        tap.send(&tagged(&ethernet(from, ARP, &arp(1, (from, ip), "10.1.0.1")), number));
    }
    let tags = tags(&host.drain());
    [0, 1].map(|number| tags.contains(&number))
}

const GUARDED: [bool; 2] = [true, false];

#[test]
fn a_flushed_ruleset_is_written_again_with_all_guards() {
    for mode in MODES {
        for verb in ["up lab", "repair", "repair lab", "hook"] {
            let site = Lending::new(mode);
            if verb == "hook" && !site.is_ours {
                // On a LAN a hook has nothing else to look at in the firewall, and does not.
                continue;
            }
            println!("{mode}: {verb}");
            let taps = [site.lent("--br=lab"), site.lent("--br=lab --guest=web0"), site.lent_to_other("--br=lab")];
            let whole = guards();
            assert_eq!(heard(&site, &taps[0]), GUARDED);
            output("nft", "flush ruleset");
            assert_eq!(heard(&site, &taps[0]), [true, true]);
            let hooked = (verb == "hook").then(|| Tap::new("lab-x"));
            match &hooked {
                Some(_) => drop(site.world.up("lab-x")),
                None => drop(site.world.told(verb)),
            }
            assert_eq!(guards(), whole, "{mode}: {verb}");
            assert_eq!(heard(&site, &taps[0]), GUARDED, "{mode}: {verb}");
            assert_eq!(site.world.told("repair"), "", "{mode}: {verb}");
        }
    }
}

/// Who writes tables anew writes what all networks need.
#[test]
fn a_hook_on_one_network_writes_the_guards_of_all_again() {
    for mode in MODES {
        println!("{mode}");
        let site = Lending::new(mode);
        site.world.network("other", r#"{"mode": "isolated"}"#);
        site.world.told("up other");
        let taps = [site.lent("--br=lab"), site.lent("--br=lab --guest=web0")];
        let whole = guards();
        output("nft", "flush ruleset");
        let _hooked = Tap::new("other-x");
        site.world.up("other-x");
        assert_eq!(guards(), whole, "{mode}");
        assert_eq!(heard(&site, &taps[0]), GUARDED, "{mode}");
        assert_eq!(site.world.told("repair"), "", "{mode}");
    }
}

/// A helper takes no lock, and so makes only what is its own.
#[test]
fn a_helper_that_finds_the_tables_flushed_lends_nothing_on_a_network_of_ours() {
    let site = Lending::new("nat");
    output("nft", "flush ruleset");
    let before = site.world.picture();
    let asked = site.caller.ask(&site.world, "--br=lab");
    let said = asked.refused(1);
    assert!(said.starts_with("cannot guard vu65533-0: ") && said.contains("vnet repair"), "{said}");
    site.world.must_look_like(&before);
    site.world.told("repair");
    drop(site.lent("--br=lab"));
}

#[test]
fn what_guarded_a_tap_that_is_gone_goes_with_the_next_run() {
    for mode in MODES {
        for next in ["helper", "up lab", "repair", "down lab", "hook"] {
            let site = Lending::new(mode);
            if next == "hook" && !site.is_ours {
                continue;
            }
            println!("{mode}: {next}");
            let stays = (next != "down lab").then(|| site.lent_to_other("--br=lab --guest=web1"));
            must_go(&site.world, vec![site.lent("--br=lab"), site.lent("--br=lab --guest=web0")]);
            assert_eq!(guard_numbers().len(), 2 + usize::from(stays.is_some()), "the kernel does not know of them");
            let mut numbers: Vec<_> = stays.iter().map(|tap| index(&tap.tap)).collect();
            let mut taken = None;
            let mut hooked = None;
            match next {
                "helper" => {
                    let tap = site.lent("--br=lab");
                    numbers.push(index(&tap.tap));
                    taken = Some(tap);
                }
                "hook" => {
                    hooked = Some(Tap::new("lab-x"));
                    site.world.up("lab-x");
                }
                verb => drop(site.world.told(verb)),
            }
            numbers.sort_unstable();
            assert_eq!(guard_numbers(), numbers, "{mode}: {next}");
            let elements: Vec<_> = guards_of_ports().into_iter().filter(|guard| guard.starts_with("mac: ")).collect();
            assert_eq!(elements.len(), numbers.len(), "{elements:?}");
            drop((taken, hooked, stays));
        }
    }
}

#[test]
fn a_lent_tap_is_taken_out_of_a_network_that_goes_by_force() {
    for mode in MODES {
        println!("{mode}");
        let site = Lending::down(mode);
        let before = site.world.picture();
        site.world.told("up lab");
        let tap = site.lent("--br=lab");
        let run = site.world.vnet("down lab");
        let said = format!("vnet: lab: 1 guest is attached ({}), and nothing is changed; ", tap.tap);
        assert!(run.stderr.starts_with(&said), "{mode}: {run:#?}");
        assert_eq!(heard(&site, &tap), GUARDED);
        assert_eq!(site.world.told("down --force lab"), "lab: down; 1 guest was cut off\n", "{mode}");
        must_be(&tap.tap, "/master", Value::Null);
        assert_eq!(field(&tap.tap, "/ifalias"), format!("vnet::lent:{USER}"), "it still counts as its user's");
        assert_eq!(guards(), [""; 0], "{mode}");
        // Nobody puts it back.
        site.world.told("up lab");
        assert!(matches!(site.world.told("repair").as_str(), ""), "{mode}");
        must_be(&tap.tap, "/master", Value::Null);
        site.world.told("down lab");
        let name = tap.die(&site.world);
        assert_eq!(site.world.told("repair"), format!("removed the dead tap {name}, which was lent\n"));
        site.world.must_look_like_but_forwarding(&before);
    }
}

/// Each in a process of its own, and none waits for another but for the network's lock, which helpers do not take.
#[test]
fn verbs_hooks_and_helpers_at_once_all_succeed() {
    for mode in ["nat", "isolated", "bridged"] {
        println!("{mode}");
        let site = Lending::new(mode);
        let before = guards();
        let taps: Vec<_> = (0..4).map(|number| Tap::new(&format!("lab-{number}"))).collect();
        for round in 0..3 {
            let mut verbs = Vec::new();
            for verb in ["up lab", "repair", "repair lab"] {
                let mut command = site.world.command(site.world.program("vnet"));
                command.args(verb.split(' '));
                verbs.push((verb.to_owned(), command.spawn().unwrap()));
            }
            for number in 0..taps.len() {
                let mut command = site.world.command(site.world.program("vnet-ifup"));
                command.arg(format!("lab-{number}"));
                verbs.push((format!("vnet-ifup lab-{number}"), command.spawn().unwrap()));
            }
            let other = site.caller.as_user(OTHER);
            let asking: Vec<_> = (0..16)
                .map(|number| if number % 2 == 0 { &site.caller } else { &other }.start(&site.world, "--br=lab"))
                .collect();
            let lent: Vec<_> = asking.into_iter().map(|asking| asking.finish(&site.world).lent()).collect();
            for (verb, child) in verbs {
                let run = site.world.finish(child);
                assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{mode}, round {round}: {verb}: {run:#?}");
            }
            let mut numbers: Vec<_> = lent.iter().map(|tap| index(&tap.tap)).collect();
            numbers.sort_unstable();
            assert_eq!(guard_numbers(), numbers, "{mode}, round {round}");
            lent.iter().for_each(|tap| must_be(&tap.tap, "/master", site.bridge));
            assert_eq!(heard(&site, &lent[round]), GUARDED);
            assert_eq!(site.world.told("repair"), "", "{mode}, round {round}");
            must_go(&site.world, lent);
        }
        site.world.told("repair");
        assert_eq!(guards(), before, "{mode}");
    }
}

/// And so do those that go in that moment.
#[test]
fn taps_that_come_and_go_while_a_verb_runs_do_not_disturb_it() {
    for mode in ["nat", "bridged"] {
        let site = Lending::new(mode);
        for round in 0..12 {
            let held: Vec<_> = (0..4).map(|_| site.lent("--br=lab")).collect();
            // There is something to mend, and so a second look.
            output("nft", "flush ruleset");
            let mut command = site.world.command(site.world.program("vnet"));
            command.args(["repair"]);
            let verb = command.spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_micros(700 * round));
            must_go(&site.world, held);
            let run = site.world.finish(verb);
            assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{mode}, round {round}: {run:#?}");
            site.world.told("repair");
            assert_eq!(guards_of_ports(), [""; 0], "{mode}, round {round}");
        }
    }
}

#[test]
fn the_status_tells_who_was_lent_what() {
    for mode in MODES {
        let site = Lending::new(mode);
        let taps = [site.lent("--br=lab --guest=web0"), site.lent_to_other("--br=lab")];
        let derived = loan(&taps[1].tap)[1].clone();
        let text = site.world.told("status lab");
        for line in [
            format!("  guest on web0, lent to user {USER}, MAC 52:54:00:12:34:50\n"),
            format!("  guest on vu{OTHER}-0, lent to user {OTHER}, MAC {derived}\n"),
        ] {
            assert!(text.contains(&line), "{mode}: {line} is not in {text}");
        }
        let status: Value = serde_json::from_str(&site.world.told("status --json lab")).unwrap();
        let mut guests = status[0]["guests"].as_array().unwrap().clone();
        guests.sort_by_key(|guest| guest["tap"].as_str().unwrap().to_owned());
        let expected =
            |tap: &str, user: u32, mac: &str| json!({"tap": tap, "up": true, "idle": false, "user": user, "mac": mac});
        let expected =
            [expected(&format!("vu{OTHER}-0"), OTHER, &derived), expected("web0", USER, "52:54:00:12:34:50")];
        assert_eq!(guests, expected, "{mode}");
        let plan = site.world.told("plan web0");
        assert!(plan.starts_with(&format!("web0 joins {} of the network lab (", site.bridge)), "{mode}: {plan}");
        assert!(plan.contains("): nothing to change\n"), "{mode}: {plan}");
        let plan: Value = serde_json::from_str(&site.world.told("plan --json web0")).unwrap();
        assert_eq!(plan["operations"], json!([]), "{mode}");
    }
}

/// The hook is for taps that root's QEMU makes; one that is lent keeps what it is.
#[test]
fn a_hook_run_on_a_lent_tap_leaves_it_lent() {
    let site = Lending::new("nat");
    let tap = site.lent("--br=lab --guest=web0");
    let (alias, guards) = (field("web0", "/ifalias"), guards());
    site.world.up("web0");
    assert_eq!((field("web0", "/ifalias"), crate::lending::guards()), (alias.clone(), guards.clone()));
    assert_eq!(heard(&site, &tap), GUARDED);
    let said = site.world.down("web0");
    assert!(said.text().contains("it goes with the program that the helper made it for"), "{said:#?}");
    assert_eq!((field("web0", "/ifalias"), crate::lending::guards()), (alias, guards));
}

#[test]
fn a_plain_bridge_has_no_guards_and_its_taps_are_nobodys_guests() {
    let world = host();
    let _lan = administrators_bridge(&world);
    bridge_conf("allow br0\n");
    let caller = Caller::new(&world, Privilege::File);
    let rules = output("nft", "list ruleset");
    let tap = caller.lent(&world, "--br=br0");
    assert_eq!((rules.as_str(), output("nft", "list ruleset").as_str()), ("", ""));
    assert_eq!(tap.run.stderr, "");
    assert_eq!(world.told("status"), "no network has a file, and none is up\n");
    assert_eq!(world.told("doctor"), "nothing to mend\n");
    assert_eq!(fs::read_dir("/sys/class/net/br0/brif").unwrap().count(), 2);
    let before = world.picture();
    for verb in ["repair", "down --all", "down --all --force"] {
        assert_eq!(world.told(verb), "", "{verb}");
        world.must_look_like(&before);
    }
}
