//! What a verb answers on standard output.

/// A text, and the exit code that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whole lines.
    pub text: String,
    /// 0, or what the text means for a program.
    pub exit_code: u8,
}

impl Answer {
    /// An answer that is good news.
    pub(super) const fn good(text: String) -> Self {
        Self { text, exit_code: 0 }
    }
}
