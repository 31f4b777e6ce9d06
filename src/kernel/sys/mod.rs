//! What needs the kernel without netlink. All `unsafe` of the crate is below this folder, one call each.

pub mod alarm;
pub mod arena;
pub mod capability;
pub mod clock;
pub mod entry;
pub mod lock;
pub mod netlink_option;
pub mod privilege;
pub mod process;
pub mod sysctl;
pub mod tun;
