//! Lends a tap: made, judged, prepared, guarded, attached, looked at, and handed over.

use std::fmt;
use std::time::Duration;

use nix::errno::Errno;

use super::admission::{Admission, Joins};
use super::failure::Refused;
use super::helper_call::Call;
use crate::kernel::sys::handover::UnixPeer;
use crate::kernel::{self, Guard, Lender};
use crate::model::{Elements, Link, Loan, Mac};
use crate::plan::{self, Berth, Refusal};

/// How long the other side may take to make room for the queue.
const PATIENCE: Duration = Duration::from_secs(10);

/// A step that failed. The tap goes with the process, so nothing is changed.
#[derive(Debug)]
pub(super) struct Failed {
    /// What was attempted, on what: `attach vu1000-0 to vn-lab`.
    step: String,
    error: kernel::Error,
}

impl Failed {
    /// What makes the error of a step that failed.
    pub(super) fn at(step: impl Into<String>) -> impl FnOnce(kernel::Error) -> Self {
        move |error| Self { step: step.into(), error }
    }

    /// Whether it is for want of a privilege.
    pub(super) const fn is_denied(&self) -> bool {
        self.error.is_denied()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (why, remedy) = match self.error.errno {
            _ if self.error.answer_lost => ("the kernel's answer was lost", "try again"),
            Errno::EPERM | Errno::EACCES => (
                "this process may not",
                "the helper needs cap_net_admin over the host's network, which it has not within a user namespace",
            ),
            Errno::EBADF => ("it is not open", "let QEMU run the helper, which gives it the socket"),
            Errno::ENOTSOCK | Errno::ENOTCONN | Errno::EAFNOSUPPORT | Errno::EPROTOTYPE => {
                ("it is no connected local socket", "let QEMU run the helper, which gives it the socket")
            }
            Errno::EMFILE | Errno::ENFILE => ("too few files may be open", "raise the limit: ulimit -n 64"),
            Errno::EXFULL => ("the bridge has 1,023 ports, the most it can have", "join another, or stop a guest"),
            Errno::EBUSY => {
                ("there is a link of that name", "stop the guest that has it; if none runs, root mends it: vnet repair")
            }
            Errno::ENOENT | Errno::ENXIO => {
                ("a device or table is not there", "an administrator mends it: modprobe tun nf_tables; vnet repair")
            }
            Errno::EUCLEAN => {
                ("the firewall's tables are not as vnet makes them", "an administrator mends it: vnet repair")
            }
            Errno::ESTALE => ("another program changed the tap at once", "start the guest again"),
            Errno::ENODEV => ("the bridge or the tap went away meanwhile", "start the guest again"),
            Errno::EINVAL => ("the bridge does not take it", "see with: ip -d link show"),
            Errno::ETIMEDOUT | Errno::EPIPE | Errno::ECONNRESET => {
                ("nobody takes it at the other end of the socket", "start the guest again")
            }
            Errno::ENOMEM | Errno::ENOBUFS => ("the kernel is out of memory", "free some and try again"),
            Errno::ERESTART => ("others change the firewall all the time", "try again"),
            _ => ("the kernel refused", "try again, and report it if it stays so"),
        };
        let reason = self.error.reason();
        write!(f, "cannot {}: {why} ({}: {reason}); {remedy}; nothing is changed", self.step, self.error.request)
    }
}

impl std::error::Error for Failed {}

/// A user has as many taps as it may.
#[derive(Debug)]
pub(super) struct OverQuota {
    user: u32,
    quota: u32,
}

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, quota } = self;
        write!(
            f,
            "user {user} may have {quota} taps, and has as many; stop a guest, or let an administrator raise \"quota\" in /etc/vnet/vnet.json"
        )
    }
}

impl std::error::Error for OverQuota {}

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
    let berth = berth(admission, lender)?;
    let (tap, loan) = make(call, admission, lender)?;
    let mac = loan.mac.map_or_else(|| tap.mac.tap_end(), |mac| admission.tap_mac().unwrap_or_else(|| mac.tap_end()));
    let step = || format!("prepare {}", tap.name);
    lender.prepare(&tap, &loan, &mac, berth.mtu).map_err(Failed::at(step()))?;
    count(admission, lender)?;
    let elements = elements(admission, &tap, &loan);
    let mut hand_over = || {
        guard(admission, lender, &tap, &elements)?;
        join(admission, lender, &tap, (&loan, mac, &berth))?;
        peer.send(lender.queue(), PATIENCE).map_err(Failed::at("hand the tap over"))
    };
    if let Err(error) = hand_over() {
        // An answer that was lost may have been that it is guarded. What guards a tap that is gone harms nobody, and the
        // next run takes it out.
        let _ = lender.unguard(&elements, admission.mark);
        return Err(error.into());
    }
    let mut notes = berth.notes;
    if let (Some(mac), false) = (loan.mac, loan.of_guest_file) {
        notes.push(format!("the guest has to have the MAC {mac}: -device ...,mac={mac}"));
    }
    Ok(notes.into_iter().map(|note| format!("{}: {note}", tap.name)).collect())
}

/// Where the tap joins, now that nothing can be opened any more.
fn berth(admission: &Admission, lender: &mut Lender) -> anyhow::Result<Berth> {
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
    let guest = match &admission.joins {
        Joins::Network(_, guest) => guest.as_ref(),
        Joins::Bridge(..) => None,
    };
    let name = guest.map_or_else(|| Loan::name_pattern(user), |guest| guest.tap.to_string());
    let made = lender.make(&name, user, call.checksums);
    let tap = made.map_err(Failed::at(format!("make the tap {}", name.replace("%d", "N"))))?;
    let (network, mac) = match &admission.joins {
        Joins::Network(network, guest) => {
            let known = guest.as_ref().and_then(|guest| guest.mac);
            let derived = || Loan::derived_mac(&admission.machine_id, &network.name, &tap.name);
            (Some(network.name.clone()), Some(known.unwrap_or_else(derived)))
        }
        Joins::Bridge(..) => (None, None),
    };
    Ok((tap, Loan { network, user, mac, of_guest_file: guest.is_some() }))
}

/// Counts after the tap is made: so nobody gets over the quota by being two at once.
fn count(admission: &Admission, lender: &mut Lender) -> anyhow::Result<()> {
    let accounts = lender.accounts().map_err(Failed::at("count the user's taps"))?;
    let (user, quota) = (admission.user, admission.quota);
    let taps = accounts.iter().filter(|account| account.user == Some(user)).count();
    if u32::try_from(taps).is_ok_and(|taps| taps <= quota) { Ok(()) } else { Err(OverQuota { user, quota }.into()) }
}

fn elements(admission: &Admission, tap: &Link, loan: &Loan) -> Elements {
    let guest = match &admission.joins {
        Joins::Network(_, guest) => guest.as_ref(),
        Joins::Bridge(..) => None,
    };
    let addresses = guest.map_or(&[][..], |guest| &guest.addresses);
    loan.mac.map_or_else(Elements::new, |mac| plan::guard(tap.index, admission.bridge(), mac, addresses))
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
    (loan, mac, berth): (&Loan, Mac, &Berth),
) -> Result<(), Failed> {
    let step = || format!("attach {} to {}", tap.name, admission.bridge());
    let bpdu_guard = berth.stp && admission.guards();
    lender.join(tap, berth.bridge, admission.hairpin, bpdu_guard).map_err(Failed::at(step()))?;
    let (now, master) = lender.look(tap).map_err(Failed::at(step()))?;
    let as_it_should_be = master == Some(berth.bridge)
        && now.up
        && now.mac == mac
        && now.mtu == berth.mtu
        && now.alias.as_deref() == Some(loan.to_string().as_str());
    if as_it_should_be {
        return Ok(());
    }
    let error = kernel::Error::new("looking at it again", Errno::ESTALE);
    Err(Failed { step: step(), error })
}
