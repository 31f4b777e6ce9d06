//! The network that a tap joins, with or without a file that says so.

use super::failure::Problems;
use crate::config::{self, Choice, Guest, Network, Problem, Store};
use crate::kernel::Host;
use crate::model::{IfName, Kind, NetworkName};

/// Finds the network of a tap: as configured, or, on a host without any configuration, the bridge that carries the
/// default route, as the distributions' own scripts do.
pub fn select(
    store: &Store,
    host: &mut Host,
    tap: &IfName,
    suffix: Option<&NetworkName>,
) -> anyhow::Result<(Network, Option<Guest>)> {
    let guest = match config::choose(store, tap, suffix).map_err(Problems)? {
        Choice::Network(network, guest) => return Ok((network, guest)),
        Choice::Nothing(guest) => guest,
    };
    let default: NetworkName = "default".parse()?;
    let carrier = match host.default_route_link()? {
        Some(name) => host.link(&name)?,
        None => None,
    };
    let why = match carrier {
        Some(link) if matches!(link.kind, Kind::Bridge(_)) => return Ok((Network::bridged(default, link.name), guest)),
        Some(link) => format!("the default route goes through {}, which is no bridge", link.name),
        None => "no default route leads to one".to_owned(),
    };
    let what = format!(
        "is missing, and there is no bridge to join instead: {why}; write into it, for example, {{\"mode\": \"isolated\"}}"
    );
    Err(Problems(vec![Problem { file: store.network_path(&default), line: None, key: String::new(), what }]).into())
}
