//! Users and groups as `/etc/passwd` and `/etc/group` tell them. A static program asks no name service: what a package
//! or an administrator made is in these files (passwd(5), group(5)).

/// What both files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// The text of `/etc/passwd`: `NAME:PASSWORD:UID:GID:COMMENT:HOME:SHELL` in each line.
    pub passwd: String,
    /// The text of `/etc/group`: `NAME:PASSWORD:GID:MEMBERS` in each line.
    pub group: String,
}

/// Who runs a program: the ids that its process really has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The number of the user.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// The numbers of the supplementary groups.
    pub groups: Vec<u32>,
}

impl Accounts {
    /// Where users are.
    pub const PASSWD: &'static str = "/etc/passwd";
    /// Where groups are.
    pub const GROUP: &'static str = "/etc/group";

    /// The number of the user of this name.
    pub fn user_number(&self, name: &str) -> Option<u32> {
        number_of(entries::<7>(&self.passwd), name)
    }

    /// The name of the user with this number, where it has one.
    pub fn user_name(&self, number: u32) -> Option<&str> {
        name_of(entries::<7>(&self.passwd), number)
    }

    /// The number of the group of this name.
    pub fn group_number(&self, name: &str) -> Option<u32> {
        number_of(entries::<4>(&self.group), name)
    }

    /// The name of the group that a user's own line names by number.
    pub fn first_group(&self, user: &str) -> Option<&str> {
        let [.., gid, _, _, _] = entries::<7>(&self.passwd).find(|[name, ..]| *name == user)?;
        name_of(entries::<4>(&self.group), number(gid)?)
    }
}

impl Caller {
    /// Whether its process is of this group.
    pub fn is_in(&self, group: u32) -> bool {
        self.gid == group || self.groups.contains(&group)
    }
}

/// The lines of a file that have as many fields as they should, and a name; others count for nothing.
fn entries<const FIELDS: usize>(text: &str) -> impl Iterator<Item = [&str; FIELDS]> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let mut entry = [""; FIELDS];
        for field in &mut entry {
            *field = fields.next()?;
        }
        let [name, ..] = entry.as_slice() else { return None };
        (fields.next().is_none() && !name.is_empty()).then_some(entry)
    })
}

/// The number in the third field of the first line of this name.
fn number_of<'t, const FIELDS: usize>(mut lines: impl Iterator<Item = [&'t str; FIELDS]>, name: &str) -> Option<u32> {
    number(lines.find(|line| line.first() == Some(&name))?.get(2)?)
}

/// The name in the first line of this number.
fn name_of<'t, const FIELDS: usize>(
    mut lines: impl Iterator<Item = [&'t str; FIELDS]>,
    wanted: u32,
) -> Option<&'t str> {
    let line = lines.find(|line| line.get(2).copied().and_then(number) == Some(wanted))?;
    line.first().copied()
}

/// Digits and nothing else; no one has the last number, which stands for none.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(passwd: &str, group: &str) -> Accounts {
        Accounts { passwd: passwd.to_owned(), group: group.to_owned() }
    }

    #[test]
    fn the_group_is_the_one_that_the_users_line_names() {
        let users = "root:x:0:0::/root:/bin/sh\ndnsmasq:x:999:65534:dnsmasq:/var/lib/misc:/usr/sbin/nologin\nbroken\n";
        let known = accounts(users, "root:x:0:\nnogroup:x:65534:\n");
        assert_eq!(known.first_group("dnsmasq"), Some("nogroup"));
        assert_eq!((known.first_group("nobody"), known.first_group("broken")), (None, None));
        assert_eq!(accounts(users, "root:x:0:\n").first_group("dnsmasq"), None);
    }

    #[test]
    fn a_user_is_known_by_name_and_by_number() {
        let users = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nalso:x:1000:7::/:/bin/sh\n";
        let known = accounts(users, "kvm:x:104:alice,bob\n");
        assert_eq!((known.user_number("alice"), known.user_name(1000)), (Some(1000), Some("alice")));
        assert_eq!(
            (known.user_number("also"), known.user_number("nobody"), known.user_name(8)),
            (Some(1000), None, None)
        );
        assert_eq!((known.group_number("kvm"), known.group_number("alice")), (Some(104), None));
    }

    #[test]
    fn the_first_line_of_a_name_is_the_one_that_counts() {
        let known = accounts("a:x:1:1::/:\na:x:2:2::/:\n", "g:x:3:\ng:x:4:\n");
        assert_eq!((known.user_number("a"), known.group_number("g")), (Some(1), Some(3)));
    }

    #[test]
    fn lines_that_are_none_count_for_nothing() {
        for line in [
            ":x:7:7::/:",
            "a",
            "a:x:7",
            "a:x:7:7::/",
            "a:x:7:7::/::",
            "a:x:+7:7::/:",
            "a:x:-7:7::/:",
            "a:x: 7:7::/:",
            "a:x:7 :7::/:",
            "a:x:4294967295:7::/:",
            "a:x:4294967303:7::/:",
            "a:x::7::/:",
            "a:x:0x7:7::/:",
            " a:x:7:7::/:",
            "+a:x:7:7::/:",
            "#a:x:7:7::/:",
            "A:x:7:7::/:",
        ] {
            assert_eq!(accounts(line, "").user_number("a"), None, "{line}");
        }
        for line in [":x:7:", "a:x:7", "a:x:7::", "a:x:+7:", "a:x:4294967295:", "a:7:x:"] {
            assert_eq!(accounts("", line).group_number("a"), None, "{line}");
        }
        assert_eq!((accounts(":x:7:7::/:", "").user_number(""), accounts(":x:7:7::/:", "").user_name(7)), (None, None));
    }

    #[test]
    fn a_process_is_of_its_group_and_of_the_supplementary_ones() {
        let caller = Caller { uid: 1000, gid: 1000, groups: vec![104, 27] };
        assert!(caller.is_in(1000) && caller.is_in(104) && caller.is_in(27));
        assert!(!caller.is_in(0) && !caller.is_in(105));
    }
}
