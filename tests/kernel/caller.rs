//! Users who run the bridge helper as QEMU does, and machines where they do it.
#![allow(unsafe_code)]

use std::fs::{self, Permissions};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, setsockopt, socketpair, sockopt,
};
use nix::sys::time::TimeVal;

use crate::run::Run;
use crate::world::{World, mounted, output, whole_machines_root};

/// A user, and a group, without privileges: `stranger` of [`host`].
pub const USER: u32 = 65_533;
/// Another: `other`.
pub const OTHER: u32 = 65_532;

/// The machine's identity on a [`host`].
pub const MACHINE_ID: &str = "0123456789abcdef0123456789abcdef";

/// A world where what `World::network` and `World::guest` write is in /etc/vnet, what `vnet` keeps is in /run/vnet, and
/// which has an /etc of its own: with a bridge.conf that says nothing, and two users.
pub fn host() -> World {
    assert!(whole_machines_root(), "files of other users are needed: run this test as the machine's root");
    let world = World::new();
    let (upper, work) = ("/run/etc", "/run/etc-work");
    // A host of this thread's before: the kernel lays no more than two of these over each other.
    if fs::read_to_string("/proc/thread-self/mounts").unwrap().contains(&format!("upperdir={upper},")) {
        umount2("/etc", MntFlags::MNT_DETACH).unwrap();
    }
    let _: [(); 2] = [upper, work].map(|directory| fs::create_dir_all(directory).unwrap());
    let options = format!("lowerdir=/etc,upperdir={upper},workdir={work}");
    mount(Some("overlay"), "/etc", Some("overlay"), MsFlags::empty(), Some(options.as_str())).unwrap();
    for (directory, own) in [("/etc/vnet", world.config()), ("/run/vnet", world.state())] {
        fs::create_dir_all(directory).unwrap();
        fs::create_dir_all(own).unwrap();
        mounted(own.to_str(), directory, None, MsFlags::MS_BIND);
    }
    fs::set_permissions(world.state(), Permissions::from_mode(0o711)).unwrap();
    let _ = fs::remove_dir_all("/etc/qemu");
    fs::create_dir("/etc/qemu").unwrap();
    bridge_conf("");
    fs::write("/etc/machine-id", format!("{MACHINE_ID}\n")).unwrap();
    for file in ["/etc/passwd", "/etc/group"] {
        let mut text = fs::read_to_string(file).unwrap();
        for (name, number) in [("stranger", USER), ("other", OTHER)] {
            text += &match file {
                "/etc/passwd" => format!("{name}:x:{number}:{number}::/:/bin/sh\n"),
                _ => format!("{name}:x:{number}:\n"),
            };
        }
        fs::write(file, text).unwrap();
    }
    world
}

/// Writes QEMU's /etc/qemu/bridge.conf.
pub fn bridge_conf(text: &str) {
    let path = "/etc/qemu/bridge.conf";
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
}

/// How an installed helper comes by its privilege.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// As packages install it: its file has the capability.
    File,
    /// It is setuid root.
    Setuid,
    /// It has none.
    Nothing,
}

impl Privilege {
    /// Both that it may have.
    pub const BOTH: [Self; 2] = [Self::File, Self::Setuid];
}

/// A user with an installed helper.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user, and its only group.
    pub user: u32,
    /// Where the helper is.
    pub helper: String,
}

impl Caller {
    /// Installs the helper for [`USER`].
    pub fn new(world: &World, privilege: Privilege) -> Self {
        let helper = format!("/run/helper-{privilege:?}").to_lowercase();
        install(world, privilege, &helper);
        Self { user: USER, helper }
    }

    /// The same helper, and another user.
    pub fn as_user(&self, user: u32) -> Self {
        Self { user, ..self.clone() }
    }

    /// A command that runs the helper as the user with these arguments, `--use-vnet` and `--fd`, and the socket open in it.
    pub fn command(&self, world: &World, arguments: &str, socket: RawFd) -> Command {
        let mut command = world.command(&self.helper);
        command.arg("--use-vnet").arg(format!("--fd={socket}")).args(arguments.split_whitespace());
        self.becomes_user(&mut command);
        keeps_open(&mut command, socket);
        command
    }

    /// Lets a command run as the user, in no other group.
    pub fn becomes_user(&self, command: &mut Command) {
        // The standard library gives up all other groups with it.
        command.uid(self.user).gid(self.user);
    }

    /// Starts the helper as QEMU does: `--br=lab`.
    pub fn start(&self, world: &World, arguments: &str) -> Asking {
        let (here, there) = pair();
        let mut command = self.command(world, arguments, there.as_raw_fd());
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        Asking { child, socket: here }
    }

    /// Runs the helper to its end.
    pub fn ask(&self, world: &World, arguments: &str) -> Asked {
        self.start(world, arguments).finish(world)
    }

    /// Runs the helper, which must hand over a tap.
    pub fn lent(&self, world: &World, arguments: &str) -> Lent {
        self.ask(world, arguments).lent()
    }
}

/// Installs the helper at a place.
pub fn install(world: &World, privilege: Privilege, place: &str) {
    // By another process: a copy that is open for writing here is so in what other threads fork, and cannot be run.
    output("cp", &format!("{} {place}", world.program("vnet-bridge-helper").display()));
    let mode = if privilege == Privilege::Setuid { 0o4755 } else { 0o755 };
    fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
    if privilege == Privilege::File {
        output("setcap", &format!("cap_net_admin=ep {place}"));
    }
}

/// QEMU's end of a socket and the helper's.
pub fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).expect("cannot make sockets")
}

/// Lets a descriptor stay open in a command.
pub fn keeps_open(command: &mut Command, descriptor: RawFd) {
    let open = move || {
        // SAFETY: the call takes numbers, and changes a flag of this process's own descriptor.
        match unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the child makes one system call, and none of memory.
    unsafe { command.pre_exec(open) };
}

/// A helper that runs.
#[derive(Debug)]
pub struct Asking {
    pub child: Child,
    /// QEMU's end of the socket.
    pub socket: OwnedFd,
}

impl Asking {
    /// Waits for the helper, and takes what it handed over.
    pub fn finish(self, world: &World) -> Asked {
        let run = world.finish(self.child);
        let queue = received(&self.socket);
        assert!(queue.is_some() || run.code != Some(0), "it says that it succeeded, and handed nothing over: {run:#?}");
        Asked { run, queue }
    }
}

/// What became of a helper, and the tap's queue if there is one: the tap goes with it.
#[derive(Debug)]
pub struct Asked {
    pub run: Run,
    pub queue: Option<OwnedFd>,
}

impl Asked {
    /// It must have handed over a tap.
    pub fn lent(self) -> Lent {
        let Self { run, queue: Some(queue) } = self else { panic!("nothing was handed over: {self:#?}") };
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{run:#?}");
        Lent { tap: name_of(&queue), queue, run }
    }

    /// It must have ended with this code and one line on standard error, and nothing handed over. Tells what is behind the
    /// program's name.
    pub fn refused(&self, code: i32) -> &str {
        assert!(self.queue.is_none(), "it handed something over: {self:#?}");
        assert_eq!((self.run.code, self.run.stdout.as_str()), (Some(code), ""), "{self:#?}");
        let line = self.run.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("no whole line: {self:#?}"));
        assert!(!line.contains('\n') && self.run.log.is_empty(), "more than a line: {self:#?}");
        line.strip_prefix("vnet-bridge-helper: ").unwrap_or_else(|| panic!("no program's name: {self:#?}"))
    }
}

/// A tap that somebody was lent.
#[derive(Debug)]
pub struct Lent {
    /// Its name.
    pub tap: String,
    /// Its queue: the tap goes with it.
    pub queue: OwnedFd,
    pub run: Run,
}

/// The descriptor that was sent over a socket, with one byte of zero before it; waits no longer than a second.
pub fn received(socket: &OwnedFd) -> Option<OwnedFd> {
    setsockopt(socket, sockopt::ReceiveTimeout, &TimeVal::new(1, 0)).unwrap();
    let mut bytes = [7; 8];
    let mut rights = nix::cmsg_space!([RawFd; 4]);
    let mut pieces = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut rights), flags).ok()?;
    let length = message.bytes;
    let numbers = match message.cmsgs().unwrap().next() {
        Some(ControlMessageOwned::ScmRights(numbers)) => numbers,
        None if length == 0 => return None,
        other => panic!("{length} bytes with {other:?}"),
    };
    // SAFETY: the kernel just gave the descriptors to this process.
    let mut queues = numbers.iter().map(|number| unsafe { OwnedFd::from_raw_fd(*number) }).collect::<Vec<_>>();
    assert_eq!((bytes[..length].to_vec(), queues.len()), (vec![0], 1), "not as QEMU's helper sends it");
    queues.pop()
}

nix::ioctl_read_bad!(tun_get_iff, nix::request_code_read!(b'T', 210, size_of::<libc::c_uint>()), libc::ifreq);

/// The name of the tap whose queue this is.
pub fn name_of(queue: &OwnedFd) -> String {
    // SAFETY: all fields of an ifreq are numbers or arrays of them, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // SAFETY: the request is whole and outlives the call; what is no tun's queue answers with an error.
    unsafe { tun_get_iff(queue.as_raw_fd(), &raw mut request) }.expect("no tap's queue");
    let name = request.ifr_name.iter().flat_map(|byte| byte.to_ne_bytes()).take_while(|byte| *byte != 0);
    String::from_utf8(name.collect()).unwrap()
}
