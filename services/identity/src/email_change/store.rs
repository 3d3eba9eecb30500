//! SQL of changes of addresses. The table's floor shows a caller their own alone; two functions look before there is a principal.

use db::{Db, OnConstraint, Tx, WorkTx};
use rpc::Caller;
use runtime::UserId;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{EmailChange, EmailChangeState};
use crate::error::Error;
use crate::sealed::{Column, Sealed};
use crate::user::User;

/// A row as the function gives it.
#[derive(sqlx::FromRow)]
struct Row {
    user_id: UserId,
    state: EmailChangeState,
    email: Vec<u8>,
    expire_time: OffsetDateTime,
    display_name: Vec<u8>,
}

/// The change `id` and how its person is called, unless it is to an address that somebody else proved.
pub(crate) async fn find(db: &Db, caller: &Caller, sealed: &Sealed, id: Uuid) -> Result<Option<(EmailChange, String)>, Error> {
    let sql = "SELECT user_id, state, email, expire_time, display_name FROM identity.email_change_recipient($1)";
    let found: Vec<Row> = db.look_up(caller, sql, |query| query.bind(id)).await?;
    let Some(row) = found.into_iter().next() else { return Ok(None) };
    let display_name = sealed.open(Column::DISPLAY_NAME, row.user_id.uuid(), &row.display_name)?;
    let email = sealed.open(Column::EMAIL_CHANGE_EMAIL, id, &row.email)?;
    Ok(Some((EmailChange { id, user_id: row.user_id, state: row.state, email, expire_time: row.expire_time }, display_name)))
}

/// Stores a change that waits. The one that waited before is void by then.
pub(super) async fn insert(tx: &mut Tx, sealed: &Sealed, change: &EmailChange) -> Result<(), Error> {
    let now = tx.now();
    sqlx::query!(
        "INSERT INTO identity.email_change (email_change_id, user_id, state, email, email_index, create_time, expire_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        change.id,
        change.user_id as _,
        change.state as _,
        sealed.seal(Column::EMAIL_CHANGE_EMAIL, change.id, &change.email),
        sealed.email_index(&change.email),
        now,
        change.expire_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets the change that waits, if one does and it is not to the address with the index `kept`: its link is good for nothing.
pub(crate) async fn void(tx: &mut Tx, user_id: UserId, kept: Option<&str>) -> Result<(), Error> {
    sqlx::query!(
        "DELETE FROM identity.email_change WHERE user_id = $1 AND state = 1 AND email_index IS DISTINCT FROM $2",
        user_id as _,
        kept,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes a change that waits, once: from now on it holds `former`, the address that is given up.
pub(super) async fn take(tx: &mut Tx, sealed: &Sealed, id: Uuid, former: &str) -> Result<bool, Error> {
    let now = tx.now();
    let done = sqlx::query!(
        "UPDATE identity.email_change SET state = 2, email = $2 WHERE email_change_id = $1 AND state = 1 AND expire_time > $3",
        id,
        sealed.seal(Column::EMAIL_CHANGE_EMAIL, id, former),
        now,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected() == 1)
}

/// Stores another address of an account, which is held; what was mailed to the former one is void.
pub(super) async fn set_email(tx: &mut Tx, sealed: &Sealed, user: &User) -> Result<(), Error> {
    let id = user.id.uuid();
    sqlx::query!(
        "UPDATE identity.user_account
         SET email = $2, email_index = $3, reset_generation = reset_generation + 1, reset_void_time = $5, version = $4, update_time = $5
         WHERE user_id = $1",
        id,
        sealed.seal(Column::EMAIL, id, &user.email),
        sealed.email_index(&user.email),
        user.version,
        user.update_time,
    )
    .execute(tx.conn())
    .await
    .on_constraint("user_account_proved_key", || Error::EmailChangeTokenInvalid)?;
    Ok(())
}

/// Deletes at most `at_most` changes that were asked for before `time`; says how many.
pub(crate) async fn prune(tx: &mut WorkTx, time: OffsetDateTime, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.email_change WHERE email_change_id IN
             (SELECT email_change_id FROM identity.email_change WHERE create_time < $1 ORDER BY create_time LIMIT $2)",
        time,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}
