//! `vnet`, for people and units.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use vnet::app;

/// Networks for QEMU's guests: see what the hook would do, and whether its files are good.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Tell what is wrong with the network and guest files, line by line.
    ///
    /// Prints each problem as FILE:LINE: KEY: what is wrong; what would be right. Exits with 0, or with 78 when there
    /// is a problem.
    ///
    /// Example: vnet check
    Check {
        /// Only these networks' files; all files where none is named.
        #[arg(value_name = "NETWORK")]
        networks: Vec<OsString>,
    },
    /// Show what `vnet-ifup TAP` would do now, and change nothing.
    ///
    /// Example: vnet plan lab-web0
    Plan {
        /// The tap, which has to exist.
        tap: OsString,
        /// For programs.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where the terminal is gone there is nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let result = match arguments.verb {
        Verb::Check { networks } => app::check::run(&networks),
        Verb::Plan { tap, json } => app::plan::run(&tap, json),
    };
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => {
            let _ = writeln!(io::stderr(), "vnet: {error:#}");
            return app::exit_code(&error).into();
        }
    };
    match io::stdout().write_all(answer.text.as_bytes()) {
        // A reader that has seen enough, such as head, is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "vnet: cannot write: {error}");
            ExitCode::FAILURE
        }
        _ => answer.exit_code.into(),
    }
}
