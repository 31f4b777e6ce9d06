//! The way back, derived from the way there.

use crate::model::Operation;

/// The operations that undo those which were done: in reverse, each with before and after swapped. What was changed
/// about a link that was created on the way goes with the link.
pub fn undo(done: &[Operation]) -> Vec<Operation> {
    let created: Vec<_> =
        done.iter().filter(|operation| operation.creates()).map(|operation| &operation.link).collect();
    let needs_undoing = |operation: &&Operation| operation.creates() || !created.contains(&&operation.link);
    done.iter().rev().filter(needs_undoing).cloned().map(Operation::reversed).collect()
}
