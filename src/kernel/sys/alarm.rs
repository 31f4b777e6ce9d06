//! A timer that interrupts a blocking call.
#![allow(unsafe_code)]

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// How often the signal comes again: the first one may arrive just before the call that it should interrupt.
const AGAIN: Duration = Duration::from_millis(50);

/// While it lives, a blocking call that is still waiting after the given time fails with `EINTR`.
#[derive(Debug)]
pub struct Alarm(());

extern "C" fn interrupt(_: libc::c_int) {}

impl Alarm {
    /// Starts the timer.
    pub fn after(time: Duration) -> Result<Self, Errno> {
        // QEMU starts its children with SIGALRM blocked.
        SigSet::from(Signal::SIGALRM).thread_unblock()?;
        // Without SA_RESTART, so that the call is interrupted for good.
        let action = SigAction::new(SigHandler::Handler(interrupt), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing, which is safe at any moment.
        unsafe { sigaction(Signal::SIGALRM, &action) }?;
        set(time.max(Duration::from_millis(1)), AGAIN)?;
        Ok(Self(()))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // Stopping a timer cannot fail, and a handler that does nothing may stay.
        let _ = set(Duration::ZERO, Duration::ZERO);
    }
}

fn set(first: Duration, then: Duration) -> Result<(), Errno> {
    let timer = libc::itimerval { it_interval: timeval(then), it_value: timeval(first) };
    // SAFETY: the timer is whole and outlives the call; the old one is not asked for.
    let result = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}

fn timeval(time: Duration) -> libc::timeval {
    libc::timeval { tv_sec: time.as_secs().try_into().unwrap_or_default(), tv_usec: time.subsec_micros().into() }
}
