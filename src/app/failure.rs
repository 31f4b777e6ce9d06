//! What went wrong, in one line, and the exit code that says so.

use std::fmt;

use nix::errno::Errno;

use crate::config::Problem;
use crate::kernel;
use crate::model::{Change, NewTap, Operation, Setting, TapForm};
use crate::plan::Refusal;

/// Exit codes: those of sysexits.h where it has one.
pub(super) mod code {
    pub(super) const FAILED: u8 = 1;
    pub(super) const USAGE: u8 = 64;
    pub(in crate::app) const NO_PRIVILEGE: u8 = 77;
    pub(super) const CONFIG: u8 = 78;
}

/// The program was called wrongly.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The process may not change the network.
#[derive(Debug)]
pub struct NoPrivilege;

impl fmt::Display for NoPrivilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "changing the network needs root (CAP_NET_ADMIN); run vnet or QEMU as root, or give QEMU a tap made beforehand",
        )
    }
}

impl std::error::Error for NoPrivilege {}

/// The configuration is wrong.
#[derive(Debug)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "; also " };
            write!(f, "{comma}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Nothing was changed, for a reason that the plan found.
#[derive(Debug)]
pub struct Refused {
    /// The reason.
    pub refusal: Refusal,
    /// `FILE:LINE` of what asked for it.
    pub configured: Option<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.refusal.matter())?;
        if let Some(place) = &self.configured {
            write!(f, " (configured in {place})")?;
        }
        write!(f, "; {}", self.refusal.remedy())
    }
}

impl std::error::Error for Refused {}

/// An operation failed, and those before it were undone.
#[derive(Debug)]
pub struct Undone {
    /// Why it failed.
    pub cause: Cause,
    /// Whether what was done by then is of a kind that nothing undoes.
    pub stays: bool,
    /// What could not be undone.
    pub left: Vec<(Operation, kernel::Error)>,
}

/// Why a plan was not carried out.
#[derive(Debug)]
pub enum Cause {
    /// The kernel refused an operation.
    Kernel(Operation, kernel::Error),
    /// The deadline passed before an operation.
    TooLate(Operation),
    /// The kernel said that all is done, and it is not.
    NotSo(Vec<Operation>),
    /// What came of it could not be looked at.
    Unseen(String),
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Kernel(operation, error) => {
                let (why, remedy) = explain(operation, error);
                // What a link's setting asks of the kernel the operation says; of others the request says more.
                let request = if operation.link().is_some() { String::new() } else { format!("{}: ", error.request) };
                write!(f, "cannot {operation}: {why} ({request}{}); {remedy}", error.reason())?;
            }
            Cause::TooLate(operation) => {
                let time = super::deadline::Deadline::TIME.as_secs();
                write!(f, "gave up after {time} s, before it could {operation}; the machine is too busy, try again")?;
            }
            Cause::NotSo(missing) => {
                let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
                let missing = missing.join(", ");
                write!(
                    f,
                    "the kernel accepted the changes, but these are still to do: {missing}; another program works against them"
                )?;
            }
            Cause::Unseen(error) => write!(f, "cannot see what became of the changes: {error}; try again")?,
        }
        if self.stays {
            return f.write_str("; what was done by then stays so, and running it again goes on from there");
        }
        if self.left.is_empty() {
            return f.write_str("; nothing is changed");
        }
        for (operation, error) in &self.left {
            write!(f, "; and on the way back cannot {operation}: {}", error.reason())?;
        }
        Ok(())
    }
}

impl std::error::Error for Undone {}

/// Whether nothing is changed in spite of the error.
pub fn restored(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_none_or(|undone: &Undone| undone.left.is_empty() && !undone.stays)
}

/// What the kernel's refusal of an operation means, and what to do.
fn explain(operation: &Operation, error: &kernel::Error) -> (&'static str, &'static str) {
    let Operation::Link(_, setting) = operation else { return explain_host(operation, error) };
    let of_tap = match setting {
        Setting::Tap(change) if !error.answer_lost => explain_tap(change, error.errno),
        _ => None,
    };
    if let Some(explained) = of_tap {
        return explained;
    }
    match (setting, error.errno) {
        _ if error.answer_lost => ("the kernel's answer was lost", "try again"),
        (_, Errno::EPERM | Errno::EACCES) => ("this process may not", "run it as root"),
        (Setting::Sysctl(..), Errno::EROFS) => {
            ("/proc/sys may not be written here", "mount it writable, or run QEMU outside of the container")
        }
        (Setting::Master(_), Errno::EXFULL) => {
            ("the bridge has 1,023 ports, the most it can have", "use another bridge")
        }
        (Setting::Master(_), Errno::EBUSY) => (
            "another program holds the link, such as a macvlan on it",
            "give the guest's tap, or as uplink a card, which nobody else uses, in no container either",
        ),
        (Setting::Master(_), Errno::ELOOP) => {
            ("it would be a bridge in a bridge", "give the guest's tap, or as uplink what is on no bridge")
        }
        (Setting::Master(_), Errno::EINVAL) => {
            ("a bridge does not take this kind of link", "give the guest's tap, or as uplink an Ethernet card")
        }
        (Setting::Master(_), Errno::EOPNOTSUPP) => (
            "the link cannot be bridged, as Wi-Fi cannot, or the bridge is none",
            "give the guest's tap, and name a bridge; where the uplink is Wi-Fi use mode \"routed\" or \"nat\"",
        ),
        (Setting::Bridge(_), Errno::EEXIST) => ("another program made a link of that name just now", "try again"),
        (Setting::Bridge(_), Errno::EOPNOTSUPP) => ("this kernel has no bridges", "load the module bridge"),
        (Setting::Node(_), Errno::EEXIST) => (
            "something else has its place in /dev",
            "try again, for each link has another number; or remove that if nobody uses it",
        ),
        (Setting::Node(_), Errno::ENOENT) => (
            "/sys shows another network namespace, or there is no /dev",
            "mount /sys anew in this one: mount -t sysfs sysfs /sys",
        ),
        (Setting::Mtu(_), Errno::EINVAL) => ("the link cannot have that MTU", "change mtu in the network's file"),
        (Setting::Mac(_), Errno::EADDRNOTAVAIL) => ("the link cannot have that MAC", "change mac or tap_mac"),
        (Setting::Address(..), Errno::EADDRINUSE | Errno::EEXIST) => {
            ("the host has the address already", "choose another")
        }
        (_, Errno::ENODEV | Errno::ENXIO) => ("the link went away meanwhile", "start the guest again"),
        (_, Errno::ENOMEM | Errno::ENOBUFS) => ("the kernel is out of memory", "free some and try again"),
        _ => ("the kernel refused", "try again, and report it if it stays so"),
    }
}

/// The same for a guest's link that is made or removed.
const fn explain_tap(change: &Change<Option<NewTap>>, errno: Errno) -> Option<(&'static str, &'static str)> {
    let Some(NewTap { form, .. }) = &change.after else { return None };
    Some(match (form, errno) {
        (TapForm::Tap { .. }, Errno::EBUSY) | (TapForm::Direct { .. }, Errno::EEXIST) => {
            ("another program made a link of that name just now", "try again")
        }
        (TapForm::Tap { .. }, Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => {
            ("there is no /dev/net/tun", "load the module tun: modprobe tun")
        }
        (TapForm::Tap { .. }, Errno::EINVAL) => {
            ("there is no such user in this user namespace", "name one that is there")
        }
        (TapForm::Direct { .. }, Errno::EOPNOTSUPP) => {
            ("this kernel has no such links", "load the module macvtap or ipvtap, or let the mode be the other")
        }
        (TapForm::Direct { .. }, Errno::EBUSY | Errno::EINVAL) => (
            "the card takes no such link: it is a port, or what else is on it is of another mode or has it to itself",
            "see what is there: ip -d link show type macvtap; and choose another variant or uplink",
        ),
        _ => return None,
    })
}

/// The same for what is no link's setting.
fn explain_host(operation: &Operation, error: &kernel::Error) -> (&'static str, &'static str) {
    match (operation, error.errno) {
        _ if error.answer_lost => ("the kernel's answer was lost", "try again"),
        (Operation::Server(..), Errno::EACCES) if error.sentence.is_some() => {
            ("dnsmasq could not read or write a file", "see what it says, and what may keep it from that")
        }
        (Operation::Server(..), Errno::EACCES) => ("dnsmasq may not be run", "make it executable, or install it anew"),
        (Operation::Server(..), Errno::EEXIST) => {
            ("a link that it did not make has the name of its own", "remove or rename it: ip link show type veth")
        }
        (Operation::Server(..), Errno::EADDRINUSE) => {
            ("another program serves DHCP or DNS there", "see which with: ss -lnup, and stop it")
        }
        (_, Errno::EPERM | Errno::EACCES) => ("this process may not", "run it as root"),
        (Operation::Host(..), Errno::EROFS) => {
            ("/proc/sys may not be written here", "mount it writable, or run QEMU outside of the container")
        }
        (Operation::File(..), Errno::EROFS | Errno::ENOSPC) => {
            ("the file system takes nothing", "mount it writable, and see that it has room")
        }
        (
            Operation::Firewall(..) | Operation::Rebuild(_) | Operation::Docker(..),
            Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::ENOENT,
        ) => ("this kernel lacks a part of nf_tables", "load its modules: nf_tables, nft_nat, nft_masq, nft_fib_inet"),
        (Operation::Firewall(..), Errno::EEXIST) => ("another network has that already", "choose another"),
        (_, Errno::ENOMEM | Errno::ENOBUFS) => ("the kernel is out of memory", "free some and try again"),
        _ => ("it was refused", "try again, and report it if it stays so"),
    }
}

/// The exit code that tells programs what a person reads in the error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<Usage>() {
            return code::USAGE;
        } else if cause.is::<Problems>() {
            return code::CONFIG;
        } else if cause.is::<NoPrivilege>() || cause.downcast_ref().is_some_and(kernel::Error::is_denied) {
            return code::NO_PRIVILEGE;
        } else if let Some(Undone { cause: Cause::Kernel(_, error), .. }) = cause.downcast_ref() {
            return if error.is_denied() { code::NO_PRIVILEGE } else { code::FAILED };
        }
    }
    code::FAILED
}
