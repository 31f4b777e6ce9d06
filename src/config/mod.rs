//! Files → typed, validated values. A value that exists is a good one; a file that is not is a [`Problem`] with its
//! file, line and key.
#![forbid(unsafe_code)]

mod choose;
mod file;
mod guest;
mod json;
mod network;
mod owner;
mod problem;
mod store;

pub use choose::{Choice, choose};
pub use guest::Guest;
pub use network::{Mode, Network, OwnBridge};
pub use owner::Owner;
pub use problem::Problem;
pub use store::{Source, Store};
