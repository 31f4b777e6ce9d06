//! A change of a network card that is under way, until the LAN or somebody says that it is good.
//!
//! Its journal is written before the first step. This process and its watchdog each hold the other: when one ends before
//! the change is confirmed, by whatever, the other gives the card back what it had.

use std::io::{IsTerminal, Write, stderr, stdin};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use nix::sys::termios::{FlushArg, tcflush};

use super::give_back::{put_back, put_back_held};
use super::journal::{Held, Journal};
use super::settings::Settings;
use crate::config::Network;
use crate::kernel::Host;
use crate::kernel::probe::{self, Target};
use crate::kernel::sys::watch::Watch;
use crate::kernel::sys::watchdog::{Watchdog, Watched};
use crate::kernel::sys::{clock, poll};
use crate::model::{Handover, NetworkName};

/// How long the LAN has to answer where somebody can be asked as well.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// How much longer than this process its watchdog waits, for a process that is held up is not a dead one.
const GRACE: Duration = Duration::from_secs(5);
/// How long a process may take until it watches, or until it has ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often, and with how much time in between, the watchdog tries to give back, for there is nobody after it.
const TRIES: usize = 60;
const PAUSE: Duration = Duration::from_secs(1);

/// A change that is under way: its journal is written, and its watchdog runs.
pub(super) struct Pending {
    journal: Journal,
    /// While the steps are taken, nobody decides about them.
    held: Option<Held>,
    watch: Watch,
    watchdog: Watchdog,
}

impl Pending {
    /// Writes the journal and starts the watchdog, which waits for this long and no longer.
    pub(super) fn begin(
        settings: &Settings,
        network: &NetworkName,
        handover: &Handover,
        time: Duration,
    ) -> anyhow::Result<Self> {
        let until = clock::now() + time + GRACE;
        let journal = Journal::of(&settings.run_dir, network);
        journal.write(handover)?;
        let begun = Self::watched(settings, network, &journal, until);
        begun.inspect_err(|_| {
            // Nothing was changed yet.
            let _ = journal.hold(clock::now()).and_then(|held| held.map_or(Ok(()), Held::remove));
        })
    }

    fn watched(settings: &Settings, network: &NetworkName, journal: &Journal, until: Duration) -> anyhow::Result<Self> {
        let mark = settings.host()?.mark;
        let group = format!("vnet-guard-{network}");
        let watchdog = Watchdog::begin(&group, clock::now() + PATIENCE, |watched| {
            watchdog_run(settings, network, journal, (watched, until), mark);
        });
        let watchdog = watchdog.map_err(|error| anyhow::anyhow!("cannot start the watchdog: {error}; try again"))?;
        let held = journal.hold(clock::now() + PATIENCE)?;
        let held = held.ok_or_else(|| anyhow::anyhow!("the journal went; try again"))?;
        Ok(Self { journal: journal.clone(), held: Some(held), watch: journal.watch()?, watchdog })
    }

    /// Waits until the LAN, or somebody, says that the change is good, and tells who.
    pub(super) fn confirm(
        &mut self,
        host: &mut Host,
        network: &Network,
        targets: &[Target],
        patience: Duration,
    ) -> anyhow::Result<String> {
        let (name, bridge, begun) = (&network.name, &network.bridge, clock::now());
        let link = host.link(bridge)?.ok_or_else(|| anyhow::anyhow!("{bridge} went, so that all is as before"))?;
        let by_hand = stdin().is_terminal();
        // Nobody else decides where there is no terminal: a LAN that wakes up with this machine may take its time.
        let answered = begun + if by_hand { ANSWER } else { ANSWER.max(patience) };
        let silent = probe::answer(targets, &link, answered, &[self.watchdog.process().as_fd()])?;
        if self.watchdog.process().ends(Duration::ZERO)? {
            anyhow::bail!("the watchdog was ended, so that all is as before; try again");
        }
        let why = match (targets, silent.as_slice()) {
            // Where it has neither, what was changed cuts nobody off.
            ([], _) if !by_hand => return Ok("confirmed, for the host has no gateway and no session there".to_owned()),
            ([], _) => "there is no gateway and no session to ask".to_owned(),
            (_, []) => return Ok(format!("confirmed by {}", listed(targets.iter().map(|target| target.ip)))),
            (_, silent) => format!("no answer from {} by {bridge}", listed(silent.iter().copied())),
        };
        if !by_hand {
            anyhow::bail!(
                "{why}, so that all is as before; see that {bridge} may have the card's MAC and VLAN on the LAN, or run it in a terminal, where you may confirm it"
            );
        }
        // Whoever reads this is still there to confirm it; what was typed before says nothing.
        let _ = tcflush(stdin(), FlushArg::TCIFLUSH);
        let _ = writeln!(
            stderr(),
            "vnet: {name}: {why}; to keep the change press Enter here within {} s, or run: vnet confirm {name}",
            patience.as_secs()
        );
        // From now on others may decide.
        self.held.take().map_or(Ok(()), Held::open_to_others)?;
        let waited = wait_for_somebody(&self.journal, &self.watch, &self.watchdog, clock::now() + patience);
        self.held = self.journal.hold(clock::now() + PATIENCE)?;
        if self.held.is_none() {
            return Ok("confirmed by hand".to_owned());
        }
        waited?;
        anyhow::bail!("nobody confirmed it within {} s, so that all is as before", patience.as_secs())
    }

    /// The change is good; unless that cannot be written down.
    pub(super) fn conclude(
        mut self,
        host: &mut Host,
        settings: &Settings,
        network: &NetworkName,
    ) -> anyhow::Result<()> {
        if let Err(error) = self.held.take().map_or(Ok(()), Held::remove) {
            return Err(self.abandon(host, settings, network, error));
        }
        self.watchdog.dismiss(clock::now() + PATIENCE);
        Ok(())
    }

    /// The change is not good, for this reason.
    pub(super) fn abandon(
        mut self,
        host: &mut Host,
        settings: &Settings,
        network: &NetworkName,
        error: anyhow::Error,
    ) -> anyhow::Error {
        let result = match self.held.take() {
            Some(held) => put_back_held(host, network, (&self.journal, held)),
            None => put_back(host, settings, network),
        };
        match result {
            Ok(_) => {
                self.watchdog.dismiss(clock::now() + PATIENCE);
                error
            }
            // It goes on trying.
            Err(left) => anyhow::anyhow!("{error:#}; and {left:#}"),
        }
    }
}

fn listed(all: impl Iterator<Item = IpAddr>) -> String {
    all.map(|ip| ip.to_string()).collect::<Vec<_>>().join(" and ")
}

/// Waits until somebody confirms the change, whose journal goes then, also by Enter on the terminal; or until the deadline,
/// or until it cannot be confirmed any more.
fn wait_for_somebody(journal: &Journal, watch: &Watch, watchdog: &Watchdog, deadline: Duration) -> anyhow::Result<()> {
    let terminal = stdin();
    while journal.exists() {
        let mut waiting = readable([watch.as_fd(), watchdog.process().as_fd(), terminal.as_fd()]);
        let told = poll::wait(&mut waiting, deadline)?;
        watch.clear();
        // The watchdog ends as well when somebody confirms, after the journal went.
        if !told || watchdog.process().ends(Duration::ZERO)? {
            return Ok(());
        }
        if waiting.last().and_then(PollFd::any).unwrap_or(false) {
            let mut line = String::new();
            // A terminal that goes confirms nothing, and what was meant for a shell does not either.
            match terminal.read_line(&mut line)? {
                0 => return Ok(()),
                _ if line.trim().is_empty() => {
                    journal.hold(clock::now() + PATIENCE)?.map_or(Ok(()), Held::remove)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn readable<const N: usize>(descriptors: [BorrowedFd<'_>; N]) -> [PollFd<'_>; N] {
    descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
}

/// What the watchdog does: waits until the change is decided, or until the one who makes it has ended, or takes longer
/// than it may.
fn watchdog_run(
    settings: &Settings,
    network: &NetworkName,
    journal: &Journal,
    (mut watched, until): (Watched, Duration),
    mark: u32,
) {
    let begun = journal.watch().and_then(|watch| Ok((watch, watched.ready()?)));
    if let Ok((watch, ())) = begun {
        while journal.exists() && !watched.process().ends(Duration::ZERO).unwrap_or(true) {
            let mut waiting = readable([watch.as_fd(), watched.process().as_fd()]);
            if !matches!(poll::wait(&mut waiting, until), Ok(true)) {
                // It is held up, and holds what it began with.
                let _ = watched.process().signal(Signal::SIGKILL);
                let _ = watched.process().ends(clock::now() + PATIENCE);
                break;
            }
            watch.clear();
        }
    }
    for _ in 0..TRIES {
        let result = Host::open(mark)
            .map(Host::with_ip_config)
            .map_err(Into::into)
            .and_then(|mut host| put_back(&mut host, settings, network));
        match result {
            // It was decided.
            Ok(None) => return,
            Ok(Some(card)) => {
                let text = format!("{network}: gave {card} back what a change took from it that nobody confirmed");
                return super::up::log(settings).note(&text, true);
            }
            Err(error) => super::up::log(settings).failed(&format!("{network}: {error:#}")),
        }
        // Who else may decide now takes the journal away.
        let Ok(watch) = journal.watch() else { continue };
        let _ = poll::wait(&mut readable([watch.as_fd()]), clock::now() + PAUSE);
    }
}
