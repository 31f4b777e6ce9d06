//! QEMU's `/etc/qemu/bridge.conf`: the bridges that users may put guests on without being root.
//!
//! The form is that of QEMU's own helper (`parse_acl_file` in qemu-bridge-helper.c). Two things are not: that helper cuts
//! names and lines that are too long, and goes on without an include that it cannot read, so that a `deny` in it is lost.
//! Here whatever is not understood or cannot be read means no; but an include that the caller may not read, the advised way
//! to allow single users, only grants nothing itself, and takes from `allow all` what it might have denied.

use std::path::Path;

use super::problem::Problem;
use super::trusted::{Trusted, Unread};
use crate::model::{IfName, Invalid};

/// The file that QEMU's helper reads.
pub const BRIDGE_CONF: &str = "/etc/qemu/bridge.conf";

/// The deepest include: a file that includes itself ends here.
const DEEPEST: usize = 4;

/// The most files, the first included.
const MOST_FILES: usize = 64;

/// The longest line, in bytes, that QEMU's helper takes for one.
const LONGEST: usize = 4094;

/// What the files say, of all bridges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeRules {
    allowed: Vec<IfName>,
    denied: Vec<IfName>,
    /// All bridges are allowed.
    all: bool,
    /// All bridges are denied.
    none: bool,
    /// There is a file that the caller may not read.
    skipped: bool,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule<'t> {
    Allow(Bridges),
    Deny(Bridges),
    Include(&'t Path),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Bridges {
    All,
    One(IfName),
}

/// What was read so far.
struct Reading<L> {
    load: L,
    files: usize,
    rules: BridgeRules,
}

impl BridgeRules {
    /// What the file and its includes say.
    ///
    /// # Errors
    /// What means no to everybody, and has to be mended.
    pub fn read(first: &Path, files: &Trusted) -> Result<Self, Problem> {
        Self::load(first, |path| files.read(path))
    }

    /// The same, with the texts that `load` finds for the paths of files.
    ///
    /// # Errors
    /// As [`BridgeRules::read`].
    pub fn load(first: &Path, load: impl FnMut(&Path) -> Result<String, Unread>) -> Result<Self, Problem> {
        let mut reading = Reading { load, files: 0, rules: Self::default() };
        reading.read_first(first)?;
        Ok(reading.rules)
    }

    /// Whether guests may join the bridge that the kernel calls so.
    pub fn allow(&self, bridge: &IfName) -> bool {
        let denied = self.none || self.denied.contains(bridge);
        !denied && (self.allowed.contains(bridge) || (self.all && !self.skipped))
    }
}

impl<L: FnMut(&Path) -> Result<String, Unread>> Reading<L> {
    /// Without the first file nobody is allowed anything, which is no mistake.
    fn read_first(&mut self, path: &Path) -> Result<(), Problem> {
        match (self.load)(path) {
            Ok(text) => self.take(path, &text, 0),
            Err(Unread::Absent | Unread::Denied) => Ok(()),
            Err(Unread::Wrong(problem)) => Err(problem),
        }
    }

    fn take(&mut self, path: &Path, text: &str, depth: usize) -> Result<(), Problem> {
        for (number, line) in text.split('\n').enumerate() {
            let problem = |what: String| Problem { line: Some(number + 1), ..Problem::of_file(path, what) };
            match Rule::parse(line).map_err(|invalid| problem(invalid.to_string()))? {
                None => {}
                Some(Rule::Allow(Bridges::All)) => self.rules.all = true,
                Some(Rule::Allow(Bridges::One(name))) => self.rules.allowed.push(name),
                Some(Rule::Deny(Bridges::All)) => self.rules.none = true,
                Some(Rule::Deny(Bridges::One(name))) => self.rules.denied.push(name),
                Some(Rule::Include(file)) => self.include(file, depth + 1, problem)?,
            }
        }
        Ok(())
    }

    fn include(&mut self, file: &Path, depth: usize, problem: impl Fn(String) -> Problem) -> Result<(), Problem> {
        self.files += 1;
        if depth > DEEPEST {
            return Err(problem(format!(
                "includes files {depth} deep, and {DEEPEST} is the most; does one include itself?"
            )));
        }
        if self.files >= MOST_FILES {
            return Err(problem(format!("is the include of one file too many; {MOST_FILES} in all is the most")));
        }
        match (self.load)(file) {
            Ok(text) => self.take(file, &text, depth),
            Err(Unread::Denied) => {
                self.rules.skipped = true;
                Ok(())
            }
            Err(Unread::Absent) => {
                Err(problem(format!("includes {}, which is not there; write it, or remove the line", printable(file))))
            }
            Err(Unread::Wrong(wrong)) => Err(wrong),
        }
    }
}

impl<'t> Rule<'t> {
    /// What a line says; `None` for an empty one and for a comment.
    fn parse(line: &'t str) -> Result<Option<Self>, Invalid> {
        const RIGHT: &str = "say allow BRIDGE, deny BRIDGE or include FILE, with one space between";
        if line.len() > LONGEST {
            return Err(Invalid::new(format!("a line of {} bytes", line.len()), "QEMU reads 4094 and no more as one"));
        }
        let line = line.trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let quoted = || Invalid::quote(line.as_bytes());
        // Where there is a space, a tab before it is of the command: so QEMU reads it.
        let Some((command, argument)) = line.split_once(' ').or_else(|| line.split_once('\t')) else {
            return Err(Invalid::new(format!("{} has a single word", quoted()), RIGHT));
        };
        let argument = argument.trim_matches(is_blank);
        match command {
            "allow" => Bridges::parse(argument).map(|bridges| Some(Self::Allow(bridges))),
            "deny" => Bridges::parse(argument).map(|bridges| Some(Self::Deny(bridges))),
            // It is shown in what is said of that file.
            "include" if argument.contains(char::is_control) => {
                Err(Invalid::new(format!("{} holds control characters", quoted()), "give the file a plain name"))
            }
            "include" if argument.starts_with('/') => Ok(Some(Self::Include(Path::new(argument)))),
            "include" => Err(Invalid::new(
                format!("{} names no absolute path", quoted()),
                "QEMU may run the helper in any directory",
            )),
            _ => Err(Invalid::new(format!("{} is no rule", quoted()), RIGHT)),
        }
    }
}

impl Bridges {
    fn parse(text: &str) -> Result<Self, Invalid> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

/// What GLib's `g_ascii_isspace` takes for a blank: what C's does, but for the vertical tab.
const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r')
}

fn printable(path: &Path) -> String {
    Invalid::quote(path.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What files say of br0.
    #[derive(Debug, PartialEq)]
    enum Permission {
        Allowed,
        Denied,
        Broken(Problem),
    }

    fn judge_loaded(first: &Path, load: impl FnMut(&Path) -> Result<String, Unread>) -> Permission {
        match BridgeRules::load(first, load) {
            Err(problem) => Permission::Broken(problem),
            Ok(rules) if rules.allow(&"br0".parse().unwrap()) => Permission::Allowed,
            Ok(_) => Permission::Denied,
        }
    }

    /// What the first file and others, `name` and text, say of br0. A file without a text is one that may not be read, and
    /// one that is not here is not there.
    fn judge_files(first: &str, others: &[(&str, Option<&str>)]) -> Permission {
        judge_loaded(Path::new("/first"), |path| {
            let named = |(name, _): &&(&str, _)| Path::new(name) == path;
            match others.iter().find(named) {
                _ if path == Path::new("/first") => Ok(first.to_owned()),
                Some((_, Some(text))) => Ok((*text).to_owned()),
                Some((_, None)) => Err(Unread::Denied),
                None => Err(Unread::Absent),
            }
        })
    }

    fn judge(first: &str) -> Permission {
        judge_files(first, &[])
    }

    fn broken(first: &str, others: &[(&str, Option<&str>)]) -> String {
        match judge_files(first, others) {
            Permission::Broken(problem) => problem.to_string(),
            other => panic!("{first:?}: {other:?}"),
        }
    }

    #[test]
    fn what_is_not_allowed_is_denied_and_deny_wins() {
        for text in ["", "# allow br0", "allow br1", "allow br0x", "allow br", "allow BR0", "deny br1"] {
            assert_eq!(judge(text), Permission::Denied, "{text:?}");
        }
        for text in ["allow br0", "allow all", "deny br1\nallow br0", "allow all\ndeny br1\nallow br0"] {
            assert_eq!(judge(text), Permission::Allowed, "{text:?}");
        }
        for text in [
            "allow br0\ndeny br0",
            "deny br0\nallow br0",
            "allow br0\ndeny all",
            "deny all\nallow all",
            "allow all\ndeny br0",
        ] {
            assert_eq!(judge(text), Permission::Denied, "{text:?}");
        }
    }

    #[test]
    fn lines_are_read_as_qemu_reads_them() {
        for line in [
            "allow br0",
            " \t allow br0",
            "allow   br0",
            "allow\tbr0",
            "allow \t br0",
            "allow br0 \t ",
            "allow br0\r",
            "\n\n#x\nallow br0\n",
            "\r\nallow br0\r\n",
            "\x0callow br0\x0c",
            "#\nallow br0",
            "  # deny br0\nallow br0",
        ] {
            assert_eq!(judge(line), Permission::Allowed, "{line:?}");
        }
        for line in [
            // With a space anywhere that is where the line is split, so that the tab is the command's.
            "allow\tbr0 ",
            "allow",
            "allow ",
            "allow\t",
            "br0",
            "Allow br0",
            "permit br0",
            "allow br0 br1",
            "allow br0 # x",
            "allow=br0",
            "allow\x0bbr0",
            "\x0ballow br0",
            "allow br0\x0b",
            "allow\u{a0}br0",
            "\u{feff}allow br0",
            "allow br0\0",
            "allow -br0",
            "allow br%d",
            "allow br0:1",
            "allow a/b",
            "deny",
            "deny ",
            "deny sixteen-bytes-xx",
            "allow sixteen-bytes-xx",
            "allow ..",
            "allow default",
            "include",
            "include ",
            "include first",
            "include ./first",
            "include all",
            "include /a\x1b[2Jb",
            "include /a\0b",
        ] {
            let text = format!("allow br0\n{line}");
            let said = broken(&text, &[]);
            assert!(said.starts_with("/first:2: ") && !said.contains(char::is_control), "{said:?}");
        }
    }

    #[test]
    fn a_line_that_qemu_would_cut_in_two_is_refused() {
        let long = |length: usize| format!("#{}\nallow br0", "x".repeat(length - 1));
        assert_eq!(judge(&long(4094)), Permission::Allowed);
        assert_eq!(broken(&long(4095), &[]), "/first:1: a line of 4095 bytes; QEMU reads 4094 and no more as one");
    }

    #[test]
    fn an_include_counts_as_if_it_were_written_there() {
        let one = |text| [("/one", Some(text))];
        assert_eq!(judge_files("include /one", &one("allow br0")), Permission::Allowed);
        assert_eq!(judge_files("include /one", &one("")), Permission::Denied);
        assert_eq!(judge_files("include /one\nallow all", &one("deny br0")), Permission::Denied);
        assert_eq!(judge_files("include /one\nallow br0", &one("deny all")), Permission::Denied);
        let said = broken("allow br0\ninclude /one", &one("\nallow"));
        assert_eq!(
            said,
            "/one:2: \"allow\" has a single word; say allow BRIDGE, deny BRIDGE or include FILE, with one space between"
        );
    }

    #[test]
    fn an_include_that_the_caller_may_not_read_grants_nothing_and_allow_all_neither() {
        let denied = [("/bob", None), ("/alice", Some("allow br0"))];
        assert_eq!(judge_files("include /bob", &denied), Permission::Denied);
        assert_eq!(judge_files("allow all\ninclude /bob", &denied), Permission::Denied);
        assert_eq!(judge_files("include /bob\nallow all", &denied), Permission::Denied);
        assert_eq!(judge_files("include /bob\nallow br0", &denied), Permission::Allowed);
        assert_eq!(judge_files("include /bob\ninclude /alice", &denied), Permission::Allowed);
        assert_eq!(judge_files("include /bob\ninclude /alice\ndeny br0", &denied), Permission::Denied);
        let nested = [("/bob", None), ("/all", Some("include /bob\nallow all"))];
        assert_eq!(judge_files("include /all", &nested), Permission::Denied);
    }

    #[test]
    fn an_include_that_is_not_there_means_no() {
        let said = broken("allow br0\ninclude /gone\n", &[]);
        assert_eq!(said, "/first:2: includes \"/gone\", which is not there; write it, or remove the line");
    }

    #[test]
    fn a_file_that_is_wrong_means_no_whatever_else_is_said() {
        let wrong = Problem::of_file(Path::new("/one"), "has mode 0666");
        let judged = |first: &str| {
            judge_loaded(Path::new("/first"), |path| match path.to_str() {
                Some("/first") => Ok(first.to_owned()),
                _ => Err(Unread::Wrong(wrong.clone())),
            })
        };
        assert_eq!(judged("allow br0\ninclude /one"), Permission::Broken(wrong.clone()));
        let first = |unread: Unread| judge_loaded(Path::new("/first"), |_| Err(unread.clone()));
        assert_eq!(first(Unread::Wrong(wrong.clone())), Permission::Broken(wrong.clone()));
        assert_eq!((first(Unread::Absent), first(Unread::Denied)), (Permission::Denied, Permission::Denied));
    }

    #[test]
    fn includes_are_four_deep_and_a_loop_ends_there() {
        let chain: Vec<_> = (1..=5).map(|depth| (format!("/{depth}"), format!("include /{}", depth + 1))).collect();
        let files = |last: usize| -> Vec<(&str, Option<&str>)> {
            let text = |at: usize, text| if at + 1 == last { "allow br0" } else { text };
            chain.iter().enumerate().map(|(at, (name, line))| (name.as_str(), Some(text(at, line)))).collect()
        };
        assert_eq!(judge_files("include /1", &files(4)), Permission::Allowed);
        let too_deep = "includes files 5 deep, and 4 is the most; does one include itself?";
        assert_eq!(broken("include /1", &files(5)), format!("/4:1: {too_deep}"));
        assert_eq!(broken("allow br0\ninclude /first", &[]), format!("/first:2: {too_deep}"));
        let two = [("/one", Some("include /two")), ("/two", Some("include /one"))];
        assert_eq!(broken("allow br0\ninclude /one", &two), format!("/two:1: {too_deep}"));
    }

    #[test]
    fn files_are_64_at_most_so_that_a_wide_tree_ends() {
        let first = |includes: usize| "include /one\n".repeat(includes) + "allow br0";
        assert_eq!(judge_files(&first(63), &[("/one", Some(""))]), Permission::Allowed);
        let too_many = "is the include of one file too many; 64 in all is the most";
        assert_eq!(broken(&first(64), &[("/one", Some(""))]), format!("/first:64: {too_many}"));
        // 20 to the fourth, were there no end.
        let wide = "include /wide\n".repeat(20);
        let mut loads = 0;
        judge_loaded(Path::new("/wide"), |_| {
            loads += 1;
            Ok(wide.clone())
        });
        assert!(loads <= 64, "{loads}");
    }
}
