//! What a call waits for: every statement, with BEGIN and COMMIT, is counted.

use rpc::RequestKey;
use runtime::Ids;

use crate::pad::{Error, Pad, insert, organization, tell, titles, user_of};

/// How many round trips `call` makes.
async fn counted<T>(pad: &Pad, call: impl Future<Output = Result<T, Error>>) -> u64 {
    let before = pad.db.round_trips();
    call.await.unwrap();
    pad.db.round_trips() - before
}

#[tokio::test]
async fn begin_and_commit_are_round_trips_and_events_are_one_more() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    let db = &pad.db;
    assert_eq!(counted(&pad, async { Ok(db.read(&caller, titles).await?) }).await, 3, "BEGIN, SELECT, COMMIT");
    let silent = db.write_unrecorded(&caller, async |tx| insert(tx, "a").await);
    assert_eq!(counted(&pad, silent).await, 4, "one more asks whether every statement went well");
    let told = db.write_unrecorded(&caller, async |tx| {
        tell(tx, "b").await?;
        tell(tx, "c").await
    });
    assert_eq!(counted(&pad, told).await, 5, "BEGIN, two INSERT, all events, COMMIT");
}

#[tokio::test]
async fn a_request_id_costs_one_more_and_a_look_up_is_one_in_all() {
    let pad = Pad::new().await;
    let key = RequestKey { request_id: Ids::system().next(), body_sha256: [1; 32] };
    let caller = user_of(organization()).with_request(key);
    let recorded = pad.db.write(&caller, async |tx| tell(tx, "a").await);
    assert_eq!(counted(&pad, recorded).await, 5, "BEGIN, the claim, INSERT, events with the answer, COMMIT");
    let one = async { Ok(pad.db.look_up::<(i32,)>(&caller, "SELECT 1", |query| query).await?) };
    assert_eq!(counted(&pad, one).await, 1);
}
