//! What a process inherits and should not keep.
#![forbid(unsafe_code)]

use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};

/// Undoes what QEMU leaves its children: blocked signals (an alarm would never come), and with `-daemonize` a umask
/// that closes /run/vnet to those who may look.
pub fn reset_inherited() {
    // Neither can fail: an empty set is a valid mask, and umask has no errors.
    let _ = SigSet::empty().thread_set_mask();
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
}
