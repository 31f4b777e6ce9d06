//! What a program with a privilege does about what its caller left it: descriptors, environment, limits, signals.
#![allow(unsafe_code)]

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, alarm, fork};
use vnet::kernel::sys::{descriptors, inheritance};

/// Where the socket is in a child.
pub const SOCKET: RawFd = 10;

/// How a child ended, and what it said over its socket.
#[derive(Debug)]
pub struct Ended {
    pub status: WaitStatus,
    pub said: String,
}

impl Ended {
    /// What it said, if it went through.
    pub fn well(self) -> String {
        assert!(matches!(self.status, WaitStatus::Exited(_, 0)), "{self:?}");
        self.said
    }
}

/// Does something in a process of its own, which has one thread, this socket at [`SOCKET`], and 20 s.
pub fn child(run: impl FnOnce() -> String) -> Ended {
    let (mut here, there) = UnixStream::pair().unwrap();
    // SAFETY: the child has the C library's memory in order (fork(3) of glibc and musl), and takes no other lock of
    // this process's threads.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            alarm::set(20);
            // SAFETY: the number is nobody's in this process, which has no thread but this one.
            unsafe { libc::dup2(there.as_raw_fd(), SOCKET) };
            let said = catch_unwind(AssertUnwindSafe(run));
            let code = libc::c_int::from(said.is_err());
            let said = said.unwrap_or_default();
            // SAFETY: the text is whole. No other call but this and the last, for the child may be sealed.
            unsafe { libc::write(SOCKET, said.as_ptr().cast(), said.len()) };
            // SAFETY: ends the process, and nothing of it runs any more.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => {
            drop(there);
            let mut said = String::new();
            let _ = here.read_to_string(&mut said);
            Ended { status: waitpid(child, None).unwrap(), said }
        }
    }
}

/// A line of /proc/self/status.
pub fn own(name: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn close(number: RawFd) {
    // SAFETY: in a child, nothing of which uses these descriptors.
    unsafe { libc::close(number) };
}

/// The numbers that are open, and where they lead.
fn open() -> Vec<(RawFd, String)> {
    // An entry keeps the listing open.
    let listed: Vec<_> = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path()).collect();
    let there = listed.iter().filter_map(|path| {
        let target = fs::read_link(path).ok()?.to_string_lossy().into_owned();
        Some((path.file_name()?.to_str()?.parse().ok()?, target))
    });
    let mut there: Vec<_> = there.collect();
    there.sort();
    there
}

fn kept(socket: RawFd) -> String {
    match descriptors::keep_only(socket) {
        Ok(socket) => std::mem::forget(socket),
        Err(error) => return format!("{:?}", error.errno),
    }
    let (numbers, standard): (Vec<_>, Vec<_>) =
        open().into_iter().map(|(number, place)| (number, (number, place))).unzip();
    let null =
        standard.iter().filter(|(number, place)| *number <= 2 && place == "/dev/null").map(|(number, _)| *number);
    format!("{numbers:?} null {:?}", null.collect::<Vec<_>>())
}

/// Standard input, output and error lead to /dev/zero, for the tests' own may be /dev/null.
fn standard_is_zero() {
    let zero = fs::File::options().read(true).write(true).open("/dev/zero").unwrap();
    for number in 0..=2 {
        // SAFETY: in a child, which says nothing there.
        unsafe { libc::dup2(zero.as_raw_fd(), number) };
    }
}

fn limit_descriptors(soft: u64, hard: u64) {
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
}

#[test]
fn closed_standard_descriptors_lead_nowhere() {
    for closed in [&[][..], &[0], &[1], &[2], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2]] {
        let ended = child(|| {
            standard_is_zero();
            closed.iter().copied().for_each(close);
            kept(SOCKET)
        });
        assert_eq!(ended.well(), format!("[0, 1, 2, {SOCKET}] null {closed:?}"), "{closed:?}");
    }
}

#[test]
fn a_thousand_descriptors_are_closed() {
    let many = || {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        limit_descriptors(hard.min(4096), hard);
        standard_is_zero();
        for _ in 0..1000 {
            // SAFETY: duplicates a descriptor.
            assert!(unsafe { libc::fcntl(0, libc::F_DUPFD, 3) } > 2);
        }
        assert!(open().len() > 1000);
    };
    let all = format!("[0, 1, 2, {SOCKET}] null []");
    assert_eq!(child(|| (many(), kept(SOCKET)).1).well(), all);
    let without_close_range = child(|| {
        many();
        refuse(libc::SYS_close_range, libc::ENOSYS);
        kept(SOCKET)
    });
    assert_eq!(without_close_range.well(), all);
}

/// Lets the kernel answer a call with an error, as an older one does.
fn refuse(call: libc::c_long, errno: libc::c_int) {
    let step = |code: u32, jf: u8, k: u32| libc::sock_filter { code: u16::try_from(code).unwrap(), jt: 0, jf, k };
    let mut filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, u32::try_from(call).unwrap()),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    nix::sys::prctl::set_no_new_privs().unwrap();
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the program is whole and outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    assert_eq!(result, 0);
}

#[test]
fn few_descriptors_are_enough_or_an_error() {
    let limited = |soft, hard, closed: &[RawFd]| {
        child(|| {
            standard_is_zero();
            closed.iter().copied().for_each(close);
            limit_descriptors(soft, hard);
            match descriptors::keep_only(SOCKET) {
                Ok(socket) => std::mem::forget(socket),
                Err(error) => return format!("{:?}", error.errno),
            }
            // SAFETY: asks for a descriptor's flags.
            let open = (0..16).filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0);
            format!("{:?}", open.collect::<Vec<_>>())
        })
        .well()
    };
    let all = format!("[0, 1, 2, {SOCKET}]");
    for closed in [&[][..], &[0], &[2], &[0, 1, 2]] {
        assert_eq!(limited(3, 3, closed), all, "{closed:?}");
    }
    assert_eq!(limited(0, 0, &[]), all);
    for (limit, closed) in [(2, &[2][..]), (0, &[0]), (1, &[1, 2]), (1, &[0, 1])] {
        assert_eq!(limited(limit, limit, closed), "EMFILE", "{limit} {closed:?}");
    }
}

#[test]
fn a_socket_that_is_none_of_the_callers_is_an_error() {
    for number in [-1, 0, 2, 9, RawFd::MAX, RawFd::MIN] {
        let ended = child(|| {
            close(9);
            let before = open();
            let said = kept(number);
            assert_eq!(open(), before, "something was closed");
            said
        });
        assert_eq!(ended.well(), "EBADF", "{number}");
    }
}

#[test]
fn the_socket_is_not_passed_on() {
    let ended = child(|| {
        std::mem::forget(descriptors::keep_only(SOCKET).unwrap());
        // SAFETY: asks for a descriptor's flags.
        format!("{}", unsafe { libc::fcntl(SOCKET, libc::F_GETFD) })
    });
    assert_eq!(ended.well(), libc::FD_CLOEXEC.to_string());
}

#[test]
fn what_a_caller_set_is_reset() {
    let ended = child(|| {
        // SAFETY: this process has one thread.
        unsafe { std::env::set_var("LD_PRELOAD", "/tmp/evil.so") };
        for number in (1..=31).filter(|number| ![libc::SIGKILL, libc::SIGSTOP].contains(number)) {
            // SAFETY: ignoring a signal runs no code.
            unsafe { signal(Signal::try_from(number).unwrap(), SigHandler::SigIgn) }.unwrap();
        }
        SigSet::all().thread_set_mask().unwrap();
        // SAFETY: the call takes a number.
        unsafe { libc::umask(0) };
        limit_descriptors(12, 1000);
        inheritance::reset().unwrap();
        // SAFETY: the call takes a number.
        let mask = unsafe { libc::umask(0) };
        let ignored = u64::from_str_radix(&own("SigIgn"), 16).unwrap();
        let is_ignored = |signal: libc::c_int| ignored & (1 << (signal - 1)) != 0;
        let limits = (getrlimit(Resource::RLIMIT_NOFILE).unwrap(), getrlimit(Resource::RLIMIT_CORE).unwrap());
        format!(
            "{} variables, umask {mask:o}, dumpable {}, limits {limits:?}, blocked {}, ignored {:?}",
            std::env::vars_os().count(),
            nix::sys::prctl::get_dumpable().unwrap(),
            own("SigBlk"),
            [libc::SIGPIPE, libc::SIGXFSZ, libc::SIGALRM].map(is_ignored),
        )
    });
    let wanted = "0 variables, umask 77, dumpable false, limits ((64, 1000), (0, 0)), blocked 0000000000000000, ignored \
                  [true, true, false]";
    assert_eq!(ended.well(), wanted);
}

#[test]
fn a_low_hard_limit_stays_and_a_high_one_is_not_touched() {
    for (before, after) in [((3, 3), (3, 3)), ((100, 1000), (100, 1000)), ((3, 20), (20, 20))] {
        let ended = child(|| {
            // The kernel's tables of this process are read with what is open.
            limit_descriptors(before.0, before.1);
            inheritance::reset().unwrap();
            format!("{:?}", getrlimit(Resource::RLIMIT_NOFILE).unwrap())
        });
        assert_eq!(ended.well(), format!("{after:?}"), "{before:?}");
    }
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_not_the_end() {
    let path = std::env::temp_dir().join(format!("vnet-may-not-grow-{}", std::process::id()));
    let ended = child(|| {
        let mut file = fs::File::create(&path).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 0, 0).unwrap();
        // SAFETY: the default runs no code.
        unsafe { signal(Signal::SIGXFSZ, SigHandler::SigDfl) }.unwrap();
        inheritance::reset().unwrap();
        format!("{:?}", file.write(b"x").unwrap_err().raw_os_error())
    });
    let _ = fs::remove_file(&path);
    assert_eq!(ended.well(), format!("{:?}", Some(libc::EFBIG)));
}
