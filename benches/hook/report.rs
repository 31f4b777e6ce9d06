//! The figures, as a table for people and as JSON for programs.
#![forbid(unsafe_code)]

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use crate::entry::{Contender, Entry, Situation};
use crate::footprint::Footprint;

/// All that was measured.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    runs: usize,
    rows: Vec<Row>,
    footprint: Footprint,
    bars: Vec<Bar>,
}

#[derive(Serialize)]
struct Machine {
    kernel: String,
    architecture: &'static str,
    processors: usize,
}

/// A contender in a situation.
#[derive(Serialize)]
struct Row {
    situation: &'static str,
    contender: &'static str,
    runs: usize,
    median_us: f64,
    least_us: f64,
    /// The median, over all rounds, of its time divided by the floor's in the same round and situation.
    ratio_to_floor: f64,
}

/// What a figure may be at most.
#[derive(Serialize)]
struct Bar {
    what: String,
    measured: f64,
    at_most: f64,
    met: bool,
}

impl Bar {
    fn new(what: impl Into<String>, measured: f64, at_most: f64) -> Self {
        Self { what: what.into(), measured, at_most, met: measured <= at_most }
    }
}

impl Report {
    /// Works the figures out.
    pub fn new(runs: usize, entries: &[Entry], footprint: Footprint) -> anyhow::Result<Self> {
        let times = |situation, contender| {
            let entry = entries.iter().find(|entry| entry.situation == situation && entry.contender == contender);
            entry.map(|entry| entry.times.as_slice()).context("a contender that did not run")
        };
        let mut rows = Vec::new();
        for situation in Situation::ALL {
            for contender in Contender::ALL {
                if let Ok(own) = times(situation, contender) {
                    let floor = times(situation, Contender::Floor)?;
                    rows.push(Row {
                        situation: situation.name(),
                        contender: contender.name(),
                        runs: own.len(),
                        median_us: median(own.iter().map(microseconds))?,
                        least_us: own.iter().map(microseconds).fold(f64::INFINITY, f64::min),
                        ratio_to_floor: ratio(own, floor)?,
                    });
                }
            }
        }
        let hook = |situation| times(situation, Contender::Hook);
        let to_floor = |situation| ratio(hook(situation)?, times(situation, Contender::Floor)?);
        let kib = |bytes: u64| u32::try_from(bytes.div_ceil(1024)).map(f64::from);
        let bars = vec![
            Bar::new("vnet-ifup to the floor", to_floor(Situation::Alone)?, 1.25),
            Bar::new("vnet-ifup to the floor, 1,000 ports on the bridge", to_floor(Situation::Ports)?, 1.25),
            Bar::new(
                "vnet-ifup with 1,000 taps, networks and guests, to vnet-ifup with one of each",
                ratio(hook(Situation::TapsAndFiles)?, hook(Situation::Alone)?)?,
                1.1,
            ),
            Bar::new("size of vnet-ifup, KiB", kib(footprint.bytes)?, 700.0),
            Bar::new("peak memory of vnet-ifup, KiB", f64::from(u32::try_from(footprint.peak_kib)?), 1024.0),
            Bar::new("processes started by vnet-ifup", f64::from(u32::try_from(footprint.started())?), 0.0),
        ];
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let processors = std::thread::available_parallelism().map_or(0, usize::from);
        let machine = Machine { kernel, architecture: std::env::consts::ARCH, processors };
        Ok(Self { machine, runs, rows, footprint, bars })
    }

    /// For people.
    pub fn to_text(&self) -> Result<String, fmt::Error> {
        let Machine { kernel, architecture, processors } = &self.machine;
        let mut text = String::new();
        writeln!(
            text,
            "The whole process, spawn to exit, on Linux {kernel} ({architecture}, {processors} processors)."
        )?;
        writeln!(
            text,
            "All in turn, in a new order each round; the ratio is the median, over the rounds, of the time"
        )?;
        writeln!(text, "divided by the floor's in the same round and situation.\n")?;
        writeln!(text, "{:29} {:28} {:>5} {:>12} {:>9} {:>12}", "", "", "runs", "median", "ratio", "least")?;
        let mut previous = "";
        for row in &self.rows {
            let situation = if row.situation == previous { "" } else { row.situation };
            previous = row.situation;
            let Row { contender, runs, median_us, least_us, ratio_to_floor, .. } = row;
            writeln!(
                text,
                "{situation:29} {contender:28} {runs:5} {median_us:9.1} us {ratio_to_floor:9.2} {least_us:9.1} us"
            )?;
        }
        let Footprint { bytes, peak_kib, system_calls, execs, forks } = &self.footprint;
        writeln!(
            text,
            "\nvnet-ifup has {bytes} bytes, had at most {peak_kib} KiB resident, and made {system_calls} system calls,"
        )?;
        writeln!(text, "{execs} of them execve (the first is its own) and {forks} of them fork or clone.\n")?;
        for Bar { what, measured, at_most, met } in &self.bars {
            let verdict = if *met { "met" } else { "not met" };
            let measured = (measured * 1000.0).round() / 1000.0;
            writeln!(text, "{verdict:8} {what}: {measured}, at most {at_most}")?;
        }
        Ok(text)
    }

    /// For programs.
    pub fn write_json(&self, mut file: &File) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        writeln!(file, "{text}").context("cannot write the JSON")
    }
}

fn microseconds(time: &Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The median of the ratios round by round. Where one ran in fewer rounds, those count.
fn ratio(times: &[Duration], others: &[Duration]) -> anyhow::Result<f64> {
    median(times.iter().zip(others).map(|(time, other)| time.as_secs_f64() / other.as_secs_f64()))
}

fn median(values: impl Iterator<Item = f64>) -> anyhow::Result<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2);
    let lower = values.get(values.len().saturating_sub(1) / 2);
    let (lower, upper) = lower.zip(upper).context("no figure to take a median of")?;
    Ok(f64::midpoint(*lower, *upper))
}
