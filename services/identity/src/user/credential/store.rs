//! SQL of passwords' hashes, sealed as they are.

use db::{Db, Tx, WorkTx};
use rpc::Caller;
use runtime::UserId;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Credential, Own, Pending};
use crate::error::Error;
use crate::password::Person;
use crate::sealed::{Column, Index, Sealed};
use crate::throttle::ops::{Pace, SignIn};
use crate::throttle::store::Admitted;
use crate::user::User;

/// What a sign-in finds: the columns of [`Credential`], if anybody proved the address, and the verdict.
#[derive(sqlx::FromRow)]
struct LookedUp {
    user_id: Option<UserId>,
    password_hash: Option<Vec<u8>>,
    version: Option<i64>,
    reset_generation: Option<i64>,
    #[sqlx(flatten)]
    admitted: Admitted,
}

/// Before there is a principal: who signs in by `identifier`, and the hash to check a password against; and whether the sign-in may be made
/// now, to whose ladders it is charged in the same statement and its commit.
pub(crate) async fn find(
    db: &Db,
    caller: &Caller,
    sealed: &Sealed,
    identifier: &Index,
    sign_in: &SignIn,
    pace: Pace,
) -> Result<(Option<Credential>, Admitted), Error> {
    let sql = "SELECT user_id, password_hash, version, reset_generation, wait_ms, scope, failures, delay_ms
               FROM identity.begin_sign_in($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let (email, username) = match identifier {
        Index::Email(index) => (Some(index), None),
        Index::Username(index) => (None, Some(index)),
    };
    let (device_of, device_generation) = sign_in.device.map(|device| (device.user_id, device.generation)).unzip();
    let now = db.clock().now();
    let (known, stranger) = (Json(&sign_in.known), Json(&sign_in.stranger));
    let looked: Vec<LookedUp> = db
        .look_up(caller, sql, |query| {
            let query = query.bind(email).bind(username).bind(device_of).bind(device_generation).bind(known).bind(stranger);
            query.bind(pace.step_ms).bind(pace.kept_ms).bind(now)
        })
        .await?;
    let LookedUp { user_id, password_hash, version, reset_generation, admitted } =
        looked.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
    let (Some(user_id), Some(password_hash), Some(version), Some(reset_generation)) = (user_id, password_hash, version, reset_generation)
    else {
        return Ok((None, admitted));
    };
    let password_hash = sealed.open(Column::PASSWORD_HASH, user_id.uuid(), &password_hash)?;
    Ok((Some(Credential { user_id, password_hash, version, reset_generation }), admitted))
}

/// Puts another hash of the same password in place of the one that `version` of the account had. What a person sees of the account stays as
/// it is, so the version does too; an account that was changed meanwhile, its password perhaps, is left alone.
pub(crate) async fn rehash(tx: &mut Tx, sealed: &Sealed, known: &Credential, password_hash: &str) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE identity.user_account SET password_hash = $3 WHERE user_id = $1 AND version = $2",
        known.user_id as _,
        known.version,
        sealed.seal(Column::PASSWORD_HASH, known.user_id.uuid(), password_hash),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The registration `id`, while it waits for its proof and nobody else proved the address.
pub(in crate::user) async fn pending(db: &Db, caller: &Caller, sealed: &Sealed, id: UserId) -> Result<Option<Pending>, Error> {
    let sql = "SELECT generation, password_hash FROM identity.pending_verification($1)";
    let pending: Vec<(i64, Vec<u8>)> = db.look_up(caller, sql, |query| query.bind(id)).await?;
    let Some((generation, password_hash)) = pending.into_iter().next() else { return Ok(None) };
    let password_hash = sealed.open(Column::PASSWORD_HASH, id.uuid(), &password_hash)?;
    Ok(Some(Pending { generation, password_hash }))
}

/// Holds the account as [`hold`] does, if it is as `known` was read.
///
/// # Errors
/// `CONFLICT` when it was changed meanwhile, its password perhaps.
pub(crate) async fn hold_as(tx: &mut Tx, known: &Credential) -> Result<(), Error> {
    let held = sqlx::query!(
        "SELECT user_id FROM identity.user_account WHERE user_id = $1 AND version = $2 AND state = 2 FOR NO KEY UPDATE",
        known.user_id as _,
        known.version,
    );
    held.fetch_optional(tx.conn()).await?.map(drop).ok_or_else(|| db::Error::Conflict(None).into())
}

/// Of the user of this transaction: what a password that they give once more is checked against.
pub(crate) async fn own(tx: &mut Tx, sealed: &Sealed) -> Result<Option<Own>, Error> {
    let row = sqlx::query!(
        r#"SELECT user_id AS "user_id!: UserId", email AS "email!", password_hash AS "password_hash!", version AS "version!",
                  reset_generation AS "reset_generation!"
           FROM identity.own_credential()"#
    );
    let Some(row) = row.fetch_optional(tx.conn()).await? else { return Ok(None) };
    let id = row.user_id.uuid();
    let password_hash = sealed.open(Column::PASSWORD_HASH, id, &row.password_hash)?;
    let credential = Credential { user_id: row.user_id, password_hash, version: row.version, reset_generation: row.reset_generation };
    Ok(Some(Own { email: sealed.open(Column::EMAIL, id, &row.email)?, credential }))
}

/// Of whom the password is that the token of `generation` resets; `None` when another one is the good one.
pub(in crate::user) async fn resettable(tx: &mut Tx, sealed: &Sealed, id: UserId, generation: i64) -> Result<Option<Person>, Error> {
    let row = sqlx::query!(
        "SELECT email, username, display_name FROM identity.user_account WHERE user_id = $1 AND reset_generation = $2 AND state = 2",
        id as _,
        generation,
    );
    let Some(row) = row.fetch_optional(tx.conn()).await? else { return Ok(None) };
    let open = |column, value: &[u8]| sealed.open(column, id.uuid(), value);
    let username = row.username.map(|name| open(Column::USERNAME, &name)).transpose()?.unwrap_or_default();
    Ok(Some(Person { email: open(Column::EMAIL, &row.email)?, username, display_name: open(Column::DISPLAY_NAME, &row.display_name)? }))
}

/// The hashes of the last `at_most` passwords of the user of this transaction, the one in force first.
pub(in crate::user) async fn last_hashes(tx: &mut Tx, sealed: &Sealed, id: UserId, at_most: i64) -> Result<Vec<String>, Error> {
    let rows = sqlx::query_scalar!(r#"SELECT password_hash AS "password_hash!" FROM identity.own_password_hashes($1)"#, at_most);
    let rows = rows.fetch_all(tx.conn()).await?;
    Ok(rows.iter().map(|hash| sealed.open(Column::PASSWORD_HASH, id.uuid(), hash)).collect::<Result<_, _>>()?)
}

/// Keeps the hash in force of the user of this transaction, whose account is held, as `id`, and forgets all but the last `kept`. It stays
/// sealed as it is.
pub(in crate::user) async fn keep_hash(tx: &mut Tx, id: Uuid, kept: i64) -> Result<(), Error> {
    let now = tx.now();
    sqlx::query!(
        "INSERT INTO identity.password_history (password_history_id, user_id, password_hash, create_time)
         SELECT $1, own.user_id, own.password_hash, $2 FROM identity.own_credential() own",
        id,
        now,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "DELETE FROM identity.password_history WHERE user_id = identity.current_user_id() AND password_history_id NOT IN
             (SELECT password_history_id FROM identity.password_history WHERE user_id = identity.current_user_id()
              ORDER BY password_history_id DESC LIMIT $1)",
        kept,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Deletes at most `at_most` former passwords, of anybody, beyond the last `kept` of each; says how many.
pub(crate) async fn prune_hashes(tx: &mut WorkTx, kept: i64, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.password_history WHERE password_history_id IN
             (SELECT h.password_history_id FROM
                  (SELECT password_history_id, row_number() OVER (PARTITION BY user_id ORDER BY password_history_id DESC) AS place
                   FROM identity.password_history) h
              WHERE h.place > $1 LIMIT $2)",
        kept,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}

/// Stores what [`User::changed`] made of an account, with another password: for a reset if `generation` is that of the good token, once. Every
/// reset that was asked for before is void, and every device token. Gives the generation that is good now.
pub(in crate::user) async fn set_password(
    tx: &mut Tx,
    sealed: &Sealed,
    user: &User,
    generation: Option<i64>,
    password_hash: &str,
) -> Result<Option<i64>, Error> {
    let generation = sqlx::query_scalar!(
        "UPDATE identity.user_account
         SET password_hash = $3, reset_generation = reset_generation + 1, reset_void_time = $5, version = $4, update_time = $5
         WHERE user_id = $1 AND ($2::bigint IS NULL OR reset_generation = $2) AND state = 2
         RETURNING reset_generation",
        user.id as _,
        generation,
        sealed.seal(Column::PASSWORD_HASH, user.id.uuid(), password_hash),
        user.version,
        user.update_time,
    );
    Ok(generation.fetch_optional(tx.conn()).await?)
}
