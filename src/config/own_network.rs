//! What the values of a network of ours mean together.

use std::net::IpAddr;

use super::judge::Judge;
use super::mode_word::Word;
use super::{OwnNetwork, Reach};
use crate::model::{Address, Mtu, NetworkName, Subnet};

impl OwnNetwork {
    /// Refuses what cannot be together.
    pub(super) fn judge(&self, name: &NetworkName, word: Word, judge: &mut Judge<'_>) {
        judge_addresses(self, word, judge);
        judge_reach(self, judge);
        judge_peers(name, &self.peers, judge);
    }
}

fn judge_addresses(own: &OwnNetwork, word: Word, judge: &mut Judge<'_>) {
    if own.addresses.is_empty() && (word != Word::Isolated || own.serves()) {
        let whose = if word == Word::Isolated { "an address for its server" } else { "the host's address" };
        let what = format!("is missing, and mode \"{word}\" needs {whose}; such as [\"192.168.57.1/24\"]");
        judge.refuse("addresses", what);
    }
    if own.mtu.get() < Mtu::IPV6_MIN && own.address_of_family(false).is_some() {
        judge.refuse(
            "mtu",
            "is under 1280, with which addresses cannot hold an IPv6 one; raise mtu, or remove that from addresses"
                .to_owned(),
        );
    }
    for (number, address) in own.addresses.iter().enumerate() {
        if let Some(other) = own.addresses.iter().take(number).find(|other| other.overlaps(address)) {
            judge
                .refuse("addresses", format!("holds {other} and {address}, which are of one subnet; keep one of them"));
        }
    }
}

/// Judges what a mode of its own adds.
fn judge_reach(own: &OwnNetwork, judge: &mut Judge<'_>) {
    /// Each IPv4 address that the host answers for is an entry of its own in the kernel: this is 1,022 of them.
    const WIDEST: u8 = 22;
    match &own.reach {
        Reach::Routed { proxy_arp: true } => {
            let wide = |address: &&Address| address.ip.is_ipv4() && address.prefix < WIDEST;
            if let Some(address) = own.addresses.iter().find(wide) {
                judge.refuse("proxy_arp", format!("would answer for each address of {}; give a prefix length of 22 to 30 in addresses, or remove proxy_arp", Subnet::from(*address)));
            }
        }
        Reach::Nat { source } => {
            for (number, ip) in source.iter().enumerate() {
                let same = |other: &&IpAddr| other.is_ipv4() == ip.is_ipv4();
                let what = if source.iter().take(number).any(|other| same(&other)) {
                    format!("{ip} is the second address of its IP version; keep one of them")
                } else if own.address_of_family(ip.is_ipv4()).is_none() {
                    format!(
                        "no guest goes out as {ip}, for addresses has none of its IP version; add one there, or remove it"
                    )
                } else if ip.is_loopback() || own.subnets().any(|subnet| subnet.contains(*ip)) {
                    format!("nobody outside can answer to {ip}; give an address that the host has on another link")
                } else {
                    continue;
                };
                judge.refuse("source", what);
            }
        }
        _ => {}
    }
}

fn judge_peers(name: &NetworkName, peers: &[NetworkName], judge: &mut Judge<'_>) {
    for (number, peer) in peers.iter().enumerate() {
        let what = if peer == name {
            format!("{peer} is this network itself, whose guests reach each other anyway; remove it")
        } else if peers.iter().take(number).any(|other| other == peer) {
            format!("{peer} is named twice; keep one of them")
        } else {
            continue;
        };
        judge.refuse(&format!("peers[{number}]"), what);
    }
}
