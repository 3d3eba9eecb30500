//! SQL of ladders. What a key is, and how a ladder is climbed, stands in the functions of the migration.

use std::time::Duration;

use db::{Db, Tx, WorkTx};
use rpc::Caller;
use sqlx::types::Json;
use time::OffsetDateTime;

use super::ops::Pace;
use super::{Key, Scope, Step};
use crate::error::Error;

/// What `identity.throttle_admit` answers.
#[derive(sqlx::FromRow)]
pub(crate) struct Admitted {
    wait_ms: Option<i64>,
    scope: Option<i16>,
    failures: i32,
    delay_ms: i64,
}

impl Admitted {
    /// The step that the attempt comes to if it fails; or which ladder it has to wait for, and how long.
    pub(crate) fn verdict(self) -> Result<Option<Step>, (Option<Scope>, Duration)> {
        let scope = self.scope.and_then(Scope::of);
        let milliseconds = |of: i64| Duration::from_millis(of.unsigned_abs());
        match (self.wait_ms, scope) {
            (Some(wait), _) => Err((scope, milliseconds(wait))),
            (None, Some(scope)) => Ok(Some(Step { scope, failures: self.failures, delay: milliseconds(self.delay_ms) })),
            (None, None) => Ok(None),
        }
    }
}

/// Charges an attempt, in a commit of its own.
pub(super) async fn admit(db: &Db, caller: &Caller, keys: &[Key], pace: Pace) -> Result<Admitted, Error> {
    let sql = "SELECT wait_ms, scope, failures, delay_ms FROM identity.throttle_admit($1, $2, $3, $4)";
    let now = db.clock().now();
    let rows: Vec<Admitted> =
        db.look_up(caller, sql, |query| query.bind(Json(keys)).bind(pace.step_ms).bind(pace.kept_ms).bind(now)).await?;
    Ok(rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)?)
}

/// Charges what is done in the transaction.
pub(super) async fn charge(tx: &mut Tx, keys: &[Key], pace: Pace) -> Result<Admitted, Error> {
    let now = tx.now();
    let row = sqlx::query_as!(
        Admitted,
        r#"SELECT wait_ms, scope, failures AS "failures!", delay_ms AS "delay_ms!" FROM identity.throttle_admit($1, $2, $3, $4)"#,
        Json(keys) as _,
        pace.step_ms,
        pace.kept_ms,
        now,
    );
    Ok(row.fetch_one(tx.conn()).await?)
}

/// Gives back an attempt whose secret was not looked at, in a commit of its own.
pub(super) async fn give_back(db: &Db, caller: &Caller, keys: &[Key]) -> Result<(), Error> {
    let sql = "SELECT identity.throttle_settle($1, false)";
    let _: Vec<(i32,)> = db.look_up(caller, sql, |query| query.bind(Json(keys))).await?;
    Ok(())
}

/// Clears what a success clears, and gives back what it does not.
pub(super) async fn succeed(tx: &mut Tx, keys: &[Key]) -> Result<(), Error> {
    sqlx::query!("SELECT identity.throttle_settle($1, true)", Json(keys) as _).fetch_one(tx.conn()).await?;
    Ok(())
}

/// Clears every ladder of `subjects` but those of networks and mails, held in the order in which attempts are charged; says whether there was a failure on any.
pub(super) async fn clear(tx: &mut Tx, subjects: &[String]) -> Result<bool, Error> {
    let failures = sqlx::query_scalar!(
        "WITH mine AS MATERIALIZED (
             SELECT scope, subject, part FROM identity.auth_throttle
             WHERE scope NOT IN (4, 5, 9) AND subject = ANY($1) ORDER BY scope, subject, part FOR UPDATE)
         DELETE FROM identity.auth_throttle t USING mine WHERE (t.scope, t.subject, t.part) = (mine.scope, mine.subject, mine.part)
         RETURNING t.failures",
        subjects,
    );
    Ok(failures.fetch_all(tx.conn()).await?.into_iter().any(|failures| failures > 0))
}

/// Deletes at most `at_most` ladders that are forgotten at `now`; says how many.
pub(crate) async fn prune(tx: &mut WorkTx, now: OffsetDateTime, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.auth_throttle WHERE (scope, subject, part) IN
             (SELECT scope, subject, part FROM identity.auth_throttle WHERE forget_time < $1 ORDER BY forget_time LIMIT $2)",
        now,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}
