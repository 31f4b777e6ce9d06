//! What each refusal says, word by word: it is all that an administrator has to go by.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::config::{Allow, Mode};
use crate::model::{Held, Kind, Mac};

fn network() -> Network {
    let uplink = Mode::Uplink("eth0".parse().unwrap());
    Network {
        name: "lan".parse().unwrap(),
        bridge: "vn-lan".parse().unwrap(),
        mode: uplink,
        allow: Allow::default(),
        source: None,
    }
}

fn card(kind: Kind) -> Link {
    Link {
        index: 2,
        name: "eth0".parse().unwrap(),
        kind,
        ethernet: true,
        up: true,
        mtu: 1500,
        mtu_range: (68, 9000),
        mac: Mac::from_bytes([0x52, 0x54, 0, 0, 0, 1]),
        master: None,
        alias: None,
        addr_gen: None,
        forwards: false,
        carrier: true,
    }
}

fn said_of(kind: Kind, obstacle: Obstacle) -> String {
    let refusal = refuse_obstacles(&network(), &card(kind), &[obstacle, Obstacle::Rule(9)]).unwrap_err();
    assert_eq!(refusal.key(), Some("uplink"));
    refusal.to_string()
}

fn said(obstacle: Obstacle) -> String {
    let text = said_of(Kind::Device, obstacle);
    assert!(!text.contains('\n'), "{text}");
    text.strip_prefix("cannot take eth0 as the uplink: ").unwrap_or_else(|| panic!("{text}")).to_owned()
}

fn held(addresses: &[&str], gateways: &[&str]) -> Held {
    Held {
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        gateways: gateways.iter().map(|gateway| gateway.parse().unwrap()).collect(),
    }
}

#[test]
fn without_an_obstacle_nothing_is_refused() {
    assert_eq!(refuse_obstacles(&network(), &card(Kind::Device), &[]), Ok(()));
}

#[test]
fn what_the_card_is_is_told_with_what_to_use_instead() {
    assert_eq!(
        said(Obstacle::Loopback),
        "it is the loopback link, which leads nowhere; name the network card that leads to the LAN; see which with: ip -br link"
    );
    assert_eq!(
        said(Obstacle::IsABridge),
        "it is a bridge, and a bridge cannot be another's port; to have guests on it, let bridge be \"eth0\" and remove uplink"
    );
    assert_eq!(
        said(Obstacle::Tap),
        "it is a tap, behind which is a program and no LAN; name the network card that leads to the LAN; see which with: ip -br link"
    );
    assert_eq!(
        said(Obstacle::NotEthernet),
        "it is no Ethernet link, and a bridge takes nothing else; use mode \"routed\" or \"nat\", by which guests reach outside through the host"
    );
    assert_eq!(
        said(Obstacle::Wireless),
        "it is Wi-Fi, where an access point takes no frames but those of the card's own MAC; use mode \"routed\" or \"nat\", by which guests reach outside through the host"
    );
}

#[test]
fn who_has_the_card_is_told_with_how_to_free_it() {
    assert_eq!(
        said(Obstacle::UplinkOf("office".parse().unwrap())),
        "it is the uplink of the network office; let guests join the network office, or take it down first: vnet down office"
    );
    assert_eq!(
        said(Obstacle::Port("br0".parse().unwrap())),
        "it is a port of br0 already; if br0 is a bridge, let bridge be \"br0\" and remove uplink; else let uplink be \"br0\"; or take it out first: ip link set eth0 nomaster"
    );
    assert_eq!(
        said(Obstacle::Carries("mv0".parse().unwrap(), "macvlan".to_owned())),
        "mv0 is on it, and a card has either links of kind macvlan or a bridge; use mode \"macvtap\", which shares the card, or remove the link first: ip link delete mv0"
    );
    assert_eq!(
        said(Obstacle::NetworkRoot { what: "NFS", server: "192.0.2.5".parse().unwrap() }),
        "this machine runs from 192.0.2.5 by NFS over it, and would hang if the card were away for a moment; name another card, or use mode \"macvtap\", which leaves the card as it is"
    );
}

#[test]
fn what_could_not_be_carried_over_is_told_with_how_to_write_it_otherwise() {
    assert_eq!(
        said(Obstacle::Rule(100)),
        "the policy rule of priority 100 names it, and would no longer match what comes by the bridge; write the rule with addresses (from, to) instead, or remove it first: ip rule del priority 100 (for IPv6: ip -6 rule del)"
    );
    assert_eq!(
        said(Obstacle::NextHopObject(11)),
        "the next-hop object 11 is on it, and routes by such an object cannot be moved to the bridge; give these routes their gateway by itself (ip route replace TO via GATEWAY), and remove it first: ip nexthop del id 11"
    );
}

#[test]
fn a_firewall_rule_is_told_with_where_it_is_and_how_to_write_it() {
    let rule = |table: &str, chain: &str| Obstacle::FirewallRule {
        family: "inet",
        table: table.to_owned(),
        chain: chain.to_owned(),
    };
    assert_eq!(
        said(rule("filter", "input")),
        "a firewall rule in chain input of table inet filter names it, and would no longer match what comes and goes by the bridge; say there of vn-lan what is said of eth0, as in: iifname { \"eth0\", \"vn-lan\" }; see the rule with: nft list chain inet filter input"
    );
    assert_eq!(
        said(rule("firewalld", "filter_INPUT_ZONES")),
        "a firewall rule in chain filter_INPUT_ZONES of table inet firewalld names it, and would no longer match what comes and goes by the bridge; add the bridge to the card's zone: firewall-cmd --permanent --zone=$(firewall-cmd --get-zone-of-interface=eth0) --add-interface=vn-lan && firewall-cmd --reload (the rules are shown by: nft list table inet firewalld)"
    );
}

#[test]
fn network_manager_is_told_of_the_same_bridge() {
    let held = held(&["192.0.2.1/24", "192.0.2.3/24", "2001:db8::1/64"], &["192.0.2.2", "fe80::1"]);
    let text = said_of(Kind::Device, Obstacle::NetworkManager { connection: None, held });
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "cannot take eth0 as the uplink: NetworkManager manages it, and would work against the bridge; declare the bridge with it, and the network joins that; the host is cut off for a moment, and what else the card's connection says (DNS, routes) belongs to the bridge's:",
            "nmcli connection add type bridge con-name vn-lan ifname vn-lan bridge.stp no bridge.mac-address 52:54:00:00:00:01 ipv4.method manual ipv4.addresses 192.0.2.1/24,192.0.2.3/24 ipv4.gateway 192.0.2.2 ipv6.method manual ipv6.addresses 2001:db8::1/64 ipv6.gateway fe80::1",
            "nmcli connection add type ethernet con-name vn-lan-eth0 ifname eth0 slave-type bridge master vn-lan connection.autoconnect-priority 100",
            "nmcli connection up vn-lan-eth0",
            "vnet up lan",
        ]
    );
}

#[test]
fn network_manager_keeps_a_lease_and_the_connection_of_what_it_made() {
    let uuid = "5c1d5d1e-f1a2-4a6e-9a51-4f6e0b3f9f10";
    let obstacle = Obstacle::NetworkManager { connection: Some(uuid.to_owned()), held: Held::default() };
    let text = said_of(Kind::Other("vlan".to_owned()), obstacle);
    let lines: Vec<_> = text.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "nmcli connection add type bridge con-name vn-lan ifname vn-lan bridge.stp no bridge.mac-address 52:54:00:00:00:01",
            "nmcli connection modify 5c1d5d1e-f1a2-4a6e-9a51-4f6e0b3f9f10 connection.master vn-lan connection.slave-type bridge",
            "nmcli connection up 5c1d5d1e-f1a2-4a6e-9a51-4f6e0b3f9f10",
            "vnet up lan",
        ]
    );
}

const NETDEV: &str = "cat > /etc/systemd/network/00-vn-lan.netdev <<END\n[NetDev]\nName=vn-lan\nKind=bridge\nMACAddress=52:54:00:00:00:01\nEND\ncat > /etc/systemd/network/00-vn-lan-eth0.network <<END\n[Match]\nName=eth0\n\n[Network]\nBridge=vn-lan\nEND\ncat > /etc/systemd/network/00-vn-lan.network <<END\n[Match]\nName=vn-lan\n\n[Network]\n";

#[test]
fn networkd_is_told_of_the_same_bridge() {
    let file = Some("/etc/systemd/network/10-eth0.network".to_owned());
    let held = held(&["192.0.2.1/24", "2001:db8::1/64"], &["192.0.2.2"]);
    let text = said_of(Kind::Device, Obstacle::Networkd { network_file: file, held });
    let head = "cannot take eth0 as the uplink: systemd-networkd manages it as /etc/systemd/network/10-eth0.network says, and would work against the bridge; declare the bridge with it, and the network joins that; the host is cut off for a moment, and what else /etc/systemd/network/10-eth0.network says (DNS, routes) belongs to the bridge's:";
    let tail = "Address=192.0.2.1/24\nGateway=192.0.2.2\nAddress=2001:db8::1/64\nEND\nnetworkctl reload\nvnet up lan";
    assert_eq!(text, format!("{head}\n{NETDEV}{tail}"));
}

#[test]
fn networkd_keeps_a_lease() {
    for (addresses, dhcp) in [(vec![], "DHCP=yes\n"), (vec!["2001:db8::1/64"], "DHCP=ipv4\nAddress=2001:db8::1/64\n")] {
        let obstacle = Obstacle::Networkd { network_file: None, held: held(&addresses, &[]) };
        let text = said_of(Kind::Device, obstacle);
        assert!(text.ends_with(&format!("{NETDEV}{dhcp}END\nnetworkctl reload\nvnet up lan")), "{text}");
    }
}
