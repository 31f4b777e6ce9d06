//! Many helpers at once, and the most taps that a user, and ports that a bridge, may have.

use std::collections::BTreeSet;
use std::fs;

use crate::caller::{Lent, OTHER};
use crate::helper_hostile::Site;
use crate::world::output;

/// The standard quota of `vnet.json`.
const QUOTA: usize = 64;

fn at_once(site: &Site, number: usize, arguments: &str) -> Vec<Lent> {
    let caller = &site.callers[0];
    let asking: Vec<_> = (0..number).map(|_| caller.start(&site.world, arguments)).collect();
    asking.into_iter().map(|asking| asking.finish(&site.world).lent()).collect()
}

#[test]
fn sixty_four_helpers_at_once_all_succeed_and_one_more_is_too_many() {
    let site = Site::new();
    for place in ["--br=lab", "--br=br0"] {
        let lent = at_once(&site, QUOTA, place);
        let names: BTreeSet<_> = lent.iter().map(|lent| lent.tap.clone()).collect();
        assert_eq!(names.len(), QUOTA, "{names:?}");
        let master = place.replace("--br=", "").replace("lab", "vn-lab");
        let ports = output("ip", &format!("-o link show master {master} up"));
        assert_eq!(ports.lines().count(), QUOTA, "{ports}");
        if place == "--br=lab" {
            // Each has a MAC of its own, to which it is held.
            let macs: BTreeSet<_> = lent.iter().map(|lent| lent.run.stderr.rsplit_once("mac=").unwrap().1).collect();
            assert_eq!(macs.len(), QUOTA);
            assert_eq!(site.guarded(), QUOTA);
        }
        let line = "user 65533 has used up its quota of taps, which is 64; stop a guest, or let an administrator raise \"quota\" in \
                    /etc/vnet/vnet.json";
        for caller in &site.callers {
            for place in ["--br=lab", "--br=br0"] {
                assert_eq!(caller.ask(&site.world, place).refused(1), line);
            }
        }
        // Nobody else is kept from anything, and another may use what one gave back.
        fs::write("/etc/qemu/bridge.conf", "allow br0\n").unwrap();
        drop(site.callers[1].as_user(OTHER).lent(&site.world, "--br=br0"));
        let mut lent = lent;
        drop(lent.pop().map(|lent| lent.queue));
        site.world.must_come_true(|| match site.callers[0].ask(&site.world, place) {
            asked if asked.queue.is_some() => Ok(()),
            asked => Err(format!("{asked:?}")),
        });
        drop(lent);
        site.must_have_no_taps();
        site.repair();
        site.must_be_untouched();
    }
}

#[test]
fn a_quota_is_not_got_over_by_being_many_at_once() {
    let site = Site::new();
    fs::write("/etc/vnet/vnet.json", r#"{"quota": 5}"#).unwrap();
    let caller = &site.callers[0];
    for _ in 0..3 {
        let asking: Vec<_> =
            (0..20).map(|number| caller.start(&site.world, ["--br=lab", "--br=br0"][number % 2])).collect();
        let asked: Vec<_> = asking.into_iter().map(|asking| asking.finish(&site.world)).collect();
        let (lent, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(|asked| asked.queue.is_some());
        assert!(lent.len() <= 5, "{} taps", lent.len());
        for asked in refused {
            assert!(
                asked.refused(1).starts_with("user 65533 has used up its quota of taps, which is 5; "),
                "{asked:#?}"
            );
        }
        drop(lent);
        site.must_have_no_taps();
    }
    fs::write("/etc/vnet/vnet.json", r#"{"quota": 0}"#).unwrap();
    let line = caller.ask(&site.world, "--br=br0");
    assert!(line.refused(1).starts_with("user 65533 has used up its quota of taps, which is 0; "), "{line:#?}");
    fs::remove_file("/etc/vnet/vnet.json").unwrap();
    site.repair();
    site.must_be_untouched();
}

#[test]
fn a_bridge_that_is_full_has_a_message_of_its_own() {
    const MOST_PORTS: usize = 1023;
    let site = Site::new();
    let pairs = MOST_PORTS.div_ceil(2);
    batch((0..pairs).map(|n| format!("link add p{n}a type veth peer name p{n}b\n")));
    for (place, bridge) in [("--br=br0", "br0"), ("--br=lab", "vn-lab")] {
        let ends = (0..pairs).flat_map(|n| [format!("p{n}a"), format!("p{n}b")]).take(MOST_PORTS);
        batch(ends.map(|end| format!("link set {end} master {bridge}\n")));
        for caller in &site.callers {
            let said = caller.ask(&site.world, place);
            let said = said.refused(1);
            let start = format!(
                "cannot attach vu65533-0 to {bridge}: the bridge has 1,023 ports, the most it can have (RTM_SETLINK "
            );
            assert!(said.starts_with(&start), "{said}");
            assert!(said.ends_with("); join another, or stop a guest; nothing is changed"), "{said}");
            site.must_have_no_taps();
            assert_eq!(site.guarded(), 0);
        }
        // One less is not too many.
        output("ip", "link set p0a nomaster");
        drop(site.callers[0].lent(&site.world, place));
        site.must_have_no_taps();
    }
}

fn batch(lines: impl Iterator<Item = String>) {
    fs::write("/run/batch", lines.collect::<String>()).unwrap();
    output("ip", "-batch /run/batch");
}
