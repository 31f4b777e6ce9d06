//! Who started this program, whatever it may have become since.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::unistd::{getgid, getgroups, getuid};

use crate::kernel::error::Error;
use crate::model::Caller;

/// More groups than most users are in: the kernel tells them by one call where they fit.
const MOST: usize = 64;

/// The real user and group, and the supplementary groups.
///
/// # Errors
/// Those of `getgroups`.
pub fn caller() -> Result<Caller, Error> {
    let groups = groups().map_err(|errno| Error::new("getgroups", errno))?;
    Ok(Caller { uid: getuid().as_raw(), gid: getgid().as_raw(), groups })
}

fn groups() -> Result<Vec<u32>, Errno> {
    let mut groups = [0; MOST];
    let room = libc::c_int::try_from(MOST).unwrap_or_default();
    // SAFETY: the list has room for as many as the call is told.
    match Errno::result(unsafe { libc::getgroups(room, groups.as_mut_ptr()) }) {
        Ok(count) => Ok(groups.into_iter().take(usize::try_from(count).unwrap_or_default()).collect()),
        // There are more.
        Err(Errno::EINVAL) => Ok(getgroups()?.into_iter().map(|group| group.as_raw()).collect()),
        Err(errno) => Err(errno),
    }
}
