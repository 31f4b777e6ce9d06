//! vnet makes networks for QEMU's guests and puts the guests on them: it observes what the kernel has, plans what is
//! missing, and applies the plan or undoes it.
//!
//! # Layers
//!
//! Calls go downward only:
//!
//! ```text
//! bin/*            argv and exit code
//!  └ app           one file per verb: load, observe, plan, apply
//!     ├ config     files → typed, validated values
//!     ├ plan       (config, snapshot) → operations; pure: no file, no socket, no clock
//!     ├ apply      runs operations and undoes them; knows no kernel, takes an executor
//!     └ kernel     snapshot and execute
//!        ├ netlink wire (bytes) → socket (acknowledgements, dumps) → link, address, route, nftables, conntrack, …
//!        └ sys     what needs the kernel without netlink: ioctl, namespaces, daemons; all `unsafe` is here
//! model            plain typed values that every layer shares
//! fuzz             above all of them, in builds for tests and fuzzers alone: what of theirs reads what others wrote
//! ```

pub mod app;
pub mod apply;
pub mod config;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod kernel;
pub mod model;
pub mod plan;
