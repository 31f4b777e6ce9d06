//! How a link makes its IPv6 address, while its MTU changes.

use crate::model::{AddrGen, Change, Link, Mtu, Setting};

/// What is to be changed before the link gets the MTU, and what after.
///
/// The kernel takes IPv6 from a link whose MTU cannot carry it, forgets the mode, and begins anew with `eui64` when
/// the MTU grows: so the mode becomes that before the MTU shrinks, and the wanted one after it grew.
pub(super) fn around_mtu(link: &Link, mtu: u32, wanted: Option<AddrGen>) -> (Option<Setting>, Option<Setting>) {
    let change = |(before, after)| Setting::AddrGen(Change::new(before, after));
    match (link.mtu < Mtu::IPV6_MIN, mtu < Mtu::IPV6_MIN) {
        (false, true) => (link.addr_gen.zip(Some(AddrGen::Eui64)).map(change), None),
        (true, false) => (None, Some(AddrGen::Eui64).zip(wanted).map(change)),
        _ => (None, link.addr_gen.zip(wanted).map(change)),
    }
}
