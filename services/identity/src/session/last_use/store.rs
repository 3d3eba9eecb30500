//! SQL of last uses.

use db::WorkTx;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;

/// Notes when sessions were last used, none of them back; says of how many. One that is held is passed over: whoever holds it writes a later use,
/// or ends it. They are taken in one order, so that replicas do not wait for one another in a ring.
pub(super) async fn note(tx: &mut WorkTx, ids: &[Uuid], times: &[OffsetDateTime]) -> Result<u64, Error> {
    let done = sqlx::query!(
        "WITH used AS MATERIALIZED (
             SELECT s.session_id, u.use_time FROM unnest($1::uuid[], $2::timestamptz[]) AS u (session_id, use_time)
             JOIN identity.session s ON s.session_id = u.session_id
             WHERE s.state = 1 AND s.last_use_time < u.use_time ORDER BY s.session_id FOR NO KEY UPDATE OF s SKIP LOCKED)
         UPDATE identity.session s SET last_use_time = used.use_time FROM used WHERE s.session_id = used.session_id",
        ids,
        times,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}
