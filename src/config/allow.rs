//! Which users may put guests of theirs on a network, or run a guest: the key `allow` of a network's and a guest's file.

use std::fmt;
use std::str::FromStr;

use super::judge::Judge;
use crate::model::{Accounts, Caller, Invalid};

/// Who may. Nobody is in it by default, not even root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// The users who may.
    pub users: Vec<Principal>,
    /// The groups whose processes may.
    pub groups: Vec<Principal>,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// By the name in `/etc/passwd` or `/etc/group`.
    Name(String),
    /// By its number, 0 to 4294967294.
    Number(u32),
}

impl Allow {
    /// The keys that the object may have.
    pub(super) const KEYS: &'static [&'static str] = &["users", "groups"];

    /// Reads the object; without one nobody may.
    pub(super) fn read(judge: &mut Judge<'_>) -> Self {
        if !judge.begins("allow", '{', "an object such as {\"users\": [\"alice\"]}") {
            return Self::default();
        }
        let mut read = |key, list, expected| -> Vec<Principal> {
            let count = judge.count(key, list).unwrap_or_default();
            (0..count).filter_map(|number| Principal::read(&format!("{key}[{number}]"), expected, judge)).collect()
        };
        Self {
            users: read(
                "allow.users",
                "a list of users such as [\"alice\", 1000]",
                "a user's name such as \"alice\", or number",
            ),
            groups: read(
                "allow.groups",
                "a list of groups such as [\"kvm\", 104]",
                "a group's name such as \"kvm\", or number",
            ),
        }
    }

    /// Nobody.
    pub const fn nobody() -> Self {
        Self { users: Vec::new(), groups: Vec::new() }
    }

    /// Whether it is for a process that has these ids. A group counts when the process is of it, not when a file lists
    /// the user as its member: what a session was not given, it does not have.
    pub fn covers(&self, caller: &Caller, accounts: &Accounts) -> bool {
        let is_caller = |user: &Principal| user.number(|name| accounts.user_number(name)) == Some(caller.uid);
        let is_of = |group: &Principal| {
            group.number(|name| accounts.group_number(name)).is_some_and(|group| caller.is_in(group))
        };
        self.users.iter().any(is_caller) || self.groups.iter().any(is_of)
    }

    /// Whether a user in it is named, so that the number has to be found.
    pub fn names_users(&self) -> bool {
        self.users.iter().any(Principal::is_name)
    }

    /// Whether a group in it is named, so that the number has to be found.
    pub fn names_groups(&self) -> bool {
        self.groups.iter().any(Principal::is_name)
    }

    /// What in it stands for nobody, for there is no such name: the key, and what is wrong.
    pub fn unknown(&self, accounts: &Accounts) -> Vec<(String, String)> {
        let users =
            self.users.iter().enumerate().filter(|(_, user)| user.number(|name| accounts.user_number(name)).is_none());
        let users =
            users.map(|(number, name)| (format!("allow.users[{number}]"), unknown("user", name, Accounts::PASSWD)));
        let groups = self
            .groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.number(|name| accounts.group_number(name)).is_none());
        let groups =
            groups.map(|(number, name)| (format!("allow.groups[{number}]"), unknown("group", name, Accounts::GROUP)));
        users.chain(groups).collect()
    }
}

fn unknown(kind: &str, name: &Principal, file: &str) -> String {
    format!("there is no {kind} {name} in {file}; add it there, or give the {kind}'s number")
}

impl Principal {
    fn read(key: &str, expected: &str, judge: &mut Judge<'_>) -> Option<Self> {
        if judge.is_text(key) {
            return judge.value(key, expected);
        }
        let number = judge.number(key, expected)?;
        match u32::try_from(number) {
            Ok(number) if number != u32::MAX => Some(Self::Number(number)),
            _ => {
                judge.refuse(key, beyond(number).to_string());
                None
            }
        }
    }

    const fn is_name(&self) -> bool {
        matches!(self, Self::Name(_))
    }

    /// The number, which a name is looked up for.
    fn number(&self, look_up: impl FnOnce(&str) -> Option<u32>) -> Option<u32> {
        match self {
            Self::Name(name) => look_up(name),
            Self::Number(number) => Some(*number),
        }
    }
}

fn beyond(number: impl fmt::Display) -> Invalid {
    Invalid::new(format!("{number} is no number of a user or group"), "they have 0 to 4294967294")
}

/// Names as useradd(8) takes them, without the `$` of Samba's machines; digits alone are a number.
impl FromStr for Principal {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const RIGHT: &str =
            "a name has 1 to 32 letters, digits, '_', '.' and '-', and no '-' in front; a number has no 0 in front";
        let quoted = || Invalid::quote(text.as_bytes());
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            if text.len() > 1 && text.starts_with('0') {
                return Err(Invalid::new(quoted(), RIGHT));
            }
            let number = text.parse().ok().filter(|number| *number != u32::MAX);
            return number.map(Self::Number).ok_or_else(|| beyond(quoted()));
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let good = (1..=32).contains(&text.len())
            && text.bytes().all(known)
            && !text.starts_with('-')
            && !matches!(text, "." | "..");
        if good { Ok(Self::Name(text.to_owned())) } else { Err(Invalid::new(quoted(), RIGHT)) }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::store::Source;

    const KEYS: crate::config::judge::Known = &[("", &["allow"]), ("allow", Allow::KEYS)];

    fn read(text: &str) -> Result<Allow, Vec<String>> {
        let source = Source { path: "lab.json".into(), text: text.to_owned() };
        let mut judge = Judge::open(&source, KEYS)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let allow = Allow::read(&mut judge);
        match judge.problems {
            problems if problems.is_empty() => Ok(allow),
            problems => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n".to_owned(),
            group: "root:x:0:\nkvm:x:104:bob\nalice:x:1000:\n".to_owned(),
        }
    }

    fn covers(text: &str, uid: u32, gid: u32, groups: &[u32]) -> bool {
        read(text).unwrap().covers(&Caller { uid, gid, groups: groups.to_vec() }, &accounts())
    }

    #[test]
    fn without_the_key_nobody_may_not_even_root() {
        for text in ["{}", r#"{"allow": {}}"#, r#"{"allow": {"users": [], "groups": []}}"#] {
            assert!(!covers(text, 0, 0, &[0]) && !covers(text, 1000, 1000, &[]), "{text}");
            assert!(!read(text).unwrap().names_users() && !read(text).unwrap().names_groups());
        }
    }

    #[test]
    fn a_user_may_by_name_and_by_number() {
        for text in [
            r#"{"allow": {"users": ["alice"]}}"#,
            r#"{"allow": {"users": [1000]}}"#,
            r#"{"allow": {"users": ["1000"]}}"#,
            r#"{"allow": {"users": ["nobody-here", 7, "alice"]}}"#,
        ] {
            assert!(covers(text, 1000, 1, &[]), "{text}");
            assert!(!covers(text, 1001, 1000, &[1000]) && !covers(text, 0, 0, &[0]), "{text}");
        }
        let named = |text| read(text).map(|allow| (allow.names_users(), allow.names_groups()));
        assert_eq!(named(r#"{"allow": {"users": [1000, "alice"], "groups": [7]}}"#), Ok((true, false)));
        assert_eq!(named(r#"{"allow": {"users": [1000, "1000"], "groups": ["kvm"]}}"#), Ok((false, true)));
    }

    #[test]
    fn a_group_counts_when_the_process_is_of_it_and_not_when_a_file_says_so() {
        for text in [r#"{"allow": {"groups": ["kvm"]}}"#, r#"{"allow": {"groups": [104]}}"#] {
            assert!(covers(text, 1000, 104, &[]) && covers(text, 1000, 1000, &[27, 104]), "{text}");
            assert!(!covers(text, 1001, 1001, &[27]) && !covers(text, 104, 1001, &[]), "{text}");
        }
        let of_alice = r#"{"allow": {"groups": ["alice"]}}"#;
        assert!(covers(of_alice, 7, 1000, &[]) && !covers(of_alice, 1000, 7, &[]));
    }

    #[test]
    fn names_that_stand_for_nobody_are_told() {
        let allow = read(r#"{"allow": {"users": ["alice", "carol", 5], "groups": ["wheel", "kvm"]}}"#).unwrap();
        let told = [
            ("allow.users[1]", "there is no user carol in /etc/passwd; add it there, or give the user's number"),
            ("allow.groups[0]", "there is no group wheel in /etc/group; add it there, or give the group's number"),
        ];
        assert_eq!(allow.unknown(&accounts()), told.map(|(key, what)| (key.to_owned(), what.to_owned())));
    }

    #[test]
    fn names_are_those_of_useradd_and_digits_are_numbers() {
        for name in ["a", "alice", "_x", "A.b-c", "7up", "x".repeat(32).as_str()] {
            assert_eq!(name.parse(), Ok(Principal::Name(name.to_owned())));
        }
        for (text, number) in [("0", 0), ("1001", 1001), ("4294967294", 4_294_967_294)] {
            assert_eq!(text.parse(), Ok(Principal::Number(number)));
        }
        let long = "x".repeat(33);
        for text in [
            "",
            "-a",
            ".",
            "..",
            "a b",
            "a:b",
            "a\n",
            "pc$",
            "*",
            "ä",
            "%kvm",
            "@kvm",
            "a/b",
            "a\0",
            "00",
            "007",
            "+1",
            "4294967295",
            "4294967296",
            "99999999999999999999",
            "1 ",
            &long,
        ] {
            assert!(text.parse::<Principal>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn wrong_values_are_told_with_the_right_ones() {
        const USER: &str = "expected a user's name such as \"alice\", or number";
        const NAME: &str =
            "a name has 1 to 32 letters, digits, '_', '.' and '-', and no '-' in front; a number has no 0 in front";
        for (text, said) in [
            (
                r#""alice""#,
                "allow: invalid type: string \"alice\"; expected an object such as {\"users\": [\"alice\"]}",
            ),
            (r#"["alice"]"#, "allow: invalid type: sequence; expected an object such as {\"users\": [\"alice\"]}"),
            ("null", "allow: invalid type: null; expected an object such as {\"users\": [\"alice\"]}"),
            (r#"{"user": ["alice"]}"#, "allow.user: unknown field `user`; expected `users` or `groups`"),
            (
                r#"{"users": "alice"}"#,
                "allow.users: invalid type: string \"alice\"; expected a list of users such as [\"alice\", 1000]",
            ),
            (r#"{"groups": {}}"#, "allow.groups: invalid type: map; expected a list of groups such as [\"kvm\", 104]"),
            (r#"{"users": [true]}"#, &format!("allow.users[0]: invalid type: boolean `true`; {USER}")),
            (r#"{"users": [1.0]}"#, &format!("allow.users[0]: invalid type: floating point `1.0`; {USER}")),
            (r#"{"users": [["a"]]}"#, &format!("allow.users[0]: invalid type: sequence; {USER}")),
            (r#"{"users": [{"a": 1}]}"#, &format!("allow.users[0]: invalid type: map; {USER}")),
            (r#"{"users": [-1]}"#, "allow.users[0]: -1 is no number of a user or group; they have 0 to 4294967294"),
            (
                r#"{"users": [4294967295]}"#,
                "allow.users[0]: 4294967295 is no number of a user or group; they have 0 to 4294967294",
            ),
            (
                r#"{"users": ["4294967295"]}"#,
                "allow.users[0]: \"4294967295\" is no number of a user or group; they have 0 to 4294967294",
            ),
            (r#"{"users": ["a\n"]}"#, &format!("allow.users[0]: \"a\\n\"; {NAME}")),
            (r#"{"users": ["a"], "users": []}"#, "allow.users: duplicate field `users`; keep one of them"),
        ] {
            let file = format!("{{\"allow\": {text}}}");
            assert_eq!(read(&file), Err(vec![format!("lab.json:1: {said}")]), "{file}");
        }
    }
}
