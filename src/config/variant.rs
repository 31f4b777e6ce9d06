//! The words that stand for the ways in which guests share a network card.

use std::str::FromStr;

use super::Variant;
use crate::model::Invalid;

/// All of them, for errors.
pub(super) const VARIANTS: &str = "\"bridge\", \"vepa\", \"private\" or \"passthru\"";

impl FromStr for Variant {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "bridge" => Ok(Self::Bridge),
            "vepa" => Ok(Self::Vepa),
            "private" => Ok(Self::Private),
            "passthru" => Ok(Self::Passthru),
            _ => Err(Invalid::new(
                format!("{} is no variant", Invalid::quote(text.as_bytes())),
                "say \"bridge\", \"vepa\", \"private\" or \"passthru\"",
            )),
        }
    }
}
