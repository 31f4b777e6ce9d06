//! The descriptors that a caller leaves open: what we write must reach none that we did not ask for, and we keep none open.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use crate::kernel::error::Error;

/// Where what a program says by itself goes.
const LAST_STANDARD: RawFd = libc::STDERR_FILENO;
/// More descriptors than a process may have by default (`fs.nr_open`).
const MANY: RawFd = 1 << 20;

/// Closes every descriptor but the socket and standard input, output and error, and opens those of the three that were
/// closed on /dev/null: else the first file that is opened would take their place, and be written to.
///
/// The socket is the caller's no more after this, nor is it passed on to a program that is run.
///
/// # Errors
/// `EBADF` for a socket that is one of the three or is not open; those of opening /dev/null.
pub fn keep_only(socket: RawFd) -> Result<OwnedFd, Error> {
    let failed = |errno| Error::new(format!("taking over descriptor {socket}"), errno);
    if socket <= LAST_STANDARD {
        return Err(failed(Errno::EBADF));
    }
    // By one call: whether the socket is open, and which number is free.
    match duplicate(socket) {
        Ok(lowest) if lowest > LAST_STANDARD => {}
        Ok(lowest) => {
            close(lowest);
            open_standard()?;
        }
        // No number below the limit is free, and those of the three that are not open cannot be.
        Err(Errno::EMFILE | Errno::EINVAL) if !standard_is_open() => return Err(failed(Errno::EMFILE)),
        Err(Errno::EMFILE | Errno::EINVAL) => {}
        Err(errno) => return Err(failed(errno)),
    }
    if close_around(socket).is_err() {
        // Before Linux 5.9; or a caller forbids a call that it does not know.
        close_each(socket);
    }
    // SAFETY: the call takes numbers; the flag belongs to this process's descriptor, not to the socket.
    Errno::result(unsafe { libc::fcntl(socket, libc::F_SETFD, libc::FD_CLOEXEC) }).map_err(failed)?;
    // SAFETY: the descriptor is open, and was left to us by whoever started this program.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// The lowest free number, which then stands for the same file.
fn duplicate(descriptor: RawFd) -> Result<RawFd, Errno> {
    // SAFETY: the call takes numbers, and changes no descriptor that is open.
    Errno::result(unsafe { libc::fcntl(descriptor, libc::F_DUPFD, 0) })
}

fn standard_is_open() -> bool {
    // SAFETY: the call takes numbers, and changes nothing.
    (0..=LAST_STANDARD).all(|number| unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0)
}

fn close(descriptor: RawFd) {
    // SAFETY: nothing of this program owns the descriptor. Linux closes it whatever it answers.
    unsafe { libc::close(descriptor) };
}

/// Opens /dev/null until the three are open.
fn open_standard() -> Result<(), Error> {
    for _ in 0..=LAST_STANDARD {
        match open(c"/dev/null", OFlag::O_RDWR | OFlag::O_NOCTTY, Mode::empty()) {
            // It is closed with the others.
            Ok(null) if null.as_raw_fd() > LAST_STANDARD => return Ok(()),
            Ok(null) => std::mem::forget(null),
            // The three are open, and there is no room for more.
            Err(Errno::EMFILE) if standard_is_open() => return Ok(()),
            Err(errno) => return Err(Error::new("opening /dev/null", errno)),
        }
    }
    Ok(())
}

fn close_around(socket: RawFd) -> Result<(), Errno> {
    if socket > LAST_STANDARD + 1 {
        close_range(LAST_STANDARD + 1, socket - 1)?;
    }
    close_range(socket.saturating_add(1), RawFd::MAX)
}

fn close_range(first: RawFd, last: RawFd) -> Result<(), Errno> {
    // SAFETY: the call takes three numbers, and nothing of this program owns a descriptor yet.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// The same where the kernel cannot close all at once.
fn close_each(socket: RawFd) {
    // Read to the end before any is closed, for the listing is one of them. Where /proc is missing, all there may be.
    let listed: Option<Vec<RawFd>> = std::fs::read_dir("/proc/self/fd")
        .ok()
        .map(|open| open.filter_map(Result::ok).filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect());
    let close_other = |number: RawFd| {
        if number > LAST_STANDARD && number != socket {
            close(number);
        }
    };
    match listed {
        Some(numbers) => numbers.into_iter().for_each(close_other),
        None => (0..MANY).for_each(close_other),
    }
}
