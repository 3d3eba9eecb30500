//! One effect for each request id: the claim, the stored answer, the replay.
//!
//! The claim is a row in `request`, written in the effect's own transaction. A second call with the same id waits on that row: if the first
//! commits it gets the first one's answer, if the first fails it runs. Nothing in between can be seen, and a process that dies leaves
//! nothing behind. Source: AIP-155; "idempotency keys" of Stripe, with the answer in the effect's transaction.

use rpc::{Caller, RequestKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;

use crate::{Error, Tx};

const LABEL: &str = "stored answer";

/// A request as its row names it.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) actor_id: String,
    pub(crate) method: String,
    pub(crate) key: RequestKey,
}

/// What the claim came to.
pub(crate) enum Claimed<T> {
    /// The effect is ours to make.
    Run(Claim),
    /// It was made before; this was the answer.
    Replay(T),
}

impl Claim {
    fn of(caller: &Caller, key: &RequestKey) -> Self {
        let (kind, actor_id) = crate::outbox::actor(caller);
        Claim { actor_id: format!("{kind}:{actor_id}"), method: caller.method().to_owned(), key: *key }
    }

    fn aad(&self, tx: &Tx) -> Vec<u8> {
        format!("{}\n{}\n{}\n{}", tx.organization_id(), self.actor_id, self.method, self.key.request_id).into_bytes()
    }

    /// The answer as it is stored.
    pub(crate) fn seal<T: Serialize>(&self, tx: &Tx, answer: &T) -> Result<Vec<u8>, Error> {
        let json = serde_json::to_vec(answer).map_err(Error::Answer)?;
        Ok(tx.db().sealer().seal(LABEL, &self.aad(tx), &json))
    }
}

/// Claims `key` for the caller of `tx`.
///
/// # Errors
/// `REQUEST_ID_REUSED` when the id was used with another body; `CONFLICT` when the first call takes longer than a lock may be waited for.
pub(crate) async fn claim<T: DeserializeOwned>(tx: &mut Tx, key: &RequestKey) -> Result<Claimed<T>, Error> {
    let claim = Claim::of(tx.caller(), key);
    let (organization, now, db) = (tx.organization_id(), tx.now(), tx.db().clone());
    let claimed = sqlx::query(&db.statements().claim)
        .bind(organization)
        .bind(&claim.actor_id)
        .bind(&claim.method)
        .bind(key.request_id)
        .bind(&key.body_sha256[..])
        .bind(now)
        .execute(tx.conn())
        .await?
        .rows_affected();
    if claimed == 1 {
        return Ok(Claimed::Run(claim));
    }
    let row = sqlx::query(&db.statements().answered)
        .bind(organization)
        .bind(&claim.actor_id)
        .bind(&claim.method)
        .bind(key.request_id)
        .fetch_optional(tx.conn())
        .await?;
    // Retention took the row in between: the next try finds the place free.
    let Some(row) = row else { return Err(Error::Conflict(None)) };
    let body: Vec<u8> = row.try_get("body_sha256")?;
    if body != key.body_sha256 {
        return Err(Error::RequestIdReused);
    }
    let Some(sealed) = row.try_get::<Option<Vec<u8>>, _>("answer")? else { return Err(Error::Conflict(None)) };
    let json = db.sealer().open(LABEL, &claim.aad(tx), &sealed)?;
    serde_json::from_slice(&json).map(Claimed::Replay).map_err(Error::Answer)
}
