//! The sets and maps of our tables, and how the kernel and `nft` are told of them.

use super::batch::{Batch, NFT_MSG_NEWSET, NLM_F_CREATE, Subject, TABLE, Table};
use super::expression::LIST_ELEM;

const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_DESC: u16 = 9;
/// The number by which a batch may refer to a set that it makes. The kernel never tells it.
pub(super) const NFTA_SET_ID: u16 = 10;
const NFTA_SET_USERDATA: u16 = 13;
const NFTA_SET_DESC_CONCAT: u16 = 2;
const NFTA_SET_FIELD_LEN: u16 = 1;

const INTERVAL: u32 = 0x4;
const MAP: u32 = 0x8;
const CONCAT: u32 = 0x80;

/// A kind of value, by the number that `nft` gives it in a set's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `ipv4_addr`
    Ipv4 = 7,
    /// `ipv6_addr`
    Ipv6 = 8,
    /// `ether_addr`
    Ether = 9,
    /// `inet_proto`
    Protocol = 12,
    /// `inet_service`
    Port = 13,
    /// `mark`
    Mark = 19,
    /// `iface_index`
    Index = 20,
    /// `ifname`
    Link = 41,
}

impl Kind {
    /// Its bytes.
    pub(super) const fn length(self) -> u32 {
        match self {
            Self::Ipv4 | Self::Mark | Self::Index => 4,
            Self::Ipv6 | Self::Link => 16,
            Self::Ether => 6,
            Self::Protocol => 1,
            Self::Port => 2,
        }
    }

    /// The number of its byte order, as `nft` keeps it beside a set: the machine's, or the network's.
    const fn order(self) -> u8 {
        if matches!(self, Self::Link | Self::Mark | Self::Index) { 1 } else { 2 }
    }
}

/// One of our sets or maps. Each element of the firewall's says which it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub(super) enum Set {
    Bridges,
    Hosts,
    Isolated,
    Nat,
    Same,
    Peers,
    Net4,
    Net6,
    Masquerade4,
    Masquerade6,
    Source4,
    Source6,
    Forward4,
    Forward6,
    ForwardAddress4,
    ForwardAddress6,
    Own4,
    Own6,
    Guarded,
    Mac,
    Known4,
    Addresses4,
    Known6,
    Addresses6,
}

/// How a set is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Its name.
    pub(super) name: &'static str,
    /// What its keys are made of.
    pub(super) key: &'static [Kind],
    /// What a map leads to.
    pub(super) data: &'static [Kind],
    /// Its keys are ranges.
    pub(super) interval: bool,
}

const fn of_keys(name: &'static str, key: &'static [Kind]) -> Layout {
    Layout { name, key, data: &[], interval: false }
}

const fn of_ranges(name: &'static str, key: &'static [Kind], data: &'static [Kind]) -> Layout {
    Layout { name, key, data, interval: true }
}

const fn of_keys_to(name: &'static str, key: &'static [Kind], data: &'static [Kind]) -> Layout {
    Layout { name, key, data, interval: false }
}

impl Set {
    /// Those of `inet vnet`, in the order in which they are made.
    pub(super) const INET: [Self; 16] = [
        Self::Bridges,
        Self::Hosts,
        Self::Isolated,
        Self::Nat,
        Self::Same,
        Self::Peers,
        Self::Net4,
        Self::Net6,
        Self::Masquerade4,
        Self::Masquerade6,
        Self::Source4,
        Self::Source6,
        Self::Forward4,
        Self::Forward6,
        Self::ForwardAddress4,
        Self::ForwardAddress6,
    ];
    /// Those of `bridge vnet`.
    pub(super) const BRIDGE: [Self; 8] = [
        Self::Own4,
        Self::Own6,
        Self::Guarded,
        Self::Mac,
        Self::Known4,
        Self::Addresses4,
        Self::Known6,
        Self::Addresses6,
    ];

    /// Those whose elements begin with the number of a link.
    pub(super) const OF_LINKS: [Self; 6] =
        [Self::Guarded, Self::Mac, Self::Known4, Self::Addresses4, Self::Known6, Self::Addresses6];

    /// Whether it knows a bridge by a number, so that an element's comment has to have the name.
    pub(super) const fn knows_bridges(self) -> bool {
        matches!(self, Self::Own4 | Self::Own6 | Self::Guarded)
    }

    /// The table that it is of.
    pub(super) fn table(self) -> Table {
        if Self::BRIDGE.contains(&self) { Table::Bridge } else { Table::Inet }
    }

    /// How it is made.
    pub(super) const fn layout(self) -> Layout {
        use Kind::{Ether, Index, Ipv4, Ipv6, Link, Mark, Port, Protocol};
        match self {
            Self::Bridges => of_keys("br", &[Link]),
            Self::Hosts => of_keys("host", &[Link]),
            Self::Isolated => of_keys("iso", &[Link]),
            Self::Nat => of_keys("nat", &[Link]),
            Self::Same => of_keys("same", &[Link, Link]),
            Self::Peers => of_keys("peer", &[Link, Link]),
            Self::Net4 => of_ranges("net4", &[Link, Ipv4], &[]),
            Self::Net6 => of_ranges("net6", &[Link, Ipv6], &[]),
            Self::Masquerade4 => of_ranges("masq4", &[Ipv4], &[]),
            Self::Masquerade6 => of_ranges("masq6", &[Ipv6], &[]),
            Self::Source4 => of_ranges("snat4", &[Ipv4], &[Ipv4]),
            Self::Source6 => of_ranges("snat6", &[Ipv6], &[Ipv6]),
            Self::Forward4 => of_keys_to("fwd4", &[Protocol, Port], &[Ipv4, Port]),
            Self::Forward6 => of_keys_to("fwd6", &[Protocol, Port], &[Ipv6, Port]),
            Self::ForwardAddress4 => of_keys_to("fwda4", &[Ipv4, Protocol, Port], &[Ipv4, Port]),
            Self::ForwardAddress6 => of_keys_to("fwda6", &[Ipv6, Protocol, Port], &[Ipv6, Port]),
            Self::Own4 => of_keys("own4", &[Mark, Ipv4]),
            Self::Own6 => of_keys("own6", &[Mark, Ipv6]),
            Self::Guarded => of_keys_to("guard", &[Index], &[Mark]),
            Self::Mac => of_keys("mac", &[Index, Ether]),
            Self::Known4 => of_keys("known4", &[Index]),
            Self::Addresses4 => of_keys("addr4", &[Index, Ipv4]),
            Self::Known6 => of_keys("known6", &[Index]),
            Self::Addresses6 => of_keys("addr6", &[Index, Ipv6]),
        }
    }
}

/// Adds to a batch the set's making.
pub(super) fn set_new(batch: &mut Batch<'_>, table: Table, set: Set) {
    let Layout { name, key, data, interval } = set.layout();
    let concatenated = interval && key.len() > 1;
    let flags = [(interval, INTERVAL), (!data.is_empty(), MAP), (concatenated, CONCAT)];
    let flags = flags.into_iter().filter(|(is, _)| *is).fold(0, |flags, (_, flag)| flags | flag);
    batch.add(table, Subject::Set(set), NFT_MSG_NEWSET, NLM_F_CREATE, |request| {
        let request = request.attr_text(NFTA_SET_TABLE, TABLE).attr_text(NFTA_SET_NAME, name);
        let request = request.attr_u32_be(NFTA_SET_FLAGS, flags);
        let request = request.attr_u32_be(NFTA_SET_KEY_TYPE, kind_of(key));
        let mut request = request.attr_u32_be(NFTA_SET_KEY_LEN, room_of(key));
        if !data.is_empty() {
            request = request.attr_u32_be(NFTA_SET_DATA_TYPE, kind_of(data));
            request = request.attr_u32_be(NFTA_SET_DATA_LEN, room_of(data));
        }
        request = request.attr_u32_be(NFTA_SET_ID, set as u32 + 1);
        if concatenated {
            request = request.nest(NFTA_SET_DESC, |desc| {
                desc.nest(NFTA_SET_DESC_CONCAT, |list| {
                    key.iter().fold(list, |list, kind| {
                        list.nest(LIST_ELEM, |field| field.attr_u32_be(NFTA_SET_FIELD_LEN, kind.length()))
                    })
                })
            });
        }
        request.attr(NFTA_SET_USERDATA, &notes(key, data))
    });
}

/// The number of a type, which is that of its kind, or of each in six bits.
fn kind_of(kinds: &[Kind]) -> u32 {
    kinds.iter().fold(0, |number, kind| number << 6 | *kind as u32)
}

/// The bytes of a key or of what it leads to: each part is padded to four.
pub(super) fn room_of(kinds: &[Kind]) -> u32 {
    kinds.iter().map(|kind| kind.length().next_multiple_of(4)).sum()
}

/// What `nft` keeps beside a set to print it: the byte orders of what it holds, 0 where that is of several parts.
fn notes(key: &[Kind], data: &[Kind]) -> Vec<u8> {
    const KEY_ORDER: u8 = 0;
    const DATA_ORDER: u8 = 1;
    const DATA_IS_RANGE: u8 = 6;
    let order = |kinds: &[Kind]| if let [kind] = kinds { kind.order() } else { 0 };
    let mut notes = note(KEY_ORDER, order(key)).to_vec();
    if !data.is_empty() {
        notes.extend(note(DATA_ORDER, order(data)));
        notes.extend(note(DATA_IS_RANGE, 0));
    }
    notes
}

/// A number as `nft` notes it: what it is, its length, and four bytes in the machine's order.
const fn note(what: u8, number: u8) -> [u8; 6] {
    let [a, b, c, d] = (number as u32).to_ne_bytes();
    [what, 4, a, b, c, d]
}
