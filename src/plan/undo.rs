//! The way back, derived from the way there.

use crate::model::{Change, Mark, Operation, Setting};

/// The operations that undo those which were done: in reverse, each with before and after swapped. What was changed
/// about a link that was created on the way goes with the link.
///
/// A bridge that was sealed stays unsealed: the kernel drops settings by itself when an MTU shrinks or an address goes,
/// and so the next run looks at all of it again.
pub fn undo(done: &[Operation]) -> Vec<Operation> {
    let created: Vec<_> =
        done.iter().filter(|operation| operation.creates()).map(|operation| &operation.link).collect();
    let needs_undoing = |operation: &&Operation| operation.creates() || !created.contains(&&operation.link);
    done.iter()
        .rev()
        .filter(needs_undoing)
        .cloned()
        .map(|operation| unsealed(operation.reversed()))
        .filter(|step| !step.is_nothing())
        .collect()
}

/// The same operation, without the seal that it would set.
fn unsealed(mut operation: Operation) -> Operation {
    if let Setting::Alias(Change { after: Some(alias), .. }) = &mut operation.setting {
        if let Some(Mark::Owned(network, Some(_))) = Mark::parse(alias) {
            *alias = Mark::Owned(network, None).to_string();
        }
    }
    operation
}
