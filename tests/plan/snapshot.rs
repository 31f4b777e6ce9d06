//! What the kernel has, as `snapshot.json` says it.
//!
//! ```json
//! {
//!   "tap": { "kind": "tap", "mac": "02:00:00:00:00:0a" },
//!   "bridge": { "kind": "bridge", "mac": "02:00:00:00:00:01", "options": { "stp": false, … } },
//!   "groundwork": { "derived_mac": "02:00:00:00:00:01", "addresses": [], "sysctls": { "accept_ra": 1 } }
//! }
//! ```
//! Each of the three may be missing; `"holds_queue": true` says that QEMU left a queue of the tap open, and
//! `"tap_addresses"` lists the addresses that the host has on it. A link is down, without master and alias, and has the MTU 1500 and the IPv6
//! address mode `eui64`, unless it says otherwise. Its kind is `tap`, `open tap`, `persistent tap`, `tun`, `bridge` (with
//! `options`), `device` or what the kernel calls it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use vnet::model::{AddrGen, Address, BridgeOptions, Groundwork, IfName, Kind, Link, Mac, Master, Snapshot, Sysctl};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotFile {
    tap: Option<LinkFile>,
    #[serde(default)]
    holds_queue: bool,
    #[serde(default)]
    tap_addresses: Vec<Address>,
    bridge: Option<LinkFile>,
    groundwork: Option<GroundworkFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkFile {
    name: Option<IfName>,
    kind: String,
    options: Option<BridgeOptions>,
    #[serde(default = "yes")]
    ethernet: bool,
    #[serde(default)]
    up: bool,
    #[serde(default = "ethernet_mtu")]
    mtu: u32,
    mtu_range: Option<(u32, u32)>,
    mac: Mac,
    master: Option<IfName>,
    alias: Option<String>,
    #[serde(default)]
    forwards: bool,
    #[serde(default)]
    addr_gen: Mode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroundworkFile {
    derived_mac: Mac,
    addresses: Vec<String>,
    sysctls: BTreeMap<String, u32>,
}

/// How a link makes its IPv6 address; `no-ipv6` where it has none.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    NoIpv6,
    #[default]
    Eui64,
    None,
    StablePrivacy,
    Random,
}

pub fn read(text: &str) -> Result<Snapshot, String> {
    let file: SnapshotFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let bridge = file.bridge.map(|file| file.link(2, "vn-lab")).transpose()?;
    let mut tap = file.tap.map(|file| file.link(3, "lab-a")).transpose()?;
    if let (Some(master), Some(bridge)) = (tap.as_mut().and_then(|tap| tap.master.as_mut()), &bridge) {
        if master.name == bridge.name {
            master.index = bridge.index;
        }
    }
    let groundwork = file.groundwork.map(GroundworkFile::groundwork).transpose()?;
    let tap_addresses = file.tap_addresses;
    Ok(Snapshot { tap, holds_queue: file.holds_queue, tap_addresses, bridge, groundwork })
}

const fn yes() -> bool {
    true
}

const fn ethernet_mtu() -> u32 {
    1500
}

impl LinkFile {
    fn link(self, index: u32, name: &str) -> Result<Link, String> {
        const ELSEWHERE: u32 = 7;
        if (self.kind == "bridge") != self.options.is_some() {
            return Err("a bridge has options, and no other link has".to_owned());
        }
        let kind = match (self.kind.as_str(), self.options) {
            (_, Some(options)) => Kind::Bridge(options),
            ("tap" | "tun", _) => Kind::Tun { persistent: false, open: false },
            ("open tap", _) => Kind::Tun { persistent: false, open: true },
            ("persistent tap", _) => Kind::Tun { persistent: true, open: false },
            ("device", _) => Kind::Device,
            (other, _) => Kind::Other(other.to_owned()),
        };
        let most = if matches!(kind, Kind::Tun { .. }) { 65_521 } else { 65_535 };
        Ok(Link {
            index,
            name: self.name.map_or_else(|| name.parse(), Ok).map_err(|error| error.to_string())?,
            ethernet: self.ethernet && self.kind != "tun",
            kind,
            up: self.up,
            mtu: self.mtu,
            mtu_range: self.mtu_range.unwrap_or((68, most)),
            forwards: self.forwards,
            mac: self.mac,
            master: self.master.map(|name| Master { index: ELSEWHERE, name }),
            alias: self.alias,
            addr_gen: self.addr_gen.model(),
        })
    }
}

impl Mode {
    const fn model(self) -> Option<AddrGen> {
        match self {
            Self::NoIpv6 => None,
            Self::Eui64 => Some(AddrGen::Eui64),
            Self::None => Some(AddrGen::None),
            Self::StablePrivacy => Some(AddrGen::StablePrivacy),
            Self::Random => Some(AddrGen::Random),
        }
    }
}

impl GroundworkFile {
    fn groundwork(self) -> Result<Groundwork, String> {
        let unknown =
            self.sysctls.keys().find(|key| !Sysctl::ALL.iter().any(|sysctl| sysctl.place().1 == key.as_str()));
        if let Some(unknown) = unknown {
            return Err(format!("no setting is called {unknown}"));
        }
        let value = |sysctl: Sysctl| Some((sysctl, *self.sysctls.get(sysctl.place().1)?));
        let addresses: Option<BTreeSet<_>> = self.addresses.iter().map(|text| address(text)).collect();
        Ok(Groundwork {
            derived_mac: self.derived_mac,
            addresses: addresses.ok_or("an address has the form 192.0.2.1/24")?.into_iter().collect(),
            sysctls: Sysctl::ALL.into_iter().filter_map(value).collect(),
        })
    }
}

/// What the kernel may have is more than what a file may ask for: 192.0.2.1/32, say.
fn address(text: &str) -> Option<Address> {
    let (ip, prefix) = text.split_once('/')?;
    Some(Address { ip: ip.parse().ok()?, prefix: prefix.parse().ok()? })
}
