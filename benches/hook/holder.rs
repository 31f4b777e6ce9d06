//! Taps that somebody else holds open. A process of its own holds them: a parent's open files are copied at each
//! spawn, and a thousand of them would be measured with every contender.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// The first argument that makes this program a holder.
pub const WORD: &str = "hold-taps";

// linux/if_tun.h
const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;

/// As much of `struct ifreq` as TUNSETIFF reads, and the size of all of it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

// The kernel's header declares that it takes a number; what it takes is a pointer to a request.
nix::ioctl_write_ptr!(tun_set_iff, b'T', 202, libc::c_int);
nix::ioctl_write_int!(tun_set_persist, b'T', 203);

/// Makes a tap, or opens a persistent one, as QEMU does. It goes when the file is closed.
pub fn tap(name: &str) -> anyhow::Result<File> {
    let mut request = Request { name: [0; 16], flags: IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, rest: [0; 22] };
    match request.name.get_mut(..name.len()).filter(|_| name.len() < 16) {
        Some(place) => place.copy_from_slice(name.as_bytes()),
        None => bail!("{name} is too long for a tap's name"),
    }
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").context("cannot open /dev/net/tun")?;
    // SAFETY: the kernel reads and writes one `struct ifreq`, which the request is as long as, and which outlives it.
    unsafe { tun_set_iff(file.as_raw_fd(), (&raw const request).cast()) }
        .with_context(|| format!("cannot make the tap {name}"))?;
    Ok(file)
}

/// A process that holds taps, until this is dropped.
pub struct Holder {
    child: Child,
}

impl Holder {
    /// Has `count` taps made in this network namespace: `PREFIX0`, `PREFIX1`, …
    pub fn start(prefix: &str, count: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([WORD, prefix, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a holder of taps")?;
        let mut answer = [0];
        let output = child.stdout.as_mut().context("a holder without an output")?;
        output.read_exact(&mut answer).context("the holder could not make its taps")?;
        Ok(Self { child })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What the holder does: makes the taps, says so by one byte, and waits until its input ends.
pub fn hold(arguments: &[OsString]) -> anyhow::Result<()> {
    let [prefix, count] = arguments else { bail!("{WORD} needs a prefix and a number") };
    let prefix = prefix.to_string_lossy();
    let count: usize = count.to_str().and_then(|text| text.parse().ok()).context("no number of taps")?;
    let mut taps = Vec::with_capacity(count);
    for number in 0..count {
        let tap = tap(&format!("{prefix}{number}"))?;
        // Closing a thousand taps takes half a minute; a network namespace that goes takes its persistent ones along
        // all at once.
        // SAFETY: the kernel takes the number as it is, no pointer.
        unsafe { tun_set_persist(tap.as_raw_fd(), 1) }.context("cannot make a tap persistent")?;
        taps.push(tap);
    }
    io::stdout().write_all(b".")?;
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
