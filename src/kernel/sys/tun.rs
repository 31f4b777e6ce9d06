//! The queues of taps, for which netlink has no verbs: the one that QEMU leaves open in the hook, by which alone can be
//! said whose the tap is, those of taps that are made here, and one of our own, by which a tap is told not to stay.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::Uid;

use crate::kernel::error::Error;
use crate::model::IfName;

/// Where taps are made.
const TUN: &str = "/dev/net/tun";

// linux/if_tun.h
const IFF_TAP: u16 = 0x0002;
const IFF_MULTI_QUEUE: u16 = 0x0100;
/// No bytes before a frame that tell its protocol.
const IFF_NO_PI: u16 = 0x1000;
/// A header before each frame that says which checksums are yet to be filled in: every virtual machine monitor that
/// opens the tap takes it or turns it off.
const IFF_VNET_HDR: u16 = 0x4000;
/// Fail where there is a link of that name: without it one that is there, and may be another's, would be opened.
const IFF_TUN_EXCL: u16 = 0x8000;

/// linux/if_tun.h; the macros that make the calls cannot give them doc comments.
#[allow(missing_docs)]
mod ioctl {
    // TUNGETIFF says `unsigned int` and takes a `struct ifreq`.
    nix::ioctl_read_bad!(tun_get_iff, nix::request_code_read!(b'T', 210, size_of::<libc::c_uint>()), libc::ifreq);
    // TUNSETIFF says that the kernel only reads, and it writes the name that it chose.
    nix::ioctl_readwrite_bad!(tun_set_iff, nix::request_code_write!(b'T', 202, size_of::<libc::c_int>()), libc::ifreq);
    nix::ioctl_write_int_bad!(tun_set_persist, nix::request_code_write!(b'T', 203, size_of::<libc::c_int>()));
    nix::ioctl_write_int_bad!(tun_set_owner, nix::request_code_write!(b'T', 204, size_of::<libc::c_int>()));
}

/// The requests that making a tap takes, as the kernel reads their numbers: 32 bits ([`super::seccomp`]).
pub(super) const MAKING: [u32; 3] = [
    request(nix::request_code_write!(b'T', 202, size_of::<libc::c_int>())),
    request(nix::request_code_write!(b'T', 204, size_of::<libc::c_int>())),
    request(nix::request_code_read!(b'T', 210, size_of::<libc::c_uint>())),
];

/// The C libraries do not agree on the type.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
const fn request(number: nix::sys::ioctl::ioctl_num_type) -> u32 {
    number as u32
}

/// Whether a queue of this tap was left open in this process.
pub fn holds_queue(tap: &IfName) -> bool {
    queue_of(tap).is_some()
}

/// Makes a tap that goes with its queue, and that is this user's before anybody else could open another queue of it.
///
/// # Errors
/// `EBUSY` where there is a link of that name; `ENOENT` or `ENODEV` where there is no tun.
pub fn create(name: &IfName, owner: Option<u32>, many_queues: bool) -> Result<OwnedFd, Error> {
    let queue = open()?;
    let many = if many_queues { IFF_MULTI_QUEUE } else { 0 };
    take_queue(queue.as_raw_fd(), name.as_str(), IFF_VNET_HDR | IFF_TUN_EXCL | many)
        .map_err(|errno| Error::new(format!("TUNSETIFF of {name}"), errno))?;
    owner.map_or(Ok(()), |owner| give(&queue, name, owner))?;
    Ok(queue)
}

/// Makes the open /dev/net/tun the queue of a new tap of this user's, and tells its name: in place of `%d` in the one that
/// is asked for the kernel puts the lowest number that is free. `checksums` asks for a header before each frame that says
/// which are yet to be filled in.
///
/// # Errors
/// `EBUSY` where there is a link of that name; `EPERM` where the host's network is not this process's to change.
pub fn create_for(queue: &OwnedFd, name: &str, owner: u32, checksums: bool) -> Result<IfName, Error> {
    let header = if checksums { IFF_VNET_HDR } else { 0 };
    let taken = take_queue(queue.as_raw_fd(), name, header | IFF_TUN_EXCL)
        .map_err(|errno| Error::new(format!("TUNSETIFF of {name}"), errno))?;
    let name = IfName::from_bytes(&taken).map_err(|_| Error::new(format!("TUNSETIFF of {name}"), Errno::EINVAL))?;
    give(queue, &name, owner)?;
    Ok(name)
}

/// Makes a tap this user's.
fn give(queue: &OwnedFd, name: &IfName, owner: u32) -> Result<(), Error> {
    let owner = libc::c_int::from_ne_bytes(owner.to_ne_bytes());
    // SAFETY: the descriptor is a tun's queue, and the argument a number.
    let given = unsafe { ioctl::tun_set_owner(queue.as_raw_fd(), owner) };
    given.map(drop).map_err(|errno| Error::new(format!("TUNSETOWNER of {name}"), errno))
}

/// Lets a tap stay when no program holds it, or not.
///
/// # Errors
/// The kernel's.
pub fn set_persistent(queue: &OwnedFd, name: &IfName, on: bool) -> Result<(), Error> {
    // SAFETY: the descriptor is a tun's queue, and the argument a number.
    unsafe { ioctl::tun_set_persist(queue.as_raw_fd(), libc::c_int::from(on)) }
        .map(drop)
        .map_err(|errno| Error::new(format!("TUNSETPERSIST of {name}"), errno))
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

/// Takes from a tap that it stays when no program holds it. Where none does it is gone on return; one that somebody took
/// meanwhile is left to them.
///
/// By a queue of our own, and not by deleting the link: nobody can take the tap between a look at it and this.
///
/// # Errors
/// Those of opening a queue.
pub fn let_go(tap: &IfName) -> Result<(), Error> {
    let file = open()?;
    let queue = file.as_raw_fd();
    let taken = match take_queue(queue, tap.as_str(), 0) {
        // It has several queues.
        Err(Errno::EINVAL) => take_queue(queue, tap.as_str(), IFF_MULTI_QUEUE),
        taken => taken,
    };
    match taken {
        Err(Errno::EBUSY) => return Ok(()),
        taken => taken.map(drop).map_err(|errno| Error::new(format!("TUNSETIFF of {tap}"), errno))?,
    }
    // SAFETY: the descriptor is a tun's queue, and the argument a number.
    let let_go = unsafe { ioctl::tun_set_persist(queue, 0) };
    let_go.map(drop).map_err(|errno| Error::new(format!("TUNSETPERSIST of {tap}"), errno))
}

/// Whether a program holds a persistent tap with one queue, whatever it says of the carrier (TUNSETCARRIER): then there is
/// no other queue to take. `false` where nobody lets us ask.
///
/// For a moment nobody else can take it, so this is for taps that are to go.
pub fn is_taken(tap: &IfName) -> bool {
    // Where it succeeds the tap has these flags from then on: those that ours have.
    open().is_ok_and(|queue| take_queue(queue.as_raw_fd(), tap.as_str(), IFF_VNET_HDR) == Err(Errno::EBUSY))
}

/// Opens /dev/net/tun, by which nothing is changed yet.
///
/// # Errors
/// Those of opening it.
pub fn open() -> Result<OwnedFd, Error> {
    // The C library's `open` would set close-on-exec once more, by a call of its own.
    let opened = openat(AT_FDCWD, TUN, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty());
    opened.map_err(|errno| Error::new(format!("opening {TUN}"), errno))
}

/// Makes the open /dev/net/tun a queue of the tap, and tells its name.
fn take_queue(queue: RawFd, tap: &str, flags: u16) -> Result<Vec<u8>, Errno> {
    // SAFETY: a request is plain numbers, of which zero is one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(tap.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::from_ne_bytes((IFF_TAP | IFF_NO_PI | flags).to_ne_bytes());
    // SAFETY: the request is whole and outlives the call, which keeps no pointer to it.
    unsafe { ioctl::tun_set_iff(queue, &raw mut request) }?;
    Ok(name_in(&request))
}

fn name_in(request: &libc::ifreq) -> Vec<u8> {
    let name = request.ifr_name.iter().flat_map(|byte| byte.to_ne_bytes());
    name.take_while(|byte| *byte != 0).collect()
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
    Some(name_in(&request))
}
