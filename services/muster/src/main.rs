//! `muster`: one binary, a subcommand for each way to use the suite.

use std::process::ExitCode;

use muster::cli;

fn main() -> ExitCode {
    runtime::init_crypto();
    match cli::run(cli::arguments()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}
