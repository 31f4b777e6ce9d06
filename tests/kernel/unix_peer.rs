//! Passing a descriptor on over a socket that may be anything.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessageOwned, MsgFlags, SockFlag, SockType, bind, listen, recvmsg, socket,
    socketpair,
};
use vnet::kernel::sys::unix_peer::UnixPeer;

use crate::confinement::child;

const TIME: Duration = Duration::from_secs(10);

/// A file with a text of its own, and what is read from a copy of it that came over the socket.
fn file() -> (OwnedFd, &'static str) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    File::from(writer).write_all(b"the tap").unwrap();
    (reader, "the tap")
}

fn received(socket: &impl AsRawFd) -> (Vec<u8>, String) {
    let mut bytes = [7; 8];
    let mut rights = nix::cmsg_space!([i32; 4]);
    let mut pieces = [IoSliceMut::new(&mut bytes)];
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut rights), MsgFlags::MSG_CMSG_CLOEXEC).unwrap();
    let length = message.bytes;
    let Some(ControlMessageOwned::ScmRights(numbers)) = message.cmsgs().unwrap().next() else { panic!("no rights") };
    // SAFETY: the kernel just gave the descriptor to this process.
    let mut file = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(numbers[0]) };
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    (bytes[..length].to_vec(), text)
}

fn refused(socket: impl Into<OwnedFd>) -> Errno {
    UnixPeer::of(socket.into()).unwrap_err().errno
}

#[test]
fn the_other_end_gets_one_byte_and_the_descriptor() {
    for kind in [SockType::Stream, SockType::SeqPacket] {
        let (here, there) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let shared = here.try_clone().unwrap();
        let flags = fcntl(&shared, FcntlArg::F_GETFL).unwrap();
        let (file, text) = file();
        UnixPeer::of(here).unwrap().send(file.as_fd(), TIME).unwrap();
        drop(file);
        assert_eq!(received(&there), (vec![0], text.to_owned()));
        assert_eq!(fcntl(&shared, FcntlArg::F_GETFL).unwrap(), flags, "QEMU shares the socket's flags");
    }
}

#[test]
fn what_is_no_connected_local_socket_is_refused() {
    let (pipe, _writer) = nix::unistd::pipe().unwrap();
    assert_eq!(refused(pipe), Errno::ENOTSOCK);
    assert_eq!(refused(File::open("/dev/null").unwrap()), Errno::ENOTSOCK);
    let udp = || UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(refused(udp()), Errno::ENOTCONN);
    let connected = udp();
    connected.connect(("127.0.0.1", 9)).unwrap();
    assert_eq!(refused(connected), Errno::EAFNOSUPPORT);
    assert_eq!(refused(UnixDatagram::pair().unwrap().0), Errno::EPROTOTYPE);
    let stream = || socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    assert_eq!(refused(stream()), Errno::ENOTCONN);
    let listening = stream();
    // Without a name the kernel chooses one, which is in no directory.
    bind(listening.as_raw_fd(), &nix::sys::socket::UnixAddr::new_unnamed()).unwrap();
    listen(&listening, Backlog::new(1).unwrap()).unwrap();
    assert_eq!(refused(UnixListener::from(listening)), Errno::ENOTCONN);
}

#[test]
fn an_end_that_is_closed_is_told_before_and_after() {
    let (here, there) = UnixStream::pair().unwrap();
    drop(there);
    assert_eq!(refused(here), Errno::EPIPE);
    let ended = child(|| {
        // SAFETY: the default runs no code: it ends the process.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }.unwrap();
        let (here, there) = UnixStream::pair().unwrap();
        let peer = UnixPeer::of(here.into()).unwrap();
        drop(there);
        format!("{:?}", peer.send(file().0.as_fd(), TIME).unwrap_err().errno)
    });
    assert_eq!(ended.well(), "EPIPE");
}

fn fill(mut socket: &UnixStream) {
    socket.set_nonblocking(true).unwrap();
    loop {
        match socket.write(&[1; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    // As QEMU's is.
    socket.set_nonblocking(false).unwrap();
}

#[test]
fn a_socket_that_nobody_reads_is_not_waited_for_for_ever() {
    let (here, _there) = UnixStream::pair().unwrap();
    fill(&here);
    let peer = UnixPeer::of(here.into()).unwrap();
    let begin = Instant::now();
    assert_eq!(peer.send(file().0.as_fd(), Duration::from_millis(200)).unwrap_err().errno, Errno::ETIMEDOUT);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(200) && took < TIME, "{took:?}");
}

#[test]
fn a_socket_that_is_read_in_the_end_gets_it() {
    let (here, mut there) = UnixStream::pair().unwrap();
    fill(&here);
    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        // What filled it; the kernel keeps what carries a descriptor apart.
        let mut bytes = vec![0; 4096];
        loop {
            there.set_nonblocking(true).unwrap();
            match there.read(&mut bytes) {
                Ok(count) if bytes[..count].contains(&0) => return true,
                Ok(0) => return false,
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    });
    UnixPeer::of(here.into()).unwrap().send(file().0.as_fd(), TIME).unwrap();
    assert!(reader.join().unwrap());
}
