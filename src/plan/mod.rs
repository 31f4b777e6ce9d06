//! (configuration, snapshot) → operations. Pure: no file, no socket, no clock.
//!
//! Operations are in the order in which they are safe: a link is marked as ours first, changed then, and goes up
//! last, so that no packet passes before all is in place, and so that a bridge of ours that is up is a finished one.
#![forbid(unsafe_code)]

mod addr_gen;
mod attach;
mod barrier;
mod bridge;
mod declare;
mod detach;
pub mod diagnosis;
mod down;
mod lend;
mod mended;
mod network;
mod obstacle;
mod overlap;
mod ports;
mod refusal;
mod refusal_remedy;

mod routing;
mod rules;
mod server;
mod server_hosts;
mod service;
mod tap;
mod undo;
mod uplink;
mod wanted;
mod way;

pub use attach::{attach, sends_back};
pub use barrier::warnings;
pub use bridge::is_unfinished;
pub use detach::detach;
pub use down::{Standing, down};
pub use lend::{BridgePort, guard_elements, lend, lend_bridge, tap_mac};
pub use mended::mended;
pub use network::up;
pub use obstacle::refuse_obstacles;
pub use refusal::Refusal;
pub use server::{Place, server_conf};
pub use server_hosts::{guest_files, server_files};
pub use tap::{direct_add, tap_add, tap_del};
pub use undo::undo;
pub use uplink::{give_back, handover, handover_of, host_config, is_administrators, judge_config, take};
pub use wanted::{Wanted, claims, enclave, proxied};

use crate::model::{Change, IfName, Operation, Setting};

/// What is to be done, in order, and what people should know about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The changes; none where everything is as it should be.
    pub operations: Vec<Operation>,
    /// What is worth saying though nothing can or need be done about it.
    pub notes: Vec<String>,
}

impl Plan {
    /// Adds a change of a link, unless it would change nothing.
    fn change(&mut self, link: &IfName, setting: Setting) {
        self.push(Operation::Link(link.clone(), setting));
    }

    /// Adds an operation, unless it would change nothing.
    fn push(&mut self, operation: Operation) {
        if !operation.is_nothing() {
            self.operations.push(operation);
        }
    }

    fn set_up(&mut self, link: &IfName, before: bool, after: bool) {
        self.change(link, Setting::Up(Change::new(before, after)));
    }
}
