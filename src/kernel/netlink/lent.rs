//! Taps that are lent to users: all about one in as few messages as may be, and who has how many.
//!
//! The kernel works through the attributes of one message in an order of its own, whatever theirs is, and that order
//! differs between versions: what has to be before something else is in a message before.

use nix::errno::Errno;

use super::link::{
    AF_INET6, IFF_UP, IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_IFALIAS, IFLA_INET6_ADDR_GEN_MODE, IFLA_INFO_DATA,
    IFLA_INFO_KIND, IFLA_LINKINFO, IFLA_MASTER, IFLA_MTU, RTM_SETLINK, ask, header,
};
use super::link_read::find;
use super::socket::{Next, Socket, malformed};
use super::wire::{Malformed, Message, Request};
use crate::kernel::error::Error;
use crate::model::{AddrGen, Loan, Mac, Mark};

/// linux/if_link.h
const IFLA_TUN_OWNER: u16 = 1;

/// A tap, and on whose account it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapOwner {
    /// The tap's number.
    pub index: u32,
    /// The user that it is lent to, or whose it is where nobody lent it; `None` where it is nobody's.
    pub user: Option<u32>,
}

/// Gives a tap that is down what it has for as long as it is there: its mark, its MAC, its MTU in bytes, and no IPv6 address
/// of its own.
///
/// # Errors
/// The kernel's.
pub fn lent_prepare(socket: &mut Socket, index: u32, loan: &Loan, mac: &Mac, mtu: u32) -> Result<(), Error> {
    let plain = || {
        Request::new(RTM_SETLINK, 0, &header(index, 0, 0))
            .attr(IFLA_IFALIAS, loan.to_string().as_bytes())
            .attr(IFLA_ADDRESS, mac.bytes())
            .attr_u32(IFLA_MTU, mtu)
    };
    let without_ipv6 = plain().nest(IFLA_AF_SPEC, |families| {
        families.nest(AF_INET6, |inet6| inet6.attr_u8(IFLA_INET6_ADDR_GEN_MODE, AddrGen::None.number()))
    });
    let result = match socket.change(without_ipv6) {
        // The kernel has no IPv6, or the MTU is too small for it.
        Err(error) if error.errno == Errno::EAFNOSUPPORT => socket.change(plain()),
        result => result,
    };
    result.map_err(|error| error.of(format!("RTM_SETLINK of link number {index}")))
}

/// Makes a tap that is prepared the port of a bridge, and sets it up.
///
/// # Errors
/// The kernel's.
pub fn lent_join(socket: &mut Socket, index: u32, bridge: u32) -> Result<(), Error> {
    let request = Request::new(RTM_SETLINK, 0, &header(index, IFF_UP, IFF_UP)).attr_u32(IFLA_MASTER, bridge);
    socket.change(request).map_err(|error| error.of(format!("RTM_SETLINK of link number {index}")))
}

/// All taps that are there.
///
/// # Errors
/// The kernel's.
pub fn tap_owners(socket: &mut Socket) -> Result<Vec<TapOwner>, Error> {
    let taps = || ask(0).nest(IFLA_LINKINFO, |info| info.attr_text(IFLA_INFO_KIND, "tun"));
    let mut found: Vec<TapOwner> = Vec::new();
    let listed = socket.dump(taps, |(): &mut (), message| {
        let tap = tap_owner_read(message).map_err(malformed)?;
        // A list that was begun anew shows some twice.
        found.extend(tap.filter(|tap| !found.iter().any(|known| known.index == tap.index)));
        Ok(Next::More)
    });
    listed.map_err(|error| error.of("listing the taps"))?;
    Ok(found)
}

/// `None` for another kind of link, which a kernel that does not filter tells of as well.
pub(super) fn tap_owner_read(message: &Message<'_>) -> Result<Option<TapOwner>, Malformed> {
    let (link, attributes) = message.split::<16>()?;
    let Some(info) = find(attributes.clone(), IFLA_LINKINFO)? else { return Ok(None) };
    if find(info.nested(), IFLA_INFO_KIND)?.is_none_or(|kind| kind.text() != b"tun") {
        return Ok(None);
    }
    let index = super::wire::u32_at(link, 4).unwrap_or_default();
    let alias = find(attributes, IFLA_IFALIAS)?;
    let mark = alias.and_then(|alias| Mark::parse(std::str::from_utf8(alias.text()).ok()?));
    // Whoever holds a tap may make it another user's; its alias not.
    if let Some(Mark::Lent(loan)) = mark {
        return Ok(Some(TapOwner { index, user: Some(loan.user) }));
    }
    let data = find(info.nested(), IFLA_INFO_DATA)?;
    let owner = data.map_or(Ok(None), |data| find(data.nested(), IFLA_TUN_OWNER))?;
    Ok(Some(TapOwner { index, user: owner.map(|owner| owner.u32()).transpose()? }))
}

#[cfg(test)]
#[path = "lent_tests.rs"]
mod tests;
