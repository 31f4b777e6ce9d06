//! Frames as a guest can send them, whatever they say, and who hears them.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{sockaddr, sockaddr_ll, socklen_t};

use crate::caller::Lent;
use crate::links::index;
use crate::world::World;

/// What stands before each frame in a tap's queue (`struct virtio_net_hdr`).
const HEADER: usize = 10;

/// A MAC.
pub type Mac = [u8; 6];

/// To everybody.
pub const BROADCAST: Mac = [0xff; 6];

/// A MAC as it is written.
pub fn mac(text: &str) -> Mac {
    let bytes: Vec<_> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// A frame to everybody.
pub fn ethernet(from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&BROADCAST[..], &from, &kind.to_be_bytes(), payload].concat()
}

/// What an ARP message says: a request (1) or a reply (2).
pub fn arp(operation: u8, (hardware, sender): (Mac, &str), target: &str) -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap().octets();
    [&[0, 1, 8, 0, 6, 4, 0, operation][..], &hardware, &ip(sender), &[0; 6], &ip(target)].concat()
}

/// An IPv4 packet.
pub fn ipv4(protocol: u8, from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap().octets();
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut header = [&[0x45, 0][..], &length, &[0, 1, 0, 0, 64, protocol, 0, 0], &ip(from), &ip(to)].concat();
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    header[10..12].copy_from_slice(&(!sum).to_be_bytes());
    [&header[..], payload].concat()
}

/// A UDP datagram without a checksum.
pub fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    [&from.to_be_bytes()[..], &to.to_be_bytes(), &length, &[0, 0], payload].concat()
}

/// An IPv6 packet.
pub fn ipv6(next: u8, from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0x60, 0, 0, 0][..], &length, &[next, 255], &ip(from), &ip(to), payload].concat()
}

/// An ICMPv6 message of a type, with what is behind its checksum.
pub fn icmp6(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0][..], rest].concat()
}

/// A message of neighbour discovery about an address: a solicitation (135) or an advertisement (136).
pub fn about(kind: u8, target: &str) -> Vec<u8> {
    icmp6(kind, &[&[0x20, 0, 0, 0][..], &target.parse::<Ipv6Addr>().unwrap().octets()].concat())
}

/// The frame with a number at its end, behind all that it says of its own length.
pub fn tagged(frame: &[u8], number: usize) -> Vec<u8> {
    [frame, format!("tag{number:05}").as_bytes()].concat()
}

/// The numbers of the frames that have one.
pub fn tags(frames: &[Vec<u8>]) -> BTreeSet<usize> {
    let tail = |frame: &Vec<u8>| {
        let tail = frame.get(frame.len().checked_sub(8)?..)?;
        std::str::from_utf8(tail).ok()?.strip_prefix("tag")?.parse().ok()
    };
    frames.iter().filter_map(tail).collect()
}

impl Lent {
    /// Sends a frame, as the guest does.
    pub fn send(&self, frame: &[u8]) {
        self.send_with([0; HEADER], frame);
    }

    /// Sends a frame behind this `struct virtio_net_hdr`.
    pub fn send_with(&self, header: [u8; HEADER], frame: &[u8]) {
        let sent = [&header, frame].concat();
        assert_eq!(nix::unistd::write(&self.queue, &sent), Ok(sent.len()), "{} takes no frame", self.tap);
    }

    /// All frames that wait for the guest.
    pub fn drain(&self) -> Vec<Vec<u8>> {
        fcntl(&self.queue, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut file = File::from(self.queue.try_clone().unwrap());
        all(&mut file).into_iter().map(|frame| frame[HEADER..].to_vec()).collect()
    }

    /// Waits until the bridge forwards what comes by the tap: that is a moment after it is up.
    pub fn must_forward(&self, world: &World) {
        let state = format!("/sys/class/net/{}/brport/state", self.tap);
        world.must_come_true(|| match fs::read_to_string(&state) {
            Ok(state) if state.trim() == "3" => Ok(()),
            state => Err(format!("{} does not forward: {state:?}", self.tap)),
        });
    }
}

/// Who hears all that comes to the host by a link.
pub struct Ear(File);

impl Ear {
    pub fn at(link: &str) -> Self {
        let every = u16::try_from(libc::ETH_P_ALL).unwrap().to_be();
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: the call takes numbers and makes a descriptor, or none.
        let socket = unsafe { libc::socket(libc::AF_PACKET, kind, i32::from(every)) };
        assert!(socket >= 0, "cannot listen to frames: {}", std::io::Error::last_os_error());
        // SAFETY: the descriptor is nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: the address is numbers, of which zero is one.
        let mut address: sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        address.sll_protocol = every;
        address.sll_ifindex = i32::try_from(index(link)).unwrap();
        let length = socklen_t::try_from(size_of::<sockaddr_ll>()).unwrap();
        // SAFETY: the address is whole, of this length, and outlives the call.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast::<sockaddr>(), length) };
        assert_eq!(bound, 0, "cannot listen at {link}: {}", std::io::Error::last_os_error());
        Self(File::from(socket))
    }

    /// All frames that came since.
    pub fn drain(&mut self) -> Vec<Vec<u8>> {
        all(&mut self.0)
    }
}

fn all(file: &mut impl Read) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 70_000];
    let mut frames = Vec::new();
    loop {
        match file.read(&mut buffer) {
            Ok(length) => frames.push(buffer[..length].to_vec()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return frames,
            Err(error) => panic!("cannot hear: {error}"),
        }
    }
}
