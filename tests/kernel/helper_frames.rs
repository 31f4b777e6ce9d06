//! What whoever holds a lent tap can send: what passes, and what nobody else hears.

use std::collections::BTreeSet;

use crate::caller::Lent;
use crate::frames::{BROADCAST, Ear, Mac, about, arp, ethernet, icmp6, ipv4, ipv6, mac, tagged, tags, udp};
use crate::lending::{Lending, MODES, guest_mac, loan};
use crate::picture::json;

const IP4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IP6: u16 = 0x86dd;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// The number of the frame that is heard last.
const LAST: usize = 99_999;

/// Whose frames get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    /// Any guest's.
    Always,
    /// Those of a guest whose addresses nobody knows: it may have any that is nobody's.
    OfUnknown,
    /// The same, where nobody knows either whose addresses are whose, as on a LAN.
    OfUnknownOnLan,
    /// Nobody's.
    Never,
}
use Passes::{Always, Never, OfUnknown, OfUnknownOnLan};

/// A frame of a guest, and what it tries.
struct Case {
    what: &'static str,
    passes: Passes,
    frame: Vec<u8>,
}

/// All that the guest with this MAC tries, whose own addresses end in `number`; the network's are 10.1.0.1, fd57::1 and
/// `router`, and another guest's those that end in 11.
fn cases(me: Mac, number: u8, bridge: Mac, router: &str) -> Vec<Case> {
    let (own, own6) = (&*format!("10.1.0.{number}"), &*format!("fd57::{number}"));
    let mut cases = Vec::new();
    let mut case = |what, passes, frame: Vec<u8>| cases.push(Case { what, passes, frame });
    let other = guest_mac(1);
    let own_link = "fe80::5054:ff:fe12:3450";
    let plain = ipv4(UDP, own, "10.1.0.255", &udp(9, 9, b"x"));
    let plain6 = ipv6(UDP, own6, "ff02::1", &udp(9, 9, b"x"));
    let greeting = arp(1, (me, own), "10.1.0.1");

    case("its own packet", Always, ethernet(me, IP4, &plain));
    case("its own packet over IPv6", Always, ethernet(me, IP6, &plain6));
    case("its own question", Always, ethernet(me, ARP, &greeting));
    case("its own answer", Always, ethernet(me, ARP, &arp(2, (me, own), "10.1.0.1")));
    case("it looks whether its address is free", Always, ethernet(me, ARP, &arp(1, (me, "0.0.0.0"), own)));
    // Of BOOTP no more than whose address is asked for: a server goes by that.
    let asks = [&[1, 1, 6, 0][..], &[0; 24], &me, &[0; 202]].concat();
    let discover = ipv4(UDP, "0.0.0.0", "255.255.255.255", &udp(68, 67, &asks));
    case("it asks for an address", Always, ethernet(me, IP4, &discover));
    let solicit = ipv6(UDP, own_link, "ff02::1:2", &udp(546, 547, b"x"));
    case("it asks for an address by DHCPv6", Always, ethernet(me, IP6, &solicit));
    let discovery = |from: &str, message: &[u8]| ethernet(me, IP6, &ipv6(ICMP6, from, "ff02::1", message));
    case("it looks for the router", Always, discovery(own_link, &about(135, "fd57::1")));
    case("it asks for routers", Always, discovery(own_link, &icmp6(133, &[0; 4])));
    case("it answers for itself", Always, discovery(own6, &about(136, own6)));
    case("it answers for its own link address", Always, discovery(own_link, &about(136, own_link)));
    case("it looks whether its IPv6 address is free", Always, discovery("::", &about(135, own6)));
    case("it says which groups it hears", Always, discovery("::", &icmp6(143, &[0; 4])));

    // Another's MAC.
    for (what, from) in [
        ("another guest's MAC", other),
        ("the bridge's MAC", bridge),
        ("everybody's MAC", BROADCAST),
        ("no MAC", [0; 6]),
        ("the tap's own MAC", [0xfe, me[1], me[2], me[3], me[4], me[5]]),
    ] {
        case(what, Never, ethernet(from, IP4, &plain));
        case(what, Never, ethernet(from, ARP, &greeting));
        case(what, Never, ethernet(from, IP6, &plain6));
    }

    // ARP.
    case("another's MAC in ARP", Never, ethernet(me, ARP, &arp(2, (other, own), "10.1.0.1")));
    for operation in [1, 2] {
        let says = |ip| ethernet(me, ARP, &arp(operation, (me, ip), ip));
        case("it is the router", OfUnknownOnLan, says("10.1.0.1"));
        case("it is another guest", OfUnknownOnLan, says("10.1.0.11"));
        case("it is a host that nobody knows", OfUnknown, says("10.1.0.99"));
        case("it is the last of all addresses", Never, says("255.255.255.255"));
        let asks = |ip| ethernet(me, ARP, &arp(operation, (me, "0.0.0.0"), ip));
        case("it keeps the router from its address", OfUnknownOnLan, asks("10.1.0.1"));
        case("it keeps another guest from its address", OfUnknownOnLan, asks("10.1.0.11"));
    }
    let mut odd = arp(2, (me, own), "10.1.0.1");
    odd[4] = 8;
    case("ARP of longer MACs, in which all stands elsewhere", Never, ethernet(me, ARP, &odd));
    case("ARP that ends too early", Never, ethernet(me, ARP, &greeting[..12]));
    case("RARP", Never, ethernet(me, 0x8035, &greeting));

    // IPv4.
    let from = |ip| ethernet(me, IP4, &ipv4(UDP, ip, "10.1.0.255", &udp(9, 9, b"x")));
    case("a packet from the router", OfUnknownOnLan, from("10.1.0.1"));
    case("a packet from another guest", OfUnknownOnLan, from("10.1.0.11"));
    case("a packet from a host that nobody knows", OfUnknown, from("10.1.0.99"));
    case("a packet from nowhere", OfUnknown, from("0.0.0.0"));
    for port in [67, 1067] {
        let offer = ipv4(UDP, own, "255.255.255.255", &udp(port, 68, b"x"));
        case("it gives addresses out", Never, ethernet(me, IP4, &offer));
    }
    case("it is a router of IPv4", Never, ethernet(me, IP4, &ipv4(1, own, "224.0.0.1", &[9, 0, 0, 0, 0, 0, 0, 0])));
    let mut headless = plain.clone();
    headless[0] = 0x44;
    case("a header that is too short for what it says", Never, ethernet(me, IP4, &headless));
    let mut long = plain.clone();
    long[0] = 0x4f;
    case("a header that is longer than its packet", Never, ethernet(me, IP4, &long));
    let mut other_version = plain.clone();
    other_version[0] = 0x65;
    case("a packet of another version", Never, ethernet(me, IP4, &other_version));

    // IPv6.
    let from = |ip| ethernet(me, IP6, &ipv6(UDP, ip, "ff02::1", &udp(9, 9, b"x")));
    case("an IPv6 packet from the router", OfUnknownOnLan, from("fd57::1"));
    case("an IPv6 packet from the router's link address", Always, from("fe80::99"));
    case("an IPv6 packet from another guest", OfUnknownOnLan, from("fd57::11"));
    case("an IPv6 packet from a host that nobody knows", OfUnknown, from("fd57::99"));
    for port in [547, 1547] {
        let reply = ipv6(UDP, own_link, "ff02::1", &udp(port, 546, b"x"));
        case("it gives IPv6 addresses out", Never, ethernet(me, IP6, &reply));
    }
    let advertisement = icmp6(134, &[64, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0]);
    case("it is a router", Never, discovery(own_link, &advertisement));
    // Behind an extension header, and in a fragment that holds it.
    let options = [&[ICMP6, 0, 1, 4, 0, 0, 0, 0][..], &advertisement].concat();
    case("it is a router behind options", Never, ethernet(me, IP6, &ipv6(0, own_link, "ff02::1", &options)));
    let two = [&[60, 0, 1, 4, 0, 0, 0, 0, ICMP6, 0, 1, 4, 0, 0, 0, 0][..], &advertisement].concat();
    case("it is a router behind more options", Never, ethernet(me, IP6, &ipv6(0, own_link, "ff02::1", &two)));
    let fragment = [&[ICMP6, 0, 0, 1, 0, 0, 0, 7][..], &advertisement].concat();
    case("it is a router in a fragment", Never, ethernet(me, IP6, &ipv6(44, own_link, "ff02::1", &fragment)));
    case("it sends others elsewhere", Never, discovery(own_link, &icmp6(137, &[0; 36])));
    for (what, target, passes) in [
        ("the router", "fd57::1", OfUnknownOnLan),
        ("another guest", "fd57::11", OfUnknownOnLan),
        ("a host that nobody knows", "fd57::99", OfUnknown),
        ("nobody", "::", OfUnknown),
    ] {
        case(what, passes, discovery(own6, &about(136, target)));
        case(what, passes, discovery(own_link, &about(136, target)));
        case(what, passes, discovery("::", &about(135, target)));
    }
    if !router.is_empty() {
        case("the router's link address", Never, discovery(own_link, &about(136, router)));
        case("the router's link address is taken", Never, discovery("::", &about(135, router)));
        case("it speaks from the router's link address", Never, discovery(router, &icmp6(133, &[0; 4])));
    }

    // What is not for guests.
    for (what, kind) in [
        ("a tag of a VLAN", 0x8100),
        ("a tag of a provider's VLAN", 0x88a8),
        ("LLDP", 0x88cc),
        ("EAPOL", 0x888e),
        ("PPPoE discovery", 0x8863),
        ("PPPoE", 0x8864),
        ("MPLS", 0x8847),
        ("a protocol that nobody knows", 0x88b5),
        ("a length", 38),
    ] {
        case(what, Never, ethernet(me, kind, &[&[0, 1, 8, 0][..], &plain].concat()));
    }
    let spanning = [&[1, 0x80, 0xc2, 0, 0, 0][..], &me, &[0, 38, 0x42, 0x42, 3, 0, 0, 0, 0, 0], &[0; 32]].concat();
    case("the spanning tree protocol", Never, spanning);
    cases
}

/// Which of the cases are not as they should be, by who hears them: the host at the bridge, and another guest.
fn judge(site: &Lending, (one, other): (&Lent, &Lent), cases: &[Case], known: bool) -> Vec<String> {
    let mut host = Ear::at(site.bridge);
    other.drain();
    for (number, case) in cases.iter().enumerate() {
        one.send(&tagged(&case.frame, number));
    }
    one.send(&tagged(&cases[0].frame, LAST));
    let mut heard = BTreeSet::new();
    site.world.must_come_true(|| {
        heard.extend(tags(&other.drain()));
        if heard.contains(&LAST) { Ok(()) } else { Err(format!("{} hears no more than {heard:?}", other.tap)) }
    });
    let at_host = tags(&host.drain());
    assert!(at_host.contains(&LAST), "the host hears no more than {at_host:?}");
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let passes = match case.passes {
            Always => true,
            OfUnknown => !known,
            OfUnknownOnLan => !known && !site.is_ours,
            Never => false,
        };
        for (who, tags) in [("the host", &at_host), ("another guest", &heard)] {
            if tags.contains(&number) != passes {
                wrong.push(format!("{who}: {}, frame {number}: passes is {}", case.what, !passes));
            }
        }
    }
    wrong
}

fn bridge_mac(site: &Lending) -> Mac {
    mac(crate::links::field(site.bridge, "/address").as_str().unwrap())
}

/// The address that the network's routers' advertisements come from, where it has one.
fn router(site: &Lending) -> String {
    let claimed = crate::lending::guards().into_iter().filter(|guard| guard.starts_with("own6: "));
    let found = claimed.filter_map(|guard| Some(guard.split('"').find(|part| part.starts_with("fe80:"))?.to_owned()));
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), usize::from(site.is_ours), "{found:?}");
    found.into_iter().next().unwrap_or_default()
}

/// Where each bridge learned a MAC to be.
fn learned(guest: Mac) -> Vec<String> {
    let text = guest.map(|byte| format!("{byte:02x}")).join(":");
    let entries = json("bridge", "-j fdb show");
    let ports = entries.iter().filter(|entry| entry["mac"] == text.as_str() && entry["master"].is_string());
    ports.map(|entry| entry["ifname"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_guest_that_its_file_describes_is_held_to_its_mac_and_its_addresses() {
    for mode in MODES {
        println!("{mode}");
        let site = Lending::new(mode);
        let one = site.lent("--br=lab --guest=web0");
        let other = site.lent_to_other("--br=lab --guest=web1");
        [&one, &other].into_iter().for_each(|tap| tap.must_forward(&site.world));
        // From now on the bridge knows where it is.
        other.send(&ethernet(guest_mac(1), ARP, &arp(1, (guest_mac(1), "10.1.0.11"), "10.1.0.1")));
        let cases = cases(guest_mac(0), 10, bridge_mac(&site), &router(&site));
        assert_eq!(judge(&site, (&one, &other), &cases, true), [""; 0], "{mode}");
        assert_eq!(learned(guest_mac(1)), ["web1"], "{mode}: where frames for the other guest go");
        assert_eq!(learned(guest_mac(0)), ["web0"], "{mode}");
        assert!(!learned(bridge_mac(&site)).contains(&"web0".to_owned()), "{mode}: where frames for the host go");
    }
}

#[test]
fn a_guest_without_a_file_is_held_to_its_mac_and_takes_nobodys_address() {
    for mode in MODES {
        println!("{mode}");
        let site = Lending::new(mode);
        let one = site.lent("--br=lab");
        let other = site.lent_to_other("--br=lab --guest=web1");
        [&one, &other].into_iter().for_each(|tap| tap.must_forward(&site.world));
        let me = mac(&loan(&one.tap)[1]);
        let cases = cases(me, 20, bridge_mac(&site), &router(&site));
        assert_eq!(judge(&site, (&one, &other), &cases, false), [""; 0], "{mode}");
    }
}

/// The header before a frame asks the kernel to fill in two bytes as the frame leaves, behind all that looked at it, and
/// with what else is in the frame these two can be any. Nothing keeps a guest from that: see SECURITY.md. It reaches guests
/// that let the host fill checksums in, as none with virtio's own does, and not the host.
#[test]
fn what_is_filled_in_late_is_another_guests_to_refuse() {
    let site = Lending::new("nat");
    let one = site.lent("--br=lab --guest=web0");
    let other = site.lent_to_other("--br=lab --guest=web1");
    [&one, &other].into_iter().for_each(|tap| tap.must_forward(&site.world));
    let me = guest_mac(0);
    let mut frame = ethernet(me, ARP, &arp(2, (me, "10.1.0.10"), "10.1.0.11"));
    // From where it is summed up, and where that is written: the last two bytes of whose address it is.
    let (start, place) = (20_u16, 30_u16);
    frame.extend([0, 0]);
    let mut frame = tagged(&frame, 1);
    let summed = frame[usize::from(start)..].chunks(2);
    let sum: u64 = summed.map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let filler = (0xfffe + 0xffff * 100 - sum) % 0xffff;
    frame[42..44].copy_from_slice(&u16::try_from(filler).unwrap().to_be_bytes());
    let ([a, b], [c, d]) = (start.to_le_bytes(), (place - start).to_le_bytes());
    let mut host = Ear::at(site.bridge);
    let mut heard = |fills_in_itself: bool| {
        other.fill_in(fills_in_itself);
        one.send_with([1, 0, 0, 0, 0, 0, a, b, c, d], &frame);
        let mut heard = Vec::new();
        site.world.must_come_true(|| {
            heard.extend(other.drain());
            if tags(&heard).contains(&1) { Ok(()) } else { Err("not heard".to_owned()) }
        });
        let sender = |frames: Vec<Vec<u8>>| {
            let found = frames.into_iter().find(|frame| tags(std::slice::from_ref(frame)).contains(&1)).unwrap();
            found[28..32].to_vec()
        };
        (sender(heard), sender(host.drain()))
    };
    let honest = vec![10, 1, 0, 10];
    assert_eq!(heard(true), (honest.clone(), honest.clone()));
    assert_eq!(heard(false), (vec![10, 1, 0, 1], honest));
}
