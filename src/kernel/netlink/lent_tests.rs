//! Taps as the kernel was recorded to tell of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::super::wire::{attributes, messages};
use super::*;

fn read(bytes: &[u8]) -> Option<TapOwner> {
    tap_owner_read(&messages(bytes).next().unwrap().unwrap()).unwrap()
}

#[test]
fn a_tap_is_on_its_owners_account() {
    assert_eq!(read(&Socket::recorded("link-tap-owned")).unwrap().user, Some(1000));
    assert_eq!(read(&Socket::recorded("link-tap-persistent")).unwrap().user, None);
    for name in ["link-bridge-owned", "link-veth-port", "link-loopback"] {
        assert_eq!(read(&Socket::recorded(name)), None, "{name}");
    }
}

#[test]
fn a_lent_tap_is_on_the_account_of_whom_its_alias_names() {
    let lent = |alias: &str| {
        let message = messages(&Socket::recorded("link-tap-owned")).next().unwrap().unwrap().payload.to_vec();
        let bytes = Request::new(16, 0, message.first_chunk::<16>().unwrap());
        // The same link, with an alias.
        let told = attributes(&message[16..]).map(Result::unwrap);
        let bytes = told.fold(bytes, |bytes, told| bytes.attr(told.kind, told.payload));
        read(&bytes.attr_text(IFLA_IFALIAS, alias).finish(1, 0).unwrap()).unwrap().user
    };
    assert_eq!(lent("vnet:lab:lent:7,52:54:00:12:34:57"), Some(7));
    assert_eq!(lent("vnet::lent:8"), Some(8));
    assert_eq!(lent("vnet:lab:port"), Some(1000));
}

#[test]
fn spoilt_accounts_are_errors_or_values() {
    Socket::read_spoilt("link-tap-owned", |message| tap_owner_read(message).map_err(malformed));
}
