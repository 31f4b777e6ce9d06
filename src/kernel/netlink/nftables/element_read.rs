//! The elements of our sets as the kernel tells of them: what each of the firewall's is read of.

use std::net::{IpAddr, SocketAddr};

use super::element::{
    END, NFTA_ELEM_DATA, NFTA_ELEM_FLAGS, NFTA_ELEM_KEY, NFTA_ELEM_KEY_END, NFTA_ELEM_USERDATA, next, number_of_bridge,
    octets,
};
use super::set::Set;
use crate::kernel::netlink::wire::{Attributes, Malformed};
use crate::model::{Element, IfName, Mac, NetworkName, PortForward, Protocol, Subnet};

/// What the kernel told of one element of a set.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    key: &'a [u8],
    last: Option<&'a [u8]>,
    data: &'a [u8],
    /// A range ended before this key.
    end: bool,
    owner: &'a [u8],
}

impl Told<'_> {
    /// The network that its comment names, and the bridge that is behind it where the set knows that by a number.
    fn owner_and_bridge(&self, set: Set) -> (Option<NetworkName>, Option<IfName>) {
        let text = std::str::from_utf8(self.owner).unwrap_or_default();
        match text.split_once(' ') {
            Some((network, bridge)) if set.knows_bridges() => (network.parse().ok(), bridge.parse().ok()),
            _ => (text.parse().ok(), None),
        }
    }
}

/// Reads one element of a set.
pub(super) fn element_read(attributes: Attributes<'_>) -> Result<Told<'_>, Malformed> {
    let mut told = Told::default();
    for attribute in attributes {
        let attribute = attribute?;
        let value = || Ok(attribute.nested().next().transpose()?.map(|value| value.payload).unwrap_or_default());
        match attribute.kind {
            NFTA_ELEM_KEY => told.key = value()?,
            NFTA_ELEM_KEY_END => told.last = Some(value()?),
            NFTA_ELEM_DATA => told.data = value()?,
            NFTA_ELEM_FLAGS => told.end = attribute.u32_be()? & END != 0,
            // The comment: its type, its length, the text and a zero.
            NFTA_ELEM_USERDATA => {
                if let [0, length, text @ ..] = attribute.payload {
                    told.owner = text.get(..usize::from(*length).saturating_sub(1)).unwrap_or_default();
                }
            }
            _ => {}
        }
    }
    Ok(told)
}

/// The elements that a set's are, with the networks that they are of; and whether there was any that is not ours.
pub(super) fn elements_of(set: Set, mut told: Vec<Told<'_>>, found: &mut Vec<(NetworkName, Element)>) -> bool {
    let layout = set.layout();
    if layout.interval && layout.key.len() == 1 {
        join_ranges(&mut told);
    }
    let mut strange = false;
    for told in told {
        let (owner, bridge) = told.owner_and_bridge(set);
        match owner.zip(element(set, &told, bridge)) {
            Some(element) => found.push(element),
            None => strange = true,
        }
    }
    strange
}

/// Gives each beginning of a range its last key, and drops the ends; `nft` writes one more end in front of all.
fn join_ranges(told: &mut Vec<Told<'_>>) {
    told.sort_by(|a, b| (a.key, !a.end).cmp(&(b.key, !b.end)));
    let ends: Vec<Option<&[u8]>> = told.iter().skip(1).map(|next| next.end.then_some(next.key)).chain([None]).collect();
    for (told, end) in told.iter_mut().zip(ends) {
        told.last = end;
    }
    told.retain(|told| !told.end);
}

fn element(set: Set, told: &Told<'_>, bridge: Option<IfName>) -> Option<Element> {
    let link = |at: usize| {
        let name = told.key.get(at..at + 16)?.split(|byte| *byte == 0).next()?;
        IfName::from_bytes(name).ok()
    };
    let bridge = |of: &[u8]| bridge.filter(|bridge| number(of) == Some(number_of_bridge(bridge)));
    Some(match set {
        Set::Bridges => Element::Bridge(link(0)?),
        Set::Hosts => Element::Host(link(0)?),
        Set::Isolated => Element::Isolated(link(0)?),
        Set::Nat => Element::Nat(link(0)?),
        Set::Same => Element::Same(link(0).filter(|name| link(16).as_ref() == Some(name))?),
        Set::Peers => Element::Peer(link(0)?, link(16)?),
        Set::Net4 | Set::Net6 => {
            let (first, last) = (told.key.get(16..)?, told.last?.get(16..)?);
            Element::Subnet(link(0)?, subnet(first, |subnet| octets(subnet.last()) == last)?)
        }
        Set::Masquerade4 | Set::Masquerade6 => Element::Masquerade(range_read(told)?),
        Set::Source4 | Set::Source6 => Element::Source(range_read(told)?, address(told.data)?),
        Set::Forward4 | Set::Forward6 => Element::Forward(forward_read(None, told.key, told.data)?),
        Set::ForwardAddress4 | Set::ForwardAddress6 => {
            let (listen, key) = told.key.split_at_checked(told.key.len().checked_sub(8)?)?;
            Element::Forward(forward_read(Some(address(listen)?), key, told.data)?)
        }
        Set::Own4 | Set::Own6 => Element::Claimed(bridge(told.key)?, address(told.key.get(4..)?)?),
        Set::Guarded => Element::Guarded(number(told.key)?, bridge(told.data)?),
        Set::Mac => Element::GuardMac(number(told.key)?, mac(told.key.get(4..)?)?),
        Set::Known4 | Set::Known6 => Element::Known { link: number(told.key)?, ipv4: set == Set::Known4 },
        Set::Addresses4 | Set::Addresses6 => Element::GuardAddress(number(told.key)?, address(told.key.get(4..)?)?),
    })
}

/// A link's number, in the machine's order.
fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.first_chunk().map(|bytes| Mac::from_bytes(*bytes))
}

fn range_read(told: &Told<'_>) -> Option<Subnet> {
    subnet(told.key, |subnet| next(&octets(subnet.last())).as_deref() == told.last)
}

/// The subnet that begins with an address and ends as it should.
fn subnet(first: &[u8], ends: impl Fn(&Subnet) -> bool) -> Option<Subnet> {
    let first = address(first)?;
    let subnets = (0..=if first.is_ipv4() { 32 } else { 128 }).map(|prefix| Subnet::new(first, prefix));
    subnets.filter(|subnet| subnet.first() == first).find(ends)
}

fn forward_read(listen: Option<IpAddr>, key: &[u8], data: &[u8]) -> Option<PortForward> {
    let [protocol, _, _, _, high, low, _, _] = *key.first_chunk()?;
    let (to, port) = data.split_at_checked(data.len().checked_sub(4)?)?;
    Some(PortForward {
        protocol: Protocol::from_number(protocol)?,
        address: listen,
        port: u16::from_be_bytes([high, low]),
        to: SocketAddr::new(address(to)?, u16::from_be_bytes(*port.first_chunk()?)),
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes)),
        16 => bytes.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes)),
        _ => None,
    }
}
