//! The kernel's side: what it has (`snapshot`), and one function per operation (`execute`).

mod echo;
mod error;
mod file;
mod flows;
mod host;
mod ip_config;
mod lender;
pub mod netlink;
mod obstacle;
mod obstacle_files;
mod obstacle_firewall;
pub mod probe;
mod seen;
mod server;
pub mod session;
mod survey;
pub mod sys;
mod taps;

pub use error::Error;
pub use host::Host;
pub use lender::Lender;
pub use netlink::nftables::Guard;
pub use seen::{OpenDevices, address_is_set, socket_holder};
pub use server::{server_process, server_runs};
pub use survey::{frames_filtered, legacy_tables};
pub use taps::{direct_is_held, tap_ask_holder, taps_ask_holders};
