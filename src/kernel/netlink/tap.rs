//! Guests' links that stay: those on a network card are made here, and both kinds are looked at.

use super::link::{
    IFLA_ADDRESS, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, NLM_F_CREATE, NLM_F_EXCL, RTM_NEWLINK,
    ask, header,
};
use super::link_read::find;
use super::socket::{Socket, malformed};
use super::wire::{Attributes, Malformed, Message, Request};
use crate::kernel::error::Error;
use crate::model::{Direct, IfName, Mac, TapState, Variant};

// linux/if.h
/// All that is sent to groups comes in, and not only what is for the groups that the host joined there.
const IFF_ALLMULTI: u32 = 0x200;
// linux/if_link.h
const IFLA_LINK: u16 = 5;
const IFLA_GROUP: u16 = 27;
const IFLA_CARRIER: u16 = 33;
/// There where the card lies in another network namespace: then its index is none of this one's.
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
/// Frames are told apart by the addresses in them, and go on as frames.
const IPVLAN_MODE_L2: u16 = 0;
const IFLA_TUN_OWNER: u16 = 1;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;

/// Variants of the macvtap, with the kernel's numbers (`MACVLAN_MODE_*`).
const MACVTAP: [(Variant, u32); 4] =
    [(Variant::Private, 1), (Variant::Vepa, 2), (Variant::Bridge, 4), (Variant::Passthru, 8)];
/// Variants of the ipvtap, with the kernel's flags (`IPVLAN_F_*`).
const IPVTAP: [(Variant, u16); 3] = [(Variant::Bridge, 0), (Variant::Private, 1), (Variant::Vepa, 2)];

/// A guest's link as the kernel tells of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its own MAC.
    pub mac: Mac,
    /// Whether frames get through.
    pub carrier: bool,
    /// The group of links that it belongs to.
    pub group: u32,
    /// What it is.
    pub form: SeenForm,
}

/// What a guest's link is.
#[derive(Debug, PartialEq, Eq)]
pub enum SeenForm {
    /// A tap, with its owner, and whether it takes several queues.
    Tap(Option<u32>, bool),
    /// A link on the network card of this index.
    Direct(u32, Direct),
}

/// Creates a link on the network card of this index, down, in the group that says that it is ours. A macvtap takes what is sent
/// to groups, whichever they are: the guest's are not the host's to know, and without them nobody finds the guest's IPv6
/// addresses (RFC 4861, section 7.2.1).
pub fn direct_create(socket: &mut Socket, name: &IfName, card: u32, direct: Direct, mac: &Mac) -> Result<(), Error> {
    // An ipvtap's would stay with its card when it goes.
    let groups = if matches!(direct, Direct::Macvtap(_)) { IFF_ALLMULTI } else { 0 };
    let mut request = Request::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header(0, groups, groups))
        .attr_text(IFLA_IFNAME, name.as_str())
        .attr_u32(IFLA_LINK, card)
        .attr_u32(IFLA_GROUP, TapState::OURS);
    if !direct.has_the_cards_mac() {
        request = request.attr(IFLA_ADDRESS, mac.bytes());
    }
    let request = request.nest(IFLA_LINKINFO, |info| {
        info.attr_text(IFLA_INFO_KIND, direct.kind()).nest(IFLA_INFO_DATA, |data| match direct {
            Direct::Macvtap(variant) => data.attr_u32(IFLA_MACVLAN_MODE, number(&MACVTAP, variant)),
            Direct::Ipvtap(variant) => data
                .attr(IFLA_IPVLAN_MODE, &IPVLAN_MODE_L2.to_ne_bytes())
                .attr(IFLA_IPVLAN_FLAGS, &number(&IPVTAP, variant).to_ne_bytes()),
        })
    });
    socket.change(request).map_err(|error| error.of(format!("RTM_NEWLINK of {name}")))
}

/// The kernel's number of a variant; what the kernel has no number for it refuses.
fn number<T: Copy + Default>(variants: &[(Variant, T)], variant: Variant) -> T {
    variants.iter().find(|(known, _)| *known == variant).map(|(_, number)| *number).unwrap_or_default()
}

/// What there is to know of the link with this index; `None` if it is none that a guest may have.
pub fn tap_by_index(socket: &mut Socket, index: u32) -> Result<Option<Seen>, Error> {
    let read = |message: &Message<'_>| tap_read(message).map_err(malformed);
    socket.get(ask(index), read).map_err(|error| error.of(format!("looking up link number {index}")))
}

pub(super) fn tap_read(message: &Message<'_>) -> Result<Option<Seen>, Malformed> {
    let (_, attributes) = message.split::<16>()?;
    let number = |kind| find(attributes.clone(), kind)?.map(|attribute| attribute.u32()).transpose();
    let (mut kind, mut data) = (None, None);
    if let Some(info) = find(attributes.clone(), IFLA_LINKINFO)? {
        kind = find(info.nested(), IFLA_INFO_KIND)?.map(|kind| kind.text());
        data = find(info.nested(), IFLA_INFO_DATA)?.map(|data| data.nested());
    }
    let (Some(kind), Some(data)) = (kind, data) else { return Ok(None) };
    let elsewhere = find(attributes.clone(), IFLA_LINK_NETNSID)?.is_some();
    let form = match (kind, number(IFLA_LINK)?.filter(|_| !elsewhere)) {
        (b"tun", _) => Some(SeenForm::Tap(
            find(data.clone(), IFLA_TUN_OWNER)?.map(|owner| owner.u32()).transpose()?,
            find(data.clone(), IFLA_TUN_MULTI_QUEUE)?.is_some_and(|many| many.u8().is_ok_and(|many| many != 0)),
        )),
        (b"macvtap", Some(card)) => macvtap_read(data)?.map(|direct| SeenForm::Direct(card, direct)),
        (b"ipvtap", Some(card)) => ipvtap_read(data)?.map(|direct| SeenForm::Direct(card, direct)),
        _ => None,
    };
    let mac =
        find(attributes.clone(), IFLA_ADDRESS)?.and_then(|mac| mac.payload.first_chunk().copied()).unwrap_or_default();
    let carrier = find(attributes.clone(), IFLA_CARRIER)?.is_some_and(|carrier| carrier.u8().is_ok_and(|on| on != 0));
    let group = number(IFLA_GROUP)?.unwrap_or_default();
    Ok(form.map(|form| Seen { mac: Mac::from_bytes(mac), carrier, group, form }))
}

/// `None` for a mode that no network of ours has.
fn macvtap_read(data: Attributes<'_>) -> Result<Option<Direct>, Malformed> {
    let Some(mode) = find(data.clone(), IFLA_MACVLAN_MODE)?.map(|mode| mode.u32()).transpose()? else {
        return Ok(None);
    };
    let known = MACVTAP.iter().find(|(_, number)| *number == mode);
    Ok(known.map(|(variant, _)| Direct::Macvtap(*variant)))
}

/// `None` for a mode that no network of ours has.
fn ipvtap_read(data: Attributes<'_>) -> Result<Option<Direct>, Malformed> {
    let number = |kind| find(data.clone(), kind)?.map(|attribute| attribute.u16()).transpose();
    let (mode, flags) = (number(IFLA_IPVLAN_MODE)?, number(IFLA_IPVLAN_FLAGS)?);
    let known = IPVTAP.iter().find(|(_, flag)| mode == Some(IPVLAN_MODE_L2) && flags == Some(*flag));
    Ok(known.map(|(variant, _)| Direct::Ipvtap(*variant)))
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
