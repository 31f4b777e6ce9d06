//! The words that stand for modes in a network's file.

use std::fmt;
use std::str::FromStr;

use crate::model::Invalid;

/// What a network's file says that it is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Word {
    Isolated,
    HostOnly,
    Routed,
    Nat,
    Bridged,
    Macvtap,
    Ipvtap,
}

use Word::{Bridged, HostOnly, Ipvtap, Isolated, Macvtap, Nat, Routed};

/// All of them, for errors.
pub(super) const MODES: &str =
    "\"isolated\", \"host-only\", \"routed\", \"nat\", \"bridged\", \"macvtap\" or \"ipvtap\"";

/// Each with what it stands for.
pub(super) const WORDS: [(&str, Word); 7] = [
    ("isolated", Isolated),
    ("host-only", HostOnly),
    ("routed", Routed),
    ("nat", Nat),
    ("bridged", Bridged),
    ("macvtap", Macvtap),
    ("ipvtap", Ipvtap),
];

impl FromStr for Word {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const RIGHT: &str =
            "say \"isolated\", \"host-only\", \"routed\", \"nat\", \"bridged\", \"macvtap\" or \"ipvtap\"";
        let unknown = || Invalid::new(format!("{} is no mode", Invalid::quote(text.as_bytes())), RIGHT);
        WORDS.iter().find(|(word, _)| *word == text).map(|(_, mode)| *mode).ok_or_else(unknown)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WORDS.iter().filter(|(_, mode)| mode == self).try_for_each(|(word, _)| f.write_str(word))
    }
}
