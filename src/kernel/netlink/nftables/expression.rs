//! What a rule is made of: each [`Step`] stands for the few expressions of nf_tables' machine that `nft` would write
//! for the same words.
//!
//! A packet's fields are loaded into registers, which are then compared or looked up; a rule ends at the first
//! expression that does not hold. Fields that are looked up together lie in registers side by side, each begun at a
//! multiple of four bytes (linux/netfilter/nf_tables.h).

use super::field::{Field, Load, first_bytes};
use super::set::Set;
use crate::kernel::netlink::wire::Request;

/// The expressions of a rule, a list of [`LIST_ELEM`].
const NFTA_RULE_EXPRESSIONS: u16 = 4;
/// A member of a list.
pub(super) const LIST_ELEM: u16 = 1;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
/// Data that is a value, or else a verdict.
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

/// Four-byte registers are numbered from here, and those of sixteen bytes, which share their place, from 1.
const REG32_00: u32 = 8;
const REG_1: u32 = 1;
const WORDS_PER_REGISTER: u32 = 4;

const EQUAL: u32 = 0;
const DIFFERENT: u32 = 1;
const INVERTED: u32 = 1;

/// linux/netfilter.h, and nf_tables' own ones, which are negative.
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const JUMP: u32 = u32::MAX - 2;
const RETURN: u32 = u32::MAX - 4;

/// NFPROTO_IPV4 and NFPROTO_IPV6.
pub(super) const IPV4: u32 = 2;
pub(super) const IPV6: u32 = 10;

/// A condition of a rule, or what becomes of a packet that meets them all, which ends the rule.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The field has this value.
    Is(Field, u32),
    /// The field has another value.
    IsNot(Field, u32),
    /// The field's first bits, as many as the second number says, are those of the first.
    Begins(Field, u32, u32),
    /// They are not.
    BeginsNot(Field, u32, u32),
    /// The field has one of these bits.
    Has(Field, u32),
    /// The field has all of these bits.
    HasAll(Field, u32),
    /// The fields together are in the set.
    In(&'static [Field], Set),
    /// They are not.
    NotIn(&'static [Field], Set),
    /// The fields together are in the map, and what they lead to is loaded.
    Map(&'static [Field], Set),
    /// To the address and port that were loaded, of this family.
    Dnat(u32),
    /// From the address that was loaded, of this family.
    Snat(u32),
    /// The same, and from an unprivileged port.
    SnatPorts(u32),
    /// From the address of the link that it leaves by.
    Masquerade,
    /// The same, and from an unprivileged port.
    MasqueradePorts,
    /// `reject with icmpx admin-prohibited`
    Reject,
    /// `drop`
    Drop,
    /// `accept`
    Accept,
    /// `return`
    Return,
    /// `jump`
    Jump(&'static str),
    /// `meta mark set meta mark | …`, which does not end the rule.
    Mark,
    /// `meta mark set` to what was loaded, which does not end the rule.
    MarkLoaded,
    /// `meta mark set 0`, which does not end the rule.
    Unmark,
}

/// Adds the expressions of a rule, whose packets may be given a mark.
pub(super) fn expressions(request: Request, steps: &[Step], mark: u32) -> Request {
    request.nest(NFTA_RULE_EXPRESSIONS, |list| steps.iter().fold(list, |list, step| step.write(list, mark)))
}

impl Step {
    fn write(self, list: Request, mark: u32) -> Request {
        match self {
            Self::Is(field, number) => compare(load(list, &[field]), EQUAL, field.value(number)),
            Self::IsNot(field, number) => compare(load(list, &[field]), DIFFERENT, field.value(number)),
            Self::Begins(field, top, bits) => begins(list, field, EQUAL, top, bits),
            Self::BeginsNot(field, top, bits) => begins(list, field, DIFFERENT, top, bits),
            Self::Has(field, flags) => {
                let list = bitwise(load(list, &[field]), field.value(flags), [0; 16], field.is_of_bits());
                compare(list, DIFFERENT, field.value(0))
            }
            Self::HasAll(field, bits) => {
                let list = bitwise(load(list, &[field]), field.value(bits), [0; 16], false);
                compare(list, EQUAL, field.value(bits))
            }
            Self::In(fields, set) => lookup(load(list, fields), set, 0, false),
            Self::NotIn(fields, set) => lookup(load(list, fields), set, INVERTED, false),
            Self::Map(fields, set) => lookup(load(list, fields), set, 0, true),
            Self::Dnat(family) => dnat(list, family),
            Self::Snat(family) => snat(list, family),
            Self::SnatPorts(family) => snat_ports(list, family),
            Self::Masquerade => expression(list, "masq", |data| data),
            Self::MasqueradePorts => masquerade_ports(list),
            Self::Reject => reject(list),
            Self::Drop => verdict(list, DROP, None),
            Self::Accept => verdict(list, ACCEPT, None),
            Self::Return => verdict(list, RETURN, None),
            Self::Jump(chain) => verdict(list, JUMP, Some(chain)),
            Self::Mark => set_mark(list, mark),
            Self::MarkLoaded => mark_loaded(list),
            Self::Unmark => mark_loaded(expression(list, "immediate", |data| {
                data.attr_u32_be(1, REG_1).nest(2, |data| data.attr(DATA_VALUE, &[0; 4]))
            })),
        }
    }
}

fn expression(list: Request, name: &str, data: impl FnOnce(Request) -> Request) -> Request {
    list.nest(LIST_ELEM, |one| one.attr_text(EXPR_NAME, name).nest(EXPR_DATA, data))
}

/// An expression of which all attributes are numbers.
fn numbers(list: Request, name: &str, attributes: &[(u16, u32)]) -> Request {
    expression(list, name, |data| attributes.iter().fold(data, |data, (kind, number)| data.attr_u32_be(*kind, *number)))
}

/// The number of the register that a multiple of four bytes lies in, the shorter one where there are two.
fn register(bytes: usize) -> u32 {
    let word = u32::try_from(bytes / 4).unwrap_or_default();
    if word % WORDS_PER_REGISTER == 0 { REG_1 + word / WORDS_PER_REGISTER } else { REG32_00 + word }
}

/// Loads fields side by side.
fn load(mut list: Request, fields: &[Field]) -> Request {
    let mut place = 0;
    for field in fields {
        let target = register(place);
        list = match field.load() {
            (Load::Meta(key, _), _) => numbers(list, "meta", &[(2, key), (1, target)]),
            (Load::Ct(key), _) => numbers(list, "ct", &[(2, key), (1, target)]),
            (Load::HasHeader(header), length) => extension(list, target, (header, 0, length), PRESENT),
            (Load::Header(header, offset), length) => extension(list, target, (header, offset, length), 0),
            (Load::Fib(address), _) => numbers(list, "fib", &[(3, address), (2, FIB_TYPE), (1, target)]),
            (Load::Payload(header, offset), length) => {
                let length = u32::try_from(length).unwrap_or_default();
                numbers(list, "payload", &[(1, target), (2, header), (3, offset), (4, length)])
            }
        };
        place += field.room();
    }
    list
}

/// NFT_EXTHDR_F_PRESENT
const PRESENT: u32 = 1;

/// Loads bytes of an IPv6 extension header, or whether it is there.
fn extension(list: Request, target: u32, (header, offset, length): (u8, u32, usize), flags: u32) -> Request {
    let length = u32::try_from(length).unwrap_or_default();
    expression(list, "exthdr", |data| {
        let data = data.attr_u32_be(1, target).attr_u8(2, header).attr_u32_be(3, offset).attr_u32_be(4, length);
        data.attr_u32_be(6, 0).attr_u32_be(5, flags)
    })
}

/// NFT_FIB_RESULT_ADDRTYPE
const FIB_TYPE: u32 = 3;

fn compare(list: Request, operator: u32, (value, length): ([u8; 16], usize)) -> Request {
    let value = value.get(..length).unwrap_or_default();
    expression(list, "cmp", |data| {
        let data = data.attr_u32_be(1, REG_1).attr_u32_be(2, operator);
        data.nest(3, |data| data.attr(DATA_VALUE, value))
    })
}

/// Keeps the bits of a mask, and flips those of `flip`; newer parts of `nft` name the operation.
fn bitwise(list: Request, (mask, length): ([u8; 16], usize), flip: [u8; 16], named: bool) -> Request {
    let words = u32::try_from(length).unwrap_or_default();
    let (mask, flip) = (mask.get(..length).unwrap_or_default(), flip.get(..length).unwrap_or_default());
    expression(list, "bitwise", |data| {
        let data = data.attr_u32_be(1, REG_1).attr_u32_be(2, REG_1);
        let data = if named { data.attr_u32_be(6, 0) } else { data };
        let data = data.attr_u32_be(3, words).nest(4, |data| data.attr(DATA_VALUE, mask));
        data.nest(5, |data| data.attr(DATA_VALUE, flip))
    })
}

fn begins(list: Request, field: Field, operator: u32, top: u32, bits: u32) -> Request {
    let (_, length) = field.load();
    let list = load(list, &[field]);
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or_default().to_be_bytes();
    let list = bitwise(list, (mask, length), [0; 16], field.is_of_bits());
    compare(list, operator, ((u128::from(top) << 96).to_be_bytes(), length))
}

fn lookup(list: Request, set: Set, flags: u32, is_map: bool) -> Request {
    expression(list, "lookup", |data| {
        let data = data.attr_u32_be(2, REG_1);
        let data = if is_map { data.attr_u32_be(3, REG_1) } else { data };
        let data = data.attr_text(1, set.layout().name);
        if flags == 0 { data } else { data.attr_u32_be(5, flags) }
    })
}

fn verdict(list: Request, code: u32, chain: Option<&str>) -> Request {
    expression(list, "immediate", |data| {
        data.attr_u32_be(1, 0).nest(2, |data| {
            data.nest(DATA_VERDICT, |verdict| {
                let verdict = verdict.attr_u32_be(1, code);
                chain.into_iter().fold(verdict, |verdict, chain| verdict.attr_text(2, chain))
            })
        })
    })
}

const NAT_SNAT: u32 = 0;
const NAT_DNAT: u32 = 1;
/// NF_NAT_RANGE_MAP_IPS and NF_NAT_RANGE_PROTO_SPECIFIED. The kernel adds the first by itself where there is an
/// address, and lists it then.
const NAT_ADDRESS: u32 = 1;
const NAT_PORTS: u32 = 2;

/// How many bytes an address of the family takes.
const fn address_room(family: u32) -> usize {
    if family == IPV4 { 4 } else { 16 }
}

fn dnat(list: Request, family: u32) -> Request {
    numbers(list, "nat", &[(1, NAT_DNAT), (2, family), (3, REG_1), (5, register(address_room(family)))])
}

fn snat(list: Request, family: u32) -> Request {
    numbers(list, "nat", &[(1, NAT_SNAT), (2, family), (3, REG_1)])
}

/// The ports lie in the next registers, which are of sixteen bytes.
fn snat_ports(list: Request, family: u32) -> Request {
    let list = ports(list, REG_1 + 1);
    let (lowest, highest, flags) = ((5, REG_1 + 1), (6, REG_1 + 2), (7, NAT_ADDRESS | NAT_PORTS));
    numbers(list, "nat", &[(1, NAT_SNAT), (2, family), (3, REG_1), lowest, highest, flags])
}

fn masquerade_ports(list: Request) -> Request {
    numbers(ports(list, REG_1), "masq", &[(1, NAT_PORTS), (2, REG_1), (3, REG_1 + 1)])
}

/// Loads the lowest and the highest unprivileged port.
fn ports(list: Request, target: u32) -> Request {
    [(target, 1024_u16), (target + 1, u16::MAX)].into_iter().fold(list, |list, (register, port)| {
        expression(list, "immediate", |data| {
            data.attr_u32_be(1, register).nest(2, |data| data.attr(DATA_VALUE, &port.to_be_bytes()))
        })
    })
}

fn reject(list: Request) -> Request {
    const ICMPX: u32 = 2;
    const ADMIN_PROHIBITED: u8 = 3;
    expression(list, "reject", |data| data.attr_u32_be(1, ICMPX).attr_u8(2, ADMIN_PROHIBITED))
}

/// NFT_META_MARK
const MARK: u32 = 3;

fn set_mark(list: Request, mark: u32) -> Request {
    let list = numbers(list, "meta", &[(2, MARK), (1, REG_1)]);
    let list = bitwise(list, (first_bytes((!mark).to_ne_bytes()), 4), first_bytes(mark.to_ne_bytes()), true);
    mark_loaded(list)
}

fn mark_loaded(list: Request) -> Request {
    numbers(list, "meta", &[(2, MARK), (3, REG_1)])
}
