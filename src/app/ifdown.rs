//! `vnet-ifdown`: a tap leaves its network. Nothing depends on it: a killed QEMU runs no downscript, and with `-runas`
//! QEMU runs it without privileges.

use super::call::{Call, Report};
use super::change::carry_out;
use super::deadline::Deadline;
use super::failure::Problems;
use super::lock::lock_network;
use super::settings::Settings;
use crate::kernel::Host;
use crate::kernel::sys::capability;
use crate::model::{Former, Mark, NetworkName, Operation};
use crate::plan::{self, Plan};

pub(super) fn run(call: &Call, settings: Result<Settings, Problems>) -> anyhow::Result<Report> {
    let deadline = Deadline::of_run(call.started);
    let mut host = Host::open(0)?;
    let (plan, network) = plan_detach(&mut host, call)?;
    let may = capability::has_net_admin();
    let Some(network) = network.filter(|_| !plan.operations.is_empty()) else {
        let how = if may { "" } else { "; it ran without privileges, and needed none" };
        return Ok(Report { text: format!("{}{how}", told(&plan)), warning: false });
    };
    if !may {
        let text = "left as it is: vnet-ifdown ran without privileges (QEMU's -runas); the next vnet-ifup of this tap takes care of it";
        return Ok(Report { text: text.to_owned(), warning: true });
    }
    let settings = settings?;
    let _lock = lock_network(&settings.run_dir, &network, deadline)?;
    // Another run may have changed the tap while this one waited.
    let (plan, now) = plan_detach(&mut host, call)?;
    if now.is_some_and(|now| now != network) {
        // And under another lock than this one's: it is at work for the next guest.
        return Ok(Report { text: "left as it is: another network took it meanwhile".to_owned(), warning: false });
    }
    match carry_out(&mut host, &plan.operations, deadline, |host| Ok(plan_detach(host, call)?.0.operations)) {
        // Whoever removed the tap meanwhile did what was left to do.
        Err(_) if host.link(&call.tap)?.is_none() => Ok(Report { text: "it is gone".to_owned(), warning: false }),
        result => result.map(|()| Report { text: told(&plan), warning: false }),
    }
}

/// What is left to do, and the network whose port the tap is.
fn plan_detach(host: &mut Host, call: &Call) -> anyhow::Result<(Plan, Option<NetworkName>)> {
    let tap = host.link(&call.tap)?;
    let mark = tap.as_ref().and_then(|tap| tap.mark());
    let home = match &mark {
        Some(Mark::Port(_, Some(Former { master: Some(home), .. }))) => host.link(home)?.map(|home| home.name),
        _ => None,
    };
    Ok((plan::detach(tap.as_ref(), home.as_ref()), mark.and_then(|mark| mark.network().cloned())))
}

fn told(plan: &Plan) -> String {
    let operations = plan.operations.iter().map(Operation::to_string);
    operations.chain(plan.notes.iter().cloned()).collect::<Vec<_>>().join(", ")
}
