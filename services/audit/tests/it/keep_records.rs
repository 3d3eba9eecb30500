//! A record stays as it was written, and what it knows of a person is sealed.

use sqlx::{Connection, PgConnection};
use testkit::App;

use crate::verbs::{Reads, Tells, audit};

/// What the database says to `user` about `statement`.
async fn refusal(app: &App, user: &str, statement: &'static str) -> String {
    let mut conn = PgConnection::connect(&app.database_url(user)).await.unwrap();
    // The owner has no login: whoever migrates becomes it.
    if user == "audit_migrator" {
        sqlx::query("SET ROLE audit_owner").execute(&mut conn).await.unwrap();
    }
    let refused = sqlx::query(statement).execute(&mut conn).await.unwrap_err();
    refused.as_database_error().unwrap().message().to_owned()
}

#[tokio::test]
async fn nobody_changes_or_deletes_a_record_not_even_the_owner_of_the_table() {
    let app = audit().await;
    app.tell_of(&["a", "b"]).await;
    for statement in ["UPDATE audit.record SET action = 'nothing'", "DELETE FROM audit.record", "TRUNCATE audit.record"] {
        for user in ["audit_migrator", "postgres"] {
            assert_eq!(refusal(&app, user, statement).await, "audit records are never changed or deleted", "{user}: {statement}");
        }
        for user in ["audit_app", "audit_worker"] {
            assert_eq!(refusal(&app, user, statement).await, "permission denied for table record", "{user}: {statement}");
        }
    }
    assert_eq!(app.admin("ana").await.things("").await, ["b", "a"]);
}

#[tokio::test]
async fn an_address_is_sealed_in_the_table_and_open_to_an_admin() {
    let app = audit().await;
    let ana = app.admin("ana").await;
    let moved = app.tell_of_move("a", &ana, "192.0.2.7", "an agent nobody else has").await;
    let rows: Vec<String> = sqlx::query_scalar("SELECT record::text FROM audit.record").fetch_all(&mut app.sql().await).await.unwrap();
    for canary in ["192.0.2.7", "an agent nobody else has"] {
        let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!rows[0].contains(canary) && !rows[0].contains(&hex), "{canary} can be read in the table");
    }
    let record = ana.get_event(&moved.envelope.event_id).await.unwrap();
    assert_eq!((record.client_address.as_str(), record.user_agent.as_str()), ("192.0.2.7", "an agent nobody else has"));
}

#[tokio::test]
async fn without_a_tenant_the_service_itself_sees_no_record() {
    let app = audit().await;
    app.tell_of(&["a"]).await;
    let mut conn = PgConnection::connect(&app.database_url("audit_app")).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM audit.record").fetch_one(&mut conn).await.unwrap();
    assert_eq!(seen, 0);
    assert_eq!(app.count("SELECT count(*) FROM audit.record").await, 1);
}
