//! What guards the taps that the helper lent, as their marks and their guests' files say.

use std::collections::BTreeSet;

use super::observe::seen;
use super::others::others;
use super::settings::Settings;
use crate::config::{Guest, Network};
use crate::kernel::Host;
use crate::model::{Element, Elements, Firewall, Guarding, IfName, Link, Loan, NetworkName, Port, Tables};
use crate::plan::{self, Wanted};

/// Completes what is wanted of a network with what guards its lent taps, and passes over those that came since the first look,
/// in what the firewall holds and among the ports as well. One that its helper has yet to attach is no port.
///
/// The links have to be looked at after the firewall: whoever lends a tap makes it before what guards it, so what guards no
/// link of these guards one that is gone.
pub(super) fn guard_lent(
    settings: &Settings,
    links: &[Link],
    network: &Network,
    wanted: &mut Wanted,
    (firewall, ports): (Option<&mut Firewall>, &mut Vec<Port>),
) {
    let known = wanted.lent.get_or_insert_with(|| lent(links).map(|(link, _)| link.index).collect());
    let new: BTreeSet<_> = lent(links).map(|(link, _)| link.index).filter(|index| !known.contains(index)).collect();
    let is_new = |index: Option<u32>| index.is_some_and(|index| new.contains(&index));
    ports.retain(|port| !is_new(Some(port.link.index)) && !port.link.is_being_lent());
    firewall.into_iter().for_each(|firewall| firewall.elements.retain(|(_, element)| !is_new(element.guarded())));
    let of_network =
        lent(links).filter(|(link, loan)| loan.network.as_ref() == Some(&network.name) && !is_new(Some(link.index)));
    wanted.guard(of_network.flat_map(|lent| guard_of_loan(settings, &network.bridge, lent)).collect());
}

/// What the firewall holds for the lent taps of a network on a LAN, which has nothing else there; `None` where there is
/// nothing to hold and nothing held.
pub(super) fn guarding(
    host: &mut Host,
    settings: &Settings,
    network: &Network,
    wanted: &mut Wanted,
    ports: &mut Vec<Port>,
) -> anyhow::Result<Option<Guarding>> {
    let mut found = seen(host.firewall());
    let links = host.links()?;
    let firewall = found.as_mut().ok().and_then(Option::as_mut);
    guard_lent(settings, &links, network, wanted, (firewall, ports));
    let firewall = match found {
        // A kernel without nf_tables is good for a LAN on which nobody is guarded.
        Err(_) if wanted.elements.is_empty() => return Ok(None),
        found => found?,
    };
    let Some(firewall) = firewall else { return Ok(None) };
    let others = match firewall.tables {
        Tables::Whole => Vec::new(),
        Tables::Absent | Tables::Damaged => others(settings, Some(&network.name), &links, &firewall.elements),
    };
    let held = !wanted.elements.is_empty() || !firewall.of(&network.name).is_empty();
    Ok(held.then_some(Guarding { firewall, others }))
}

/// What guards the lent taps of all networks but one.
pub(super) fn guards_of_others(
    settings: &Settings,
    links: &[Link],
    network: Option<&NetworkName>,
) -> Vec<(NetworkName, Element)> {
    let mut all = Vec::new();
    for (link, loan) in lent(links) {
        let Some(owner) = loan.network.clone().filter(|owner| Some(owner) != network) else { continue };
        // Where nobody knows any more on which bridge it is, it is held to its MAC and its addresses all the same.
        let bridge = bridge_of(settings, links, &owner).unwrap_or_else(|| link.name.clone());
        all.extend(guard_of_loan(settings, &bridge, (link, loan)).into_iter().map(|element| (owner.clone(), element)));
    }
    all
}

fn bridge_of(settings: &Settings, links: &[Link], network: &NetworkName) -> Option<IfName> {
    let configured = settings.store.network(network).ok().flatten().map(|network| network.bridge);
    let is_its = |link: &&Link| link.is_bridge() && link.mark().is_some_and(|mark| mark.is_of(network));
    configured.or_else(|| links.iter().find(is_its).map(|link| link.name.clone()))
}

fn lent(links: &[Link]) -> impl Iterator<Item = (&Link, Loan)> {
    links.iter().filter_map(|link| Some((link, link.loan()?)))
}

/// A guest file that cannot be read any more, or that is another guest's by now, says nothing of its addresses.
fn guard_of_loan(settings: &Settings, bridge: &IfName, (link, loan): (&Link, Loan)) -> Elements {
    let Some(mac) = loan.mac else { return Elements::new() };
    let file = if loan.of_guest_file { settings.store.guest(&link.name).ok().flatten() } else { None };
    let guest: Option<Guest> = file.filter(|guest| guest.mac.is_none_or(|named| named == mac));
    plan::guard_elements(link.index, bridge, mac, guest.as_ref().map_or(&[][..], |guest| &guest.addresses))
}
