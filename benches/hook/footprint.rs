//! What a run of the hook costs besides time: its file, its memory, its system calls.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::lan::{Lan, TAP};

/// What strace writes.
const TRACE: &str = "/run/trace";

/// The figures.
#[derive(Serialize)]
pub struct Footprint {
    /// The size of the hook's file.
    pub bytes: u64,
    /// The most memory of one attaching run.
    pub peak_kib: u64,
    /// The system calls of one attaching run, its own execve among them.
    pub system_calls: usize,
    /// How many of them were an execve.
    pub execs: usize,
    /// How many of them made another process or thread.
    pub forks: usize,
}

impl Footprint {
    /// How often the hook made another process or another program.
    pub const fn started(&self) -> usize {
        // The first execve is the one that starts the hook.
        self.execs.saturating_sub(1) + self.forks
    }

    /// Measures the hook in attaching runs.
    pub fn take(lan: &mut Lan, hook: &Path, peak: &Path) -> anyhow::Result<Self> {
        lan.enter()?;
        lan.reset()?;
        let peak_kib = look(hook, peak)?;
        lan.verify(true)?;
        lan.reset()?;
        let trace = trace(hook)?;
        lan.verify(true)?;
        let calls = |names: &[&str]| trace.iter().filter(|name| names.contains(&name.as_str())).count();
        Ok(Self {
            bytes: fs::metadata(hook).with_context(|| format!("{} cannot be examined", hook.display()))?.len(),
            peak_kib,
            system_calls: trace.len(),
            execs: calls(&["execve", "execveat"]),
            forks: calls(&["fork", "vfork", "clone", "clone3"]),
        })
    }
}

fn look(hook: &Path, peak: &Path) -> anyhow::Result<u64> {
    let output = Command::new(peak).arg(hook).arg(TAP).output().context("cannot run what tells the memory")?;
    if !output.status.success() {
        bail!("the hook failed under {}: {}", peak.display(), String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("{} said \"{text}\"", peak.display()))
}

/// The names of the system calls of one run, in order, those of whatever it starts included.
fn trace(hook: &Path) -> anyhow::Result<Vec<String>> {
    let output =
        Command::new("strace").args(["-f", "-qq", "-e", "signal=none", "-o", TRACE]).arg(hook).arg(TAP).output();
    let output = output.context("cannot run strace")?;
    if !output.status.success() {
        bail!("the hook failed under strace: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Each line is PID NAME(ARGUMENTS) = RESULT; that of a call which another process interrupted comes in two parts.
    let text = fs::read_to_string(TRACE)?;
    let calls = text.lines().filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('));
    let names: Vec<_> = calls.map(|(name, _)| name.to_owned()).filter(|name| !name.starts_with('<')).collect();
    if names.is_empty() {
        bail!("strace wrote no system call");
    }
    Ok(names)
}
