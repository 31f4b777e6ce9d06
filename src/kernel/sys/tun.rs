//! The queue of a tap that QEMU leaves open in the hook: the one way to say whose the tap is, for which netlink has no
//! verb.
#![allow(unsafe_code)]

use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::unistd::Uid;

use crate::kernel::error::Error;
use crate::model::IfName;

/// linux/if_tun.h; the macros that make the calls cannot give them doc comments.
#[allow(missing_docs)]
mod ioctl {
    // TUNGETIFF says `unsigned int` and takes a `struct ifreq`.
    nix::ioctl_read_bad!(tun_get_iff, nix::request_code_read!(b'T', 210, size_of::<libc::c_uint>()), libc::ifreq);
    nix::ioctl_write_int_bad!(tun_set_owner, nix::request_code_write!(b'T', 204, size_of::<libc::c_int>()));
}

/// Whether a queue of this tap was left open in this process.
pub fn holds_queue(tap: &IfName) -> bool {
    queue_of(tap).is_some()
}

/// Makes the tap this user's, so that no other may open a queue of it.
///
/// # Errors
/// `EBADF` where no queue of it was left open.
pub fn close_to_others(tap: &IfName) -> Result<(), Error> {
    let failed = |errno| Error::new(format!("TUNSETOWNER of {tap}"), errno);
    let queue = queue_of(tap).ok_or_else(|| failed(Errno::EBADF))?;
    let owner = i32::try_from(Uid::effective().as_raw()).map_err(|_| failed(Errno::EOVERFLOW))?;
    // SAFETY: the descriptor is a tun's queue, and the argument a number.
    unsafe { ioctl::tun_set_owner(queue, owner) }.map(drop).map_err(failed)
}

/// QEMU closes all but this one, and does not tell its number.
fn queue_of(tap: &IfName) -> Option<RawFd> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.filter_map(Result::ok);
    let mut numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.find(|queue| name_of(*queue).is_some_and(|name| name == tap.as_str().as_bytes()))
}

/// The name of the tap whose queue a descriptor is.
fn name_of(queue: RawFd) -> Option<Vec<u8>> {
    // SAFETY: a request is plain numbers, of which zero is one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // SAFETY: the request is whole and outlives the call; what is no tun's queue answers with an error.
    unsafe { ioctl::tun_get_iff(queue, &raw mut request) }.ok()?;
    let name = request.ifr_name.iter().flat_map(|byte| byte.to_ne_bytes());
    Some(name.take_while(|byte| *byte != 0).collect())
}
