//! Links: look one up, create and delete a bridge, and change a link's settings, one message each.
//!
//! A link is looked up by name once; every change names it by the kernel's index, which a rename does not move.

use nix::errno::Errno;

use super::socket::{Socket, malformed};
use super::wire::{Attribute, Attributes, Malformed, Message, Request, attributes, u16_at, u32_at};
use crate::kernel::error::Error;
use crate::model::{AddrGen, BridgeOptions, IfName, Kind, Link, Mac, NewBridge};

// linux/rtnetlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
/// Leave the counters out: nobody here reads them, and the kernel gathers them from every processor.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

// linux/if_link.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_MIN_MTU: u16 = 50;
const IFLA_MAX_MTU: u16 = 51;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_STP_STATE: u16 = 5;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_TUN_OWNER: u16 = 1;
const IFLA_TUN_GROUP: u16 = 2;
const IFLA_TUN_PERSIST: u16 = 6;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IFLA_INET_CONF: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

const IFF_UP: u32 = 1;
/// linux/if_arp.h
const ARPHRD_ETHER: u16 = 1;

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

/// The name of the link with this index.
pub fn name_by_index(socket: &mut Socket, index: u32) -> Result<IfName, Error> {
    let request = Request::new(RTM_GETLINK, 0, &header(index, 0, 0)).attr_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    let (link, _) = socket.get(request, link_read)?;
    Ok(link.name)
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
fn header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    let fields = [0, index, flags, change];
    for (place, field) in header.chunks_exact_mut(4).zip(fields) {
        place.copy_from_slice(&field.to_ne_bytes());
    }
    header
}

/// Reads a link, and the index of its master.
fn link_read(message: &Message<'_>) -> Result<(Link, Option<u32>), Error> {
    let (header, attributes) = message.split::<16>().map_err(malformed)?;
    let said = Said::read(attributes).map_err(malformed)?;
    let name = IfName::from_bytes(said.name)
        .map_err(|invalid| Error::new(format!("a look at a link (its name {invalid}; rename it)"), Errno::EINVAL))?;
    let link = Link {
        index: u32_at(header, 4).unwrap_or_default(),
        name,
        kind: said.kind.unwrap_or(Kind::Device),
        ethernet: u16_at(header, 2) == Some(ARPHRD_ETHER),
        up: u32_at(header, 8).is_some_and(|flags| flags & IFF_UP != 0),
        mtu: said.mtu,
        mtu_range: (said.min_mtu, said.max_mtu),
        mac: Mac::from_bytes(said.mac),
        master: None,
        alias: said.alias,
        addr_gen: said.addr_gen,
        forwards: said.forwards,
    };
    Ok((link, said.master))
}

/// What the attributes of a link say.
#[derive(Default)]
struct Said<'a> {
    name: &'a [u8],
    kind: Option<Kind>,
    mtu: u32,
    min_mtu: u32,
    max_mtu: u32,
    mac: [u8; 6],
    master: Option<u32>,
    alias: Option<String>,
    addr_gen: Option<AddrGen>,
    forwards: bool,
}

impl<'a> Said<'a> {
    fn read(attributes: Attributes<'a>) -> Result<Self, Malformed> {
        let mut said = Self::default();
        for attribute in attributes {
            let attribute = attribute?;
            match attribute.kind {
                IFLA_IFNAME => said.name = attribute.text(),
                IFLA_LINKINFO => said.kind = kind_read(attribute.nested())?,
                IFLA_MTU => said.mtu = attribute.u32()?,
                IFLA_MIN_MTU => said.min_mtu = attribute.u32()?,
                IFLA_MAX_MTU => said.max_mtu = attribute.u32()?,
                IFLA_ADDRESS => said.mac = attribute.payload.first_chunk().copied().unwrap_or_default(),
                IFLA_MASTER => said.master = Some(attribute.u32()?),
                IFLA_IFALIAS => said.alias = Some(String::from_utf8_lossy(attribute.text()).into_owned()),
                IFLA_AF_SPEC => said.families(attribute.nested())?,
                _ => {}
            }
        }
        Ok(said)
    }

    fn families(&mut self, families: Attributes<'_>) -> Result<(), Malformed> {
        for family in families {
            let family = family?;
            match family.kind {
                AF_INET6 => {
                    let mode = find(family.nested(), IFLA_INET6_ADDR_GEN_MODE)?;
                    self.addr_gen = mode.map(|mode| mode.u8()).transpose()?.and_then(AddrGen::from_number);
                }
                // The settings under /proc/sys/net/ipv4/conf/LINK, a number each; forwarding is the first.
                AF_INET => {
                    let settings = find(family.nested(), IFLA_INET_CONF)?;
                    self.forwards = settings.is_some_and(|settings| settings.u32().is_ok_and(|value| value != 0));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn kind_read(info: Attributes<'_>) -> Result<Option<Kind>, Malformed> {
    let (mut kind, mut data) = (None, attributes(&[]));
    for attribute in info {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_INFO_KIND => kind = Some(attribute.text()),
            IFLA_INFO_DATA => data = attribute.nested(),
            _ => {}
        }
    }
    Ok(match kind {
        None => None,
        Some(b"bridge") => Some(Kind::Bridge(bridge_read(data)?)),
        Some(b"tun") => Some(tun_read(data)?),
        Some(other) => Some(Kind::Other(other.escape_ascii().to_string())),
    })
}

fn tun_read(data: Attributes<'_>) -> Result<Kind, Malformed> {
    let (mut persistent, mut many_queues, mut owned) = (true, false, false);
    for attribute in data {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_TUN_PERSIST => persistent = attribute.u8()? != 0,
            IFLA_TUN_MULTI_QUEUE => many_queues = attribute.u8()? != 0,
            IFLA_TUN_OWNER | IFLA_TUN_GROUP => owned = true,
            _ => {}
        }
    }
    Ok(Kind::Tun { persistent, open: many_queues && !owned })
}

fn bridge_read(data: Attributes<'_>) -> Result<BridgeOptions, Malformed> {
    let mut options = BridgeOptions { stp: false, forward_delay: 0, snooping: false };
    for attribute in data {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_BR_STP_STATE => options.stp = attribute.u32()? != 0,
            IFLA_BR_FORWARD_DELAY => options.forward_delay = attribute.u32()?,
            IFLA_BR_MCAST_SNOOPING => options.snooping = attribute.u8()? != 0,
            _ => {}
        }
    }
    Ok(options)
}

/// The first attribute of this type.
fn find(attributes: Attributes<'_>, kind: u16) -> Result<Option<Attribute<'_>>, Malformed> {
    for attribute in attributes {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(Some(attribute));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
