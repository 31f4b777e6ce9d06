//! What whoever holds the queue of a tap can do to the tap, without any privilege.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc::{c_char, c_int, c_short, ifreq};

use crate::caller::Lent;
use crate::frames::Mac;
use crate::links::field;
use crate::world::World;

// linux/if_tun.h
pub const IFF_TAP: c_int = 2;
pub const IFF_MULTI_QUEUE: c_int = 0x100;
pub const IFF_ATTACH_QUEUE: c_int = 0x200;
pub const IFF_DETACH_QUEUE: c_int = 0x400;
pub const IFF_NO_PI: c_int = 0x1000;
pub const IFF_VNET_HDR: c_int = 0x4000;

const fn tun(number: u8) -> nix::sys::ioctl::ioctl_num_type {
    nix::request_code_write!(b'T', number, size_of::<c_int>())
}

nix::ioctl_write_ptr_bad!(tun_set_iff, tun(202), ifreq);
nix::ioctl_write_int_bad!(tun_set_persist, tun(203));
nix::ioctl_write_int_bad!(tun_set_owner, tun(204));
nix::ioctl_write_int_bad!(tun_set_link, tun(205));
nix::ioctl_write_int_bad!(tun_set_group, tun(206));
nix::ioctl_write_int_bad!(tun_set_offload, tun(208));
nix::ioctl_write_ptr_bad!(tun_set_queue, tun(217), ifreq);
nix::ioctl_write_ptr_bad!(tun_set_carrier, tun(226), c_int);
nix::ioctl_write_ptr_bad!(set_hardware_address, libc::SIOCSIFHWADDR, ifreq);

/// An empty request, for the tap of this name.
fn request(name: &str) -> ifreq {
    // SAFETY: all fields of an ifreq are numbers or arrays of them, for which zero is a value.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    request
}

/// Makes a descriptor of /dev/net/tun a queue of the tap of this name.
pub fn take_queue(tun: &impl AsRawFd, name: &str, flags: c_int) -> Result<(), Errno> {
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = c_short::try_from(flags).unwrap();
    // SAFETY: the call reads and writes one ifreq, which this is, and keeps no pointer to it.
    unsafe { tun_set_iff(tun.as_raw_fd(), &raw const request) }.map(drop)
}

impl Lent {
    /// Lets the tap stay when nobody holds it.
    pub fn persist(&self) {
        // SAFETY: the descriptor is a tun's queue, and the argument a number.
        unsafe { tun_set_persist(self.queue.as_raw_fd(), 1) }.unwrap();
    }

    /// Makes the tap this user's.
    pub fn give_to(&self, owner: u32) {
        let owner = c_int::try_from(owner).unwrap();
        // SAFETY: the descriptor is a tun's queue, and the argument a number.
        unsafe { tun_set_owner(self.queue.as_raw_fd(), owner) }.unwrap();
    }

    /// Makes the tap this group's as well.
    pub fn give_to_group(&self, group: u32) {
        // SAFETY: the descriptor is a tun's queue, and the argument a number.
        unsafe { tun_set_group(self.queue.as_raw_fd(), c_int::try_from(group).unwrap()) }.unwrap();
    }

    /// Says whether somebody is there.
    pub fn put_carrier(&self, on: bool) {
        let on = c_int::from(on);
        // SAFETY: the descriptor is a tun's queue; the call reads one number, and keeps no pointer to it.
        unsafe { tun_set_carrier(self.queue.as_raw_fd(), &raw const on) }.unwrap();
    }

    /// Makes another kind of link of it (`ARPHRD_*`).
    pub fn become_kind(&self, kind: c_int) -> Result<(), Errno> {
        // SAFETY: the descriptor is a tun's queue, and the argument a number.
        unsafe { tun_set_link(self.queue.as_raw_fd(), kind) }.map(drop)
    }

    /// Says whether the guest fills checksums in itself, as one with virtio does, or the kernel does it for the guest.
    pub fn fill_in(&self, itself: bool) {
        // SAFETY: the descriptor is a tun's queue, and the argument a number (TUN_F_CSUM).
        unsafe { tun_set_offload(self.queue.as_raw_fd(), c_int::from(itself)) }.unwrap();
    }

    /// Takes the queue from the tap, or back to it.
    pub fn turn_queue(&self, flag: c_int) -> Result<(), Errno> {
        let mut request = request("");
        request.ifr_ifru.ifru_flags = c_short::try_from(flag).unwrap();
        // SAFETY: the call reads one ifreq, which this is, and keeps no pointer to it.
        unsafe { tun_set_queue(self.queue.as_raw_fd(), &raw const request) }.map(drop)
    }

    /// Gives the tap's own end another MAC.
    pub fn set_mac(&self, mac: Mac) {
        let mut request = request("");
        // SAFETY: all fields of the union are numbers; this one is written whole but for what is zero.
        let address = unsafe { &mut request.ifr_ifru.ifru_hwaddr };
        address.sa_family = libc::ARPHRD_ETHER;
        for (to, from) in address.sa_data.iter_mut().zip(mac) {
            *to = c_char::from_ne_bytes([from]);
        }
        // SAFETY: the call reads one ifreq, which this is, and keeps no pointer to it.
        unsafe { set_hardware_address(self.queue.as_raw_fd(), &raw const request) }.map(drop).unwrap();
    }

    /// Lets the tap stay, and ends.
    pub fn die(self, world: &World) -> String {
        self.persist();
        let name = self.tap.clone();
        drop(self);
        // One that was taken out of its network is down.
        world.must_come_true(|| match field(&name, "/flags").as_array().unwrap().contains(&"LOWER_UP".into()) {
            true => Err(format!("{name} is held")),
            false => Ok(()),
        });
        name
    }
}
