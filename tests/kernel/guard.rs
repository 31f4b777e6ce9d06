//! The guard in `bridge vnet`, on a real kernel: what a guest's frames do not reach, frame by frame.
//!
//! ```text
//!   known1 ── known ┐                 guarded, all of its addresses are known
//!     any1 ── any   ├ n0 ── host      guarded, of its addresses nothing is known
//!   other1 ── other ┘                 not guarded: a second guest, who listens
//!     far1 ── far ──── m0             guarded, behind another bridge
//! ```

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, socket};
use nix::unistd::Pid;
use vnet::kernel::netlink::bridge_port::link_set_guarded;
use vnet::kernel::netlink::nftables::Nftables;
use vnet::kernel::netlink::socket::Socket;
use vnet::model::{Element, Elements, IfName, NetworkName};

use crate::guard_frames::{MARKED, all_frames};
use crate::world::{World, output};

const MARK: u32 = 0x1000;
pub const KNOWN: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
pub const ANY: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];
pub const FAR: [u8; 6] = [0x52, 0x54, 0, 0, 0, 3];

fn lab() -> NetworkName {
    "lab".parse().unwrap()
}

fn link(name: &str) -> IfName {
    name.parse().unwrap()
}

fn number(name: &str) -> u32 {
    fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).unwrap().trim().parse().unwrap()
}

/// What guards a port of which no address is known.
fn guarded(number: u32, bridge: &str, mac: [u8; 6]) -> [Element; 2] {
    [Element::Guarded(number, link(bridge)), Element::GuardMac(number, vnet::model::Mac::from_bytes(mac))]
}

/// What a network of the bridge `n0` has without guests.
fn network() -> Elements {
    let claimed = |ip: &str| Element::Claimed(link("n0"), ip.parse().unwrap());
    let own = [Element::Bridge(link("n0")), Element::Same(link("n0")), Element::Host(link("n0"))];
    own.into_iter().chain(["10.1.0.1", "fd57:1::1", "fe80::1"].map(claimed)).collect()
}

/// What guards all the ports.
fn guards() -> Elements {
    let known = number("known");
    let mut all: Elements = guarded(known, "n0", KNOWN).into();
    all.extend([true, false].map(|ipv4| Element::Known { link: known, ipv4 }));
    for ip in ["10.1.0.10", "fd57:1::10"] {
        all.insert(Element::GuardAddress(known, ip.parse().unwrap()));
        all.insert(Element::Claimed(link("n0"), ip.parse().unwrap()));
    }
    all.extend(guarded(number("any"), "n0", ANY));
    all.extend(guarded(number("far"), "m0", FAR));
    all
}

fn flat(elements: &Elements) -> Vec<(NetworkName, Element)> {
    elements.iter().map(|element| (lab(), element.clone())).collect()
}

/// Bridges, ports and what listens at them.
struct Ground {
    _world: World,
    /// By name.
    senders: Vec<(&'static str, OwnedFd)>,
    listeners: Vec<(&'static str, OwnedFd)>,
}

impl Ground {
    fn new() -> Self {
        let world = World::new();
        // Frames that one processor sends it also receives, in their order.
        let mut one = CpuSet::new();
        one.set(0).unwrap();
        sched_setaffinity(Pid::from_raw(0), &one).unwrap();
        fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        // Where br_netfilter is, it reads IP's headers as well, and nothing but the guard shall stop a frame.
        for family in ["ip", "ip6", "arp"] {
            let call = format!("/proc/sys/net/bridge/bridge-nf-call-{family}tables");
            assert!(fs::write(&call, "0").is_ok() || !fs::exists(&call).unwrap(), "{call}");
        }
        for bridge in ["n0", "m0"] {
            world.ip(&format!("link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"));
            world.ip(&format!("link set {bridge} up"));
        }
        for (port, bridge) in [("known", "n0"), ("any", "n0"), ("other", "n0"), ("far", "m0")] {
            world.ip(&format!("link add {port} type veth peer {port}1"));
            world.ip(&format!("link set {port} master {bridge} up"));
            world.ip(&format!("link set {port}1 arp off up"));
        }
        let mut route = Socket::open_route().unwrap();
        for port in ["known", "any", "far"] {
            link_set_guarded(&mut route, number(port), false).unwrap();
        }
        for link in ["known", "any", "other", "far"].map(|port| [port.to_owned(), format!("{port}1")]).concat() {
            world.must_come_true(|| match fs::read_to_string(format!("/sys/class/net/{link}/operstate")).unwrap() {
                state if state == "up\n" => Ok(()),
                state => Err(format!("{link}: {state}")),
            });
        }
        // A frame that bears a mark behind our own chain reaches nobody.
        let probe = "table bridge probe { chain c { type filter hook prerouting priority 0; meta mark != 0 drop; }; }";
        fs::write("/run/probe.nft", probe).unwrap();
        output("nft", "-f /run/probe.nft");
        let senders = ["known", "any", "far"].map(|port| (port, packets(&format!("{port}1"), false)));
        let listeners = [("another guest", "other1"), ("the host", "n0"), ("the host", "m0")];
        let listeners = listeners.map(|(who, link)| (who, packets(link, true)));
        Self { _world: world, senders: senders.into(), listeners: listeners.into() }
    }

    /// Sends a frame, and tells who got it: the frame behind it, which nobody stops, comes later. Where that does not come
    /// there is nothing to tell.
    fn receivers(&self, from: &str, frame: &[u8]) -> Option<Vec<&'static str>> {
        let (_, sender) = self.senders.iter().find(|(name, _)| *name == from).unwrap();
        assert_eq!(send(sender.as_raw_fd(), frame, MsgFlags::empty()), Ok(frame.len()));
        let end = all_frames().into_iter().find(|frame| frame.from == from && frame.is_last).unwrap();
        assert_eq!(send(sender.as_raw_fd(), &end.bytes, MsgFlags::empty()), Ok(end.bytes.len()));
        let mark = &frame[frame.len() - MARKED..];
        let hears = |listener: &OwnedFd| {
            let mut heard = false;
            let mut buffer = [0; 2048];
            for _ in 0..5_000 {
                match recv(listener.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                    Ok(length) if buffer[..length] == end.bytes => return Some(heard),
                    Ok(length) => heard |= buffer[..length].ends_with(mark),
                    Err(Errno::EAGAIN) => std::thread::sleep(std::time::Duration::from_micros(100)),
                    Err(errno) => panic!("{errno}"),
                }
            }
            None
        };
        let is_there = |number: usize| if from == "far" { number == 2 } else { number < 2 };
        let there = self.listeners.iter().enumerate().filter(|(number, _)| is_there(*number));
        let heard = there.map(|(_, (who, listener))| Some(hears(listener)?.then_some(*who)));
        heard.collect::<Option<Vec<_>>>().map(|who| who.into_iter().flatten().collect())
    }

    /// What arrives and should not, and what should and does not.
    fn deviations(&self) -> Vec<String> {
        let mut deviations = Vec::new();
        for frame in all_frames().into_iter().filter(|frame| !frame.is_last) {
            let all = if frame.from == "far" { vec!["the host"] } else { vec!["another guest", "the host"] };
            let expected = if frame.passes { all } else { Vec::new() };
            let Some(receivers) = self.receivers(frame.from, &frame.bytes) else {
                deviations.push(format!("the last frame of {} did not come", frame.from));
                break;
            };
            if receivers != expected {
                deviations.push(format!("{} of {}: reached {receivers:?}", frame.what, frame.from));
            }
        }
        deviations
    }
}

/// A socket for all frames of a link; one that does not listen gets none.
fn packets(link: &str, listens: bool) -> OwnedFd {
    let socket =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, listens.then_some(SockProtocol::EthAll))
            .unwrap();
    let links = getifaddrs().unwrap().filter(|found| found.interface_name == link);
    let address = links.filter_map(|link| link.address).find(|address| address.as_link_addr().is_some()).unwrap();
    bind(socket.as_raw_fd(), address.as_link_addr().unwrap()).unwrap();
    socket
}

fn all_elements() -> Elements {
    network().into_iter().chain(guards()).collect()
}

#[test]
fn what_a_guarded_port_may_not_send_reaches_nobody() {
    let ground = Ground::new();
    Nftables::open().unwrap().rebuild(&flat(&all_elements()), MARK).unwrap();
    assert_eq!(ground.deviations(), [""; 0]);
}

#[test]
fn a_port_that_is_not_guarded_may_send_anything() {
    let ground = Ground::new();
    Nftables::open().unwrap().rebuild(&flat(&network()), MARK).unwrap();
    let stopped = all_frames().into_iter().filter(|frame| !frame.is_last);
    let stopped = stopped.filter(|frame| ground.receivers(frame.from, &frame.bytes).unwrap().is_empty());
    // The bridge itself takes no frame from a group.
    assert_eq!(stopped.map(|frame| frame.what).collect::<Vec<_>>(), ["a group's MAC"]);
}

#[test]
fn each_rule_of_the_guard_is_needed() {
    let ground = Ground::new();
    let mut nftables = Nftables::open().unwrap();
    let mut rules = 0;
    for number in 0.. {
        nftables.rebuild(&flat(&all_elements()), MARK).unwrap();
        let listed = output("nft", "-a list table bridge vnet");
        let mut chain = "";
        let mut all = Vec::new();
        for line in listed.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("chain ") {
                chain = name.split(' ').next().unwrap();
            } else if let Some((rule, handle)) = line.split_once(" # handle ").filter(|(rule, _)| !rule.ends_with('{'))
            {
                all.push((chain, rule, handle));
            }
        }
        let Some((chain, rule, handle)) = all.get(number) else { break };
        output("nft", &format!("delete rule bridge vnet {chain} handle {handle}"));
        assert_ne!(ground.deviations(), [""; 0], "without {chain}: {rule}");
        rules += 1;
    }
    assert!(rules > 30, "{rules}");
}
