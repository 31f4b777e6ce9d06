//! `vnet plan`: what the hook would do now.

use std::fmt::Write;

use serde_json::{Value, json};

use super::answer::Answer;
use super::failure::Usage;
use super::ifup::plan_attach;
use super::observe::observe;
use super::select::select;
use super::settings::Settings;
use crate::config::Network;
use crate::kernel::Host;
use crate::model::{Change, IfName, Operation, Setting};
use crate::plan::Plan;

/// The text of the plan for a tap, for people or as JSON for programs. Changes nothing and needs no privilege.
///
/// # Errors
/// What the hook itself would fail with.
pub fn run(tap: &std::ffi::OsStr, as_json: bool) -> anyhow::Result<Answer> {
    let tap = IfName::from_bytes(tap.as_encoded_bytes()).map_err(|invalid| Usage(invalid.to_string()))?;
    let settings = Settings::load()?;
    let mut host = Host::open()?;
    let planned = select(&settings.store, &mut host, &tap, None).and_then(|(network, guest)| {
        let snapshot = observe(&mut host, &tap, &network)?;
        Ok((plan_attach(&tap, &network, guest.as_ref(), &snapshot)?, network))
    });
    let (plan, network) = planned.map_err(|error| error.context(tap.clone()))?;
    let text = if as_json { format!("{:#}\n", to_json(&tap, &network, &plan)) } else { to_text(&tap, &network, &plan) };
    Ok(Answer::good(text))
}

fn to_text(tap: &IfName, network: &Network, plan: &Plan) -> String {
    let mut text = format!("{tap} joins {} of the network {} ({})", network.bridge, network.name, network.mode.word());
    text.push_str(if plan.operations.is_empty() { ": nothing to change\n" } else { ":\n" });
    // Writing to a string cannot fail.
    for (number, operation) in plan.operations.iter().enumerate() {
        let _ = writeln!(text, "{:3}. {operation}", number + 1);
    }
    for note in &plan.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn to_json(tap: &IfName, network: &Network, plan: &Plan) -> Value {
    json!({
        "tap": tap.as_str(),
        "network": network.name.as_str(),
        "mode": network.mode.word(),
        "bridge": network.bridge.as_str(),
        "operations": plan.operations.iter().map(operation).collect::<Vec<_>>(),
        "notes": plan.notes,
    })
}

fn operation(operation: &Operation) -> Value {
    let (setting, before, after) = match &operation.setting {
        Setting::Bridge(Change { before, after }) => {
            let bridge = |new: &Option<crate::model::NewBridge>| {
                new.map_or(
                    Value::Null,
                    |new| json!({ "mac": new.mac.to_string(), "mtu": new.mtu, "options": new.options }),
                )
            };
            ("bridge".to_owned(), bridge(before), bridge(after))
        }
        Setting::Alias(change) => ("alias".to_owned(), json!(change.before), json!(change.after)),
        Setting::Mtu(change) => ("mtu".to_owned(), json!(change.before), json!(change.after)),
        Setting::Mac(change) => ("mac".to_owned(), json!(change.before.to_string()), json!(change.after.to_string())),
        Setting::AddrGen(change) => ("addrgenmode".to_owned(), json!(change.before), json!(change.after)),
        Setting::BridgeOptions(change) => ("bridge options".to_owned(), json!(change.before), json!(change.after)),
        Setting::Sysctl(sysctl, change) => {
            let (protocol, name) = sysctl.place();
            (format!("net.{protocol}.conf.{}.{name}", operation.link), json!(change.before), json!(change.after))
        }
        Setting::Address(address, change) => (format!("address {address}"), json!(change.before), json!(change.after)),
        Setting::Master(change) => {
            let name = |name: &Option<IfName>| json!(name.as_ref().map(IfName::as_str));
            ("master".to_owned(), name(&change.before), name(&change.after))
        }
        Setting::Open(change) => ("open to other users".to_owned(), json!(change.before), json!(change.after)),
        Setting::Up(change) => ("up".to_owned(), json!(change.before), json!(change.after)),
    };
    json!({ "link": operation.link.as_str(), "setting": setting, "before": before, "after": after })
}
