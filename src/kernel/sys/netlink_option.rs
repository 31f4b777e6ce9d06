//! Options of a netlink socket, which nix has no names for.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;

/// An option of a netlink socket (linux/netlink.h).
#[derive(Clone, Copy, Debug)]
pub enum NetlinkOption {
    /// An acknowledgement does not quote the request: `NETLINK_CAP_ACK`.
    CapAck = 10,
    /// An error carries the kernel's own sentence: `NETLINK_EXT_ACK`.
    ExtAck = 11,
    /// What a request for data does not expect is refused rather than ignored: `NETLINK_GET_STRICT_CHK`.
    StrictCheck = 12,
}

/// Turns an option on.
pub fn enable(socket: &OwnedFd, option: NetlinkOption) -> Result<(), Errno> {
    const ON: libc::c_int = 1;
    const SIZE: libc::socklen_t = 4;
    let value: *const libc::c_int = &ON;
    // SAFETY: the value is a c_int that outlives the call, and the length is its own.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_NETLINK, option as libc::c_int, value.cast(), SIZE) };
    Errno::result(result).map(drop)
}
