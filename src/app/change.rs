//! Carries a plan out, looks at what became of it, and undoes it when either fails.

use nix::errno::Errno;

use super::deadline::Deadline;
use super::failure::{Cause, Undone};
use crate::apply::{Executor, Transaction};
use crate::kernel::{self, Host};
use crate::model::{Change, Operation, Setting, Sysctl};
use crate::plan::Plan;

impl Executor for Host {
    type Error = kernel::Error;

    fn execute(&mut self, operation: &Operation) -> Result<(), kernel::Error> {
        Self::execute(self, operation)
    }

    fn may_have_happened(error: &kernel::Error) -> bool {
        error.answer_lost
    }
}

/// Carries out the operations; `remaining` then plans once more, and must find nothing to do.
///
/// # Errors
/// [`Undone`]: the first thing that went wrong, and what could not be undone; all else is as it was before.
pub fn carry_out(
    host: &mut Host,
    operations: &[Operation],
    deadline: Deadline,
    mut remaining: impl FnMut(&mut Host) -> anyhow::Result<Vec<Operation>>,
) -> anyhow::Result<()> {
    if operations.is_empty() {
        return Ok(());
    }
    let mut transaction = Transaction::begin(host);
    match run_all(&mut transaction, operations, deadline, &mut remaining) {
        Ok(()) => {
            transaction.commit();
            Ok(())
        }
        Err(cause) => {
            let stays = transaction.is_past_return();
            // What was changed about a link that is gone went with it.
            let mut left = transaction.undo();
            left.retain(|(_, error)| !matches!(error.errno, Errno::ENODEV | Errno::ENXIO));
            // A server that was told to end has said what it had to.
            let _ = host.settle();
            Err(Undone { cause: *cause, left, stays }.into())
        }
    }
}

/// Leaves out of a plan that was carried out, and is yet to be told, the dead taps that are still there: somebody took
/// them in the moment in which they were to go, and keeps them.
pub fn leave_out_spared(host: &mut Host, plan: &mut Plan) {
    plan.operations.retain(|operation| match operation {
        Operation::Link(tap, Setting::Persistent(Change { after: false, .. })) => {
            !matches!(host.link(tap), Ok(Some(_)))
        }
        _ => true,
    });
}

/// Whether it is a setting that changes with the host's.
const fn follows_the_host(operation: &Operation) -> bool {
    matches!(operation, Operation::Link(_, Setting::Sysctl(Sysctl::Forwarding, _)))
}

/// Whether it takes out what guarded taps that were there when the changes were planned: some go by themselves meanwhile,
/// and one that is removed is guarded until it is gone, for its user may take it again in that moment.
fn follows_its_taps(operation: &Operation) -> bool {
    let Operation::Firewall(_, Change { before, after }) = operation else { return false };
    before.is_superset(after) && before.difference(after).all(|element| element.guarded().is_some())
}

/// How often what is not as it should be is changed again: where two networks come up at once, the one that turns the
/// host's forwarding on changes the other's bridge.
const ROUNDS: usize = 3;

fn run_all(
    transaction: &mut Transaction<'_, Host>,
    operations: &[Operation],
    deadline: Deadline,
    remaining: &mut impl FnMut(&mut Host) -> anyhow::Result<Vec<Operation>>,
) -> Result<(), Box<Cause>> {
    let mut missing = operations.to_vec();
    for _ in 0..ROUNDS {
        for operation in &missing {
            if deadline.is_past() {
                return Err(Box::new(Cause::TooLate(operation.clone())));
            }
            transaction.run(operation).map_err(|error| Box::new(Cause::Kernel(operation.clone(), error)))?;
        }
        let settled = transaction.executor().settle();
        settled.map_err(|error| Box::new(Cause::Unseen(error.to_string())))?;
        missing = remaining(transaction.executor()).map_err(|error| Box::new(Cause::Unseen(format!("{error:#}"))))?;
        if missing.is_empty() {
            return Ok(());
        }
        if !missing.iter().any(|operation| follows_the_host(operation) || follows_its_taps(operation)) {
            break;
        }
    }
    if missing.iter().all(follows_its_taps) {
        // Still more taps went. What guarded them harms nobody, and whoever comes next takes it out.
        return Ok(());
    }
    Err(Box::new(Cause::NotSo(missing)))
}
