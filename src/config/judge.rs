//! Reads the values of one file, and collects what is wrong with them.

use std::net::IpAddr;
use std::str::FromStr;

use super::json::{self, Value};
use super::problem::Problem;
use super::store::Source;
use crate::model::{Address, Invalid, Subnet};

/// The keys that each object of a file may have, by the object's own key without the numbers of lists.
pub(super) type Known = &'static [(&'static str, &'static [&'static str])];

/// A file, and what was found wrong with it so far.
pub(super) struct Judge<'s> {
    source: &'s Source,
    values: Vec<Value<'s>>,
    pub problems: Vec<Problem>,
}

impl<'s> Judge<'s> {
    /// Reads a file that is JSON and has no unknown and no doubled keys.
    pub fn open(source: &'s Source, known: Known) -> Result<Self, Vec<Problem>> {
        let values = json::values(source).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        for (at, value) in values.iter().enumerate() {
            let Some(what) = misplaced(&values, at, known) else { continue };
            let line = Some(json::line_at(&source.text, value.raw));
            let (key, what) = (json::printable(&value.key), json::printable(&what));
            problems.push(Problem { line, key, ..Problem::of_file(&source.path, what) });
        }
        if problems.is_empty() { Ok(Self { source, values, problems }) } else { Err(problems) }
    }

    /// Notes what is wrong with a key, and what would be right.
    pub fn refuse(&mut self, key: &str, what: String) {
        self.problems.push(self.source.problem(key, what));
    }

    /// Whether the key is given.
    pub fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// Whether the key is given as a text.
    pub fn is_text(&self, key: &str) -> bool {
        self.raw(key).is_some_and(|raw| raw.starts_with('"'))
    }

    /// Whether the key is given as a list.
    pub fn is_list(&self, key: &str) -> bool {
        self.raw(key).is_some_and(|raw| raw.starts_with('['))
    }

    /// Whether the key is given as a value that begins like this; another value is refused.
    pub fn begins(&mut self, key: &str, start: char, expected: &str) -> bool {
        match self.raw(key) {
            Some(raw) if raw.starts_with(start) => true,
            Some(raw) => {
                self.refuse(key, mismatch(raw, expected));
                false
            }
            None => false,
        }
    }

    /// The text of a key.
    pub fn text(&mut self, key: &str, expected: &str) -> Option<String> {
        if !self.begins(key, '"', expected) {
            return None;
        }
        match serde_json::from_str::<String>(self.raw(key)?) {
            Ok(text) => Some(text),
            Err(error) => {
                let said = error.to_string();
                let said = said.split(" at line ").next().unwrap_or_default();
                self.refuse(key, format!("this is no JSON: {said}"));
                None
            }
        }
    }

    /// What the text of a key stands for.
    pub fn value<T: FromStr<Err = Invalid>>(&mut self, key: &str, expected: &str) -> Option<T> {
        match self.text(key, expected)?.parse() {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.refuse(key, invalid.to_string());
                None
            }
        }
    }

    /// What the texts of a list stand for.
    pub fn list<T: FromStr<Err = Invalid>>(&mut self, key: &str, list: &str, expected: &str) -> Option<Vec<T>> {
        let count = self.count(key, list)?;
        Some((0..count).filter_map(|number| self.value(&format!("{key}[{number}]"), expected)).collect())
    }

    /// How many values a list has.
    pub fn count(&mut self, key: &str, expected: &str) -> Option<usize> {
        let of_list = |value: &&Value<'_>| value.key.strip_prefix(key).is_some_and(is_number);
        self.begins(key, '[', expected).then(|| self.values.iter().filter(of_list).count())
    }

    /// The whole number of a key.
    pub fn number(&mut self, key: &str, expected: &str) -> Option<i64> {
        let raw = self.raw(key)?;
        let is_whole = |c: char| c.is_ascii_digit() || c == '-';
        if raw.chars().all(is_whole) {
            // What is beyond is as wrong as the greatest.
            return Some(raw.parse().unwrap_or(i64::MAX));
        }
        self.refuse(key, mismatch(raw, expected));
        None
    }

    /// Whether a key is on.
    pub fn flag(&mut self, key: &str) -> Option<bool> {
        let raw = self.raw(key)?;
        if !matches!(raw, "true" | "false") {
            self.refuse(key, mismatch(raw, "true or false"));
        }
        Some(raw == "true")
    }

    fn raw(&self, key: &str) -> Option<&'s str> {
        self.values.iter().find(|value| value.key == key).map(|value| value.raw)
    }
}

/// Why a value's key may not stand where it does.
fn misplaced(values: &[Value<'_>], at: usize, known: Known) -> Option<String> {
    let value = values.get(at)?;
    let (holder, name) = value.key.split_at_checked(value.name?)?;
    let holder = holder.strip_suffix('.').unwrap_or(holder);
    let is_holder = |known: &str| holder == known || holder.strip_prefix(known).is_some_and(is_number);
    // Where no object belongs it is refused as a whole, as soon as it is read.
    let (_, names) = known.iter().find(|(known, _)| is_holder(known))?;
    if !names.contains(&name) {
        let one_of = if names.len() > 2 { "one of " } else { "" };
        let between = if names.len() > 2 { "`, `" } else { "` or `" };
        return Some(format!("unknown field `{name}`; expected {one_of}`{}`", names.join(between)));
    }
    let doubled = values.iter().take(at).any(|other| other.key == value.key);
    doubled.then(|| format!("duplicate field `{name}`; keep one of them"))
}

/// Whether it is `[` digits `]`.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Why a value is not what was expected.
fn mismatch(raw: &str, expected: &str) -> String {
    let found = match raw.as_bytes().first() {
        Some(b'{') => "map".to_owned(),
        Some(b'[') => "sequence".to_owned(),
        Some(b'n') => "null".to_owned(),
        Some(b'"') => format!("string {}", Invalid::quote(raw.trim_matches('"').as_bytes())),
        Some(b't' | b'f') => format!("boolean `{raw}`"),
        _ if raw.contains(['.', 'e', 'E']) => format!("floating point `{raw:.40}`"),
        _ => format!("integer `{raw:.40}`"),
    };
    format!("invalid type: {found}; expected {expected}")
}

/// Why no guest can have an address on a network that has these, and what would be right.
pub(super) fn unfit(ip: IpAddr, addresses: &[Address]) -> Option<(String, &'static str)> {
    if addresses.iter().any(|address| address.ip == ip) {
        return Some((format!("{ip} is the network's own address"), "give the guest's"));
    }
    let subnets = || addresses.iter().map(|address| Subnet::from(*address));
    let Some(subnet) = subnets().find(|subnet| subnet.contains(ip)) else {
        let subnets: Vec<_> = subnets().map(|subnet| subnet.to_string()).collect();
        return Some((format!("{ip} lies outside of the network's {}", subnets.join(" and ")), "give one inside"));
    };
    let end = if ip == subnet.first() {
        "number"
    } else if ip.is_ipv4() && ip == subnet.last() {
        "broadcast address"
    } else {
        return None;
    };
    Some((format!("{ip} is the {end} of the subnet {subnet}"), "give one between its ends"))
}
