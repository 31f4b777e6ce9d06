//! What only sysfs and /proc tell of links, sockets and devices.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use crate::model::IfName;

fn attribute(link: &IfName, name: &str) -> Option<String> {
    let path = Path::new("/sys/class/net").join(link.as_str()).join(name);
    let mut file = File::from(openat(AT_FDCWD, &path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).ok()?);
    // Such a file is short and read at once; the standard library would ask for its size and read twice.
    let mut text = [0; 64];
    let length = file.read(&mut text).ok()?;
    Some(String::from_utf8_lossy(text.get(..length)?).trim().to_owned())
}

/// Whether somebody set the link's MAC, rather than the kernel; `None` where it does not say
/// (Documentation/ABI/testing/sysfs-class-net, addr_assign_type).
pub fn address_is_set(link: &IfName) -> Option<bool> {
    const SET: &str = "3";
    attribute(link, "addr_assign_type").map(|kind| kind == SET)
}

/// The devices that some program has open.
#[derive(Debug)]
pub struct OpenDevices {
    /// The number of each, and of which link its path says that it is.
    devices: BTreeSet<(u64, Option<u32>)>,
    /// Whether one may look into all processes, as root may.
    of_all: bool,
}

impl OpenDevices {
    /// Looks into all processes, once.
    pub fn look() -> Self {
        let mut seen = Self { devices: BTreeSet::new(), of_all: true };
        let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        for process in processes.filter(|entry| is_number(&entry.file_name())) {
            if let Err(error) = seen.look_into(&process.path().join("fd")) {
                // Others end meanwhile.
                seen.of_all &= error.kind() != ErrorKind::PermissionDenied;
            }
        }
        seen
    }

    fn look_into(&mut self, descriptors: &Path) -> Result<(), Error> {
        for entry in fs::read_dir(descriptors)? {
            let path = entry?.path();
            // A file elsewhere may be on a server that does not answer.
            let may_be_one = |target: &Path| target.starts_with("/dev") || is_named_tap(target);
            let Some(target) = fs::read_link(&path).ok().filter(|target| may_be_one(target)) else { continue };
            // The kernel gives the number of a link that is gone to the next one; its node went with it.
            let is_there = |status: &fs::Metadata| status.file_type().is_char_device() && status.nlink() > 0;
            let status = fs::metadata(&path).ok().filter(is_there);
            self.devices.extend(status.map(|status| (status.rdev(), tap_index(&target))));
        }
        Ok(())
    }

    /// Whether the device of this number is open, which is that of the link of this index; `None` where one may not look
    /// into all processes.
    pub fn has(&self, number: u64, index: u32) -> Option<bool> {
        let is_open = [None, Some(index)].iter().any(|index| self.devices.contains(&(number, *index)));
        if is_open { Some(true) } else { self.of_all.then_some(false) }
    }
}

fn is_number(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
}

/// Where a program has another /dev than we, the path leads elsewhere.
fn is_named_tap(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"tap"))
}

/// Of which link a path says that it is the device: `/dev/tap17`.
fn tap_index(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.strip_prefix("tap")?.parse().ok()
}

/// A process that holds the socket of this number, and its name; only root sees other users'.
pub fn socket_holder(inode: u32) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holds = |process: &u32| {
        let open = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().filter_map(Result::ok);
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target.as_os_str() == wanted.as_str())
    };
    let process = numbers.find(holds)?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    // A program may call itself what it likes.
    let plain = name.trim().chars().map(|letter| if letter.is_ascii_graphic() { letter } else { '?' });
    Some((process, plain.collect()))
}
