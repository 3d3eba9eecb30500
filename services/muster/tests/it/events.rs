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
        let mut process = suite.start(&SERVICES, &[]);
        for service in SERVICES {
            suite.ready(&mut process, service).await;
        }
        suite.seed().await;

        let status = said(&suite.muster(&["events", "status"]));
        for word in SCHEMAS.into_iter().map(|(service, ..)| service).chain(["outbox", "published", "leader", "assignments"]) {
            assert!(status.contains(word), "{word} is missing in: {status}");
        }
        let list = said(&suite.muster(&["events", "list", "--service", "identity", "--from", "1", "--json"]));
        let first: serde_json::Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
        assert_eq!((&first["service"], &first["position"]), (&"identity".into(), &1.into()), "{list}");
        assert!(list.contains("muster.identity.v1.UserVerified") && !list.contains(muster::seed::PEOPLE[0].0), "{list}");

        assert_eq!(dead(&suite, 0).await, Vec::<String>::new());
        publish_garbage(&suite.nats_url());
        let letter = dead(&suite, 1).await.remove(0);
        said(&suite.muster(&["events", "replay", &letter, "--service", "audit"]));
        let again = dead(&suite, 1).await.remove(0);
        said(&suite.muster(&["events", "drop", &again, "--service", "audit"]));
        assert_eq!(dead(&suite, 0).await, Vec::<String>::new());

        let unknown = suite.muster(&["events", "drop", &again, "--service", "audit"]);
        assert!(!unknown.status.success() && text(&unknown.stderr).contains("dead letter"), "{}", text(&unknown.stderr));
        let unnamed = suite.muster(&["events", "drop", &again]);
        assert!(!unnamed.status.success() && text(&unnamed.stderr).contains("--service"), "{}", text(&unnamed.stderr));
        drop(process);
        suite.stop().await;
    });
}
