//! One netlink socket: a request goes out, its answers come in.
//!
//! Every change asks for an acknowledgement, and [`status`] alone interprets what comes back: the kernel's errno,
//! its own sentence, the end of a dump. The socket checks strictly (`NETLINK_GET_STRICT_CHK`), so that the kernel
//! refuses what it would otherwise ignore.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, SndBufForce};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvfrom, send, setsockopt, socket,
};

use super::wire::{Attributes, Malformed, Message, Request, attributes, messages, u32_at};
use crate::kernel::error::Error;
use crate::kernel::sys::netlink_option::{self, NetlinkOption};
use crate::kernel::sys::process;

/// What a link's answer takes, with room to spare.
const BUFFER: usize = 2 * 1024;
/// What the kernel recommends for dumps, and more than any single answer takes.
pub(super) const LARGE_BUFFER: usize = 32 * 1024;
/// How often a dump is begun anew because the kernel's tables changed under it.
const DUMP_TRIES: usize = 16;
/// How many datagrams that are no answer to us are passed over before something must be wrong.
const STRANGERS: usize = 4096;
/// What every socket's send buffer takes (`net.core.wmem_default`, with room to spare).
const SMALL_BATCH: usize = 100 * 1024;
/// How much more than its request an error takes in the receive buffer, by the kernel's own way of counting.
const ERROR_WEIGHT: usize = 16;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
/// On an error: the request is not quoted in full (`NETLINK_CAP_ACK`).
const NLM_F_CAPPED: u16 = 0x100;
/// On an error: attributes follow.
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// What a message means for the request that it answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It is a part of the answer.
    Data,
    /// The request was carried out, or the dump is complete.
    Done,
}

/// What to do with the rest of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    More,
    /// What was looked for is found. The socket must not be used again: the rest of the dump is still in it.
    Enough,
}

/// A socket for one netlink family.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket for links, addresses and routes.
    pub fn open_route() -> Result<Self, Error> {
        Self::open(SockProtocol::NetlinkRoute)
    }

    /// Opens a socket for the packet filter.
    pub fn open_netfilter() -> Result<Self, Error> {
        Self::open(SockProtocol::NetlinkNetFilter)
    }

    /// Opens a socket that tells of other sockets.
    pub fn open_sock_diag() -> Result<Self, Error> {
        Self::open(SockProtocol::NetlinkSockDiag)
    }

    fn open(protocol: SockProtocol) -> Result<Self, Error> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .map_err(|errno| Error::new("opening a netlink socket", errno))?;
        let fd = process::above_standard(fd).map_err(|error| Error::of_io("moving a netlink socket", &error))?;
        for option in [NetlinkOption::CapAck, NetlinkOption::ExtAck, NetlinkOption::StrictCheck] {
            netlink_option::enable(&fd, option).map_err(|errno| Error::new(format!("netlink's {option:?}"), errno))?;
        }
        Ok(Self { fd, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Sends a change and waits until the kernel says that it is done.
    pub fn change(&mut self, request: Request) -> Result<(), Error> {
        let sequence = self.send(request, NLM_F_ACK)?;
        self.receive(sequence, &mut |_| Ok(Next::More))?;
        Ok(())
    }

    /// Asks for one object, which comes in one message.
    pub fn get<T>(
        &mut self,
        request: Request,
        mut read: impl FnMut(&Message<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut object = None;
        let mut read = |message: &Message<'_>| {
            object = Some(read(message)?);
            Ok(Next::Enough)
        };
        let sequence = self.send(request.clone(), 0)?;
        match self.receive(sequence, &mut read) {
            // Cut short: a link with many alternative names says more than most.
            Err(error) if error.errno == Errno::EMSGSIZE && self.buffer.len() < LARGE_BUFFER => {
                self.enlarge();
                let sequence = self.send(request, 0)?;
                self.receive(sequence, &mut read)?;
            }
            result => drop(result?),
        }
        object.ok_or_else(|| Error::new("a netlink request without an answer", Errno::ENODATA))
    }

    /// Asks for a list, and shows `read` each message of it; begins anew when the kernel's tables changed meanwhile.
    pub fn dump<T: Default>(
        &mut self,
        request: impl Fn() -> Request,
        mut read: impl FnMut(&mut T, &Message<'_>) -> Result<Next, Error>,
    ) -> Result<T, Error> {
        self.enlarge();
        for _ in 0..DUMP_TRIES {
            let mut list = T::default();
            let sequence = self.send(request(), NLM_F_DUMP)?;
            if self.receive(sequence, &mut |message| read(&mut list, message))? {
                return Ok(list);
            }
        }
        Err(Error::new(format!("a netlink dump that changed {DUMP_TRIES} times while it was read"), Errno::EAGAIN))
    }

    /// Sends requests that the kernel carries out all or none, in one datagram: what begins such a batch, its changes,
    /// and what ends it. An error comes with the number of the request that it is about; 0 stands for the batch.
    pub fn batch(&mut self, requests: Vec<Request>) -> Result<(), (usize, Error)> {
        let of_batch = |error| (0, error);
        // The last change: whatever became of the others, the kernel speaks of it last, when all is done.
        let last = requests.len().saturating_sub(2);
        let first = self.sequence + 1;
        let mut bytes = Vec::new();
        for (number, request) in requests.into_iter().enumerate() {
            self.sequence += 1;
            let flags = if number == last { NLM_F_REQUEST | NLM_F_ACK } else { NLM_F_REQUEST };
            let request = request.finish(self.sequence, flags).map_err(|error| (number, malformed(error)))?;
            bytes.extend(request);
        }
        if bytes.len() > SMALL_BATCH {
            // Where it may not, the kernel takes the batch or says that it is too long.
            let _ = setsockopt(&self.fd, SndBufForce, &bytes.len());
            let _ = setsockopt(&self.fd, RcvBufForce, &bytes.len().saturating_mul(ERROR_WEIGHT));
        }
        self.send_bytes(&bytes).map_err(of_batch)?;
        self.receive_batch(first, last)
    }

    /// Reads until the last request of a batch is done, and tells of the first that was refused.
    fn receive_batch(&mut self, first: u32, last: usize) -> Result<(), (usize, Error)> {
        let of_batch = |error| (0, error);
        let mut refusal = None;
        for _ in 0..STRANGERS + last {
            let Some(datagram) = receive_from_kernel(&self.fd, &mut self.buffer).map_err(of_batch)? else { continue };
            for message in messages(datagram) {
                let message = message.map_err(malformed).map_err(of_batch)?;
                let number = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if number > last {
                    continue;
                }
                if let Err(error) = status(&message) {
                    refusal.get_or_insert((number, error));
                }
                if number == 0 || number == last {
                    return refusal.map_or(Ok(()), Err);
                }
            }
        }
        Err(of_batch(Error::lost("waiting for netlink's answer", Errno::ENOBUFS)))
    }

    /// Makes room for a dump. A buffer of its own, not a longer one: of that no byte is touched before it is needed.
    fn enlarge(&mut self) {
        if self.buffer.len() < LARGE_BUFFER {
            self.buffer = vec![0; LARGE_BUFFER];
        }
    }

    fn send(&mut self, request: Request, flags: u16) -> Result<u32, Error> {
        self.sequence += 1;
        let bytes = request.finish(self.sequence, NLM_F_REQUEST | flags).map_err(malformed)?;
        self.send_bytes(&bytes)?;
        Ok(self.sequence)
    }

    fn send_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        match send(self.fd.as_raw_fd(), bytes, MsgFlags::empty()) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            Ok(_) => Err(Error::new("a netlink request that was sent in part", Errno::EIO)),
            Err(errno) => Err(Error::new("sending a netlink request", errno)),
        }
    }

    /// Reads until the request is done; `false` if the answer is not of one piece and must be asked for again.
    fn receive(
        &mut self,
        sequence: u32,
        each: &mut dyn FnMut(&Message<'_>) -> Result<Next, Error>,
    ) -> Result<bool, Error> {
        let (mut whole, mut strangers) = (true, 0);
        while strangers < STRANGERS {
            let Some(datagram) = receive_from_kernel(&self.fd, &mut self.buffer)? else {
                strangers += 1;
                continue;
            };
            for message in messages(datagram) {
                let message = message.map_err(malformed)?;
                if message.sequence != sequence {
                    continue;
                }
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                if status(&message)? == Status::Done {
                    return Ok(whole);
                }
                // The rest does not matter, nor whether it is of one piece.
                if each(&message)? == Next::Enough {
                    return Ok(true);
                }
            }
        }
        Err(Error::lost("waiting for netlink's answer", Errno::ENOBUFS))
    }
}

/// One datagram; `None` if another process sent it.
pub(super) fn receive_from_kernel<'b>(fd: &OwnedFd, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
    let failed = |errno| Error::lost("reading netlink's answer", errno);
    let (length, sender) = loop {
        match recvfrom::<NetlinkAddr>(fd.as_raw_fd(), buffer) {
            Err(Errno::EINTR) => {}
            answer => break answer.map_err(failed)?,
        }
    };
    if sender.is_none_or(|sender| sender.pid() != 0) {
        return Ok(None);
    }
    match buffer.get(..length) {
        Some([]) | None => Err(failed(Errno::ENODATA)),
        Some(_) if length == buffer.len() => Err(failed(Errno::EMSGSIZE)),
        Some(datagram) => Ok(Some(datagram)),
    }
}

/// Interprets a message: data, the end, or the kernel's refusal.
pub(super) fn status(message: &Message<'_>) -> Result<Status, Error> {
    match message.kind {
        NLMSG_ERROR => {
            // struct nlmsgerr: the errno, then the header of the request and, unless capped, the rest of it.
            let quoted = u32_at(message.payload, 4).and_then(|length| usize::try_from(length).ok());
            let skip = if message.flags & NLM_F_CAPPED == 0 { quoted } else { Some(16) };
            verdict(message, skip.map(|skip| 4 + skip.next_multiple_of(4)))
        }
        // A dump's error comes here when checking is strict.
        NLMSG_DONE => verdict(message, Some(4)),
        _ => Ok(Status::Data),
    }
}

fn verdict(message: &Message<'_>, attributes_at: Option<usize>) -> Result<Status, Error> {
    let errno = message.payload.first_chunk().ok_or_else(|| malformed(Malformed("a status without a number")))?;
    let errno = i32::from_ne_bytes(*errno).saturating_neg();
    if errno == 0 {
        return Ok(Status::Done);
    }
    let mut error = Error::new("a netlink request", Errno::from_raw(errno));
    let rest = attributes_at.and_then(|at| message.payload.get(at..)).filter(|_| message.flags & NLM_F_ACK_TLVS != 0);
    explain(&mut error, attributes(rest.unwrap_or_default()));
    Err(error)
}

fn explain(error: &mut Error, extended: Attributes<'_>) {
    for attribute in extended.map_while(Result::ok) {
        match attribute.kind {
            NLMSGERR_ATTR_MSG => error.sentence = Some(attribute.text().escape_ascii().to_string()),
            NLMSGERR_ATTR_OFFS => error.offset = attribute.u32().ok(),
            _ => {}
        }
    }
}

/// The error for an answer that is no netlink.
pub(super) fn malformed(what: Malformed) -> Error {
    Error::lost(what.to_string(), Errno::EBADMSG)
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
