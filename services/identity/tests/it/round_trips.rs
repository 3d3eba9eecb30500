//! How often a call waits for PostgreSQL: its statements, with BEGIN and COMMIT, as `Db::round_trips` counts them.

use contract::identity::v1::create_session_request::Identifier;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::token_service_client::TokenServiceClient;
use contract::identity::v1::{CreateSessionRequest, IntrospectTokenRequest};
use identity::Config;
use testkit::App;

use crate::verbs::{Door, PASSWORD, address, by_email, identity_with, quick};

/// Nothing but calls sends statements as the app role.
pub(crate) async fn quiet() -> App {
    identity_with(Config { key_poll_seconds: 3_600, ..quick() }).await
}

/// How many round trips `call` makes.
async fn counted<T, E: std::fmt::Debug>(app: &App, call: impl Future<Output = Result<T, E>>) -> u64 {
    let before = app.deps().db.round_trips();
    call.await.unwrap();
    app.deps().db.round_trips() - before
}

#[tokio::test]
async fn a_sign_in_takes_five_round_trips_from_a_known_device_and_from_a_strangers() {
    let app = quiet().await;
    app.verified("ana").await;
    let mut client = SessionServiceClient::new(app.anonymous().channel());
    // The credential with the ladders; BEGIN, the session with the ladders' end, its event, COMMIT.
    assert_eq!(counted(&app, client.create_session(by_email(&address("ana")))).await, 5);
    let device_token = app.create_session(&address("ana"), PASSWORD).await.unwrap().device_token;
    let known = CreateSessionRequest { device_token, ..by_email(&address("ana")) };
    assert_eq!(counted(&app, client.create_session(known.clone())).await, 5);
    let named = CreateSessionRequest { identifier: Some(Identifier::Username("nobody".into())), ..known };
    let before = app.deps().db.round_trips();
    client.create_session(named).await.unwrap_err();
    assert_eq!(app.deps().db.round_trips() - before, 4, "a refusal has no session to write");
}

#[tokio::test]
async fn a_refresh_takes_four_round_trips_and_introspection_of_an_access_token_none() {
    let app = quiet().await;
    let ana = app.person("ana").await;
    assert_eq!(counted(&app, app.refresh_session(&ana.tokens.refresh_token)).await, 4);
    let mut client = TokenServiceClient::new(app.service("tasks").channel());
    for _ in 0..2 {
        let request = IntrospectTokenRequest { token: ana.token.clone() };
        assert_eq!(counted(&app, client.introspect_token(request)).await, 0, "known to nobody yet, and from the cache");
    }
    let request = IntrospectTokenRequest { token: ana.tokens.refresh_token.clone() };
    assert_eq!(counted(&app, client.introspect_token(request)).await, 3, "a refresh token stands in a row");
}
