//! The helper that QEMU runs as `helper=`: a tap for a user who is not root, on a network that the administrator allows.
//!
//! # Theory of operation
//!
//! Whoever runs it chose all that it inherits: arguments, environment, descriptors, limits, signals. In this order it
//!
//! 1. counts and reads its arguments;
//! 2. keeps the socket and standard input, output and error, and closes all other descriptors;
//! 3. forgets the environment, and sets umask, signals and limits to what it needs;
//! 4. becomes its caller, with `CAP_NET_ADMIN` and nothing else;
//! 5. reads the configuration, as its caller might, and only what root alone can change;
//! 6. opens what it will need, and gives up ever opening anything else ([`crate::kernel::sys::seccomp`]);
//! 7. looks at the bridge, makes the tap, guards and attaches it, sends its queue over the socket, and ends.
//!
//! It starts nothing, writes no file and takes no lock. What it changes is bound to the tap, and the tap to its queue.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};

use super::admission::admit;
use super::helper_call::{Call, USAGE};
use super::helper_failure::{Failed, Powerless, helper_exit_code};
use super::lending::lend;
use crate::kernel::Lender;
use crate::kernel::sys::caller::caller;
use crate::kernel::sys::unix_peer::UnixPeer;
use crate::kernel::sys::{capability, descriptors, inheritance, process, seccomp};

/// The program's name, before each line that it says.
const PROGRAM: &str = "vnet-bridge-helper";

/// The step of the first errors that a caller makes.
const TAKE_OVER: &str = "take over the socket";

/// Runs the helper with the process's arguments, and tells its exit code.
pub fn run(arguments: Vec<OsString>) -> u8 {
    process::panic_plainly();
    let arguments = arguments.get(1..).unwrap_or_default();
    if matches!(arguments, [only] if only == OsStr::new("--help")) {
        return if writeln!(io::stdout(), "{USAGE}").is_ok() { 0 } else { 1 };
    }
    match serve(arguments) {
        Ok(notes) => {
            notes.iter().for_each(|note| tell(note));
            0
        }
        Err(error) => {
            tell(&format!("{error:#}"));
            helper_exit_code(&error)
        }
    }
}

fn serve(arguments: &[OsString]) -> anyhow::Result<Vec<String>> {
    let call = Call::read(arguments)?;
    let socket = descriptors::keep_only(call.socket).map_err(Failed::at(TAKE_OVER))?;
    inheritance::reset().map_err(Failed::at("start"))?;
    capability::keep_net_admin_only().map_err(|error| match error.is_denied() {
        true => anyhow::Error::from(Powerless(error)),
        false => Failed::at("give up all other privileges")(error).into(),
    })?;
    let peer = UnixPeer::of(socket).map_err(Failed::at(TAKE_OVER))?;
    let caller = caller().map_err(Failed::at("learn who asks"))?;
    let admission = admit(&call, &caller)?;
    let mut lender = Lender::open(admission.is_guarded()).map_err(|error| admission.failed_to_begin(error))?;
    seccomp::filter_install().map_err(Failed::at("give up what is not needed"))?;
    let lent = lend(&call, &admission, &mut lender, &peer);
    // The process ends here, and the kernel closes what it has open: one call less for each.
    std::mem::forget((lender, peer));
    lent
}

fn tell(text: &str) {
    process::tell_without_waiting(&format!("{PROGRAM}: {text}\n"));
}
