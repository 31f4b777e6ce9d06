//! Our one rule in a chain of another program's: `DOCKER-USER`, which Docker leaves to others.
//!
//! It is `meta mark & MARK == MARK accept` in the form that `iptables -S` prints as `-m mark --mark MARK/MARK`, and has
//! the comment `vnet`, by which it is known.

use nix::errno::Errno;

use super::batch::{Batch, NFT_MSG_DELRULE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETTABLE, NFT_MSG_NEWRULE};
use super::batch::{NLM_F_CREATE, Subject, request};
use super::expression::{Step, expressions};
use super::field::Field;
use super::look::{find, matches};
use super::ruleset::comment;
use crate::kernel::error::Error;
use crate::kernel::netlink::socket::{Next, Socket, malformed};
use crate::kernel::netlink::wire::{Malformed, Message};
use crate::model::{DockerRule, DockerTable};

const TABLE: &str = "filter";
const CHAIN: &str = "DOCKER-USER";
/// The table of Docker's own nftables backend.
const BACKEND: &str = "docker-bridges";
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_USERDATA: u16 = 7;

/// The rules of ours that are in the chain, each by the kernel's number, and whether it is as it should be.
type Ours = Vec<([u8; 8], bool)>;

const fn family(table: DockerTable) -> u8 {
    match table {
        DockerTable::Ipv4 => 2,
        DockerTable::Ipv6 => 10,
    }
}

/// What there is of our rule in the chain of a table; `None` where there is no such chain.
pub(super) fn rule(socket: &mut Socket, table: DockerTable, mark: u32) -> Result<Option<DockerRule>, Error> {
    let get = request(family(table), NFT_MSG_GETCHAIN, 0);
    let get = get.attr_text(NFTA_CHAIN_TABLE, TABLE).attr_text(NFTA_CHAIN_NAME, CHAIN);
    if !is_there(socket.get(get, |_| Ok(())), table)? {
        return Ok(None);
    }
    Ok(Some(match ours(socket, table, mark)?.as_slice() {
        [] => DockerRule::Absent,
        [(_, true)] => DockerRule::Whole,
        _ => DockerRule::Other,
    }))
}

/// Whether Docker keeps its firewall in tables of its own.
pub(super) fn has_own_tables(socket: &mut Socket) -> Result<bool, Error> {
    let get = request(family(DockerTable::Ipv4), NFT_MSG_GETTABLE, 0).attr_text(NFTA_TABLE_NAME, BACKEND);
    is_there(socket.get(get, |_| Ok(())), DockerTable::Ipv4)
}

fn is_there(found: Result<(), Error>, table: DockerTable) -> Result<bool, Error> {
    match found {
        Err(error) if error.errno == Errno::ENOENT => Ok(false),
        found => found.map(|()| true).map_err(|error| error.of(format!("looking for Docker's chains in {table}"))),
    }
}

fn ours(socket: &mut Socket, table: DockerTable, mark: u32) -> Result<Ours, Error> {
    let list = || {
        let list = request(family(table), NFT_MSG_GETRULE, 0);
        list.attr_text(NFTA_RULE_TABLE, TABLE).attr_text(NFTA_RULE_CHAIN, CHAIN)
    };
    let rules = socket.dump(list, |ours: &mut Ours, message| {
        if let Some(handle) = tagged(message).map_err(malformed)? {
            let mut wanted = Batch::begin(0);
            rule_new(&mut wanted, table, mark);
            ours.push((handle, matches(wanted.into_requests().next(), message)?));
        }
        Ok(Next::More)
    });
    rules.map_err(|error| error.of(format!("listing the rules of {table} {CHAIN}")))
}

/// The number of a rule that has our comment.
pub(super) fn tagged(message: &Message<'_>) -> Result<Option<[u8; 8]>, Malformed> {
    let (_, attributes) = message.split::<4>()?;
    let is_ours =
        find(attributes.clone(), NFTA_RULE_USERDATA)?.is_some_and(|data| data.payload == comment(super::batch::TABLE));
    let in_chain = find(attributes.clone(), NFTA_RULE_CHAIN)?.is_some_and(|chain| chain.text() == CHAIN.as_bytes());
    let in_table = find(attributes.clone(), NFTA_RULE_TABLE)?.is_some_and(|name| name.text() == TABLE.as_bytes());
    if !(is_ours && in_chain && in_table) {
        return Ok(None);
    }
    Ok(find(attributes, NFTA_RULE_HANDLE)?.and_then(|handle| handle.payload.first_chunk().copied()))
}

/// What makes the rule the chain's first, or takes out all of ours; nothing to do where it is so, or the chain is not
/// there.
pub(super) fn batch(
    socket: &mut Socket,
    generation: u32,
    (table, mark): (DockerTable, u32),
    after: DockerRule,
) -> Result<Batch<'static>, Error> {
    let mut batch = Batch::begin(generation);
    if rule(socket, table, mark)?.is_none_or(|has| has == after) {
        return Ok(batch);
    }
    for (handle, _) in ours(socket, table, mark)? {
        batch.add_in(family(table), Subject::Docker(table), NFT_MSG_DELRULE, 0, |request| {
            let request = request.attr_text(NFTA_RULE_TABLE, TABLE).attr_text(NFTA_RULE_CHAIN, CHAIN);
            request.attr(NFTA_RULE_HANDLE, &handle)
        });
    }
    if after == DockerRule::Whole {
        rule_new(&mut batch, table, mark);
    }
    Ok(batch)
}

/// Adds to a batch the making of the rule, as the first of the chain.
fn rule_new(batch: &mut Batch<'_>, table: DockerTable, mark: u32) {
    batch.add_in(family(table), Subject::Docker(table), NFT_MSG_NEWRULE, NLM_F_CREATE, |request| {
        let request = request.attr_text(NFTA_RULE_TABLE, TABLE).attr_text(NFTA_RULE_CHAIN, CHAIN);
        let request = expressions(request, &[Step::HasAll(Field::Mark, mark), Step::Accept], mark);
        request.attr(NFTA_RULE_USERDATA, &comment(super::batch::TABLE))
    });
}
