//! Statuses from recorded bytes; and what the tests of the verbs share: recordings, and a socket without a kernel.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use super::super::wire::messages;
use super::*;

impl Socket {
    /// What the kernel was recorded to say: the bytes of `tests/netlink/NAME.hex`, whose comments tell the rest.
    pub(in crate::kernel::netlink) fn recorded(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/netlink/{name}.hex", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
    }

    /// The bytes that a verb sends. There is no kernel behind the socket: the verb fails for want of an answer.
    pub(in crate::kernel::netlink) fn sent_by<T>(verb: impl FnOnce(&mut Self) -> Result<T, Error>) -> Vec<u8> {
        let (mut socket, mut peer) = without_kernel();
        peer.shutdown(Shutdown::Write).unwrap();
        assert!(verb(&mut socket).is_err_and(|error| error.answer_lost));
        drop(socket);
        let mut sent = Vec::new();
        peer.read_to_end(&mut sent).unwrap();
        sent
    }

    /// Reads a recording that was cut or spoilt at each byte: that gives an error or a value, and always an end.
    pub(in crate::kernel::netlink) fn read_spoilt<T>(name: &str, read: impl Fn(&Message<'_>) -> Result<T, Error>) {
        let read_all = |bytes: &[u8]| {
            for message in messages(bytes).map_while(Result::ok) {
                let _ = (status(&message), read(&message));
            }
        };
        let whole = Self::recorded(name);
        for at in 0..whole.len() {
            read_all(&whole[..at]);
            for byte in [0, 1, 0x7f, 0xff] {
                let mut spoilt = whole.clone();
                spoilt[at] = byte;
                read_all(&spoilt);
            }
        }
        for message in messages(&whole).map(Result::unwrap) {
            for length in 0..message.payload.len() {
                let cut = Message { payload: &message.payload[..length], ..message };
                let _ = (status(&cut), read(&cut));
            }
        }
    }
}

/// A socket, and its other end, which is this process and not the kernel.
fn without_kernel() -> (Socket, UnixStream) {
    let (ours, peer) = UnixStream::pair().unwrap();
    (Socket { fd: ours.into(), sequence: 0, buffer: vec![0; BUFFER] }, peer)
}

/// The status of each message of a recording.
fn statuses(name: &str) -> Vec<Result<Status, Error>> {
    messages(&Socket::recorded(name)).map(|message| status(&message.unwrap())).collect()
}

/// The one error of a recording: its number, sentence and offset.
fn refused(name: &str) -> (Errno, Option<String>, Option<u32>) {
    let [Err(error)] = &statuses(name)[..] else { panic!("{name}: {:?}", statuses(name)) };
    assert!(!error.answer_lost, "{name}: the kernel did answer");
    (error.errno, error.sentence.clone(), error.offset)
}

#[test]
fn an_acknowledgement_is_the_end() {
    assert_eq!(statuses("ack"), [Ok(Status::Done)]);
}

#[test]
fn a_dump_is_data_and_then_the_end() {
    let statuses = statuses("addresses");
    let (last, data) = statuses.split_last().unwrap();
    assert_eq!(last, &Ok(Status::Done));
    assert_eq!(data.len(), 4);
    assert!(data.iter().all(|status| *status == Ok(Status::Data)));
}

#[test]
fn an_error_keeps_what_the_kernel_says() {
    assert_eq!(refused("error-no-such-link"), (Errno::ENODEV, None, None));
    let sentence = Some("mtu greater than device maximum".to_owned());
    assert_eq!(refused("error-sentence"), (Errno::EINVAL, sentence, None));
}

#[test]
fn an_error_names_the_offending_attribute_whether_or_not_it_quotes_the_request() {
    let sentence = Some("Attribute failed policy validation".to_owned());
    // 16 bytes of nlmsghdr, 16 of ifinfomsg, 20 of the alias: the attribute that comes next.
    assert_eq!(refused("error-sentence-offset"), (Errno::ERANGE, sentence.clone(), Some(52)));
    assert_eq!(refused("error-sentence-offset-quoted"), (Errno::ERANGE, sentence, Some(52)));
}

#[test]
fn a_strict_dump_fails_in_the_message_that_ends_it() {
    let sentence = Some("ipv4: Invalid values in header for address dump request".to_owned());
    assert_eq!(refused("done-error"), (Errno::EINVAL, sentence, None));
}

#[test]
fn a_dump_that_was_interrupted_says_so() {
    let flagged = |name| messages(&Socket::recorded(name)).filter(|m| m.unwrap().flags & NLM_F_DUMP_INTR != 0).count();
    assert_eq!((flagged("addresses"), flagged("addresses-interrupted")), (0, 1));
}

#[test]
fn spoilt_answers_end() {
    for name in ["ack", "error-no-such-link", "error-sentence", "error-sentence-offset", "error-sentence-offset-quoted"]
    {
        Socket::read_spoilt(name, |_| Ok(()));
    }
    Socket::read_spoilt("done-error", |_| Ok(()));
}

#[test]
fn an_answer_from_another_process_is_not_believed() {
    let (mut socket, mut peer) = without_kernel();
    peer.write_all(&Socket::recorded("ack")).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let error = socket.change(Request::new(19, 0, &[0; 16])).unwrap_err();
    assert_eq!((error.errno, error.answer_lost), (Errno::ENOBUFS, true));
}
