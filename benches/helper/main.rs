//! Measures the helper: the whole process from spawn to exit, run by a user who is not root, in turn with a static
//! program that only makes a tap, attaches it and passes its queue on (`bench/lend-libc.c`), with the same without a C
//! library (`bench/lend.c`), and with QEMU's own helper.
//!
//! `scripts/bench` builds what is measured, installs what is missing and runs this. All of it happens in namespaces of
//! its own ([`stage`]), with a plain bridge and a NAT network that is up, each with another guest's tap on it ([`place`]).

mod borrower;
mod contest;
#[path = "../hook/figure.rs"]
mod figure;
mod footprint;
mod place;
#[allow(dead_code, reason = "shared with the other harnesses, which need more of it")]
#[path = "../hook/program.rs"]
mod program;
mod report;
#[allow(dead_code, reason = "shared with the other harnesses, which need more of it")]
#[path = "../hook/stage.rs"]
mod stage;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};

use report::Report;

/// The least from which a median means something.
const LEAST_RUNS: usize = 10;

/// What is to be measured, with what, and how often.
pub struct Arguments {
    /// `vnet`.
    pub vnet: PathBuf,
    /// The helper.
    pub helper: PathBuf,
    /// QEMU's helper.
    pub qemu: PathBuf,
    /// `bench/lend.c`, built.
    pub floor: PathBuf,
    /// `bench/lend-libc.c`, built.
    pub plain: PathBuf,
    /// `bench/peak.c`, built.
    pub peak: PathBuf,
    /// Where the figures go for programs; opened before /run and /dev are others.
    pub json: Option<File>,
    /// How many rounds.
    pub runs: usize,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where stderr is closed there is nobody left to tell.
            let _ = writeln!(io::stderr(), "bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|word| word == borrower::WORD) {
        return borrower::serve();
    }
    let Some(arguments) = read(arguments)? else {
        writeln!(io::stdout(), "Nothing measured: scripts/bench builds what this compares, and runs it.")?;
        return Ok(());
    };
    if !nix::unistd::geteuid().is_root() {
        bail!("the helper is for users who are not root, and only root can be another user; run this as root");
    }
    stage::enter()?;
    let _syslog = stage::Syslog::open()?;
    let (entries, footprints) = contest::run(&arguments)?;
    let report = Report::new(arguments.runs, &entries, footprints)?;
    if let Some(file) = &arguments.json {
        report.write_json(file)?;
    }
    io::stdout().write_all(report.to_text()?.as_bytes()).context("cannot write the report")
}

/// `None` where cargo runs this by itself, with nothing that could be compared.
fn read(arguments: Vec<OsString>) -> anyhow::Result<Option<Arguments>> {
    let mut programs: [Option<PathBuf>; 6] = Default::default();
    let (mut json, mut runs) = (None, 300);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let shown = argument.to_string_lossy();
        let mut value = || arguments.next().with_context(|| format!("{shown} needs a value"));
        let names = ["--vnet", "--helper", "--qemu", "--floor", "--plain", "--peak"];
        if let Some((_, program)) = names.iter().zip(&mut programs).find(|(name, _)| argument == **name) {
            *program = Some(value()?.into());
            continue;
        }
        match argument.to_str() {
            Some("--json") => {
                let path = PathBuf::from(value()?);
                json = Some(File::create(&path).with_context(|| format!("cannot write {}", path.display()))?);
            }
            Some("--runs") => {
                runs = value()?.to_str().and_then(|text| text.parse().ok()).context("--runs needs a number")?
            }
            // What cargo adds when it runs a benchmark.
            Some("--bench") => {}
            _ => bail!("unknown option {shown}"),
        }
    }
    if runs < LEAST_RUNS {
        bail!("--runs {runs} is too few; give at least {LEAST_RUNS}");
    }
    match programs {
        [Some(vnet), Some(helper), Some(qemu), Some(floor), Some(plain), Some(peak)] => {
            Ok(Some(Arguments { vnet, helper, qemu, floor, plain, peak, json, runs }))
        }
        programs if programs.iter().all(Option::is_none) => Ok(None),
        _ => bail!("--vnet, --helper, --qemu, --floor, --plain and --peak go together"),
    }
}
