//! A PostgreSQL for whoever needs one for a moment: prints the superuser's URL, and runs until it is killed. Its data go with it.
#![expect(clippy::print_stdout, reason = "the URL is what this program is for")]

use devstack::{Options, Stack};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let stack = Stack::start(Options { nats: false, redis: false, ..Options::temporary() }).await?;
    println!("{}", stack.postgres_url("postgres", "postgres"));
    tokio::select! { _ = terminate.recv() => {} ended = tokio::signal::ctrl_c() => ended? }
    stack.stop().await;
    Ok(())
}
