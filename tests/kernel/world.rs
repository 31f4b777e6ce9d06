//! A machine for one test: a network, mounts and files that nothing outside sees, and that end with its thread.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::marker::PhantomData;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::picture::{Picture, servers};
use crate::run::Run;
use crate::syslog::Syslog;

/// Where the world keeps its files, on a tmpfs of its own. The programs under test are in it as well, so that a user
/// who may not look into the checkout can run them.
const PROGRAMS: &str = "/run/programs";
const CONFIG: &str = "/run/config";
const STATE: &str = "/run/state";

/// How long the kernel may take to finish what it does after a change, such as giving an address out.
const SETTLING: Duration = Duration::from_secs(10);

/// The calling thread's own machine.
pub struct World {
    syslog: RefCell<Syslog>,
    /// Its namespaces are the thread's: it never leaves it.
    here: PhantomData<*const ()>,
}

impl World {
    /// Moves the calling thread into a machine that has a loopback link, the programs and nothing else.
    pub fn new() -> Self {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS).unwrap_or_else(|errno| {
            panic!("cannot make namespaces ({errno}): run the tests as root, or inside `unshare -Urnm`")
        });
        mounted(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
        mounted(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty());
        mounted(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty());
        fs::set_permissions("/run", fs::Permissions::from_mode(0o755)).unwrap();
        make_dev();
        for directory in [PROGRAMS, &format!("{CONFIG}/networks"), &format!("{CONFIG}/guests")] {
            fs::create_dir_all(directory).unwrap();
        }
        for name in ["vnet", "vnet-ifup", "vnet-bridge-helper"] {
            let place = format!("{PROGRAMS}/{name}");
            fs::write(&place, "").unwrap();
            mounted(built(name).to_str(), &place, None, MsFlags::MS_BIND);
        }
        let world = Self { syslog: RefCell::new(Syslog::listen()), here: PhantomData };
        world.link_hook("vnet-ifdown");
        world.ip("link set lo up");
        world
    }

    /// Installs the hook under another name, as administrators do.
    pub fn link_hook(&self, name: &str) {
        symlink("vnet-ifup", Path::new(PROGRAMS).join(name)).unwrap();
    }

    /// The path of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        Path::new(PROGRAMS).join(name)
    }

    /// The directory that `VNET_CONFIG_DIR` names.
    pub fn config(&self) -> &'static Path {
        Path::new(CONFIG)
    }

    /// The directory that `VNET_RUN_DIR` names.
    pub fn state(&self) -> &'static Path {
        Path::new(STATE)
    }

    /// Writes `networks/NAME.json`, and tells its path.
    pub fn network(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        self.file(&format!("networks/{name}.json"), text)
    }

    /// Writes `guests/TAP.json`, and tells its path.
    pub fn guest(&self, tap: &str, text: impl AsRef<[u8]>) -> PathBuf {
        self.file(&format!("guests/{tap}.json"), text)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = Path::new(CONFIG).join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// A command with the environment that a hook of this world gets, and all else as QEMU -daemonize leaves it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("VNET_CONFIG_DIR", CONFIG).env("VNET_RUN_DIR", STATE);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs one of the programs, by the name that it is installed under.
    pub fn hook<A: AsRef<OsStr>>(&self, name: &str, arguments: &[A]) -> Run {
        let mut command = self.command(self.program(name));
        command.args(arguments);
        self.run(command)
    }

    /// `vnet ARGUMENTS`.
    pub fn vnet(&self, arguments: &str) -> Run {
        self.hook("vnet", &arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// `vnet ARGUMENTS`, which must succeed and complain of nothing; tells what it printed.
    pub fn told(&self, arguments: &str) -> String {
        let run = self.vnet(arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "vnet {arguments}: {run:#?}");
        run.stdout
    }

    /// Runs a command to its end.
    pub fn run(&self, mut command: Command) -> Run {
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        self.finish(child)
    }

    /// Waits for a process that a command of this world started, and gathers what it said.
    pub fn finish(&self, child: std::process::Child) -> Run {
        Run::of(child, &mut self.syslog.borrow_mut())
    }

    /// `vnet-ifup TAP`, which must succeed.
    pub fn up(&self, tap: &str) -> Run {
        self.hook("vnet-ifup", &[tap]).succeeded()
    }

    /// `vnet-ifdown TAP`, which must succeed.
    pub fn down(&self, tap: &str) -> Run {
        self.hook("vnet-ifdown", &[tap]).succeeded()
    }

    /// Runs iproute2's `ip`, which must succeed, and tells what it printed.
    pub fn ip(&self, arguments: &str) -> String {
        output("ip", arguments)
    }

    /// All that the kernel shows of this machine's network.
    pub fn picture(&self) -> Picture {
        Picture::take(self.state())
    }

    /// Waits until the machine's network looks as it did, and fails with the differences if it does not come to that.
    pub fn must_look_like(&self, before: &Picture) {
        self.must_come_true(|| match before.differences(&self.picture()) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(format!("the network is not as it was:\n{}", differences.join("\n"))),
        });
    }

    /// The same, but for whether packets are forwarded.
    pub fn must_look_like_but_forwarding(&self, before: &Picture) {
        self.must_come_true(|| match before.but_forwarding().differences(&self.picture().but_forwarding()) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(format!("left over:\n{}", differences.join("\n"))),
        });
    }

    /// Waits until a condition holds, and fails if it never does.
    pub fn must_come_true(&self, condition: impl FnMut() -> Result<(), String>) {
        self.comes_true(condition).unwrap_or_else(|why| panic!("{why}"));
    }

    /// Whether a condition comes to hold; the kernel finishes some changes a little later.
    pub fn comes_true(&self, mut condition: impl FnMut() -> Result<(), String>) -> Result<(), String> {
        let end = Instant::now() + SETTLING;
        loop {
            match condition() {
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                result => return result,
            }
        }
    }
}

/// Servers that are left run on otherwise, and with them the world's mounts.
impl Drop for World {
    fn drop(&mut self) {
        for server in servers() {
            let _ = kill(Pid::from_raw(server.process), Signal::SIGKILL);
        }
    }
}

/// Runs a tool, which must succeed, and tells what it printed.
pub fn output(tool: &str, arguments: &str) -> String {
    let mut command = Command::new(tool);
    command.args(arguments.split_whitespace()).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {tool}, which the tests need: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments}: {}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The built program: the one that will be installed where `VNET_TEST_BIN_DIR` says so, else cargo's own.
fn built(name: &str) -> PathBuf {
    match std::env::var_os("VNET_TEST_BIN_DIR") {
        Some(directory) => Path::new(&directory).join(name),
        None if name == "vnet" => env!("CARGO_BIN_EXE_vnet").into(),
        None if name == "vnet-ifup" => env!("CARGO_BIN_EXE_vnet-ifup").into(),
        None => env!("CARGO_BIN_EXE_vnet-bridge-helper").into(),
    }
}

/// Whether user 0 here is the machine's root, not some user in a namespace of their own.
pub fn whole_machines_root() -> bool {
    fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().eq(["0", "0", "4294967295"])
}

fn make_dev() {
    // Made elsewhere and then put over /dev, for the devices themselves come from there; a user namespace can make
    // none.
    fs::create_dir_all("/run/dev/net").unwrap();
    for device in ["null", "zero", "urandom", "net/tun"] {
        let (there, here) = (format!("/dev/{device}"), format!("/run/dev/{device}"));
        fs::write(&here, "").unwrap();
        mounted(Some(&there), &here, None, MsFlags::MS_BIND);
    }
    mounted(Some("/run/dev"), "/dev", None, MsFlags::MS_BIND | MsFlags::MS_REC);
}

/// Mounts, or says what a test cannot do here.
pub fn mounted(source: Option<&str>, target: &str, kind: Option<&str>, flags: MsFlags) {
    mount(source, target, kind, flags, None::<&str>).unwrap_or_else(|errno| {
        let source = source.unwrap_or_default();
        panic!("cannot mount {source} on {target} ({errno}): run the tests as root, or inside `unshare -Urnm`")
    });
}
