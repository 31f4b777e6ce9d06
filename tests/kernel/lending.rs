//! A host that lends taps to two users: one network of each mode, and the guests of the tests' files.

use crate::caller::{Caller, Lent, OTHER, Privilege, USER, host};
use crate::frames::{Mac, mac};
use crate::links::{Guest, field, link};
use crate::taps::set_up;
use crate::world::{World, output};

/// The modes whose guests sit on a bridge.
pub const MODES: [&str; 6] = ["nat", "routed", "host-only", "isolated", "bridged", "uplink"];

/// The host's MACs where a test gives them.
pub const BRIDGE_MAC: &str = "02:00:00:00:00:01";

/// A host on which one network is up, `lab` of some mode, whose addresses are 10.1.0.1 and fd57::1 where it has some, which
/// both users may join; and the guests `web0` of [`USER`] and `web1` of [`OTHER`], at .10 and .11.
pub struct Lending {
    pub world: World,
    pub caller: Caller,
    /// The network's bridge.
    pub bridge: &'static str,
    /// Whether vnet made it.
    pub is_ours: bool,
    _lan: Option<Guest>,
}

impl Lending {
    pub fn new(mode: &str) -> Self {
        let site = Self::down(mode);
        site.world.told("up lab");
        site
    }

    /// The same, and the network is not up yet.
    pub fn down(mode: &str) -> Self {
        let world = host();
        // It cuts off what is behind the end of a packet, where these tests number their frames.
        for family in ["ip", "ip6"] {
            let _ = std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{family}tables"), "0");
        }
        let allow = format!(r#""allow": {{"users": [{USER}, {OTHER}]}}"#);
        let addresses = r#""addresses": ["10.1.0.1/24", "fd57::1/64"]"#;
        let (text, bridge, lan) = match mode {
            "bridged" => {
                let lan = administrators_bridge(&world);
                world.ip("addr add 10.1.0.1/24 dev br0");
                (format!(r#"{{"mode": "bridged", "bridge": "br0", {allow}}}"#), "br0", Some(lan))
            }
            "uplink" => {
                let lan = Guest::plugged_into(&world, "eth0", &["10.1.0.2/24"]);
                world.ip(&format!("link set eth0 address {BRIDGE_MAC}"));
                set_up(&world, "eth0");
                world.ip("addr add 10.1.0.1/24 dev eth0");
                (format!(r#"{{"mode": "bridged", "uplink": "eth0", {allow}}}"#), "vn-lab", Some(lan))
            }
            "isolated" => (format!(r#"{{"mode": "isolated", {addresses}, "dhcp": {{}}, {allow}}}"#), "vn-lab", None),
            mode => (format!(r#"{{"mode": "{mode}", {addresses}, {allow}}}"#), "vn-lab", None),
        };
        world.network("lab", text);
        for (number, user) in [USER, OTHER].into_iter().enumerate() {
            world.guest(&format!("web{number}"), guest_file(number, user));
        }
        let caller = Caller::new(&world, Privilege::File);
        let is_ours = !matches!(mode, "bridged" | "uplink");
        Self { world, caller, bridge, is_ours, _lan: lan }
    }

    /// A tap of the first user's.
    pub fn lent(&self, arguments: &str) -> Lent {
        self.caller.lent(&self.world, arguments)
    }

    /// A tap of the other user's.
    pub fn lent_to_other(&self, arguments: &str) -> Lent {
        self.caller.as_user(OTHER).lent(&self.world, arguments)
    }
}

/// Makes a bridge `br0` as administrators do, with its MAC set and a card as its port; tells who is on the LAN.
pub fn administrators_bridge(world: &World) -> Guest {
    world.ip(&format!("link add br0 address {BRIDGE_MAC} type bridge"));
    let lan = Guest::plugged_into(world, "card0", &["10.1.0.2/24"]);
    world.ip("link set card0 addrgenmode none master br0 up");
    set_up(world, "br0");
    lan
}

/// What a guest's file says: `web1` is number 1.
pub fn guest_file(number: usize, user: u32) -> String {
    format!(
        r#"{{"network": "lab", "mac": "52:54:00:12:34:{:02x}", "addresses": ["10.1.0.1{number}", "fd57::1{number}"], "allow": {{"users": [{user}]}}}}"#,
        0x50 + number
    )
}

/// The MAC of the guest of a number, by its file.
pub fn guest_mac(number: usize) -> Mac {
    mac(&format!("52:54:00:12:34:{:02x}", 0x50 + number))
}

/// The parts of a lent tap's alias behind `vnet:NETWORK:lent:`.
pub fn loan(tap: &str) -> Vec<String> {
    let alias = field(tap, "/ifalias");
    let alias = alias.as_str().unwrap_or_else(|| panic!("{tap} has no alias"));
    alias.rsplit_once(":lent:").unwrap_or_else(|| panic!("{alias}")).1.split(',').map(str::to_owned).collect()
}

/// What guards ports: the elements of the table of bridges, a line for each set, in an order of their own. Nothing where
/// there is no such table.
pub fn guards() -> Vec<String> {
    if !output("nft", "list tables").contains("table bridge vnet") {
        return Vec::new();
    }
    let listed = output("nft", "-j list table bridge vnet");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let sets = listed["nftables"].as_array().unwrap().iter().filter_map(|part| {
        let set = part.get("set").or_else(|| part.get("map"))?;
        let mut elements: Vec<_> = set["elem"].as_array()?.iter().map(ToString::to_string).collect();
        elements.sort();
        Some(elements.into_iter().map(move |element| format!("{}: {element}", set["name"].as_str().unwrap())))
    });
    sets.flatten().collect()
}

/// The guards that are bound to a port, and not what the network claims for itself.
pub fn guards_of_ports() -> Vec<String> {
    guards().into_iter().filter(|guard| !guard.starts_with("own")).collect()
}

/// The numbers of the links that are guarded.
pub fn guard_numbers() -> Vec<u32> {
    let guards = guards().into_iter().filter_map(|guard| guard.strip_prefix("guard: ").map(str::to_owned));
    let mut numbers: Vec<_> = guards.map(|guard| number_in(&guard)).collect();
    numbers.sort_unstable();
    numbers
}

/// The first element's key, by its name where a link has it.
fn number_in(guard: &str) -> u32 {
    let parsed: serde_json::Value = serde_json::from_str(guard).unwrap();
    let key = &parsed[0];
    let key = if key["elem"].is_object() { &key["elem"]["val"] } else { key };
    match key {
        serde_json::Value::String(name) => name.parse().unwrap_or_else(|_| crate::links::index(name)),
        key => u32::try_from(key.as_u64().unwrap_or_else(|| panic!("{guard}"))).unwrap(),
    }
}

/// Waits until the kernel has removed taps that nobody holds any more.
pub fn must_go(world: &World, taps: Vec<Lent>) {
    let names: Vec<_> = taps.iter().map(|tap| tap.tap.clone()).collect();
    drop(taps);
    // A process that another test starts just now has them open until it runs its program.
    world.must_come_true(|| match names.iter().find(|name| link(name).is_some()) {
        Some(name) => Err(format!("{name} is there")),
        None => Ok(()),
    });
}
