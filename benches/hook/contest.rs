//! The running: every contender of every situation once in each round.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;

use crate::Arguments;
use crate::entry::{Contender, Entry, Situation};
use crate::footprint::Footprint;
use crate::lan::{BRIDGE, Lan, NETWORK, Others, TAP};
use crate::program::Program;
use crate::stage::{self, Configuration};

/// Rounds that are run and not counted: the first ones fill the caches.
const WARM_UP: usize = 10;
/// How often the script that sleeps is run.
const SLEEPER_RUNS: usize = 5;
/// Where the scripts are that people write by hand.
const CLASSIC: &str = "/run/classic";
const CLASSIC_SLEEP: &str = "/run/classic-sleep";

/// Runs all of them, and then looks at what else a run of the hook costs.
pub fn run(arguments: &Arguments) -> anyhow::Result<(Vec<Entry>, Footprint)> {
    let Arguments { hook, peak, .. } = arguments;
    let mut configuration = Configuration::write(NETWORK, TAP).context("cannot write the configuration")?;
    let mut lans = Vec::new();
    for others in [Others::None, Others::Taps, Others::Ports] {
        let lan = Lan::make(&Program::new([hook.as_os_str(), TAP.as_ref()])?, others);
        lans.push(lan.with_context(|| format!("cannot make the network (others there: {others:?})"))?);
        if others == Others::None {
            stage::show_links()?;
            // Debian's script joins the bridge that carries the default route.
            Program::new([&*find("ip")?, "route", "add", "default", "dev", BRIDGE])?.run()?;
        }
    }
    let mut entries = entries(&lans, arguments)?;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..WARM_UP + arguments.runs {
        // Whoever always ran behind a shell would always find its caches cold.
        dice.shuffle(&mut entries);
        for entry in &mut entries {
            let lan = lan_of(&mut lans, entry.situation)?;
            configuration.switch(entry.situation.files())?;
            run_once(entry, lan, round < WARM_UP)
                .with_context(|| format!("{}, {}", entry.contender.name(), entry.situation.name()))?;
        }
    }
    configuration.switch(Situation::Alone.files())?;
    let footprint = Footprint::take(lan_of(&mut lans, Situation::Alone)?, hook, peak)?;
    Ok((entries, footprint))
}

fn run_once(entry: &mut Entry, lan: &mut Lan, warm_up: bool) -> anyhow::Result<()> {
    if entry.times.len() == entry.runs || (warm_up && entry.runs < WARM_UP) {
        return Ok(());
    }
    lan.enter()?;
    lan.reset()?;
    let time = entry.program.run()?;
    lan.verify(entry.contender.does_what_the_hook_does())?;
    if !warm_up {
        entry.times.push(time);
    }
    Ok(())
}

fn lan_of(lans: &mut [Lan], situation: Situation) -> anyhow::Result<&mut Lan> {
    lans.iter_mut().find(|lan| lan.others == situation.others()).context("a situation without a network")
}

fn entries(lans: &[Lan], arguments: &Arguments) -> anyhow::Result<Vec<Entry>> {
    let Arguments { hook, floor, duties, .. } = arguments;
    let runs = arguments.runs;
    let mut entries = Vec::new();
    let mut add = |situation, contender, runs, program| {
        entries.push(Entry { situation, contender, runs, program, times: Vec::with_capacity(runs) });
    };
    for situation in Situation::ALL {
        let lan = lans.iter().find(|lan| lan.others == situation.others()).context("a situation without a network")?;
        let [tap, bridge] = [lan.tap(), lan.bridge].map(|index| index.to_string());
        add(situation, Contender::Hook, runs, Program::new([hook.as_os_str(), TAP.as_ref()])?);
        add(situation, Contender::Floor, runs, Program::new([floor.as_os_str(), tap.as_ref(), bridge.as_ref()])?);
        if matches!(situation, Situation::Alone | Situation::Ports) {
            let files = stage::files_of(NETWORK, TAP);
            let [guest, network, lock] = files.each_ref().map(OsStr::new);
            let arguments = [duties.as_os_str(), tap.as_ref(), bridge.as_ref(), guest, network, lock];
            add(situation, Contender::Duties, runs, Program::new(arguments)?);
        }
    }
    let ip = find("ip")?;
    script(CLASSIC, &format!("{ip} link set \"$1\" up\n{} addif {BRIDGE} \"$1\"", find("brctl")?))?;
    script(CLASSIC_SLEEP, &format!("{ip} link set \"$1\" up\nsleep 1\n{} addif {BRIDGE} \"$1\"", find("brctl")?))?;
    add(Situation::Alone, Contender::Ip, runs, Program::new([&*ip, "link", "set", TAP, "up", "master", BRIDGE])?);
    add(Situation::Alone, Contender::QemuIfup, runs, Program::new(["/etc/qemu-ifup", TAP])?);
    add(Situation::Alone, Contender::Classic, runs, Program::new([CLASSIC, TAP])?);
    add(Situation::Alone, Contender::ClassicSleep, SLEEPER_RUNS, Program::new([CLASSIC_SLEEP, TAP])?);
    Ok(entries)
}

fn script(path: &str, commands: &str) -> anyhow::Result<()> {
    fs::write(path, format!("#!/bin/sh\n{commands}\n"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Where a program is.
fn find(name: &str) -> anyhow::Result<String> {
    let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|directory| format!("{directory}/{name}"));
    places.into_iter().find(|path| Path::new(path).exists()).with_context(|| format!("{name} is not installed"))
}

/// Random numbers (xorshift64), the same ones each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % sides
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.roll(last + 1));
        }
    }
}
