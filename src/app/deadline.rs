//! The moment at which a run gives up: QEMU waits for the hook, and with it its monitor and so its guest's manager.

use std::time::Duration;

use crate::kernel::sys::clock;

/// When a run that began at some moment has to be through.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Duration);

impl Deadline {
    /// How long a run may wait for its lock and begin new operations.
    pub const TIME: Duration = Duration::from_secs(10);

    /// The deadline of a run that began then.
    pub fn of_run(started: Duration) -> Self {
        Self(started + Self::TIME)
    }

    /// The moment itself, as [`clock::now`] tells it.
    pub const fn moment(self) -> Duration {
        self.0
    }

    /// Whether it is over.
    pub fn is_past(self) -> bool {
        clock::now() >= self.0
    }
}
