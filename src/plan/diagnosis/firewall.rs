//! Other programs' chains that drop what ours let through, and how their own tools are told not to.

use std::collections::{BTreeMap, BTreeSet};

use super::errand::{Errand, Leg, Ways, legs};
use super::managed::{firewalld, ufw};
use super::passage::{sees_mark, stops};
use super::remedy::{Remedy, word};
use super::{Complaint, Kind};
use crate::config::Network;
use crate::model::{Chain, Hook, Ruleset};

/// What one chain drops.
pub(super) type Dropped<'r> = (&'r Chain, BTreeSet<Errand>);

/// What is to be said of the chains that drop packets of a network's guests. `mark` is what our own set on what they
/// let through.
pub fn firewalls(network: &Network, ruleset: &Ruleset, ways: &Ways, mark: u32) -> Vec<Complaint> {
    let mut found: Vec<Dropped<'_>> = Vec::new();
    for leg in legs(network, ways, mark) {
        for chain in stops(ruleset, leg.hooks, &leg.packet) {
            match found.iter_mut().find(|(other, _)| std::ptr::eq(*other, chain)) {
                Some((_, errands)) => drop(errands.insert(leg.errand)),
                None => found.push((chain, BTreeSet::from([leg.errand]))),
            }
        }
    }
    let mut of_owner: BTreeMap<Owner, Vec<Dropped<'_>>> = BTreeMap::new();
    for dropped in found {
        of_owner.entry(Owner::of(ruleset, dropped.0)).or_default().push(dropped);
    }
    // Of a firewall with a tool of its own one remedy mends all; of others each chain has its own.
    let groups = of_owner.into_iter().flat_map(|(owner, all)| match owner {
        Owner::Ufw | Owner::Firewalld => vec![(owner, all)],
        _ => all.into_iter().map(|dropped| (owner, vec![dropped])).collect(),
    });
    groups.map(|(owner, dropped)| complaint(network, owner, &dropped, (ways, mark))).collect()
}

/// Whether chains for routed packets drop frames between a network's guests.
pub fn drops_bridged(network: &Network, ruleset: &Ruleset, ways: &Ways, mark: u32) -> bool {
    let mut legs = legs(network, ways, mark).into_iter();
    legs.any(|Leg { errand, hooks, packet }| {
        errand == Errand::EachOther && packet.bridge.is_none() && !stops(ruleset, hooks, &packet).is_empty()
    })
}

/// Whose a chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// ufw's
    Ufw,
    /// firewalld's
    Firewalld,
    /// Docker's
    Docker,
    /// Somebody's who uses iptables.
    Iptables,
    /// Somebody's who uses nft.
    Nft,
}

impl Owner {
    fn of(ruleset: &Ruleset, chain: &Chain) -> Self {
        let has = |name: &str| {
            let beside = |other: &&Chain| other.family == chain.family && other.table == chain.table;
            ruleset.chains.iter().filter(beside).any(|other| other.name == name)
        };
        let at = |hook| chain.base.is_some_and(|base| base.hook == hook);
        match (chain.family, chain.table.as_str()) {
            ("inet" | "ip" | "ip6", "firewalld") => Self::Firewalld,
            ("ip", "filter") if has("ufw-user-input") => Self::Ufw,
            ("ip6", "filter") if has("ufw6-user-input") => Self::Ufw,
            ("ip" | "ip6", "filter") if has("DOCKER-USER") && at(Hook::Forward) => Self::Docker,
            ("ip" | "ip6", "filter" | "raw" | "mangle" | "nat" | "security") if has_iptables_name(chain) => {
                Self::Iptables
            }
            _ => Self::Nft,
        }
    }

    const fn genitive(self) -> &'static str {
        match self {
            Self::Ufw => "ufw's",
            Self::Firewalld => "firewalld's",
            Self::Docker => "Docker's",
            Self::Iptables | Self::Nft => "another program's",
        }
    }
}

fn has_iptables_name(chain: &Chain) -> bool {
    matches!(chain.name.as_str(), "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING")
}

fn complaint(network: &Network, owner: Owner, dropped: &[Dropped<'_>], (ways, mark): (&Ways, u32)) -> Complaint {
    let name = |chain: &Chain| format!("{} {} {}", chain.family, shown(&chain.table), shown(&chain.name));
    let names: Vec<_> = dropped.iter().map(|(chain, _)| name(chain)).collect();
    let errands: BTreeSet<_> = dropped.iter().flat_map(|(_, errands)| errands).copied().collect();
    let told: Vec<_> = errands.iter().map(ToString::to_string).collect();
    let (chain, drops) = if names.len() == 1 { ("chain", "drops") } else { ("chains", "drop") };
    let mut what = format!("{} {chain} {} {drops} {}", owner.genitive(), listed(&names), listed(&told));
    if owner == Owner::Docker && network.own().is_some_and(|own| !own.docker) {
        what.push_str("; with \"docker\": \"allow\" in the network's file vnet keeps the rule that mends it");
    }
    let remedy = match owner {
        Owner::Ufw => ufw(network, dropped),
        // All of them, for it changes the bridge's zone.
        Owner::Firewalld => firewalld(network, &legs(network, ways, mark).iter().map(|leg| leg.errand).collect()),
        Owner::Docker if network.own().is_some_and(|own| own.docker) => Remedy::of(format!("vnet up {}", network.name)),
        Owner::Docker | Owner::Iptables => iptables(network, owner, dropped, mark),
        Owner::Nft => nft(network, dropped, (&ways.ports, mark)),
    };
    if owner == Owner::Nft && !dropped.iter().all(|(chain, _)| is_plain(&chain.table) && is_plain(&chain.name)) {
        return Complaint::of(network, Kind::Firewall, what, "nft -a list ruleset").shown_only();
    }
    Complaint::of(network, Kind::Firewall, what, remedy.to_string())
}

/// Whether the name is one that nft reads as a name. It joins its arguments and reads the text, whatever the shell was
/// told, and the kernel takes any bytes as names of tables and chains: also such as end a command and begin another.
fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// A name as a message has it, which stays one line.
fn shown(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{}\"", name.escape_default()) }
}

/// A link's name as nft and the shell before it read it as that, for some are words of nft's.
fn quoted(link: &str) -> String {
    word(&format!("\"{link}\""))
}

fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The protocol and port that an errand is known by where it comes to the host.
fn asked_at(errand: Errand, ipv4: bool) -> &'static [(&'static str, u16)] {
    match errand {
        Errand::Dhcp if ipv4 => &[("udp", 67)],
        Errand::Dhcp => &[("udp", 547)],
        Errand::Dns => &[("udp", 53), ("tcp", 53)],
        Errand::Outside | Errand::Inside | Errand::Peers | Errand::EachOther => &[],
    }
}

/// Whether a chain can be told by our mark what to let through.
fn by_mark(network: &Network, chain: &Chain) -> bool {
    network.own().is_some() && chain.base.is_some_and(sees_mark)
}

fn iptables(network: &Network, owner: Owner, dropped: &[Dropped<'_>], mark: u32) -> Remedy {
    let bridge = &network.bridge;
    let mut remedy = Remedy::default();
    for (chain, errands) in dropped {
        // The one that is kept in nf_tables, whichever the host's own is.
        let tool = if chain.family == "ip" { "iptables-nft" } else { "ip6tables-nft" };
        let table = if chain.table == "filter" { String::new() } else { format!(" -t {}", chain.table) };
        let name = if owner == Owner::Docker { "DOCKER-USER" } else { &chain.name };
        let insert = |matches: &str| format!("{tool}{table} -I {name} {matches} -j ACCEPT");
        match chain.base.map(|base| base.hook) {
            Some(Hook::Input) => {
                for (protocol, port) in errands.iter().flat_map(|errand| asked_at(*errand, chain.family == "ip")) {
                    remedy.and(insert(&format!("-i {bridge} -p {protocol} --dport {port}")));
                }
            }
            Some(Hook::Output) => remedy.and(insert(&format!("-o {bridge}"))),
            Some(Hook::Prerouting) => {
                remedy.and(insert(&format!("-i {bridge}")));
                // What comes back, and what comes from outside.
                let outside = errands.iter().any(|errand| matches!(errand, Errand::Outside | Errand::Inside));
                if outside {
                    remedy.and(insert("-m conntrack --ctstate ESTABLISHED"));
                }
            }
            _ if by_mark(network, chain) => remedy.and(insert(&format!("-m mark --mark {mark:#x}/{mark:#x}"))),
            _ => remedy.and(insert(&format!("-i {bridge} -o {bridge}"))),
        }
    }
    remedy
}

fn nft(network: &Network, dropped: &[Dropped<'_>], (ports, mark): (&[String], u32)) -> Remedy {
    let bridge = quoted(network.bridge.as_str());
    let mut remedy = Remedy::default();
    for (chain, errands) in dropped {
        let place = format!("{} {} {}", chain.family, chain.table, chain.name);
        let insert = |matches: &str| format!("nft insert rule {place} {matches} accept");
        if chain.family == "bridge" {
            let mut rule = insert(&format!("meta ibrname {bridge}"));
            // Not every kernel knows the name of a frame's bridge (CONFIG_NFT_BRIDGE_META).
            let ports: Vec<_> = ports.iter().map(|port| format!("\"{port}\"")).collect();
            if !ports.is_empty() {
                let any = word(&format!("{{ {} }}", ports.join(", ")));
                rule = format!("{rule} || {}", insert(&format!("iifname {any}")));
            }
            remedy.and(rule);
            continue;
        }
        match chain.base.map(|base| base.hook) {
            Some(Hook::Input) => {
                // A chain of both IP versions, but what asks at a port may be of one alone.
                let ports = [true, false].into_iter().filter(|ipv4| match chain.family {
                    "ip" => *ipv4,
                    "ip6" => !*ipv4,
                    _ => *ipv4 || network.own().is_some_and(|own| own.has_ipv6()),
                });
                let asked: BTreeSet<_> =
                    ports.flat_map(|ipv4| errands.iter().flat_map(move |errand| asked_at(*errand, ipv4))).collect();
                for (protocol, port) in asked {
                    remedy.and(insert(&format!("iifname {bridge} {protocol} dport {port}")));
                }
            }
            Some(Hook::Forward | Hook::Postrouting) if by_mark(network, chain) => {
                remedy.and(insert(&format!("meta mark and {mark:#x} == {mark:#x}")));
            }
            hook => {
                if hook != Some(Hook::Output) {
                    remedy.and(insert(&format!("iifname {bridge}")));
                }
                if matches!(hook, Some(Hook::Forward | Hook::Output | Hook::Postrouting)) {
                    remedy.and(insert(&format!("oifname {bridge}")));
                }
            }
        }
    }
    remedy
}

#[cfg(test)]
#[path = "firewall_tests.rs"]
mod tests;
