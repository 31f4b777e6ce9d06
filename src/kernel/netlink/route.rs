//! The host's default route.

use nix::errno::Errno;

use super::socket::{Next, Socket, malformed};
use super::wire::{Message, Request, u32_at};
use crate::kernel::error::Error;

// linux/rtnetlink.h
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RT_TABLE_MAIN: u8 = 254;
const RTN_UNICAST: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The index of the link that carries the host's default route, of IPv4 or else of IPv6, with the lowest metric.
///
/// Opens a socket of its own: the kernel lists IPv4's default routes first, and the rest, which may be a million, is
/// left unread.
pub fn default_route_link() -> Result<Option<u32>, Error> {
    Ok(match default_route(AF_INET)? {
        Some(index) => Some(index),
        None => default_route(AF_INET6)?,
    })
}

fn default_route(family: u8) -> Result<Option<u32>, Error> {
    let request = || {
        Request::new(RTM_GETROUTE, 0, &[family, 0, 0, 0, RT_TABLE_MAIN, 0, 0, 0, 0, 0, 0, 0])
            .attr_u32(RTA_TABLE, u32::from(RT_TABLE_MAIN))
    };
    let read = |best: &mut Option<(u32, u32)>, message: &Message<'_>| {
        let Some((metric, index)) = route_read(message)? else {
            return Ok(if default_may_follow(message)? { Next::More } else { Next::Enough });
        };
        if best.is_none_or(|(least, _)| metric < least) {
            *best = Some((metric, index));
        }
        Ok(Next::More)
    };
    match Socket::open_route()?.dump(request, read) {
        // The table does not exist where no route was ever set, nor the family where the kernel has no IPv6.
        Err(error) if matches!(error.errno, Errno::ENOENT | Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP) => Ok(None),
        answer => Ok(answer.map_err(|error| error.of("looking up the default route"))?.map(|(_, index)| index)),
    }
}

/// Whether a default route may still follow. The kernel lists IPv4's in the order of their destinations, and of
/// 0.0.0.0 the longest prefix first (0.0.0.0/1 is what a VPN sets); of IPv6's the default route comes last.
fn default_may_follow(message: &Message<'_>) -> Result<bool, Error> {
    let ([family, ..], attributes) = message.split::<12>().map_err(malformed)?;
    for attribute in attributes {
        let attribute = attribute.map_err(malformed)?;
        if attribute.kind == RTA_DST {
            return Ok(*family == AF_INET6 || attribute.payload.iter().all(|byte| *byte == 0));
        }
    }
    Ok(true)
}

/// The metric of a default route and the index of its link, or of its first link where it has several.
fn route_read(message: &Message<'_>) -> Result<Option<(u32, u32)>, Error> {
    let ([_, prefix, _, _, _, _, _, kind, ..], attributes) = message.split::<12>().map_err(malformed)?;
    if *prefix != 0 || *kind != RTN_UNICAST {
        return Ok(None);
    }
    let (mut metric, mut link) = (0, None);
    for attribute in attributes {
        let attribute = attribute.map_err(malformed)?;
        match attribute.kind {
            RTA_OIF => link = Some(attribute.u32().map_err(malformed)?),
            RTA_PRIORITY => metric = attribute.u32().map_err(malformed)?,
            // struct rtnexthop: its length, flags and weight, then the link's index.
            RTA_MULTIPATH => link = link.or(u32_at(attribute.payload, 4)),
            _ => {}
        }
    }
    Ok(link.map(|link| (metric, link)))
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
