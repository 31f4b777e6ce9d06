//! Settings of a link under /proc/sys/net. The kernel shows each process those of its own network namespace.
#![forbid(unsafe_code)]

use std::{fs, io};

use crate::kernel::error::Error;
use crate::model::Sysctl;

/// The value of a setting; `None` if the kernel has no such setting for the link.
pub fn read(sysctl: Sysctl, link: &str) -> Result<Option<u32>, Error> {
    let path = path(sysctl, link);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("reading", &path, &error)),
    }
}

/// Changes a setting.
pub fn write(sysctl: Sysctl, link: &str, value: u32) -> Result<(), Error> {
    let path = path(sysctl, link);
    fs::write(&path, value.to_string()).map_err(|error| failed("writing", &path, &error))
}

fn path(sysctl: Sysctl, link: &str) -> String {
    let (protocol, name) = sysctl.place();
    format!("/proc/sys/net/{protocol}/conf/{link}/{name}")
}

fn failed(verb: &str, path: &str, error: &io::Error) -> Error {
    Error::of_io(format!("{verb} {path}"), error)
}
