//! The lock of a network, and what to do when it cannot be had.

use std::io;
use std::path::Path;

use nix::errno::Errno;

use super::deadline::Deadline;
use super::failure::NoPrivilege;
use crate::kernel::sys::capability;
use crate::kernel::sys::lock::{self, Lock};
use crate::model::NetworkName;

/// Takes the network's lock.
pub fn lock_network(run_dir: &Path, name: &NetworkName, deadline: Deadline) -> anyhow::Result<Lock> {
    lock::acquire(run_dir, name.as_str(), deadline.moment()).map_err(|error| lock_failed(error, run_dir, name))
}

fn lock_failed(error: io::Error, run_dir: &Path, name: &NetworkName) -> anyhow::Error {
    let path = run_dir.join("lock").join(name.as_str());
    let what = format!("cannot lock the network {name} by {}", path.display());
    match error.kind() {
        io::ErrorKind::TimedOut => {
            let time = Deadline::TIME.as_secs();
            anyhow::anyhow!("{what}: another run has held it for {time} s; see which with: fuser {}", path.display())
        }
        io::ErrorKind::PermissionDenied if !capability::has_net_admin() => NoPrivilege.into(),
        io::ErrorKind::ReadOnlyFilesystem => {
            anyhow::anyhow!("{what}: {error}; mount {} writable, for it holds what a reboot forgets", run_dir.display())
        }
        _ if error.raw_os_error() == Some(Errno::ELOOP as i32) => {
            anyhow::anyhow!("{what}: it is a symbolic link (ELOOP); remove it")
        }
        io::ErrorKind::NotFound => anyhow::anyhow!("{what}: {error}; make the directory above {}", run_dir.display()),
        io::ErrorKind::NotADirectory => anyhow::anyhow!("{what}: {error}; part of that path is a file, remove it"),
        _ => anyhow::anyhow!("{what}: {error}; see that {} is root's and writable", run_dir.display()),
    }
}
