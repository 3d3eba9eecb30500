//! SQL of revocations.

use db::{Tx, WorkTx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Revocation, RevocationKind};
use crate::error::Error;

/// Stores revocations, no two of one subject; one that is there is widened.
pub(crate) async fn insert(tx: &mut Tx, revocations: &[Revocation]) -> Result<(), Error> {
    let kinds: Vec<i16> = revocations.iter().map(|revocation| revocation.kind as i16).collect();
    let subject_ids: Vec<Uuid> = revocations.iter().map(|revocation| revocation.subject_id).collect();
    let not_before: Vec<OffsetDateTime> = revocations.iter().map(|revocation| revocation.not_before).collect();
    let expire_times: Vec<OffsetDateTime> = revocations.iter().map(|revocation| revocation.expire_time).collect();
    sqlx::query!(
        "INSERT INTO identity.revocation AS r (kind, subject_id, not_before, expire_time)
         SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
         ON CONFLICT (kind, subject_id) DO UPDATE
         SET not_before = greatest(r.not_before, excluded.not_before), expire_time = greatest(r.expire_time, excluded.expire_time)",
        &kinds,
        &subject_ids,
        &not_before,
        &expire_times,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Up to `limit` revocations that still matter, those that matter longest first.
pub(super) async fn list(tx: &mut Tx, limit: i64) -> Result<Vec<Revocation>, Error> {
    let now = tx.now();
    let rows = sqlx::query_as!(
        Revocation,
        r#"SELECT kind AS "kind: RevocationKind", subject_id, not_before, expire_time
           FROM identity.revocation WHERE expire_time > $1 ORDER BY expire_time DESC LIMIT $2"#,
        now,
        limit,
    );
    Ok(rows.fetch_all(tx.conn()).await?)
}

/// Deletes at most `at_most` revocations that no longer matter at `now`; says how many.
pub(crate) async fn prune(tx: &mut WorkTx, now: OffsetDateTime, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.revocation WHERE (kind, subject_id) IN
             (SELECT kind, subject_id FROM identity.revocation WHERE expire_time < $1 ORDER BY expire_time LIMIT $2)",
        now,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}
