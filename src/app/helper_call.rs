//! What the helper is asked: QEMU's arguments, and ours.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;

use super::failure::Usage;
use crate::model::{IfName, Invalid};

/// What QEMU asks for where its command line names no bridge (`net/net.c`).
pub(super) const STANDARD_BRIDGE: &str = "br0";

pub(super) const USAGE: &str =
    "usage: vnet-bridge-helper [--use-vnet] --fd=N --br=NETWORK|BRIDGE [--guest=NAME], as QEMU runs its helper=";

/// More than there are options.
const MOST: usize = 8;

/// One run of the helper.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Whether each frame has a header before it that says which checksums are yet to be filled in.
    pub(super) checksums: bool,
    /// The socket over which the queue goes.
    pub(super) socket: RawFd,
    /// The name of a network or a bridge.
    pub(super) place: PlaceName,
    /// The guest file's name.
    pub(super) guest: Option<IfName>,
}

/// What may be a network's name, or a bridge's, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlaceName(String);

impl PlaceName {
    /// The most bytes that a network's name has; a bridge's has fewer.
    const MAX: usize = crate::model::NetworkName::MAX;

    fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        const RIGHT: &str = "a network's or bridge's name has letters, digits, '_', '.' and '-', and no '-' in front";
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty() && !text.starts_with('-'));
        match text.filter(|text| text.len() <= Self::MAX && text.bytes().all(|byte| is_plain(&byte))) {
            Some(text) => Ok(Self(text.to_owned())),
            None => Err(Invalid::new(Invalid::quote(bytes), RIGHT)),
        }
    }

    /// The name.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Call {
    /// Reads the arguments behind the program's own name. Each is given once.
    pub(super) fn read(arguments: &[OsString]) -> Result<Self, Usage> {
        if arguments.is_empty() || arguments.len() > MOST {
            return Err(Usage(USAGE.to_owned()));
        }
        let (mut checksums, mut socket, mut place, mut guest) = (None, None, None, None);
        for argument in arguments {
            let (name, value) = split(argument);
            let doubled = match (name, value) {
                (b"--use-vnet", None) => checksums.replace(true).is_some(),
                (b"--fd", Some(value)) => socket.replace(number(value)?).is_some(),
                (b"--br", Some(value)) => place.replace(PlaceName::from_bytes(value).map_err(invalid)?).is_some(),
                (b"--guest", Some(value)) => guest.replace(IfName::from_bytes(value).map_err(invalid)?).is_some(),
                _ => return Err(wrong(argument, "is no argument of the helper's")),
            };
            if doubled {
                return Err(wrong(argument, "is there already"));
            }
        }
        let (Some(socket), Some(place)) = (socket, place) else { return Err(Usage(USAGE.to_owned())) };
        Ok(Self { checksums: checksums.is_some(), socket, place, guest })
    }
}

/// `--name=value`
fn split(argument: &OsStr) -> (&[u8], Option<&[u8]>) {
    let bytes = argument.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=').and_then(|at| bytes.split_at_checked(at)) {
        Some((name, value)) => (name, value.get(1..)),
        None => (bytes, None),
    }
}

fn number(value: &[u8]) -> Result<RawFd, Usage> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| *number > libc::STDERR_FILENO);
    let quoted = || Invalid::quote(value);
    number.ok_or_else(|| Usage(format!("--fd={} is no number of an open socket above 2; {USAGE}", quoted())))
}

fn invalid(invalid: Invalid) -> Usage {
    Usage(format!("{invalid}; {USAGE}"))
}

fn wrong(argument: &OsStr, what: &str) -> Usage {
    Usage(format!("{} {what}; {USAGE}", Invalid::quote(argument.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Call, String> {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        Call::read(&arguments).map_err(|usage| usage.0)
    }

    #[test]
    fn qemus_arguments() {
        let call = read(&["--use-vnet", "--fd=27", "--br=lab"]).unwrap();
        assert_eq!((call.checksums, call.socket, call.place.as_str(), call.guest), (true, 27, "lab", None));
        let call = read(&["--guest=web0", "--br=my.lab-2", "--fd=3"]).unwrap();
        assert_eq!((call.checksums, call.guest), (false, Some("web0".parse().unwrap())));
    }

    #[test]
    fn all_else_is_refused_and_never_cut() {
        for arguments in [
            &[][..],
            &["--br=lab"],
            &["--fd=3"],
            &["--fd=3", "--br="],
            &["--fd=2", "--br=lab"],
            &["--fd=-1", "--br=lab"],
            &["--fd=+3", "--br=lab"],
            &["--fd=3x", "--br=lab"],
            &["--fd=4294967299", "--br=lab"],
            &["--fd=", "--br=lab"],
            &["--fd=3", "--br=lab", "--br=lab"],
            &["--fd=3", "--fd=3", "--br=lab"],
            &["--fd=3", "--br=lab", "--use-vnet", "--use-vnet"],
            &["--fd=3", "--br=lab", "--use-vnet=1"],
            &["--fd=3", "--br", "lab"],
            &["--fd=3", "--br=lab", "--guest"],
            &["--fd=3", "--br=lab", "--guest="],
            &["--fd=3", "--br=lab", "--guest=../x"],
            &["--fd=3", "--br=lab", "--guest=sixteen-bytes-00"],
            &["--fd=3", "--br=lab", "web0"],
            &["--fd=3", "--br=-lab"],
            &["--fd=3", "--br=br0:1"],
            &["--fd=3", "--br=br%d"],
            &["--fd=3", "--br=a/b"],
            &["--fd=3", "--br=a b"],
            &["--fd=3", "--br=a\nb"],
            &["--fd=3", "--br=b\u{fc}"],
            &["--fd=3", "--br=a-name-of-33-bytes-is-one-too-long"],
            &["a", "b", "c", "d", "e", "f", "g", "h", "i"],
        ] {
            let said = read(arguments).unwrap_err();
            assert!(said.contains("usage: vnet-bridge-helper"), "{arguments:?}: {said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
