//! `muster`: one binary, a subcommand for each way to use the suite.

mod cli;
mod config;
mod events;
mod migrate;
mod seed;
mod serve;
mod table;
mod up;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    runtime::init_crypto();
    match cli::run(cli::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}
