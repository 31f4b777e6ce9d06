//! The lock of one network: two runs about the same network wait for each other, never by sleeping.
#![forbid(unsafe_code)]

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::alarm::Alarm;

/// Held until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its Drop")] Flock<File>);

/// Takes the lock `name` below the run directory, and waits for it until the deadline.
///
/// # Errors
/// `TimedOut` when another process still holds it at the deadline; else what opening the file said. The lock's file
/// stays: removing it would let two processes each lock a file of that name.
pub fn acquire(run_dir: &Path, name: &str, deadline: Instant) -> io::Result<Lock> {
    let file = open(run_dir, name)?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(Lock(lock)),
        Err((file, Errno::EWOULDBLOCK)) => file,
        Err((_, errno)) => return Err(errno.into()),
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let _alarm = Alarm::after(left)?;
    wait(file, deadline)
}

fn wait(mut file: File, deadline: Instant) -> io::Result<Lock> {
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => return Ok(Lock(lock)),
            Err((file, Errno::EINTR)) => file,
            Err((_, errno)) => return Err(errno.into()),
        };
        if deadline.saturating_duration_since(Instant::now()) == Duration::ZERO {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

fn open(run_dir: &Path, name: &str) -> io::Result<File> {
    let directory = run_dir.join("lock");
    let path = directory.join(name);
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(run_dir, 0o711)?;
            make_directory(&directory, 0o700)?;
            open()
        }
        result => result,
    }
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}
