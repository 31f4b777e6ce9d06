//! One run of the hook: what it was asked, and what there is to say.

use std::time::Duration;

use crate::model::{IfName, NetworkName};

/// One run of the hook.
#[derive(Debug)]
pub(super) struct Call {
    /// The tap.
    pub(super) tap: IfName,
    /// The network that the hook's own name asks for: `lab` when it was run as `vnet-ifup-lab`.
    pub(super) suffix: Option<NetworkName>,
    /// When it began, as [`crate::kernel::sys::clock::now`] tells it.
    pub(super) started: Duration,
}

/// What there is to say after a run that went well.
#[derive(Debug)]
pub(super) struct Report {
    /// What was done, without the tap's name and the time.
    pub(super) text: String,
    /// Whether somebody should look at it.
    pub(super) warning: bool,
}
