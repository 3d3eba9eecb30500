//! SQL of preferences.

use db::Tx;
use runtime::UserId;

use super::{Choice, Chosen};

/// What `people` chose.
pub(crate) async fn of(tx: &mut Tx, people: &[UserId]) -> db::Result<Vec<Chosen>> {
    let chosen = sqlx::query_as!(
        Chosen,
        r#"SELECT user_id AS "user_id: _", category AS "category: _", channel AS "channel: _", enabled
           FROM notifications.preference WHERE user_id = ANY ($1)"#,
        people as _,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(chosen)
}

/// Lets changes of one person's choices take turns until the transaction ends: there may be no row yet to lock.
pub(crate) async fn lock(tx: &mut Tx, user_id: UserId) -> db::Result<()> {
    let person = user_id.to_string();
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", person).execute(tx.conn()).await?;
    Ok(())
}

/// Writes one choice of a person.
pub(crate) async fn upsert(tx: &mut Tx, user_id: UserId, choice: &Choice) -> db::Result<()> {
    let now = tx.now();
    sqlx::query!(
        "INSERT INTO notifications.preference (user_id, category, channel, enabled, update_time) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, category, channel) DO UPDATE SET enabled = excluded.enabled, update_time = excluded.update_time",
        user_id as _,
        choice.category as _,
        choice.channel as _,
        choice.enabled,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
