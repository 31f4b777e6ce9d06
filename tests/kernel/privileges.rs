//! What a program with a privilege keeps of it, and what it may still do.
#![allow(unsafe_code)]

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use vnet::kernel::sys::{caller, capability, process, seccomp};
use vnet::model::Caller;

use crate::confinement::{SOCKET, child, own};
use crate::world::{World, output};

const USER: u32 = 65533;
const NET_ADMIN: u32 = 1 << 12;
const SETUID: u32 = 1 << 7;

/// The credentials that the kernel tells of.
fn credentials() -> String {
    ["Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapAmb"].map(own).join(", ")
}

fn left(user: u32) -> String {
    let (none, net_admin) = (format!("{:016x}", 0), format!("{NET_ADMIN:016x}"));
    let ids = [user.to_string().as_str(); 4].join(" ");
    format!("{ids}, {ids}, {none}, {net_admin}, {net_admin}, {none}")
}

fn kept() -> String {
    match capability::keep_net_admin_only() {
        Ok(()) => credentials(),
        Err(error) => format!("{:?}", error.errno),
    }
}

/// A program that is setuid root as the kernel starts it for a user.
fn become_setuid_root() {
    setgroups(&[Gid::from_raw(7), Gid::from_raw(8)]).unwrap();
    setresgid(Gid::from_raw(USER), Gid::from_raw(0), Gid::from_raw(0)).unwrap();
    setresuid(Uid::from_raw(USER), Uid::from_raw(0), Uid::from_raw(0)).unwrap();
}

/// A program with file capabilities as the kernel starts it for a user: these of its effective, permitted and inheritable
/// ones.
fn become_capable(effective: u32, permitted: u32, inheritable: u32) {
    nix::sys::prctl::set_keepcaps(true).unwrap();
    setgroups(&[]).unwrap();
    let (user, group) = (Uid::from_raw(USER), Gid::from_raw(USER));
    setresgid(group, group, group).unwrap();
    setresuid(user, user, user).unwrap();
    nix::sys::prctl::set_keepcaps(false).unwrap();
    let header = [0x2008_0522_u32, 0];
    let sets = [effective, permitted, inheritable, 0, 0, 0];
    // SAFETY: version 3 reads a header of two numbers and two records of three.
    assert_eq!(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) }, 0);
}

#[test]
fn root_keeps_one_capability_and_its_number() {
    let ended = child(|| {
        // SAFETY: the call takes numbers.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, 40, 0, 0, 0) };
        format!("{}; {}", kept(), own("CapBnd"))
    });
    let wanted = format!("{}; {:016x}", left(0), 0);
    assert_eq!(ended.well(), wanted);
}

#[test]
fn a_setuid_program_becomes_its_caller() {
    let ended = child(|| {
        become_setuid_root();
        let kept = kept();
        let regained = (setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)), setgroups(&[]));
        let dumpable = nix::sys::prctl::get_dumpable().unwrap();
        let Caller { uid: user, gid: group, groups } = caller::caller().unwrap();
        format!("{kept}; {}; {regained:?} {dumpable} {:?}", own("CapBnd"), (user, group, groups))
    });
    let refused = "(Err(EPERM), Err(EPERM))";
    assert_eq!(ended.well(), format!("{}; {:016x}; {refused} false (65533, 65533, [7, 8])", left(USER), 0));
}

#[test]
fn a_program_with_the_file_capability_keeps_nothing_else() {
    for (effective, permitted, inheritable) in [
        (NET_ADMIN, NET_ADMIN, 0),
        (0, NET_ADMIN, 0),
        (NET_ADMIN | SETUID, NET_ADMIN | SETUID, 0),
        (NET_ADMIN, NET_ADMIN, NET_ADMIN | SETUID),
    ] {
        let ended = child(|| {
            become_capable(effective, permitted, inheritable);
            // SAFETY: the call takes numbers; it is refused where the capability is not inheritable.
            unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, 12, 0, 0) };
            kept()
        });
        assert_eq!(ended.well(), left(USER), "{effective:x} {permitted:x} {inheritable:x}");
    }
}

#[test]
fn without_the_capability_nothing_changes() {
    let ended = child(|| {
        become_capable(SETUID, SETUID, 0);
        let before = credentials();
        let said = kept();
        assert_eq!(credentials(), before);
        said
    });
    assert_eq!(ended.well(), "EPERM");
}

#[test]
fn a_caller_may_be_in_many_groups() {
    let many: Vec<u32> = (1000..1300).collect();
    let ended = child(|| {
        setgroups(&many.iter().copied().map(Gid::from_raw).collect::<Vec<_>>()).unwrap();
        format!("{:?}", caller::caller().unwrap())
    });
    assert_eq!(ended.well(), format!("{:?}", Caller { uid: 0, gid: 0, groups: many }));
}

/// What [`a_copy_of_the_program_keeps_one_capability`] runs as another user; by itself it says nothing.
#[test]
fn as_started() {
    if std::env::var_os("VNET_TEST_AS_STARTED").is_some() {
        // The test's own thread is one of several.
        println!("kept: {}", child(kept).well());
    }
}

#[test]
fn a_copy_of_the_program_keeps_one_capability() {
    let world = World::new();
    let copy = "/run/copy";
    // By another process: what is open for writing here is so in what other threads fork, and cannot be run.
    output("cp", &format!("{} {copy}", std::env::current_exe().unwrap().display()));
    let as_user = format!("--reuid={USER} --regid={USER} --clear-groups");
    let started = |prepare: &str, options: &str| {
        let script = format!("{prepare} && exec setpriv {options} {copy} --exact privileges::as_started --nocapture");
        let mut command = world.command("sh");
        command.args(["-c", &script]).env("VNET_TEST_AS_STARTED", "1");
        let run = world.run(command);
        let kept = run.stdout.lines().find_map(|line| Some(line.split_once("kept: ")?.1.to_owned()));
        kept.unwrap_or_else(|| format!("{:?} {}", run.code, run.stderr))
    };
    let plain = format!("chown 0:0 {copy} && chmod 755 {copy}");
    assert_eq!(started(&plain, ""), left(0), "root");
    assert_eq!(started(&plain, &as_user), "EPERM", "a user");
    let setuid = format!("chmod 4755 {copy}");
    assert_eq!(started(&setuid, &as_user), left(USER), "setuid root");
    assert_eq!(started(&setuid, &format!("{as_user} --no-new-privs")), "EPERM", "setuid root, with no_new_privs");
    assert_eq!(started(&setuid, &format!("{as_user} --bounding-set=-net_admin")), "EPERM", "setuid root, bounded");
    let capable = format!("chmod 755 {copy} && setcap cap_net_admin+ep {copy}");
    assert_eq!(started(&capable, &as_user), left(USER), "the file capability");
    // A second setpriv, for the first has root's capabilities until another program is run.
    assert_eq!(started(&capable, &format!("{as_user} setpriv --no-new-privs")), "EPERM", "no_new_privs");
    let bounded = started(&capable, &format!("{as_user} --bounding-set=-net_admin"));
    assert!(bounded.contains("Operation not permitted"), "the kernel does not even start it: {bounded}");
    let nosuid = format!("{capable} && mount --bind -o nosuid /run /run");
    assert_eq!(started(&nosuid, &as_user), "EPERM", "nosuid");
}

type Call = (libc::c_long, [libc::c_long; 6]);

fn call(number: libc::c_long, arguments: &[libc::c_long]) -> Call {
    (number, std::array::from_fn(|place| arguments.get(place).copied().unwrap_or(0)))
}

fn make((number, [a, b, c, d, e, f]): Call) -> libc::c_long {
    // SAFETY: the arguments are numbers, and where the kernel takes one for an address there is nothing.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}

fn ioctl(request: libc::c_long) -> Call {
    call(libc::SYS_ioctl, &[-1, request])
}

fn map(protection: libc::c_int) -> Call {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    call(libc::SYS_mmap, &[0, 4096, protection.into(), flags.into(), -1, 0])
}

const TUNSETPERSIST: libc::c_long = 0x4004_54cb;
const READ: libc::c_int = libc::PROT_READ;

#[test]
fn a_sealed_program_may_do_what_it_must() {
    let calls = [
        ioctl(0x4004_54ca),
        ioctl(0x4004_54cc),
        ioctl(0x8004_54d2),
        // The kernel takes the lower half; the C library may extend the sign.
        ioctl(-0x7ffb_ab2e),
        map(READ | libc::PROT_WRITE),
        call(libc::SYS_mprotect, &[0, 0, READ.into()]),
        call(libc::SYS_setsockopt, &[-1, libc::SOL_SOCKET.into(), libc::SO_SNDBUFFORCE.into()]),
        call(libc::SYS_setsockopt, &[-1, libc::SOL_SOCKET.into(), libc::SO_RCVBUFFORCE.into()]),
        call(libc::SYS_read, &[-1]),
        call(libc::SYS_write, &[-1]),
        call(libc::SYS_close, &[-1]),
        call(libc::SYS_sendto, &[-1]),
        call(libc::SYS_sendmsg, &[-1]),
        call(libc::SYS_recvfrom, &[-1]),
        call(libc::SYS_recvmsg, &[-1]),
        call(libc::SYS_clock_gettime, &[1]),
        call(libc::SYS_setitimer, &[0, 0, 0]),
        call(libc::SYS_rt_sigaction, &[14, 0, 0, 8]),
        call(libc::SYS_rt_sigprocmask, &[0, 0, 0, 8]),
        call(libc::SYS_restart_syscall, &[]),
        call(libc::SYS_brk, &[0]),
        call(libc::SYS_munmap, &[1]),
        call(libc::SYS_mremap, &[1]),
        call(libc::SYS_madvise, &[1]),
        call(libc::SYS_getpid, &[]),
        #[cfg(target_arch = "x86_64")]
        call(libc::SYS_poll, &[0, 0, 0]),
    ];
    let ended = child(|| {
        seccomp::filter_install().unwrap();
        for call in calls {
            make(call);
        }
        "all".to_owned()
    });
    assert_eq!(ended.well(), "all");
}

#[test]
fn a_sealed_program_that_does_anything_else_ends() {
    let mut calls = vec![
        ioctl(TUNSETPERSIST),
        ioctl(0x8913), // SIOCGIFFLAGS
        ioctl(0x5412), // TIOCSTI
        map(READ | libc::PROT_EXEC),
        call(libc::SYS_mprotect, &[0, 0, libc::PROT_EXEC.into()]),
        call(libc::SYS_setsockopt, &[-1, libc::SOL_SOCKET.into(), libc::SO_SNDBUF.into()]),
        call(libc::SYS_setsockopt, &[-1, libc::SOL_NETLINK.into(), libc::SO_SNDBUFFORCE.into()]),
    ];
    let others = [
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_ptrace,
        libc::SYS_prctl,
        libc::SYS_setresuid,
        libc::SYS_capset,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_kill,
        libc::SYS_bpf,
        libc::SYS_io_uring_setup,
        libc::SYS_dup,
        #[cfg(not(debug_assertions))]
        libc::SYS_fcntl,
        1 << 20,
    ];
    calls.extend(others.map(|number| call(number, &[])));
    // The calls of x86_64 with 32-bit pointers.
    #[cfg(target_arch = "x86_64")]
    calls.extend([libc::SYS_read, libc::SYS_getpid].map(|number| call(0x4000_0000 | number, &[-1])));
    for call in calls {
        let ended = child(|| {
            seccomp::filter_install().unwrap();
            make(call);
            "it went on".to_owned()
        });
        assert!(matches!(ended.status, WaitStatus::Signaled(_, Signal::SIGSYS, _)), "{call:?}: {ended:?}");
    }
}

/// It has no memory left, or there is a mistake in it.
#[test]
fn a_sealed_program_may_say_why_it_ends_by_itself() {
    let ended = child(|| {
        seccomp::filter_install().unwrap();
        std::process::abort()
    });
    assert!(matches!(ended.status, WaitStatus::Signaled(_, Signal::SIGABRT, _)), "{ended:?}");
    let ended = child(|| {
        process::panic_plainly();
        let plainly = std::panic::take_hook();
        // As the static programs do, which have nothing to unwind to.
        std::panic::set_hook(Box::new(move |mistake| {
            plainly(mistake);
            std::process::abort()
        }));
        // SAFETY: in a child, which says nothing else there.
        unsafe { libc::dup2(SOCKET, 2) };
        seccomp::filter_install().unwrap();
        panic!("a mistake")
    });
    assert!(ended.said.starts_with("this is a mistake in vnet, please report it: "), "{ended:?}");
    assert!(ended.said.ends_with("\na mistake\n"), "{ended:?}");
    assert!(matches!(ended.status, WaitStatus::Signaled(_, Signal::SIGABRT, _)), "{ended:?}");
}

/// Others it may not, though its caller may.
#[test]
fn a_sealed_program_sends_no_signal_but_that_which_ends_itself() {
    for call in [call(libc::SYS_tkill, &[1, 9]), call(libc::SYS_tgkill, &[1, 1, 15])] {
        let ended = child(|| {
            seccomp::filter_install().unwrap();
            make(call);
            "it went on".to_owned()
        });
        assert!(matches!(ended.status, WaitStatus::Signaled(_, Signal::SIGSYS, _)), "{call:?}: {ended:?}");
    }
}
