use contract::BaseRole;
use contract::identity::v1::session_service_client::SessionServiceClient;
use sqlx::{AssertSqlSafe, Connection};
use testkit::App;

use crate::verbs::{Acts, Door, Invited, Invites, PASSWORD, Waits, address, by_email, identity, request_id};

const EMAIL: &str = "Zsofia.Quillfeather@example.com";
const NAME: &str = "Zsófia Quillfeather";
const AGENT: &str = "Marmoset/7.2";
const NETWORK: &str = "203.0.113.77";

/// Every row of every table of the schema as text, under the table's name.
async fn dump(app: &App) -> Vec<(String, String)> {
    let mut sql = app.sql().await;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'identity'").fetch_all(&mut sql).await.unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let query = format!("SELECT t::text FROM identity.{table} t");
        let texts: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut sql).await.unwrap();
        rows.extend(texts.into_iter().map(|text| (table.clone(), text)));
    }
    rows
}

/// The forms in which `text` could lie in a dump: as it is, in lower case, and in hex where the column is `bytea`.
fn forms(text: &str) -> Vec<String> {
    let plain = [text.to_owned(), text.to_lowercase()];
    plain.iter().flat_map(|text| [text.clone(), hex::encode(text)]).collect()
}

#[tokio::test]
async fn no_column_of_any_table_and_no_event_holds_address_name_or_password_in_the_clear() {
    let app = identity().await;
    app.register_user(EMAIL, PASSWORD, NAME).await.unwrap();
    app.register_user(EMAIL, PASSWORD, NAME).await.unwrap();
    let registered = app.events::<contract::identity::v1::UserRegistered>().await.remove(0);
    let token = app.issue_verification_token(&registered.user_id).await.unwrap();
    app.verify_email(&token, PASSWORD).await.unwrap();
    assert!(app.create_session(EMAIL, "wrong password").await.is_err());
    let person = app.sign_in(EMAIL).await;
    let owner = app.founded(&app.person("ana").await, "acme").await;
    let subject = contract::identity::v1::create_organization_member_request::Subject::Email(EMAIL.to_owned());
    owner.create_member(subject, BaseRole::Member).await.unwrap();
    person.create_organization("quill", &request_id(1)).await.unwrap();
    assert_eq!(person.get_user("").await.unwrap().display_name, NAME, "what is looked for is there");
    app.settled().await;

    let rows = dump(&app).await;
    assert!(["user_account", "event", "request", "session"].iter().all(|table| rows.iter().any(|(name, _)| name == table)));
    for secret in [EMAIL, "Quillfeather", "Zsofia.", "Zsófia", PASSWORD] {
        for form in forms(secret) {
            let holder = rows.iter().find(|(_, row)| row.contains(&form));
            assert!(holder.is_none(), "{secret} is readable in {holder:?}");
        }
    }
    for token in [&token, &person.tokens.refresh_token, &person.tokens.access_token] {
        assert!(!rows.iter().any(|(_, row)| forms(token).iter().any(|form| row.contains(form))), "a token is stored");
    }
    // The event says what was taken out of it.
    let redacted: Vec<String> = app.envelopes().await.remove(0).redacted_paths;
    assert_eq!(redacted, ["after.email", "after.display_name"]);
}

#[tokio::test]
async fn no_token_of_a_link_a_device_or_a_challenge_and_no_code_is_in_any_row() {
    let app = identity().await;
    let (ana, ben) = (app.person("ana").await, app.guarded("ben").await);
    let acme = app.founded(&ana, "acme").await;
    let invited = acme.invite("cy", BaseRole::Member).await.unwrap();
    let mut secrets = vec![
        ("a device token", app.create_session(&address("ana"), PASSWORD).await.unwrap().device_token),
        ("a challenge", app.challenge("ben").await.challenge_token),
        ("the token of another address", crate::change_email::mailed(&app, &ana, "lovelace@example.org").await),
        ("the token of an invitation", app.token_of(&invited).await),
    ];
    app.request_password_reset(&address("ana")).await.unwrap();
    secrets.push(("the token of a reset", crate::reset_password::mailed_token(&app).await));
    let registered = app.pending("dee").await.to_string();
    secrets.push(("the token of a registration", app.issue_verification_token(&registered).await.unwrap()));
    secrets.extend(ben.recovery_codes.iter().map(|code| ("a recovery code", code.clone())));
    secrets.push(("an address that is wanted", "lovelace@example.org".to_owned()));
    app.settled().await;
    let rows = dump(&app).await;
    let tables = ["email_change", "invitation", "mail_request", "recovery_code", "factor", "auth_throttle"];
    assert!(tables.iter().all(|table| rows.iter().any(|(name, _)| name == table)));
    for (what, secret) in secrets {
        assert!(secret.len() >= 16, "{what}");
        // As it is, and without the framing that a column would not keep.
        for form in forms(&secret).iter().chain(&forms(secret.split_once('_').map_or(&*secret, |(_, body)| body))) {
            let holder = rows.iter().find(|(_, row)| row.contains(form));
            assert!(holder.is_none(), "{what} is readable in {holder:?}");
        }
    }
}

#[tokio::test]
async fn address_and_agent_of_a_session_are_sealed_and_shown_to_its_owner() {
    let app = identity().await;
    app.verified("ana").await;
    let gateway = app.service("gateway").channel().header("muster-client-address", NETWORK).header("muster-user-agent", AGENT);
    let request = by_email("ana@example.com");
    let session = SessionServiceClient::new(gateway).create_session(request).await.unwrap().into_inner().session.unwrap();
    assert_eq!((session.client_address.as_str(), session.user_agent.as_str()), (NETWORK, AGENT));
    let ana = app.sign_in("ana@example.com").await;
    assert!(ana.list_sessions().await.unwrap().contains(&session));
    app.settled().await;
    assert_sealed(&dump(&app).await, "event");
    for event in app.logged().await {
        let body = hex::encode(&event.body);
        assert!(![NETWORK, AGENT].iter().any(|text| body.contains(&hex::encode(text))), "{} holds them", event.envelope.r#type);
    }
}

/// Nothing of the network address or the agent is readable in any row; `table` is among those that were looked at.
fn assert_sealed(rows: &[(String, String)], table: &str) {
    assert!(rows.iter().any(|(name, _)| name == table), "{table} holds nothing");
    for (name, row) in rows {
        assert!(![NETWORK, AGENT].iter().any(|text| forms(text).iter().any(|form| row.contains(form))), "{name}: {row}");
    }
}

#[tokio::test]
async fn address_and_agent_lie_sealed_beside_an_event_and_stand_in_its_envelope() {
    let app = identity().await;
    app.verified("ana").await;
    // Without the row of its positions no sequencer empties the outbox.
    let mut sql = app.sql().await;
    sqlx::raw_sql("BEGIN; SELECT FROM identity.event_head FOR UPDATE").execute(&mut sql).await.unwrap();
    let gateway = app.service("gateway").channel().header("muster-client-address", NETWORK).header("muster-user-agent", AGENT);
    let request = by_email("ana@example.com");
    SessionServiceClient::new(gateway).create_session(request).await.unwrap();
    assert_sealed(&dump(&app).await, "outbox");
    sqlx::raw_sql("ROLLBACK").execute(&mut sql).await.unwrap();
    let envelope = app.envelopes().await.pop().unwrap();
    assert_eq!((envelope.client_address.as_str(), envelope.user_agent.as_str()), (NETWORK, AGENT));
    assert_sealed(&dump(&app).await, "event");
}

#[tokio::test]
async fn the_login_that_serves_calls_reads_no_hash_and_no_account_without_a_caller() {
    let app = identity().await;
    app.verified("ana").await;
    let mut login = sqlx::PgConnection::connect(&app.database_url("identity_app")).await.unwrap();
    let accounts: i64 = sqlx::query_scalar("SELECT count(*) FROM identity.user_account").fetch_one(&mut login).await.unwrap();
    assert_eq!(accounts, 0, "the floor shows no row without a caller");
    let refused = sqlx::query("SELECT password_hash FROM identity.user_account").execute(&mut login).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501");
}
