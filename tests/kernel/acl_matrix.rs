//! The cases of `tests/acl/matrix`, which says how it is read.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// Where the files of a case are.
pub const DIRECTORY: &str = "/etc/qemu";

/// Some files, and who joins what by them.
#[derive(Debug, Default)]
pub struct Case {
    pub name: String,
    /// QEMU's helper says the same.
    pub as_qemus: bool,
    parts: Vec<Part>,
    joins: Vec<String>,
}

/// A part of `/etc/qemu`.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    kind: Kind,
    mode: u32,
    owner: (u32, u32),
}

#[derive(Debug)]
enum Kind {
    File(String),
    Directory,
    Link(String),
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/acl/matrix");
    let mut cases = Vec::<Case>::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match (words.first().copied(), cases.last_mut()) {
            (None, _) => {}
            (Some(word), _) if word.starts_with('#') => {}
            (Some("case"), _) => cases.push(Case::begin(line)),
            (Some("|"), Some(case)) => case.add(line),
            (Some("joins"), Some(case)) => case.joins = words[1..].iter().map(|name| (*name).to_owned()).collect(),
            (Some(_), Some(case)) => case.parts.push(Part::parse(&words)),
            (Some(_), None) => panic!("nothing is a case before: {line}"),
        }
    }
    assert!(cases.len() > 30, "where is the matrix?");
    cases
}

impl Case {
    fn begin(line: &str) -> Self {
        let (title, _why) = line.split_once(": ").unwrap_or_else(|| panic!("no reason: {line}"));
        let name = title.strip_prefix("case ").unwrap();
        let plain = name.strip_suffix(" as QEMU's");
        Self { name: plain.unwrap_or(name).to_owned(), as_qemus: plain.is_some(), ..Self::default() }
    }

    fn add(&mut self, line: &str) {
        let Some(Part { kind: Kind::File(text), .. }) = self.parts.last_mut() else { panic!("in no file: {line}") };
        let line = line.strip_prefix('|').unwrap();
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }

    /// Whether who asks for this joins.
    pub fn joins(&self, column: &str) -> bool {
        self.joins.iter().any(|name| name == column)
    }

    /// Puts the files of the case below [`DIRECTORY`], and nothing else.
    pub fn lay_out(&self) {
        fs::remove_dir_all(DIRECTORY).unwrap();
        fs::create_dir(DIRECTORY).unwrap();
        fs::set_permissions(DIRECTORY, Permissions::from_mode(0o755)).unwrap();
        for part in &self.parts {
            match &part.kind {
                Kind::File(text) => fs::write(&part.path, text).unwrap(),
                Kind::Directory => fs::create_dir(&part.path).unwrap(),
                Kind::Link(target) => {
                    symlink(target, &part.path).unwrap();
                    continue;
                }
            }
            chown(&part.path, Some(part.owner.0), Some(part.owner.1)).unwrap();
            fs::set_permissions(&part.path, Permissions::from_mode(part.mode)).unwrap();
        }
    }
}

impl Part {
    fn parse(words: &[&str]) -> Self {
        let path = Path::new(DIRECTORY).join(words[1]);
        let mode = |standard| words.get(2).map_or(standard, |mode| u32::from_str_radix(mode, 8).unwrap());
        let owner = words.get(3).map_or((0, 0), |owner| {
            let (user, group) = owner.split_once(':').unwrap();
            (user.parse().unwrap(), group.parse().unwrap())
        });
        match words[0] {
            "file" => Self { path, kind: Kind::File(String::new()), mode: mode(0o644), owner },
            "directory" => Self { path, kind: Kind::Directory, mode: mode(0o755), owner },
            "link" => Self { path, kind: Kind::Link(words[2].to_owned()), mode: 0, owner: (0, 0) },
            other => panic!("nobody knows what {other} is"),
        }
    }
}
