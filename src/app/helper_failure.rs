//! Why the helper lends nothing, in one line, and the exit code that says so.

use std::fmt;

use nix::errno::Errno;

use super::admission::Denied;
use super::failure::{code, exit_code};
use crate::kernel;

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
                ("a device or table is not there", "an administrator mends it: modprobe -a tun nf_tables; vnet repair")
            }
            Errno::EUCLEAN => {
                ("the firewall's tables are not as vnet makes them", "an administrator mends it: vnet repair")
            }
            Errno::ETIME => ("it was held up for long, and what is allowed may have changed", "start the guest again"),
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
        // A request that ends with a clause has its comma for a verb.
        let request = self.error.request.trim_end_matches(',');
        write!(f, "cannot {}: {why} ({request}: {reason}); {remedy}; nothing is changed", self.step)
    }
}

impl std::error::Error for Failed {}

/// A user has as many taps as it may.
#[derive(Debug)]
pub(super) struct OverQuota {
    pub(super) user: u32,
    pub(super) quota: u32,
}

impl fmt::Display for OverQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, quota } = self;
        write!(
            f,
            "user {user} has used up its quota of taps, which is {quota}; stop a guest, or let an administrator raise \"quota\" in /etc/vnet/vnet.json"
        )
    }
}

impl std::error::Error for OverQuota {}

/// The helper was started without the capability that it is to have of its file.
#[derive(Debug)]
pub(super) struct Powerless(pub(super) kernel::Error);

impl fmt::Display for Powerless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the helper may not change the network ({}); root gives it that by setcap cap_net_admin+ep, and it has it where its file system is not mounted nosuid and nothing has set no_new_privs",
            self.0
        )
    }
}

impl std::error::Error for Powerless {}

/// The exit code for what keeps the helper from lending.
pub(super) fn helper_exit_code(error: &anyhow::Error) -> u8 {
    let lacks_privilege = error.downcast_ref().is_some_and(Failed::is_denied);
    match lacks_privilege || error.is::<Denied>() || error.is::<Powerless>() {
        true => code::NO_PRIVILEGE,
        false => exit_code(error),
    }
}
