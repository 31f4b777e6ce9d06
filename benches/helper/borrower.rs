//! The user: a process of its own that runs the helpers, as QEMU does, and gets the taps.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, BufRead, BufReader, IoSliceMut, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::cmsg_space;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair};

use crate::program::Program;

/// The first argument that makes this program a borrower.
pub const WORD: &str = "borrow-taps";
/// The user that every machine has, and that strace knows by name.
pub const USER: u32 = 65_534;
/// What stands for the number of the socket in a program's arguments.
pub const SOCKET: &str = "SOCKET";

/// A pair of sockets: one end for programs that are started, whatever they are, and one to read taps from.
pub struct Pair {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Pair {
    /// Makes it.
    pub fn new() -> anyhow::Result<Self> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty())?;
        fcntl(&ours, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(Self { ours, theirs })
    }

    /// The arguments with the socket's number.
    pub fn fill_in(&self, arguments: &[String]) -> Vec<String> {
        let number = self.theirs.as_raw_fd().to_string();
        arguments.iter().map(|argument| argument.replace(SOCKET, &number)).collect()
    }

    /// The tap that was sent.
    pub fn receive(&self) -> anyhow::Result<OwnedFd> {
        let mut byte = [0];
        let mut pieces = [IoSliceMut::new(&mut byte)];
        let mut rights = cmsg_space!([i32; 1]);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(self.ours.as_raw_fd(), &mut pieces, Some(&mut rights), flags)
            .context("nothing was sent over the socket")?;
        let Some(ControlMessageOwned::ScmRights(numbers)) = message.cmsgs()?.next() else { bail!("no tap was sent") };
        let number = numbers.first().context("no tap was sent")?;
        // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows of it.
        Ok(unsafe { OwnedFd::from_raw_fd(*number) })
    }
}

/// The user's process, as its master sees it.
pub struct Borrower {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Borrower {
    /// Starts it in this network namespace, from a copy of this program in that folder, for the program itself may lie
    /// where no user may go. What its programs say goes to the file.
    pub fn start(folder: &Path, said: File) -> anyhow::Result<Self> {
        let copy = folder.join("borrower");
        std::fs::copy(std::env::current_exe()?, &copy).context("cannot copy this program")?;
        let mut child = Command::new(copy)
            .arg(WORD)
            .uid(USER)
            .gid(USER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .context("cannot start the user's process")?;
        let answers = BufReader::new(child.stdout.take().context("a process without an output")?);
        Ok(Self { child, answers })
    }

    /// Runs a program, and tells how long it took. The tap is the user's then.
    pub fn borrow(&mut self, arguments: &[String]) -> anyhow::Result<Duration> {
        let answer = self.ask(&arguments.join("\t"))?;
        answer.parse().map(Duration::from_nanos).with_context(|| answer)
    }

    /// Gives back the tap that was borrowed last.
    pub fn give_back(&mut self) -> anyhow::Result<()> {
        self.ask("").map(drop)
    }

    fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        let input = self.child.stdin.as_mut().context("a process without an input")?;
        writeln!(input, "{line}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Borrower {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What the process does: runs what each line says, and for an empty one gives the last tap back.
pub fn serve() -> anyhow::Result<()> {
    let pair = Pair::new()?;
    let mut taps = Vec::new();
    for line in io::stdin().lines() {
        let arguments: Vec<_> = line?.split('\t').map(str::to_owned).filter(|argument| !argument.is_empty()).collect();
        let answer = if arguments.is_empty() {
            drop(taps.pop());
            String::new()
        } else {
            match Program::new(pair.fill_in(&arguments))?.run().and_then(|time| Ok((time, pair.receive()?))) {
                Ok((time, tap)) => {
                    taps.push(tap);
                    time.as_nanos().to_string()
                }
                Err(error) => format!("{error:#}").replace('\n', " "),
            }
        };
        writeln!(io::stdout(), "{answer}")?;
        io::stdout().flush()?;
    }
    Ok(())
}
