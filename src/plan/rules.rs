//! What the firewall lacks of a network.

use super::{Plan, Wanted};
use crate::config::Network;
use crate::model::{Change, Element, Firewall, NetworkName, Operation, Tables};

/// What the other networks that are up have to have in the tables.
type Others = [(NetworkName, Element)];

/// Whether somebody changed the firewall's tables, or emptied them while networks were up.
pub(super) const fn is_lost(firewall: &Firewall, others: &Others) -> bool {
    match firewall.tables {
        Tables::Whole => false,
        Tables::Absent => !others.is_empty(),
        Tables::Damaged => true,
    }
}

/// What the firewall lacks of the network; where its tables were changed or emptied, all of them are written anew. `finished`
/// where the network was whole before, and so had tables.
pub(super) fn rules(
    plan: &mut Plan,
    network: &Network,
    wanted: &Wanted,
    (firewall, others): (&Firewall, &Others),
    finished: bool,
) {
    let mut has = firewall.of(&network.name);
    let is_lost = is_lost(firewall, others);
    if is_lost {
        // Of its own no more than was there, so that it can be undone, and nothing that another may have by now.
        has.retain(|element| wanted.elements.contains(element));
        let own = has.iter().map(|element| (network.name.clone(), element.clone()));
        // Also where there is nothing to be in them: they are no good as they are.
        plan.operations.push(Operation::Rebuild(others.iter().cloned().chain(own).collect()));
    }
    if is_lost || (firewall.tables == Tables::Absent && finished) {
        plan.notes.push("the firewall's tables had been changed, and are written anew".to_owned());
    }
    plan.push(Operation::Firewall(network.name.clone(), Change::new(has, wanted.elements.clone())));
}
