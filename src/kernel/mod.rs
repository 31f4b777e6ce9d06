//! The kernel's side: what it has (`snapshot`), and one function per operation (`execute`).

mod error;
mod host;
pub mod netlink;
pub mod sys;

pub use error::Error;
pub use host::Host;
