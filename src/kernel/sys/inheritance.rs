//! What a process inherits from whoever starts it, besides descriptors and credentials: a caller without privileges
//! must not decide by it what a program with privileges does.
//!
//! Only that is reset which could make a difference. A caller may end the program at any moment, for both have the same
//! real user (kill(2)): so a limit, a timer or a signal that ends it gives nobody anything. What matters is that it
//! does not go on with half of what it needs, tells nothing of itself, and never waits for a signal that cannot come.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::{Mode, umask};

use super::process;
use crate::kernel::error::Error;

/// More descriptors than the helper has open at once.
const DESCRIPTORS: rlim_t = 64;

/// Resets the environment, the umask, the limits and the signals, and lets no other process of the user look into this
/// one.
///
/// # Errors
/// The kernel's: then nothing can be relied on.
pub fn reset() -> Result<(), Error> {
    empty_environment()?;
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    hide_memory()?;
    reset_limits().map_err(|errno| Error::new("setrlimit", errno))?;
    reset_signals().map_err(|errno| Error::new("resetting the signals", errno))
}

/// Makes the process one that no other of the same user may trace, and that leaves no picture of itself (prctl(2),
/// `PR_SET_DUMPABLE`). The kernel forgets it when the credentials change.
///
/// # Errors
/// The kernel's.
pub fn hide_memory() -> Result<(), Error> {
    set_dumpable(false).map_err(|errno| Error::new("PR_SET_DUMPABLE", errno))
}

fn empty_environment() -> Result<(), Error> {
    // SAFETY: this process has one thread, and keeps no part of the environment.
    match unsafe { libc::clearenv() } {
        0 => Ok(()),
        _ => Err(Error::new("emptying the environment", Errno::ENOMEM)),
    }
}

/// A hard limit that is too low stays: then what is not to be had is an error where it is asked for.
fn reset_limits() -> Result<(), Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    match soft < DESCRIPTORS.min(hard) {
        true => setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard),
        false => Ok(()),
    }
}

fn reset_signals() -> Result<(), Errno> {
    process::ignore_broken_pipes();
    // SAFETY: ignoring a signal runs no code of ours: a file that may not grow is an error.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }?;
    // SAFETY: the default runs no code of ours.
    unsafe { signal(Signal::SIGALRM, SigHandler::SigDfl) }?;
    // Last, for one that was pending comes now.
    SigSet::empty().thread_set_mask()
}
