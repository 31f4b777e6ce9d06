//! A network goes, with everything that was made for it.

use std::net::IpAddr;

use super::{Plan, detach, give_back, tap_del};
use crate::model::{
    Change, DockerRule, DockerTable, Element, Elements, Handover, IfName, Kind, Link, Loan, Mark, NetworkName,
    NewBridge, NewTap, Operation, Service, Setting, Sysctl, Uplink,
};

/// What is there of a network, as the kernel and the run directory say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The bridges that are marked as its own: one, unless somebody meddled.
    pub bridges: Vec<Link>,
    /// The links that are marked as its ports, each with the bridge that it was a port of before, if that is there.
    pub ports: Vec<(Link, Option<IfName>)>,
    /// The links that we made for its guests to stay.
    pub taps: Vec<(IfName, NewTap)>,
    /// What the firewall holds of it.
    pub elements: Elements,
    /// What the firewall's tables have to hold before that can be taken out of them, where somebody changed them. Where
    /// that is nothing they go.
    pub rebuild: Option<Vec<(NetworkName, Element)>>,
    /// The tables of Docker's, and what is in them of our rule, where nobody else needs it.
    pub docker: Vec<(DockerTable, DockerRule)>,
    /// For whom the host answers on other links because of it.
    pub proxies: Vec<(IfName, IpAddr)>,
    /// The links whose proxy_ndp was turned on for it, and that nobody else needs.
    pub proxy_ndp: Vec<IfName>,
    /// Its server and files.
    pub service: Service,
    /// What its bridge has from the network card whose place it takes, and both as they are.
    pub uplink: Option<(Handover, Uplink)>,
}

/// What takes a network down. Nobody's packets pass unguarded on the way: its bridge goes down before its rules go.
pub fn down(network: &NetworkName, standing: &Standing) -> Plan {
    let mut plan = Plan::default();
    if let Some(server) = &standing.service.running {
        plan.push(Operation::Server(server.clone(), Change::new(true, false)));
    }
    for bridge in own_bridges(standing) {
        // The kernel takes its IPv6 addresses when it goes down: without its seal the next run looks at all of it.
        let unsealed = Mark::Owned(network.clone(), None).to_string();
        plan.change(&bridge.name, Setting::Alias(Change::new(bridge.alias.clone(), Some(unsealed))));
        plan.set_up(&bridge.name, bridge.up, false);
    }
    for (port, home) in &standing.ports {
        release(&mut plan, port, home.as_ref(), &standing.bridges);
    }
    for (link, ip) in &standing.proxies {
        plan.change(link, Setting::Proxy(*ip, Change::new(true, false)));
    }
    for link in &standing.proxy_ndp {
        plan.change(link, Setting::Sysctl(Sysctl::ProxyNdp, Change::new(1, 0)));
    }
    plan.operations.extend(standing.rebuild.clone().map(Operation::Rebuild));
    plan.push(Operation::Firewall(network.clone(), Change::new(standing.elements.clone(), Elements::new())));
    for (table, has) in &standing.docker {
        plan.push(Operation::Docker(*table, Change::new(*has, DockerRule::Absent)));
    }
    for (path, text) in &standing.service.files {
        plan.push(Operation::File(path.clone(), Change::new(Some(text.clone()), None)));
    }
    if let Some((handover, uplink)) = &standing.uplink {
        plan.operations.append(&mut give_back(network, handover, uplink).operations);
    }
    // What cannot be put back goes last: a tap that is removed, and a bridge that is deleted takes its ports along.
    for (tap, made) in &standing.taps {
        plan.operations.append(&mut tap_del(tap, made.clone()).operations);
    }
    for (tap, _) in standing.ports.iter().filter(|(port, _)| port.is_dead_tap()) {
        plan.change(&tap.name, Setting::Persistent(Change::new(true, false)));
    }
    for bridge in own_bridges(standing) {
        if let Kind::Bridge(options) = bridge.kind {
            let was = NewBridge { mac: bridge.mac, mtu: bridge.mtu, options };
            plan.change(&bridge.name, Setting::Bridge(Change::new(Some(was), None)));
        }
    }
    plan
}

/// The bridges that the host's own traffic does not go through.
fn own_bridges(standing: &Standing) -> impl Iterator<Item = &Link> {
    let in_place = standing.uplink.as_ref().map(|(handover, _)| &handover.bridge);
    standing.bridges.iter().filter(move |bridge| Some(&bridge.name) != in_place)
}

/// A port that outlives its guest gets back what it had; of one that a guest is using the mark goes, for it is no
/// port of the network's any more. It is left in a bridge into which somebody else moved it.
fn release(plan: &mut Plan, port: &Link, home: Option<&IfName>, bridges: &[Link]) {
    if port.is_dead_tap() && port.loan().is_some() {
        // It goes, but what guards it goes first, and its user may take it again in between.
        let master = port.master.as_ref().map(|master| master.name.clone());
        plan.change(&port.name, Setting::Master(Change::new(master, None)));
    } else if port.is_dead_tap() {
        // It goes, and with it all that it has.
    } else if let Some(Mark::Lent(Loan { user, .. })) = port.mark() {
        // It still is on that user's account.
        let loan = Loan { network: None, user, mac: None, of_guest_file: false };
        let master = port.master.as_ref().map(|master| master.name.clone());
        // Without a bridge what its guest sends would be the host's own to hear.
        plan.set_up(&port.name, port.up, false);
        plan.change(&port.name, Setting::Master(Change::new(master, None)));
        plan.change(&port.name, Setting::Alias(Change::new(port.alias.clone(), Some(loan.to_string()))));
    } else if port.goes_with_its_holder() || !matches!(port.mark(), Some(Mark::Port(..))) {
        let master = port.master.as_ref().map(|master| &master.name);
        let ours = master.filter(|master| bridges.iter().any(|bridge| bridge.name == **master));
        plan.change(&port.name, Setting::Master(Change::new(ours.cloned(), None)));
        plan.change(&port.name, Setting::Alias(Change::new(port.alias.clone(), None)));
    } else {
        plan.operations.append(&mut detach(Some(port), home).operations);
    }
}
