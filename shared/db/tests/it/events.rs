//! Events are committed with their effect, in order, with an envelope; and a commit is only told when it happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use contract::common::v1::EventEnvelope;
use contract::identity::v1::{User, UserRegistered};
use db::{EVENT_BYTES_MAX, EVENTS_BYTES_MAX, EVENTS_MAX, Error as DbError};
use prost::Message;
use rpc::Caller;
use runtime::Ids;
use sqlx::Row;

use crate::pad::{Error, Pad, insert, organization, tell, told, user_of};

#[tokio::test]
async fn events_lie_in_the_outbox_in_the_order_they_were_emitted() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    pad.db
        .write_unrecorded(&caller, async |tx| {
            for number in 0..20 {
                tell(tx, &format!("{number:02}")).await?;
            }
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let keys: Vec<String> =
        sqlx::query_scalar("SELECT aggregate_id FROM pad.outbox ORDER BY seq").fetch_all(&mut pad.admin().await).await.unwrap();
    assert_eq!(keys, (0..20).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    assert_eq!(pad.count("SELECT count(DISTINCT event_id) FROM pad.outbox").await, 20);
}

#[tokio::test]
async fn the_row_carries_the_envelope() {
    let pad = Pad::new().await;
    let cause = EventEnvelope { event_id: Ids::system().next().to_string(), request_id: "r-1".to_owned(), ..EventEnvelope::default() };
    let user = Ids::system().next_id();
    let caller = Caller::background("pad", organization(), Some(&cause)).acting_as(user);
    let at = pad.db.write_unrecorded(&caller, async |tx| tell(tx, "key").await.map(|_| tx.now())).await.unwrap();
    let row = sqlx::query("SELECT * FROM pad.outbox").fetch_one(&mut pad.admin().await).await.unwrap();
    assert_eq!(row.get::<uuid::Uuid, _>("organization_id"), caller.organization_id().uuid());
    assert_eq!(row.get::<String, _>("type"), "muster.identity.v1.OrganizationCreated");
    assert_eq!((row.get::<String, _>("aggregate"), row.get::<String, _>("aggregate_id")), ("organization".to_owned(), "key".to_owned()));
    assert_eq!((row.get::<String, _>("actor_kind"), row.get::<String, _>("actor_id")), ("USER".to_owned(), user.to_string()));
    assert_eq!(
        (row.get::<String, _>("request_id"), row.get::<String, _>("traceparent")),
        ("r-1".to_owned(), caller.traceparent().to_owned())
    );
    assert_eq!(row.get::<Option<uuid::Uuid>, _>("causation_id").unwrap().to_string(), cause.event_id);
    assert_eq!(row.get::<time::OffsetDateTime, _>("create_time"), at);
    assert_eq!(row.get::<Vec<String>, _>("redacted_paths"), Vec::<String>::new());
    assert_eq!(row.get::<Vec<u8>, _>("body"), told("key").encode_to_vec());
}

#[tokio::test]
async fn what_tells_who_a_person_is_is_cleared_and_its_path_kept() {
    let pad = Pad::new().await;
    let person = User { user_id: "u".to_owned(), email: "ana@example.com".to_owned(), display_name: "Ana".to_owned(), ..User::default() };
    let event = UserRegistered { user_id: "u".to_owned(), after: Some(person), mail_wanted: true };
    pad.db
        .write_unrecorded(&user_of(organization()), async |tx| {
            tx.emit(event);
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let row = sqlx::query("SELECT redacted_paths, body FROM pad.outbox").fetch_one(&mut pad.admin().await).await.unwrap();
    assert_eq!(row.get::<Vec<String>, _>("redacted_paths"), ["after.email", "after.display_name"]);
    let after = UserRegistered::decode(row.get::<&[u8], _>("body")).unwrap().after.unwrap();
    assert_eq!((after.user_id.as_str(), after.email.as_str(), after.display_name.as_str()), ("u", "", ""));
}

#[tokio::test]
async fn a_failed_use_case_tells_nothing() {
    let pad = Pad::new().await;
    let poked = Arc::new(AtomicU32::new(0));
    let count = poked.clone();
    pad.db.on_commit(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let failed = pad
        .db
        .write_unrecorded(&user_of(organization()), async |tx| {
            tell(tx, "x").await?;
            Err::<(), _>(Error::Wanted)
        })
        .await;
    assert!(matches!(failed, Err(Error::Wanted)));
    assert_eq!((pad.count("SELECT count(*) FROM pad.outbox").await, poked.load(Ordering::SeqCst)), (0, 0));
}

#[tokio::test]
async fn every_hook_hears_of_a_commit_with_events_and_of_no_other() {
    let pad = Pad::new().await;
    let poked = Arc::new(AtomicU32::new(0));
    for _ in 0..2 {
        let count = poked.clone();
        pad.db.on_commit(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
    }
    let caller = user_of(organization());
    pad.db.write_unrecorded(&caller, async |tx| insert(tx, "silent").await).await.unwrap();
    assert_eq!(poked.load(Ordering::SeqCst), 0);
    pad.db.write_unrecorded(&caller, async |tx| tell(tx, "told").await).await.unwrap();
    assert_eq!(poked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn too_many_or_too_large_events_undo_the_transaction() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    let emit = async |count: usize, key: String| {
        let result = pad.db.write_unrecorded(&caller, async |tx| {
            insert(tx, "x").await?;
            for _ in 0..count {
                tx.emit(told(&key));
            }
            Ok::<_, Error>(())
        });
        result.await
    };
    assert!(matches!(emit(EVENTS_MAX + 1, "k".to_owned()).await, Err(Error::Db(DbError::TooManyEvents(count))) if count == EVENTS_MAX + 1));
    assert!(matches!(emit(1, "k".repeat(EVENT_BYTES_MAX)).await, Err(Error::Db(DbError::EventTooLarge { .. }))));
    let (each, count) = (200 * 1024, EVENTS_BYTES_MAX / (200 * 1024) + 1);
    assert!(matches!(emit(count, "k".repeat(each)).await, Err(Error::Db(DbError::EventsTooLarge(_)))));
    assert_eq!(pad.count("SELECT count(*) FROM pad.note").await, 0);
    emit(EVENTS_MAX, "k".to_owned()).await.unwrap();
    assert_eq!(pad.count("SELECT count(*) FROM pad.outbox").await, i64::try_from(EVENTS_MAX).unwrap());
}

#[tokio::test]
async fn a_statement_that_failed_and_was_passed_over_is_no_commit() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    let careless = pad
        .db
        .write_unrecorded(&caller, async |tx| {
            insert(tx, "kept?").await?;
            let _ = insert(tx, "kept?").await;
            Ok::<_, Error>(())
        })
        .await;
    assert!(matches!(careless, Err(Error::Db(DbError::Fatal(_)))), "{careless:?}");
    assert_eq!(pad.count("SELECT count(*) FROM pad.note").await, 0);
}

#[tokio::test]
async fn a_read_can_t_write() {
    let pad = Pad::new().await;
    let written = pad.db.read(&user_of(organization()), async |tx| insert(tx, "x").await).await;
    assert!(matches!(written, Err(Error::Db(DbError::Fatal(_)))));
}
