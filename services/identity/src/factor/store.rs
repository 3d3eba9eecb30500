//! SQL of second factors and recovery codes. The floors show a person their own alone; names and secrets are sealed.

use db::{Tx, WorkTx};
use runtime::UserId;
use time::OffsetDateTime;

use super::totp::Secret;
use super::{Factor, FactorId, FactorState};
use crate::error::Error;
use crate::sealed::{Column, Sealed, Unopened};

/// A row as it lies in the table, but for its secret.
struct Row {
    factor_id: FactorId,
    user_id: UserId,
    display_name: Vec<u8>,
    state: FactorState,
    last_step: i64,
    create_time: OffsetDateTime,
    confirm_time: Option<OffsetDateTime>,
    expire_time: Option<OffsetDateTime>,
}

impl Row {
    fn open(self, sealed: &Sealed) -> Result<Factor, Unopened> {
        Ok(Factor {
            id: self.factor_id,
            user_id: self.user_id,
            display_name: sealed.open(Column::FACTOR_NAME, self.factor_id.uuid(), &self.display_name)?,
            state: self.state,
            last_step: self.last_step,
            create_time: self.create_time,
            confirm_time: self.confirm_time,
            expire_time: self.expire_time,
        })
    }
}

fn open_secret(sealed: &Sealed, id: FactorId, secret: &[u8]) -> Result<Secret, Error> {
    let text = zeroize::Zeroizing::new(sealed.open(Column::FACTOR_SECRET, id.uuid(), secret)?);
    Ok(Secret::from_base32(&text)?)
}

/// Puts a factor that waits in place of the one that does.
pub(super) async fn put_pending(tx: &mut Tx, sealed: &Sealed, factor: &Factor, secret: &Secret) -> Result<(), Error> {
    let id = factor.id.uuid();
    sqlx::query!(
        "INSERT INTO identity.factor (user_id, factor_id, display_name, secret, state, create_time, expire_time) VALUES ($1, $2, $3, $4, 1, $5, $6)
         ON CONFLICT (user_id) WHERE state = 1 DO UPDATE
         SET factor_id = excluded.factor_id, display_name = excluded.display_name, secret = excluded.secret,
             create_time = excluded.create_time, expire_time = excluded.expire_time",
        factor.user_id as _,
        id,
        sealed.seal(Column::FACTOR_NAME, id, &factor.display_name),
        sealed.seal(Column::FACTOR_SECRET, id, &secret.to_base32()),
        factor.create_time,
        factor.expire_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The factor that waits for its first code, with its secret.
pub(super) async fn pending(tx: &mut Tx, sealed: &Sealed, id: FactorId) -> Result<Option<(Factor, Secret)>, Error> {
    let now = tx.now();
    let row = sqlx::query!(
        r#"SELECT factor_id AS "factor_id: FactorId", user_id AS "user_id: UserId", display_name, secret, state AS "state: FactorState", last_step,
                  create_time, confirm_time, expire_time
           FROM identity.factor WHERE factor_id = $1 AND state = 1 AND expire_time > $2 FOR UPDATE"#,
        id as _,
        now,
    );
    let Some(row) = row.fetch_optional(tx.conn()).await? else { return Ok(None) };
    let secret = open_secret(sealed, id, &row.secret)?;
    let row = Row {
        factor_id: row.factor_id,
        user_id: row.user_id,
        display_name: row.display_name,
        state: row.state,
        last_step: row.last_step,
        create_time: row.create_time,
        confirm_time: row.confirm_time,
        expire_time: row.expire_time,
    };
    Ok(Some((row.open(sealed)?, secret)))
}

/// Stores what [`Factor::confirmed`] made of a factor that is held.
pub(super) async fn confirm(tx: &mut Tx, factor: &Factor) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE identity.factor SET state = 2, last_step = $3, confirm_time = $4, expire_time = NULL WHERE user_id = $1 AND factor_id = $2",
        factor.user_id as _,
        factor.id as _,
        factor.last_step,
        factor.confirm_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The secrets of the factors in force.
pub(super) async fn confirmed(tx: &mut Tx, sealed: &Sealed, user_id: UserId) -> Result<Vec<(FactorId, Secret)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT factor_id AS "factor_id: FactorId", secret FROM identity.factor WHERE user_id = $1 AND state = 2 ORDER BY factor_id"#,
        user_id as _,
    );
    let rows = rows.fetch_all(tx.conn()).await?;
    rows.into_iter().map(|row| Ok((row.factor_id, open_secret(sealed, row.factor_id, &row.secret)?))).collect()
}

/// Notes in the ledger that the code of `step` was taken; false when it or a later one was before. Of two at once one is told so.
pub(super) async fn spend(tx: &mut Tx, user_id: UserId, id: FactorId, step: i64) -> Result<bool, Error> {
    let done = sqlx::query!(
        "UPDATE identity.factor SET last_step = $3 WHERE user_id = $1 AND factor_id = $2 AND state = 2 AND last_step < $3",
        user_id as _,
        id as _,
        step,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected() == 1)
}

/// How many factors of the user are in force.
pub(crate) async fn count(tx: &mut Tx, user_id: UserId) -> Result<i64, Error> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM identity.factor WHERE user_id = $1 AND state = 2"#, user_id as _);
    Ok(count.fetch_one(tx.conn()).await?)
}

/// The caller's factors that did not lapse, oldest first.
pub(super) async fn list(tx: &mut Tx, sealed: &Sealed, user_id: UserId) -> Result<Vec<Factor>, Error> {
    let now = tx.now();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT factor_id AS "factor_id: FactorId", user_id AS "user_id: UserId", display_name, state AS "state: FactorState", last_step,
                  create_time, confirm_time, expire_time
           FROM identity.factor WHERE user_id = $1 AND (state = 2 OR expire_time > $2) ORDER BY create_time, factor_id"#,
        user_id as _,
        now,
    );
    Ok(rows.fetch_all(tx.conn()).await?.into_iter().map(|row| row.open(sealed)).collect::<Result<_, _>>()?)
}

/// Deletes a factor of the user and gives it as it was.
pub(super) async fn delete(tx: &mut Tx, sealed: &Sealed, user_id: UserId, id: FactorId) -> Result<Option<Factor>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"DELETE FROM identity.factor WHERE user_id = $1 AND factor_id = $2
           RETURNING factor_id AS "factor_id: FactorId", user_id AS "user_id: UserId", display_name, state AS "state: FactorState", last_step,
                     create_time, confirm_time, expire_time"#,
        user_id as _,
        id as _,
    );
    Ok(row.fetch_optional(tx.conn()).await?.map(|row| row.open(sealed)).transpose()?)
}

/// Takes away all factors and codes of somebody, and what sessions have of them, if a system admin asks; says how many were in force. A sign-in
/// or a change of factors that is under way holds one of these rows, and is waited for.
pub(super) async fn reset(tx: &mut Tx, user_id: UserId) -> Result<i64, Error> {
    let factors = sqlx::query_scalar!(r#"SELECT identity.reset_factors($1) AS "factors!""#, user_id as _);
    Ok(factors.fetch_one(tx.conn()).await?)
}

/// Deletes the recovery codes of the user and puts these in their place; none for none.
pub(super) async fn replace_codes(tx: &mut Tx, user_id: UserId, digests: &[Vec<u8>]) -> Result<(), Error> {
    sqlx::query!("DELETE FROM identity.recovery_code WHERE user_id = $1", user_id as _).execute(tx.conn()).await?;
    sqlx::query!("INSERT INTO identity.recovery_code (user_id, digest) SELECT $1, unnest($2::bytea[])", user_id as _, digests)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Uses up a recovery code; false when there is none such. Of two at once one is told so.
pub(super) async fn spend_code(tx: &mut Tx, user_id: UserId, digest: &[u8]) -> Result<bool, Error> {
    let done = sqlx::query!("DELETE FROM identity.recovery_code WHERE user_id = $1 AND digest = $2", user_id as _, digest);
    Ok(done.execute(tx.conn()).await?.rows_affected() == 1)
}

/// How many recovery codes of the user are unused.
pub(super) async fn codes_left(tx: &mut Tx, user_id: UserId) -> Result<i64, Error> {
    let left = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM identity.recovery_code WHERE user_id = $1"#, user_id as _);
    Ok(left.fetch_one(tx.conn()).await?)
}

/// Deletes at most `at_most` factors that lapsed before `now`; says how many.
pub(crate) async fn prune(tx: &mut WorkTx, now: OffsetDateTime, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.factor WHERE (user_id, factor_id) IN
             (SELECT user_id, factor_id FROM identity.factor WHERE state = 1 AND expire_time < $1 ORDER BY expire_time LIMIT $2)",
        now,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}
