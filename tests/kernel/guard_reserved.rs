//! Frames to the groups that no bridge forwards, 01:80:c2:00:00:00 and the fifteen behind it: a bridge learns where they come
//! from and gives them to the host as the port's own, whatever is in them, before its rules see them.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, bind, send, socket};
use vnet::kernel::{Guard, Lender};
use vnet::model::{Element, IfName, Link, Loan, Mac, NetworkName};

use crate::links::{index, link};
use crate::world::{World, output};

const MARK: u32 = 0x1000;
const OWN: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
const OTHER: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];
const LLDP: [u8; 6] = [1, 0x80, 0xc2, 0, 0, 0x0e];

/// An isolated network that is up, on a host with an address elsewhere.
fn world() -> World {
    let world = World::new();
    fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0").unwrap();
    fs::write("/proc/sys/net/ipv4/conf/default/rp_filter", "0").unwrap();
    world.ip("addr add 192.0.2.9/32 dev lo");
    world.network("lab", r#"{"mode": "isolated"}"#);
    world.told("up lab");
    world
}

fn sum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}

fn frame(to: [u8; 6], from: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &from, &kind.to_be_bytes(), payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A datagram to port 5353 of the host's address.
fn datagram(to: [u8; 6]) -> Vec<u8> {
    let mut head = [0x45, 0, 0, 33, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 77, 192, 0, 2, 9];
    let checksum = sum(&head);
    head[10..12].copy_from_slice(&checksum);
    let udp = [&1111_u16.to_be_bytes()[..], &5353_u16.to_be_bytes(), &[0, 13, 0, 0], b"hello"].concat();
    frame(to, OWN, 0x0800, &[&head[..], &udp].concat())
}

/// A router's advertisement of a way to everywhere.
fn advertisement(to: [u8; 6]) -> Vec<u8> {
    let ends: Vec<u8> =
        ["fe80::bad", "ff02::1"].iter().flat_map(|ip| ip.parse::<Ipv6Addr>().unwrap().octets()).collect();
    let mut advert = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    let checksum = sum(&[&ends[..], &[0, 0, 0, 16, 0, 0, 0, 58], &advert].concat());
    advert[2..4].copy_from_slice(&checksum);
    frame(to, OWN, 0x86dd, &[&[0x60, 0, 0, 0, 0, 16, 58, 255][..], &ends, &advert].concat())
}

/// What of the host's such frames reach, by whoever sends them.
fn reached(world: &World, send: &dyn Fn(&[u8])) -> Vec<&'static str> {
    let socket = UdpSocket::bind("0.0.0.0:5353").unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut reached = Vec::new();
    send(&datagram(LLDP));
    send(&advertisement(LLDP));
    // What is sent is looked at before the call returns, or soon after.
    std::thread::sleep(Duration::from_millis(100));
    match socket.recv(&mut [0; 64]) {
        Ok(_) => reached.push("UDP"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
    }
    if world.ip("-6 route show proto ra").contains("default") {
        reached.push("a router's advertisement");
    }
    world.ip("-6 route flush proto ra");
    reached
}

#[test]
fn no_packet_comes_to_the_host_by_a_hooks_port() {
    let world = world();
    world.ip("link add lab-a type veth peer guest");
    world.ip("link set guest up");
    world.up("lab-a");
    let guest = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let links = nix::ifaddrs::getifaddrs().unwrap().filter(|found| found.interface_name == "guest");
    let address = links.filter_map(|link| link.address).find(|address| address.as_link_addr().is_some()).unwrap();
    bind(guest.as_raw_fd(), address.as_link_addr().unwrap()).unwrap();
    let send = |frame: &[u8]| assert_eq!(send(guest.as_raw_fd(), frame, MsgFlags::empty()), Ok(frame.len()));
    assert_eq!(reached(&world, &send), [""; 0]);
    // Without the rule they do.
    output("nft", "flush chain inet vnet raw_pre");
    assert_eq!(reached(&world, &send), ["UDP", "a router's advertisement"]);
}

/// A tap that is lent on the network `lab`, as the helper does it.
fn lent(hairpin: bool) -> (Lender, Link) {
    let (network, bridge): (NetworkName, IfName) = ("lab".parse().unwrap(), "vn-lab".parse().unwrap());
    let mac = Mac::from_bytes(OWN);
    let mut lender = Lender::open(true).unwrap();
    let tap = lender.make("vu7-%d", 7, false).unwrap();
    let loan = Loan { network: Some(network.clone()), user: 7, mac: Some(mac), of_guest_file: false };
    lender.prepare(&tap, &loan, &mac.tap_end(), 1500).unwrap();
    let elements = [Element::Guarded(tap.index, bridge.clone()), Element::GuardMac(tap.index, mac)].into();
    let guard = Guard { network: &network, bridge: &bridge, is_ours: true, elements: &elements, mark: MARK };
    lender.guard(&guard).unwrap();
    lender.join(&tap, index("vn-lab"), hairpin, true).unwrap();
    (lender, tap)
}

fn write(queue: &OwnedFd, frame: &[u8]) {
    assert_eq!(nix::unistd::write(queue, frame), Ok(frame.len()));
}

/// What the bridge keeps about a port.
fn of_port(tap: &Link, what: &str) -> String {
    fs::read_to_string(format!("/sys/class/net/{}/brport/{what}", tap.name)).unwrap().trim().to_owned()
}

#[test]
fn a_lent_port_is_told_what_keeps_frames_from_passing_the_guard() {
    let _world = world();
    for hairpin in [false, true] {
        let (_lender, tap) = lent(hairpin);
        let told = ["group_fwd_mask", "bpdu_guard", "hairpin_mode"].map(|what| of_port(&tap, what));
        assert_eq!(told, ["0xfffd", "1", if hairpin { "1" } else { "0" }]);
    }
}

#[test]
fn no_frame_passes_the_guard_of_a_lent_port() {
    let world = world();
    let (lender, tap) = lent(false);
    let queue = lender.queue().as_fd().try_clone_to_owned().unwrap();
    // The rule for those that no bridge forwards is not what stops them here.
    output("nft", "flush chain inet vnet raw_pre");
    assert_eq!(reached(&world, &|frame| write(&queue, frame)), [""; 0]);
    for last in 0..16 {
        write(&queue, &frame([1, 0x80, 0xc2, 0, 0, last], OTHER, 0x88cc, &[]));
    }
    let learnt = || output("bridge", "fdb show br vn-lab").contains("52:54:00:00:00:02");
    assert!(!learnt());
    // A port that is told nothing lets all of that in.
    world.ip(&format!("link set {} type bridge_slave group_fwd_mask 0", tap.name));
    assert_eq!(reached(&world, &|frame| write(&queue, frame)), ["UDP", "a router's advertisement"]);
    write(&queue, &frame(LLDP, OTHER, 0x88cc, &[]));
    assert!(learnt());
}

/// Where the bridge takes part in the spanning tree protocol a guest neither becomes its root nor shuts its own port.
#[test]
fn a_lent_port_takes_no_part_in_the_spanning_tree() {
    let world = world();
    world.ip("link set vn-lab type bridge stp_state 1 forward_delay 200");
    let (lender, tap) = lent(false);
    let queue = lender.queue().as_fd().try_clone_to_owned().unwrap();
    const FORWARDING: &str = "3";
    world.must_come_true(|| match of_port(&tap, "state") {
        state if state == FORWARDING => Ok(()),
        state => Err(format!("state {state}")),
    });
    // A root of the highest rank.
    let hello = [&[0x42, 0x42, 3, 0, 0, 0, 0, 0][..], &[0; 8], &[0; 4], &[0; 8], &[0x80, 1, 0, 0, 20, 0, 2, 0, 15, 0]];
    write(&queue, &frame([1, 0x80, 0xc2, 0, 0, 0], OWN, 38, &hello.concat()));
    let of_bridge = |what: &str| fs::read_to_string(format!("/sys/class/net/vn-lab/bridge/{what}")).unwrap();
    let is_root = || of_bridge("root_id") == of_bridge("bridge_id");
    assert_eq!((is_root(), of_port(&tap, "state").as_str()), (true, FORWARDING));
    assert!(link("vn-lab").is_some());
    // A port that is told nothing obeys.
    world.ip(&format!("link set {} type bridge_slave group_fwd_mask 0 guard off", tap.name));
    write(&queue, &frame([1, 0x80, 0xc2, 0, 0, 0], OWN, 38, &hello.concat()));
    assert!(!is_root());
}
