//! What to do where there is no plan.

use std::borrow::Cow;

use super::Refusal;
use crate::model::Kind;

impl Refusal {
    /// What to do about it.
    pub fn remedy(&self) -> Cow<'_, str> {
        match self {
            Self::Uplink { remedy, .. } => remedy.into(),
            Self::BridgeDown(bridge) => format!("an administrator sets it up: ip link set dev {bridge} up").into(),
            Self::Down(network) => format!("an administrator brings it up: vnet up {network}").into(),
            Self::NotUp(network) => format!(
                "bring it up first, which takes the card over and asks for confirmation: vnet up {network}"
            )
            .into(),
            Self::NotByHelper(network) => format!(
                "an administrator makes one for you, and tells you what that prints: vnet tap add NAME --network {network} --user USER"
            )
            .into(),
            Self::BridgeOfNetwork(_, network) => format!("ask for the network by its name: br={network}").into(),
            other => other.plain_remedy().into(),
        }
    }

    const fn plain_remedy(&self) -> &'static str {
        match self {
            Self::Uplink { .. }
            | Self::NotUp(_)
            | Self::Down(_)
            | Self::BridgeDown(_)
            | Self::NotByHelper(_)
            | Self::BridgeOfNetwork(..) => "",
            Self::NoSuchCard(_) => "name a network card that is there; see which with: ip -br link",
            Self::NoSuchLink => "QEMU makes the tap before it runs the hook; by hand: ip tuntap add NAME mode tap",
            Self::AlternativeName(_) => "give the link's own name, by which its files are named",
            Self::NotEthernet(Kind::Tun { .. }) => "make it with mode tap",
            Self::BridgeAlternativeName(..) => "name the bridge by its own name",
            Self::HasAddress(_) => "give the guest's tap, or take the address away first",
            Self::NotEthernet(_) | Self::IsABridge | Self::IsADevice => "give the guest's tap",
            Self::ForeignAlias(_) => "choose another tap, or clear the alias: ip link set NAME alias ''",
            Self::InAnother(_) => "take it out first: ip link set NAME nomaster",
            Self::IsItsOwnBridge => "rename one of them",
            Self::Mtu { .. } => "change mtu in the network's file",
            Self::BridgeMtu { .. } => "change the MTU of the bridge",
            Self::NoSuchBridge(_) => "make the bridge, or name one that is there",
            Self::NotABridge(..) => "name a bridge",
            Self::BridgeTaken(_) => "choose another name for bridge, or mode \"bridged\" to join it as it is",
            Self::BridgeOfAnother(..) => "choose another name for bridge",
            Self::Elsewhere(..) => "take it down first: vnet down NETWORK",
            Self::Overlap { .. } => "choose another subnet in addresses",
            Self::ForwardTaken(..) => "choose another port, or give each an address of its own to listen on",
            Self::PortInUse(..) => "choose another port, or see which program with: ss -lntup",
            Self::Leased { .. } => {
                "let the DHCP client run on the bridge instead (with ifupdown: iface BRIDGE inet dhcp, bridge_ports CARD) and join that bridge, give the card a fixed address, or move the lease as it is: vnet up NETWORK --keep-lease"
            }
            Self::Advertised { .. } => {
                "set the address and route by hand (accept_ra 0 on the card), let the system's own network service make the bridge and join that, or choose mode \"routed\" or \"nat\""
            }
            Self::NoServer => {
                "install the package dnsmasq-base (Debian, Ubuntu) or dnsmasq (Fedora, Arch), or remove dhcp and dns"
            }
            Self::NotByHook(_) => {
                "make the guest's link beforehand, and give QEMU what that prints: vnet tap add NAME --network NETWORK"
            }
            Self::Lent(_) => "choose another name for the tap",
            Self::TapTaken => "choose another name; see what it is: ip -d link show dev NAME",
            Self::TapOfAnother(_) | Self::TapDiffers(_) => "choose another name, or remove it first: vnet tap del NAME",
            Self::CardIsNoEthernet(_) => "name a network card of the LAN",
            Self::CardIsAPort(..) => "name that one, or let mode be \"bridged\" with that as bridge",
            Self::CardIsWireless(_) => {
                "let mode be \"ipvtap\", which keeps to the card's MAC, or \"routed\" or \"nat\""
            }
            Self::CardIsShared(..) => "let variant be that link's, name another card, or remove that link first",
            Self::CardIsDown(_) => "set it up first: ip link set UPLINK up",
            Self::MacIsTheCards { .. } => "remove mac from the guest's file",
            Self::MacOfTheCard(_) => "give it another",
            Self::Unobserved(_) => "this is a mistake in vnet, please report it",
        }
    }
}
