//! `muster events` as an operator types it, beside a running suite.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Output,
};

use muster::{migrate::SCHEMAS, serve::SERVICES};
use tokio::time::{Instant, sleep};

use crate::suite::{AT_MOST, PERIOD, Suite};
use crate::up::alone;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What the command says when it goes well.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// What a command answers with `--json`.
fn document(said: &str) -> serde_json::Value {
    assert_eq!(said.lines().count(), 1, "one document: {said}");
    said.parse().unwrap()
}

/// Puts something into the stream that no service made.
fn publish_garbage(nats: &str) {
    let mut stream = TcpStream::connect(nats.strip_prefix("nats://").unwrap()).unwrap();
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nPUB muster.tasks.v1.garbage 7\r\ngarbage\r\nPING\r\n").unwrap();
    let (mut answer, mut some) = (String::new(), [0; 1024]);
    while !answer.contains("PONG") {
        let read = stream.read(&mut some).unwrap();
        assert_ne!(read, 0, "the bus hung up: {answer}");
        answer.push_str(&text(&some[..read]));
    }
}

/// The ids in what `muster events dead` says.
fn letters(dead: &str) -> Vec<String> {
    dead.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}

/// The dead letters of audit, once there are `count`.
async fn dead(suite: &Suite, count: usize) -> Vec<String> {
    let began = Instant::now();
    loop {
        let said = said(&suite.muster(&["events", "dead", "--service", "audit"]));
        let letters = letters(&said);
        if letters.len() == count {
            return letters;
        }
        assert!(began.elapsed() < AT_MOST, "{count} dead letters are expected: {said}");
        sleep(PERIOD).await;
    }
}

#[test]
fn an_operator_sees_the_logs_and_deals_with_dead_letters() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let suite = Suite::new().await;
        let process = suite.serve(&SERVICES, &[]).await;
        suite.seed().await;

        let status = said(&suite.muster(&["events", "status"]));
        for word in SCHEMAS.into_iter().map(|(service, ..)| service).chain(["outbox", "published", "leader", "assignments"]) {
            assert!(status.contains(word), "{word} is missing in: {status}");
        }
        let status = document(&said(&suite.muster(&["events", "status", "--json"])));
        assert_eq!(status["services"].as_array().unwrap().len(), SCHEMAS.len(), "{status}");
        assert!(status["services"][0]["head_position"].as_i64().unwrap() > 0, "{status}");
        let list = said(&suite.muster(&["events", "list", "--service", "identity", "--from", "1", "--json"]));
        let first = &document(&list)["events"][0];
        assert_eq!((&first["service"], &first["position"]), (&"identity".into(), &1.into()), "{list}");
        assert!(list.contains("muster.identity.v1.UserVerified") && !list.contains(muster::seed::PEOPLE[0].0), "{list}");

        assert_eq!(dead(&suite, 0).await, Vec::<String>::new());
        publish_garbage(&suite.nats_url());
        let letter = dead(&suite, 1).await.remove(0);
        let replayed = said(&suite.muster(&["events", "replay", &letter, "--service", "audit", "--json"]));
        assert_eq!(document(&replayed)["replayed"], serde_json::json!([letter]));
        dead(&suite, 1).await;
        publish_garbage(&suite.nats_url());
        let all = dead(&suite, 2).await;
        assert_eq!(said(&suite.muster(&["events", "drop", "--all", "--service", "audit"])), "2 dropped\n");
        assert_eq!(dead(&suite, 0).await, Vec::<String>::new());

        let unknown = suite.muster(&["events", "drop", &all[0], "--service", "audit"]);
        let complaint = format!("muster: audit: {}, after 0 dropped: DEAD_LETTER_NOT_FOUND: no such dead letter\n", all[0]);
        assert_eq!((unknown.status.code(), text(&unknown.stderr)), (Some(1), complaint));
        let unnamed = suite.muster(&["events", "drop", &all[0]]);
        assert!(!unnamed.status.success() && text(&unnamed.stderr).contains("--service"), "{}", text(&unnamed.stderr));
        drop(process);
        suite.stop().await;
    });
}
