//! Giving an open file to the process at the other end of a socket (unix(7), `SCM_RIGHTS`).
#![forbid(unsafe_code)]

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockType, UnixAddr, getpeername, getsockopt, sendmsg, sockopt::SockType as TypeOption,
};

use super::{clock, poll};
use crate::kernel::error::Error;

/// A local socket with somebody at its other end. It is the caller's as well: its flags and options stay as they are.
#[derive(Debug)]
pub struct UnixPeer(OwnedFd);

impl UnixPeer {
    /// Makes sure that a descriptor is such a socket.
    ///
    /// # Errors
    /// `ENOTSOCK`; `EAFNOSUPPORT` and `EPROTOTYPE` where the socket is of another family or type; `ENOTCONN` where it is
    /// connected to nobody, or only listens; `EPIPE` where the other end is closed.
    pub fn of(socket: OwnedFd) -> Result<Self, Error> {
        let failed = |errno| Error::new(format!("using descriptor {} to pass the tap on", socket.as_raw_fd()), errno);
        match getpeername::<UnixAddr>(socket.as_raw_fd()) {
            Ok(_) => {}
            // The address is another family's.
            Err(Errno::EINVAL) => return Err(failed(Errno::EAFNOSUPPORT)),
            Err(errno) => return Err(failed(errno)),
        }
        match getsockopt(&socket, TypeOption).map_err(failed)? {
            SockType::Stream | SockType::SeqPacket => {}
            _ => return Err(failed(Errno::EPROTOTYPE)),
        }
        let mut state = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        nix::poll::poll(&mut state, PollTimeout::ZERO).map_err(failed)?;
        let is_closed = state.iter().any(|state| state.any() == Some(true) && is_hung_up(state));
        if is_closed { Err(failed(Errno::EPIPE)) } else { Ok(Self(socket)) }
    }

    /// Sends a copy of the descriptor with one byte of zero, and waits for room for it, but no longer than this time.
    ///
    /// # Errors
    /// `EPIPE` where the other end was closed; `ETIMEDOUT` where nobody reads what was sent before; `ETOOMANYREFS` where
    /// too many descriptors of this user are on their way.
    pub fn send(&self, descriptor: BorrowedFd<'_>, time: Duration) -> Result<(), Error> {
        let failed = |errno| Error::new("sending the tap's descriptor", errno);
        // Asked for only when there is no room.
        let mut deadline = None;
        loop {
            match self.send_now(descriptor) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let deadline = *deadline.get_or_insert_with(|| clock::now() + time);
                    let mut room = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
                    if clock::now() >= deadline || !poll::wait(&mut room, deadline).map_err(failed)? {
                        return Err(failed(Errno::ETIMEDOUT));
                    }
                }
                result => return result.map_err(failed),
            }
        }
    }

    fn send_now(&self, descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let rights = [descriptor.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&rights)];
        sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(&[0])], &rights, flags, None).map(drop)
    }
}

fn is_hung_up(state: &PollFd<'_>) -> bool {
    state.revents().is_some_and(|events| events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR))
}
