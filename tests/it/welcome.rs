//! What `muster up` prints when it is ready, read by somebody who does what it says.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::story::Shell;

/// A running `muster up` and the three commands that its welcome says to try. Its output is closed when they were read, which does not end it.
async fn up(folder: &std::path::Path) -> (Child, Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster-again"));
    command.arg("up").arg("--folder").arg(folder).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    for name in muster::serve::SERVICES {
        command.args(["--set", &format!("{name}.port=0"), "--set", &format!("{name}.admin_port=0")]);
    }
    let mut process =
        ["DATABASE_URL", "NATS_URL", "REDIS_URL"].iter().fold(&mut command, |command, name| command.env_remove(name)).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let (mut commands, mut trying) = (Vec::new(), false);
    while let Some(line) = lines.next_line().await.unwrap() {
        match line.as_str() {
            "Try:" => trying = true,
            "" if trying => return (process, commands),
            line if trying => commands.push(line.to_owned()),
            _ => {}
        }
    }
    panic!("`muster up` ended without a word of what to try");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_commands_of_the_welcome_work() {
    let folder = tempfile::tempdir().unwrap();
    let (mut process, commands) = up(folder.path()).await;
    let mut shell = Shell::start().await;
    let [list, sign_in, status]: [String; 3] = commands.try_into().unwrap();
    let listed = shell.run(&list).await;
    assert!(listed.lines().any(|line| line == "muster.identity.v1.SessionService"), "{list}: {listed}");
    let signed_in = shell.run(&sign_in).await;
    assert!(signed_in.contains("\"accessToken\""), "{sign_in}: {signed_in}");
    let told = shell.run(&status).await;
    assert!(told.starts_with("service") && told.contains("\nidentity "), "{status}: {told}");
    shell.end().await;
    process.start_kill().unwrap();
    process.wait().await.unwrap();
}
