//! Files → typed, validated values. A value that exists is a good one; a file that is not is a [`Problem`] with its
//! file, line and key.
#![forbid(unsafe_code)]

mod allow;
mod bridge_conf;
mod changes;
mod choose;
mod dhcp;
mod dns;
mod file;
mod forward;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod guest;
mod host;
mod json;
mod judge;
mod mode_word;
mod network;
mod network_file;
mod own_network;
mod owner;
mod peers;
mod problem;
#[cfg(any(test, fuzzing))]
mod qemu_rules;
mod resolve;
mod store;
mod trusted;
mod unicast;
mod variant;

pub use allow::{Allow, Principal};
pub use bridge_conf::{BRIDGE_CONF, BridgeRules};
pub use changes::Changes;
pub use choose::{Choice, choose};
pub use dhcp::{Dhcp, Lease};
pub use dns::Dns;
pub use forward::{Forward, GuestName, Target};
pub use guest::Guest;
pub use host::{Facility, HostSettings};
pub use network::{Direct, Mode, Network, OwnNetwork, Reach, Variant};
pub use owner::Owner;
pub use problem::Problem;
pub use resolve::{judge_guest, resolve};
pub use store::{Source, Store};
pub use trusted::{Trusted, Unread};

pub use crate::model::{Accounts, Caller};
