//! `vnet-ifup`: a tap joins its network.

use std::io;
use std::path::Path;

use super::change::carry_out;
use super::deadline::Deadline;
use super::failure::{NoPrivilege, Refused};
use super::hook::{Call, Report};
use super::observe::{observe, observe_again};
use super::select::select;
use super::settings::Settings;
use crate::config::{Guest, Network};
use crate::kernel::Host;
use crate::kernel::sys::capability;
use crate::kernel::sys::lock::{self, Lock};
use crate::model::{IfName, NetworkName, Snapshot};
use crate::plan::{self, Plan};

pub(super) fn run(call: &Call) -> anyhow::Result<Report> {
    let deadline = Deadline::of_run(call.started);
    let settings = Settings::load()?;
    let mut host = Host::open()?;
    let (network, guest) = select(&settings.store, &mut host, &call.tap, call.suffix.as_ref())?;
    let _lock = lock_network(&settings.run_dir, &network.name, deadline)?;
    let snapshot = observe(&mut host, &call.tap, &network)?;
    let plan = plan_attach(&call.tap, &network, guest.as_ref(), &snapshot)?;
    carry_out(&mut host, &plan.operations, deadline, |host| {
        let after = observe_again(host, &call.tap, &network, snapshot, &plan)?;
        Ok(plan_attach(&call.tap, &network, guest.as_ref(), &after)?.operations)
    })?;
    Ok(Report { text: told(&network, &plan), warning: !plan.notes.is_empty() })
}

/// Plans; shared with `vnet plan`, so that both say the same.
pub(super) fn plan_attach(
    tap: &IfName,
    network: &Network,
    guest: Option<&Guest>,
    snapshot: &Snapshot,
) -> anyhow::Result<Plan> {
    plan::attach(tap, network, guest, snapshot).map_err(|refusal| {
        let configured = refusal.key().and_then(|key| network.place(key));
        Refused { refusal, configured }.into()
    })
}

/// Takes the network's lock.
pub(super) fn lock_network(run_dir: &Path, name: &NetworkName, deadline: Deadline) -> anyhow::Result<Lock> {
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
        _ => anyhow::anyhow!("{what}: {error}; see that {} is root's and writable", run_dir.display()),
    }
}

fn told(network: &Network, plan: &Plan) -> String {
    let mut text = format!("on {} of the network {}", network.bridge, network.name);
    if plan.operations.is_empty() {
        text.push_str(": nothing to change");
    }
    for (number, operation) in plan.operations.iter().enumerate() {
        text.push_str(if number == 0 { ": " } else { ", " });
        text.push_str(&operation.to_string());
    }
    for note in &plan.notes {
        text.push_str("; ");
        text.push_str(note);
    }
    text
}
