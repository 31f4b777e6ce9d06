//! What must hold of the administrator's files, whatever is in them.

use std::path::Path;

use super::bridge_conf::BridgeRules;
use super::qemu_rules::{self, Files};
use super::store::Source;
use super::{Guest, HostSettings, Network, Problem, judge_guest, resolve};
use crate::model::{IfName, Invalid};

/// What a file of this text is, as the reader of its kind reads it.
fn read<T: PartialEq + std::fmt::Debug>(
    name: &str,
    text: &str,
    reader: impl Fn(Source) -> Result<T, Vec<Problem>>,
) -> Option<T> {
    let source = || Source { path: name.into(), text: text.to_owned() };
    let found = reader(source());
    assert_eq!(reader(source()), found);
    found.map_err(|problems| told_well(name, &problems)).ok()
}

/// Each problem is a line of the file's, and there is one.
fn told_well(name: &str, problems: &[Problem]) {
    assert!(!problems.is_empty());
    for problem in problems {
        let said = problem.to_string();
        assert!(said.starts_with(name) && !said.contains(char::is_control), "{said:?}");
    }
}

fn read_network(text: &str) -> Option<Network> {
    let name = || "lab".parse().map_err(|_: Invalid| Vec::new());
    let network = read("lab.json", text, |source| Network::read(name()?, source))?;
    // A key may be written with escapes.
    assert!(network.allow.users.is_empty() && network.allow.groups.is_empty() || text.contains(['a', '\\']), "{text}");
    Some(network)
}

/// A network's file.
pub fn network(data: &[u8]) {
    if let Some(network) = read_network(&String::from_utf8_lossy(data)) {
        let _ = resolve(&network, &[]).map_err(|problems| told_well("lab.json", &problems));
    }
}

/// A network's file and that of a guest of it, with `---` on a line between.
pub fn guest(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (network, guest) = text.split_once("\n---\n").unwrap_or(("{\"mode\": \"isolated\"}", &text));
    let name = || "web0".parse().map_err(|_: Invalid| Vec::new());
    let Some(guest) = read("web0.json", guest, |source| Guest::read(name()?, source)) else { return };
    assert!(guest.mac.is_none() || guest.mac != guest.wanted_tap_mac(), "{text}");
    let Some(network) = read_network(network) else { return };
    let judged = judge_guest(&network, &guest);
    if !judged.is_empty() {
        told_well("web0.json", &judged);
    }
    if let Err(problems) = resolve(&network, &[guest]) {
        told_well("", &problems);
    }
}

/// The host's file.
pub fn host(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(settings) = read("vnet.json", &text, |source| HostSettings::read(&source)) {
        assert!(settings.mark.is_power_of_two(), "{text}");
    }
}

/// bridge.conf, and the files that it includes, each behind a line `>>> PATH`; behind `>>>! PATH` one that the caller may not
/// read.
///
/// What we allow, QEMU's helper allows; and where we read all, what it allows we do.
pub fn rules(data: &[u8]) {
    const FIRST: &str = "/bridge.conf";
    let Ok(text) = std::str::from_utf8(data) else { return };
    let files = Files::parse(FIRST, text);
    let mut loads = 0_usize;
    let rules = BridgeRules::load(Path::new(FIRST), |path| {
        loads += 1;
        files.load(path)
    });
    assert!(loads <= 64, "{loads} files were read");
    let rules = match rules {
        Ok(rules) => rules,
        Err(problem) => {
            let said = problem.to_string();
            assert!(!said.contains(char::is_control), "{said:?}");
            return;
        }
    };
    let named = text.split(|c: char| c.is_ascii_whitespace()).filter_map(|word| word.parse().ok());
    for bridge in named.chain("unheard-of".parse()).collect::<Vec<IfName>>() {
        let (ours, qemus) = (rules.allow(&bridge), qemu_rules::allow(&files, FIRST, bridge.as_str()));
        assert!(!ours || qemus == Some(true), "we allow {bridge}, and QEMU's helper does not");
        assert!(ours || qemus != Some(true) || files.has_denied(), "QEMU's helper allows {bridge}, and we do not");
    }
}
