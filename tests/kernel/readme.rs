//! What the README and the man pages show, example by example, on a machine of their own: /usr and /etc are overlays.
//!
//! `./scripts/build`, `./scripts/demo` and `./scripts/test` are not run from here: scripts/test runs the first two
//! itself, and is the third.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use nix::mount::{MsFlags, mount};

use crate::client::dhcp;
use crate::examples::{Example, is_as_shown, manual, markdown};
use crate::links::{Guest, is_up, link};
use crate::run::Run;
use crate::world::{World, output};

/// The MAC that QEMU gives a guest where its arguments name none.
const QEMUS_MAC: &str = "52:54:00:12:34:56";

/// The user who is not root in the pages' examples.
const ALICE: u32 = 1000;

/// A machine on which a page is read and done.
struct Machine {
    world: World,
    /// What its default route leads to.
    _outside: Guest,
    /// The guest that runs, and its tap.
    guest: Option<(Child, String)>,
    /// What hooks said, oldest first.
    log: Vec<String>,
}

/// A guest is ended with the test, however that ends.
impl Drop for Machine {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.guest {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Hides what the commands write to /usr and /etc from the machine.
pub fn overlay(directory: &str) {
    let room = format!("/run/overlay{directory}");
    for part in ["upper", "work"] {
        fs::create_dir_all(format!("{room}/{part}")).unwrap();
    }
    let options = format!("lowerdir={directory},upperdir={room}/upper,workdir={room}/work");
    mount(Some("overlay"), directory, Some("overlay"), MsFlags::empty(), Some(&*options))
        .unwrap_or_else(|errno| panic!("cannot lay an overlay over {directory}: {errno}"));
}

impl Machine {
    /// A machine with an uplink, a bridge that its default route does not use, a `sudo` that is not asked for a
    /// password, and nothing of vnet.
    fn new() -> Self {
        let world = World::new();
        overlay("/usr");
        overlay("/etc");
        let sudo = "/usr/bin/sudo";
        fs::write(sudo, "#!/bin/sh\nexec \"$@\"\n").unwrap();
        fs::set_permissions(sudo, fs::Permissions::from_mode(0o755)).unwrap();
        let alice = format!("alice:x:{ALICE}:{ALICE}::/:/bin/sh\n");
        fs::write("/etc/passwd", fs::read_to_string("/etc/passwd").unwrap() + &alice).unwrap();
        let outside = Guest::plugged_into(&world, "eth0", &["192.0.2.2/24"]);
        world.ip("link add br0 type bridge");
        for (link, address) in [("eth0", "192.0.2.5/24"), ("br0", "198.51.100.5/24")] {
            world.ip(&format!("address add {address} dev {link}"));
            world.ip(&format!("link set {link} up"));
        }
        world.ip("route add default via 192.0.2.2");
        for setting in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"] {
            // Where there is none, bridged frames are not filtered anyway.
            let _ = fs::write(format!("/proc/sys/net/bridge/{setting}"), "0");
        }
        Self { world, _outside: outside, guest: None, log: Vec::new() }
    }

    /// The same with vnet installed, as the README does it, and the directories of its configuration.
    fn installed() -> Self {
        let machine = Self::new();
        let places = [("vnet", "/usr/bin"), ("vnet-ifup", "/usr/libexec"), ("vnet-bridge-helper", "/usr/libexec")];
        for (program, place) in places {
            output("install", &format!("-D -t {place} {}", machine.world.program(program).display()));
        }
        output("ln", "-sf vnet-ifup /usr/libexec/vnet-ifdown");
        output("mkdir", "-p /etc/vnet/networks /etc/vnet/guests");
        machine
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.world.command(program);
        command.env_remove("VNET_CONFIG_DIR").env_remove("VNET_RUN_DIR");
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }

    /// Does what a page shows, from its start, and in the end has all its networks at once.
    fn follow_all(&mut self, examples: &[Example]) {
        examples.iter().for_each(|example| self.follow(example));
        self.stop();
        for line in ["vnet check", "vnet up --all", "vnet down --all"] {
            self.shell(line, None);
        }
    }

    /// Does what an example shows, and sees that it comes out as it shows.
    fn follow(&mut self, example: &Example) {
        match example {
            Example::File(path, text) => fs::write(path, format!("{text}\n")).unwrap(),
            Example::Command(line, said) if line.starts_with("./scripts/") => {
                assert_eq!(*said, None, "what {line} prints is not looked at");
                self.shell(&format!("{line} --help"), None);
            }
            Example::Command(line, said) => self.shell(line, said.as_deref()),
            Example::Qemu(arguments) => self.start(arguments),
            Example::Log(line) => {
                self.stop();
                let program = line.split('[').next().unwrap();
                let said = self.log.iter().rfind(|said| said.starts_with(program)).expect("the hook logged nothing");
                assert!(is_as_shown(line, said), "shown:\n{line}\nfound:\n{said}");
            }
        }
    }

    fn shell(&mut self, line: &str, said: Option<&str>) {
        let mut sh = self.command("/bin/sh");
        sh.args(["-c", line]);
        let run = self.world.run(sh);
        assert_eq!(run.code, Some(0), "{line}: {run:#?}");
        self.hear(&run);
        if let Some(said) = said {
            assert!(is_as_shown(said, &run.stdout), "{line}\nshown:\n{said}\nfound:\n{}", run.stdout);
        }
    }

    /// QEMU with these arguments: a machine that does not start, but has its tap, and a monitor on standard input. It
    /// runs until the next one, or until its log is asked for. With a helper it is alice's.
    fn start(&mut self, arguments: &str) {
        self.stop();
        let value = |key: &str| {
            let mut words = arguments.split([' ', ',', '\'']);
            words.find_map(|word| word.strip_prefix(key)).map(str::to_owned)
        };
        let tap = value("ifname=").or_else(|| value("--guest=")).unwrap();
        let user = match value("helper=") {
            Some(_) => format!("setpriv --reuid={ALICE} --regid={ALICE} --clear-groups --inh-caps=-all "),
            None => String::new(),
        };
        let machine = "-S -accel tcg -m 32 -display none -serial none -monitor stdio";
        let mut qemu = self.command("/bin/sh");
        qemu.arg("-c").arg(format!("exec {user}qemu-system-x86_64 {machine} {arguments}"));
        qemu.stdin(Stdio::piped()).stdout(Stdio::null());
        let child = qemu.spawn().unwrap_or_else(|error| panic!("cannot run QEMU: {error}"));
        self.guest = Some((child, tap.clone()));
        let mut bridge = String::new();
        self.world.must_come_true(|| match link(&tap) {
            Some(found) if found["master"].is_string() && is_up(&tap) => {
                found["master"].as_str().unwrap().clone_into(&mut bridge);
                Ok(())
            }
            found => Err(format!("the tap is {found:?}")),
        });
        self.lease(&bridge, value("mac=").as_deref().unwrap_or(QEMUS_MAC));
    }

    /// Asks for an address as the guest would that does not start.
    fn lease(&self, bridge: &str, mac: &str) {
        let guest = Guest::plugged_into(&self.world, "stand-in", &[]);
        self.world.ip(&format!("link set stand-in master {bridge} up"));
        guest.inside(|| {
            output("ip", "link set eth0 down");
            output("ip", &format!("link set eth0 address {mac} up"));
            dhcp("");
        });
        self.world.ip("link del stand-in");
        // The server writes it down a little later.
        self.world.must_come_true(|| match self.leases().contains(mac) {
            true => Ok(()),
            false => Err(format!("there is no lease of {mac}")),
        });
    }

    fn leases(&self) -> String {
        let directories = fs::read_dir("/run/vnet").unwrap().map(|entry| entry.unwrap().path());
        directories.map(|directory| fs::read_to_string(directory.join("leases")).unwrap_or_default()).collect()
    }

    /// Ends the guest that runs, if there is one, and hears what its hooks said.
    fn stop(&mut self) {
        let Some((mut child, tap)) = self.guest.take() else { return };
        child.stdin.take().unwrap().write_all(b"quit\n").unwrap();
        let run = self.world.finish(child);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{run:#?}");
        assert!(link(&tap).is_none());
        self.hear(&run);
    }

    fn hear(&mut self, run: &Run) {
        self.log.extend(run.log.iter().filter_map(|line| Some(line.split_once('>')?.1.to_owned())));
    }
}

#[test]
fn the_readme_does_what_it_says() {
    let mut machine = Machine::new();
    machine.follow_all(&markdown("README.md"));
}

/// Each page from its start, on a machine on which vnet is installed and nothing configured.
#[test]
fn the_man_pages_do_what_they_say() {
    for page in ["vnet.1", "vnet-network.5", "vnet-guest.5", "vnet.json.5", "vnet-ifup.8", "vnet-bridge-helper.8"] {
        std::thread::spawn(move || {
            let examples = manual(&format!("packaging/man/{page}"));
            assert!(!examples.is_empty(), "{page} shows nothing");
            let mut machine = Machine::installed();
            machine.follow_all(&examples);
        })
        .join()
        .unwrap_or_else(|panic| {
            eprintln!("in packaging/man/{page}");
            std::panic::resume_unwind(panic)
        });
    }
}
