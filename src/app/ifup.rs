//! `vnet-ifup`: a tap joins its network.

use std::io;
use std::path::Path;

use super::change::carry_out;
use super::deadline::Deadline;
use super::failure::{NoPrivilege, Refused};
use super::hook::{Call, Report};
use super::observe::observe;
use super::select::select;
use super::settings::Settings;
use crate::config::{Guest, Network};
use crate::kernel::Host;
use crate::kernel::sys::capability;
use crate::kernel::sys::lock::{self, Lock};
use crate::model::{IfName, NetworkName};
use crate::plan::{self, Plan};

pub(super) fn run(call: &Call) -> anyhow::Result<Report> {
    if !capability::has_net_admin() {
        return Err(NoPrivilege.into());
    }
    let deadline = Deadline::of_run(call.started);
    let settings = Settings::load()?;
    let mut host = Host::open()?;
    let (network, guest) = select(&settings.store, &mut host, &call.tap, call.suffix.as_ref())?;
    let _lock = lock_network(&settings.run_dir, &network.name, deadline)?;
    let plan = plan_attach(&mut host, &call.tap, &network, guest.as_ref())?;
    carry_out(&mut host, &plan.operations, deadline, |host| {
        Ok(plan_attach(host, &call.tap, &network, guest.as_ref())?.operations)
    })?;
    Ok(Report { text: told(&network, &plan), warning: !plan.notes.is_empty() })
}

/// Observes and plans; shared with `vnet plan`, so that both say the same.
pub(super) fn plan_attach(
    host: &mut Host,
    tap: &IfName,
    network: &Network,
    guest: Option<&Guest>,
) -> anyhow::Result<Plan> {
    let snapshot = observe(host, tap, network)?;
    plan::attach(tap, network, guest, &snapshot).map_err(|refusal| {
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
        _ => anyhow::Error::new(error).context(what),
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
