//! QEMU's helper as it judges (`parse_acl_file` and `main` of qemu-bridge-helper.c), for the fuzzer to hold against ours.
//!
//! Written from what that does and not from our reader, byte by byte as C does; it reads without a limit what ours has read.

use std::path::{Path, PathBuf};

use super::trusted::Unread;

/// Files, and whether the caller may read them.
pub(super) struct Files(Vec<(PathBuf, Option<String>)>);

impl Files {
    /// The first file, and behind it others, each after a line `>>> PATH` or, where the caller may not read it, `>>>! PATH`.
    pub(super) fn parse(first: &str, text: &str) -> Self {
        let mut parts = text.split("\n>>>");
        let mut files = vec![(first.into(), parts.next().map(str::to_owned))];
        files.extend(parts.map(|part| {
            let (head, text) = part.split_once('\n').unwrap_or((part, ""));
            let (path, denied) = head.strip_prefix('!').map_or((head, false), |path| (path, true));
            (path.trim().into(), (!denied).then(|| text.to_owned()))
        }));
        Self(files)
    }

    /// The text of a file.
    pub(super) fn load(&self, path: &Path) -> Result<String, Unread> {
        match self.0.iter().find(|(known, _)| known == path) {
            Some((_, Some(text))) => Ok(text.clone()),
            Some((_, None)) => Err(Unread::Denied),
            None => Err(Unread::Absent),
        }
    }

    /// Whether there is any that the caller may not read.
    pub(super) fn has_denied(&self) -> bool {
        self.0.iter().any(|(_, text)| text.is_none())
    }
}

/// What its list of rules says of a bridge.
#[derive(Default)]
struct Verdict {
    allowed: bool,
    denied: bool,
}

/// Whether it lets the caller join the bridge; `None` where it ends with an error.
pub(super) fn allow(files: &Files, first: &str, bridge: &str) -> Option<bool> {
    let mut verdict = Verdict::default();
    parse(files, Path::new(first), bridge.as_bytes(), &mut verdict)?;
    Some(verdict.allowed && !verdict.denied)
}

fn parse(files: &Files, path: &Path, bridge: &[u8], verdict: &mut Verdict) -> Option<()> {
    let text = files.load(path).ok()?;
    for line in text.as_bytes().split(|byte| *byte == b'\n') {
        let line = trim_start(until_zero(line));
        if matches!(line.first(), None | Some(b'#')) {
            continue;
        }
        let at = |separator| line.iter().position(|byte| *byte == separator);
        let at = at(b' ').or_else(|| at(b'\t'))?;
        let (command, argument) = line.split_at(at);
        let argument = trim_end(trim_start(argument.get(1..).unwrap_or_default()));
        let concerns = argument == b"all" || argument == bridge;
        match command {
            b"allow" => verdict.allowed |= concerns,
            b"deny" => verdict.denied |= concerns,
            // It goes on, whatever becomes of this.
            b"include" => _ = parse(files, Path::new(std::str::from_utf8(argument).ok()?), bridge, verdict),
            _ => return None,
        }
    }
    Some(())
}

/// A C string.
fn until_zero(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// `g_ascii_isspace`: no vertical tab.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0c | b'\r')
}

fn trim_start(text: &[u8]) -> &[u8] {
    let kept = text.iter().position(|byte| !is_space(*byte)).unwrap_or(text.len());
    text.get(kept..).unwrap_or_default()
}

fn trim_end(text: &[u8]) -> &[u8] {
    let kept = text.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    text.get(..kept).unwrap_or_default()
}
