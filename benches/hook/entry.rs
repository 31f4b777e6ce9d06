//! Who is measured, where, and what came of it.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::lan::Others;
use crate::program::Program;
use crate::stage::Files;

/// A program that attaches taps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contender {
    Hook,
    Floor,
    Duties,
    Ip,
    QemuIfup,
    Classic,
    ClassicSleep,
}

impl Contender {
    pub const ALL: [Self; 7] =
        [Self::Hook, Self::Floor, Self::Duties, Self::Ip, Self::QemuIfup, Self::Classic, Self::ClassicSleep];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Hook => "vnet-ifup",
            Self::Floor => "floor",
            Self::Duties => "floor with the hook's duties",
            Self::Ip => "ip link set TAP up master BR",
            Self::QemuIfup => "Debian's /etc/qemu-ifup",
            Self::Classic => "ip up; brctl addif",
            Self::ClassicSleep => "ip up; sleep 1; brctl addif",
        }
    }

    /// Whether it leaves the tap in all as the hook does.
    pub const fn does_what_the_hook_does(self) -> bool {
        matches!(self, Self::Hook | Self::Floor | Self::Duties)
    }
}

/// What there is around the tap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Situation {
    Alone,
    Taps,
    Files,
    TapsAndFiles,
    Ports,
}

impl Situation {
    pub const ALL: [Self; 5] = [Self::Alone, Self::Taps, Self::Files, Self::TapsAndFiles, Self::Ports];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Alone => "1 tap, 1 network, 1 guest",
            Self::Taps => "1,000 other taps",
            Self::Files => "1,000 networks, 1,000 guests",
            Self::TapsAndFiles => "both of these",
            Self::Ports => "1,000 ports on the bridge",
        }
    }

    /// The links that are there.
    pub const fn others(self) -> Others {
        match self {
            Self::Alone | Self::Files => Others::None,
            Self::Taps | Self::TapsAndFiles => Others::Taps,
            Self::Ports => Others::Ports,
        }
    }

    /// The files that are there.
    pub const fn files(self) -> Files {
        match self {
            Self::Alone | Self::Taps | Self::Ports => Files::One,
            Self::Files | Self::TapsAndFiles => Files::Many,
        }
    }
}

/// The times of a contender in a situation, one of each round, in their order.
pub struct Entry {
    pub situation: Situation,
    pub contender: Contender,
    pub times: Vec<Duration>,
    /// How often it is run.
    pub runs: usize,
    pub program: Program,
}
