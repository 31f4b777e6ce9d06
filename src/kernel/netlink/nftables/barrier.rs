//! Other programs' chains that stop what they forward: an accept in one of ours does not override them.

use super::batch::{NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, TABLE, request};
use super::look::find;
use crate::kernel::error::Error;
use crate::kernel::netlink::socket::{Next, Socket, malformed};
use crate::kernel::netlink::wire::{Attribute, Attributes, Malformed, Message};
use crate::model::{Barrier, IfName};

const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const NFTA_TARGET_NAME: u16 = 1;

/// NF_INET_FORWARD, and a bridge's.
const FORWARD: u32 = 2;
const NFTA_META_KEY: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFTA_DATA_VALUE: u16 = 1;
/// enum nft_meta_keys
const META_MARK: u32 = 3;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
/// NF_ACCEPT
const ACCEPT: u32 = 1;

/// The priority of our own chain at the forward hook: those of others behind it see the mark that it sets.
const OURS: i32 = -10;

/// NF_DROP, also as a policy.
const DROP: u32 = 0;

/// A base chain at the forward hook.
pub(super) struct Chain {
    pub(super) barrier: Barrier,
    pub(super) policy_drops: bool,
}

/// The chains of others at the forward hook that drop or reject what none of their rules lets through, unless a rule of
/// their table accepts all that has this mark, or all that stays on this bridge.
pub(super) fn barriers(socket: &mut Socket, mark: u32, bridge: &IfName) -> Result<Vec<Barrier>, Error> {
    const ALL_FAMILIES: u8 = 0;
    let failed = |error: Error| error.of("listing nf_tables' chains");
    let list = || request(ALL_FAMILIES, NFT_MSG_GETCHAIN, 0);
    let chains = socket.dump(list, |chains: &mut Vec<Chain>, message| {
        chains.extend(chain_read(message).map_err(malformed)?);
        Ok(Next::More)
    });
    let mut barriers = Vec::new();
    for chain in chains.map_err(failed)? {
        let stops = chain.policy_drops || ends_with_drop(socket, &chain.barrier)?;
        if stops && !has_passage(socket, &chain.barrier, mark, bridge)? {
            barriers.push(chain.barrier);
        }
    }
    Ok(barriers)
}

const fn family_number(name: &str) -> u8 {
    match name.as_bytes() {
        b"inet" => 1,
        b"ip" => 2,
        b"bridge" => 7,
        _ => 10,
    }
}

const FAMILIES: [&str; 4] = ["ip", "ip6", "inet", "bridge"];

pub(super) fn chain_read(message: &Message<'_>) -> Result<Option<Chain>, Malformed> {
    let (header, attributes) = message.split::<4>()?;
    let family = FAMILIES.into_iter().find(|family| header.first() == Some(&family_number(family)));
    let of_hook = |kind| match find(attributes.clone(), NFTA_CHAIN_HOOK)? {
        Some(hook) => find(hook.nested(), kind)?.map(|number| number.u32_be()).transpose(),
        None => Ok(None),
    };
    let hook = of_hook(NFTA_HOOK_HOOKNUM)?;
    let sees_mark =
        of_hook(NFTA_HOOK_PRIORITY)?.is_some_and(|priority| i32::from_ne_bytes(priority.to_ne_bytes()) > OURS);
    let text = |kind| Ok(find(attributes.clone(), kind)?.map(|name| String::from_utf8_lossy(name.text()).into_owned()));
    let (table, chain) = (text(NFTA_CHAIN_TABLE)?, text(NFTA_CHAIN_NAME)?);
    let (Some(family), Some(FORWARD), Some(table), Some(chain)) = (family, hook, table, chain) else {
        return Ok(None);
    };
    if table == TABLE && matches!(family, "inet" | "bridge") {
        return Ok(None);
    }
    let policy = find(attributes, NFTA_CHAIN_POLICY)?.map(|policy| policy.u32_be()).transpose()?;
    Ok(Some(Chain { barrier: Barrier { family, table, chain, sees_mark }, policy_drops: policy == Some(DROP) }))
}

/// Whether the last of a chain's rules drops or rejects whatever comes to it.
fn ends_with_drop(socket: &mut Socket, chain: &Barrier) -> Result<bool, Error> {
    let list = || {
        let list = request(family_number(chain.family), NFT_MSG_GETRULE, 0);
        list.attr_text(NFTA_RULE_TABLE, &chain.table).attr_text(NFTA_RULE_CHAIN, &chain.chain)
    };
    let last = socket.dump(list, |last: &mut bool, message| {
        *last = rule_drops_all(message).map_err(malformed)?;
        Ok(Next::More)
    });
    last.map_err(|error| error.of(format!("listing the rules of {chain}")))
}

/// Whether a rule of the chain, or of one that it jumps to, lets through what is ours.
fn has_passage(socket: &mut Socket, chain: &Barrier, mark: u32, bridge: &IfName) -> Result<bool, Error> {
    let list = || request(family_number(chain.family), NFT_MSG_GETRULE, 0).attr_text(NFTA_RULE_TABLE, &chain.table);
    let found = socket.dump(list, |found: &mut Passages, message| {
        found.take(message, chain, (mark, bridge)).map_err(malformed)?;
        Ok(Next::More)
    });
    let Passages { of, jumps } = found.map_err(|error| error.of(format!("listing the rules of {chain}")))?;
    let met = of.iter().filter(|(of, _)| *of == chain.chain || jumps.contains(of));
    Ok(met.fold(0, |all, (_, ways)| all | ways) == BOTH_WAYS)
}

/// What a rule lets through, by bits: what comes in by the bridge, and what goes out by it.
type Ways = u8;

const BOTH_WAYS: Ways = 3;

/// The chains of a table that have a passage, with what passes there, and those that one of them jumps to.
#[derive(Default)]
struct Passages {
    of: Vec<(String, Ways)>,
    jumps: Vec<String>,
}

impl Passages {
    fn take(&mut self, message: &Message<'_>, from: &Barrier, (mark, bridge): (u32, &IfName)) -> Result<(), Malformed> {
        let (_, attributes) = message.split::<4>()?;
        let name = find(attributes.clone(), NFTA_RULE_CHAIN)?.map(|name| name.text()).unwrap_or_default();
        if name == from.chain.as_bytes() {
            self.jumps.extend(jump_read(attributes)?);
        }
        let ways = rule_passes(message, from.sees_mark.then_some(mark), bridge)?;
        if ways != 0 {
            self.of.push((String::from_utf8_lossy(name).into_owned(), ways));
        }
        Ok(())
    }
}

/// The chain that a rule jumps to.
fn jump_read(attributes: Attributes<'_>) -> Result<Option<String>, Malformed> {
    let Some(list) = find(attributes, NFTA_RULE_EXPRESSIONS)? else { return Ok(None) };
    for expression in list.nested() {
        let mut place = Some(expression?);
        for kind in [EXPR_DATA, NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_CHAIN] {
            let Some(outer) = place else { break };
            place = find(outer.nested(), kind).unwrap_or(None);
        }
        if let Some(chain) = place {
            return Ok(Some(String::from_utf8_lossy(chain.text()).into_owned()));
        }
    }
    Ok(None)
}

/// What a rule accepts on no other condition than our mark, or than coming in or going out by this bridge. One that
/// asks for both is enough for guests of one bridge, whom it is for.
pub(super) fn rule_passes(message: &Message<'_>, mark: Option<u32>, bridge: &IfName) -> Result<Ways, Malformed> {
    let (_, attributes) = message.split::<4>()?;
    let Some(list) = find(attributes, NFTA_RULE_EXPRESSIONS)? else { return Ok(0) };
    let (mut key, mut marked, mut comes_in, mut goes_out) = (0, false, false, false);
    for expression in list.nested() {
        let expression = expression?;
        let name = find(expression.nested(), EXPR_NAME)?.map(|name| name.text()).unwrap_or_default();
        let data = find(expression.nested(), EXPR_DATA)?;
        let part = |kind| data.map_or(Ok(None), |data| find(data.nested(), kind));
        match name {
            b"counter" | b"bitwise" => {}
            b"meta" => key = part(NFTA_META_KEY)?.map_or(Ok(0), |key| key.u32_be())?,
            b"cmp" => {
                let value = part(NFTA_CMP_DATA)?.map_or(Ok(None), |value| find(value.nested(), NFTA_DATA_VALUE))?;
                let value = value.map(|value| value.payload).unwrap_or_default();
                // A name is compared with the zeros behind it, or up to its end.
                let is_bridge = value.split(|byte| *byte == 0).next() == Some(bridge.as_str().as_bytes());
                match key {
                    META_MARK if mark.is_some_and(|mark| value == mark.to_ne_bytes()) => marked = true,
                    META_IIFNAME if is_bridge => comes_in = true,
                    META_OIFNAME if is_bridge => goes_out = true,
                    _ => return Ok(0),
                }
            }
            b"immediate" if verdict(data)? == Some(ACCEPT) => {
                return Ok(match (marked, comes_in, goes_out) {
                    (true, ..) | (_, true, true) => BOTH_WAYS,
                    (_, comes_in, goes_out) => u8::from(comes_in) | (u8::from(goes_out) << 1),
                });
            }
            _ => return Ok(0),
        }
    }
    Ok(0)
}

/// Whether a rule has no condition, and drops or rejects.
pub(super) fn rule_drops_all(message: &Message<'_>) -> Result<bool, Malformed> {
    let (_, attributes) = message.split::<4>()?;
    let Some(list) = find(attributes, NFTA_RULE_EXPRESSIONS)? else { return Ok(false) };
    let mut drops = false;
    for expression in list.nested() {
        let expression = expression?;
        let name = find(expression.nested(), EXPR_NAME)?.map(|name| name.text()).unwrap_or_default();
        let data = find(expression.nested(), EXPR_DATA)?;
        drops = match name {
            b"counter" | b"log" => drops,
            b"reject" => true,
            b"immediate" => verdict(data)? == Some(DROP),
            b"target" => stops(data)?,
            _ => return Ok(false),
        };
    }
    Ok(drops)
}

fn verdict(data: Option<Attribute<'_>>) -> Result<Option<u32>, Malformed> {
    let mut attribute = data;
    for kind in [NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_CODE] {
        let Some(outer) = attribute else { return Ok(None) };
        attribute = find(outer.nested(), kind)?;
    }
    attribute.map(|code| code.u32_be()).transpose()
}

/// Whether it is one of iptables' targets that end a packet.
fn stops(data: Option<Attribute<'_>>) -> Result<bool, Malformed> {
    let Some(data) = data else { return Ok(false) };
    let name = find(data.nested(), NFTA_TARGET_NAME)?.map(|name| name.text());
    Ok(name.is_some_and(|name| matches!(name, b"REJECT" | b"DROP")))
}
