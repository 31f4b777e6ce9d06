//! Users: the one that a server runs as, and those that are named.
#![forbid(unsafe_code)]

use std::{fs, io};

use crate::kernel::error::Error;
use crate::model::Accounts;

/// Users without any rights, best first: the server's own, where its package made one.
const USERS: [&str; 2] = ["dnsmasq", "nobody"];

/// The names of the user and the group that a server drops its privileges to. In a user namespace of one user it keeps
/// that user's, for there is no other, and may not change its groups, for which an empty name stands.
///
/// # Errors
/// Files that are there and cannot be read just now: a server must not keep its privileges for that.
pub fn server_user() -> Result<(String, String), Error> {
    let found = if is_only_user() { None } else { unprivileged()? };
    Ok(found.unwrap_or_else(|| ("root".to_owned(), String::new())))
}

/// Whether this user namespace has no user but one: then user 0 is some user of the machine's, and may become no other.
pub fn is_only_user() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let mut numbers = map.split_whitespace().skip(2);
    numbers.next() == Some("1") && numbers.next().is_none()
}

fn unprivileged() -> Result<Option<(String, String)>, Error> {
    let accounts = accounts()?;
    Ok(USERS.iter().find_map(|name| Some(((*name).to_owned(), accounts.first_group(name)?.to_owned()))))
}

/// All users and groups; none where there are no such files.
///
/// # Errors
/// A file that is there and cannot be read just now.
pub fn accounts() -> Result<Accounts, Error> {
    Ok(Accounts { passwd: read(Accounts::PASSWD)?, group: read(Accounts::GROUP)? })
}

fn users() -> Result<Accounts, Error> {
    Ok(Accounts { passwd: read(Accounts::PASSWD)?, group: String::new() })
}

/// The number of a user, by name or as a number. No user has the last number, which stands for none.
///
/// # Errors
/// A file that is there and cannot be read just now.
pub fn number_of(user: &str) -> Result<Option<u32>, Error> {
    if !user.is_empty() && user.bytes().all(|digit| digit.is_ascii_digit()) {
        return Ok(user.parse().ok().filter(|number| *number != u32::MAX));
    }
    Ok(users()?.user_number(user))
}

/// The name of the user with this number, where it has one.
///
/// # Errors
/// A file that is there and cannot be read just now.
pub fn name_of(number: u32) -> Result<Option<String>, Error> {
    Ok(users()?.user_name(number).map(str::to_owned))
}

fn read(path: &str) -> Result<String, Error> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => {
            let bytes = result.map_err(|error| Error::of_io(format!("reading {path}"), &error))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_user_whether_it_has_a_name_or_none() {
        for (text, number) in [("0", Some(0)), ("1000", Some(1000)), ("4294967295", None), ("4294967296", None)] {
            assert_eq!(number_of(text), Ok(number), "{text}");
        }
    }
}
