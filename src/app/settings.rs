//! Where the configuration and the state are.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::failure::Problems;
use crate::config::{HostSettings, Owner, Problem, Store};
use crate::kernel::sys::privilege;
use crate::model::NetworkName;

/// The two roots.
#[derive(Debug)]
pub struct Settings {
    /// The configuration: `/etc/vnet`, or `VNET_CONFIG_DIR`.
    pub store: Store,
    /// What must not outlive a reboot: `/run/vnet`, or `VNET_RUN_DIR`.
    pub run_dir: PathBuf,
    /// Who may own what is in either.
    pub owner: Owner,
}

impl Settings {
    /// Reads the environment, as far as it may decide anything.
    ///
    /// # Errors
    /// A directory named by the environment in which others could put files for root to believe.
    pub fn load() -> Result<Self, Problems> {
        let caller = Uid::effective();
        let root = directory("VNET_CONFIG_DIR", "/etc/vnet", caller)?;
        let run_dir = directory("VNET_RUN_DIR", "/run/vnet", caller)?;
        let owner = Owner::root_or(caller.as_raw());
        Ok(Self { store: Store::new(root, owner), run_dir, owner })
    }

    /// Where a network's server and its like keep their files.
    pub fn directory(&self, network: &NetworkName) -> PathBuf {
        self.run_dir.join(network.as_str())
    }

    /// What concerns the whole host.
    ///
    /// # Errors
    /// What is wrong with its file.
    pub fn host(&self) -> Result<HostSettings, Problems> {
        self.store.host().map_err(Problems)
    }
}

fn directory(variable: &str, standard: &str, caller: Uid) -> Result<PathBuf, Problems> {
    if privilege::were_raised() {
        return Ok(standard.into());
    }
    let Some(path) = std::env::var_os(variable).map(PathBuf::from) else { return Ok(standard.into()) };
    let refuse = |what: String| {
        let (file, key) = match path.as_os_str().is_empty() {
            true => (variable.into(), String::new()),
            false => (path.clone(), variable.to_owned()),
        };
        Problems(vec![Problem { key, ..Problem::of_file(&file, what) }])
    };
    if !path.is_absolute() {
        return Err(refuse("has to name an absolute path, for QEMU may run the hook in any directory".to_owned()));
    }
    if caller.is_root() && is_whole_machines_root() {
        return only_roots(&path).map_err(refuse);
    }
    Ok(path)
}

/// Whether user 0 here is the machine's: in a user namespace it is some user, whose own files are all it risks.
fn is_whole_machines_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.is_empty() || map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The path without its symbolic links, of which every part is root's and closed to others, but for a sticky directory
/// such as /tmp on the way. Of a path that does not exist yet, the last part that does is closed without exception: who
/// may write there could make the rest.
fn only_roots(path: &Path) -> Result<PathBuf, String> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => {
                let parent = only_roots(parent)?;
                closed(&parent, false)?;
                return Ok(parent.join(name));
            }
            _ => return Err("does not exist".to_owned()),
        },
        Err(error) => return Err(format!("cannot be followed: {error}")),
    };
    closed(&real, false)?;
    real.ancestors().skip(1).try_for_each(|part| closed(part, true))?;
    Ok(real)
}

/// Whether a part of a path is root's and closed to others, or sticky where that may be.
fn closed(part: &Path, may_be_sticky: bool) -> Result<(), String> {
    let status = part.symlink_metadata().map_err(|error| format!("{} cannot be examined: {error}", part.display()))?;
    let sticky = may_be_sticky && status.mode() & 0o1000 != 0;
    if status.uid() != 0 || (status.mode() & 0o022 != 0 && !sticky) {
        let part = part.display();
        return Err(format!(
            "is not used by root: others may change {part}; chown root and chmod go-w it, or unset it"
        ));
    }
    Ok(())
}
