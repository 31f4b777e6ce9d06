//! What holds for every plan, whatever it is about.

use vnet::model::{AddrGen, IfName, Kind, Link, Mark, Operation, Setting, Snapshot};
use vnet::plan::{Plan, undo};

use crate::case::Case;
use crate::host::Host;

/// Checks each case that has a plan, and tells of all that fail.
fn each_plan(check: impl Fn(&Case, &Plan) -> Result<(), String>) {
    let plans = Case::all().iter().filter_map(|case| Some((case, case.plan().ok()?)));
    let wrong: Vec<_> =
        plans.filter_map(|(case, plan)| Some(format!("{}: {}", case.name, check(case, &plan).err()?))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn after(snapshot: &Snapshot, operations: &[Operation]) -> Result<Host, String> {
    let mut host = Host::new(snapshot);
    host.run(operations)?;
    Ok(host)
}

/// The same, but for what an undo leaves on purpose: a tap stays closed to other users once it was, for the kernel cannot
/// take an owner away, and then goes with QEMU; and a bridge stays unsealed, for the next run to look at.
fn closed(mut snapshot: Snapshot) -> Snapshot {
    if let Some(Kind::Tun { open, .. }) = snapshot.tap.as_mut().map(|tap| &mut tap.kind) {
        *open = false;
    }
    if let Some(bridge) = &mut snapshot.bridge {
        if let Some(Mark::Owned(network, Some(_))) = bridge.mark() {
            bridge.alias = Some(Mark::Owned(network, None).to_string());
        }
    }
    snapshot
}

/// Whether both are equal; if not, the lines in which they differ.
fn same(found: &Snapshot, expected: &Snapshot) -> Result<(), String> {
    let lines = |snapshot| format!("{snapshot:#?}").lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    let (left, right) = (lines(found), lines(expected));
    let only = |these: &[String], those: &[String]| -> Vec<_> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    match found == expected {
        true => Ok(()),
        false => Err(format!("found {:?}, expected {:?}", only(&left, &right), only(&right, &left))),
    }
}

#[test]
fn planning_again_finds_nothing_to_do() {
    each_plan(|case, plan| {
        let host = after(&case.snapshot, &plan.operations)?;
        let again = case.plan_on(&host.now).map_err(|refusal| refusal.to_string())?;
        let left: Vec<_> = again.operations.iter().map(ToString::to_string).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("left to do: {left:?}")) }
    });
}

#[test]
fn a_failure_at_any_step_is_undone_without_a_trace() {
    each_plan(|case, plan| {
        (0..=plan.operations.len()).try_for_each(|done| {
            let done = &plan.operations[..done];
            let mut host = after(&case.snapshot, done)?;
            host.run(&undo(done))
                .and_then(|()| same(&closed(host.now), &closed(case.snapshot.clone())))
                .map_err(|wrong| format!("undone after {} operations: {wrong}", done.len()))
        })
    });
}

#[test]
fn a_run_that_was_killed_at_any_step_is_finished_by_the_next() {
    each_plan(|case, plan| {
        let whole = after(&case.snapshot, &plan.operations)?;
        (0..plan.operations.len()).try_for_each(|done| {
            let mut host = after(&case.snapshot, &plan.operations[..done])?;
            let next = case.plan_on(&host.now).map_err(|refusal| refusal.to_string());
            next.and_then(|next| host.run(&next.operations))
                .and_then(|()| same(&host.now, &whole.now))
                .map_err(|wrong| format!("killed after {done} operations: {wrong}"))
        })
    });
}

#[test]
fn a_link_is_changed_only_while_it_is_marked_as_ours() {
    each_plan(|case, plan| {
        plan.operations.iter().enumerate().try_for_each(|(done, operation)| {
            let marks = matches!(operation.setting, Setting::Alias(_));
            let before = after(&case.snapshot, &plan.operations[..done])?.now;
            let ours = link(&before, &operation.link).is_none_or(|link| link.mark().is_some());
            if marks || ours { Ok(()) } else { Err(format!("\"{operation}\" comes before the mark")) }
        })
    });
}

#[test]
fn a_link_goes_up_when_all_else_is_done() {
    each_plan(|case, plan| {
        plan.operations.iter().enumerate().filter(|(_, operation)| goes_up(operation)).try_for_each(|(number, up)| {
            let later = plan.operations[number + 1..].iter().find(|later| later.link == up.link);
            match later.map(|later| &later.setting) {
                None => Ok(()),
                // A tap that leaves loses its mark last, or nobody would know what is left to do.
                Some(Setting::Alias(_)) if case.is_detach() => Ok(()),
                Some(setting) => Err(format!("\"{up}\" comes before {setting:?}")),
            }
        })
    });
}

#[test]
fn no_port_goes_up_that_makes_an_ipv6_address() {
    each_plan(|case, plan| {
        plan.operations.iter().enumerate().filter(|_| !case.is_detach()).try_for_each(|(number, operation)| {
            let now = after(&case.snapshot, &plan.operations[..=number])?.now;
            let speaks = |tap: &Link| tap.addr_gen.is_some_and(|mode| mode != AddrGen::None);
            let opens = goes_up(operation) || matches!(operation.setting, Setting::Master(_));
            match now.tap {
                Some(tap) if opens && tap.up && tap.master.is_some() && speaks(&tap) => {
                    Err(format!("\"{operation}\" lets it speak IPv6"))
                }
                _ => Ok(()),
            }
        })
    });
}

const fn goes_up(operation: &Operation) -> bool {
    matches!(&operation.setting, Setting::Up(change) if change.after)
}

fn link<'a>(snapshot: &'a Snapshot, name: &IfName) -> Option<&'a Link> {
    snapshot.tap.iter().chain(&snapshot.bridge).find(|link| link.name == *name)
}
