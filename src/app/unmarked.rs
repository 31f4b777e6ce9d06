//! Links on network cards that a run began to make, and could not mark any more: it was ended.

use std::collections::BTreeSet;

use super::change::carry_out;
use super::deadline::Deadline;
use super::failure::Problems;
use super::lock::lock_network;
use super::settings::Settings;
use super::tap_list::Made;
use crate::config::Mode;
use crate::kernel::sys::clock;
use crate::kernel::sys::lock::Lock;
use crate::kernel::{self, Host, OpenDevices};
use crate::model::{Direct, IfName, Kind, NetworkName};
use crate::plan;

/// Removes them, but for those that a program holds, and tells their names. Whose network they were to be on nobody
/// knows.
///
/// # Errors
/// A network's lock that cannot be had, or the kernel's.
pub(super) fn unmarked_remove(settings: &Settings, host: &mut Host) -> anyhow::Result<Vec<IfName>> {
    if unmarked(host)?.is_empty() {
        return Ok(Vec::new());
    }
    let deadline = Deadline::of_run(clock::now());
    // Whoever makes such a link holds its network's lock: with all of them nobody does. Nobody else takes a second one,
    // and all who do take them in this order.
    let locks = networks(settings)?.into_iter().map(|name| lock_network(&settings.run_dir, &name, deadline));
    let locks = locks.collect::<anyhow::Result<Vec<_>>>()?;
    let removed = unmarked(host).and_then(|found| {
        let open = OpenDevices::look();
        let idle = found.into_iter().filter(|made| kernel::direct_is_held(&made.link, &open) != Some(true));
        idle.map(|made| remove(host, made, deadline)).collect()
    });
    locks.into_iter().for_each(Lock::remove_unless_noted);
    removed
}

/// The networks on network cards; one whose file cannot be read may be such a one.
fn networks(settings: &Settings) -> Result<BTreeSet<NetworkName>, Problems> {
    let (names, _) = settings.store.network_names().map_err(|problem| Problems(vec![problem]))?;
    let is_direct = |name: &NetworkName| match settings.store.network(name) {
        Ok(network) => network.is_some_and(|network| matches!(network.mode, Mode::Direct(_))),
        Err(_) => true,
    };
    Ok(names.into_iter().filter(is_direct).collect())
}

fn unmarked(host: &mut Host) -> anyhow::Result<Vec<Made>> {
    let mut found = Vec::new();
    for link in host.links()? {
        if matches!(&link.kind, Kind::Other(kind) if Direct::KINDS.contains(&kind.as_str())) {
            found.extend(Made::of(host, link)?.filter(|made| made.network.is_none()));
        }
    }
    Ok(found)
}

fn remove(host: &mut Host, made: Made, deadline: Deadline) -> anyhow::Result<IfName> {
    let name = made.link.name;
    let plan = plan::tap_del(&name, made.state.made);
    carry_out(host, &plan.operations, deadline, |host| {
        let left = host.link(&name)?.map_or(Ok(None), |link| Made::of(host, link))?;
        Ok(left.map_or_else(Vec::new, |made| plan::tap_del(&name, made.state.made).operations))
    })?;
    Ok(name)
}
