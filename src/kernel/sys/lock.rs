//! The lock of one network: two runs about the same network wait for each other, never by sleeping.
#![forbid(unsafe_code)]

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, umask};

use super::alarm::Alarm;
use super::clock;

/// Held until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its Drop")] Flock<File>);

/// Takes the lock `name` below the run directory, and waits for it until the deadline, a moment of [`clock`].
///
/// # Errors
/// `TimedOut` when another process still holds it at the deadline; else what opening the file said. The lock's file
/// stays: removing it would let two processes each lock a file of that name.
pub fn acquire(run_dir: &Path, name: &str, deadline: Duration) -> io::Result<Lock> {
    let file = open(run_dir, name)?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(Lock(lock)),
        Err((file, Errno::EWOULDBLOCK)) => file,
        Err((_, errno)) => return Err(errno.into()),
    };
    let left = deadline.saturating_sub(clock::now());
    let _alarm = Alarm::after(left)?;
    wait(file, deadline)
}

fn wait(mut file: File, deadline: Duration) -> io::Result<Lock> {
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => return Ok(Lock(lock)),
            Err((file, Errno::EINTR)) => file,
            Err((_, errno)) => return Err(errno.into()),
        };
        if deadline.saturating_sub(clock::now()) == Duration::ZERO {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

fn open(run_dir: &Path, name: &str) -> io::Result<File> {
    let directory = run_dir.join("lock");
    let path = directory.join(name);
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let open = || openat(AT_FDCWD, &path, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from);
    match open() {
        Err(Errno::ENOENT) => {
            make_directory(run_dir, 0o711)?;
            make_directory(&directory, 0o700)?;
            open().map_err(io::Error::from)
        }
        result => result.map_err(io::Error::from),
    }
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    // With -daemonize QEMU's umask would close the directory to those who may look into it.
    let inherited = umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let result = DirBuilder::new().mode(mode).create(path);
    umask(inherited);
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}
