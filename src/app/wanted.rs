//! What a network's own file, its guests' and its peers' ask of the host.

use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::failure::Problems;
use super::settings::Settings;
use crate::config::{Changes, Guest, Network, OwnNetwork, resolve};
use crate::kernel::sys::user;
use crate::model::{PortForward, Server};
use crate::plan::{self, Place, Wanted};

/// Where distributions install the server.
const PROGRAMS: [&str; 3] = ["/usr/sbin/dnsmasq", "/usr/bin/dnsmasq", "/usr/local/sbin/dnsmasq"];

/// Reads what else there is to read, and puts it together: with the forwards that came and went since the network is up.
///
/// # Errors
/// All that is wrong with the files.
pub(super) fn wanted(settings: &Settings, network: &Network) -> anyhow::Result<Wanted> {
    let directory = settings.directory(&network.name);
    let changes =
        Changes::read(&Changes::path(&directory), settings.owner).map_err(|problem| Problems(vec![problem]))?;
    wanted_with(settings, network, &changes)
}

/// The same with other changes than those that are in force.
pub(super) fn wanted_with(settings: &Settings, network: &Network, changes: &Changes) -> anyhow::Result<Wanted> {
    let Some(own) = network.own() else { return Ok(Wanted::default()) };
    let directory = settings.directory(&network.name);
    let guests = settings.store.guests_of(&network.name).map_err(Problems)?;
    let peers = settings.store.peers_of(network).map_err(Problems)?;
    let mut forwards = resolve(&changes.without_removed(network), &guests).map_err(Problems)?;
    let path = Changes::path(&directory);
    forwards.extend(added(network, changes, &guests, &path)?);
    let peers: Vec<_> = peers.into_iter().map(|peer| peer.bridge).collect();
    let mut wanted = Wanted {
        elements: Wanted::elements(network, own, &forwards, &peers),
        proxied: plan::proxied(own, &guests),
        ..Wanted::default()
    };
    wanted.elements.extend(plan::claims(network, own, &guests, &super::observe::machine_id()?));
    if own.serves() {
        let place = place(&directory)?;
        wanted.files = plan::server_files(network, &guests, &place);
        wanted.server = Some(server(network, own, directory)?);
    }
    if !changes.is_empty() {
        wanted.files.insert(path, changes.to_string());
    }
    Ok(wanted)
}

/// The ports of the forwards that came since the network is up. Each by itself, for a mistake in one is mended by taking
/// that one away.
fn added(network: &Network, changes: &Changes, guests: &[Guest], path: &Path) -> anyhow::Result<Vec<PortForward>> {
    let mut ports = Vec::new();
    for (forward, _) in &changes.added {
        let resolved = resolve(&Changes::with_only(network, forward, path), guests);
        ports.extend(resolved.map_err(|problems| {
            let what: Vec<_> = problems.into_iter().map(|problem| problem.what).collect();
            let listen = forward.listen;
            anyhow!(
                "the forward {forward}: {}; or take it away: vnet forward del {} {listen}",
                what.join("; "),
                network.name
            )
        })?);
    }
    Ok(ports)
}

/// The network's server, whether or not it runs.
pub(super) fn server(network: &Network, own: &OwnNetwork, directory: PathBuf) -> anyhow::Result<Server> {
    let enclave = plan::enclave(network, own, &super::observe::machine_id()?);
    // Where it is not installed the plan refuses before anybody runs it.
    let program = program().unwrap_or_default();
    Ok(Server { network: network.name.clone(), program, directory, enclave })
}

/// The server's program, if it is installed.
pub(super) fn program() -> Option<PathBuf> {
    PROGRAMS.iter().map(Path::new).find(|program| program.exists()).map(Path::to_owned)
}

/// Where the server keeps its files and as whom it runs: a user of its own where the package made one.
pub(super) fn place(directory: &Path) -> anyhow::Result<Place> {
    let (user, group) = user::server_user()?;
    Ok(Place::new(directory.to_owned(), &user, &group)?)
}
