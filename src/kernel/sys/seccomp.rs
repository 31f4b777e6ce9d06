//! What a program with a privilege may still ask of the kernel once all that it needs is open (seccomp(2)): if one of its
//! callers could make it do something else, the kernel would end it.
//!
//! After it: reading and writing what is open, netlink's messages, three ioctls of a tun's queue, memory that is not
//! code, waiting, ending. Nothing is opened any more, no file, no socket; no program is run; no limit or credential
//! changes. The standard library's `File` asks for more than `read` when it reads a file to its end.
//!
//! The filter is a list written by hand, of one step for most calls: what the crate `seccompiler` makes of such a list is
//! built anew at each start, and its form cannot have the first step that spares the kernel work ([`OPAQUE`]).
#![allow(unsafe_code)]

use libc::{c_long, sock_filter};
use nix::errno::Errno;
use nix::sys::prctl::set_no_new_privs;

use super::tun;
use crate::kernel::error::Error;

/// Allowed whatever their arguments.
const PLAIN: &[c_long] = &[
    // What is open: netlink, the tap, the caller's socket, the message on standard error.
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    // Waiting, and not for ever.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_clock_gettime,
    libc::SYS_setitimer,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // The standard library looks at each descriptor that it closes, in builds that assert.
    #[cfg(debug_assertions)]
    libc::SYS_fcntl,
];
/// Memory that is no code: their third argument says so.
const MAPPING: [c_long; 2] = [libc::SYS_mmap, libc::SYS_mprotect];
/// How the C libraries end a process that finds a mistake in itself, such as one that has no memory left: by this signal
/// to itself. Any caller may send it as well.
const ABORTING: [u32; 1] = [libc::SIGABRT.unsigned_abs()];
/// The room that a large batch takes in a netlink socket.
const SOCKET_OPTIONS: [libc::c_int; 2] = [libc::SO_SNDBUFFORCE, libc::SO_RCVBUFFORCE];

// linux/audit.h: the filter knows the calls of one architecture by number.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

// struct seccomp_data (linux/seccomp.h)
const NUMBER: u32 = 0;
const PLATFORM: u32 = 4;

// linux/bpf_common.h
const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const IS: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const HAS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

const KILL: sock_filter = step(RETURN, libc::SECCOMP_RET_KILL_PROCESS);
const ALLOW: sock_filter = step(RETURN, libc::SECCOMP_RET_ALLOW);
/// Does nothing but to be no step of those that the kernel understands when it works out beforehand, for each of its
/// calls, whether the filter allows it always: this takes it 30 us and would save nothing in the few calls that follow.
const OPAQUE: sock_filter = step(libc::BPF_LDX | libc::BPF_IMM, 0);

/// Lets no program that is run have more privileges than this one, and from now on ends the process with `SIGSYS` when it
/// asks the kernel for anything that is not on the list.
///
/// # Errors
/// The kernel's, which may be built without such filters: then nothing keeps the process to the list.
pub fn filter_install() -> Result<(), Error> {
    set_no_new_privs().map_err(|errno| Error::new("PR_SET_NO_NEW_PRIVS", errno))?;
    let mut filter = filter();
    let length = filter.len().try_into().unwrap_or_default();
    let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    // SAFETY: the program is whole, outlives the call, which copies it, and its length is its own.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) };
    Errno::result(result).map(drop).map_err(|errno| Error::new("seccomp", errno))
}

/// The list as the kernel takes it: first the calls that are looked at closer, each of which is decided about where it
/// is, then the plain ones, which all skip to the end.
fn filter() -> Vec<sock_filter> {
    let start = [OPAQUE, step(LOAD, PLATFORM), test(IS, ARCHITECTURE, 1, 0), KILL, step(LOAD, NUMBER)];
    let ioctl = part(&[libc::SYS_ioctl], &one_of(1, &tun::MAKING));
    let memory = part(&MAPPING, &[argument(2), test(HAS, libc::PROT_EXEC.unsigned_abs(), 0, 1), KILL, ALLOW]);
    let of_socket = [argument(1), test(IS, libc::SOL_SOCKET.unsigned_abs(), 1, 0), KILL].into_iter();
    let option = of_socket.chain(one_of(2, &SOCKET_OPTIONS.map(libc::c_int::unsigned_abs))).collect::<Vec<_>>();
    let option = part(&[libc::SYS_setsockopt], &option);
    let abort = part(&[libc::SYS_tkill], &one_of(1, &ABORTING)).into_iter();
    let abort = abort.chain(part(&[libc::SYS_tgkill], &one_of(2, &ABORTING)));
    let plain = any_of(&PLAIN.iter().copied().map(number).collect::<Vec<_>>());
    start.into_iter().chain(ioctl).chain(memory).chain(option).chain(abort).chain(plain).collect()
}

/// What decides about these calls, which all others skip.
fn part(calls: &[c_long], decision: &[sock_filter]) -> Vec<sock_filter> {
    let tests = calls.iter().zip(skips(calls.len())).map(|(call, skip)| test(IS, number(*call), skip, 0));
    let over = step(libc::BPF_JMP | libc::BPF_JA, u32::try_from(decision.len()).unwrap_or_default());
    tests.chain([over]).chain(decision.iter().copied()).collect()
}

/// Allows where the argument is one of the values.
fn one_of(place: u32, values: &[u32]) -> Vec<sock_filter> {
    [argument(place)].into_iter().chain(any_of(values)).collect()
}

/// Allows where what was loaded is one of the values.
fn any_of(values: &[u32]) -> Vec<sock_filter> {
    let tests = values.iter().zip(skips(values.len())).map(|(value, skip)| test(IS, *value, skip, 0));
    tests.chain([KILL, ALLOW]).collect()
}

/// How many steps each of so many tests skips, so that all come to what is behind the step after them.
fn skips(tests: usize) -> impl Iterator<Item = u8> {
    (1..=tests).rev().map(|left| u8::try_from(left).unwrap_or_default())
}

/// The lower half of an argument of the call, which is all that the kernel takes of those that are looked at.
const fn argument(place: u32) -> sock_filter {
    const ARGUMENTS: u32 = 16;
    const HALF: u32 = if cfg!(target_endian = "little") { 0 } else { 4 };
    step(LOAD, ARGUMENTS + 8 * place + HALF)
}

fn number(call: c_long) -> u32 {
    // No call has the last number, should one not fit.
    u32::try_from(call).unwrap_or(u32::MAX)
}

#[allow(clippy::cast_possible_truncation)] // All codes of steps have 16 bits.
const fn step(code: u32, value: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k: value }
}

/// Skips as many steps where the comparison holds, and as many where it does not.
const fn test(comparison: u32, value: u32, holds: u8, fails: u8) -> sock_filter {
    sock_filter { jt: holds, jf: fails, ..step(comparison, value) }
}
