//! Callers of the bridge helper that mean ill: whatever they leave it, it does all that it should or changes nothing, and it
//! never hangs.
#![allow(unsafe_code)]

use std::fs::{self, Permissions};
use std::io::{Error, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::mount::MsFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, raise, signal};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};

use crate::caller::{Asked, Asking, Caller, Privilege, USER, bridge_conf, host, install, keeps_open, pair};
use crate::picture::Picture;
use crate::world::{World, mounted, output};

/// Joined by a tap that nothing guards, and by one that is guarded.
const PLACES: [&str; 2] = ["--br=br0", "--br=lab"];

/// A host with a bridge and a network that the user may join, as it is before anybody does.
pub struct Site {
    pub world: World,
    pub callers: [Caller; 2],
    before: Picture,
}

impl Site {
    pub fn new() -> Self {
        let world = host();
        world.ip("link add br0 address 02:00:00:00:00:01 type bridge");
        // What the kernel does by itself with IPv6 it does later.
        fs::write("/proc/sys/net/ipv6/conf/br0/disable_ipv6", "1").unwrap();
        world.ip("link set br0 up");
        bridge_conf("allow br0\n");
        let lab = r#"{"mode": "nat", "addresses": ["10.1.0.1/24"], "mtu": 1400, "allow": {"users": ["stranger"]}}"#;
        world.network("lab", lab);
        world.told("up lab");
        let callers = Privilege::BOTH.map(|privilege| Caller::new(&world, privilege));
        let before = world.picture();
        Self { world, callers, before }
    }

    /// Runs the helper as QEMU does, but for what is done in its process last of all.
    fn ask_with(&self, caller: &Caller, arguments: &str, prepare: impl Fn(&mut Command)) -> Asked {
        let (here, there) = pair();
        let mut command = caller.command(&self.world, arguments, there.as_raw_fd());
        prepare(&mut command);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        // Or nobody would see that the helper's end was closed.
        drop(there);
        Asking { child, socket: here }.finish(&self.world)
    }

    /// Runs a command that runs the helper in the end, which gets the socket.
    fn ask_by(&self, caller: &Caller, by: &[&str], arguments: &str) -> Asked {
        let (here, there) = pair();
        let mut command = self.world.command(by[0]);
        command.args(&by[1..]).arg(&caller.helper).arg("--use-vnet").arg(format!("--fd={}", there.as_raw_fd()));
        command.args(arguments.split(' '));
        caller.becomes_user(&mut command);
        keeps_open(&mut command, there.as_raw_fd());
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        drop(there);
        Asking { child, socket: here }.finish(&self.world)
    }

    /// The helper must do all that it should, and nothing be left when its tap goes.
    fn must_work(&self, what: &str, prepare: impl Fn(&mut Command)) {
        for (caller, place) in self.callers.iter().flat_map(|caller| PLACES.map(|place| (caller, place))) {
            println!("{what}: {} {place}", caller.helper);
            let lent = self.ask_with(caller, place, &prepare).lent();
            assert!(self.world.ip(&format!("link show {}", lent.tap)).contains("UP"), "{lent:?}");
            drop(lent);
        }
        self.repair();
        self.must_be_untouched();
    }

    /// The helper must say no, in one line that has these words, and nothing be changed.
    fn must_fail(&self, what: &str, code: i32, words: &str, prepare: impl Fn(&mut Command)) {
        for (caller, place) in self.callers.iter().flat_map(|caller| PLACES.map(|place| (caller, place))) {
            println!("{what}: {} {place}", caller.helper);
            let asked = self.ask_with(caller, place, &prepare);
            assert!(asked.refused(code).contains(words), "{what}: {asked:#?}");
            self.must_be_untouched();
        }
    }

    /// Whatever becomes of the helper, nothing may be changed. Tells how often it worked all the same.
    fn must_do_no_harm(&self, what: &str, prepare: impl Fn(&mut Command)) -> usize {
        let mut worked = 0;
        for (caller, place) in self.callers.iter().flat_map(|caller| PLACES.map(|place| (caller, place))) {
            println!("{what}: {} {place}", caller.helper);
            let asked = self.ask_with(caller, place, &prepare);
            let was_lent = asked.queue.is_some();
            worked += usize::from(was_lent);
            drop(asked);
            if was_lent {
                self.repair();
            }
            self.must_be_untouched();
        }
        worked
    }

    /// Takes out what guarded taps that are gone. Another test's process holds what this one opened until it runs its program.
    pub fn repair(&self) {
        self.must_have_no_taps();
        self.world.told("repair");
    }

    /// No tap of the user's may be left, for the kernel a moment later.
    pub fn must_have_no_taps(&self) {
        self.world.must_come_true(|| match output("ip", "-o link show").matches("vu65533-").count() {
            0 => Ok(()),
            number => Err(format!("{number} taps are left")),
        });
    }

    /// How many taps are guarded, or were before they went.
    pub fn guarded(&self) -> usize {
        output("nft", "list map bridge vnet guard").matches("comment").count()
    }

    pub fn must_be_untouched(&self) {
        self.world.must_look_like(&self.before);
    }

    /// The same, told and not demanded.
    pub fn is_untouched(&self) -> Result<(), String> {
        self.world.comes_true(|| match self.before.differences(&self.world.picture()) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(differences.join("\n")),
        })
    }
}

/// Does something in the process that becomes the helper.
fn first(command: &mut Command, act: impl Fn() -> Result<(), Error> + Send + Sync + 'static) {
    // SAFETY: the child makes system calls, and none of the memory that other threads hold.
    unsafe { command.pre_exec(act) };
}

fn limit(command: &mut Command, resource: Resource, soft: u64, hard: u64) {
    first(command, move || Ok(setrlimit(resource, soft, hard)?));
}

#[test]
fn without_arguments_or_with_too_many_it_says_how_it_is_called() {
    let site = Site::new();
    let usage = "usage: vnet-bridge-helper";
    site.must_fail("no argument at all, not even its name", 64, usage, |command| {
        let helper = std::ffi::CString::new(command.get_program().to_str().unwrap()).unwrap();
        first(command, move || {
            let nothing = [std::ptr::null()];
            // SAFETY: both lists end with a null, and the path with a zero.
            unsafe { libc::execve(helper.as_ptr(), nothing.as_ptr(), nothing.as_ptr()) };
            Err(Error::last_os_error())
        });
    });
    site.must_fail("a thousand arguments", 64, usage, |command| {
        command.args(["--use-vnet"; 1000]);
    });
    site.must_fail("a long one", 64, usage, |command| {
        command.arg("x".repeat(100_000));
    });
    site.must_fail("the same twice", 64, "is there already", |command| {
        command.arg("--br=lab");
    });
    site.must_work("an empty name of its own", |command| {
        command.arg0("");
    });
}

#[test]
fn closed_standard_descriptors_lead_nowhere() {
    let site = Site::new();
    for closed in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]] {
        let close = move || {
            for number in closed {
                // SAFETY: nothing of this process uses it any more.
                unsafe { libc::close(*number) };
            }
            Ok(())
        };
        site.must_work(&format!("closed {closed:?}"), |command| first(command, close));
    }
}

/// QEMU's monitor may be there.
#[test]
fn standard_input_is_not_read_and_standard_output_not_written() {
    let site = Site::new();
    for (caller, place) in
        site.callers.iter().flat_map(|caller| [PLACES[0], PLACES[1], "--br=none"].map(|p| (caller, p)))
    {
        let (mut input, its_input) = UnixStream::pair().unwrap();
        let (mut output, its_output) = UnixStream::pair().unwrap();
        input.write_all(b"quit\n").unwrap();
        let mut left = its_input.try_clone().unwrap();
        site.ask_with(caller, place, |command| {
            command.stdin(OwnedFd::from(its_input.try_clone().unwrap()));
            command.stdout(OwnedFd::from(its_output.try_clone().unwrap()));
        });
        drop((input, its_output));
        let mut text = String::new();
        left.read_to_string(&mut text).unwrap();
        assert_eq!(text, "quit\n", "it was read");
        output.read_to_string(&mut text).unwrap();
        assert_eq!(text, "quit\n", "something was written");
    }
}

#[test]
fn a_thousand_open_descriptors_are_no_hindrance() {
    let site = Site::new();
    let (zero, soft) = (fs::File::open("/dev/zero").unwrap(), getrlimit(Resource::RLIMIT_NOFILE).unwrap().1.min(4096));
    assert!(soft > 1100, "the limit of open files is too low for this test");
    let number = zero.as_raw_fd();
    let many = move || {
        setrlimit(Resource::RLIMIT_NOFILE, soft, soft)?;
        for _ in 0..1000 {
            // SAFETY: the call takes numbers.
            if unsafe { libc::fcntl(number, libc::F_DUPFD, 3) } < 0 {
                return Err(Error::last_os_error());
            }
        }
        Ok(())
    };
    site.must_work("a thousand", |command| first(command, many));
    // Held up by a socket that nobody reads, it shows what it kept.
    for caller in &site.callers {
        let (here, there) = pair();
        fill(&there);
        let mut command = caller.command(&site.world, "--br=br0", there.as_raw_fd());
        first(&mut command, many);
        let child = command.spawn().unwrap();
        let kept = || -> Vec<String> {
            let listed = fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
            listed
                .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_string().ok())
                .collect()
        };
        site.world.must_come_true(|| match site.world.ip("-j link show master br0") {
            ports if ports.contains("vu65533-0") => Ok(()),
            ports => Err(format!("it is not attached yet: {ports}")),
        });
        let kept = kept();
        // The three, the caller's socket, the tap, and netlink.
        assert!(kept.len() == 6 && !kept.iter().any(|place| place.contains("zero")), "{kept:?}");
        drop((here, there));
        let run = site.world.finish(child);
        assert_ne!(run.code, Some(0), "{run:#?}");
        site.must_be_untouched();
    }
}

/// Who has the same user number gets nothing out of it: what it holds is not yet theirs.
#[test]
fn no_process_of_the_same_user_looks_into_it() {
    let site = Site::new();
    for (caller, place) in site.callers.iter().flat_map(|caller| PLACES.map(|place| (caller, place))) {
        let (here, there) = pair();
        fill(&there);
        let mut child = caller.command(&site.world, place, there.as_raw_fd()).spawn().unwrap();
        site.world.must_come_true(|| match site.world.ip("-o link show up") {
            links if links.contains("vu65533-0") => Ok(()),
            links => Err(format!("it is not attached yet: {links}")),
        });
        let of = format!("/proc/{}", child.id());
        for by in [
            format!("ls {of}/fd/"),
            format!("cat {of}/environ"),
            format!("cat {of}/maps"),
            format!("cat {of}/mem"),
            format!("readlink {of}/exe"),
            format!("timeout 5 strace -o /dev/null -p {}", child.id()),
        ] {
            let mut command = site.world.command("sh");
            command.args(["-c", &by]);
            caller.becomes_user(&mut command);
            let run = site.world.run(command);
            assert!(run.code.is_some_and(|code| code != 0) && run.stdout.is_empty(), "{by}: {run:#?}");
            let denied = ["Permission denied", "Operation not permitted"];
            assert!(by.starts_with("readlink") || denied.iter().any(|why| run.stderr.contains(why)), "{by}: {run:#?}");
        }
        // It may end it, and then nothing of it is left but what the next run takes out.
        let mut command = site.world.command("kill");
        command.args(["-KILL", &child.id().to_string()]);
        caller.becomes_user(&mut command);
        assert_eq!(site.world.run(command).code, Some(0));
        child.wait().unwrap();
        drop((here, there));
        site.repair();
        site.must_be_untouched();
    }
}

#[test]
fn no_environment_variable_means_anything() {
    let site = Site::new();
    fs::create_dir_all("/run/evil/networks").unwrap();
    fs::write(
        "/run/evil/networks/evil.json",
        r#"{"mode": "bridged", "bridge": "br0", "allow": {"users": ["stranger"]}}"#,
    )
    .unwrap();
    fs::write("/run/evil/vnet.json", r#"{"quota": 0}"#).unwrap();
    let evil = |command: &mut Command| {
        for name in ["VNET_CONFIG_DIR", "VNET_RUN_DIR", "TMPDIR", "HOME", "PWD", "XDG_CONFIG_HOME", "LD_LIBRARY_PATH"] {
            command.env(name, "/run/evil");
        }
        for name in ["LD_PRELOAD", "LD_AUDIT", "LD_DEBUG", "LD_DEBUG_OUTPUT", "GCONV_PATH", "LOCPATH", "NLSPATH"] {
            command.env(name, "/run/evil/evil.so");
        }
        for name in ["MALLOC_CHECK_", "MALLOC_TRACE", "MALLOC_PERTURB_", "GLIBC_TUNABLES", "RUST_BACKTRACE", "RUST_LOG"]
        {
            command.env(name, "glibc.malloc.check=3");
        }
        for (name, value) in [
            ("PATH", "/run/evil"),
            ("IFS", "/"),
            ("TZ", ":/run/evil/zone"),
            ("LANG", "../../run/evil"),
            ("LC_ALL", "../../run/evil"),
            ("USER", "root"),
            ("LOGNAME", "root"),
            ("SUDO_UID", "0"),
            ("LISTEN_FDS", "3"),
            ("NOTIFY_SOCKET", "/run/evil/notify"),
            ("RES_OPTIONS", "debug"),
        ] {
            command.env(name, value);
        }
        command.env("A", "x".repeat(100_000));
    };
    site.must_work("an evil environment", evil);
    for caller in &site.callers {
        let asked = site.ask_with(caller, "--br=evil", evil);
        assert_eq!(asked.refused(77), caller.ask(&site.world, "--br=evil").refused(77));
    }
    assert_eq!(fs::read_dir("/run/evil").unwrap().count(), 2, "something was written");
    site.must_be_untouched();
}

#[test]
fn low_limits_are_raised_or_an_error() {
    let site = Site::new();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    site.must_work("few files, which is raised", |command| limit(command, Resource::RLIMIT_NOFILE, 3, hard));
    site.must_work("no file may grow", |command| limit(command, Resource::RLIMIT_FSIZE, 0, 0));
    site.must_work("few processes", |command| limit(command, Resource::RLIMIT_NPROC, 0, 0));
    site.must_work("no locked memory", |command| limit(command, Resource::RLIMIT_MEMLOCK, 0, 0));
    site.must_work("a small stack", |command| limit(command, Resource::RLIMIT_STACK, 256 << 10, 256 << 10));
    site.must_work("no signals queued", |command| limit(command, Resource::RLIMIT_SIGPENDING, 0, 0));
    for files in 0..3 {
        // The C library ends a program with privileges that has no room for these.
        let worked = site.must_do_no_harm("no files", |command| limit(command, Resource::RLIMIT_NOFILE, files, files));
        assert_eq!(worked, 0);
    }
    let none = "cannot be opened: No file descriptors available (os error 24)";
    site.must_fail("three files", 78, none, |command| limit(command, Resource::RLIMIT_NOFILE, 3, 3));
    let worked = (4..16).map(|files| {
        site.must_do_no_harm(&format!("{files} files"), |command| limit(command, Resource::RLIMIT_NOFILE, files, files))
    });
    let worked: Vec<_> = worked.collect();
    assert!(worked.is_sorted() && worked.first() == Some(&0) && worked.last() == Some(&4), "{worked:?}");
    for kilobytes in [128, 256, 512, 640, 768, 896, 1024, 1280, 1536] {
        for resource in [Resource::RLIMIT_AS, Resource::RLIMIT_DATA, Resource::RLIMIT_STACK] {
            let size = kilobytes << 10;
            site.must_do_no_harm(&format!("{resource:?} {kilobytes}"), |command| limit(command, resource, size, size));
        }
    }
    // The kernel may end it at any moment, and the next run takes out what guarded its tap.
    for (caller, place) in site.callers.iter().flat_map(|caller| PLACES.map(|place| (caller, place))) {
        drop(site.ask_with(caller, place, |command: &mut Command| limit(command, Resource::RLIMIT_CPU, 0, 0)));
    }
    site.repair();
    site.must_be_untouched();
}

#[test]
fn signals_that_are_ignored_blocked_or_on_their_way_hold_nothing_up() {
    let site = Site::new();
    let all = || (1..=31).filter(|number| ![libc::SIGKILL, libc::SIGSTOP].contains(number));
    let ignore = move || {
        for number in all() {
            // SAFETY: ignoring a signal runs no code.
            unsafe { signal(Signal::try_from(number)?, SigHandler::SigIgn) }?;
        }
        Ok(())
    };
    let block = || Ok(SigSet::all().thread_set_mask()?);
    site.must_work("ignored", |command| first(command, ignore));
    site.must_work("blocked", |command| first(command, block));
    site.must_work("both", |command| first(command, move || ignore().and_then(|()| block())));
    // It may end by it, and does nothing by halves.
    site.must_do_no_harm("an alarm is pending", |command| {
        first(command, move || block().and_then(|()| Ok(raise(Signal::SIGALRM)?)))
    });
    site.must_do_no_harm("all are pending", |command| {
        first(command, move || {
            block()?;
            all().try_for_each(|number| Ok(raise(Signal::try_from(number)?)?))
        });
    });
    site.must_work("a pipe without a reader for what it says", |command| {
        command.stderr(std::io::pipe().unwrap().1);
    });
}

/// Who shall read what it says may want to hold it up.
#[test]
fn a_full_pipe_for_what_it_says_holds_nothing_up() {
    let site = Site::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: the call takes numbers.
    let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_GETPIPE_SZ) };
    writer.write_all(&vec![b'x'; size.try_into().unwrap()]).unwrap();
    let full = |command: &mut Command| {
        command.stderr(writer.try_clone().unwrap());
    };
    site.must_work("a full pipe", full);
    for caller in &site.callers {
        let asked = site.ask_with(caller, "--br=none", full);
        assert_eq!(asked.run.code, Some(77), "{asked:#?}");
    }
    drop(reader);
}

#[test]
fn what_takes_its_privilege_is_said_and_changes_nothing() {
    let site = Site::new();
    let powerless = "the helper may not change the network (keeping CAP_NET_ADMIN failed (EPERM: ";
    site.must_fail("no_new_privs", 77, powerless, |command| {
        first(command, || Ok(nix::sys::prctl::set_no_new_privs()?))
    });
    let unprivileged = Caller::new(&site.world, Privilege::Nothing);
    fs::create_dir("/run/nosuid").unwrap();
    mounted(Some("tmpfs"), "/run/nosuid", Some("tmpfs"), MsFlags::MS_NOSUID);
    fs::set_permissions("/run/nosuid", Permissions::from_mode(0o755)).unwrap();
    let nosuid = Privilege::BOTH.map(|privilege| {
        let helper = format!("/run/nosuid/{privilege:?}");
        install(&site.world, privilege, &helper);
        Caller { user: USER, helper }
    });
    for (caller, place) in nosuid.iter().chain([&unprivileged]).flat_map(|caller| PLACES.map(|place| (caller, place))) {
        let asked = caller.ask(&site.world, place);
        assert!(asked.refused(77).starts_with(powerless), "{asked:#?}");
    }
    for caller in &site.callers {
        // Of its own tracer a program gets nothing that the tracer has not.
        let asked = site.ask_by(caller, &["strace", "-f", "-o", "/dev/null"], "--br=br0");
        assert!(asked.refused(77).starts_with(powerless), "{asked:#?}");
    }
    site.must_be_untouched();
}

#[test]
fn a_bounding_set_without_the_capability_takes_it() {
    let site = Site::new();
    for caller in &site.callers {
        for left in ["-net_admin", "-all"] {
            let user = [format!("--reuid={USER}"), format!("--regid={USER}")];
            let set = format!("--bounding-set={left}");
            let by = ["setpriv", &user[0], &user[1], "--clear-groups", &set];
            let asked = site.ask_by(&Caller { user: 0, ..caller.clone() }, &by, "--br=br0");
            assert!(asked.queue.is_none() && asked.run.code.is_some_and(|code| code != 0), "{asked:#?}");
            assert!(asked.run.stderr.contains("perm") || asked.run.stderr.contains("EPERM"), "{asked:#?}");
        }
    }
    site.must_be_untouched();
}

/// A root of the caller's own, in a user namespace: with configuration that it likes, and the host's network or its own.
const JAIL: &str = "set -e; mount -t tmpfs tmpfs /run/jail; cd /run/jail
    mkdir -p etc/qemu etc/vnet/networks etc/vnet/guests dev/net proc; chmod -R go-w .
    touch dev/net/tun dev/null helper; mount --bind /dev/net/tun dev/net/tun; mount --bind /dev/null dev/null
    mount --bind \"$0\" helper
    echo allow all > etc/qemu/bridge.conf; echo 0123456789abcdef0123456789abcdef > etc/machine-id
    for br in br0 vn-lab; do
        echo '{\"mode\": \"bridged\", \"bridge\": \"'$br'\", \"allow\": {\"users\": [0, 65533]}}' > etc/vnet/networks/own-$br.json
    done
    chmod -R go-w etc; exec chroot . /helper \"$@\"";

#[test]
fn a_capability_of_a_user_namespace_is_none_on_the_hosts_network() {
    let site = Site::new();
    fs::create_dir("/run/jail").unwrap();
    fs::set_permissions("/run/jail", Permissions::from_mode(0o777)).unwrap();
    for caller in &site.callers {
        for place in PLACES {
            for by in [&["unshare", "-U"][..], &["unshare", "-Ur"], &["unshare", "-Urn"], &["unshare", "-Urnm"]] {
                let asked = site.ask_by(caller, by, place);
                println!("{by:?} {place}: {}", asked.run.stderr.trim());
                assert!(asked.queue.is_none() && asked.run.code.is_some_and(|code| code != 0), "{by:?}: {asked:#?}");
            }
        }
        for place in ["br0", "vn-lab", "own-br0", "own-vn-lab"] {
            let asked = site.ask_by(caller, &["unshare", "-Urm", "sh", "-c", JAIL], &format!("--br={place}"));
            println!("jail {place}: {}", asked.run.stderr.trim());
            // What it may see it may see without the helper.
            if place.ends_with("br0") {
                assert!(
                    asked.refused(77).contains(": this process may not (TUNSETIFF of vu0-%d: EPERM: "),
                    "{asked:#?}"
                );
            } else {
                assert!(asked.refused(1).contains(" is the bridge of the network lab; "), "{asked:#?}");
            }
            let own = JAIL.replace("exec chroot", "ip link add br0 up type bridge; exec chroot");
            let asked = site.ask_by(caller, &["unshare", "-Urnm", "sh", "-c", &own], &format!("--br={place}"));
            // In a network of its own everybody does what they like, and it went with that.
            println!("jail with a network {place}: {}", asked.run.stderr.trim());
            assert_eq!(asked.queue.is_some(), place.ends_with("br0"), "{asked:#?}");
        }
    }
    site.must_be_untouched();
}

fn fill(socket: &OwnedFd) {
    let mut socket = UnixStream::from(socket.try_clone().unwrap());
    socket.set_nonblocking(true).unwrap();
    while socket.write(&[1; 4096]).is_ok() {}
    // As QEMU's is.
    socket.set_nonblocking(false).unwrap();
}

/// Runs the helper with a descriptor that may be anything.
fn ask_over(site: &Site, caller: &Caller, place: &str, descriptor: RawFd) -> Asked {
    Asked { run: site.world.run(caller.command(&site.world, place, descriptor)), queue: None }
}

#[test]
fn a_descriptor_that_is_no_connected_socket_is_refused_before_anything_is_made() {
    let site = Site::new();
    let none = "it is no connected local socket (using descriptor ";
    let stream = || socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let listening = stream();
    bind(listening.as_raw_fd(), &UnixAddr::new_unnamed()).unwrap();
    listen(&listening, Backlog::new(1).unwrap()).unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect("127.0.0.1:9").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let wrong: [(&str, OwnedFd, &str); 9] = [
        ("a pipe", std::io::pipe().unwrap().1.into(), none),
        ("a file", fs::File::open("/dev/null").unwrap().into(), none),
        ("a tun", fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap().into(), none),
        ("listening", listening, none),
        ("unconnected", stream(), none),
        ("datagrams", std::os::unix::net::UnixDatagram::pair().unwrap().0.into(), none),
        ("UDP", udp.into(), none),
        ("TCP", tcp.into(), none),
        ("closed", pair().0, "nobody takes it at the other end of the socket (using descriptor "),
    ];
    for (what, descriptor, words) in wrong {
        for (caller, place) in site.callers.iter().flat_map(|caller| PLACES.map(|place| (caller, place))) {
            let asked = ask_over(&site, caller, place, descriptor.as_raw_fd());
            println!("{what}: {}", asked.run.stderr.trim());
            let said = asked.refused(1);
            assert!(said.starts_with("cannot take over the socket: ") && said.contains(words), "{what}: {said}");
            assert!(said.ends_with("; nothing is changed"), "{said}");
        }
    }
    for number in ["0", "1", "2", "-1", "999", "2147483647", "2147483648"] {
        for caller in &site.callers {
            let mut command = site.world.command(&caller.helper);
            command.arg(format!("--fd={number}")).arg("--br=br0");
            caller.becomes_user(&mut command);
            let asked = Asked { run: site.world.run(command), queue: None };
            let open = "it is not open (taking over descriptor ";
            match number {
                "999" | "2147483647" => assert!(asked.refused(1).contains(open), "{asked:#?}"),
                _ => assert!(asked.refused(64).contains("is no number of an open socket above 2"), "{asked:#?}"),
            }
        }
    }
    site.must_be_untouched();
}

#[test]
fn a_socket_that_nobody_reads_keeps_nothing() {
    let site = Site::new();
    for (caller, place) in site.callers.iter().flat_map(|caller| PLACES.map(|place| (caller, place))) {
        // It takes nothing any more, and that shows only when something is sent.
        let (here, there) = pair();
        UnixStream::from(here.try_clone().unwrap()).shutdown(Shutdown::Read).unwrap();
        let asked = ask_over(&site, caller, place, there.as_raw_fd());
        let gone = " over: nobody takes it at the other end of the socket (sending the tap's descriptor: EPIPE: ";
        let said = asked.refused(1);
        assert!(said.starts_with("cannot hand vu65533-") && said.contains(gone), "{said}");
        site.must_be_untouched();
        drop(here);
    }
    // Each is waited for as long; that is waited for once.
    let each = site.callers.iter().flat_map(|caller| PLACES.map(|place| (caller, place)));
    let held_up = each.map(|(caller, place)| {
        let (here, there) = pair();
        fill(&there);
        let mut command = caller.command(&site.world, place, there.as_raw_fd());
        (command.spawn().unwrap(), here, there)
    });
    let held_up: Vec<_> = held_up.collect();
    for (child, ..) in held_up {
        let asked = Asked { run: site.world.finish(child), queue: None };
        let full = " over: nobody takes it at the other end of the socket (sending the tap's descriptor: ETIMEDOUT: ";
        let said = asked.refused(1);
        assert!(said.starts_with("cannot hand vu65533-") && said.contains(full), "{said}");
    }
    site.must_be_untouched();
}
