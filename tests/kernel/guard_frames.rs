//! Frames that a guest may send, and those that it may not.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::guard::{ANY, FAR, KNOWN};

/// How many bytes at a frame's end no other frame has.
pub const MARKED: usize = 8;

/// A frame.
pub struct Frame {
    pub what: &'static str,
    /// The port.
    pub from: &'static str,
    pub passes: bool,
    /// The one that is sent behind each other.
    pub is_last: bool,
    pub bytes: Vec<u8>,
}

const EVERYBODY: [u8; 6] = [0xff; 6];
const IP: u16 = 0x0800;
const ARP: u16 = 0x0806;
const RARP: u16 = 0x8035;
const IP6: u16 = 0x86dd;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;
const HOP_BY_HOP: u8 = 0;
const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;

fn ether(to: [u8; 6], from: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), payload].concat()
}

fn v4(text: &str) -> [u8; 4] {
    text.parse::<Ipv4Addr>().unwrap().octets()
}

fn v6(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().unwrap().octets()
}

/// An IPv4 packet with options, its place among fragments, and a total length that is this much longer than it is.
fn packet4(from: &str, (options, place, longer): (&[u8], u16, u16), protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let length = u16::try_from(header + payload.len()).unwrap() + longer;
    let words = u8::try_from(header / 4).unwrap();
    let mut packet = vec![0x40 | words, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(place.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(v4(from));
    packet.extend([255; 4]);
    packet.extend(options);
    packet.extend(payload);
    packet
}

fn ip4(from: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    packet4(from, (&[], 0, 0), protocol, payload)
}

fn ip6(from: &str, next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [0x60, 0, 0, 0, length[0], length[1], next, 255];
    [&head[..], &v6(from), &v6("ff02::1"), payload].concat()
}

/// An extension header of options, which fills eight bytes and more: as many times eight as this says.
fn options(next: u8, more: u8) -> [u8; 8] {
    [next, more, 1, 4, 0, 0, 0, 0]
}

/// A fragment's header.
fn fragment(next: u8, offset: u16, more: bool) -> [u8; 8] {
    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
    [next, 0, high, low, 0, 0, 0, 7]
}

fn udp(from: u16, to: u16) -> Vec<u8> {
    [from.to_be_bytes(), to.to_be_bytes(), [0, 16], [0, 0]].concat().into_iter().chain([0; 8]).collect()
}

/// A request of DHCP for an address of this kind.
fn bootp(kind: [u8; 2], of: [u8; 6]) -> Vec<u8> {
    [&[0, 68, 0, 67, 0, 244, 0, 0][..], &[1], &kind, &[0; 25], &of, &[0; 202]].concat()
}

/// One for the address of a MAC.
fn asks(mac: [u8; 6]) -> Vec<u8> {
    bootp([1, 6], mac)
}

/// A neighbour's message: its type, its target, and an option.
fn nd(kind: u8, target: &str) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0x20, 0, 0, 0][..], &v6(target), &[2, 1, 0, 0, 0, 0, 0, 0]].concat()
}

fn icmp(kind: u8) -> Vec<u8> {
    vec![kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// Who asks for, or answers with (1, 2), an address, for whom.
fn arp(number: u8, mac: [u8; 6], from: &str, to: &str) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, number][..], &mac, &v4(from), &[0; 6], &v4(to)].concat()
}

/// All frames, those of a port together.
pub fn all_frames() -> Vec<Frame> {
    let mut all = Vec::new();
    let mut add = |from: &'static str, passes: bool, what: &'static str, mut bytes: Vec<u8>| {
        let number = u16::try_from(all.len()).unwrap().to_be_bytes();
        // What a frame has behind its packet is padding.
        bytes.extend([b'f', b'r', b'a', b'm', b'e', b'-', number[0], number[1]]);
        all.push(Frame { what, from, passes, is_last: what == "the last", bytes });
    };
    const PASSES: bool = true;
    const STAYS: bool = false;
    known_frames(&mut |passes, what, bytes| add("known", passes, what, bytes), PASSES, STAYS);
    any_frames(&mut |passes, what, bytes| add("any", passes, what, bytes), PASSES, STAYS);
    let far = |kind, payload: Vec<u8>| ether(EVERYBODY, FAR, kind, &payload);
    add("far", PASSES, "an address that is another's elsewhere", far(IP, ip4("10.1.0.1", UDP, &udp(9, 9))));
    add("far", PASSES, "an answer for such a one", far(ARP, arp(2, FAR, "10.1.0.1", "10.1.0.2")));
    add("far", PASSES, "an advertisement of such a one", far(IP6, ip6("fe80::1", ICMP6, &nd(136, "fd57:1::1"))));
    add("far", STAYS, "what a DHCP server says", far(IP, ip4("10.1.0.1", UDP, &udp(67, 68))));
    add("far", PASSES, "the last", far(IP, ip4("10.1.0.1", UDP, &udp(1, 1))));
    all
}

type Add<'a> = dyn FnMut(bool, &'static str, Vec<u8>) + 'a;

/// Those of a guest that has 10.1.0.10 and fd57:1::10, and no other address.
fn known_frames(add: &mut Add<'_>, passes: bool, stays: bool) {
    let own = |kind, payload: Vec<u8>| ether(EVERYBODY, KNOWN, kind, &payload);
    let (ip, ip6_own) = ("10.1.0.10", "fd57:1::10");
    // Ethernet.
    add(stays, "another's MAC", ether(EVERYBODY, ANY, IP, &ip4(ip, UDP, &udp(9, 9))));
    add(stays, "a group's MAC", ether(EVERYBODY, [0x33, 0x33, 0, 0, 0, 1], IP, &ip4(ip, UDP, &udp(9, 9))));
    let tagged = |tags: &[u16], payload: Vec<u8>| {
        let tags: Vec<u8> = tags[1..].iter().flat_map(|tag| [[0, 1], tag.to_be_bytes()].concat()).collect();
        [tags, payload].concat()
    };
    add(stays, "a VLAN's frame", own(0x8100, tagged(&[0x8100, IP], ip4(ip, UDP, &udp(9, 9)))));
    add(stays, "a VLAN's ARP", own(0x8100, tagged(&[0x8100, ARP], arp(1, KNOWN, "10.1.0.1", "10.1.0.9"))));
    add(stays, "a frame of two VLANs", own(0x88a8, tagged(&[0x88a8, 0x8100, IP], ip4(ip, UDP, &udp(9, 9)))));
    add(stays, "a frame of a VLAN of the old kind", own(0x9100, tagged(&[0x9100, IP], ip4(ip, UDP, &udp(9, 9)))));
    add(stays, "a frame that tells its length", own(38, [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &[0; 30]].concat()));
    for (last, what) in [(0, "a frame to the bridges' group"), (14, "one to LLDP's"), (15, "one to the last of these")]
    {
        add(stays, what, ether([1, 0x80, 0xc2, 0, 0, last], KNOWN, IP, &ip4(ip, UDP, &udp(9, 9))));
    }
    add(passes, "one to another group", ether([1, 0x80, 0xc2, 0, 0, 16], KNOWN, IP, &ip4(ip, UDP, &udp(9, 9))));
    let stp = [&[0x42, 0x42, 3][..], &[0; 35]].concat();
    add(stays, "STP", ether([1, 0x80, 0xc2, 0, 0, 0], KNOWN, 38, &stp));
    add(stays, "RARP", own(RARP, arp(3, KNOWN, "0.0.0.0", "0.0.0.0")));
    // ARP.
    add(passes, "who asks for another", own(ARP, arp(1, KNOWN, ip, "10.1.0.1")));
    add(passes, "an answer", own(ARP, arp(2, KNOWN, ip, "10.1.0.1")));
    add(passes, "who asks whether its own address is free", own(ARP, arp(1, KNOWN, "0.0.0.0", ip)));
    add(stays, "who asks whether nobody's address is free", own(ARP, arp(1, KNOWN, "0.0.0.0", "10.1.0.77")));
    add(stays, "who asks whether another's address is free", own(ARP, arp(1, KNOWN, "0.0.0.0", "10.1.0.1")));
    add(stays, "an answer for the host", own(ARP, arp(2, KNOWN, "10.1.0.1", ip)));
    add(stays, "who asks in the host's name", own(ARP, arp(1, KNOWN, "10.1.0.1", "10.1.0.9")));
    add(stays, "an answer for nobody's address", own(ARP, arp(2, KNOWN, "10.1.0.77", "10.1.0.1")));
    add(stays, "an answer with another's MAC in it", own(ARP, arp(2, ANY, ip, "10.1.0.1")));
    let odd = |at: usize, byte: u8| {
        let mut bytes = arp(2, KNOWN, ip, "10.1.0.1");
        bytes[at] = byte;
        bytes
    };
    add(stays, "ARP for another kind of Ethernet", own(ARP, odd(1, 6)));
    add(stays, "ARP for what is not IPv4", own(ARP, odd(3, 1)));
    add(stays, "ARP with longer MACs", own(ARP, odd(4, 8)));
    // IPv4.
    add(passes, "a datagram", own(IP, ip4(ip, UDP, &udp(9, 9))));
    add(passes, "an echo request", own(IP, ip4(ip, ICMP, &icmp(8))));
    add(passes, "who asks for an address", own(IP, ip4("0.0.0.0", UDP, &asks(KNOWN))));
    add(passes, "who renews it", own(IP, ip4(ip, UDP, &asks(KNOWN))));
    add(stays, "who renews one that is not theirs", own(IP, ip4("10.1.0.77", UDP, &asks(KNOWN))));
    add(stays, "who asks for another's address", own(IP, ip4("0.0.0.0", UDP, &asks(ANY))));
    add(stays, "who renews another's address", own(IP, ip4(ip, UDP, &asks(ANY))));
    add(stays, "the same behind options", own(IP, packet4(ip, (&[1; 8], 0, 0), UDP, &asks(ANY))));
    add(stays, "who asks as what is not Ethernet", own(IP, ip4("0.0.0.0", UDP, &bootp([6, 6], KNOWN))));
    add(stays, "who asks with a longer MAC", own(IP, ip4("0.0.0.0", UDP, &bootp([1, 16], KNOWN))));
    add(stays, "a request that ends before the MAC", own(IP, ip4("0.0.0.0", UDP, &udp(68, 67))));
    add(stays, "its first fragment", own(IP, packet4("0.0.0.0", (&[], 0x2000, 0), UDP, &asks(KNOWN)[..32])));
    add(passes, "a fragment that has the MAC", own(IP, packet4("0.0.0.0", (&[], 0x2000, 0), UDP, &asks(KNOWN)[..48])));
    add(passes, "a later fragment with a server's port", own(IP, packet4(ip, (&[], 100, 0), UDP, &udp(68, 67))));
    add(stays, "what else comes from nowhere", own(IP, ip4("0.0.0.0", UDP, &udp(68, 69))));
    add(stays, "the host's address", own(IP, ip4("10.1.0.1", UDP, &udp(9, 9))));
    add(stays, "nobody's address", own(IP, ip4("10.1.0.77", UDP, &udp(9, 9))));
    add(stays, "what a DHCP server says", own(IP, ip4(ip, UDP, &udp(67, 68))));
    add(stays, "what a DHCP server says by another port", own(IP, ip4(ip, UDP, &udp(9, 68))));
    add(stays, "the same behind options", own(IP, packet4(ip, (&[1; 8], 0, 0), UDP, &udp(67, 68))));
    add(stays, "its first fragment", own(IP, packet4(ip, (&[], 0x2000, 0), UDP, &udp(67, 68))));
    add(passes, "a later fragment", own(IP, packet4(ip, (&[], 100, 0), UDP, &udp(67, 68))));
    add(stays, "a later fragment from another's address", own(IP, packet4("10.1.0.1", (&[], 100, 0), UDP, &udp(9, 9))));
    add(stays, "IPv4's router advertisement", own(IP, ip4(ip, ICMP, &icmp(9))));
    add(stays, "a length that is too long", own(IP, packet4(ip, (&[], 0, 500), UDP, &udp(67, 68))));
    let mut short = ip4(ip, UDP, &udp(67, 68));
    short[0] = 0x44;
    add(stays, "a header that is too short", own(IP, short));
    // IPv6.
    add(passes, "a datagram of IPv6", own(IP6, ip6(ip6_own, UDP, &udp(9, 9))));
    add(passes, "an address of the link", own(IP6, ip6("fe80::10", UDP, &udp(9, 9))));
    add(
        passes,
        "a report from nowhere",
        own(IP6, ip6("::", HOP_BY_HOP, &[&options(ICMP6, 0)[..], &icmp(143)].concat())),
    );
    add(passes, "an echo request of IPv6", own(IP6, ip6(ip6_own, ICMP6, &icmp(128))));
    add(passes, "who asks for routers", own(IP6, ip6("fe80::10", ICMP6, &icmp(133))));
    add(stays, "the host's address of the link", own(IP6, ip6("fe80::1", UDP, &udp(9, 9))));
    add(stays, "the host's address of IPv6", own(IP6, ip6("fd57:1::1", UDP, &udp(9, 9))));
    add(stays, "nobody's address of IPv6", own(IP6, ip6("fd57:1::77", UDP, &udp(9, 9))));
    add(stays, "what a DHCPv6 server says", own(IP6, ip6("fe80::10", UDP, &udp(547, 546))));
    let behind = |next: u8, payload: &[u8]| {
        let headers = [options(OPTIONS, 0), options(next, 0)].concat();
        ip6("fe80::10", HOP_BY_HOP, &[&headers[..], payload].concat())
    };
    add(stays, "the same behind headers", own(IP6, behind(UDP, &udp(547, 546))));
    add(stays, "headers that are longer than the packet", own(IP6, ip6(ip6_own, OPTIONS, &options(UDP, 255))));
    add(stays, "a router's advertisement", own(IP6, ip6("fe80::10", ICMP6, &icmp(134))));
    add(stays, "the same behind its headers", own(IP6, behind(ICMP6, &icmp(134))));
    add(stays, "a redirect", own(IP6, ip6("fe80::10", ICMP6, &nd(137, "fd57:1::9"))));
    let piece = |next: u8, offset: u16, payload: &[u8]| {
        ip6("fe80::10", FRAGMENT, &[&fragment(next, offset, true)[..], payload].concat())
    };
    add(stays, "a router's advertisement's first fragment", own(IP6, piece(ICMP6, 0, &icmp(134))));
    add(stays, "a fragment that hides what is next", own(IP6, piece(OPTIONS, 0, &options(ICMP6, 255))));
    let padded = [&options(UDP, 1)[..], &[1, 6, 0, 0, 0, 0, 0, 0], &udp(9, 9)].concat();
    let mut padded = piece(OPTIONS, 0, &padded);
    // The packet ends within the options: what is behind them is the frame's.
    padded[5] = 16;
    add(stays, "a fragment whose padding is not what comes next", own(IP6, padded));
    add(passes, "a datagram's fragments", own(IP6, piece(UDP, 0, &udp(9, 9))));
    add(passes, "TCP's fragments", own(IP6, piece(6, 0, &udp(9, 9))));
    add(passes, "ESP's fragments", own(IP6, piece(50, 0, &udp(9, 9))));
    let mut label = piece(UDP, 2, &udp(9, 9));
    label[2..4].copy_from_slice(&546_u16.to_be_bytes());
    // A kernel that takes the packet's own first bytes for those of UDP sees a port there.
    add(passes, "a later fragment whose flow has the number of a port", own(IP6, label));
    add(stays, "a fragment that is all headers", own(IP6, piece(OPTIONS, 2, &options(ICMP6, 0))));
    add(passes, "an echo request's fragments", own(IP6, piece(ICMP6, 0, &icmp(128))));
    add(passes, "the rest of them", own(IP6, piece(ICMP6, 2, &icmp(134))));
    add(stays, "an advertisement in fragments", own(IP6, piece(ICMP6, 0, &nd(136, ip6_own))));
    let advert = |target| own(IP6, ip6("fe80::10", ICMP6, &nd(136, target)));
    add(passes, "an advertisement", advert(ip6_own));
    add(passes, "an advertisement of the link's address", advert("fe80::10"));
    add(stays, "an advertisement for the host", advert("fd57:1::1"));
    add(stays, "an advertisement for the host's address of the link", advert("fe80::1"));
    add(stays, "an advertisement for nobody's address", advert("fd57:1::77"));
    let solicit = |from, target| own(IP6, ip6(from, ICMP6, &nd(135, target)));
    add(passes, "who asks for the host", solicit(ip6_own, "fd57:1::1"));
    add(passes, "who asks whether its own address of IPv6 is free", solicit("::", ip6_own));
    add(stays, "who asks whether the host's is free", solicit("::", "fd57:1::1"));
    add(stays, "who asks whether nobody's is free", solicit("::", "fd57:1::77"));
    add(passes, "the last", own(IP, ip4(ip, UDP, &udp(1, 1))));
}

/// Those of a guest of which no address is known.
fn any_frames(add: &mut Add<'_>, passes: bool, stays: bool) {
    let own = |kind, payload: Vec<u8>| ether(EVERYBODY, ANY, kind, &payload);
    add(passes, "any address", own(IP, ip4("10.1.0.77", UDP, &udp(9, 9))));
    add(passes, "what comes from nowhere", own(IP, ip4("0.0.0.0", UDP, &udp(68, 69))));
    add(passes, "who asks for an address", own(IP, ip4("0.0.0.0", UDP, &asks(ANY))));
    add(passes, "who renews any", own(IP, ip4("10.1.0.77", UDP, &asks(ANY))));
    add(stays, "who asks for another's address", own(IP, ip4("0.0.0.0", UDP, &asks(KNOWN))));
    add(stays, "the host's address", own(IP, ip4("10.1.0.1", UDP, &udp(9, 9))));
    add(stays, "another guest's address", own(IP, ip4("10.1.0.10", UDP, &udp(9, 9))));
    add(stays, "what a DHCP server says", own(IP, ip4("10.1.0.77", UDP, &udp(67, 68))));
    add(passes, "an answer for any address", own(ARP, arp(2, ANY, "10.1.0.77", "10.1.0.1")));
    add(stays, "an answer for another guest", own(ARP, arp(2, ANY, "10.1.0.10", "10.1.0.1")));
    add(stays, "who asks whether another guest's address is free", own(ARP, arp(1, ANY, "0.0.0.0", "10.1.0.10")));
    // Its bytes end within the sender's address, and a guest's network card would fill the rest with zeroes.
    add(stays, "ARP that is cut", own(ARP, arp(2, ANY, "10.1.0.0", "0.0.0.0")[..16].to_vec()));
    add(passes, "any address of IPv6", own(IP6, ip6("fd57:1::77", UDP, &udp(9, 9))));
    add(stays, "another guest's address of IPv6", own(IP6, ip6("fd57:1::10", UDP, &udp(9, 9))));
    add(stays, "an advertisement for another guest", own(IP6, ip6("fe80::77", ICMP6, &nd(136, "fd57:1::10"))));
    add(passes, "an advertisement for any address", own(IP6, ip6("fe80::77", ICMP6, &nd(136, "fd57:1::77"))));
    add(stays, "who asks whether another guest's is free", own(IP6, ip6("::", ICMP6, &nd(135, "fd57:1::10"))));
    add(stays, "a router's advertisement", own(IP6, ip6("fe80::77", ICMP6, &icmp(134))));
    add(passes, "the last", own(IP, ip4("10.1.0.77", UDP, &udp(1, 1))));
}
