//! The elements of our sets: what each of the firewall's is in the kernel.
//!
//! A range of a set with keys of several parts is one element with two keys. A range of another set is two elements:
//! one where it begins, and one behind its end that says so.

use std::net::IpAddr;

use super::batch::{
    Batch, NFT_MSG_DELSETELEM, NFT_MSG_GETSETELEM, NFT_MSG_NEWSETELEM, NLM_F_CREATE, NLM_F_EXCL, Subject, TABLE,
    request,
};
use super::expression::DATA_VALUE;
use super::ruleset::comment;
use super::set::Set;
use crate::kernel::netlink::wire::Request;
use crate::model::{Element, IfName, NetworkName, PortForward, Subnet, digest};

pub(super) const NFTA_LIST_TABLE: u16 = 1;
pub(super) const NFTA_LIST_SET: u16 = 2;
pub(super) const NFTA_LIST_ELEMENTS: u16 = 3;
pub(super) const NFTA_ELEM_KEY: u16 = 1;
pub(super) const NFTA_ELEM_DATA: u16 = 2;
pub(super) const NFTA_ELEM_FLAGS: u16 = 3;
pub(super) const NFTA_ELEM_USERDATA: u16 = 6;
pub(super) const NFTA_ELEM_KEY_END: u16 = 10;

/// NFT_SET_ELEM_INTERVAL_END
pub(super) const END: u32 = 1;

/// An element as a set has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry<'a> {
    set: Set,
    key: Vec<u8>,
    /// The last key of a range.
    last: Option<Vec<u8>>,
    data: Option<Vec<u8>>,
    /// The bridge that the set knows by a number, and whose name is put behind the network's.
    bridge: Option<&'a IfName>,
}

/// Adds to a batch an element that must not be there yet.
pub(super) fn element_new<'a>(batch: &mut Batch<'a>, network: &NetworkName, element: &'a Element) {
    element_change(batch, element, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, Some(network));
}

/// A request for an element, by its key.
pub(super) fn element_get(element: &Element) -> Request {
    let (set, key) = element_key(element);
    let get = request(set.table() as u8, NFT_MSG_GETSETELEM, 0).attr_text(NFTA_LIST_TABLE, TABLE);
    let get = get.attr_text(NFTA_LIST_SET, set.layout().name);
    get.nest(NFTA_LIST_ELEMENTS, |list| list.nest(1, |one| value(one, NFTA_ELEM_KEY, &key)))
}

/// Adds to a batch the removal of an element that is there.
pub(super) fn element_delete<'a>(batch: &mut Batch<'a>, element: &'a Element) {
    element_change(batch, element, NFT_MSG_DELSETELEM, 0, None);
}

fn element_change<'a>(batch: &mut Batch<'a>, element: &'a Element, kind: u8, flags: u16, owner: Option<&NetworkName>) {
    let Entry { set, key, last, data, bridge } = entry(element);
    let owner = owner.map(|network| match bridge {
        Some(bridge) => comment(&format!("{network} {bridge}")),
        None => comment(network.as_str()),
    });
    batch.add(set.table(), Subject::Element(element), kind, flags, |request| {
        let request = request.attr_text(NFTA_LIST_TABLE, TABLE).attr_text(NFTA_LIST_SET, set.layout().name);
        request.nest(NFTA_LIST_ELEMENTS, |mut list| {
            let two_keys = set.layout().key.len() > 1;
            list = list.nest(1, |one| {
                let mut one = value(one, NFTA_ELEM_KEY, &key);
                if let Some(last) = last.as_ref().filter(|_| two_keys) {
                    one = value(one, NFTA_ELEM_KEY_END, last);
                }
                if let (Some(data), Some(_)) = (&data, &owner) {
                    one = value(one, NFTA_ELEM_DATA, data);
                }
                owner.iter().fold(one, |one, owner| one.attr(NFTA_ELEM_USERDATA, owner))
            });
            // Nothing is behind the last address of all.
            if let Some(behind) = last.filter(|_| !two_keys).and_then(|last| next(&last)) {
                list = list.nest(2, |one| value(one.attr_u32_be(NFTA_ELEM_FLAGS, END), NFTA_ELEM_KEY, &behind));
            }
            list
        })
    });
}

fn value(request: Request, kind: u16, bytes: &[u8]) -> Request {
    request.nest(kind, |data| data.attr(DATA_VALUE, bytes))
}

/// What of an element can be in the tables only once.
pub(super) fn element_key(element: &Element) -> (Set, Vec<u8>) {
    let Entry { set, key, .. } = entry(element);
    (set, key)
}

fn entry(element: &Element) -> Entry<'_> {
    let plain = |set, key| Entry { set, key, last: None, data: None, bridge: None };
    match element {
        Element::Bridge(link) => plain(Set::Bridges, key_of(&[link])),
        Element::Host(link) => plain(Set::Hosts, key_of(&[link])),
        Element::Isolated(link) => plain(Set::Isolated, key_of(&[link])),
        Element::Nat(link) => plain(Set::Nat, key_of(&[link])),
        Element::Same(link) => plain(Set::Same, key_of(&[link, link])),
        Element::Peer(from, to) => plain(Set::Peers, key_of(&[from, to])),
        Element::Subnet(link, subnet) => Entry {
            set: of_family(subnet.first(), Set::Net4, Set::Net6),
            key: [key_of(&[link]), octets(subnet.first())].concat(),
            last: Some([key_of(&[link]), octets(subnet.last())].concat()),
            data: None,
            bridge: None,
        },
        Element::Masquerade(subnet) => range(of_family(subnet.first(), Set::Masquerade4, Set::Masquerade6), *subnet),
        Element::Source(subnet, source) => {
            let range = range(of_family(subnet.first(), Set::Source4, Set::Source6), *subnet);
            Entry { data: Some(octets(*source)), ..range }
        }
        Element::Forward(forward) => forward_entry(forward),
        Element::Claimed(bridge, ip) => {
            let key = [number_of(number_of_bridge(bridge)), octets(*ip)].concat();
            Entry { bridge: Some(bridge), ..plain(of_family(*ip, Set::Own4, Set::Own6), key) }
        }
        Element::Guarded(link, bridge) => {
            let data = Some(number_of(number_of_bridge(bridge)));
            Entry { data, bridge: Some(bridge), ..plain(Set::Guarded, number_of(*link)) }
        }
        // Each part of a key is padded to four bytes.
        Element::GuardMac(link, mac) => plain(Set::Mac, [&number_of(*link)[..], mac.bytes(), &[0, 0]].concat()),
        Element::Known { link, ipv4 } => plain(if *ipv4 { Set::Known4 } else { Set::Known6 }, number_of(*link)),
        Element::GuardAddress(link, ip) => {
            plain(of_family(*ip, Set::Addresses4, Set::Addresses6), [number_of(*link), octets(*ip)].concat())
        }
    }
}

/// A link's number, in the machine's order.
fn number_of(link: u32) -> Vec<u8> {
    link.to_ne_bytes().to_vec()
}

/// The number by which the guard knows a bridge: 32 bits of FNV-1a of its name. Of two bridges of the same number one
/// would keep to the other's claimed addresses too, and no more.
pub(super) fn number_of_bridge(bridge: &IfName) -> u32 {
    digest(bridge.as_str().bytes())
}

fn range(set: Set, subnet: Subnet) -> Entry<'static> {
    Entry { set, key: octets(subnet.first()), last: Some(octets(subnet.last())), data: None, bridge: None }
}

fn forward_entry(forward: &PortForward) -> Entry<'static> {
    let set = match forward.address {
        None => of_family(forward.to.ip(), Set::Forward4, Set::Forward6),
        Some(address) => of_family(address, Set::ForwardAddress4, Set::ForwardAddress6),
    };
    let mut key = forward.address.map(octets).unwrap_or_default();
    key.extend([forward.protocol.number(), 0, 0, 0]);
    key.extend(port_bytes(forward.port));
    let mut data = octets(forward.to.ip());
    data.extend(port_bytes(forward.to.port()));
    Entry { set, key, last: None, data: Some(data), bridge: None }
}

fn of_family(ip: IpAddr, v4: Set, v6: Set) -> Set {
    if ip.is_ipv4() { v4 } else { v6 }
}

pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Names, each padded with zeroes.
fn key_of(links: &[&IfName]) -> Vec<u8> {
    let mut key = Vec::with_capacity(32);
    for (link, end) in links.iter().zip(1..) {
        key.extend(link.as_str().bytes());
        key.resize(end * IfName::MAX.next_multiple_of(16), 0);
    }
    key
}

fn port_bytes(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

/// The key behind this one, if there is one.
pub(super) fn next(key: &[u8]) -> Option<Vec<u8>> {
    let at = key.iter().rposition(|byte| *byte != u8::MAX)?;
    let raised = |(place, byte): (usize, &u8)| match place.cmp(&at) {
        std::cmp::Ordering::Less => *byte,
        std::cmp::Ordering::Equal => byte.saturating_add(1),
        std::cmp::Ordering::Greater => 0,
    };
    Some(key.iter().enumerate().map(raised).collect())
}
