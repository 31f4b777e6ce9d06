//! The moment at which a run gives up: QEMU waits for the hook, and with it its monitor and so its guest's manager.

use std::time::{Duration, Instant};

/// When a run that began at some moment has to be through.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// How long a run may wait for its lock and begin new operations.
    pub const TIME: Duration = Duration::from_secs(10);

    /// The deadline of a run that began then.
    pub fn of_run(started: Instant) -> Self {
        Self(started + Self::TIME)
    }

    /// The moment itself.
    pub const fn moment(self) -> Instant {
        self.0
    }

    /// Whether it is over.
    pub fn is_past(self) -> bool {
        Instant::now() >= self.0
    }
}
