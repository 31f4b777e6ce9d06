//! A program that is run again and again, and timed from its spawn to its exit.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::{WaitStatus, waitpid};

/// All that a program finds in its environment: scripts need it, and nothing that could direct the hook is in it.
const ENVIRONMENT: [&CStr; 1] = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin"];

/// A program with its arguments; made once, so that no run pays for it.
pub struct Program {
    arguments: Vec<CString>,
    actions: PosixSpawnFileActions,
    attributes: PosixSpawnAttr,
}

impl Program {
    /// The first argument is the program's path; no search is made.
    pub fn new(arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> anyhow::Result<Self> {
        let arguments: Result<Vec<_>, _> =
            arguments.into_iter().map(|argument| CString::new(argument.as_ref().as_bytes())).collect();
        Ok(Self {
            arguments: arguments.context("an argument with a zero byte")?,
            actions: PosixSpawnFileActions::init()?,
            attributes: PosixSpawnAttr::init()?,
        })
    }

    /// Runs it, and tells how long it took.
    ///
    /// # Errors
    /// Also when it does not exit with 0.
    pub fn run(&self) -> anyhow::Result<Duration> {
        let path = self.arguments.first().context("a program without a path")?;
        let name = path.to_string_lossy();
        let begun = Instant::now();
        let child = posix_spawn(path.as_c_str(), &self.actions, &self.attributes, &self.arguments, &ENVIRONMENT)
            .with_context(|| format!("cannot run {name}"))?;
        let status = waitpid(child, None);
        let time = begun.elapsed();
        match status.with_context(|| format!("cannot wait for {name}"))? {
            WaitStatus::Exited(_, 0) => Ok(time),
            status => bail!("{name} failed: {status:?}"),
        }
    }
}
