//! The netlink socket against the kernel: what no recording can tell.

use std::fs;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname, sendto, socket,
};
use vnet::kernel::Error;
use vnet::kernel::netlink::link::{link_by_name, link_set_addr_gen};
use vnet::kernel::netlink::socket::{Next, Socket};
use vnet::kernel::netlink::wire::Request;
use vnet::model::AddrGen;

use crate::tap::Tap;
use crate::world::World;

/// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h
const NLMSG_DONE: u16 = 3;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const IFLA_IFALIAS: u16 = 20;

/// More addresses than three of the kernel's datagrams hold.
const MANY: usize = 1500;

fn many_addresses(world: &World) {
    let add = |number| format!("addr add 10.0.{}.{}/32 dev lo\n", number / 250, number % 250 + 1);
    fs::write("/run/batch", (0..MANY).map(add).collect::<String>()).unwrap();
    world.ip("-batch /run/batch");
}

/// How many IPv4 addresses the kernel lists; when the first of them comes, something else happens.
fn count_addresses(meanwhile: &mut dyn FnMut()) -> Result<usize, Error> {
    let mut socket = Socket::open_route().unwrap();
    let request = || Request::new(RTM_GETADDR, 0, &[2, 0, 0, 0, 0, 0, 0, 0]);
    socket.dump(request, |count: &mut usize, message| {
        if *count == 0 {
            meanwhile();
        }
        *count += usize::from(message.kind == RTM_NEWADDR);
        Ok(Next::More)
    })
}

#[test]
fn a_list_that_changes_while_it_is_read_is_read_anew() {
    let world = World::new();
    many_addresses(&world);
    let all = count_addresses(&mut || {}).unwrap();
    assert!(all >= MANY, "{all}");
    let mut readings = 0;
    let found = count_addresses(&mut || {
        readings += 1;
        if readings == 1 {
            world.ip("addr add 10.1.0.1/32 dev lo");
        }
    });
    assert_eq!((found, readings), (Ok(all + 1), 2));
    let mut readings = 0;
    let found = count_addresses(&mut || {
        readings += 1;
        world.ip(&format!("addr add 10.2.0.{readings}/32 dev lo"));
    });
    assert_eq!(found.map_err(|error| error.errno), Err(Errno::EAGAIN), "after {readings} readings");
}

/// Who may administer the network may also write to another's netlink socket.
#[test]
fn another_process_cannot_end_a_list() {
    let world = World::new();
    many_addresses(&world);
    let all = count_addresses(&mut || {}).unwrap();
    assert_eq!(count_addresses(&mut forge_the_end), Ok(all));
}

/// Sends what would be the end of a socket's first list to every socket of this network but its own.
fn forge_the_end() {
    let forger =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute).unwrap();
    let forger = std::os::fd::AsRawFd::as_raw_fd(&forger);
    bind(forger, &NetlinkAddr::new(0, 0)).unwrap();
    let own = getsockname::<NetlinkAddr>(forger).unwrap().pid();
    let forged = Request::new(NLMSG_DONE, 0, &[0; 4]).finish(1, 0).unwrap();
    let table = fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let ports = table.lines().skip(1).map(|line| line.split_whitespace().nth(2).unwrap().parse().unwrap());
    // Another socket in the table may be just closing: that of a tool which has ended.
    let sent = ports
        .filter(|port| ![0, own].contains(port))
        .filter(|port| sendto(forger, &forged, &NetlinkAddr::new(*port, 0), MsgFlags::empty()).is_ok());
    assert!(sent.count() > 0, "no socket to send to: {table}");
}

#[test]
fn the_kernel_checks_strictly_and_says_what_it_does_not_like() {
    let _world = World::new();
    let mut socket = Socket::open_route().unwrap();
    // A list of addresses by their prefix length, which the kernel would otherwise pass over.
    let request = || Request::new(RTM_GETADDR, 0, &[2, 24, 0, 0, 0, 0, 0, 0]);
    let error = socket.dump(request, |(), _| Ok(Next::More)).unwrap_err();
    assert_eq!(error.errno, Errno::EINVAL);
    assert_eq!(error.sentence.as_deref(), Some("ipv4: Invalid values in header for address dump request"));
}

#[test]
fn a_refusal_does_not_quote_the_request() {
    let _world = World::new();
    let mut socket = Socket::open_route().unwrap();
    // Longer than the answer's buffer.
    let request = Request::new(RTM_SETLINK, 0, &[0; 16]).attr(IFLA_IFALIAS, &[b'x'; 4096]);
    let error = socket.change(request).unwrap_err();
    assert!(!error.answer_lost && error.errno != Errno::EMSGSIZE, "{error:?}");
}

#[test]
fn a_link_of_which_there_is_much_to_tell() {
    let world = World::new();
    world.network("lab", r#"{"mode": "isolated"}"#);
    let _tap = Tap::new("lab-a");
    for number in 0..40 {
        world.ip(&format!("link property add dev lab-a altname {number}{}", "x".repeat(100)));
    }
    world.up("lab-a");
    crate::links::must_be("lab-a", "/master", "vn-lab");
}

/// The kernel has no mode for a link whose MTU cannot carry IPv6, and needs none.
#[test]
fn a_link_without_ipv6_makes_no_address_in_any_mode() {
    let world = World::new();
    world.ip("tuntap add lab-a mode tap");
    world.ip("link set lab-a mtu 1000");
    let mut socket = Socket::open_route().unwrap();
    let (link, _) = link_by_name(&mut socket, &"lab-a".parse().unwrap()).unwrap().unwrap();
    assert_eq!(link.addr_gen, None);
    assert_eq!(link_set_addr_gen(&mut socket, link.index, AddrGen::None), Ok(()));
}
