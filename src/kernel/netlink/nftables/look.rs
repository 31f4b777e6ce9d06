//! What the kernel has of our tables.

use nix::errno::Errno;

use super::batch::{
    Batch, NFT_MSG_GETCHAIN, NFT_MSG_GETGEN, NFT_MSG_GETRULE, NFT_MSG_GETSET, NFT_MSG_GETSETELEM, NFT_MSG_GETTABLE,
    TABLE, Table, request,
};
use super::element::{NFTA_LIST_ELEMENTS, NFTA_LIST_SET, NFTA_LIST_TABLE, element_get};
use super::element_read::{element_read, elements_of};
use super::ruleset::table_make;
use super::set::{NFTA_SET_ID, Set};
use crate::kernel::error::Error;
use crate::kernel::netlink::socket::{Next, Socket, malformed};
use crate::kernel::netlink::wire::{Attribute, Attributes, Malformed, Message, Request, attributes, messages};
use crate::model::{Element, Firewall, IfName, NetworkName, Tables};

const NFTA_GEN_ID: u16 = 1;
/// The name of the table, or the table that something is of.
const NFTA_OF_TABLE: u16 = 1;
/// `struct nfgenmsg`
const FAMILY_HEADER: usize = 4;

/// The number that the kernel raises with each change of the ruleset.
pub(super) fn generation(socket: &mut Socket) -> Result<u32, Error> {
    let read = |message: &Message<'_>| generation_read(message).map_err(malformed);
    let asked = socket.get(request(0, NFT_MSG_GETGEN, 0), read);
    asked.map_err(|error| error.of("asking nf_tables for the generation of its ruleset"))
}

pub(super) fn generation_read(message: &Message<'_>) -> Result<u32, Malformed> {
    let (_, attributes) = message.split::<FAMILY_HEADER>()?;
    find(attributes, NFTA_GEN_ID)?.ok_or(Malformed("a generation without a number"))?.u32_be()
}

/// Whether our tables are there as we would make them, but for their elements.
pub(super) fn tables(socket: &mut Socket, mark: u32) -> Result<Tables, Error> {
    let inet = table_look(socket, Table::Inet, mark)?;
    let bridge = table_look(socket, Table::Bridge, mark)?;
    Ok(if inet == bridge { inet } else { Tables::Damaged })
}

/// What the kernel lists of a table is compared, message by message, with what we would send to make it.
pub(super) fn table_look(socket: &mut Socket, table: Table, mark: u32) -> Result<Tables, Error> {
    let failed = |error: Error| error.of(format!("reading table {table}"));
    let mut batch = Batch::begin(0);
    table_make(&mut batch, table, mark);
    let mut wanted = batch.into_requests();
    let mut whole = match socket.get(table_get(table), |message| matches(wanted.next(), message)) {
        Err(error) if error.errno == Errno::ENOENT => return Ok(Tables::Absent),
        first => first.map_err(failed)?,
    };
    for kind in [NFT_MSG_GETSET, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE] {
        let list = || request(table as u8, kind, 0).attr_text(NFTA_OF_TABLE, TABLE);
        let told = socket.dump(list, |told: &mut Vec<Told>, message| {
            if of_our_table(message).map_err(malformed)? {
                told.push((message.kind, message.payload.to_vec()));
            }
            Ok(Next::More)
        });
        for (kind, payload) in told.map_err(failed)? {
            whole &= matches(wanted.next(), &Message { kind, flags: 0, sequence: 0, payload: &payload })?;
        }
    }
    Ok(if whole && wanted.next().is_none() { Tables::Whole } else { Tables::Damaged })
}

fn table_get(table: Table) -> Request {
    request(table as u8, NFT_MSG_GETTABLE, 0).attr_text(NFTA_OF_TABLE, TABLE)
}

/// Whether there is a table of our name, whatever is in it.
pub(super) fn table_is_there(socket: &mut Socket, table: Table) -> Result<bool, Error> {
    match socket.get(table_get(table), |_| Ok(())) {
        Err(error) if error.errno == Errno::ENOENT => Ok(false),
        found => found.map(|()| true).map_err(|error| error.of(format!("reading table {table}"))),
    }
}

/// Which network has this bridge in the set `br`, if one has.
pub(super) fn bridge_owner(socket: &mut Socket, bridge: &IfName) -> Result<Option<NetworkName>, Error> {
    let get = element_get(&Element::Bridge(bridge.clone()));
    let found = socket.get(get, |message| {
        let mut found = Vec::new();
        let list = list_read(message).map_err(malformed)?.unwrap_or_default().to_vec();
        elements_read(Set::Bridges, &[list], &mut found).map_err(malformed)?;
        Ok(found.pop().map(|(owner, _)| owner))
    });
    match found {
        Err(error) if error.errno == Errno::ENOENT => Ok(None),
        found => found.map_err(|error| error.of(format!("asking table {} for {bridge}", Table::Inet))),
    }
}

/// A message's type and what follows its header.
type Told = (u16, Vec<u8>);

/// Whether a chain or the like is of a table with our name: not every kernel picks those of one table.
fn of_our_table(message: &Message<'_>) -> Result<bool, Malformed> {
    let (_, attributes) = message.split::<FAMILY_HEADER>()?;
    let table = find(attributes, NFTA_OF_TABLE)?;
    Ok(table.is_some_and(|table| table.text() == TABLE.as_bytes()))
}

/// Whether the kernel tells of what this request would make.
pub(super) fn matches(wanted: Option<Request>, told: &Message<'_>) -> Result<bool, Error> {
    let Some(wanted) = wanted else { return Ok(false) };
    let wanted = wanted.finish(0, 0).map_err(malformed)?;
    let same = |wanted: Message<'_>| {
        let ((_, sent), (_, told_of)) = (wanted.split::<FAMILY_HEADER>()?, told.split::<FAMILY_HEADER>()?);
        Ok(wanted.kind == told.kind && holds(&told_of, &sent)?)
    };
    messages(&wanted).map(|wanted| same(wanted?)).next().unwrap_or(Ok(false)).map_err(malformed)
}

/// Whether what was told has all that was sent, and no more members of a list. The kernel adds numbers of its own,
/// leaves out some that are zero, and never tells by which number a batch called a set.
fn holds(told: &Attributes<'_>, sent: &Attributes<'_>) -> Result<bool, Malformed> {
    for (place, attribute) in sent.clone().enumerate() {
        let attribute = attribute?;
        let alike = |other: &Result<Attribute<'_>, _>| other.is_ok_and(|other| other.kind == attribute.kind);
        let before = sent.clone().take(place).filter(alike).count();
        let mut others = told.clone().filter(alike).skip(before);
        let same = match others.next().transpose()? {
            None => attribute.kind == NFTA_SET_ID || attribute.payload.iter().all(|byte| *byte == 0),
            Some(other) if attribute.is_nest => holds(&other.nested(), &attribute.nested())?,
            Some(other) => other.payload == attribute.payload,
        };
        let is_last = !sent.clone().skip(place + 1).any(|other| alike(&other));
        if !same || is_last && others.next().is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first attribute of a kind.
pub(super) fn find(mut attributes: Attributes<'_>, kind: u16) -> Result<Option<Attribute<'_>>, Malformed> {
    attributes.find(|attribute| attribute.map_or(true, |attribute| attribute.kind == kind)).transpose()
}

/// What is in our sets, with whom it is of; and whether there is anything that no network of ours wrote.
pub(super) fn elements(socket: &mut Socket) -> Result<(Vec<(NetworkName, Element)>, bool), Error> {
    let mut found = Vec::new();
    let mut strange = false;
    for set in Set::INET.into_iter().chain(Set::BRIDGE) {
        strange |= set_look(socket, set, &mut found)?;
    }
    Ok((found, strange))
}

/// Whether another network is up: each has an element in the set `same`.
pub(super) fn has_others(socket: &mut Socket, network: &NetworkName) -> Result<bool, Error> {
    let mut found = Vec::new();
    set_look(socket, Set::Same, &mut found)?;
    Ok(found.iter().any(|(owner, _)| owner != network))
}

/// Reads the elements of one set; tells whether there is any that is not ours.
pub(super) fn set_look(socket: &mut Socket, set: Set, found: &mut Vec<(NetworkName, Element)>) -> Result<bool, Error> {
    let list = || {
        let list = request(set.table() as u8, NFT_MSG_GETSETELEM, 0).attr_text(NFTA_LIST_TABLE, TABLE);
        list.attr_text(NFTA_LIST_SET, set.layout().name)
    };
    let told = socket.dump(list, |told: &mut Vec<Vec<u8>>, message| {
        told.extend(list_read(message).map_err(malformed)?.map(<[u8]>::to_vec));
        Ok(Next::More)
    });
    match told {
        Ok(told) => elements_read(set, &told, found).map_err(malformed),
        // Somebody deleted the set.
        Err(error) if error.errno == Errno::ENOENT => Ok(true),
        Err(error) => Err(error.of(format!("reading set {} of table {}", set.layout().name, set.table()))),
    }
}

/// The list in a message about a set's elements.
pub(super) fn list_read<'a>(message: &Message<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    let (_, attributes) = message.split::<FAMILY_HEADER>()?;
    Ok(find(attributes, NFTA_LIST_ELEMENTS)?.map(|list| list.payload))
}

/// Reads the lists of a set's elements, one of each message.
pub(super) fn elements_read(
    set: Set,
    lists: &[Vec<u8>],
    found: &mut Vec<(NetworkName, Element)>,
) -> Result<bool, Malformed> {
    let members = lists.iter().flat_map(|list| attributes(list));
    let told = members.map(|member| element_read(member?.nested())).collect::<Result<_, _>>()?;
    Ok(elements_of(set, told, found))
}

/// All that there is, for a generation that the caller compares.
pub(super) fn firewall(socket: &mut Socket, mark: u32, generation: u32) -> Result<Firewall, Error> {
    let tables = tables(socket, mark)?;
    if tables == Tables::Absent {
        return Ok(Firewall { generation, ..Firewall::default() });
    }
    let (elements, strange) = elements(socket)?;
    Ok(Firewall { generation, tables: if strange { Tables::Damaged } else { tables }, elements })
}
