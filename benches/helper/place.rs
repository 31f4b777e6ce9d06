//! A plain bridge and a NAT network that is up, on which the user may put guests, and the programs with the privilege.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::Arguments;
use crate::borrower::USER;

/// The plain bridge.
pub const BRIDGE: &str = "br0";
/// The network, and its bridge.
pub const NETWORK: &str = "lab";
pub const NETWORKS_BRIDGE: &str = "vn-lab";
/// A guest with a file.
pub const GUEST: &str = "web0";

/// The folder with copies of the programs that have the capability of their file, or root's by their mode.
pub struct Programs(PathBuf);

impl Programs {
    /// Copies them.
    pub fn install(arguments: &Arguments) -> anyhow::Result<Self> {
        let folder = PathBuf::from("/run/programs");
        fs::create_dir(&folder)?;
        let all = Self(folder);
        for (name, program) in [
            ("helper", &arguments.helper),
            ("qemu", &arguments.qemu),
            ("floor", &arguments.floor),
            ("plain", &arguments.plain),
        ] {
            fs::copy(program, all.path(name)).with_context(|| format!("cannot copy {}", program.display()))?;
            run(Command::new("setcap").arg("cap_net_admin+ep").arg(all.path(name)))?;
        }
        fs::copy(&arguments.helper, all.path("setuid"))?;
        fs::set_permissions(all.path("setuid"), fs::Permissions::from_mode(0o4755))?;
        Ok(all)
    }

    /// Where one is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

/// Makes the bridge and the network in the namespace of this moment.
pub fn prepare(vnet: &Path) -> anyhow::Result<()> {
    for folder in ["/etc/vnet/networks", "/etc/vnet/guests"] {
        fs::create_dir_all(folder)?;
    }
    let allow = format!("\"allow\": {{ \"users\": [{USER}] }}");
    fs::write(
        format!("/etc/vnet/networks/{NETWORK}.json"),
        format!("{{ \"mode\": \"nat\", \"addresses\": [\"10.66.0.1/24\", \"fd66::1/64\"], {allow} }}\n"),
    )?;
    fs::write(
        format!("/etc/vnet/guests/{GUEST}.json"),
        format!(
            "{{ \"network\": \"{NETWORK}\", \"mac\": \"52:54:00:12:34:57\", \"addresses\": [\"10.66.0.10\", \"fd66::10\"], {allow} }}\n"
        ),
    )?;
    // Of the machine's own there may be one, and there is a link to it.
    let _ = fs::remove_file("/etc/qemu");
    fs::create_dir("/etc/qemu")?;
    fs::write("/etc/qemu/bridge.conf", format!("allow {BRIDGE}\n"))?;
    run(Command::new("ip").args(["link", "add", BRIDGE, "address", "02:00:00:00:00:01", "up", "type", "bridge"]))?;
    run(Command::new(vnet).args(["up", NETWORK]))
}

/// Takes out what guarded taps that are gone.
pub fn clean(vnet: &Path) -> anyhow::Result<()> {
    run(Command::new(vnet).args(["up", NETWORK]))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
