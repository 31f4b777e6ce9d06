//! The binaries on a real kernel: each test makes a world of its own, namespaces that vanish with the test's thread.
//!
//! It needs root, or a user namespace in which the caller is root (`unshare -Urnm`), /dev/net/tun, iproute2, strace
//! and setpriv. No test skips: what is missing is said in the failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attach;
mod attach_choice;
mod attach_packets;
mod contract;
mod detach;
mod environment;
mod faults;
mod input;
mod input_bridge;
mod input_config;
mod input_host;
mod links;
mod netlink;
mod ownership;
mod picture;
mod readme;
mod run;
mod syslog;
mod tap;
mod undo;
mod verbs;
mod world;
