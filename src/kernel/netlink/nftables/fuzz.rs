//! What must hold of what nf_tables tells, whatever is in it.

use super::barrier::{chain_read as barrier_read, rule_drops_all, rule_passes};
use super::batch::{Batch, Table};
use super::chains::{chain_read, listed_rule_read, member_read};
use super::docker::tagged;
use super::element::element_new;
use super::look::{elements_read, generation_read, list_read, matches};
use super::ruleset::table_new;
use super::set::Set;
use crate::kernel::netlink::wire::{Message, attributes, messages};
use crate::model::{Element, IfName, NetworkName};

/// The mark of packets that our firewall sets.
const MARK: u32 = 0x1000;

/// A datagram about chains, rules and elements: an element of ours that was read is written so that it is read again.
pub fn nftables(data: &[u8]) {
    for message in messages(data).map_while(Result::ok) {
        let _ = (generation_read(&message), chain_read(&message, "inet"), listed_rule_read(&message));
        let _ = (barrier_read(&message), rule_drops_all(&message), tagged(&message));
        if let Ok(bridge) = "vnbr0".parse() {
            let bridge: IfName = bridge;
            let _ = (rule_passes(&message, Some(MARK), &bridge), rule_passes(&message, None, &bridge));
        }
        for table in Table::BOTH {
            let mut wanted = Batch::begin(0);
            table_new(&mut wanted, table, MARK);
            let _ = matches(wanted.into_requests().next(), &message);
        }
        let Ok(Some(list)) = list_read(&message) else { continue };
        for member in attributes(list).map_while(Result::ok) {
            let _ = member_read(member.nested());
        }
        for set in Set::INET.into_iter().chain(Set::BRIDGE) {
            let mut found = Vec::new();
            if elements_read(set, &[list.to_vec()], &mut found).is_ok() {
                found.iter().for_each(|(network, element)| written_again(set, network, element));
            }
        }
    }
}

/// What was read of a set is an element of it, and the same when it is read of what makes it.
fn written_again(set: Set, network: &NetworkName, element: &Element) {
    let mut batch = Batch::begin(0);
    element_new(&mut batch, network, element);
    let request = batch.into_requests().next().and_then(|request| request.finish(1, 0).ok()).unwrap_or_default();
    let message = messages(&request).next().and_then(Result::ok);
    let list = message.and_then(|message: Message<'_>| list_read(&message).ok().flatten()).unwrap_or_default();
    let mut found = Vec::new();
    let strange = elements_read(set, &[list.to_vec()], &mut found);
    assert_eq!((strange, found), (Ok(false), vec![(network.clone(), element.clone())]), "{}", set.layout().name);
}
