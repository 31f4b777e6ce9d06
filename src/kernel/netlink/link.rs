//! Links: look one up or list them, create and delete a bridge, and change a link's settings, one message each.
//!
//! A link is looked up by name once; every change names it by the kernel's index, which a rename does not move.

use nix::errno::Errno;

pub use super::bridge_port::link_set_hairpin;
use super::link_read::{link_read, listed_link_read};
use super::socket::{Next, Socket};
pub use super::veth::veth_create;
use super::wire::{Message, Request};
use crate::kernel::error::Error;
use crate::model::{AddrGen, BridgeOptions, IfName, Link, Mac, NewBridge};

// linux/rtnetlink.h
pub(super) const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
pub(super) const RTM_SETLINK: u16 = 19;
pub(super) const NLM_F_EXCL: u16 = 0x200;
pub(super) const NLM_F_CREATE: u16 = 0x400;
/// Leave the counters out: nobody here reads them, and the kernel gathers them from every processor.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

// linux/if_link.h
pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
pub(super) const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_LINKINFO: u16 = 18;
pub(super) const IFLA_IFALIAS: u16 = 20;
pub(super) const IFLA_AF_SPEC: u16 = 26;
const IFLA_EXT_MASK: u16 = 29;
pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_INFO_DATA: u16 = 2;
pub(super) const IFLA_BR_FORWARD_DELAY: u16 = 1;
pub(super) const IFLA_BR_STP_STATE: u16 = 5;
pub(super) const IFLA_BR_MCAST_SNOOPING: u16 = 23;
pub(super) const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
pub(super) const AF_INET6: u16 = 10;
pub(super) const IFF_UP: u32 = 1;

/// A link, by its name or one of its alternative names, and the index of its master; `None` if there is none.
pub fn link_by_name(socket: &mut Socket, name: &IfName) -> Result<Option<(Link, Option<u32>)>, Error> {
    let request = Request::new(RTM_GETLINK, 0, &header(0, 0, 0))
        .attr_text(IFLA_IFNAME, name.as_str())
        .attr_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    match socket.get(request, link_read) {
        Err(error) if error.errno == Errno::ENODEV => Ok(None),
        answer => answer.map(Some).map_err(|error| error.of(format!("looking up the link {name}"))),
    }
}

/// The link with this index, and the index of its master.
pub fn link_by_index(socket: &mut Socket, index: u32) -> Result<(Link, Option<u32>), Error> {
    socket.get(ask(index), link_read).map_err(|error| error.of(format!("looking up link number {index}")))
}

/// The name of the link with this index.
pub fn name_by_index(socket: &mut Socket, index: u32) -> Result<IfName, Error> {
    link_by_index(socket, index).map(|(link, _)| link.name)
}

/// Whether the link with this index lets packets out.
pub fn is_running(socket: &mut Socket, index: u32) -> Result<bool, Error> {
    let read = |message: &Message<'_>| super::running::running_read(message).map_err(super::socket::malformed);
    Ok(socket.get(ask(index), read)?.is_some_and(|(_, running)| running))
}

/// Shows `each` all links, with the index of their master. A list that changes while it is read is begun anew: a link
/// may be seen more than once. One whose name is none of ours is passed over, for no network is about it.
pub fn links(socket: &mut Socket, mut each: impl FnMut(Link, Option<u32>)) -> Result<(), Error> {
    list(socket, &|| ask(0), &mut each).map_err(|error| error.of("listing the links"))
}

/// The ports of the bridge with this index.
pub fn ports_of(socket: &mut Socket, index: u32) -> Result<Vec<Link>, Error> {
    let mut ports: Vec<Link> = Vec::new();
    let mut each = |link: Link, master| {
        // A kernel that does not filter tells of all links.
        if master == Some(index) && !ports.iter().any(|port| port.index == link.index) {
            ports.push(link);
        }
    };
    list(socket, &|| ask(0).attr_u32(IFLA_MASTER, index), &mut each)
        .map_err(|error| error.of(format!("listing the ports of link number {index}")))?;
    Ok(ports)
}

fn list(
    socket: &mut Socket,
    request: &dyn Fn() -> Request,
    each: &mut dyn FnMut(Link, Option<u32>),
) -> Result<(), Error> {
    socket.dump(request, |(): &mut (), message: &Message<'_>| {
        if let Some((link, master)) = listed_link_read(message)? {
            each(link, master);
        }
        Ok(Next::More)
    })
}

/// What asks for a link without its counters, or for all where the index is 0.
pub(super) fn ask(index: u32) -> Request {
    Request::new(RTM_GETLINK, 0, &header(index, 0, 0)).attr_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
}

/// Creates a bridge, down and without an alias, for the kernel ignores one in this message.
pub fn bridge_create(socket: &mut Socket, name: &IfName, new: &NewBridge) -> Result<(), Error> {
    let request = Request::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header(0, 0, 0))
        .attr_text(IFLA_IFNAME, name.as_str())
        .attr(IFLA_ADDRESS, new.mac.bytes())
        .attr_u32(IFLA_MTU, new.mtu)
        .nest(IFLA_LINKINFO, |info| bridge_info(info, &new.options));
    socket.change(request).map_err(|error| error.of(format!("RTM_NEWLINK of {name}")))
}

/// Changes a bridge's settings. RTM_SETLINK takes what is peculiar to a kind of link, and ignores it.
pub fn bridge_set_options(socket: &mut Socket, index: u32, options: &BridgeOptions) -> Result<(), Error> {
    let request = || Request::new(RTM_NEWLINK, 0, &header(index, 0, 0));
    let of_link = |error: Error| error.of(format!("RTM_NEWLINK of link number {index}"));
    if !options.stp {
        // The kernel sets the delay first, and takes none but 2 to 30 s while the spanning tree is on.
        socket.change(request().nest(IFLA_LINKINFO, stp_off)).map_err(of_link)?;
    }
    // The first half is done by now.
    let all = request().nest(IFLA_LINKINFO, |info| bridge_info(info, options));
    socket.change(all).map_err(|error| Error { answer_lost: true, ..of_link(error) })
}

fn stp_off(info: Request) -> Request {
    info.attr_text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, |data| data.attr_u32(IFLA_BR_STP_STATE, 0))
}

fn bridge_info(info: Request, options: &BridgeOptions) -> Request {
    info.attr_text(IFLA_INFO_KIND, "bridge").nest(IFLA_INFO_DATA, |data| {
        data.attr_u32(IFLA_BR_STP_STATE, u32::from(options.stp))
            .attr_u32(IFLA_BR_FORWARD_DELAY, options.forward_delay)
            .attr_u8(IFLA_BR_MCAST_SNOOPING, u8::from(options.snooping))
    })
}

/// Deletes a link.
pub fn link_delete(socket: &mut Socket, index: u32) -> Result<(), Error> {
    socket
        .change(Request::new(RTM_DELLINK, 0, &header(index, 0, 0)))
        .map_err(|error| error.of(format!("RTM_DELLINK of link number {index}")))
}

/// Sets the alias; `None` takes it away.
pub fn link_set_alias(socket: &mut Socket, index: u32, alias: Option<&str>) -> Result<(), Error> {
    set(socket, index, |request| request.attr(IFLA_IFALIAS, alias.unwrap_or_default().as_bytes()))
}

/// Sets the MTU, in bytes.
pub fn link_set_mtu(socket: &mut Socket, index: u32, mtu: u32) -> Result<(), Error> {
    set(socket, index, |request| request.attr_u32(IFLA_MTU, mtu))
}

/// Sets the link's own MAC.
pub fn link_set_mac(socket: &mut Socket, index: u32, mac: &Mac) -> Result<(), Error> {
    set(socket, index, |request| request.attr(IFLA_ADDRESS, mac.bytes()))
}

/// Sets how the link makes its IPv6 link-local address. A link without IPv6 makes none, whatever the mode.
pub fn link_set_addr_gen(socket: &mut Socket, index: u32, mode: AddrGen) -> Result<(), Error> {
    let result = set(socket, index, |request| {
        request.nest(IFLA_AF_SPEC, |families| {
            families.nest(AF_INET6, |inet6| inet6.attr_u8(IFLA_INET6_ADDR_GEN_MODE, mode.number()))
        })
    });
    match result {
        Err(error) if error.errno == Errno::EAFNOSUPPORT => Ok(()),
        result => result,
    }
}

/// Makes the link a port of the bridge with this index; `None` frees it.
pub fn link_set_master(socket: &mut Socket, index: u32, master: Option<u32>) -> Result<(), Error> {
    set(socket, index, |request| request.attr_u32(IFLA_MASTER, master.unwrap_or(0)))
}

/// Sets the link up or down.
pub fn link_set_up(socket: &mut Socket, index: u32, up: bool) -> Result<(), Error> {
    let request = Request::new(RTM_SETLINK, 0, &header(index, if up { IFF_UP } else { 0 }, IFF_UP));
    socket.change(request).map_err(|error| error.of(format!("RTM_SETLINK of link number {index}")))
}

fn set(socket: &mut Socket, index: u32, fill: impl FnOnce(Request) -> Request) -> Result<(), Error> {
    socket
        .change(fill(Request::new(RTM_SETLINK, 0, &header(index, 0, 0))))
        .map_err(|error| error.of(format!("RTM_SETLINK of link number {index}")))
}

/// `struct ifinfomsg`: any family and type, the index, the flags and which of them count.
pub(super) fn header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    let fields = [0, index, flags, change];
    for (place, field) in header.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field.to_ne_bytes());
    }
    header
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
