//! One file per verb: load, observe, plan, apply.
#![forbid(unsafe_code)]

mod admission;
mod answer;
mod call;
mod change;
pub mod check;
pub mod confirm;
mod deadline;
pub mod doctor;
pub mod down;
mod failure;
pub mod forward;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod give_back;
mod guards;
pub mod helper;
mod helper_call;
mod helper_failure;
pub mod hook;
mod ifdown;
mod ifup;
mod journal;
mod lending;
mod lock;
mod log;
mod networks;
mod observe;
mod others;
mod pending;
pub mod plan;
pub mod repair;
mod select;
mod settings;
pub mod status;
pub mod tap;
pub mod tap_list;
mod unmarked;
pub mod up;
mod upkeep;
mod uplink;
mod verified;
mod wanted;

pub use answer::Answer;
pub use failure::exit_code;
pub use uplink::Terms;

pub use crate::kernel::sys::process::panic_plainly;
