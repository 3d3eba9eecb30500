//! One effect for each request id.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use db::Error as DbError;
use rpc::{Caller, RequestKey};
use runtime::Ids;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::pad::{Error, Pad, insert, organization, tell, user_of};

fn key(body: u8) -> RequestKey {
    RequestKey { request_id: Ids::system().next(), body_sha256: [body; 32] }
}

async fn create(pad: &Pad, caller: &Caller, title: &str) -> Result<Uuid, Error> {
    pad.db.write(caller, async |tx| tell(tx, title).await).await
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_has_no_second_effect() {
    let pad = Pad::new().await;
    let caller = user_of(organization()).with_request(key(1));
    let first = create(&pad, &caller, "a").await.unwrap();
    assert_eq!(create(&pad, &caller, "b").await.unwrap(), first);
    assert_eq!(pad.count("SELECT count(*) FROM pad.note").await, 1);
    assert_eq!(pad.count("SELECT count(*) FROM pad.outbox").await, 1);
}

#[tokio::test]
async fn the_same_id_with_another_body_is_refused() {
    let pad = Pad::new().await;
    let request = key(1);
    let caller = user_of(organization()).with_request(request);
    create(&pad, &caller, "a").await.unwrap();
    let other = caller.with_request(RequestKey { body_sha256: [2; 32], ..request });
    assert!(matches!(create(&pad, &other, "b").await, Err(Error::Db(DbError::RequestIdReused))));
    assert_eq!(pad.count("SELECT count(*) FROM pad.note").await, 1);
}

#[tokio::test]
async fn an_id_belongs_to_its_caller() {
    let pad = Pad::new().await;
    let (request, home) = (key(1), organization());
    let callers = [user_of(home), user_of(home), user_of(organization())].map(|caller| caller.with_request(request));
    for (number, caller) in callers.iter().enumerate() {
        create(&pad, caller, &number.to_string()).await.unwrap();
    }
    assert_eq!(pad.count("SELECT count(*) FROM pad.note").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_eight_at_the_same_time_one_runs_and_all_get_its_answer() {
    let pad = Pad::new().await;
    let runs = AtomicU32::new(0);
    for round in 0..20 {
        let caller = user_of(organization()).with_request(key(1));
        let title = round.to_string();
        let calls = (0..8).map(|_| {
            pad.db.write(&caller, async |tx| {
                runs.fetch_add(1, Ordering::SeqCst);
                let id = insert(tx, &title).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok::<_, Error>(id)
            })
        });
        let answers: Vec<Uuid> = futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 20);
}

#[tokio::test]
async fn a_request_that_failed_may_be_tried_again() {
    let pad = Pad::new().await;
    let caller = user_of(organization()).with_request(key(1));
    let failed = pad.db.write(&caller, async |tx| tell(tx, "a").await.and(Err::<Uuid, _>(Error::Wanted))).await;
    assert!(matches!(failed, Err(Error::Wanted)));
    assert_eq!(pad.count("SELECT count(*) FROM pad.request").await, 0);
    create(&pad, &caller, "a").await.unwrap();
}

#[tokio::test]
async fn a_connection_killed_between_effect_and_commit_leaves_one_effect_in_the_end() {
    let pad = Pad::new().await;
    let caller = user_of(organization()).with_request(key(1));
    let killed = pad
        .db
        .write(&caller, async |tx| {
            let id = tell(tx, "a").await?;
            let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(tx.conn()).await.map_err(DbError::from)?;
            sqlx::query("SELECT pg_terminate_backend($1)").bind(backend).execute(&mut pad.admin().await).await.unwrap();
            Ok::<_, Error>(id)
        })
        .await;
    assert!(matches!(killed, Err(Error::Db(DbError::Unavailable(_)))), "{killed:?}");
    create(&pad, &caller, "a").await.unwrap();
    assert_eq!(pad.count("SELECT count(*) FROM pad.note").await, 1);
    assert_eq!(pad.count("SELECT count(*) FROM pad.outbox").await, 1);
}

#[tokio::test]
async fn answers_are_stored_sealed_and_without_a_request_id_not_at_all() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    pad.db.write(&caller, async |_| Ok::<_, Error>("canary".to_owned())).await.unwrap();
    assert_eq!(pad.count("SELECT count(*) FROM pad.request").await, 0);
    let answer: String = pad.db.write(&caller.with_request(key(1)), async |_| Ok::<_, Error>("canary".to_owned())).await.unwrap();
    assert_eq!(answer, "canary");
    assert_eq!(pad.count("SELECT count(*) FROM pad.request WHERE position('canary'::bytea in answer) > 0").await, 0);
    assert_eq!(pad.count("SELECT count(*) FROM pad.request WHERE answer IS NOT NULL").await, 1);
}

#[tokio::test]
async fn old_answers_are_forgotten_oldest_first() {
    let pad = Pad::new().await;
    for number in 0..3 {
        create(&pad, &user_of(organization()).with_request(key(1)), &number.to_string()).await.unwrap();
    }
    let now = pad.db.clock().now();
    assert_eq!(pad.db.forget_requests(now - Duration::from_secs(86_400), 10).await.unwrap(), 0);
    assert_eq!(pad.db.forget_requests(now + Duration::from_secs(1), 2).await.unwrap(), 2);
    let newest: OffsetDateTime = sqlx::query_scalar("SELECT create_time FROM pad.request").fetch_one(&mut pad.admin().await).await.unwrap();
    assert!(newest <= now);
}
