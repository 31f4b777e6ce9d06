//! Whether the process was started with more privileges than its caller has.
#![allow(unsafe_code)]

/// Whether the kernel raised this process's privileges at its start (setuid, setgid or file capabilities), so that
/// its environment is another's.
pub fn were_raised() -> bool {
    // SAFETY: reads a value that the kernel put beside the environment.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
