//! The start of a short-lived program.
//!
//! Rust's own start prepares for threads and for a stack that overflows: a dozen system calls and pages, a tenth of
//! the hook's whole life. What of it the hook needs, it does itself in [`super::process`].
#![allow(unsafe_code)]

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;

/// Makes `$run`, a function of the arguments that returns the exit code, the program's `main`, with an arena for
/// memory.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        #[global_allocator]
        static ARENA: $crate::kernel::sys::arena::Arena = $crate::kernel::sys::arena::Arena::new();

        #[unsafe(no_mangle)]
        extern "C" fn main(
            count: ::core::ffi::c_int,
            arguments: *const *const ::core::ffi::c_char,
        ) -> ::core::ffi::c_int {
            ::core::ffi::c_int::from($run($crate::kernel::sys::entry::arguments(count, arguments)))
        }
    };
}

/// The arguments that the C library passes to `main`.
pub fn arguments(count: c_int, arguments: *const *const c_char) -> Vec<OsString> {
    (0..usize::try_from(count).unwrap_or_default()).map_while(|number| argument(arguments, number)).collect()
}

fn argument(arguments: *const *const c_char, number: usize) -> Option<OsString> {
    // SAFETY: the list has `argc` strings and a null behind them, and the number is less than that.
    let place = unsafe { arguments.add(number) };
    // SAFETY: the place is within the list.
    let text = unsafe { place.read() };
    if text.is_null() {
        return None;
    }
    // SAFETY: each is a string that ends with zero and lives as long as the process.
    let text = unsafe { CStr::from_ptr(text) };
    Some(OsString::from_vec(text.to_bytes().to_vec()))
}
