//! Lends a tap: judged where it joins, made, prepared, counted, guarded, attached, looked at, and handed over.

use std::time::Duration;

use nix::errno::Errno;

use super::admission::{Admission, Joins};
use super::failure::Refused;
use super::helper_call::Call;
use super::helper_failure::{Failed, OverQuota};
use crate::kernel::sys::clock;
use crate::kernel::sys::unix_peer::UnixPeer;
use crate::kernel::{self, Guard, Lender};
use crate::model::{Elements, Link, Loan, Mac};
use crate::plan::{self, BridgePort, Refusal};

/// Lends a tap to the admitted user, and hands it over.
///
/// # Errors
/// What keeps it from that; nothing is changed then.
pub(super) fn lend(
    call: &Call,
    admission: &Admission,
    lender: &mut Lender,
    peer: &UnixPeer,
) -> anyhow::Result<Vec<String>> {
    let port = port_find(admission, lender)?;
    // Where the network is not up its server knows nobody, and that is not what is wrong.
    admission.refuse_unknown()?;
    // Before and after: whoever is stopped half-way counts, and nobody gets over the quota by being two at once.
    count(admission, lender, 1)?;
    let (tap, loan) = make(call, admission, lender)?;
    let mac = plan::tap_mac(&loan, admission.guest()).unwrap_or_else(|| tap.mac.tap_end());
    let step = || format!("prepare {}", tap.name);
    lender.prepare(&tap, &loan, &mac, port.mtu).map_err(Failed::at(step()))?;
    count(admission, lender, 0)?;
    let elements = elements(admission, &tap, &loan);
    let mut hand_over = || {
        guard(admission, lender, &tap, &elements)?;
        join(admission, lender, &tap, (&loan, mac, &port))?;
        let step = || format!("hand {} over", tap.name);
        let time_left = time_left(admission).map_err(Failed::at(step()))?;
        peer.send(lender.queue(), time_left).map_err(Failed::at(step()))
    };
    if let Err(error) = hand_over() {
        // An answer that was lost may have been that it is guarded. What guards a tap that is gone harms nobody, and the
        // next run takes it out.
        let _ = lender.unguard(&elements, admission.mark);
        return Err(error.into());
    }
    let mut notes = port.notes;
    if admission.is_pinned == Some(false) {
        let bridge = admission.bridge();
        notes.push(format!(
            "nobody set the MAC of {bridge}, so guests can change it; root does: ip link set dev {bridge} address MAC"
        ));
    }
    if let (Some(mac), false) = (loan.mac, loan.of_guest_file) {
        notes.push(format!("the guest has to have the MAC {mac}: -device ...,mac={mac}"));
    }
    Ok(notes.into_iter().map(|note| format!("{}: {note}", tap.name)).collect())
}

/// Where the tap joins, now that nothing can be opened any more.
fn port_find(admission: &Admission, lender: &mut Lender) -> anyhow::Result<BridgePort> {
    let name = admission.bridge();
    let bridge = lender.link(name).map_err(Failed::at(format!("look for {name}")))?;
    let refused = |refusal: Refusal| anyhow::Error::from(Refused { refusal, configured: None });
    match &admission.joins {
        Joins::Network(network, _) => plan::lend(network, bridge.as_ref()).map_err(refused),
        // Judged by the name that the kernel itself gives it.
        Joins::Bridge(_, rules) => match bridge.filter(|bridge| rules.allow(&bridge.name)) {
            Some(bridge) => plan::lend_bridge(&bridge).map_err(refused),
            None => Err(admission.denied().into()),
        },
    }
}

/// Makes the tap, and says what it is lent for.
fn make(call: &Call, admission: &Admission, lender: &mut Lender) -> anyhow::Result<(Link, Loan)> {
    let user = admission.user;
    let guest = admission.guest();
    let name = guest.map_or_else(|| Loan::name_pattern(user), |guest| guest.tap.to_string());
    let made = lender.make(&name, user, call.checksums);
    let step = || format!("make the tap {}", name.replace("%d", "N"));
    let tap = made.map_err(Failed::at(step()))?;
    let is_new = tap.goes_with_its_holder() && tap.alias.is_none() && !tap.up;
    if !is_new {
        // Whoever renames links can give another the name at once.
        return Err(Failed::at(step())(kernel::Error::new("looking at it", Errno::ESTALE)).into());
    }
    let (network, mac) = match &admission.joins {
        Joins::Network(network, _) => {
            let known = guest.and_then(|guest| guest.mac);
            let derived = || Loan::derived_mac(&admission.machine_id, &network.name, &tap.name);
            (Some(network.name.clone()), Some(known.unwrap_or_else(derived)))
        }
        Joins::Bridge(..) => (None, None),
    };
    Ok((tap, Loan { network, user, mac, of_guest_file: guest.is_some() }))
}

/// Whether the user may have the taps that it has, and so many more.
fn count(admission: &Admission, lender: &mut Lender, more: usize) -> anyhow::Result<()> {
    let owners = lender.tap_owners().map_err(Failed::at("count the user's taps"))?;
    let (user, quota) = (admission.user, admission.quota);
    let taps = owners.iter().filter(|tap| tap.user == Some(user)).count() + more;
    if u32::try_from(taps).is_ok_and(|taps| taps <= quota) { Ok(()) } else { Err(OverQuota { user, quota }.into()) }
}

fn elements(admission: &Admission, tap: &Link, loan: &Loan) -> Elements {
    let addresses = admission.guest().map_or(&[][..], |guest| &guest.addresses);
    loan.mac.map_or_else(Elements::new, |mac| plan::guard_elements(tap.index, admission.bridge(), mac, addresses))
}

/// Guards the tap, where it joins a network.
fn guard(admission: &Admission, lender: &mut Lender, tap: &Link, elements: &Elements) -> Result<(), Failed> {
    let Joins::Network(network, _) = &admission.joins else { return Ok(()) };
    let guard = Guard {
        network: &network.name,
        bridge: &network.bridge,
        is_ours: network.own().is_some(),
        elements,
        mark: admission.mark,
    };
    lender.guard(&guard).map_err(Failed::at(format!("guard {}", tap.name)))
}

/// Attaches the tap, and looks whether all is as it should be.
fn join(
    admission: &Admission,
    lender: &mut Lender,
    tap: &Link,
    (loan, mac, port): (&Loan, Mac, &BridgePort),
) -> Result<(), Failed> {
    let step = || format!("attach {} to {}", tap.name, admission.bridge());
    lender.join(tap, port.bridge, admission.hairpin, admission.is_guarded()).map_err(Failed::at(step()))?;
    let (now, master) = lender.look(tap).map_err(Failed::at(step()))?;
    let as_it_should_be = master == Some(port.bridge)
        && now.up
        && now.mac == mac
        && now.mtu == port.mtu
        && now.alias.as_deref() == Some(loan.to_string().as_str());
    if as_it_should_be {
        return Ok(());
    }
    Err(Failed::at(step())(kernel::Error::new("looking at it again", Errno::ESTALE)))
}

/// How long what was read of the files is good: who was stopped for long was told long ago what is allowed.
fn time_left(admission: &Admission) -> Result<Duration, kernel::Error> {
    let left = admission.until.checked_sub(clock::now()).filter(|left| !left.is_zero());
    left.ok_or_else(|| kernel::Error::new("doing that in time", Errno::ETIME))
}
