//! Who may join what, as the administrator's files say. Nothing is changed here.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use std::{fmt, fs, io};

use anyhow::anyhow;

use super::failure::{Problems, Usage};
use super::helper_call::{Call, STANDARD_BRIDGE};
use super::helper_failure::Failed;
use super::observe::machine_id;
use crate::config::{
    Allow, BRIDGE_CONF, BridgeRules, Guest, Mode, Network, Problem, Store, Trusted, Unread, judge_guest,
};
use crate::kernel;
use crate::kernel::sys::clock;
use crate::model::{Accounts, Caller, IfName};
use crate::plan;

/// Where vnet's files are; the helper believes no environment.
const CONFIG_DIR: &str = "/etc/vnet";
/// Where what is kept of networks that are up is.
const RUN_DIR: &str = "/run/vnet";

/// How long the helper may take from the files to the tap: a caller can stop it anywhere, and for as long as it likes.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a user was let in to.
#[derive(Debug)]
pub(super) struct Admission {
    /// The user's number.
    pub(super) user: u32,
    /// How many taps a user may have.
    pub(super) quota: u32,
    /// The mark that our firewall sets.
    pub(super) mark: u32,
    /// The machine's identity, of which MACs are derived.
    pub(super) machine_id: Vec<u8>,
    /// What the tap joins.
    pub(super) joins: Joins,
    /// Until when what was read of the files is good, as [`clock::now`] tells it.
    pub(super) until: Duration,
    /// Whether somebody set the MAC of a bridge of the administrator's, where that is known.
    pub(super) is_pinned: Option<bool>,
    /// Whether a frame may leave by the port that it came in by.
    pub(super) hairpin: bool,
    /// Whether the network's server does not know the guest as its file is now: it would get another address, and be held
    /// to its own.
    is_unknown: bool,
    asked: Asked,
}

/// What a user's tap joins.
#[derive(Debug)]
pub(super) enum Joins {
    /// A network, as the guest of this file or as any.
    Network(Box<Network>, Option<Box<Guest>>),
    /// A bridge of the administrator's, if these rules let the user join what is there under that name.
    Bridge(IfName, BridgeRules),
}

/// Who asked for what.
#[derive(Clone, Debug)]
struct Asked {
    user: u32,
    place: String,
    guest: Option<IfName>,
}

/// The user may not, or there is no such network, bridge or guest: that, too, is nobody's to know who may not join it.
#[derive(Debug)]
pub(super) struct Denied(Asked);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked { user, place, guest } = &self.0;
        if let Some(guest) = guest {
            return write!(
                f,
                "access denied: there is no guest {guest} of {place} that user {user} may run; an administrator allows it with \"allow\": {{\"users\": [{user}]}} in {CONFIG_DIR}/guests/{guest}.json"
            );
        }
        write!(
            f,
            "access denied: there is no network or bridge {place} that user {user} may join; an administrator allows a network with \"allow\": {{\"users\": [{user}]}} in {CONFIG_DIR}/networks/{place}.json, and a bridge with the line \"allow {place}\" in {BRIDGE_CONF}"
        )
    }
}

impl std::error::Error for Denied {}

impl Admission {
    /// The bridge that the tap is to join.
    pub(super) const fn bridge(&self) -> &IfName {
        match &self.joins {
            Joins::Network(network, _) => &network.bridge,
            Joins::Bridge(name, _) => name,
        }
    }

    /// Whether what comes in by the tap is guarded.
    pub(super) const fn is_guarded(&self) -> bool {
        matches!(self.joins, Joins::Network(..))
    }

    /// The guest that it is, where a file describes it.
    pub(super) fn guest(&self) -> Option<&Guest> {
        match &self.joins {
            Joins::Network(_, guest) => guest.as_deref(),
            Joins::Bridge(..) => None,
        }
    }

    /// The error for what could not be opened. Who may not join a bridge of this name learns nothing by it.
    pub(super) fn failed_to_begin(&self, error: kernel::Error) -> anyhow::Error {
        match &self.joins {
            Joins::Bridge(name, rules) if !rules.allow(name) => self.denied().into(),
            _ => Failed::at("begin")(error).into(),
        }
    }

    /// Refuses a guest that the network's server does not know.
    pub(super) fn refuse_unknown(&self) -> anyhow::Result<()> {
        match &self.joins {
            Joins::Network(network, Some(guest)) if self.is_unknown => Err(anyhow!(
                "the server of the network {} does not know the guest {} as its file is now; an administrator lets it read that: vnet up {0}",
                network.name,
                guest.tap
            )),
            _ => Ok(()),
        }
    }

    /// The error for who may not.
    pub(super) fn denied(&self) -> Denied {
        Denied(self.asked.clone())
    }
}

/// Finds what is asked for, and whether the user may have it.
///
/// # Errors
/// [`Denied`]; or, of files that the user may read, what is wrong with them.
pub(super) fn admit(call: &Call, caller: &Caller) -> anyhow::Result<Admission> {
    // From before the first of them is read.
    let until = clock::now() + PATIENCE;
    let files = Rc::new(Trusted::default());
    let gate = Gate {
        store: Store::trusted(CONFIG_DIR.into(), Rc::clone(&files)),
        files,
        caller,
        asked: Asked { user: caller.uid, place: call.place.as_str().to_owned(), guest: call.guest.clone() },
    };
    let settings = gate.readable(gate.store.host())?;
    let joins = match &call.guest {
        Some(guest) => gate.guest(guest)?,
        None => gate.network_or_bridge()?,
    };
    let mut admission = Admission {
        user: caller.uid,
        quota: settings.quota,
        mark: settings.mark,
        machine_id: Vec::new(),
        joins,
        until,
        is_pinned: None,
        hairpin: false,
        is_unknown: false,
        asked: gate.asked,
    };
    if let Joins::Network(network, guest) = &admission.joins {
        admission.is_unknown = is_unknown(network, guest.as_deref());
        if network.own().is_some_and(|own| !own.forwards.is_empty()) {
            admission.hairpin = plan::sends_back(
                network,
                kernel::frames_filtered().map_err(Failed::at("see what filters bridged frames"))?,
            );
        }
        admission.machine_id = machine_id().map_err(Failed::at("know the machine, of which MACs are derived"))?;
    }
    let is_administrators = match &admission.joins {
        Joins::Network(network, _) => network.mode == Mode::Bridged,
        Joins::Bridge(..) => true,
    };
    if is_administrators {
        admission.is_pinned = kernel::address_is_set(admission.bridge());
    }
    Ok(admission)
}

/// The administrator's files, and who asks to pass.
struct Gate<'c> {
    store: Store,
    files: Rc<Trusted>,
    caller: &'c Caller,
    asked: Asked,
}

impl Gate<'_> {
    fn denied(&self) -> anyhow::Error {
        Denied(self.asked.clone()).into()
    }

    /// What a file says; one that the user may not read says no more than one that is not there.
    fn readable<T>(&self, read: Result<T, Vec<Problem>>) -> anyhow::Result<T> {
        read.map_err(|problems| match problems.iter().any(|problem| problem.denied) {
            true => self.denied(),
            false => Problems(problems).into(),
        })
    }

    /// The guest of this file, on the network that it names, where being allowed to run the guest is enough; on another its
    /// user has to be allowed as well.
    fn guest(&self, tap: &IfName) -> anyhow::Result<Joins> {
        let guest = self.readable(self.store.guest(tap))?.ok_or_else(|| self.denied())?;
        self.admit(&guest.allow)?;
        let place = &self.asked.place;
        let network = match &guest.network {
            Some(name) if place != name.as_str() && place != STANDARD_BRIDGE => {
                return Err(Usage(format!(
                    "the guest {tap} is of the network {name}, not of {place}; ask for br={name}"
                ))
                .into());
            }
            Some(name) => self.readable(self.store.network(name))?,
            None => self.network()?,
        };
        let network = network.ok_or_else(|| self.denied())?;
        if guest.network.is_none() {
            self.admit(&network.allow)?;
        }
        let problems = judge_guest(&network, &guest);
        if problems.is_empty() {
            Ok(Joins::Network(network.into(), Some(guest.into())))
        } else {
            Err(Problems(problems).into())
        }
    }

    /// A network's name is never a bridge's as well.
    fn network_or_bridge(&self) -> anyhow::Result<Joins> {
        let network = self.network().and_then(|network| match network {
            Some(network) if !self.covers(&network.allow)? => Err(self.denied()),
            network => Ok(network),
        });
        match network {
            Ok(Some(network)) => Ok(Joins::Network(network.into(), None)),
            Ok(None) => {
                let rules = self.rules()?;
                let bridge = self.asked.place.parse().map_err(|_| self.denied())?;
                Ok(Joins::Bridge(bridge, rules))
            }
            // What is wrong with these rules is said whether or not there is such a network.
            Err(error) if error.is::<Denied>() => self.rules().and(Err(error)),
            Err(error) => Err(error),
        }
    }

    fn rules(&self) -> anyhow::Result<BridgeRules> {
        let rules = BridgeRules::read(Path::new(BRIDGE_CONF), &self.files);
        self.readable(rules.map_err(|problem| vec![problem]))
    }

    fn admit(&self, allow: &Allow) -> anyhow::Result<()> {
        if self.covers(allow)? { Ok(()) } else { Err(self.denied()) }
    }

    /// The network of the name that is asked for.
    fn network(&self) -> anyhow::Result<Option<Network>> {
        match self.asked.place.parse() {
            Ok(name) => self.readable(self.store.network(&name)),
            Err(_) => Ok(None),
        }
    }

    /// Names of which the files do not tell the number stand for nobody.
    fn covers(&self, allow: &Allow) -> anyhow::Result<bool> {
        let files = |path| move |unread: Unread| vec![unread.problem(Path::new(path))];
        let accounts = self.readable(self.files.accounts_of(allow).map_err(files(Accounts::PASSWD)))?;
        Ok(allow.covers(self.caller, &accounts))
    }
}

/// Whether the network's server does not know the guest yet, or knows it by another address.
fn is_unknown(network: &Network, guest: Option<&Guest>) -> bool {
    let (Some(own), Some(guest)) = (network.own().filter(|own| own.serves()), guest) else { return false };
    let directory = Path::new(RUN_DIR).join(network.name.as_str());
    let differs = |(path, text): (PathBuf, Option<String>)| match fs::read_to_string(path) {
        Ok(found) => Some(found) != text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => text.is_some(),
        // What nobody lets us see may be as it should.
        Err(_) => false,
    };
    plan::guest_files(own, guest, &directory).into_iter().any(differs)
}
