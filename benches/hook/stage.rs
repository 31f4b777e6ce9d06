//! A mount namespace in which nothing that the contenders read or write is the machine's.
#![forbid(unsafe_code)]

use std::fs;
use std::net::Shutdown;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{getegid, geteuid};

/// Where what was mounted is put together, before it takes its place.
const DRAFT: &str = "/run/draft";
/// What programs open in /dev.
const DEVICES: [&str; 4] = ["null", "zero", "urandom", "net/tun"];
/// How many networks and guests there are when there are many.
const MANY: usize = 1000;

/// Enters the namespace. Who is not root becomes root in a user namespace of their own.
pub fn enter() -> anyhow::Result<()> {
    let (user, group) = (geteuid(), getegid());
    let mut kinds = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
    if !user.is_root() {
        kinds |= CloneFlags::CLONE_NEWUSER;
    }
    unshare(kinds).context("cannot make namespaces; run this as root, or let users make them")?;
    if !user.is_root() {
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    }
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot make the mounts private")?;
    // The hook believes no file that others may write.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    tmpfs("/run")?;
    fs::create_dir(DRAFT)?;
    etc().context("cannot make an /etc")?;
    dev().context("cannot make a /dev")
}

fn tmpfs(path: &str) -> anyhow::Result<()> {
    mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .with_context(|| format!("cannot mount a tmpfs on {path}"))
}

fn bind(from: &str, to: &str) -> anyhow::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .with_context(|| format!("cannot bind {from}"))
}

fn put_in_place(path: &str) -> anyhow::Result<()> {
    mount(Some(DRAFT), path, None::<&str>, MsFlags::MS_MOVE, None::<&str>).context("cannot move it into place")
}

/// The machine's own /etc, but for /etc/vnet: links lead to it, so that neither holds anything of the other's.
fn etc() -> anyhow::Result<()> {
    tmpfs(DRAFT)?;
    let machine = format!("{DRAFT}/.machine");
    fs::create_dir(&machine)?;
    bind("/etc", &machine)?;
    for entry in fs::read_dir(&machine)? {
        let name = entry?.file_name();
        if name != "vnet" {
            symlink(Path::new(".machine").join(&name), Path::new(DRAFT).join(&name))?;
        }
    }
    put_in_place("/etc")
}

fn dev() -> anyhow::Result<()> {
    tmpfs(DRAFT)?;
    fs::create_dir(format!("{DRAFT}/net"))?;
    for device in DEVICES {
        let place = format!("{DRAFT}/{device}");
        fs::write(&place, "")?;
        bind(&format!("/dev/{device}"), &place)?;
    }
    put_in_place("/dev")
}

/// How many files /etc/vnet has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// One network and one guest.
    One,
    /// A thousand of each, and those of [`Files::One`].
    Many,
}

/// Both configurations, of which one at a time is in its place.
pub struct Configuration {
    current: Files,
}

impl Configuration {
    const PLACE: &str = "/etc/vnet";

    /// Writes both.
    pub fn write(network: &str, tap: &str) -> anyhow::Result<Self> {
        for files in [Files::Many, Files::One] {
            let root = match files {
                Files::One => Self::PLACE,
                Files::Many => Self::store(files),
            };
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o755);
            builder.create(format!("{root}/networks"))?;
            builder.create(format!("{root}/guests"))?;
            write_pair(root, network, tap)?;
            for number in 0..if files == Files::Many { MANY } else { 0 } {
                write_pair(root, &format!("net{number}"), &format!("tap{number}"))?;
            }
        }
        Ok(Self { current: Files::One })
    }

    /// Puts one in its place, unless it is there.
    pub fn switch(&mut self, files: Files) -> anyhow::Result<()> {
        if files != self.current {
            fs::rename(Self::PLACE, Self::store(self.current))?;
            fs::rename(Self::store(files), Self::PLACE)?;
            self.current = files;
        }
        Ok(())
    }

    const fn store(files: Files) -> &'static str {
        match files {
            Files::One => "/etc/vnet.one",
            Files::Many => "/etc/vnet.many",
        }
    }
}

/// The files that a run of the hook opens: of the guest, of the network, and the lock.
pub fn files_of(network: &str, tap: &str) -> [String; 3] {
    [
        format!("/etc/vnet/guests/{tap}.json"),
        format!("/etc/vnet/networks/{network}.json"),
        format!("/run/vnet/lock/{network}"),
    ]
}

fn write_pair(root: &str, network: &str, tap: &str) -> anyhow::Result<()> {
    fs::write(format!("{root}/networks/{network}.json"), "{ \"mode\": \"isolated\" }\n")?;
    fs::write(format!("{root}/guests/{tap}.json"), format!("{{ \"network\": \"{network}\" }}\n"))?;
    Ok(())
}

/// Shows a network namespace's links in /sys; the namespace of this moment's.
pub fn show_links() -> anyhow::Result<()> {
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>).context("cannot mount a sysfs")
}

/// A syslog daemon that throws away what it hears. Without one the hook would write its line to stderr.
pub struct Syslog {
    socket: Arc<UnixDatagram>,
    reader: Option<JoinHandle<()>>,
}

impl Syslog {
    /// Opens /dev/log.
    pub fn open() -> anyhow::Result<Self> {
        let socket = Arc::new(UnixDatagram::bind("/dev/log").context("cannot open /dev/log")?);
        let own = Arc::clone(&socket);
        let reader = thread::spawn(move || {
            let mut line = [0; 4096];
            while own.recv(&mut line).is_ok_and(|length| length > 0) {}
        });
        Ok(Self { socket, reader: Some(reader) })
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        // Ends the thread's reading; where that fails, the process's end will do.
        if let (Ok(()), Some(reader)) = (self.socket.shutdown(Shutdown::Both), self.reader.take()) {
            let _ = reader.join();
        }
    }
}
