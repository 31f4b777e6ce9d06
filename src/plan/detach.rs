//! A tap leaves its network.

use super::Plan;
use super::addr_gen::around_mtu;
use crate::model::{Change, Former, IfName, Link, Mark, Setting};

/// What undoes the attaching of a tap, as far as the kernel will not do it by itself.
///
/// A tap that goes with QEMU takes its port along, and waiting for that is cheaper than doing it; a link that stays
/// gets back what its mark says it had. What is not marked as ours is left alone, and so is a place in a bridge into
/// which somebody else moved it.
///
/// `home` is the bridge that the tap was a port of before, if it is still there.
pub fn detach(tap: Option<&Link>, home: Option<&IfName>) -> Plan {
    let mut plan = Plan::default();
    let Some(tap) = tap else {
        plan.notes.push("it is gone already".to_owned());
        return plan;
    };
    match tap.mark() {
        Some(Mark::Port(_, former)) if !tap.goes_with_its_holder() => give_back(&mut plan, tap, former, home),
        Some(Mark::Port(..)) => plan.notes.push("the kernel removes it and its port when QEMU closes it".to_owned()),
        Some(Mark::Lent(_)) => plan.notes.push("it goes with the program that the helper made it for".to_owned()),
        Some(Mark::Owned(..) | Mark::Uplink(..) | Mark::Persistent(_)) => {
            plan.notes.push("vnet made it, and it stays for the next guest".to_owned())
        }
        None => plan.notes.push("it is not marked as a port of vnet's, and is left alone".to_owned()),
    }
    plan
}

fn give_back(plan: &mut Plan, tap: &Link, former: Option<Former>, home: Option<&IfName>) {
    let name = &tap.name;
    let master = tap.master.as_ref().map(|master| &master.name);
    let alias = Setting::Alias(Change::new(tap.alias.clone(), None));
    // One that became persistent after it was attached has no former state.
    let Some(former) = former else {
        plan.set_up(name, tap.up, false);
        plan.change(name, Setting::Master(Change::new(master.cloned(), None)));
        plan.change(name, alias);
        return;
    };
    let elsewhere = |master: &&IfName| **master != former.bridge && Some(*master) != former.master.as_ref();
    if let Some(other) = master.filter(elsewhere) {
        plan.notes.push(format!("somebody moved it to {other}, and it is left there as it is"));
        plan.change(name, alias);
        return;
    }
    plan.set_up(name, tap.up, false);
    // Into its old bridge only when it is what it was there: a bridge may take its MTU and MAC from its ports.
    let between = master.filter(|master| home == Some(*master)).cloned();
    plan.change(name, Setting::Master(Change::new(master.cloned(), between.clone())));
    let (before, after) = around_mtu(tap, former.mtu, former.addr_gen);
    before.into_iter().for_each(|setting| plan.change(name, setting));
    plan.change(name, Setting::Mac(Change::new(tap.mac, former.mac)));
    plan.change(name, Setting::Mtu(Change::new(tap.mtu, former.mtu)));
    after.into_iter().for_each(|setting| plan.change(name, setting));
    plan.change(name, Setting::Master(Change::new(between, home.cloned())));
    plan.set_up(name, false, former.up);
    plan.change(name, alias);
}
