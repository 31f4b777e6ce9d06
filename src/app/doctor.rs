//! `vnet doctor`: what on this host breaks networks, or will, and what mends it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::answer::Answer;
use super::failure::{Problems, exit_code};
use super::networks::{all_names, network, parsed};
use super::settings::Settings;
use crate::config::{Network, OwnNetwork, Reach};
use crate::kernel::{self, Host};
use crate::model::{Firewall, IfName, Link, Mark, NetworkName, Ruleset, Server, Subnet, Tables};
use crate::plan::diagnosis::{self, Complaint, Keepers, Running, Stranger, Ways};

/// The exit code where something was found.
const FOUND: u8 = 1;

/// Looks at one network, or at all that have a file, and at the host below them; for people, or as JSON for programs.
/// What this user may not see is said on standard error.
///
/// # Errors
/// A name that is none, or files that are wrong.
pub fn run(name: Option<&OsStr>, as_json: bool) -> anyhow::Result<Answer> {
    let settings = Settings::load()?;
    let mut host = Host::open(settings.host()?.mark)?;
    let mut answer = Answer::good(String::new());
    let names = match name {
        Some(name) => parsed(&[name.to_owned()])?,
        None => names(&settings, &mut host)?,
    };
    let mut networks = Vec::new();
    for name in names {
        match network(&settings, &mut host, &name) {
            Ok(network) => networks.push(network),
            Err(error) => answer.complain(&format!("{name}: {error:#}"), exit_code(&error)),
        }
    }
    let found = examine(&mut host, &settings, &networks, &mut answer)?;
    answer.text = if as_json {
        format!("{:#}\n", Value::from(found.iter().map(to_json).collect::<Vec<_>>()))
    } else if found.is_empty() && answer.exit_code == 0 {
        "nothing to mend\n".to_owned()
    } else {
        found.iter().map(|complaint| format!("{complaint}\n")).collect()
    };
    if !found.is_empty() && answer.exit_code == 0 {
        answer.exit_code = FOUND;
    }
    Ok(answer)
}

/// The networks that have a file, or the one that needs none where it is up.
fn names(settings: &Settings, host: &mut Host) -> anyhow::Result<Vec<NetworkName>> {
    let names = all_names(settings)?;
    let mut built_in = || host.link(&IfName::built_in());
    let is_up = names.is_empty() && built_in()?.and_then(|link| link.mark()).is_some();
    Ok(if is_up { vec![NetworkName::built_in()] } else { names })
}

fn to_json(complaint: &Complaint) -> Value {
    json!({
        "network": complaint.network.as_ref().map(ToString::to_string),
        "kind": complaint.kind.word(),
        "what": complaint.what,
        "remedy": complaint.remedy,
        "mends": complaint.mends,
    })
}

/// All that is wrong with these networks and the host.
fn examine(
    host: &mut Host,
    settings: &Settings,
    networks: &[Network],
    answer: &mut Answer,
) -> anyhow::Result<Vec<Complaint>> {
    let mut found = diagnosis::keepers(keepers());
    found.extend(diagnosis::legacy(&kernel::legacy_tables()));
    let links = host.links()?;
    let ruleset = seen(host.ruleset(), "what firewalls drop", answer)?.unwrap_or_default();
    let outside = host.default_route_link()?;
    let sight = Sight {
        settings,
        outside: links.iter().find(|link| Some(&link.name) == outside.as_ref()).cloned(),
        defaults: host.reverse_paths(&links)?,
        firewall: seen(host.firewall(), "whether the firewall has all rules", answer)?,
        links,
        ruleset,
    };
    let mut drops_bridged = false;
    for network in networks {
        let ports = sight.ports(host, network)?;
        let ways = sight.ways(&ports)?;
        found.extend(sight.network(host, network, &ports, &ways)?);
        drops_bridged |= diagnosis::drops_bridged(network, &sight.ruleset, &ways, host.mark());
    }
    if drops_bridged {
        found.extend(diagnosis::frames_filtered(kernel::frames_filtered()?));
    }
    Ok(found)
}

/// What only root sees; for others the answer says so.
fn seen<T>(found: Result<T, kernel::Error>, what: &str, answer: &mut Answer) -> anyhow::Result<Option<T>> {
    match found {
        Err(error) if error.is_denied() => {
            answer.complain(&format!("{what} only root sees; it is left out"), 0);
            Ok(None)
        }
        found => Ok(Some(found?)),
    }
}

/// Which other programs look after links here, as far as their files tell.
fn keepers() -> Keepers {
    let told = |places: &[&str], end: &str| {
        let entries = places.iter().flat_map(|place| fs::read_dir(place).into_iter().flatten());
        entries.filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().ends_with(end))
    };
    let there = |path: &str| Path::new(path).exists();
    let links = ["/etc/systemd/network", "/run/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network"];
    let managers = ["/etc/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d"];
    // Who has an empty file of its name in /etc has turned it off (systemd.link(5)).
    let policy = links.iter().map(|place| Path::new(place).join("99-default.link")).find(|path| path.exists());
    let sets_macs = policy.and_then(|path| fs::read_to_string(path).ok()).is_some_and(|text| {
        let set =
            |line: &str| line.trim().strip_prefix("MACAddressPolicy=").is_some_and(|value| value.trim() != "none");
        text.lines().any(set)
    });
    Keepers {
        network_manager: there("/run/NetworkManager") && !told(&managers, "vnet.conf"),
        networkd: there("/run/systemd/netif") && !told(&links, "vnet.network"),
        udev: there("/run/udev/control") && sets_macs && !told(&links, "vnet.link"),
    }
}

/// What was seen of the host.
struct Sight<'a> {
    settings: &'a Settings,
    links: Vec<Link>,
    ruleset: Ruleset,
    outside: Option<Link>,
    defaults: Vec<(IfName, u32)>,
    firewall: Option<Firewall>,
}

impl Sight<'_> {
    fn bridge(&self, network: &Network) -> Option<&Link> {
        self.links.iter().find(|link| link.name == network.bridge && link.is_bridge())
    }

    fn ports(&self, host: &mut Host, network: &Network) -> Result<Vec<Link>, kernel::Error> {
        self.bridge(network).map_or(Ok(Vec::new()), |bridge| host.ports(bridge))
    }

    fn ways(&self, ports: &[Link]) -> Result<Ways, kernel::Error> {
        Ok(Ways {
            outside: self.outside.as_ref().map(|link| link.name.to_string()),
            ports: ports.iter().map(|port| port.name.to_string()).collect(),
            indexes: self.links.iter().map(|link| (link.name.to_string(), link.index)).collect(),
            frames_filtered: kernel::frames_filtered()?,
        })
    }

    fn network(
        &self,
        host: &mut Host,
        network: &Network,
        ports: &[Link],
        ways: &Ways,
    ) -> anyhow::Result<Vec<Complaint>> {
        let bridge = self.bridge(network);
        let mut found = diagnosis::firewalls(network, &self.ruleset, ways, host.mark());
        found.extend(diagnosis::dead_taps(network, &host.links_of(&network.name)?));
        found.extend(diagnosis::reverse_paths(network, &self.defaults));
        found.extend(self.outside.as_ref().and_then(|outside| diagnosis::way_outside(network, outside)));
        if let Some(bridge) = bridge {
            let guests = self.settings.store.guests_of(&network.name).map_err(Problems)?;
            found.extend(diagnosis::bridge(network, bridge, kernel::address_is_set(&bridge.name)));
            found.extend(diagnosis::ports(network, bridge, ports, &guests));
        }
        // Also of one that is down: they may keep its server from its port.
        if let Some(own) = network.own().filter(|own| own.dhcp.is_some()) {
            found.extend(diagnosis::strangers(network, &self.strangers(host, bridge, own)?));
        }
        if let (Some(bridge), Some(own)) = (bridge.filter(|bridge| is_up(bridge, network)), network.own()) {
            found.extend(diagnosis::running(network, &self.running(host, (network, own), bridge)?));
        }
        Ok(found)
    }

    /// What there is of a network that is up.
    fn running(
        &self,
        host: &mut Host,
        (network, own): (&Network, &OwnNetwork),
        bridge: &Link,
    ) -> anyhow::Result<Running> {
        let is_whole = |firewall: &Firewall| firewall.tables == Tables::Whole && !firewall.of(&network.name).is_empty();
        let server = own.serves().then(|| server_process(self.settings, &network.name));
        let subnets: Vec<_> = own.bridge_addresses().iter().copied().map(Subnet::from).collect();
        Ok(Running {
            routing: Some(host.routing(&self.links, &network.bridge)?),
            outside: self.outside.clone(),
            guarded: self.firewall.as_ref().map(is_whole),
            served: server.map(|process| process.is_some()),
            routes: host.routes_into(&self.links, bridge.index, &subnets)?,
        })
    }

    /// Who waits for DHCP on a bridge and is no server of a network's.
    fn strangers(&self, host: &mut Host, bridge: Option<&Link>, own: &OwnNetwork) -> anyhow::Result<Vec<Stranger>> {
        let owners = self.links.iter().filter_map(Link::mark).filter_map(|mark| mark.network().cloned());
        let ours: BTreeSet<_> = owners.filter_map(|owner| server_process(self.settings, &owner)).collect();
        let is_ours = |ip| own.addresses.iter().any(|address| address.ip == ip);
        let mut strangers = Vec::new();
        for socket in host.dhcp_sockets()? {
            // One that is bound to an address gets what is sent to that, wherever it comes in. On an isolated network's
            // bridge the host has none, and its server is in a namespace of its own.
            let hears = match socket.link {
                0 if own.reach == Reach::Isolated => false,
                0 => socket.address.is_unspecified() || is_ours(socket.address),
                link => bridge.is_some_and(|bridge| bridge.index == link),
            };
            let holder = Some(socket.inode).filter(|_| hears).and_then(kernel::socket_holder);
            let stranger = holder.filter(|(process, _)| !ours.contains(process));
            strangers.extend(stranger.map(|(process, name)| Stranger { process, name, bound: socket.link != 0 }));
        }
        strangers.sort();
        strangers.dedup();
        Ok(strangers)
    }
}

fn is_up(bridge: &Link, network: &Network) -> bool {
    bridge.up && matches!(bridge.mark(), Some(Mark::Owned(owner, _)) if owner == network.name)
}

fn server_process(settings: &Settings, network: &NetworkName) -> Option<u32> {
    let directory = settings.directory(network);
    // What is asked here is only whether it runs.
    kernel::server_process(&Server { network: network.clone(), program: PathBuf::new(), directory, enclave: None })
}
