//! `muster-devstack <folder> [--port <n>] [--durable]`: the three servers on a folder, until SIGINT or SIGTERM.
//!
//! It prints one line for each server (name, pid, URL), a line when the folder was moved, and then `ready`. The tests of this crate kill it
//! in every way there is; by hand it is the stack without the suite.
#![expect(clippy::print_stdout, reason = "the lines are the interface")]

use devstack::{Options, Stack};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stack = match Stack::start(options()?).await {
        Ok(stack) => stack,
        Err(error) => {
            println!("error {error}");
            std::process::exit(1);
        }
    };
    let urls = [stack.postgres_url("postgres", "postgres"), stack.nats_url(), stack.redis_url()];
    for ((name, pid), url) in stack.pids().into_iter().zip(urls) {
        println!("{name} {pid} {url}");
    }
    if let Some(moved) = stack.moved() {
        println!("moved {} {}: {}", moved.from.display(), moved.to.display(), moved.why);
    }
    println!("ready");
    tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
    stack.stop().await;
    Ok(())
}

fn options() -> Result<Options, Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: muster-devstack <folder> [--port <n>] [--durable]")?;
    let mut options = Options { durable: false, address: "127.0.0.1:7103".to_owned(), ..Options::at(dir) };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--durable" => options.durable = true,
            "--port" => options.postgres_port = Some(args.next().ok_or("--port needs a number")?.parse()?),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(options)
}
