//! What a process inherits and should not keep. Each is mended where it matters, for a call that is not made costs
//! nothing: the signal mask with the [`super::alarm`], the umask where a directory is made.
#![allow(unsafe_code)]

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

/// The program's first descriptor, moved above standard input, output and error if these were closed, which are then
/// /dev/null: else what is written to standard error would go where the first descriptor leads.
///
/// # Errors
/// Those of opening /dev/null.
pub fn above_standard(first: OwnedFd) -> io::Result<OwnedFd> {
    const LAST_STANDARD: i32 = libc::STDERR_FILENO;
    // The kernel gives the lowest free number: one above means that those below are open.
    if first.as_raw_fd() > LAST_STANDARD {
        return Ok(first);
    }
    // The standard library duplicates to a number above these three.
    let moved = first.try_clone()?;
    drop(first);
    loop {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > LAST_STANDARD {
            return Ok(moved);
        }
        let _ = null.into_raw_fd();
    }
}

/// Lets a panic, which is a mistake in this program, say where it happened and nothing else: the printing of backtraces
/// is not in the static builds (layout.ld).
pub fn panic_plainly() {
    std::panic::set_hook(Box::new(|mistake| {
        // Where stderr is closed there is nobody left to tell.
        let _ = writeln!(io::stderr(), "this is a mistake in vnet, please report it: {mistake}");
    }));
}

/// Writes a line to standard error, but waits no longer than a second for room there: whoever is to read it may be who
/// wants to hold this program up.
pub fn tell_without_waiting(line: &str) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let stderr = io::stderr();
    // A pipe that has any room has it for as much (pipe(7)).
    for piece in line.as_bytes().chunks(libc::PIPE_BUF) {
        let mut room = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        let has_room = super::poll::wait(&mut room, super::clock::now() + PATIENCE) == Ok(true);
        // Where it is closed there is nobody left to tell.
        if !has_room || stderr.lock().write_all(piece).is_err() {
            return;
        }
    }
}

/// Lets every signal do what it does by default, and come. One that there is not, or that is the C library's own, stays.
pub fn reset_signals() {
    /// The largest number of a signal.
    const LAST: libc::c_int = 64;
    for number in 1..=LAST {
        // SAFETY: the default runs no code of ours.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// Makes a write to a pipe that nobody reads an error, not the process's end.
pub fn ignore_broken_pipes() {
    // SAFETY: ignoring a signal runs no code of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
}
