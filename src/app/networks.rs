//! The networks that a command line names.

use std::ffi::{OsStr, OsString};

use super::failure::{Problems, Usage};
use super::select::built_in;
use super::settings::Settings;
use crate::config::{Network, Problem};
use crate::kernel::Host;
use crate::model::NetworkName;

/// A network, or why there is none of the name.
pub(super) type Named = Result<Network, (NetworkName, anyhow::Error)>;

/// The networks of these names, or all that have a file.
///
/// # Errors
/// A name that is none; names beside `all`, or neither.
pub(super) fn named(settings: &Settings, host: &mut Host, names: &[OsString], all: bool) -> anyhow::Result<Vec<Named>> {
    let names = if all { all_names(settings)? } else { parsed(names)? };
    Ok(names.into_iter().map(|name| network(settings, host, &name).map_err(|error| (name, error))).collect())
}

/// The network of this name. The built-in one needs no file, on a host that has none.
pub(super) fn network(settings: &Settings, host: &mut Host, name: &NetworkName) -> anyhow::Result<Network> {
    match settings.store.network(name).map_err(Problems)? {
        Some(network) => Ok(network),
        None if *name == NetworkName::built_in()
            && !settings.store.has_networks().map_err(|problem| Problems(vec![problem]))? =>
        {
            built_in(host)
        }
        None => {
            let what = "is missing; write it, or see the names that are there beside it".to_owned();
            let file = settings.store.network_path(name);
            Err(Problems(vec![Problem::of_file(&file, what)]).into())
        }
    }
}

/// The names on a command line.
pub(super) fn parsed(names: &[OsString]) -> Result<Vec<NetworkName>, Usage> {
    names.iter().map(|name| parsed_name(name)).collect()
}

/// A name on a command line.
pub(super) fn parsed_name(name: &OsStr) -> Result<NetworkName, Usage> {
    name.to_string_lossy().parse().map_err(|invalid| Usage(format!("{invalid}")))
}

pub(super) fn all_names(settings: &Settings) -> Result<Vec<NetworkName>, Problems> {
    let (names, misnamed) = settings.store.network_names().map_err(|problem| Problems(vec![problem]))?;
    if misnamed.is_empty() { Ok(names) } else { Err(Problems(misnamed)) }
}
