//! `vnet-ifup`: a tap joins its network.

use super::call::{Call, Report};
use super::change::carry_out;
use super::deadline::Deadline;
use super::failure::Refused;
use super::lock::lock_network;
use super::observe::{observe, observe_again};
use super::select::select;
use super::settings::Settings;
use crate::config::{Guest, Network};
use crate::kernel::Host;
use crate::model::{IfName, Snapshot};
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
