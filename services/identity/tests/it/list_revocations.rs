use std::time::Duration;

use contract::identity::v1::revocation_service_client::RevocationServiceClient;
use contract::identity::v1::{ListRevocationsRequest, WatchRevocationsRequest, WatchRevocationsResponse};
use identity::config::Config;
use testkit::assert_fault;
use tonic::Streaming;

use crate::verbs::{Acts, Door, Watches, address, identity, identity_with, quick};

/// The next message that tells of something, and that each message on the way joins on to the one before.
async fn next_news(stream: &mut Streaming<WatchRevocationsResponse>, position: &mut i64) -> WatchRevocationsResponse {
    loop {
        let message = stream.message().await.unwrap().unwrap();
        assert_eq!(message.previous_position, *position, "a message is missing");
        assert!(message.position >= *position);
        *position = message.position;
        if !message.revocations.is_empty() {
            return message;
        }
    }
}

#[tokio::test]
async fn a_watch_goes_on_from_the_snapshot_and_misses_nothing() {
    let app = identity().await;
    let (first, second) = (app.person("ana").await, app.sign_in(&address("ana")).await);
    first.revoke_session("").await.unwrap();
    app.settled().await;
    let snapshot = app.revocations().list().await.unwrap();
    let revoked: Vec<&str> = snapshot.revocations.iter().map(|revocation| revocation.subject_id.as_str()).collect();
    assert_eq!(revoked, [first.session.session_id.as_str()]);

    let mut position = snapshot.position;
    let mut stream = app.revocations().watch(position).await.unwrap();
    second.revoke_session("").await.unwrap();
    let news = next_news(&mut stream, &mut position).await;
    assert_eq!(news.revocations[0].subject_id, second.session.session_id);
    assert_eq!(app.revocations().list().await.unwrap().revocations.len(), 2);

    let (mut from_the_start, mut position) = (app.revocations().watch(0).await.unwrap(), 0);
    for session in [&first.session, &second.session] {
        let news = next_news(&mut from_the_start, &mut position).await;
        assert_eq!(news.revocations[0].subject_id, session.session_id);
    }
}

#[tokio::test]
async fn a_watch_without_news_has_a_heartbeat() {
    let app = identity().await;
    app.person("ana").await;
    app.settled().await;
    let position = app.revocations().list().await.unwrap().position;
    let mut stream = app.revocations().watch(position).await.unwrap();
    for _ in 0..3 {
        let message = stream.message().await.unwrap().unwrap();
        assert_eq!((message.previous_position, message.position, message.revocations.len()), (position, position, 0));
    }
}

#[tokio::test]
async fn a_position_that_the_log_does_not_reach_wants_a_snapshot() {
    let app = identity().await;
    app.person("ana").await;
    app.settled().await;
    assert_fault!(app.revocations().watch(1_000).await, OutOfRange, "RESUME_TOKEN_EXPIRED");
    sqlx::query("DELETE FROM identity.event WHERE position <= 2").execute(&mut app.sql().await).await.unwrap();
    assert_fault!(app.revocations().watch(1).await, OutOfRange, "RESUME_TOKEN_EXPIRED");
    app.revocations().watch(2).await.unwrap();
    assert_fault!(app.revocations().watch(-1).await, InvalidArgument, "FIELD_VIOLATION");
}

#[tokio::test]
async fn a_revocation_is_forgotten_when_no_token_it_could_match_lives() {
    let app = identity().await;
    app.person("ana").await.revoke_session("").await.unwrap();
    app.clock().advance(Duration::from_mins(15));
    assert_eq!(app.revocations().list().await.unwrap().revocations.len(), 1, "a verifier's clock may be behind");
    app.clock().advance(Duration::from_mins(1));
    assert!(app.revocations().list().await.unwrap().revocations.is_empty());
    app.retention_round().await;
    app.clock().advance(Duration::from_secs(1));
    app.retention_round().await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM identity.revocation").fetch_one(&mut app.sql().await).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_revocation_outlives_tokens_that_were_issued_under_a_longer_setting() {
    let app = identity_with(Config { access_token_seconds: 60, ..quick() }).await;
    app.person("ana").await.revoke_session("").await.unwrap();
    app.clock().advance(Duration::from_mins(15));
    assert_eq!(app.revocations().list().await.unwrap().revocations.len(), 1);
}

#[tokio::test]
async fn a_snapshot_fills_one_message_and_one_more_is_refused_rather_than_left_out() {
    let app = identity().await;
    let filled =
        "INSERT INTO identity.revocation SELECT 1, gen_random_uuid(), $1, $1 + interval '16 minutes' FROM generate_series(1, 59000)";
    let now = app.now() + time::Duration::nanoseconds(123_456_000);
    sqlx::query(filled).bind(now).execute(&mut app.sql().await).await.unwrap();
    assert_eq!(app.revocations().list().await.unwrap().revocations.len(), 59_000);
    app.person("ana").await.revoke_session("").await.unwrap();
    assert_fault!(app.revocations().list().await, ResourceExhausted, "OVERLOADED");
}

#[tokio::test]
async fn only_services_hear_of_revocations() {
    let app = identity().await;
    let ana = app.person("ana").await;
    for channel in [app.anonymous().channel(), ana.channel()] {
        let mut client = RevocationServiceClient::new(channel);
        assert_fault!(client.list_revocations(ListRevocationsRequest {}).await, Unauthenticated, "PEER_TOKEN_INVALID");
        let watch = client.watch_revocations(WatchRevocationsRequest { from_position: 0 }).await;
        assert_fault!(watch, Unauthenticated, "PEER_TOKEN_INVALID");
    }
}
