//! `muster` once more: Cargo hands a test the programs of its own package alone.

use std::process::ExitCode;

use muster::cli;

fn main() -> ExitCode {
    runtime::init_crypto();
    match cli::run(cli::arguments()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}
