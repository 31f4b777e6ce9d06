//! `vnet status`: what is up, and who is on it.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::answer::Answer;
use super::failure::exit_code;
use super::networks::{all_names, network, parsed};
use super::observe::changes;
use super::settings::Settings;
use crate::config::{Mode, Network, OwnNetwork};
use crate::kernel::{self, Host};
use crate::model::{Address, IfName, Leased, Link, Mark, NetworkName, Server, Tables};

/// What there is to tell of one network.
struct Status {
    name: NetworkName,
    /// What its file says; `None` of one that is up and has none.
    network: Option<Network>,
    /// The bridge, if it is there and the network's.
    bridge: Option<Link>,
    addresses: Vec<Address>,
    guests: Vec<Link>,
    /// Those guests' taps that are there though no program holds them.
    idle: Vec<IfName>,
    leases: Vec<Leased>,
    forwards: Vec<String>,
    /// The server's process, on a network that has a server.
    server: Option<Option<u32>>,
    /// Whether the firewall holds the network; `None` where that cannot be seen.
    guarded: Option<bool>,
}

/// Tells of one network, or of all that have a file or are up; for people, or as JSON for programs.
///
/// # Errors
/// A name that is none, or files that are wrong.
pub fn run(name: Option<&OsStr>, as_json: bool) -> anyhow::Result<Answer> {
    let settings = Settings::load()?;
    let mut host = Host::open(settings.host()?.mark)?;
    let links = host.links()?;
    let names = match name {
        Some(name) => parsed(&[name.to_owned()])?,
        None => known_names(&settings, &links)?,
    };
    let mut all = Vec::new();
    let mut answer = Answer::good(String::new());
    for name in names {
        match described(&settings, &mut host, &links, &name) {
            Ok(status) => all.push(status),
            // Those of the others are good, and may be what is asked for.
            Err(error) => answer.complain(&format!("{error:#}"), exit_code(&error)),
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    answer.text = if as_json {
        format!("{:#}\n", Value::from(all.iter().map(|status| status.to_json()).collect::<Vec<_>>()))
    } else if all.is_empty() && answer.exit_code == 0 {
        "no network has a file, and none is up\n".to_owned()
    } else {
        all.iter().map(|status| status.to_text(now)).collect::<Vec<_>>().join("\n")
    };
    Ok(answer)
}

/// What there is to tell of the network of this name, with or without a file.
fn described(settings: &Settings, host: &mut Host, links: &[Link], name: &NetworkName) -> anyhow::Result<Status> {
    let owned = links.iter().find(|link| link.is_bridge() && is_owned(link, name));
    let network = match (network(settings, host, name), owned) {
        (Err(_), Some(_)) if !settings.store.network_path(name).exists() => None,
        (network, _) => Some(network?),
    };
    status(settings, host, links, (name.clone(), network))
}

/// All networks that have a file, or are up without one.
fn known_names(settings: &Settings, links: &[Link]) -> anyhow::Result<Vec<NetworkName>> {
    let mut names = all_names(settings)?;
    let marks = links.iter().filter(|link| link.is_bridge()).filter_map(Link::mark);
    names.extend(marks.filter_map(|mark| mark.network().cloned()));
    names.sort();
    names.dedup();
    Ok(names)
}

fn is_owned(link: &Link, network: &NetworkName) -> bool {
    matches!(link.mark(), Some(Mark::Owned(owner, _) | Mark::Uplink(owner, _)) if owner == *network)
}

fn status(
    settings: &Settings,
    host: &mut Host,
    links: &[Link],
    (name, network): (NetworkName, Option<Network>),
) -> anyhow::Result<Status> {
    let own = network.as_ref().and_then(Network::own);
    let bridge = match &network {
        Some(Network { bridge, mode: Mode::Bridged | Mode::Direct(_), .. }) => {
            host.link(bridge)?.filter(|bridge| bridge.mark().is_none())
        }
        _ => links.iter().find(|link| link.is_bridge() && is_owned(link, &name)).cloned(),
    };
    let addresses = bridge.as_ref().map_or(Ok(Vec::new()), |bridge| host.addresses(bridge))?;
    let is_guest = |link: &&Link| match link.mark() {
        Some(mark @ (Mark::Port(..) | Mark::Persistent(_) | Mark::Lent(_))) => mark.is_of(&name),
        _ => false,
    };
    let guests: Vec<_> = links.iter().filter(is_guest).cloned().collect();
    let mut idle = Vec::new();
    for tap in guests.iter().filter(|guest| matches!(guest.mark(), Some(Mark::Persistent(_)))) {
        let held = host.tap_state(tap)?.and_then(|state| state.is_held());
        idle.extend(held.filter(|held| !held).map(|_| tap.name.clone()));
    }
    let directory = settings.directory(&name);
    let leases = Leased::read_all(&fs::read(directory.join("leases")).unwrap_or_default());
    let server = own.filter(|own| own.serves()).map(|_| process(&name, &directory));
    let forwards = match (&bridge, &network, own) {
        (Some(_), Some(network), Some(own)) => forwards(settings, network, own)?,
        _ => Vec::new(),
    };
    // The guests of a LAN are the LAN's to guard.
    let is_guarded = bridge.as_ref().is_some_and(|bridge| matches!(bridge.mark(), Some(Mark::Owned(..))));
    let guarded = if is_guarded { guarded(host, &name)? } else { None };
    Ok(Status { name, bridge, addresses, guests, idle, leases, forwards, server, guarded, network })
}

fn process(network: &NetworkName, directory: &Path) -> Option<u32> {
    let (network, directory) = (network.clone(), directory.to_owned());
    kernel::server_process(&Server { network, program: "dnsmasq".into(), directory, enclave: None })
}

fn forwards(settings: &Settings, network: &Network, own: &OwnNetwork) -> anyhow::Result<Vec<String>> {
    let changes = changes(settings, &network.name)?;
    let stays = own.forwards.iter().filter(|forward| !changes.removed.contains(&forward.listen));
    Ok(stays.chain(changes.added.iter().map(|(forward, _)| forward)).map(ToString::to_string).collect())
}

/// Whether the firewall holds the network; only root can see that.
fn guarded(host: &mut Host, network: &NetworkName) -> anyhow::Result<Option<bool>> {
    match host.firewall() {
        Ok(firewall) => Ok(Some(firewall.tables == Tables::Whole && !firewall.of(network).is_empty())),
        Err(error) if error.is_denied() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Status {
    fn is_up(&self) -> bool {
        self.bridge.as_ref().is_some_and(|bridge| bridge.up)
    }

    /// What is wrong with a network that is up.
    fn trouble(&self) -> Option<&'static str> {
        match (self.is_up(), self.guarded, self.server) {
            (true, Some(false), _) => Some("the firewall lost its rules"),
            (true, _, Some(None)) => Some("dnsmasq does not run"),
            _ => None,
        }
    }

    fn to_text(&self, now: u64) -> String {
        let name = &self.name;
        let state = if self.is_up() { "up" } else { "down" };
        let mut text = match (&self.network, &self.bridge) {
            (Some(network), _) => format!("{name}: {state}, {} on {}", network.mode.word(), network.bridge),
            (None, Some(bridge)) => format!("{name}: {state} on {}, without a file", bridge.name),
            (None, None) => format!("{name}: {state}, without a file"),
        };
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        if !addresses.is_empty() {
            text.push_str(&format!(", {}", addresses.join(", ")));
        }
        text.push('\n');
        // Writing to a string cannot fail.
        if let Some(trouble) = self.trouble() {
            let _ = writeln!(text, "  wrong: {trouble}; mend it with: vnet up {name}");
        }
        if let (true, Some(Some(process))) = (self.is_up(), self.server) {
            let _ = writeln!(text, "  dnsmasq: process {process}");
        }
        for guest in &self.guests {
            let how = match (guest.up, self.idle.contains(&guest.name)) {
                (false, _) => " (down)",
                (true, true) => " (no program holds it)",
                (true, false) => "",
            };
            let lent = guest.loan().map_or_else(String::new, |loan| match loan.mac {
                Some(mac) => format!(", lent to user {}, MAC {mac}", loan.user),
                None => format!(", lent to user {}", loan.user),
            });
            let _ = writeln!(text, "  guest on {}{lent}{how}", guest.name);
        }
        for lease in &self.leases {
            let _ = writeln!(text, "  lease {}", told(lease, now));
        }
        for forward in &self.forwards {
            let _ = writeln!(text, "  forward {forward}");
        }
        text
    }

    fn to_json(&self) -> Value {
        let lease = |lease: &Leased| {
            json!({
                "address": lease.ip.to_string(),
                "mac": lease.mac.map(|mac| mac.to_string()),
                "hostname": lease.hostname.as_ref().map(ToString::to_string),
                "until": lease.until,
            })
        };
        let bridge = self.bridge.as_ref().map(|bridge| &bridge.name);
        json!({
            "network": self.name.as_str(),
            "mode": self.network.as_ref().map(|network| network.mode.word()),
            "bridge": self.network.as_ref().map(|network| &network.bridge).or(bridge).map(IfName::as_str),
            "up": self.is_up(),
            "addresses": self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "guests": self.guests.iter().map(|tap| self.guest_to_json(tap)).collect::<Vec<_>>(),
            "leases": self.leases.iter().map(lease).collect::<Vec<_>>(),
            "forwards": self.forwards,
            "dnsmasq": self.server.map(|process| json!({ "running": process.is_some(), "process": process })),
            "firewall": self.guarded,
        })
    }
}

impl Status {
    fn guest_to_json(&self, tap: &Link) -> Value {
        let loan = tap.loan();
        json!({
            "tap": tap.name.as_str(),
            "up": tap.up,
            "idle": self.idle.contains(&tap.name),
            "user": loan.as_ref().map(|loan| loan.user),
            "mac": loan.and_then(|loan| loan.mac).map(|mac| mac.to_string()),
        })
    }
}

/// `192.168.57.10 of web0, 52:54:00:12:34:57, for 59 min`
fn told(lease: &Leased, now: u64) -> String {
    let mut text = lease.ip.to_string();
    if let Some(hostname) = &lease.hostname {
        text.push_str(&format!(" of {hostname}"));
    }
    if let Some(mac) = lease.mac {
        text.push_str(&format!(", {mac}"));
    }
    match lease.until.map(|until| until.saturating_sub(now)) {
        None => text.push_str(", for ever"),
        Some(left @ 0..120) => text.push_str(&format!(", for {left} s")),
        Some(left) => text.push_str(&format!(", for {} min", left / 60)),
    }
    text
}
