//! Other programs' chains and rules, read as they are; what they do to a packet is worked out elsewhere.

use nix::errno::Errno;

use super::batch::{NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSETELEM, TABLE, request};
use super::element::{NFTA_LIST_SET, NFTA_LIST_TABLE};
use super::look::{find, list_read};
use super::rule_read::{rule_read, verdict_read};
use crate::kernel::error::Error;
use crate::kernel::netlink::socket::{Next, Socket, malformed};
use crate::kernel::netlink::wire::{Attribute, Attributes, Malformed, Message, attributes};
use crate::model::{Base, Chain, Hook, Lookup, Member, Ruleset, Step};

// linux/netfilter/nf_tables.h
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_SET_ELEM_FLAGS: u16 = 3;
const NFTA_SET_ELEM_KEY_END: u16 = 10;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
/// NFT_SET_ELEM_INTERVAL_END
const ENDS: u32 = 1;
/// NF_DROP
const DROP: u32 = 0;

/// The families whose chains bridged and routed packets pass, by their numbers (`NFPROTO_…`).
const FAMILIES: [(&str, u8); 4] = [("inet", 1), ("ip", 2), ("bridge", 7), ("ip6", 10)];

/// All chains of other programs, with their rules and the sets that these look things up in. Whoever changes them
/// meanwhile is not noticed: what comes of it is words.
pub(super) fn ruleset(socket: &mut Socket) -> Result<Ruleset, Error> {
    let mut ruleset = Ruleset::default();
    for (family, number) in FAMILIES {
        let list = || request(number, NFT_MSG_GETCHAIN, 0);
        let chains = socket.dump(list, |chains: &mut Vec<Chain>, message| {
            chains.extend(chain_read(message, family).map_err(malformed)?);
            Ok(Next::More)
        });
        let mut chains = chains.map_err(|error| error.of("listing nf_tables' chains"))?;
        for (table, name, steps) in rules(socket, number)? {
            let chain = chains.iter_mut().find(|chain| chain.table == table && chain.name == name);
            chain.into_iter().for_each(|chain| chain.rules.push(steps.clone()));
        }
        ruleset.sets.extend(sets(socket, (family, number), &chains)?);
        ruleset.chains.append(&mut chains);
    }
    Ok(ruleset)
}

pub(super) fn chain_read(message: &Message<'_>, family: &'static str) -> Result<Option<Chain>, Malformed> {
    let (_, attributes) = message.split::<4>()?;
    let (Some(table), Some(name)) = (text(&attributes, NFTA_CHAIN_TABLE)?, text(&attributes, NFTA_CHAIN_NAME)?) else {
        return Ok(None);
    };
    if table == TABLE && matches!(family, "inet" | "bridge") {
        return Ok(None);
    }
    let policy = find(attributes.clone(), NFTA_CHAIN_POLICY)?.map(|policy| policy.u32_be()).transpose()?;
    let base = match find(attributes, NFTA_CHAIN_HOOK)? {
        Some(hook) => base_read(hook.nested(), policy == Some(DROP))?,
        None => None,
    };
    Ok(Some(Chain { family, table, name, base, rules: Vec::new() }))
}

fn base_read(attributes: Attributes<'_>, drops: bool) -> Result<Option<Base>, Malformed> {
    let number = |kind| find(attributes.clone(), kind)?.map(|number| number.u32_be()).transpose();
    let (hook, priority) = (number(NFTA_HOOK_HOOKNUM)?, number(NFTA_HOOK_PRIORITY)?.unwrap_or_default());
    let hook = Hook::ALL.into_iter().find(|known| Some(*known as u32) == hook);
    Ok(hook.map(|hook| Base { hook, priority: i32::from_ne_bytes(priority.to_ne_bytes()), drops }))
}

fn text(attributes: &Attributes<'_>, kind: u16) -> Result<Option<String>, Malformed> {
    Ok(find(attributes.clone(), kind)?.map(|name| String::from_utf8_lossy(name.text()).into_owned()))
}

/// The rules of all chains of a family, each with its table and chain.
fn rules(socket: &mut Socket, family: u8) -> Result<Vec<(String, String, Vec<Step>)>, Error> {
    let list = || request(family, NFT_MSG_GETRULE, 0);
    let rules = socket.dump(list, |rules: &mut Vec<_>, message| {
        rules.extend(listed_rule_read(message).map_err(malformed)?);
        Ok(Next::More)
    });
    rules.map_err(|error| error.of("listing nf_tables' rules"))
}

/// A rule, with its table and chain.
pub(super) fn listed_rule_read(message: &Message<'_>) -> Result<Option<(String, String, Vec<Step>)>, Malformed> {
    let (_, attributes) = message.split::<4>()?;
    let (table, chain) = (text(&attributes, NFTA_RULE_TABLE)?, text(&attributes, NFTA_RULE_CHAIN)?);
    let list = find(attributes, NFTA_RULE_EXPRESSIONS)?;
    let steps = list.map_or(Ok(Vec::new()), |list| rule_read(list.nested()))?;
    Ok(table.zip(chain).map(|(table, chain)| (table, chain, steps)))
}

/// The sets that the rules of these chains look things up in.
fn sets(socket: &mut Socket, (family, number): (&'static str, u8), chains: &[Chain]) -> Result<Vec<Lookup>, Error> {
    let mut sets: Vec<Lookup> = Vec::new();
    for chain in chains {
        for step in chain.rules.iter().flatten() {
            let (Step::Lookup(name, ..) | Step::Decide(name, _)) = step else { continue };
            let table = &chain.table;
            if sets.iter().any(|set| set.table == *table && set.name == *name) {
                continue;
            }
            let members = members(socket, number, table, name)?;
            sets.push(Lookup { family, table: table.clone(), name: name.clone(), members });
        }
    }
    Ok(sets)
}

fn members(socket: &mut Socket, family: u8, table: &str, set: &str) -> Result<Vec<Member>, Error> {
    let list = || {
        let list = request(family, NFT_MSG_GETSETELEM, 0);
        list.attr_text(NFTA_LIST_TABLE, table).attr_text(NFTA_LIST_SET, set)
    };
    let members = socket.dump(list, |members: &mut Vec<Member>, message| {
        for element in attributes(list_read(message).map_err(malformed)?.unwrap_or_default()) {
            members.extend(element.and_then(|element| member_read(element.nested())).map_err(malformed)?);
        }
        Ok(Next::More)
    });
    match members {
        // Somebody removed it just now.
        Err(error) if error.errno == Errno::ENOENT => Ok(Vec::new()),
        members => members.map_err(|error| error.of(format!("listing the set {set} of table {table}"))),
    }
}

pub(super) fn member_read(attributes: Attributes<'_>) -> Result<Option<Member>, Malformed> {
    let value = |attribute: Option<Attribute<'_>>| {
        let value = attribute.map_or(Ok(None), |attribute| find(attribute.nested(), NFTA_DATA_VALUE))?;
        Ok(value.map(|value| value.payload.to_vec()))
    };
    let Some(key) = value(find(attributes.clone(), NFTA_SET_ELEM_KEY)?)? else { return Ok(None) };
    let last = value(find(attributes.clone(), NFTA_SET_ELEM_KEY_END)?)?;
    let flags = find(attributes.clone(), NFTA_SET_ELEM_FLAGS)?.map_or(Ok(0), |flags| flags.u32_be())?;
    let data = find(attributes, NFTA_SET_ELEM_DATA)?;
    let verdict = data.map_or(Ok(None), |data| find(data.nested(), NFTA_DATA_VERDICT))?;
    let verdict = verdict.map_or(Ok(None), |verdict| verdict_read(verdict.nested()))?;
    Ok(Some(Member { key, last, ends: flags & ENDS != 0, verdict }))
}

#[cfg(test)]
#[path = "chains_tests.rs"]
mod tests;
