//! One file per verb: load, observe, plan, apply.
#![forbid(unsafe_code)]

mod answer;
mod call;
mod change;
pub mod check;
mod deadline;
mod failure;
pub mod hook;
mod ifdown;
mod ifup;
mod lock;
mod log;
mod observe;
pub mod plan;
mod select;
mod settings;

pub use answer::Answer;
pub use failure::exit_code;
