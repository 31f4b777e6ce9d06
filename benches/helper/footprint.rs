//! What a run of a helper costs besides time: its file, its memory, its system calls.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::borrower::{Pair, USER};

/// What strace writes.
const TRACE: &str = "/run/trace";
/// The user's name.
const NAME: &str = "nobody";

/// The figures.
#[derive(Serialize)]
pub struct Footprint {
    /// The size of its file.
    pub bytes: u64,
    /// The most memory of one run.
    pub peak_kib: u64,
    /// The system calls after its start, those of its dynamic loader and its threads among them.
    pub system_calls: usize,
}

impl Footprint {
    /// Measures a program, as the user, in runs that lend a tap.
    pub fn take(program: &Path, arguments: &[String], peak: &Path, original: &Path) -> anyhow::Result<Self> {
        let pair = Pair::new()?;
        let arguments = pair.fill_in(arguments);
        let resident = run(Command::new(peak).args(["--user", &USER.to_string()]).args(&arguments), &pair)?;
        let resident = resident.trim().parse().with_context(|| format!("{} said \"{resident}\"", peak.display()))?;
        run(
            Command::new("strace").args(["-f", "-qq", "-u", NAME, "-e", "signal=none", "-o", TRACE]).args(&arguments),
            &pair,
        )?;
        // Each line is PID NAME(ARGUMENTS) = RESULT; that of a call which another thread interrupted comes in two parts.
        let text = fs::read_to_string(TRACE)?;
        let calls = text.lines().filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('));
        let calls = calls.filter(|(name, _)| !name.starts_with('<') && *name != "execve").count();
        if calls == 0 {
            bail!("strace wrote no system call of {}", program.display());
        }
        let bytes = fs::metadata(original).with_context(|| format!("{} cannot be examined", original.display()))?.len();
        Ok(Self { bytes, peak_kib: resident, system_calls: calls })
    }
}

/// What it says, when it is over and the tap that it lent is given back.
fn run(command: &mut Command, pair: &Pair) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    drop(pair.receive()?);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
