//! What the access log tells of a call.

use muster_tests::{Suite, telemetry, text};
use serde_json::{Value, json};

/// The lines of the access log about calls of `method`.
fn lines(method: &str) -> Vec<Value> {
    let log = telemetry::log();
    let lines = log.lines().filter_map(|line| line.parse::<Value>().ok());
    lines.filter(|line| line["target"] == "access" && line["method"] == method && line["message"] == "call").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_names_who_called_in_which_session_and_how_it_ended() {
    let suite = Suite::start().await;
    let ana = suite.sign_in("ana").await;
    let revoked = ana.call("identity.SessionService/RevokeSession", json!({})).await.unwrap();
    suite.finish().await;
    let session = text(&revoked, "session.sessionId");
    let lines = lines("muster.identity.v1.SessionService/RevokeSession");
    let line = lines.iter().find(|line| line["session"] == session.as_str()).unwrap_or_else(|| panic!("{session} is in none of {lines:?}"));
    assert_eq!((&line["actor"], &line["outcome"]), (&json!(ana.user_id), &json!("OK")));
    assert!(line["duration_ms"].is_number() && line["request_id"].is_string(), "{line}");
}
