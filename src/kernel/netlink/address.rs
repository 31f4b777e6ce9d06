//! The host's addresses on a link, or on all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;

use super::socket::{Next, Socket, malformed};
use super::wire::{Message, Request, u32_at};
use crate::kernel::error::Error;
use crate::model::Address;

// linux/rtnetlink.h, linux/if_addr.h
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// The address is usable at once, without the second in which the kernel looks for another that has it.
const IFA_F_NODAD: u8 = 0x02;
/// The address has no lifetime: it is neither leased nor advertised.
const IFA_F_PERMANENT: u8 = 0x80;
/// RT_SCOPE_LINK: an address that counts on its link only, which the kernel makes by itself.
const SCOPE_LINK: u8 = 253;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Gives the host an address on a link.
pub fn address_add(socket: &mut Socket, index: u32, address: &Address) -> Result<(), Error> {
    change(socket, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address)
        .map_err(|error| error.of(format!("RTM_NEWADDR of {address}")))
}

/// Takes an address from a link. One that went by itself, as IPv6's do when the link goes down, is taken already.
pub fn address_delete(socket: &mut Socket, index: u32, address: &Address) -> Result<(), Error> {
    match change(socket, RTM_DELADDR, 0, index, address) {
        Err(error) if error.errno == Errno::EADDRNOTAVAIL => Ok(()),
        result => result.map_err(|error| error.of(format!("RTM_DELADDR of {address}"))),
    }
}

/// The host's addresses on a link, without link-local ones.
pub fn addresses_of(socket: &mut Socket, index: u32) -> Result<Vec<Address>, Error> {
    let mut list = addresses_on(socket, index)
        .map_err(|error| error.of(format!("listing the addresses of link number {index}")))?;
    // A kernel that does not check strictly tells of all links.
    list.retain(|(link, _)| *link == index);
    Ok(list.into_iter().map(|(_, address)| address).collect())
}

/// All of the host's addresses, without link-local ones, each with the index of its link.
pub fn addresses_of_all(socket: &mut Socket) -> Result<Vec<(u32, Address)>, Error> {
    addresses_on(socket, 0).map_err(|error| error.of("listing the host's addresses"))
}

/// The host's addresses on a link that are there to stay, without link-local ones.
pub fn lasting_addresses_of(socket: &mut Socket, index: u32) -> Result<Vec<Address>, Error> {
    let request = || Request::new(RTM_GETADDR, 0, &header(0, 0, 0, index));
    let read = |list: &mut Vec<_>, message: &Message<'_>| {
        let lasts = message.payload.get(2).is_some_and(|flags| flags & IFA_F_PERMANENT != 0);
        list.extend(address_read(message)?.filter(|(link, _)| lasts && *link == index).map(|(_, address)| address));
        Ok(Next::More)
    };
    socket.dump(request, read).map_err(|error| error.of(format!("listing the addresses of link number {index}")))
}

/// The addresses on a link, or on all where the index is 0.
fn addresses_on(socket: &mut Socket, index: u32) -> Result<Vec<(u32, Address)>, Error> {
    let request = || Request::new(RTM_GETADDR, 0, &header(0, 0, 0, index));
    let read = |list: &mut Vec<_>, message: &Message<'_>| {
        list.extend(address_read(message)?);
        Ok(Next::More)
    };
    socket.dump(request, read)
}

fn change(socket: &mut Socket, kind: u16, flags: u16, index: u32, address: &Address) -> Result<(), Error> {
    let request = match address.ip {
        IpAddr::V4(ip) => {
            let header = header(AF_INET, address.prefix, 0, index);
            Request::new(kind, flags, &header).attr(IFA_LOCAL, &ip.octets()).attr(IFA_ADDRESS, &ip.octets())
        }
        IpAddr::V6(ip) => {
            let header = header(AF_INET6, address.prefix, IFA_F_NODAD, index);
            Request::new(kind, flags, &header).attr(IFA_LOCAL, &ip.octets()).attr(IFA_ADDRESS, &ip.octets())
        }
    };
    socket.change(request)
}

/// `struct ifaddrmsg`, with the scope "everywhere".
fn header(family: u8, prefix: u8, flags: u8, index: u32) -> [u8; 8] {
    let [a, b, c, d] = index.to_ne_bytes();
    [family, prefix, flags, 0, a, b, c, d]
}

/// Reads an address and the index of its link; a link-local one is none.
pub(super) fn address_read(message: &Message<'_>) -> Result<Option<(u32, Address)>, Error> {
    let (header, attributes) = message.split::<8>().map_err(malformed)?;
    let [family, prefix, _, scope, ..] = *header;
    if family == AF_INET6 && scope == SCOPE_LINK {
        return Ok(None);
    }
    // On a point-to-point link IFA_ADDRESS is the peer's; IFA_LOCAL, where there is one, is always the host's.
    let (mut local, mut address) = (None, None);
    for attribute in attributes {
        let attribute = attribute.map_err(malformed)?;
        match attribute.kind {
            IFA_LOCAL => local = ip_read(family, attribute.payload),
            IFA_ADDRESS => address = ip_read(family, attribute.payload),
            _ => {}
        }
    }
    let index = u32_at(header, 4).unwrap_or_default();
    Ok(local.or(address).map(|ip| (index, Address { ip, prefix })))
}

/// An address of this family; `None` for bytes that are none.
pub(super) fn ip_read(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        AF_INET6 => bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
