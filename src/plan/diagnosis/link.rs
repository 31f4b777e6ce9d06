//! What is wrong with a network's links: its bridge, its ports, and the way outside.

use super::{Complaint, Kind};
use crate::config::{Guest, Mode, Network};
use crate::model::{IfName, Kind as LinkKind, Link, Mark};
use crate::plan::tap_mac;

/// The least forward delay that the kernel takes while the spanning tree protocol is on, in hundredths of a second
/// (`BR_MIN_FORWARD_DELAY` in net/bridge/br_private.h).
const LEAST_DELAY: u32 = 200;

/// What is to be said of a network's bridge; `pinned` is whether somebody set its MAC, where that is known.
pub fn bridge(network: &Network, link: &Link, pinned: Option<bool>) -> Vec<Complaint> {
    let mut found = Vec::new();
    let LinkKind::Bridge(options) = &link.kind else { return found };
    if network.mode != Mode::Bridged {
        return found;
    }
    let name = &link.name;
    // Turned off, it would no longer keep frames from going round where the bridge has two ways to the LAN.
    if options.stp && options.forward_delay > LEAST_DELAY {
        // A port listens and learns for as long each.
        let seconds = options.forward_delay / 50;
        found.push(Complaint::of(
            network,
            Kind::Stp,
            format!("the spanning tree protocol is on on {name}: a guest is cut off for {seconds} s after its start"),
            format!("ip link set dev {name} type bridge forward_delay {LEAST_DELAY}"),
        ));
    }
    if pinned == Some(false) {
        found.push(Complaint::of(
            network,
            Kind::Mac,
            format!("nobody set the MAC of {name}: it changes as guests come and go"),
            format!("ip link set dev {name} address {}", link.mac),
        ));
    }
    found
}

/// What is to be said of the links that have the network's mark.
pub fn dead_taps(network: &Network, links: &[Link]) -> Vec<Complaint> {
    let dead = links.iter().filter(|link| link.is_dead_tap());
    let told = dead.map(|Link { name, .. }| {
        Complaint::of(
            network,
            Kind::Tap,
            format!("the tap {name} outlived the guest that held it"),
            // Which looks whether somebody holds it by then.
            format!("vnet repair {}", network.name),
        )
    });
    told.collect()
}

/// What is to be said of a network's ports.
pub fn ports(network: &Network, bridge: &Link, ports: &[Link], guests: &[Guest]) -> Vec<Complaint> {
    let alive = ports.iter().filter(|link| !link.is_dead_tap());
    alive.filter_map(|link| port(network, bridge, link, guests)).collect()
}

fn port(network: &Network, bridge: &Link, link: &Link, guests: &[Guest]) -> Option<Complaint> {
    let name = &link.name;
    let of_ours = matches!(link.mark(), Some(Mark::Port(..) | Mark::Persistent(_) | Mark::Lent(_)));
    let taken = guests.iter().find(|guest| of_ours && guest.mac == Some(link.mac));
    if let Some(guest) = taken {
        let whose = if guest.tap == *name { "its own guest".to_owned() } else { format!("the guest at {}", guest.tap) };
        let remedy = match link.loan() {
            // Its alias and its guest's file tell which one it had.
            Some(_) => format!("vnet repair {}", network.name),
            None => format!("ip link set dev {name} address {}", link.mac.tap_end()),
        };
        let what = format!("{name} has the MAC of {whose}: frames for that guest go to the host");
        return Some(Complaint::of(network, Kind::Tap, what, remedy));
    }
    let own = |tap: &&Guest| tap.tap == *name;
    let lent = link.loan().and_then(|loan| tap_mac(&loan, guests.iter().find(own)));
    if let Some(lent) = lent.filter(|lent| *lent != link.mac) {
        // Its holder alone can have changed it, and nothing keeps it from that.
        return Some(Complaint::of(
            network,
            Kind::Tap,
            format!(
                "{name} was lent with the MAC {lent} and has {}: frames for whoever has that go to the host",
                link.mac
            ),
            format!("vnet repair {}", network.name),
        ));
    }
    // A frame that the port cannot take is dropped, and nobody is told.
    (link.mtu < bridge.mtu).then(|| {
        Complaint::of(
            network,
            Kind::Mtu,
            format!("{name} takes frames of {} bytes, and its bridge {} such of {}", link.mtu, bridge.name, bridge.mtu),
            format!("ip link set dev {name} mtu {}", bridge.mtu),
        )
    })
}

/// What is to be said of packets that are too long for the way outside.
pub fn way_outside(network: &Network, outside: &Link) -> Option<Complaint> {
    let own = network.own().filter(|own| own.routes() && own.mtu.get() > outside.mtu)?;
    let source = network.source.as_ref()?;
    let (file, mtu) = (super::remedy::word(&source.path.to_string_lossy()), outside.mtu);
    let what = format!(
        "guests send packets of {} bytes, and {} takes such of {mtu}: they go in pieces, or not at all",
        own.mtu.get(),
        outside.name
    );
    let name = &network.name;
    let remedy = format!(
        "if grep -q '\"mtu\"' {file}; then sed -i 's/\"mtu\" *: *[0-9]*/\"mtu\": {mtu}/' {file}; else sed -i '0,/{{/s//{{\"mtu\": {mtu}, /' {file}; fi && vnet up {name}"
    );
    Some(Complaint::of(network, Kind::Mtu, what, remedy))
}

/// Links with a default route over each, and their rp_filter as it counts.
pub fn reverse_paths(network: &Network, defaults: &[(IfName, u32)]) -> Vec<Complaint> {
    const STRICT: u32 = 1;
    if network.own().is_none_or(|own| !own.routes()) || defaults.len() < 2 {
        return Vec::new();
    }
    let names: Vec<_> = defaults.iter().map(|(name, _)| name.to_string()).collect();
    let strict = defaults.iter().filter(|(_, value)| *value == STRICT);
    let told = strict.map(|(name, _)| {
        Complaint::of(
            network,
            Kind::ReversePath,
            format!(
                "rp_filter is strict on {name}, and default routes lead over {}: what comes by the other one is dropped",
                names.join(" and ")
            ),
            // The greater of the link's and that of all counts, and this is the greatest.
            format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", name.as_str().replace('.', "/")),
        )
    });
    told.collect()
}
