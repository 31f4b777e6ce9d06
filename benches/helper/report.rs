//! The figures, as a table for people and as JSON for programs.
#![forbid(unsafe_code)]

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;

use anyhow::Context;
use serde::Serialize;

use crate::contest::{Entry, FLOOR, HELPER, PLAIN};
use crate::figure::{Bar, Machine, median, microseconds, ratio};
use crate::footprint::Footprint;

/// All that was measured.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    runs: usize,
    rows: Vec<Row>,
    helper: Footprint,
    qemu_helper: Footprint,
    bars: Vec<Bar>,
}

/// A contender in a situation.
#[derive(Serialize)]
struct Row {
    situation: &'static str,
    contender: &'static str,
    median_us: f64,
    least_us: f64,
    /// The median, over all rounds, of its time divided by the static program's in the same round and situation.
    ratio: f64,
    /// The same to the one without a C library.
    ratio_to_floor: f64,
}

impl Report {
    /// Works the figures out.
    pub fn new(runs: usize, entries: &[Entry], [helper, qemu_helper]: [Footprint; 2]) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        for Entry { situation, contender, times, .. } in entries {
            let to = |name| {
                let other = entries.iter().find(|entry| entry.situation == *situation && entry.contender == name);
                ratio(times, &other.with_context(|| format!("{name} did not run"))?.times)
            };
            rows.push(Row {
                situation,
                contender,
                median_us: median(times.iter().map(microseconds))?,
                least_us: times.iter().map(microseconds).fold(f64::INFINITY, f64::min),
                ratio: to(PLAIN)?,
                ratio_to_floor: to(FLOOR)?,
            });
        }
        let ours = rows.iter().find(|row| row.contender == HELPER).context("the helper did not run")?;
        let number = |value: u64| u32::try_from(value).map(f64::from);
        let calls = |footprint: &Footprint| u32::try_from(footprint.system_calls).map(f64::from);
        let bars = vec![
            Bar::new("vnet-bridge-helper to a static program, plain bridge", ours.ratio, 1.25),
            Bar::new("size of vnet-bridge-helper, KiB", number(helper.bytes.div_ceil(1024))?, 700.0),
            Bar::new("peak memory of vnet-bridge-helper, KiB", number(helper.peak_kib)?, 1024.0),
            Bar::new("its system calls to those of QEMU's helper", calls(&helper)? / calls(&qemu_helper)?, 0.5),
        ];
        Ok(Self { machine: Machine::this(), runs, rows, helper, qemu_helper, bars })
    }

    /// For people.
    pub fn to_text(&self) -> Result<String, fmt::Error> {
        let Machine { kernel, architecture, processors } = &self.machine;
        let mut text = String::new();
        writeln!(
            text,
            "The whole process, spawn to exit, of a user with a file capability, on Linux {kernel} ({architecture}, {processors}\nprocessors). All in turn, {} times; the ratios are medians, over the rounds, of the time divided by that of\nthe static program, and of the same without a C library, in the same round and situation.\n",
            self.runs
        )?;
        writeln!(text, "{:13} {:38} {:>12} {:>9} {:>9} {:>12}", "", "", "median", "ratio", "to floor", "least")?;
        let mut previous = "";
        for row in &self.rows {
            let situation = if row.situation == previous { "" } else { row.situation };
            previous = row.situation;
            let Row { contender, median_us, least_us, ratio, ratio_to_floor, .. } = row;
            writeln!(
                text,
                "{situation:13} {contender:38} {median_us:9.1} us {ratio:9.2} {ratio_to_floor:9.2} {least_us:9.1} us"
            )?;
        }
        writeln!(text)?;
        for (name, footprint) in [("vnet-bridge-helper", &self.helper), ("qemu-bridge-helper", &self.qemu_helper)] {
            let Footprint { bytes, peak_kib, system_calls } = footprint;
            writeln!(
                text,
                "{name} has {bytes} bytes, had at most {peak_kib} KiB resident, and made {system_calls} system calls."
            )?;
        }
        writeln!(text)?;
        for bar in &self.bars {
            bar.tell(&mut text)?;
        }
        Ok(text)
    }

    /// For programs.
    pub fn write_json(&self, mut file: &File) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        writeln!(file, "{text}").context("cannot write the JSON")
    }
}
