//! Carries a plan out, looks at what became of it, and undoes it when either fails.

use super::deadline::Deadline;
use super::failure::{Cause, Undone};
use crate::apply::{Executor, Transaction};
use crate::kernel::{self, Host};
use crate::model::Operation;

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
/// The first thing that went wrong, and what could not be undone; all else is as it was before.
pub fn carry_out(
    host: &mut Host,
    operations: &[Operation],
    deadline: Deadline,
    remaining: impl FnOnce(&mut Host) -> anyhow::Result<Vec<Operation>>,
) -> Result<(), Undone> {
    if operations.is_empty() {
        return Ok(());
    }
    let mut transaction = Transaction::begin(host);
    match run_all(&mut transaction, operations, deadline, remaining) {
        Ok(()) => {
            transaction.commit();
            Ok(())
        }
        Err(cause) => Err(Undone { cause, left: transaction.undo() }),
    }
}

fn run_all(
    transaction: &mut Transaction<'_, Host>,
    operations: &[Operation],
    deadline: Deadline,
    remaining: impl FnOnce(&mut Host) -> anyhow::Result<Vec<Operation>>,
) -> Result<(), Cause> {
    for operation in operations {
        if deadline.is_past() {
            return Err(Cause::TooLate(operation.clone()));
        }
        transaction.run(operation).map_err(|error| Cause::Kernel(operation.clone(), error))?;
    }
    match remaining(transaction.executor()) {
        Ok(missing) if missing.is_empty() => Ok(()),
        Ok(missing) => Err(Cause::NotSo(missing)),
        Err(error) => Err(Cause::Unseen(format!("{error:#}"))),
    }
}
