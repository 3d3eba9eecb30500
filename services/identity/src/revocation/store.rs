//! SQL of revocations.

use db::{Tx, WorkTx};
use time::OffsetDateTime;

use super::{Revocation, RevocationKind};
use crate::error::Error;

/// Stores a revocation; one that is there is widened.
pub(crate) async fn insert(tx: &mut Tx, revocation: &Revocation) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO identity.revocation AS r (kind, subject_id, not_before, expire_time) VALUES ($1, $2, $3, $4)
         ON CONFLICT (kind, subject_id) DO UPDATE
         SET not_before = greatest(r.not_before, excluded.not_before), expire_time = greatest(r.expire_time, excluded.expire_time)",
        revocation.kind as _,
        revocation.subject_id,
        revocation.not_before,
        revocation.expire_time,
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
