//! Whose files are believed.

/// Whose files are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    caller: u32,
}

impl Owner {
    /// Root's files, and the caller's own.
    pub const fn root_or(caller: u32) -> Self {
        Self { caller }
    }

    /// Whether a file of this user's is believed.
    pub const fn may_own(self, uid: u32) -> bool {
        uid == 0 || uid == self.caller
    }

    pub(super) fn right(self) -> String {
        match self.caller {
            0 => "chown root lets it count".to_owned(),
            caller => format!("it counts when root or user {caller} owns it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_files_and_the_callers_own_are_believed() {
        let may_own = |caller, uid| Owner::root_or(caller).may_own(uid);
        assert!(may_own(0, 0) && may_own(1000, 0) && may_own(1000, 1000));
        assert!(!may_own(0, 1000) && !may_own(1000, 1001));
    }
}
