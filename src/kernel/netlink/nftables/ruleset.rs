//! The tables that we make: their chains and rules never change, and what there is to say of a network are elements
//! of their sets.
//!
//! `tests/nftables/ruleset.nft` has the same in `nft`'s language, with the reason of each rule; a test holds the two
//! against each other.

use super::batch::{
    Batch, NFT_MSG_DELTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWTABLE, NLM_F_APPEND, NLM_F_CREATE, Subject,
    TABLE, Table,
};
use super::expression::Step::{
    Accept, Begins, BeginsNot, Dnat, Drop, Has, In, Is, IsNot, Jump, Map, Mark, Masquerade, MasqueradePorts, NotIn,
    Reject, Return, Snat, SnatPorts,
};
use super::expression::{IPV4, IPV6, Step, expressions};
use super::field::Field;
use super::field::Field::{
    EtherTarget, Family, InName, InType, Out, OutName, Protocol, Source4, Source4First, Source6, SourceType, State,
    Status, Target4, Target4First, Target6, Target6First, TargetPort, TargetType,
};
use super::ruleset_bridge::BRIDGE;
use super::set::{Set, set_new};

/// The form of the tables. Raise it when their meaning changes and their rules do not.
const VERSION: u32 = 1;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
const NFTA_TABLE_USERDATA: u16 = 6;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;

/// A chain and its rules.
pub(super) struct Chain {
    pub(super) name: &'static str,
    /// What makes it a base chain: its type, hook and priority. Its policy is to accept.
    pub(super) base: Option<(&'static str, u32, i32)>,
    pub(super) rules: &'static [&'static [Step]],
}

/// linux/netfilter.h; a bridge's are the same.
pub(super) const PREROUTING: u32 = 0;
const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;

pub(super) const FILTER: &str = "filter";
const NAT: &str = "nat";

pub(super) const TCP: u32 = 6;
pub(super) const UDP: u32 = 17;
/// RTN_LOCAL
const LOCAL: u32 = 2;
/// The index of `lo`, in every namespace.
const LOOPBACK: u32 = 1;
/// linux/netfilter/nf_conntrack_common.h
const INVALID: u32 = 1;
const ESTABLISHED_RELATED: u32 = 2 | 4;
const DNATTED: u32 = 1 << 5;

const V4: Step = Is(Family, IPV4);
const V6: Step = Is(Family, IPV6);
/// fe80::/10
pub(super) const LINK_LOCAL: u32 = 0xfe80_0000;
/// 224.0.0.0/4
const GROUPS4: u32 = 0xe000_0000;
/// 01:80:c2:00:00:00 and the fifteen behind it, as many bits as [`RESERVED_BITS`]: IEEE 802.1Q's groups that no bridge
/// forwards. Linux gives such frames to the host as the port's own, before a bridge's rules see them.
pub(super) const RESERVED: u32 = 0x0180_c200;
pub(super) const RESERVED_BITS: u32 = 44;
/// ARPHRD_ETHER
const ETHER: u32 = 1;
const IS_NAMED: &[Field] = &[Protocol, TargetPort];
const IS_NAMED_AT4: &[Field] = &[Target4, Protocol, TargetPort];
const IS_NAMED_AT6: &[Field] = &[Target6, Protocol, TargetPort];
const ESTABLISHED: &[Step] = &[Has(State, ESTABLISHED_RELATED), Jump("ok")];

const INET: &[Chain] = &[
    Chain {
        name: "raw_pre",
        base: Some((FILTER, PREROUTING, -300)),
        rules: &[
            &[Is(InType, ETHER), Begins(EtherTarget, RESERVED, RESERVED_BITS), Drop],
            &[NotIn(&[InName], Set::Bridges), Accept],
            &[V4, Is(Target4First, 127), Drop],
            &[NotIn(&[InName], Set::Hosts), Accept],
            &[Has(State, INVALID), Is(SourceType, LOCAL), Drop],
            &[V6, IsNot(Target6First, 0xff), Is(Source6, 0), Drop],
            &[V4, IsNot(Source4, 0), NotIn(&[InName, Source4], Set::Net4), Drop],
            &[V6, IsNot(Source6, 0), BeginsNot(Source6, LINK_LOCAL, 10), NotIn(&[InName, Source6], Set::Net6), Drop],
        ],
    },
    Chain {
        name: "pre",
        base: Some((NAT, PREROUTING, -100)),
        rules: &[
            &[In(&[InName], Set::Isolated), Return],
            &[IsNot(TargetType, LOCAL), Return],
            &[V6, Begins(Source6, LINK_LOCAL, 10), Return],
            &[V4, Map(IS_NAMED_AT4, Set::ForwardAddress4), Dnat(IPV4)],
            &[V4, Map(IS_NAMED, Set::Forward4), Dnat(IPV4)],
            &[V6, Map(IS_NAMED_AT6, Set::ForwardAddress6), Dnat(IPV6)],
            &[V6, Map(IS_NAMED, Set::Forward6), Dnat(IPV6)],
        ],
    },
    Chain {
        name: "out",
        base: Some((NAT, OUTPUT, -100)),
        rules: &[
            &[IsNot(Out, LOOPBACK), Return],
            &[V4, Map(IS_NAMED_AT4, Set::ForwardAddress4), Dnat(IPV4)],
            &[V6, Map(IS_NAMED_AT6, Set::ForwardAddress6), Dnat(IPV6)],
            &[V4, Is(Target4First, 127), Return],
            &[V6, Is(Target6, 1), Return],
            &[V4, Map(IS_NAMED, Set::Forward4), Dnat(IPV4)],
            &[V6, Map(IS_NAMED, Set::Forward6), Dnat(IPV6)],
        ],
    },
    Chain {
        name: "post",
        base: Some((NAT, POSTROUTING, 100)),
        rules: &[
            &[Is(Out, LOOPBACK), Return],
            &[V4, In(&[OutName, Source4], Set::Net4), Has(Status, DNATTED), Masquerade],
            &[V6, In(&[OutName, Source6], Set::Net6), Has(Status, DNATTED), Masquerade],
            &[In(&[OutName], Set::Bridges), V4, Is(Source4First, 127), Has(Status, DNATTED), Masquerade],
            &[In(&[OutName], Set::Bridges), Return],
            &[V4, Begins(Target4, GROUPS4, 4), Return],
            &[V4, Is(Target4, u32::MAX), Return],
            &[V6, Is(Target6First, 0xff), Return],
            &[Is(Protocol, TCP), V4, Map(&[Source4], Set::Source4), SnatPorts(IPV4)],
            &[Is(Protocol, UDP), V4, Map(&[Source4], Set::Source4), SnatPorts(IPV4)],
            &[V4, Map(&[Source4], Set::Source4), Snat(IPV4)],
            &[Is(Protocol, TCP), V4, In(&[Source4], Set::Masquerade4), MasqueradePorts],
            &[Is(Protocol, UDP), V4, In(&[Source4], Set::Masquerade4), MasqueradePorts],
            &[V4, In(&[Source4], Set::Masquerade4), Masquerade],
            &[Is(Protocol, TCP), V6, Map(&[Source6], Set::Source6), SnatPorts(IPV6)],
            &[Is(Protocol, UDP), V6, Map(&[Source6], Set::Source6), SnatPorts(IPV6)],
            &[V6, Map(&[Source6], Set::Source6), Snat(IPV6)],
            &[Is(Protocol, TCP), V6, In(&[Source6], Set::Masquerade6), MasqueradePorts],
            &[Is(Protocol, UDP), V6, In(&[Source6], Set::Masquerade6), MasqueradePorts],
            &[V6, In(&[Source6], Set::Masquerade6), Masquerade],
        ],
    },
    Chain {
        name: "input",
        base: Some((FILTER, INPUT, -10)),
        rules: &[
            &[NotIn(&[InName], Set::Bridges), Accept],
            &[NotIn(&[InName], Set::Hosts), Drop],
            &[Has(State, ESTABLISHED_RELATED), Accept],
            &[V4, In(&[InName, Target4], Set::Net4), Accept],
            &[V6, In(&[InName, Target6], Set::Net6), Accept],
            &[V4, Begins(Target4, GROUPS4, 4), Accept],
            &[V4, Is(Target4, u32::MAX), Accept],
            &[V6, Begins(Target6, LINK_LOCAL, 10), Accept],
            &[V6, Is(Target6First, 0xff), Accept],
            &[Reject],
        ],
    },
    Chain {
        name: "forward",
        base: Some((FILTER, FORWARD, -10)),
        rules: &[
            &[In(&[InName, OutName], Set::Same), Jump("ok")],
            &[NotIn(&[InName], Set::Isolated), In(&[OutName], Set::Bridges), Has(Status, DNATTED), Jump("ok")],
            &[In(&[InName], Set::Bridges), Jump("from_guest")],
            &[In(&[OutName], Set::Bridges), Jump("to_guest")],
        ],
    },
    Chain {
        name: "from_guest",
        base: None,
        rules: &[
            &[NotIn(&[InName], Set::Hosts), Drop],
            &[Has(State, INVALID), Drop],
            ESTABLISHED,
            &[In(&[InName, OutName], Set::Peers), In(&[OutName], Set::Bridges), Jump("ok")],
            &[In(&[OutName], Set::Bridges), Reject],
            &[In(&[InName], Set::Isolated), Reject],
            &[V4, In(&[InName, Source4], Set::Net4), Jump("ok")],
            &[V6, In(&[InName, Source6], Set::Net6), Jump("ok")],
            &[Reject],
        ],
    },
    Chain {
        name: "to_guest",
        base: None,
        rules: &[
            ESTABLISHED,
            &[In(&[OutName], Set::Isolated), Reject],
            &[In(&[OutName], Set::Nat), Reject],
            &[V4, In(&[OutName, Target4], Set::Net4), Jump("ok")],
            &[V6, In(&[OutName, Target6], Set::Net6), Jump("ok")],
            &[Reject],
        ],
    },
    Chain { name: "ok", base: None, rules: &[&[Mark, Accept]] },
];

/// Adds to a batch the making of a table, if it is not there, with all but its elements.
pub(super) fn table_make(batch: &mut Batch<'_>, table: Table, mark: u32) {
    let (chains, sets): (_, &[Set]) = match table {
        Table::Inet => (INET, &Set::INET),
        Table::Bridge => (BRIDGE, &Set::BRIDGE),
    };
    table_new(batch, table, mark);
    for set in sets {
        set_new(batch, table, *set);
    }
    for chain in chains {
        chain_new(batch, table, chain);
    }
    for chain in chains {
        for (rule, number) in chain.rules.iter().zip(1..) {
            let subject = Subject::Rule(chain.name, number);
            batch.add(table, subject, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |request| {
                let request = request.attr_text(NFTA_RULE_TABLE, TABLE).attr_text(NFTA_RULE_CHAIN, chain.name);
                expressions(request, rule, mark)
            });
        }
    }
}

/// Adds to a batch a table without anything in it; one that is there already is left as it is.
pub(super) fn table_new(batch: &mut Batch<'_>, table: Table, mark: u32) {
    batch.add(table, Subject::Table, NFT_MSG_NEWTABLE, 0, |request| {
        let request = request.attr_text(NFTA_TABLE_NAME, TABLE).attr_u32_be(NFTA_TABLE_FLAGS, 0);
        request.attr(NFTA_TABLE_USERDATA, &comment(&format!("vnet {VERSION} {mark:#x}")))
    });
}

/// Adds to a batch the removal of a table with all that it holds.
pub(super) fn table_delete(batch: &mut Batch<'_>, table: Table) {
    batch.add(table, Subject::Table, NFT_MSG_DELTABLE, 0, |request| request.attr_text(NFTA_TABLE_NAME, TABLE));
}

fn chain_new(batch: &mut Batch<'_>, table: Table, chain: &Chain) {
    /// NF_ACCEPT
    const ACCEPTS: u32 = 1;
    batch.add(table, Subject::Chain(chain.name), NFT_MSG_NEWCHAIN, NLM_F_CREATE, |request| {
        let request = request.attr_text(NFTA_CHAIN_TABLE, TABLE).attr_text(NFTA_CHAIN_NAME, chain.name);
        let Some((kind, hook, priority)) = chain.base else { return request };
        let request = request.attr_text(NFTA_CHAIN_TYPE, kind).attr_u32_be(NFTA_CHAIN_POLICY, ACCEPTS);
        request.nest(NFTA_CHAIN_HOOK, |data| {
            data.attr_u32_be(NFTA_HOOK_HOOKNUM, hook).attr(NFTA_HOOK_PRIORITY, &priority.to_be_bytes())
        })
    });
}

/// A text as `nft` keeps it beside a table or an element, and shows it: its type, which is 0, its length and a zero
/// behind it.
pub(super) fn comment(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX);
    let mut bytes = vec![0, length];
    bytes.extend(text.bytes().take(usize::from(length) - 1));
    bytes.push(0);
    bytes
}
