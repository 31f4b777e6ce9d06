//! The running: every contender once in each round.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use vnet::config::HostSettings;
use vnet::kernel::Host;
use vnet::model::IfName;

use crate::Arguments;
use crate::borrower::{Borrower, SOCKET, USER};
use crate::footprint::Footprint;
use crate::place::{self, BRIDGE, GUEST, NETWORK, NETWORKS_BRIDGE, Programs};

/// The contenders that the others are measured against.
pub const PLAIN: &str = "a static program";
pub const FLOOR: &str = "the same without a C library";
pub const HELPER: &str = "vnet-bridge-helper";
/// Rounds that are run and not counted: the first ones fill the caches.
const WARM_UP: usize = 10;
/// The time that the kernel has, before each run, to do what a tap leaves for later. The same for all.
const SETTLE: Duration = Duration::from_millis(5);
/// What the programs say.
const SAID: &str = "/run/said";

/// What was before a run: what guarded a tap that is gone is taken out by the next helper, or by `vnet up`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// Nothing that matters.
    Nothing,
    /// All of that was taken out.
    Cleaned,
    /// Another guest has just left.
    GuestLeft,
}

/// A program in a situation, and its times, one of each round.
pub struct Entry {
    pub situation: &'static str,
    pub contender: &'static str,
    pub times: Vec<Duration>,
    /// What there is to do before, which is not measured.
    before: Before,
    arguments: Vec<String>,
    bridge: &'static str,
    tap: String,
}

/// Runs all of them, and then looks at what else a run costs.
pub fn run(arguments: &Arguments) -> anyhow::Result<(Vec<Entry>, [Footprint; 2])> {
    place::prepare(&arguments.vnet)?;
    let programs = Programs::install(arguments)?;
    let mut host = Host::open(HostSettings::STANDARD.mark)?;
    let mut user = Borrower::start(programs.folder(), File::create(SAID)?)?;
    // Another guest on each: a bridge without one is without a carrier.
    for place in [BRIDGE, NETWORK] {
        user.borrow(&helper(&programs, "helper", place)).with_context(said)?;
    }
    let mut entries = entries(&programs, &mut host)?;
    for round in 0..WARM_UP + arguments.runs {
        // Whoever always ran behind the slowest would always find its caches cold.
        let first = round % entries.len();
        let (later, sooner) = entries.split_at_mut(first);
        for entry in sooner.iter_mut().chain(later) {
            let time = run_once(entry, &mut user, &mut host, &arguments.vnet);
            let time = time.with_context(|| format!("{}, {}", entry.contender, entry.situation)).with_context(said)?;
            if round >= WARM_UP {
                entry.times.push(time);
            }
        }
    }
    let footprint = |name, ours| {
        Footprint::take(&programs.path(name), &helper(&programs, name, BRIDGE), &arguments.peak, ours)
            .with_context(|| name)
    };
    let footprints = [footprint("helper", &arguments.helper)?, footprint("qemu", &arguments.qemu)?];
    Ok((entries, footprints))
}

fn said() -> String {
    fs::read_to_string(SAID).unwrap_or_default().lines().last().unwrap_or_default().to_owned()
}

fn run_once(entry: &Entry, user: &mut Borrower, host: &mut Host, vnet: &Path) -> anyhow::Result<Duration> {
    if entry.before != Before::Nothing {
        place::clean(vnet)?;
    }
    if entry.before == Before::GuestLeft {
        user.borrow(&entry.arguments)?;
        user.give_back()?;
    }
    thread::sleep(SETTLE);
    let time = user.borrow(&entry.arguments)?;
    let tap = host.link(&entry.tap.parse()?)?.with_context(|| format!("there is no {}", entry.tap))?;
    let bridge: IfName = entry.bridge.parse()?;
    let bridge = host.link(&bridge)?.context("the bridge is gone")?;
    if !tap.up || tap.master.as_ref().is_none_or(|master| master.index != bridge.index) {
        bail!("the tap is not as it should be: {tap:?}");
    }
    user.give_back()?;
    Ok(time)
}

/// The arguments that QEMU gives its helper.
fn helper(programs: &Programs, name: &str, place: &str) -> Vec<String> {
    vec![programs.text(name), "--use-vnet".to_owned(), format!("--fd={SOCKET}"), format!("--br={place}")]
}

fn entries(programs: &Programs, host: &mut Host) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    // One that is borrowed already, of each.
    let next = format!("vu{USER}-2");
    let mut add = |situation, bridge, contender, before, arguments, tap: &str| {
        entries.push(Entry { situation, contender, times: Vec::new(), before, arguments, bridge, tap: tap.to_owned() });
    };
    for (situation, bridge, place) in [("plain bridge", BRIDGE, BRIDGE), ("NAT network", NETWORKS_BRIDGE, NETWORK)] {
        let index = host.link(&bridge.parse()?)?.context("a bridge is missing")?.index.to_string();
        let before = if bridge == BRIDGE { Before::Nothing } else { Before::Cleaned };
        let pattern = format!("vu{USER}-%d");
        let floor = vec![programs.text("floor"), SOCKET.to_owned(), index, pattern.clone()];
        let plain = vec![programs.text("plain"), SOCKET.to_owned(), bridge.to_owned(), pattern];
        add(situation, bridge, FLOOR, Before::Nothing, floor, &next);
        add(situation, bridge, PLAIN, Before::Nothing, plain, &next);
        add(situation, bridge, HELPER, before, helper(programs, "helper", place), &next);
        if bridge == BRIDGE {
            add(situation, bridge, "vnet-bridge-helper, setuid root", before, helper(programs, "setuid", place), &next);
            add(situation, bridge, "qemu-bridge-helper", before, helper(programs, "qemu", place), "tap0");
        } else {
            let mut guest = helper(programs, "helper", place);
            guest.push(format!("--guest={GUEST}"));
            add(situation, bridge, "vnet-bridge-helper --guest", before, guest, GUEST);
            let name = "vnet-bridge-helper, after a guest left";
            add(situation, bridge, name, Before::GuestLeft, helper(programs, "helper", place), &next);
        }
    }
    Ok(entries)
}
