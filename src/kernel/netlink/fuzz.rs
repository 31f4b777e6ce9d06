//! What must hold of the kernel's answers, whatever is in them.

use super::address::address_read;
use super::bridge_port::hairpin_read;
use super::lent::tap_owner_read;
use super::link_read::{link_read, listed_link_read};
pub use super::nftables::fuzz::nftables;
use super::running::running_read;
use super::socket::{Status, status};
use super::tap::tap_read;
use super::wire::{Attributes, Message, Request, messages};

/// A datagram: it ends, what is refused has a reason, and what was read can be written and read again.
pub fn netlink(data: &[u8]) {
    let mut seen = 0_usize;
    for message in messages(data).map_while(Result::ok) {
        seen += 16 + message.payload.len();
        assert!(seen <= data.len());
        read(&message);
        if let Ok((header, attributes)) = message.split::<16>() {
            written_again(message.kind, header, &attributes);
        }
    }
}

/// Reads a message as each reader would that it could be for.
fn read(message: &Message<'_>) {
    match status(message) {
        Ok(Status::Data | Status::Done) => {}
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains(char::is_control), "{said:?}");
        }
    }
    if let (Ok(link), Ok(Some(listed))) = (link_read(message), listed_link_read(message)) {
        assert_eq!(link, listed);
    }
    let _ = (tap_owner_read(message), running_read(message), tap_read(message));
    let _ = (address_read(message), hairpin_read(message));
}

/// Attributes without their flags, written behind a header, are the same attributes.
fn written_again(kind: u16, header: &[u8; 16], attributes: &Attributes<'_>) {
    let known: Vec<_> = attributes.clone().map_while(Result::ok).collect();
    let request = known.iter().fold(Request::new(kind, 0, header), |request, one| request.attr(one.kind, one.payload));
    let Ok(bytes) = request.finish(1, 0) else { return };
    let mut again = messages(&bytes);
    let message = again.next().and_then(Result::ok);
    let read = message.and_then(|message| message.split::<16>().ok());
    let read = read.map(|(told, attributes)| (told, attributes.map_while(Result::ok).collect::<Vec<_>>()));
    let same = |(told, read): (&[u8; 16], Vec<_>)| {
        told == header
            && read.len() == known.len()
            && read
                .iter()
                .zip(&known)
                .all(|(a, b): (&super::wire::Attribute<'_>, _)| (a.kind, a.payload) == (b.kind, b.payload))
    };
    assert!(read.is_some_and(same) && again.next().is_none(), "{known:?}");
}
