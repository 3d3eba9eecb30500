//! What is said of a token, and how one is ended by who holds it.

use std::time::Duration;

use contract::identity::v1::token_service_client::TokenServiceClient;
use contract::identity::v1::{IntrospectTokenRequest, IntrospectTokenResponse, RevokeTokenRequest, SessionRevoked, TokenType};
use identity::Config;
use identity::key::Algorithm;
use sqlx::Connection;
use testkit::{App, assert_fault};
use tonic::Status;

use crate::verbs::{Acts, Door, Waits, address, claims, identity, identity_with, quick, until};

async fn introspect(app: &App, token: &str) -> Result<IntrospectTokenResponse, Status> {
    let request = IntrospectTokenRequest { token: token.to_owned() };
    Ok(TokenServiceClient::new(app.service("tasks").channel()).introspect_token(request).await?.into_inner())
}

async fn revoke(app: &App, token: &str) -> Result<(), Status> {
    let request = RevokeTokenRequest { token: token.to_owned() };
    TokenServiceClient::new(app.anonymous().channel()).revoke_token(request).await.map(|_| ())
}

#[tokio::test]
async fn a_token_that_is_good_says_whose_it_is_whatever_signed_it() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Rs256] {
        let app = identity_with(Config { signing_algorithm: algorithm, ..quick() }).await;
        let ana = app.person("ana").await;
        let access = introspect(&app, &ana.token).await.unwrap();
        assert_eq!((access.active, access.token_type()), (true, TokenType::Access));
        assert_eq!((access.user_id, access.session_id), (ana.user_id.to_string(), ana.session.session_id.clone()));
        assert_eq!(access.expire_time, ana.tokens.access_token_expire_time);
        assert_eq!((access.acr.as_str(), access.auth_time.map(|time| time.seconds)), ("aal1", Some(app.now().unix_timestamp())));
        let refresh = introspect(&app, &ana.tokens.refresh_token).await.unwrap();
        assert_eq!((refresh.active, refresh.token_type()), (true, TokenType::Refresh));
        assert_eq!((refresh.session_id, refresh.expire_time), (ana.session.session_id.clone(), ana.tokens.refresh_token_expire_time));
    }
}

#[tokio::test]
async fn a_token_says_how_surely_and_when_its_session_was_authenticated() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let since = claims(&ana.actor.token)["auth_time"].as_i64().unwrap();
    app.clock().advance(Duration::from_mins(5));
    let tokens = app.refresh_session(&ana.person.tokens.refresh_token).await.unwrap();
    for token in [&tokens.access_token, &tokens.refresh_token] {
        let said = introspect(&app, token).await.unwrap();
        assert_eq!((said.acr.as_str(), said.auth_time.unwrap().seconds), ("aal2", since), "a refresh is no authentication");
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_it_is_not_active_and_that_is_all_that_is_said() {
    let app = identity().await;
    let (ana, ben) = (app.person("ana").await, app.person("ben").await);
    let used = ben.tokens.refresh_token.clone();
    let good = app.refresh_session(&used).await.unwrap();
    let revoked = app.sign_in(&address("ben")).await;
    revoked.revoke_session("").await.unwrap();
    until("it is revoked", async || revoked.get_user("").await.is_err()).await;
    let (cut, flipped) = (&ana.token[..ana.token.len() - 1], ana.token.replacen('e', "f", 1));
    for token in [cut, flipped.as_str(), "nonsense", "a.b.c", "\u{e4} b", &used, &revoked.token, &revoked.tokens.refresh_token] {
        assert_eq!(introspect(&app, token).await.unwrap(), IntrospectTokenResponse::default(), "{token}");
    }
    assert_eq!(introspect(&app, &app.user("of the fixture's key").token).await.unwrap(), IntrospectTokenResponse::default());
    app.clock().advance(Duration::from_mins(16));
    assert!(!introspect(&app, &ana.token).await.unwrap().active, "past its time");
    assert!(introspect(&app, &good.refresh_token).await.unwrap().active);
    assert_fault!(introspect(&app, "").await, InvalidArgument, "FIELD_VIOLATION");
}

#[tokio::test]
async fn an_access_token_is_looked_at_without_the_database() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let mut sql = app.sql().await;
    let mut locked = sql.begin().await.unwrap();
    sqlx::query("LOCK identity.session, identity.signing_key, identity.user_account, identity.revocation")
        .execute(&mut *locked)
        .await
        .unwrap();
    for _ in 0..3 {
        assert!(introspect(&app, &ana.token).await.unwrap().active);
    }
    locked.rollback().await.unwrap();
}

#[tokio::test]
async fn only_services_introspect() {
    let app = identity().await;
    let ana = app.person("ana").await;
    for channel in [app.anonymous().channel(), ana.channel()] {
        let request = IntrospectTokenRequest { token: ana.token.clone() };
        assert_fault!(TokenServiceClient::new(channel).introspect_token(request).await, Unauthenticated, "PEER_TOKEN_INVALID");
    }
}

#[tokio::test]
async fn whoever_holds_a_token_of_a_session_ends_it_and_what_is_no_token_ends_nothing() {
    let app = identity().await;
    let (by_access, by_refresh) = (app.person("ana").await, app.person("ben").await);
    let old = app.person("eve").await;
    let kept = app.person("kim").await;
    let newer = app.refresh_session(&old.tokens.refresh_token).await.unwrap();
    for token in [&by_access.token, &by_refresh.tokens.refresh_token, &old.tokens.refresh_token] {
        revoke(&app, token).await.unwrap();
        revoke(&app, token).await.unwrap();
    }
    for person in [&by_access, &by_refresh, &old] {
        until("the access token is refused", async || person.get_user("").await.is_err()).await;
    }
    assert_fault!(app.refresh_session(&newer.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    for token in ["nonsense", &kept.token[1..], &kept.tokens.refresh_token[1..], &app.user("of the fixture's key").token] {
        revoke(&app, token).await.unwrap();
    }
    kept.get_user("").await.unwrap();
    let ended = app.events::<SessionRevoked>().await;
    assert_eq!(ended.len(), 3, "each once");
    let actors: Vec<String> = app
        .envelopes()
        .await
        .into_iter()
        .filter(|told| told.r#type.ends_with("SessionRevoked"))
        .map(|told| told.actor.unwrap().actor_id)
        .collect();
    assert_eq!(
        actors,
        [&by_access, &by_refresh, &old].map(|person| person.user_id.to_string()),
        "whoever holds the token speaks for its user"
    );
}
