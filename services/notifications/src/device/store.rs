//! SQL of known devices.

use db::{Tx, WorkTx};
use runtime::UserId;
use time::{Duration, OffsetDateTime};

use super::Device;

/// How old the note of a device's last use may be before it is written anew: who signs in all day costs one write a day.
const NOTED_AGAIN: Duration = Duration::days(1);

/// Notes a use of `device`; true when it was used after `since`. One statement, which writes nothing for a device that was noted today.
pub(crate) async fn note(tx: &mut Tx, device: &Device, since: OffsetDateTime) -> db::Result<bool> {
    let now = tx.now();
    let known = sqlx::query_scalar!(
        r#"WITH known AS (
               SELECT last_use_time FROM notifications.known_device WHERE user_id = $1 AND digest = $2 AND last_use_time > $4),
           noted AS (
               INSERT INTO notifications.known_device (user_id, digest, last_use_time)
               SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM known WHERE last_use_time > $5)
               ON CONFLICT (user_id, digest) DO UPDATE SET last_use_time = excluded.last_use_time)
           SELECT EXISTS (SELECT FROM known) AS "known!""#,
        device.user_id as _,
        device.digest.as_slice(),
        now,
        since,
        now - NOTED_AGAIN,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(known)
}

/// Keeps the `kept` devices of a person that were used last; `newest` is always one of them.
pub(crate) async fn keep_newest(tx: &mut Tx, newest: &Device, kept: i64) -> db::Result<()> {
    sqlx::query!(
        "DELETE FROM notifications.known_device WHERE user_id = $1 AND digest IN (
             SELECT digest FROM notifications.known_device WHERE user_id = $1 ORDER BY digest = $2 DESC, last_use_time DESC OFFSET $3)",
        newest.user_id as _,
        newest.digest.as_slice(),
        kept,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets every device of a person.
pub(crate) async fn forget_all(tx: &mut Tx, user_id: UserId) -> db::Result<()> {
    sqlx::query!("DELETE FROM notifications.known_device WHERE user_id = $1", user_id as _).execute(tx.conn()).await?;
    Ok(())
}

/// Forgets at most `at_most` devices that were not used after `since`; says how many.
pub(crate) async fn forget(tx: &mut WorkTx, since: OffsetDateTime, at_most: i64) -> db::Result<u64> {
    let forgotten = sqlx::query!(
        "DELETE FROM notifications.known_device WHERE (user_id, digest) IN (
             SELECT user_id, digest FROM notifications.known_device WHERE last_use_time <= $1 LIMIT $2)",
        since,
        at_most,
    )
    .execute(tx.conn())
    .await?;
    Ok(forgotten.rows_affected())
}
