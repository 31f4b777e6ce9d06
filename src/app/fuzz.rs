//! What must hold of the helper's arguments, whatever they are.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::helper_call::{Call, PlaceName};
use crate::model::{IfName, NetworkName};

/// Arguments, one on each line: what was taken is whole and plain, and a refusal is one line that shows no bytes of them as
/// they are.
pub fn arguments(data: &[u8]) {
    let arguments: Vec<_> = data.split(|byte| *byte == b'\n').map(|bytes| OsString::from_vec(bytes.to_vec())).collect();
    match Call::read(&arguments) {
        Ok(call) => {
            let place = call.place.as_str();
            assert!(call.socket > libc::STDERR_FILENO, "{}", call.socket);
            assert!(is_plain(&call.place), "{place:?}");
            // Never cut: each value is an argument's, to its end.
            for value in [format!("--br={place}"), call.guest.as_ref().map(given_guest).unwrap_or_default()] {
                assert!(value.is_empty() || arguments.iter().any(|argument| *argument == *value), "{value:?}");
            }
            assert_eq!(Call::read(&written(&call)).ok(), Some(call));
        }
        Err(usage) => assert!(!usage.0.is_empty() && !usage.0.contains(char::is_control), "{:?}", usage.0),
    }
}

fn is_plain(place: &PlaceName) -> bool {
    let place = place.as_str();
    place.len() <= NetworkName::MAX
        && !place.is_empty()
        && !place.starts_with('-')
        && place.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn given_guest(guest: &IfName) -> String {
    format!("--guest={guest}")
}

/// The arguments of a call.
fn written(call: &Call) -> Vec<OsString> {
    let vnet = call.checksums.then(|| "--use-vnet".to_owned());
    let asked = [format!("--fd={}", call.socket), format!("--br={}", call.place.as_str())];
    vnet.into_iter().chain(asked).chain(call.guest.as_ref().map(given_guest)).map(OsString::from).collect()
}
