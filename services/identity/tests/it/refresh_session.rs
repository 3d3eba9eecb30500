use std::time::Duration;

use contract::identity::v1::{SessionRefreshReused, SessionState};
use serde_json::json;
use testkit::{App, assert_fault};

use crate::verbs::{Acts, Door, claims, identity, until};

async fn generation(app: &App) -> i64 {
    sqlx::query_scalar("SELECT generation FROM identity.session").fetch_one(&mut app.sql().await).await.unwrap()
}

#[tokio::test]
async fn a_refresh_token_is_traded_for_its_successor() {
    let app = identity().await;
    let ana = app.person("ana").await;
    app.clock().advance(Duration::from_mins(14));
    let second = app.refresh_session(&ana.tokens.refresh_token).await.unwrap();
    assert_ne!(second.refresh_token, ana.tokens.refresh_token);
    app.clock().advance(Duration::from_mins(14));
    assert_fault!(ana.get_user("").await, Unauthenticated, "TOKEN_EXPIRED");
    ana.with_token(&second.access_token).get_user("").await.unwrap();
    let third = app.refresh_session(&second.refresh_token).await.unwrap();
    app.refresh_session(&third.refresh_token).await.unwrap();
    assert_eq!(generation(&app).await, 4);
}

#[tokio::test]
async fn a_refresh_is_no_authentication() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let signed_in = app.now().unix_timestamp();
    app.clock().advance(Duration::from_mins(10));
    let second = app.refresh_session(&ana.tokens.refresh_token).await.unwrap();
    for token in [&ana.token, &second.access_token] {
        let claims = claims(token);
        assert_eq!((&claims["aal"], &claims["acr"], &claims["amr"]), (&json!(1), &json!("aal1"), &json!(["pwd"])));
        assert_eq!(claims["auth_time"], signed_in);
    }
}

#[tokio::test]
async fn who_lost_the_answer_gets_the_same_successor_byte_for_byte_for_thirty_seconds() {
    let app = identity().await;
    let first = app.person("ana").await.tokens;
    let second = app.refresh_session(&first.refresh_token).await.unwrap();
    app.clock().advance(Duration::from_secs(30));
    let again = app.refresh_session(&first.refresh_token).await.unwrap();
    assert_eq!(again.refresh_token, second.refresh_token);
    assert_eq!(again.refresh_token_expire_time, second.refresh_token_expire_time);
    app.refresh_session(&second.refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_token_used_after_its_successor_ends_the_session() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let first = &ana.tokens;
    let second = app.refresh_session(&first.refresh_token).await.unwrap();
    app.refresh_session(&second.refresh_token).await.unwrap();
    assert_fault!(app.refresh_session(&first.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_REUSED");
    is_over(&app, &ana, &second.refresh_token).await;
}

#[tokio::test]
async fn a_token_used_again_after_the_grace_ends_the_session() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let second = app.refresh_session(&ana.tokens.refresh_token).await.unwrap();
    app.clock().advance(Duration::from_secs(31));
    assert_fault!(app.refresh_session(&ana.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_REUSED");
    is_over(&app, &ana, &second.refresh_token).await;
}

/// Neither token of the session is good any more, and one event told of it.
async fn is_over(app: &App, ana: &crate::verbs::Person, newest: &str) {
    assert_fault!(app.refresh_session(newest).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    assert_fault!(app.refresh_session(&ana.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    until("the access token is refused", async || ana.get_user("").await.is_err()).await;
    assert_fault!(ana.get_user("").await, Unauthenticated, "TOKEN_REVOKED");
    let [reused] = app.events::<SessionRefreshReused>().await.try_into().unwrap();
    assert_eq!((&reused.session_id, reused.after.as_ref().unwrap().state()), (&ana.session.session_id, SessionState::Revoked));
    assert_eq!(reused.revocation.as_ref().unwrap().subject_id, ana.session.session_id);
}

#[tokio::test]
async fn of_fifty_refreshes_at_once_one_wins_and_all_get_what_it_won() {
    let app = identity().await;
    let first = app.person("ana").await.tokens.refresh_token;
    let answers = futures::future::join_all((0..50).map(|_| app.refresh_session(&first))).await;
    let successors: Vec<String> = answers.into_iter().map(|answer| answer.unwrap().refresh_token).collect();
    assert!(successors.iter().all(|successor| *successor == successors[0]));
    assert_eq!(generation(&app).await, 2, "one of them moved the session on");
    app.refresh_session(&successors[0]).await.unwrap();
    assert!(app.events::<SessionRefreshReused>().await.is_empty());
}

#[tokio::test]
async fn of_fifty_reuses_at_once_one_ends_the_session() {
    let app = identity().await;
    let first = app.person("ana").await.tokens.refresh_token;
    let second = app.refresh_session(&first).await.unwrap();
    app.refresh_session(&second.refresh_token).await.unwrap();
    for answer in futures::future::join_all((0..50).map(|_| app.refresh_session(&first))).await {
        let refused = answer.unwrap_err();
        let reason = testkit::fault::reason(&refused);
        // Whoever comes after the end finds a session that is over.
        assert!(["REFRESH_TOKEN_REUSED", "REFRESH_TOKEN_INVALID"].contains(&reason.as_str()), "{refused:?}");
    }
    assert_eq!(app.events::<SessionRefreshReused>().await.len(), 1);
}

#[tokio::test]
async fn a_tampered_refresh_token_is_none_and_ends_nothing() {
    let app = identity().await;
    let token = app.person("ana").await.tokens.refresh_token;
    for at in [0, 4, 5, 20, token.len() / 2, token.len() - 6, token.len() - 1] {
        let mut bytes = token.clone().into_bytes();
        bytes[at] ^= 1;
        let flipped = String::from_utf8(bytes).unwrap();
        assert_fault!(app.refresh_session(&flipped).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    }
    for cut in [1, 5, token.len() / 2, token.len() - 1] {
        assert_fault!(app.refresh_session(&token[..cut]).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    }
    assert_fault!(app.refresh_session("").await, InvalidArgument, "FIELD_VIOLATION");
    app.refresh_session(&token).await.unwrap();
}

#[tokio::test]
async fn a_session_that_idles_a_week_or_lasts_a_month_is_over() {
    let app = identity().await;
    let (idle, mut kept) = (app.person("ana").await.tokens.refresh_token, app.person("ben").await.tokens.refresh_token);
    for _ in 0..4 {
        app.clock().advance(Duration::from_hours(7 * 24) - Duration::from_secs(1));
        kept = app.refresh_session(&kept).await.unwrap().refresh_token;
    }
    assert_fault!(app.refresh_session(&idle).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    app.clock().advance(Duration::from_hours(2 * 24) + Duration::from_secs(4));
    assert_fault!(app.refresh_session(&kept).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    assert!(app.events::<SessionRefreshReused>().await.is_empty(), "what lapsed was not stolen");
}
