//! A bridge's ports as the kernel was recorded to tell of them, and the request that changes one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::super::wire::messages;
use super::*;

fn read(name: &str) -> Option<bool> {
    hairpin_read(&messages(&Socket::recorded(name)).next().unwrap().unwrap()).unwrap()
}

#[test]
fn a_port_says_whether_frames_go_back() {
    assert_eq!(read("link-port-hairpin"), Some(true));
    assert_eq!(read("link-veth-port"), Some(false));
}

#[test]
fn a_link_that_is_no_port_says_nothing() {
    for name in ["link-tap", "link-bridge-owned", "link-loopback"] {
        assert_eq!(read(name), None, "{name}");
    }
}

#[test]
fn a_port_is_changed_in_its_bridges_family() {
    assert_eq!(Socket::sent_by(|socket| link_set_hairpin(socket, 6, true)), Socket::recorded("request-hairpin-on"));
    assert_eq!(Socket::sent_by(|socket| link_set_hairpin(socket, 6, false)), Socket::recorded("request-hairpin-off"));
    assert_eq!(Socket::sent_by(|socket| link_set_guarded(socket, 6, true)), Socket::recorded("request-guarded"));
}

#[test]
fn spoilt_ports_are_errors_or_values() {
    Socket::read_spoilt("link-port-hairpin", |message| hairpin_read(message).map_err(malformed));
}
