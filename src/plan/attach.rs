//! A tap joins its network.

use super::addr_gen::around_mtu;
use super::network::prepare;
use super::{Plan, Refusal, Wanted};
use crate::config::{Guest, Mode, Network};
use crate::model::{AddrGen, Change, Former, FramesFiltered, IfName, Kind, Link, Mac, Mark, Mtu, Setting, Snapshot};

/// What makes the tap of this name a port of the network's bridge, and before that makes the bridge, where it is ours
/// and absent, and the network around it.
///
/// # Errors
/// Why nothing should be changed: the tap or the bridge is missing, is of the wrong kind or is another's.
pub fn attach(
    name: &IfName,
    joins: (&Network, Option<&Guest>),
    wanted: Option<&Wanted>,
    snapshot: &Snapshot,
) -> Result<Plan, Refusal> {
    if let Mode::Direct(_) = joins.0.mode {
        return Err(Refusal::NotByHook(joins.0.bridge.clone()));
    }
    attach_as(name, joins, wanted, snapshot, None)
}

/// The same for a tap that gets this mark; `None` leaves that to what it is.
pub(super) fn attach_as(
    name: &IfName,
    (network, guest): (&Network, Option<&Guest>),
    wanted: Option<&Wanted>,
    snapshot: &Snapshot,
    as_mark: Option<Mark>,
) -> Result<Plan, Refusal> {
    let tap = snapshot.tap.as_ref().ok_or(Refusal::NoSuchLink)?;
    if tap.name != *name {
        return Err(Refusal::AlternativeName(tap.name.clone()));
    }
    admit(tap, network)?;
    if let Some(address) = snapshot.tap_addresses.first() {
        return Err(Refusal::HasAddress(*address));
    }
    let mut plan = Plan::default();
    let mtu = prepare(&mut plan, network, wanted, snapshot)?;
    admit_mtu(tap, network, mtu)?;
    let joining = Joining {
        tap,
        mark: as_mark,
        mac: guest.and_then(Guest::wanted_tap_mac),
        mtu,
        holds_queue: Some(snapshot.holds_queue),
        hairpin: snapshot.hairpin,
        sends_back: sends_back(network, snapshot.frames_filtered),
    };
    port(&mut plan, network, &joining);
    Ok(plan)
}

/// A tap that may join, and what it shall have.
pub(super) struct Joining<'a> {
    pub(super) tap: &'a Link,
    /// The mark that it shall have, where that is not the usual one.
    pub(super) mark: Option<Mark>,
    /// The MAC that its guest's file asks for.
    pub(super) mac: Option<Mac>,
    /// In bytes.
    pub(super) mtu: u32,
    /// Whether a queue of it was left open in this process; `None` where that is no matter now.
    pub(super) holds_queue: Option<bool>,
    /// Whether it sends back what came in by it, and whether it shall.
    pub(super) hairpin: bool,
    pub(super) sends_back: bool,
}

/// Whether the link can have the MTU.
pub(super) fn admit_mtu(tap: &Link, network: &Network, mtu: u32) -> Result<(), Refusal> {
    let (least, most) = tap.mtu_range;
    if mtu == tap.mtu || (mtu >= least && (most == 0 || mtu <= most)) {
        return Ok(());
    }
    let range = tap.mtu_range;
    Err(match network.mode {
        Mode::Own(_) => Refusal::Mtu { wanted: mtu, range },
        _ => Refusal::BridgeMtu { wanted: mtu, range },
    })
}

/// Whether the link may become a port at all, and is not in another's hands.
pub(super) fn admit(tap: &Link, network: &Network) -> Result<(), Refusal> {
    if tap.name == network.bridge {
        return Err(Refusal::IsItsOwnBridge);
    }
    if let Kind::Bridge(_) = tap.kind {
        return Err(Refusal::IsABridge);
    }
    if !tap.ethernet {
        return Err(Refusal::NotEthernet(tap.kind.clone()));
    }
    if tap.kind == Kind::Device {
        return Err(Refusal::IsADevice);
    }
    if let Some(alias) = tap.foreign_alias() {
        return Err(Refusal::ForeignAlias(alias.to_owned()));
    }
    match tap.mark() {
        Some(Mark::Persistent(owner)) if owner != network.name => return Err(Refusal::TapOfAnother(owner)),
        Some(Mark::Lent(loan)) if loan.network.as_ref() != Some(&network.name) => return Err(Refusal::Lent(loan.user)),
        _ => {}
    }
    match &tap.master {
        Some(master) if master.name != network.bridge && !was_put_into(tap, &master.name) => {
            Err(Refusal::InAnother(master.name.clone()))
        }
        _ => Ok(()),
    }
}

/// Whether the tap is in this bridge because we put it there, or gave it back and were killed before all was given.
fn was_put_into(tap: &Link, bridge: &IfName) -> bool {
    let Some(Mark::Port(_, Some(former))) = tap.mark() else { return false };
    former.bridge == *bridge || former.master.as_ref() == Some(bridge)
}

/// Whether the tap was a port of some bridge before it was marked.
fn was_port_before(tap: &Link) -> bool {
    match tap.mark() {
        Some(Mark::Port(_, Some(former))) => former.master.is_some(),
        Some(_) => false,
        None => tap.master.is_some(),
    }
}

/// Marks the tap, gives it what a port needs, attaches it and sets it up.
pub(super) fn port(plan: &mut Plan, network: &Network, joining: &Joining<'_>) {
    let Joining { tap, mtu, .. } = *joining;
    let name = &tap.name;
    let mut master = tap.master.as_ref().map(|master| master.name.clone());
    if master.as_ref().is_some_and(|master| *master != network.bridge) {
        // Out of where we put it, as long as its mark says so.
        plan.change(name, Setting::Master(Change::new(master.take(), None)));
    }
    let mark = joining.mark.clone().unwrap_or_else(|| mark(network, tap)).to_string();
    plan.change(name, Setting::Alias(Change::new(tap.alias.clone(), Some(mark))));
    if let Some(holds_queue) = joining.holds_queue {
        close(plan, tap, holds_queue);
    }
    // A tap that is up has its IPv6 address already; going down takes it away.
    let starts_up = tap.up && (mtu < Mtu::IPV6_MIN || tap.addr_gen.is_none_or(|mode| mode == AddrGen::None));
    plan.set_up(name, tap.up, starts_up);
    let (before, after) = around_mtu(tap, mtu, Some(AddrGen::None));
    before.into_iter().for_each(|setting| plan.change(name, setting));
    plan.change(name, Setting::Mtu(Change::new(tap.mtu, mtu)));
    let mac = match joining.mac {
        Some(mac) => mac,
        // A bridge that has no address of its own takes its lowest port's: this is never that. One that is a port
        // already may be the lowest.
        None if network.own().is_none() && !was_port_before(tap) => tap.mac.tap_end(),
        None => tap.mac,
    };
    plan.change(name, Setting::Mac(Change::new(tap.mac, mac)));
    after.into_iter().for_each(|setting| plan.change(name, setting));
    let was_port = master.is_some();
    plan.change(name, Setting::Master(Change::new(master, Some(network.bridge.clone()))));
    plan.change(name, Setting::Hairpin(Change::new(was_port && joining.hairpin, joining.sends_back)));
    plan.set_up(name, starts_up, true);
}

/// Whether a port has to send back what came in by it: where the firewall sees bridged frames, what a guest sends to
/// itself by way of a forward is translated within the bridge.
pub fn sends_back(network: &Network, frames: FramesFiltered) -> bool {
    frames != FramesFiltered::default() && network.own().is_some_and(|own| !own.forwards.is_empty())
}

/// Closes a tap that any user could open a queue of, and so hear and speak for the guest.
fn close(plan: &mut Plan, tap: &Link, holds_queue: bool) {
    if tap.is_open() && holds_queue && tap.goes_with_its_holder() {
        plan.change(&tap.name, Setting::Open(Change::new(true, false)));
    } else if tap.is_open() {
        plan.notes.push("any user who may open /dev/net/tun may open a queue of it".to_owned());
    }
}

/// The mark for the tap: one that outlives its guest also says what it was before, once.
fn mark(network: &Network, tap: &Link) -> Mark {
    let former = match tap.mark() {
        Some(Mark::Port(_, former)) => former.map(|former| Former { bridge: network.bridge.clone(), ..former }),
        Some(Mark::Owned(owner, seal)) if owner == network.name => return Mark::Owned(owner, seal),
        Some(Mark::Persistent(owner)) if owner == network.name => return Mark::Persistent(owner),
        Some(Mark::Lent(loan)) => return Mark::Lent(loan),
        _ if tap.goes_with_its_holder() => None,
        _ => Some(Former {
            up: tap.up,
            mtu: tap.mtu,
            addr_gen: tap.addr_gen,
            mac: tap.mac,
            bridge: network.bridge.clone(),
            master: tap.master.as_ref().map(|master| master.name.clone()),
        }),
    };
    Mark::Port(network.name.clone(), former)
}
