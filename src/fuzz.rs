//! What the fuzzers run: each reader of what others wrote, and what must hold whatever it reads.
//!
//! Compiled for fuzzers (`--cfg fuzzing`) and for tests alone. `fuzz/` makes a program of each target, `scripts/fuzz` runs
//! those; and the test here runs what is kept in `fuzz/seeds` and what the kernel was recorded to say, without a fuzzer.
#![forbid(unsafe_code)]

pub use crate::app::fuzz::arguments;
pub use crate::config::fuzz::{guest, host, network, rules};
pub use crate::kernel::netlink::fuzz::{netlink, nftables};
pub use crate::model::fuzz::{accounts, leases, marks};

/// Reads any bytes; panics where something does not hold.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 10] = [
    ("accounts", accounts),
    ("arguments", arguments),
    ("guest", guest),
    ("host", host),
    ("leases", leases),
    ("marks", marks),
    ("netlink", netlink),
    ("network", network),
    ("nftables", nftables),
    ("rules", rules),
];

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "fuzz_written_tests.rs"]
mod written;
