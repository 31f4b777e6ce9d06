//! Default routes, as the kernel was recorded to list them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::super::wire::messages;
use super::*;

/// The links in the recordings.
const R1: u32 = 15;
const R2: u32 = 17;

const RTM_NEWROUTE: u16 = 24;

/// The metrics and links of the default routes in a recording.
fn defaults(name: &str) -> Vec<(u32, u32)> {
    defaults_in(&Socket::recorded(name))
}

fn defaults_in(bytes: &[u8]) -> Vec<(u32, u32)> {
    let messages = messages(bytes).map(Result::unwrap).filter(|message| message.kind == RTM_NEWROUTE);
    messages.filter_map(|message| route_read(&message).unwrap()).collect()
}

#[test]
fn default_routes_are_told_from_others() {
    assert_eq!(defaults("routes-v4"), [(100, R2), (200, R1)]);
    assert_eq!(defaults("routes-v6"), [(1024, R1)]);
    assert_eq!(defaults("routes-halves"), [(0, 2)]);
}

#[test]
fn a_route_of_several_links_counts_by_its_first() {
    assert_eq!(defaults("routes-multipath"), [(0, R2)]);
    assert_eq!(defaults("routes-v6-multipath"), [(1024, R2)]);
}

#[test]
fn a_route_by_a_nexthop_object_has_a_link_too() {
    assert_eq!(defaults("routes-nexthop"), [(0, R2), (10, R1)]);
}

#[test]
fn a_route_that_leads_nowhere_does_not_count() {
    assert_eq!(defaults("routes-unreachable"), [(10, R1)]);
    let mut local = Socket::recorded("routes-v4");
    // The type of the first route, behind nlmsghdr and in rtmsg; 2 is RTN_LOCAL.
    local[16 + 7] = 2;
    assert_eq!(defaults_in(&local), [(200, R1)]);
}

/// Reading stops at a route that is no default one, so none may follow.
#[test]
fn nothing_is_missed_where_reading_stops() {
    let missed = |name: &str| -> Vec<_> {
        let bytes = Socket::recorded(name);
        let routes = messages(&bytes).map(Result::unwrap).filter(|message| message.kind == RTM_NEWROUTE);
        let unread = routes.skip_while(|message| default_may_follow(message).unwrap());
        unread.filter_map(|message| route_read(&message).unwrap()).collect()
    };
    let names = ["routes-v4", "routes-multipath", "routes-halves", "routes-v6", "routes-v6-multipath"];
    assert_eq!(names.map(missed), [(); 5].map(|()| Vec::new()), "in turn: {names:?}");
}

#[test]
fn spoilt_routes_are_errors_or_values() {
    for name in ["routes-v4", "routes-v6", "routes-multipath", "routes-v6-multipath", "routes-nexthop"] {
        Socket::read_spoilt(name, route_read);
    }
}
