//! What the host has, as far as one network and one tap ask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::failure::Problems;
use super::guards::{guard_lent, guarding};
use super::others::{docker, others};
use super::settings::Settings;
use super::verified::Verified;
use super::wanted::{program, server, wanted};
use crate::config::{Changes, Guest, Network, OwnNetwork};
use crate::kernel::sys::tun;
use crate::kernel::{self, Host};
use crate::model::{
    Element, Enclave, Firewall, FramesFiltered, Groundwork, IfName, Link, Mark, NetworkName, Port, Server, Service,
    Snapshot, Subnet, Tables,
};
use crate::plan::{self, Wanted};

/// Where systemd and its like keep the machine's identity.
const MACHINE_ID: &str = "/etc/machine-id";

/// What is there, and what a network asks for besides its bridge where it has to be looked at.
#[derive(Debug, Default)]
pub struct Observed {
    /// What is there.
    pub snapshot: Snapshot,
    /// What the network asks for; `None` where it is known to be whole.
    pub wanted: Option<Wanted>,
}

/// Looks at the tap and the network's bridge; and at all else that the network rests on unless the last run found it
/// whole and nobody has changed it since.
pub fn observe(
    host: &mut Host,
    settings: &Settings,
    tap: &IfName,
    (network, guest): (&Network, Option<&Guest>),
    verified: &Verified,
) -> anyhow::Result<Observed> {
    // The bridge first: it is known by the time that the tap names it as its master.
    let bridge = host.link(&network.bridge)?;
    let mut snapshot = Snapshot { bridge, ..Snapshot::default() };
    observe_tap(host, tap, &mut snapshot)?;
    let whole = is_whole(host, settings, (network, guest), snapshot.bridge.as_ref(), verified)?;
    let wanted = if whole { None } else { Some(wanted(settings, network)?) };
    observe_network(host, settings, network, wanted, snapshot)
}

/// Looks at the tap again, after it was changed.
pub fn observe_tap(host: &mut Host, tap: &IfName, snapshot: &mut Snapshot) -> Result<(), kernel::Error> {
    snapshot.tap = host.link(tap)?;
    snapshot.made = snapshot.tap.as_ref().map_or(Ok(None), |tap| host.made(tap))?;
    snapshot.holds_queue = snapshot.tap.as_ref().is_some_and(|tap| tap.is_open() && tun::holds_queue(&tap.name));
    snapshot.tap_addresses = match &snapshot.tap {
        Some(tap) if !tap.goes_with_its_holder() => host.addresses(tap)?,
        _ => Vec::new(),
    };
    Ok(())
}

/// Looks at what bridged frames go through, where that may matter, and whether the tap sends back what came in by it.
pub fn observe_frames(
    host: &mut Host,
    network: &Network,
    matters: bool,
    snapshot: &mut Snapshot,
) -> Result<(), kernel::Error> {
    let forwards = network.own().is_some_and(|own| !own.forwards.is_empty());
    if matters || forwards || network.own().is_none() {
        snapshot.frames_filtered = kernel::frames_filtered()?;
    }
    if let Some(tap) = snapshot.tap.as_ref().filter(|tap| forwards && tap.master.is_some()) {
        snapshot.hairpin = host.hairpin(tap)?;
    }
    Ok(())
}

/// Looks at the bridge, and at all other links that are the network's, wherever they are.
pub fn observe_bridge(host: &mut Host, network: &Network, snapshot: &mut Snapshot) -> Result<(), kernel::Error> {
    snapshot.bridge = host.link(&network.bridge)?;
    snapshot.ports.clear();
    let mut links = host.links_of(&network.name)?;
    kernel::taps_ask_holders(&mut links);
    for link in links {
        if link.is_bridge() {
            continue;
        }
        let is_port = link.master.as_ref().is_some_and(|master| master.name == network.bridge);
        let hairpin = is_port && network.own().is_some() && host.hairpin(&link)?;
        let address = match link.master {
            None => host.addresses(&link)?.into_iter().next(),
            Some(_) => None,
        };
        snapshot.ports.push(Port { link, hairpin, address });
    }
    Ok(())
}

/// Completes a snapshot that has the bridge with what the network rests on, where something is asked of that.
pub fn observe_network(
    host: &mut Host,
    settings: &Settings,
    network: &Network,
    mut wanted: Option<Wanted>,
    mut snapshot: Snapshot,
) -> anyhow::Result<Observed> {
    observe_frames(host, network, wanted.is_some(), &mut snapshot)?;
    let filtered = snapshot.frames_filtered != FramesFiltered::default();
    if wanted.is_some() && network.own().is_some() || (filtered && network.own().is_none()) {
        snapshot.barriers = seen(host.barriers(&network.bridge))?.unwrap_or_default();
    }
    if let Some(wanted) = &mut wanted {
        let bridge = snapshot.bridge.as_ref();
        match network.own() {
            Some(own) => {
                let found = (bridge, &mut snapshot.ports);
                snapshot.groundwork = Some(survey(host, settings, (network, own), wanted, found)?);
            }
            None => snapshot.guarding = guarding(host, settings, network, wanted, &mut snapshot.ports)?,
        }
    }
    Ok(Observed { snapshot, wanted })
}

/// Whether the network needs no further look: its bridge is finished, nobody has changed the firewall since a run found
/// it whole, its server runs, and knows the guest.
fn is_whole(
    host: &mut Host,
    settings: &Settings,
    (network, guest): (&Network, Option<&Guest>),
    bridge: Option<&Link>,
    verified: &Verified,
) -> anyhow::Result<bool> {
    let Some(own) = network.own() else { return Ok(true) };
    if plan::is_unfinished(network, bridge)
        || verified.generation == 0
        || verified.mark != host.mark()
        || seen(host.generation())? != Some(verified.generation)
    {
        return Ok(false);
    }
    if !own.serves() {
        // Nothing says then whether its address is still the one that a forward leads to.
        return Ok(!guest.is_some_and(|guest| own.forwards_to(guest)));
    }
    let directory = settings.directory(&network.name);
    // What is asked here is only who it is.
    let server = Server { network: network.name.clone(), program: PathBuf::new(), directory, enclave: None };
    Ok(kernel::server_runs(&server, verified.server) && guest.is_none_or(|guest| knows(&server.directory, own, guest)))
}

/// Whether the server's files say of a guest what its own file says.
fn knows(directory: &Path, own: &OwnNetwork, guest: &Guest) -> bool {
    let files = plan::guest_files(own, guest, directory);
    if own.forwards_to(guest) && files.iter().all(|(_, text)| text.is_none()) {
        // As where there is no server.
        return false;
    }
    files.into_iter().all(|(path, text)| fs::read_to_string(path).ok() == text)
}

/// Everything that a network rests on.
fn survey(
    host: &mut Host,
    settings: &Settings,
    (network, own): (&Network, &OwnNetwork),
    wanted: &mut Wanted,
    (bridge, ports): (Option<&Link>, &mut Vec<Port>),
) -> anyhow::Result<Groundwork> {
    let mut found = seen(host.firewall())?;
    let links = host.links()?;
    guard_lent(settings, &links, network, wanted, (found.as_mut(), ports));
    let firewall = found.unwrap_or_else(|| presumed(network, wanted, bridge));
    let is_ours = |link: &&Link| matches!(link.mark(), Some(Mark::Owned(owner, _)) if owner == network.name);
    let elsewhere = links.iter().filter(is_ours).find(|link| link.is_bridge() && link.name != network.bridge);
    let others = match firewall.tables {
        Tables::Whole => Vec::new(),
        Tables::Absent | Tables::Damaged => others(settings, Some(&network.name), &links, &firewall.elements),
    };
    let had = firewall.of(&network.name);
    let subnets: Vec<Subnet> = own.subnets().chain(had.iter().filter_map(Element::subnet)).collect();
    let mut groundwork = host.groundwork(&network.bridge, bridge, &machine_id()?)?;
    groundwork.routing = host.routing(&links, &network.bridge)?;
    groundwork.taken = host.taken(&links, bridge.map(|bridge| bridge.index), &subnets)?;
    groundwork.proxies = host.proxies(&links, Some(&subnets))?;
    groundwork.listeners = if wanted.forwards().next().is_none() { Vec::new() } else { host.listeners()? };
    groundwork.docker = seen(docker(host, settings, &network.name, &links))?.unwrap_or_default();
    groundwork.elsewhere = elsewhere.map(|link| link.name.clone());
    let directory = settings.directory(&network.name);
    groundwork.turned_on = turned_on(&directory);
    let mut server = server(network, own, directory.clone())?;
    if server.enclave.is_none() {
        // It may run where the network's file had it before.
        server.enclave = links.iter().find(|link| is_ours(link) && !link.is_bridge()).cloned().map(seen_enclave);
    }
    groundwork.service = service(&server, !own.serves())?;
    groundwork.directory = directory;
    groundwork.others = others;
    groundwork.firewall = firewall;
    Ok(groundwork)
}

/// What only root sees; `None` for others, who may still ask what would be done.
pub(super) fn seen<T>(found: Result<T, kernel::Error>) -> Result<Option<T>, kernel::Error> {
    match found {
        Err(error) if error.is_denied() => Ok(None),
        found => found.map(Some),
    }
}

/// The firewall for who may not see it: as a network that is up left it.
fn presumed(network: &Network, wanted: &Wanted, bridge: Option<&Link>) -> Firewall {
    let of_network = |element: &Element| (network.name.clone(), element.clone());
    let elements = if bridge.is_some() { wanted.elements.iter().map(of_network).collect() } else { Vec::new() };
    Firewall { tables: Tables::Whole, elements, ..Firewall::default() }
}

/// What the port of a server's namespace tells of it.
pub(super) fn seen_enclave(port: Link) -> Enclave {
    let Link { name, mac, mtu, .. } = port;
    Enclave { bridge: name.clone(), port: name, mac, mtu, addresses: Vec::new() }
}

/// Whether this server runs, and the files that there are for it; for `all`, also what it keeps by itself, which a
/// network that has none any more has no use for.
fn service(server: &Server, all: bool) -> anyhow::Result<Service> {
    let directory = &server.directory;
    let failed = |error| kernel::Error::of_io(format!("reading {}", directory.display()), &error);
    let mut files = files_of(directory, all).map_err(failed)?;
    files.remove(&directory.join(TURNED_ON));
    let running = kernel::server_process(server).map(|_| server.clone());
    Ok(Service { program: program(), running, has_leases: server.leases().exists(), files })
}

/// The file that says for which links proxy_ndp was turned on because of a network.
const TURNED_ON: &str = "proxy_ndp";

/// The links for which proxy_ndp was turned on because of the network of this directory.
pub(super) fn turned_on(directory: &Path) -> Vec<IfName> {
    let text = fs::read_to_string(directory.join(TURNED_ON)).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The files of a network's directory; but for `all`, without those that come and go by themselves.
pub(super) fn files_of(directory: &Path, all: bool) -> io::Result<BTreeMap<PathBuf, String>> {
    let mut files = BTreeMap::new();
    for path in [directory.to_owned(), directory.join("dhcp"), directory.join("hosts")] {
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let counts = match entry.file_name().to_str() {
                // They go with the server.
                Some("dnsmasq.pid" | "dnsmasq.ending") => false,
                Some("leases" | TURNED_ON) => all,
                _ => true,
            };
            if counts && entry.file_type()?.is_file() {
                files.insert(entry.path(), String::from_utf8_lossy(&fs::read(entry.path())?).into_owned());
            }
        }
    }
    Ok(files)
}

/// The forwards that came and went since the network is up.
pub(super) fn changes(settings: &Settings, network: &NetworkName) -> Result<Changes, Problems> {
    let path = Changes::path(&settings.directory(network));
    Changes::read(&path, settings.owner).map_err(|problem| Problems(vec![problem]))
}

/// The machine's identity. A machine without one still gets MACs that stay the same; one whose identity cannot be read
/// just now would get others than before, and take its own links for another's.
pub(super) fn machine_id() -> Result<Vec<u8>, kernel::Error> {
    match fs::read(MACHINE_ID) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| kernel::Error::of_io(format!("reading {MACHINE_ID}"), &error)),
    }
}
