//! What is wrong with a file, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// One problem of one file: `FILE:LINE: KEY: what is wrong; what would be right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1; `None` where the problem is the file itself.
    pub line: Option<usize>,
    /// The key's path, such as `dhcp.range`; empty where no key is concerned.
    pub key: String,
    /// What is wrong, and what would be right.
    pub what: String,
    /// Whether it is nothing but that the caller may not read the file.
    pub denied: bool,
}

impl Problem {
    /// A problem of the file itself.
    pub(crate) fn of_file(file: &Path, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, key: String::new(), what: what.into(), denied: false }
    }

    /// The caller may not read the file.
    pub(super) fn denied(file: &Path) -> Self {
        let what = "may not be read by this user; let others read it, and look into its directories";
        Self { denied: true, ..Self::of_file(file, what) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

impl std::error::Error for Problem {}
