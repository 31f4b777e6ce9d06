//! Firewalls with a tool of their own, ufw and firewalld, and how those are told what to let through.

use std::collections::BTreeSet;

use super::errand::Errand;
use super::firewall::Dropped;
use super::remedy::Remedy;
use crate::config::Network;
use crate::model::{Chain, Hook};

/// ufw-framework(8): rules for what is for the host, and `route` for what goes on.
pub(super) fn ufw(network: &Network, dropped: &[Dropped<'_>]) -> Remedy {
    let bridge = &network.bridge;
    let mut remedy = Remedy::default();
    let asks = |family: &str, errand| {
        any(dropped, |chain, of| at(chain, Hook::Input) && chain.family == family && of == errand)
    };
    if asks("ip", Errand::Dhcp) {
        remedy.and(format!("ufw allow in on {bridge} to any port 67 proto udp"));
    }
    if asks("ip6", Errand::Dhcp) {
        remedy.and(format!("ufw allow in on {bridge} to any port 547 proto udp"));
    }
    if asks("ip", Errand::Dns) || asks("ip6", Errand::Dns) {
        remedy.and(format!("ufw allow in on {bridge} to any port 53"));
    }
    if any(dropped, |chain, _| at(chain, Hook::Output)) {
        remedy.and(format!("ufw allow out on {bridge}"));
    }
    let forwards = |errand| any(dropped, |chain, of| at(chain, Hook::Forward) && of == errand);
    if forwards(Errand::Outside) || forwards(Errand::Peers) {
        remedy.and(format!("ufw route allow in on {bridge}"));
    } else if forwards(Errand::EachOther) {
        remedy.and(format!("ufw route allow in on {bridge} out on {bridge}"));
    }
    if forwards(Errand::Inside) {
        remedy.and(format!("ufw route allow out on {bridge}"));
    }
    remedy
}

/// firewalld.zones(5) and firewalld.policies(5): a zone says what of the host its links reach, and policies what goes on
/// from its links and to them. The zone is the bridge's own, for whatever else is in one is opened with it.
pub(super) fn firewalld(network: &Network, errands: &BTreeSet<Errand>) -> Remedy {
    let bridge = &network.bridge;
    if network.own().is_none() {
        // The host's own way outside leads over that bridge, and it stays in the zone where it is.
        let zone = format!(
            "zone=$(firewall-cmd --get-zone-of-interface={bridge} 2>/dev/null || firewall-cmd --get-default-zone)"
        );
        let mut remedy = Remedy::of(zone);
        remedy.and("firewall-cmd --permanent --zone=\"$zone\" --add-forward");
        remedy.and("firewall-cmd --zone=\"$zone\" --add-forward");
        return remedy;
    }
    // At most 17 bytes (firewalld.zones(5)): two more than a link's name. No link's name is one of firewalld's zones.
    let zone = format!("v-{bridge}");
    let of_zone = format!("firewall-cmd --permanent --zone={zone}");
    let new = |what: &str, name: &str| {
        let line = "firewall-cmd --permanent";
        format!("{{ {line} --info-{what}={name} >/dev/null 2>&1 || {line} --new-{what}={name}; }}")
    };
    let mut remedy = Remedy::of(new("zone", &zone));
    for (errand, services) in [(Errand::Dhcp, &["dhcp", "dhcpv6"][..]), (Errand::Dns, &["dns"])] {
        for service in services.iter().filter(|_| errands.contains(&errand)) {
            remedy.and(format!("{of_zone} --add-service={service}"));
        }
    }
    remedy.and(format!("{of_zone} --add-forward"));
    remedy.and(format!("{of_zone} --change-interface={bridge}"));
    let mut policy = |name: &str, from: &str, to: &str| {
        let of_policy = format!("firewall-cmd --permanent --policy={name}");
        remedy.and(new("policy", name));
        remedy.and(format!("{of_policy} --set-target=ACCEPT"));
        remedy.and(format!("{of_policy} --add-ingress-zone={from}"));
        remedy.and(format!("{of_policy} --add-egress-zone={to}"));
    };
    // A policy's name has at most 11 bytes, so that all networks share these.
    if errands.iter().any(|errand| matches!(errand, Errand::Outside | Errand::Peers)) {
        policy("vnet-out", &zone, "ANY");
    }
    if errands.contains(&Errand::Inside) {
        policy("vnet-in", "ANY", &zone);
    }
    remedy.and("firewall-cmd --reload");
    // A link that was in another zone meanwhile comes back into that.
    remedy.and(format!("firewall-cmd --zone={zone} --change-interface={bridge}"));
    remedy
}

fn any(dropped: &[Dropped<'_>], asked: impl Fn(&Chain, Errand) -> bool) -> bool {
    dropped.iter().any(|(chain, errands)| errands.iter().any(|errand| asked(chain, *errand)))
}

fn at(chain: &Chain, hook: Hook) -> bool {
    chain.base.is_some_and(|base| base.hook == hook)
}
