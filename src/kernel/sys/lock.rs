//! The lock of one network: two runs about the same network wait for each other, never by sleeping.
#![allow(unsafe_code)]

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, umask};

use super::alarm::Alarm;
use super::clock;

/// Held until it is dropped, or the process ends in whatever way: closing the file is what gives the lock up.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its descriptor")] File);

/// Takes the lock `name` below the run directory, and waits for it until the deadline, a moment of [`clock`].
///
/// # Errors
/// `TimedOut` when another process still holds it at the deadline; else what opening the file said. The lock's file
/// stays: removing it would let two processes each lock a file of that name.
pub fn acquire(run_dir: &Path, name: &str, deadline: Duration) -> io::Result<Lock> {
    let file = open(run_dir, name)?;
    match flock(&file, libc::LOCK_EX | libc::LOCK_NB) {
        Ok(()) => return Ok(Lock(file)),
        Err(Errno::EWOULDBLOCK) => {}
        Err(errno) => return Err(errno.into()),
    }
    let left = deadline.saturating_sub(clock::now());
    let _alarm = Alarm::after(left)?;
    loop {
        match flock(&file, libc::LOCK_EX) {
            Ok(()) => return Ok(Lock(file)),
            Err(Errno::EINTR) if clock::now() < deadline => {}
            Err(Errno::EINTR) => return Err(io::ErrorKind::TimedOut.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn flock(file: &File, operation: libc::c_int) -> Result<(), Errno> {
    // nix's own lock panics when unlocking fails, and a file that is closed needs no unlocking.
    // SAFETY: the descriptor is open as long as the file lives.
    let result = unsafe { libc::flock(file.as_raw_fd(), operation) };
    Errno::result(result).map(drop)
}

fn open(run_dir: &Path, name: &str) -> io::Result<File> {
    let directory = run_dir.join("lock");
    let path = directory.join(name);
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    match openat(AT_FDCWD, &path, flags, Mode::empty()) {
        Ok(descriptor) => return Ok(descriptor.into()),
        Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    // With -daemonize QEMU's umask would close the directory to those who may look into it.
    let inherited = umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let made = make_directory(run_dir, 0o711).and_then(|()| make_directory(&directory, 0o700)).and_then(|()| {
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        Ok(openat(AT_FDCWD, &path, flags | OFlag::O_CREAT, mode)?.into())
    });
    umask(inherited);
    made
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}
