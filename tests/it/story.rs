//! The stories of the READMEs, executed: each command by a shell, each call through server reflection, each answer held against what is shown.
//!
//! `grpcurl` is `src/bin/reflected.rs`, or the program that the variable GRPCURL names, and `oathtool` is `src/bin/authenticator.rs`, or what
//! OATHTOOL names. Between two commands the suite comes to rest: whoever types is slower than the event log.

use std::{fs, process::Stdio, time::Duration};

use muster_tests::{Suite, root};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

/// One command and the answer that the README shows for it; `None` for a command that shows none.
struct Step {
    command: String,
    shown: Option<String>,
}

/// The steps of the section `heading`: in its `sh` blocks, lines that begin with `#>` show the answer to the lines before.
fn steps(readme: &str, heading: &str) -> Vec<Step> {
    let story = readme.split(&format!("\n## {heading}\n")).nth(1).and_then(|rest| rest.split("\n## ").next());
    let story = story.unwrap_or_else(|| panic!("no section {heading}"));
    let mut steps: Vec<Step> = Vec::new();
    for block in story.split("```sh\n").skip(1) {
        let mut command = String::new();
        for line in block.split("\n```").next().unwrap_or_default().lines() {
            match line.strip_prefix("#>") {
                Some(shown) if command.is_empty() => {
                    let step = steps.last_mut().expect("an answer follows its command");
                    step.shown.get_or_insert_default().push_str(&format!("\n{shown}"));
                }
                Some(shown) => steps.push(Step { command: std::mem::take(&mut command), shown: Some(shown.to_owned()) }),
                None => command.push_str(&format!("{line}\n")),
            }
        }
        if !command.trim().is_empty() {
            steps.push(Step { command, shown: None });
        }
    }
    steps
}

/// Whether `answer` is what is shown: the same but for white space, with anything in place of each `…`.
fn is_shown(shown: &str, answer: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, answer) = (words(shown), words(answer));
    let pieces: Vec<&str> = shown.split('…').map(str::trim).collect();
    let mut rest = answer.as_str();
    for (index, piece) in pieces.iter().enumerate() {
        let found = if index == 0 { rest.starts_with(piece).then_some(0) } else { rest.find(piece) };
        let Some(at) = found else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.is_empty() || pieces.len() > 1 && pieces.last().is_some_and(|last| answer.ends_with(last))
}

/// A shell that knows `grpcurl`.
pub(crate) struct Shell {
    process: Child,
    output: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Shell {
    pub(crate) async fn start() -> Shell {
        let program = |name, ours: &str| std::env::var(name).unwrap_or_else(|_| ours.to_owned());
        let mut process = Command::new("sh")
            .env("GRPCURL", program("GRPCURL", env!("CARGO_BIN_EXE_reflected")))
            .env("OATHTOOL", program("OATHTOOL", env!("CARGO_BIN_EXE_authenticator")))
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut shell = Shell { process, output };
        shell.run("exec 2>&1; grpcurl() { \"$GRPCURL\" \"$@\" </dev/null; }; oathtool() { \"$OATHTOOL\" \"$@\"; }").await;
        shell
    }

    /// Everything that `command` prints.
    pub(crate) async fn run(&mut self, command: &str) -> String {
        const END: &str = "@@ the end of a command @@";
        let line = format!("{command}\necho\necho '{END}'\n");
        self.process.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
        let mut printed = String::new();
        let reading = async {
            while let Some(line) = self.output.next_line().await.unwrap().filter(|line| line != END) {
                printed.push_str(&line);
                printed.push('\n');
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap_or_else(|_| panic!("no end of: {command}"));
        printed
    }

    /// Ends it, as end of file does.
    pub(crate) async fn end(mut self) {
        drop(self.process.stdin.take());
        self.process.wait().await.unwrap();
    }
}

/// Does what the section `heading` of `document` says, in which `places` stand for where things are in this suite.
async fn told(suite: &Suite, document: &str, heading: &str, places: &[(&str, String)]) {
    let mut text = fs::read_to_string(root().join(document)).unwrap();
    for (written, here) in places {
        assert!(text.contains(written), "{document} says {written}");
        text = text.replace(written, here);
    }
    let (steps, mut shell) = (steps(&text, heading), Shell::start().await);
    shell.run(&format!("export MUSTER__SUITE__KEY_DIRECTORY='{}'", suite.key_directory().display())).await;
    assert!(steps.iter().filter(|step| step.shown.is_some()).count() >= 20, "the story is told in many steps");
    for Step { command, shown } in steps {
        let answer = shell.run(&command).await;
        let shown = shown.unwrap_or_default();
        assert!(is_shown(&shown, &answer), "{document} shows\n{shown}\nfor\n{command}\nbut the answer is\n{answer}");
        suite.settle().await;
    }
    shell.end().await;
}

/// Where the READMEs say that the gateway answers.
const GATEWAY: &str = "127.0.0.1:8080";

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_the_readme_is_true() {
    // Whether a role is in force when it is answered depends on the machine; the story waits for it.
    let suite = Suite::start_with(|config| config.identity.own.propagation_wait_ms = 5_000).await;
    told(&suite, "README.md", "The story", &[(GATEWAY, suite.address("gateway").to_string())]).await;
    suite.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_readme_of_identity_shows_is_true() {
    let suite = Suite::start_with(|config| config.identity.own.propagation_wait_ms = 5_000).await;
    let places = [
        (GATEWAY, suite.address("gateway").to_string()),
        ("127.0.0.1:7101", suite.address("identity").to_string()),
        ("target/debug/muster", env!("CARGO_BIN_EXE_muster-again").to_owned()),
    ];
    told(&suite, "services/identity/README.md", "By hand", &places).await;
    suite.finish().await;
}

#[test]
fn an_answer_that_is_shown_otherwise_is_noticed() {
    let answer = "{\n  \"workItem\": {\n    \"key\": \"MUST-1\",\n    \"state\": \"DONE\"\n  }\n}\n";
    assert!(is_shown("{ \"workItem\": { \"key\": \"…\", \"state\": \"DONE\" } }", answer));
    assert!(is_shown("… \"state\": \"DONE\" …", answer));
    assert!(!is_shown("{ \"workItem\": { \"key\": \"…\", \"state\": \"OPEN\" } }", answer));
    assert!(!is_shown("{ \"workItem\": { \"key\": \"MUST-1\" } }", answer), "what is left out is marked");
    assert!(!is_shown("", answer), "a command that shows no answer has none");
}
