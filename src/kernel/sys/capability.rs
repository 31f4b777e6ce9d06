//! The capability that changing the network needs, and giving up all else.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::sys::prctl::set_keepcaps;
use nix::unistd::{ResGid, ResUid, getresgid, getresuid, setresgid, setresuid};

use super::inheritance;
use crate::kernel::error::Error;

/// linux/capability.h
const CAP_SETPCAP: u32 = 8;
const CAP_NET_ADMIN: u32 = 12;
/// More than the kernel may ever have: they are bits of 64.
const CAPABILITIES: libc::c_ulong = 64;
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The lower 32 capabilities and the upper ones.
type Sets = [Data; 2];

const NONE: Data = Data { effective: 0, permitted: 0, inheritable: 0 };
/// With nothing inheritable there is nothing ambient either (capabilities(7)).
const NET_ADMIN_ONLY: Sets = [Data { effective: 1 << CAP_NET_ADMIN, permitted: 1 << CAP_NET_ADMIN, ..NONE }, NONE];

/// Whether this process may administer the network of its own user namespace.
pub fn has_net_admin() -> bool {
    read().is_ok_and(|[low, _]| low.effective & (1 << CAP_NET_ADMIN) != 0)
}

/// Gives up for good all privileges but `CAP_NET_ADMIN`, and becomes the real user and group where the program was
/// started as another (setuid root). Root stays user 0, without root's capabilities. What was to be given up and what is
/// left are both read from the kernel.
///
/// # Errors
/// `EPERM` where that capability is not permitted; the kernel's.
pub fn keep_net_admin_only() -> Result<(), Error> {
    let held = read().map_err(|errno| Error::new("capget", errno))?;
    let [low, _] = held;
    if low.permitted & (1 << CAP_NET_ADMIN) == 0 {
        return Err(Error::new("keeping CAP_NET_ADMIN", Errno::EPERM));
    }
    if low.effective & (1 << CAP_SETPCAP) != 0 {
        drop_bounding_set()?;
    }
    let ids_changed = become_caller()?;
    // A program with the file capability, and nothing more inherited, has nothing to give up, and has just been looked at.
    if held == NET_ADMIN_ONLY && !ids_changed {
        return Ok(());
    }
    write(&NET_ADMIN_ONLY).map_err(|errno| Error::new("capset", errno))?;
    verify()?;
    inheritance::hide_memory()
}

/// What is in it no program that is run can get from its file. Without `CAP_SETPCAP` it stays, and no_new_privs does the
/// same ([`super::seccomp`]).
fn drop_bounding_set() -> Result<(), Error> {
    for capability in 0..CAPABILITIES {
        // SAFETY: the call takes numbers.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        match Errno::result(result) {
            Ok(_) => {}
            // The kernel has no more.
            Err(Errno::EINVAL) if capability > 0 => return Ok(()),
            Err(errno) => return Err(Error::new("PR_CAPBSET_DROP", errno)),
        }
    }
    Ok(())
}

/// Whether the program was started as another than its real user and group, which it is from then on.
fn become_caller() -> Result<bool, Error> {
    let (user, group) = ids()?;
    if is_real(&user, &group) {
        return Ok(false);
    }
    // Or giving up user 0 takes all capabilities.
    set_keepcaps(true).map_err(|errno| Error::new("PR_SET_KEEPCAPS", errno))?;
    setresgid(group.real, group.real, group.real).map_err(|errno| Error::new("setresgid", errno))?;
    setresuid(user.real, user.real, user.real).map_err(|errno| Error::new("setresuid", errno))?;
    set_keepcaps(false).map_err(|errno| Error::new("PR_SET_KEEPCAPS", errno))?;
    Ok(true)
}

fn ids() -> Result<(ResUid, ResGid), Error> {
    let user = getresuid().map_err(|errno| Error::new("getresuid", errno))?;
    let group = getresgid().map_err(|errno| Error::new("getresgid", errno))?;
    Ok((user, group))
}

fn is_real(user: &ResUid, group: &ResGid) -> bool {
    (user.effective, user.saved) == (user.real, user.real) && (group.effective, group.saved) == (group.real, group.real)
}

/// Nothing is believed to be given up that the kernel does not say is gone.
fn verify() -> Result<(), Error> {
    let (user, group) = ids()?;
    match read() {
        Ok(NET_ADMIN_ONLY) if is_real(&user, &group) => Ok(()),
        Ok(_) => Err(Error::new("giving up privileges", Errno::EPERM)),
        Err(errno) => Err(Error::new("capget", errno)),
    }
}

fn read() -> Result<Sets, Errno> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut sets = [NONE; 2];
    // SAFETY: version 3 reads one header and writes two of these records, which is what both are.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr()) };
    Errno::result(result).map(|_| sets)
}

fn write(sets: &Sets) -> Result<(), Errno> {
    let header = Header { version: VERSION_3, pid: 0 };
    // SAFETY: version 3 reads one header and two of these records, which is what both are.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) };
    Errno::result(result).map(drop)
}
