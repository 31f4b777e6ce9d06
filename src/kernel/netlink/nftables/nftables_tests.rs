//! Our tables against what `nft` was recorded to send for the same, and what the kernel was recorded to list.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::barrier::{chain_read, rule_drops_all};
use super::batch::{NFT_MSG_NEWRULE, NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NLM_F_EXCL, message};
use super::element::{NFTA_LIST_ELEMENTS, element_delete};
use super::look::{elements_read, generation_read, list_read};
use super::set::Set;
use super::*;
use crate::kernel::netlink::socket::malformed;
use crate::kernel::netlink::wire::{Attribute, Attributes, Message, messages};

const NLM_F_REQUEST: u16 = 1;
const MARK: u32 = 0x1000;

/// Attributes, whoever padded them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Leaf(u16, Vec<u8>),
    Nest(u16, Vec<Shape>),
}

/// A message: its type, flags, family, and attributes.
type Sent = (u16, u16, u8, Vec<Shape>);

fn shapes(attributes: Attributes<'_>) -> Vec<Shape> {
    let shape = |attribute: Result<Attribute<'_>, _>| {
        let attribute = attribute.unwrap();
        match attribute.is_nest {
            true => Shape::Nest(attribute.kind, shapes(attribute.nested())),
            false => Shape::Leaf(attribute.kind, attribute.payload.to_vec()),
        }
    };
    attributes.map(shape).collect()
}

fn sent(message: &Message<'_>) -> Sent {
    let (header, attributes) = message.split::<4>().unwrap();
    (message.kind, message.flags, header[0], shapes(attributes))
}

/// What we would send, without what begins and ends a batch.
fn ours(batch: Batch<'_>) -> Vec<Sent> {
    let bytes = batch.into_requests().map(|request| request.finish(0, NLM_F_REQUEST).unwrap());
    bytes.map(|bytes| sent(&messages(&bytes).next().unwrap().unwrap())).collect()
}

/// What `nft` sent, without what begins and ends a batch.
fn nfts(name: &str) -> Vec<Sent> {
    let bytes = Socket::recorded(name);
    let all: Vec<_> = messages(&bytes).map(|message| sent(&message.unwrap())).collect();
    all[1..all.len() - 1].to_vec()
}

fn of_kind(all: &[Sent], kind: u8) -> Vec<Sent> {
    all.iter().filter(|(found, ..)| *found == message(kind)).cloned().collect()
}

/// Takes out the numbers by which `nft` refers to the sets of its batch besides their names, and says of source ports
/// what the kernel then says: that there is an address.
fn as_the_kernel_lists(shapes: &mut [Shape]) {
    for shape in shapes {
        let Shape::Nest(_, inner) = shape else { continue };
        match &mut inner[..] {
            [Shape::Leaf(1, name), Shape::Nest(2, data)] if name == b"lookup\0" => {
                data.retain(|attribute| !matches!(attribute, Shape::Leaf(4, _)));
            }
            [Shape::Leaf(1, name), Shape::Nest(2, data)] if name == b"nat\0" => {
                for attribute in data {
                    if let Shape::Leaf(7, flags) = attribute {
                        flags[3] |= 1;
                    }
                }
            }
            inner => as_the_kernel_lists(inner),
        }
    }
}

/// Puts into a rule of the chains `claims` and `to_server` what `ruleset.nft` says that words stand for there.
fn as_we_can_say(shapes: &mut [Shape]) {
    let name = |name: &str| Shape::Leaf(1, [name.as_bytes(), &[0]].concat());
    let number = |kind, number: u32| Shape::Leaf(kind, number.to_be_bytes().to_vec());
    // The header, the offset and the length of what stands there, and the first two of what it stands for.
    let (words, meant) =
        match shapes.iter().find_map(|shape| if let Shape::Leaf(2, chain) = shape { Some(&chain[..]) } else { None }) {
            Some(b"claims\0") => ([1, 24, 16], [2, 8]),
            Some(b"to_server\0") => ([0, 6, 6], [2, 36]),
            _ => return,
        };
    let Some(Shape::Nest(4, expressions)) = shapes.iter_mut().find(|shape| matches!(shape, Shape::Nest(4, _))) else {
        return;
    };
    for expression in expressions {
        let Shape::Nest(1, parts) = expression else { panic!("{expression:?}") };
        let [what, Shape::Nest(2, data)] = &mut parts[..] else { continue };
        if *what == name("payload") && data[1..] == [number(2, words[0]), number(3, words[1]), number(4, words[2])] {
            data[1..3].clone_from_slice(&[number(2, meant[0]), number(3, meant[1])]);
        }
    }
}

/// Takes out a set's number, and of what `nft` notes beside a set how it found the types, which it can do without.
fn without_types((kind, flags, family, shapes): Sent) -> Sent {
    let plain = shapes.into_iter().filter_map(|shape| match shape {
        Shape::Leaf(10, _) => None,
        Shape::Leaf(13, notes) => Some(Shape::Leaf(13, notes_without_types(&notes))),
        other => Some(other),
    });
    (kind, flags, family, plain.collect())
}

fn notes_without_types(mut notes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    while let [kind, length, ..] = *notes {
        let (note, rest) = notes.split_at(2 + usize::from(length));
        if !matches!(kind, 3 | 4) {
            kept.extend(note);
        }
        notes = rest;
    }
    kept
}

/// The elements of all messages, each with its table's family and its set's name; without the end in front of all ranges.
fn elements(all: &[Sent]) -> Vec<(u8, Shape, Vec<Shape>)> {
    let mut elements = Vec::new();
    for (_, _, family, shapes) in all {
        let set = shapes[1].clone();
        let Some(Shape::Nest(NFTA_LIST_ELEMENTS, list)) = shapes.last() else { panic!("{shapes:?}") };
        for member in list {
            let Shape::Nest(_, member) = member else { panic!("{member:?}") };
            elements.push((*family, set.clone(), member.clone()));
        }
    }
    let first = |key: &[Shape]| matches!(key, [Shape::Leaf(1, key)] if key.iter().all(|byte| *byte == 0));
    elements.retain(|(.., member)| !matches!(&member[..], [Shape::Leaf(3, _), Shape::Nest(1, key)] if first(key)));
    elements.sort();
    elements
}

fn whole_ruleset() -> Vec<Sent> {
    let mut batch = Batch::begin(1);
    Table::BOTH.into_iter().for_each(|table| table_make(&mut batch, table, MARK));
    ours(batch)
}

/// A recorded element, as the firewall has it.
fn listed(name: &str, set: Set) -> Vec<String> {
    let bytes = Socket::recorded(name);
    let lists = messages(&bytes).filter_map(|message| list_read(&message.unwrap()).unwrap().map(<[u8]>::to_vec));
    let mut found = Vec::new();
    assert!(!elements_read(set, &lists.collect::<Vec<_>>(), &mut found).unwrap(), "all of them are ours");
    found.iter().map(|(network, element)| format!("{network}: {element}")).collect()
}

#[test]
fn tables_chains_and_rules_are_sent_as_nft_sends_them() {
    let (ours, mut nfts) = (whole_ruleset(), nfts("nft-ruleset"));
    nfts.iter_mut().for_each(|(.., shapes)| as_the_kernel_lists(shapes));
    let rules_of_bridges = nfts
        .iter_mut()
        .filter(|(kind, _, family, _)| (*kind, *family) == (message(NFT_MSG_NEWRULE), Table::Bridge as u8));
    rules_of_bridges.for_each(|(.., shapes)| as_we_can_say(shapes));
    for kind in [batch::NFT_MSG_NEWTABLE, batch::NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE] {
        let (ours, nfts) = (of_kind(&ours, kind), of_kind(&nfts, kind));
        assert_eq!(ours.len(), nfts.len());
        for (ours, nfts) in ours.iter().zip(&nfts) {
            assert_eq!(ours, nfts);
        }
    }
}

#[test]
fn sets_are_sent_as_nft_sends_them() {
    let plain = |all: &[Sent]| of_kind(all, NFT_MSG_NEWSET).into_iter().map(without_types).collect::<Vec<_>>();
    let (ours, nfts) = (plain(&whole_ruleset()), plain(&nfts("nft-ruleset")));
    assert_eq!(ours.len(), 24);
    assert_eq!(ours, nfts);
}

#[test]
fn elements_are_sent_as_nft_sends_them() {
    let nfts = of_kind(&nfts("nft-ruleset"), NFT_MSG_NEWSETELEM);
    let found: Vec<(NetworkName, Element)> = example();
    let mut batch = Batch::begin(1);
    found.iter().for_each(|(network, element)| element_new(&mut batch, network, element));
    let ours = ours(batch);
    assert!(ours.iter().all(|(_, flags, ..)| flags & !NLM_F_EXCL == nfts[0].1));
    assert_eq!(elements(&ours), elements(&nfts));
}

/// An element of each kind, with those that are in the recordings.
fn example() -> Vec<(NetworkName, Element)> {
    let link = |name: &str| name.parse::<crate::model::IfName>().unwrap();
    let subnet = |text: &str| {
        let (ip, prefix) = text.split_once('/').unwrap();
        crate::model::Subnet::new(ip.parse().unwrap(), prefix.parse().unwrap())
    };
    let forward = |protocol, address: &str, port, to: &str| {
        let (address, to) = (address.parse().ok(), to.parse().unwrap());
        Element::Forward(crate::model::PortForward { protocol, address, port, to })
    };
    let mut all = Vec::new();
    let mut of = |network: &str, elements: Vec<Element>| {
        all.extend(elements.into_iter().map(|element| (network.parse::<NetworkName>().unwrap(), element)));
    };
    use crate::model::Protocol::{Tcp, Udp};
    let own = |name: &str| vec![Element::Bridge(link(name)), Element::Same(link(name))];
    let behind = |name: &str, text: &str| Element::Subnet(link(name), subnet(text));
    ["lab", "cell", "office", "dmz"]
        .into_iter()
        .zip(["n0", "i0", "h0", "r0"])
        .for_each(|(net, link)| of(net, own(link)));
    of("lan", vec![Element::Same(link("br0"))]);
    of("cell", vec![Element::Isolated(link("i0"))]);
    of("office", vec![Element::Isolated(link("h0")), Element::Host(link("h0"))]);
    of("office", vec![behind("h0", "10.2.0.0/24"), behind("h0", "fd57:2::/64")]);
    of("dmz", vec![Element::Host(link("r0")), behind("r0", "10.3.0.0/28"), behind("r0", "2001:db8:3::/64")]);
    of("lab", vec![Element::Host(link("n0")), Element::Nat(link("n0"))]);
    of("lab", vec![Element::Peer(link("n0"), link("r0")), Element::Peer(link("r0"), link("n0"))]);
    of("lab", vec![behind("n0", "10.1.0.0/24"), behind("n0", "fd57:1::/64")]);
    of("lab", ["10.1.0.0/24", "10.1.1.0/24", "fd57:1::/64"].map(|text| Element::Masquerade(subnet(text))).to_vec());
    of("lab", vec![Element::Source(subnet("10.1.2.0/24"), "192.0.2.1".parse().unwrap())]);
    of("lab", vec![Element::Source(subnet("fd57:1:2::/64"), "2001:db8::1".parse().unwrap())]);
    of("lab", vec![forward(Tcp, "", 8080, "10.1.0.10:80"), forward(Udp, "", 8053, "10.1.0.10:53")]);
    of("lab", vec![forward(Tcp, "", 8080, "[fd57:1::10]:80"), forward(Tcp, "127.0.0.1", 2222, "10.1.0.10:22")]);
    of("lab", vec![forward(Tcp, "192.0.2.1", 443, "10.1.0.11:443")]);
    of("lab", vec![forward(Tcp, "2001:db8::1", 443, "[fd57:1::11]:443")]);
    let claimed = |ip: &str| Element::Claimed(link("n0"), ip.parse().unwrap());
    of("lab", ["10.1.0.1", "10.1.0.10", "fe80::1"].map(claimed).to_vec());
    of("lab", [4001, 4002].map(|number| Element::Guarded(number, link("n0"))).to_vec());
    let mac = |number, mac: &str| Element::GuardMac(number, mac.parse().unwrap());
    of("lab", vec![mac(4001, "52:54:00:12:34:57"), mac(4002, "52:54:00:12:34:58")]);
    of("lab", [true, false].map(|ipv4| Element::Known { link: 4001, ipv4 }).to_vec());
    of("lab", ["10.1.0.10", "fd57:1::10"].map(|ip| Element::GuardAddress(4001, ip.parse().unwrap())).to_vec());
    all
}

#[test]
fn removals_are_sent_as_nft_sends_them() {
    let all = example();
    let removed = all.iter().map(|(_, element)| element).filter(|element| {
        ["10.1.1.0/24 goes out as the host", "10.1.0.0/24 is behind n0", "forward tcp/8080 to 10.1.0.10:80"]
            .contains(&element.to_string().as_str())
    });
    let mut batch = Batch::begin(1);
    removed.for_each(|element| element_delete(&mut batch, element));
    let ours = ours(batch);
    let nfts = nfts("nft-delete");
    let deleted = of_kind(&nfts, batch::NFT_MSG_DELSETELEM);
    assert_eq!((ours.len(), deleted.len()), (3, 3));
    // nft names the network of what it looked up, which does not matter.
    let mut nfts_elements = elements(&deleted);
    nfts_elements.iter_mut().for_each(|(.., one)| one.retain(|attribute| !matches!(attribute, Shape::Leaf(6, _))));
    assert_eq!(elements(&ours), nfts_elements);
    let mut batch = Batch::begin(1);
    table_delete(&mut batch, Table::Bridge);
    assert_eq!(self::ours(batch), of_kind(&nfts, batch::NFT_MSG_DELTABLE));
}

#[test]
fn a_batch_begins_with_the_generation_and_its_last_change_asks_for_an_answer() {
    let bytes = Socket::sent_by(|socket| {
        let mut batch = Batch::begin(0x0102_0304);
        table_delete(&mut batch, Table::Inet);
        table_delete(&mut batch, Table::Bridge);
        batch.finish().send(socket)
    });
    let all: Vec<_> = messages(&bytes).map(Result::unwrap).collect();
    let heads: Vec<_> = all.iter().map(|message| (message.kind, message.flags, message.sequence)).collect();
    assert_eq!(heads, [(16, 1, 1), (0x0a02, 1, 2), (0x0a02, 5, 3), (17, 1, 4)]);
    assert_eq!(all[0].payload, [0, 0, 0, 10, 8, 0, 1, 0, 1, 2, 3, 4], "for nf_tables, of this generation");
    assert_eq!(all[3].payload, [0, 0, 0, 10]);
}

#[test]
fn elements_are_read_as_they_were_written() {
    let mut net4 = listed("elements-net4", Set::Net4);
    net4.sort();
    assert_eq!(
        net4,
        ["dmz: 10.3.0.0/28 is behind r0", "lab: 10.1.0.0/24 is behind n0", "office: 10.2.0.0/24 is behind h0"]
    );
    let masquerade = ["lab: 10.1.0.0/24 goes out as the host", "lab: 10.1.1.0/24 goes out as the host"];
    assert_eq!(listed("elements-masq4", Set::Masquerade4), masquerade);
    assert_eq!(listed("elements-snat6", Set::Source6), ["lab: fd57:1:2::/64 goes out as 2001:db8::1"]);
    let mut forwards = listed("elements-fwda4", Set::ForwardAddress4);
    forwards.sort();
    let first = "lab: forward tcp/127.0.0.1:2222 to 10.1.0.10:22";
    assert_eq!(forwards, [first, "lab: forward tcp/192.0.2.1:443 to 10.1.0.11:443"]);
    let mut guards = listed("elements-guard", Set::Guarded);
    guards.sort();
    assert_eq!(guards, [4001, 4002].map(|link| format!("lab: link number {link} is guarded as a port of n0")));
    let mut macs = listed("elements-mac", Set::Mac);
    macs.sort();
    let of_4001 = "lab: link number 4001 may send from 52:54:00:12:34:57";
    assert_eq!(macs, [of_4001, "lab: link number 4002 may send from 52:54:00:12:34:58"]);
    assert_eq!(listed("elements-own6", Set::Own6), ["lab: fe80::1 has its place behind n0"]);
    assert_eq!(listed("elements-addr4", Set::Addresses4), ["lab: link number 4001 may send from 10.1.0.10"]);
}

#[test]
fn a_generation_is_a_number() {
    let bytes = Socket::recorded("generation");
    let generation = generation_read(&messages(&bytes).next().unwrap().unwrap()).unwrap();
    assert!((1..100).contains(&generation), "{generation}");
}

#[test]
fn chains_and_rules_of_others() {
    let bytes = Socket::recorded("chains");
    let chains = messages(&bytes).filter_map(|message| chain_read(&message.unwrap()).unwrap());
    let mut chains: Vec<_> = chains.map(|chain| (chain.barrier.to_string(), chain.policy_drops)).collect();
    chains.sort();
    let forward = |family: &str| format!("{family} filter FORWARD");
    assert_eq!(chains, [("inet wall c".into(), false), (forward("ip"), true), (forward("ip6"), false)]);
    let verdicts = |name| {
        let bytes = Socket::recorded(name);
        let rules = messages(&bytes).map(Result::unwrap).filter(|one| one.kind == message(NFT_MSG_NEWRULE));
        rules.map(|rule| rule_drops_all(&rule).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(verdicts("rules-reject"), [false, true]);
    assert_eq!(verdicts("rules-reject-iptables"), [true]);
}

#[test]
fn spoilt_answers_are_errors_or_values() {
    for (name, set) in [
        ("elements-net4", Set::Net4),
        ("elements-masq4", Set::Masquerade4),
        ("elements-snat6", Set::Source6),
        ("elements-fwda4", Set::ForwardAddress4),
        ("elements-guard", Set::Guarded),
        ("elements-mac", Set::Mac),
        ("elements-own6", Set::Own6),
        ("elements-addr4", Set::Addresses4),
    ] {
        Socket::read_spoilt(name, |message| {
            let list = list_read(message).map_err(malformed)?.unwrap_or_default().to_vec();
            elements_read(set, &[list], &mut Vec::new()).map_err(malformed)
        });
    }
    Socket::read_spoilt("generation", |message| generation_read(message).map_err(malformed));
    Socket::read_spoilt("chains", |message| chain_read(message).map(drop).map_err(malformed));
    for name in ["rules-reject", "rules-reject-iptables"] {
        Socket::read_spoilt(name, |message| rule_drops_all(message).map_err(malformed));
    }
}
