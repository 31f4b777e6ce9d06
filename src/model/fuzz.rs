//! What must hold of aliases, accounts and leases, whatever is in them.

use std::str;

use super::{Accounts, Leased, Mark};

/// The kernel's longest alias, in bytes (`IFALIASZ` in linux/if.h, less the zero that ends it).
const LONGEST_ALIAS: usize = 255;

/// An alias: a mark that was read is written so that it is read again, on one line and short enough for the kernel.
pub fn marks(data: &[u8]) {
    let Some(mark) = str::from_utf8(data).ok().and_then(Mark::parse) else { return };
    let written = mark.to_string();
    assert_eq!(Mark::parse(&written).as_ref(), Some(&mark), "{written}");
    assert!(written.len() <= LONGEST_ALIAS && written.bytes().all(|byte| byte.is_ascii_graphic()), "{written:?}");
    if let Mark::Lent(loan) = mark {
        assert_eq!(loan.network.is_some(), loan.mac.is_some(), "{written}");
    }
}

/// A name, a file of users and a file of groups, with `---` on a line between: who is found is in a line that says so.
pub fn accounts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, "\n---\n");
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let (name, known) = (part(), Accounts { passwd: part(), group: part() });
    let fields_of = |file: &str, name: &str, number: u32| {
        file.lines().map(|line| line.split(':').collect::<Vec<_>>()).any(|fields| {
            let told = fields.get(2).and_then(|field| field.parse().ok());
            fields.first() == Some(&name) && told == Some(number)
        })
    };
    if let Some(user) = known.user_number(&name) {
        assert!(user != u32::MAX && !name.is_empty() && fields_of(&known.passwd, &name, user), "{name:?}: {user}");
        assert!(known.user_name(user).is_some_and(|first| fields_of(&known.passwd, first, user)), "{name:?}: {user}");
    }
    if let Some(group) = known.group_number(&name) {
        assert!(group != u32::MAX && !name.is_empty() && fields_of(&known.group, &name, group), "{name:?}: {group}");
    }
    if let Some(first) = known.first_group(&name) {
        assert!(known.group.lines().any(|line| line.split(':').next() == Some(first)), "{name:?}: {first:?}");
    }
}

/// A server's file of leases: no more than it has lines, and each is read again from a line of its own.
pub fn leases(data: &[u8]) {
    let leases = Leased::read_all(data);
    assert!(leases.len() <= data.iter().filter(|byte| **byte == b'\n').count());
    for lease in leases {
        let client = lease.mac.map_or_else(|| "0".to_owned(), |mac| mac.to_string());
        let name = lease.hostname.as_ref().map_or_else(|| "*".to_owned(), ToString::to_string);
        let line = format!("{} {client} {} {name} *\n", lease.until.unwrap_or_default(), lease.ip);
        assert_eq!(Leased::read_all(line.as_bytes()), [lease], "{line:?}");
    }
}
