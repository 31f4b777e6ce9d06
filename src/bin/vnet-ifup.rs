//! QEMU's `script=`, and as the link `vnet-ifdown` its `downscript=`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vnet::app::hook::run(std::env::args_os()).into()
}
