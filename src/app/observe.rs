//! What the host has, as far as one tap's network asks.

use std::io;

use crate::config::Network;
use crate::kernel::sys::tun;
use crate::kernel::{self, Host};
use crate::model::{IfName, Snapshot};
use crate::plan::{self, Plan};

/// Where systemd and its like keep the machine's identity.
const MACHINE_ID: &str = "/etc/machine-id";

/// Looks at the tap and the network's bridge, and further only where the bridge has yet to be made or finished.
pub fn observe(host: &mut Host, tap: &IfName, network: &Network) -> Result<Snapshot, kernel::Error> {
    // The bridge first: it is known by the time that the tap names it as its master.
    let bridge = host.link(&network.bridge)?;
    let tap = host.link(tap)?;
    let holds_queue = tap.as_ref().is_some_and(|tap| tap.is_open() && tun::holds_queue(&tap.name));
    let tap_addresses = match &tap {
        Some(tap) if !tap.goes_with_its_holder() => host.addresses(tap)?,
        _ => Vec::new(),
    };
    let groundwork = if plan::needs_groundwork(network, bridge.as_ref()) {
        let machine_id = machine_id()?;
        Some(host.groundwork(&network.bridge, bridge.as_ref(), &machine_id)?)
    } else {
        None
    };
    Ok(Snapshot { tap, holds_queue, tap_addresses, bridge, groundwork })
}

/// The machine's identity. A machine without one still gets MACs that stay the same; one whose identity cannot be read
/// just now would get others than before, and take its own links for another's.
fn machine_id() -> Result<Vec<u8>, kernel::Error> {
    match std::fs::read(MACHINE_ID) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| kernel::Error::of_io(format!("reading {MACHINE_ID}"), &error)),
    }
}

/// Looks again after a plan was carried out: at the tap, and at the bridge if the plan changed it.
pub fn observe_again(
    host: &mut Host,
    tap: &IfName,
    network: &Network,
    before: Snapshot,
    done: &Plan,
) -> Result<Snapshot, kernel::Error> {
    if done.operations.iter().any(|operation| operation.link == network.bridge) {
        // The seal was one of the changes, so it tells nothing yet.
        let mut after = observe(host, tap, network)?;
        if after.groundwork.is_none() {
            after.groundwork = Some(host.groundwork(&network.bridge, after.bridge.as_ref(), &machine_id()?)?);
        }
        return Ok(after);
    }
    Ok(Snapshot { tap: host.link(tap)?, ..before })
}
