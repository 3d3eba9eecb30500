//! SQL of accounts. Address, name and hash are sealed; which rows are seen is the table's floor: one's own, who shares the organization,
//! all for system admins.

use db::{Cursor, Db, Filter, OnConstraint, Page, PageRequest, Tx, WorkTx};
use rpc::Caller;
use runtime::UserId;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::links::{Asked, MAILBOX_MAX};
use super::username::Username;
use super::{Seen, SystemRole, User, UserState};
use crate::error::Error;
use crate::password::Person;
use crate::sealed::{Column, Index, Sealed, Unopened};
use crate::throttle::ops::{Pace, SignIn};
use crate::throttle::store::Admitted;

/// A row as it lies in the table.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    user_id: UserId,
    email: Vec<u8>,
    username: Option<Vec<u8>>,
    display_name: Vec<u8>,
    state: UserState,
    system_role: SystemRole,
    version: i64,
    create_time: OffsetDateTime,
    update_time: OffsetDateTime,
    shows_system_role: bool,
}

impl Row {
    fn open(self, sealed: &Sealed) -> Result<Seen, Unopened> {
        let username = self.username.map(|name| sealed.open(Column::USERNAME, self.user_id.uuid(), &name)).transpose()?;
        let user = User {
            id: self.user_id,
            email: sealed.open(Column::EMAIL, self.user_id.uuid(), &self.email)?,
            username: username.map(Username::stored),
            display_name: sealed.open(Column::DISPLAY_NAME, self.user_id.uuid(), &self.display_name)?,
            state: self.state,
            system_role: self.system_role,
            version: self.version,
            create_time: self.create_time,
            update_time: self.update_time,
        };
        Ok(Seen { user, shows_system_role: self.shows_system_role })
    }
}

/// What a sign-in is checked against.
pub(crate) struct Credential {
    pub(crate) user_id: UserId,
    pub(crate) password_hash: String,
    /// The account's, as the hash was read.
    pub(crate) version: i64,
    /// The one of the password: device tokens of another one are none.
    pub(crate) reset_generation: i64,
}

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

/// What is checked of somebody who signed in and gives the password once more.
pub(crate) struct Own {
    pub(crate) email: String,
    pub(crate) credential: Credential,
}

/// An account that is held: what a change of sessions or factors begins with, so that the changes of one person take turns.
pub(crate) struct Account {
    /// What the person may do across organizations.
    pub(crate) system_role: SystemRole,
    pub(crate) email: String,
    /// The address's blind index, in hex.
    pub(crate) email_index: String,
    /// Another one means that another password may be in place.
    pub(crate) version: i64,
}

/// What the proof of an address is checked against.
pub(super) struct Pending {
    /// The verification token that is good.
    pub(super) generation: i64,
    /// Of the same registration.
    pub(super) password_hash: String,
}

/// Inserts an account; false when the address belongs to somebody who proved it.
pub(crate) async fn insert(tx: &mut Tx, sealed: &Sealed, user: &User, password_hash: &str) -> Result<bool, Error> {
    let id = user.id.uuid();
    let done = sqlx::query!(
        "INSERT INTO identity.user_account (user_id, email, email_index, display_name, password_hash, state, system_role, version, create_time,
                                            update_time, username, username_index)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 WHERE NOT EXISTS (SELECT FROM identity.sign_in_credential($3, NULL))
         ON CONFLICT (email_index) WHERE state = 2 DO NOTHING",
        id,
        sealed.seal(Column::EMAIL, id, &user.email),
        sealed.email_index(&user.email),
        sealed.seal(Column::DISPLAY_NAME, id, &user.display_name),
        sealed.seal(Column::PASSWORD_HASH, id, password_hash),
        user.state as _,
        user.system_role as _,
        user.version,
        user.create_time,
        user.update_time,
        user.username.as_ref().map(|name| sealed.seal(Column::USERNAME, id, name.as_str())),
        user.username.as_ref().map(|name| sealed.username_index(name.as_str())),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Inserts an account that came from elsewhere; false when its address, or its username, is somebody's by now.
pub(super) async fn import(tx: &mut Tx, sealed: &Sealed, user: &User, password_hash: &str) -> Result<bool, Error> {
    let id = user.id.uuid();
    let done = sqlx::query!(
        "INSERT INTO identity.user_account (user_id, email, email_index, display_name, password_hash, state, system_role, version, create_time,
                                            update_time, username, username_index)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
        id,
        sealed.seal(Column::EMAIL, id, &user.email),
        sealed.email_index(&user.email),
        sealed.seal(Column::DISPLAY_NAME, id, &user.display_name),
        sealed.seal(Column::PASSWORD_HASH, id, password_hash),
        user.state as _,
        user.system_role as _,
        user.version,
        user.create_time,
        user.update_time,
        user.username.as_ref().map(|name| sealed.seal(Column::USERNAME, id, name.as_str())),
        user.username.as_ref().map(|name| sealed.username_index(name.as_str())),
    );
    Ok(done.execute(tx.conn()).await?.rows_affected() == 1)
}

/// Whether somebody proved the address, and whether somebody has the username.
pub(super) async fn is_taken(tx: &mut Tx, email_index: &str, username_index: Option<&str>) -> Result<(bool, bool), Error> {
    let row = sqlx::query!(
        r#"SELECT identity.active_user(NULL, $1) IS NOT NULL AS "email!", coalesce(identity.username_taken($2), false) AS "username!""#,
        email_index,
        username_index,
    );
    let row = row.fetch_one(tx.conn()).await?;
    Ok((row.email, row.username))
}

/// The account, if the caller may know of it.
pub(crate) async fn find(tx: &mut Tx, sealed: &Sealed, id: UserId) -> Result<Option<Seen>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT user_id AS "user_id: UserId", email, username, display_name, state AS "state: UserState", system_role AS "system_role: SystemRole",
                  version, create_time, update_time,
                  (user_id = identity.current_user_id() OR identity.is_system_admin()) AS "shows_system_role!"
           FROM identity.user_account WHERE user_id = $1"#,
        id as _,
    );
    Ok(row.fetch_optional(tx.conn()).await?.map(|row| row.open(sealed)).transpose()?)
}

/// Before there is a principal: who signs in by `identifier`, and the hash to check a password against; and whether the sign-in may be made
/// now, to whose ladders it is charged in the same statement and its commit.
pub(crate) async fn credential(
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
pub(super) async fn pending(db: &Db, caller: &Caller, sealed: &Sealed, id: UserId) -> Result<Option<Pending>, Error> {
    let sql = "SELECT generation, password_hash FROM identity.pending_verification($1)";
    let pending: Vec<(i64, Vec<u8>)> = db.look_up(caller, sql, |query| query.bind(id)).await?;
    let Some((generation, password_hash)) = pending.into_iter().next() else { return Ok(None) };
    let password_hash = sealed.open(Column::PASSWORD_HASH, id.uuid(), &password_hash)?;
    Ok(Some(Pending { generation, password_hash }))
}

/// Stores what [`User::verified`] made of an account, if its token's `generation` is the good one and the address is nobody's yet: once.
/// `USERNAME_TAKEN` when the name that it would keep is somebody's by now.
pub(super) async fn verify(tx: &mut Tx, user: &User, generation: i64) -> Result<bool, Error> {
    let done = sqlx::query!(
        "UPDATE identity.user_account
         SET state = $3, verification_generation = verification_generation + 1, version = $4, update_time = $5,
             username = CASE WHEN $6 THEN username END, username_index = CASE WHEN $6 THEN username_index END
         WHERE user_id = $1 AND verification_generation = $2 AND state = 1",
        user.id as _,
        generation,
        user.state as _,
        user.version,
        user.update_time,
        user.username.is_some(),
    )
    .execute(tx.conn())
    .await
    .on_constraints(|broken| match broken {
        "user_account_proved_key" => Some(Error::VerificationTokenInvalid),
        "user_account_username_key" => Some(Error::UsernameTaken),
        _ => None,
    })?;
    Ok(done.rows_affected() == 1)
}

/// Before there is a principal: whether somebody has the username.
pub(super) async fn username_taken(db: &Db, caller: &Caller, username_index: &str) -> Result<bool, Error> {
    let taken: Vec<(bool,)> = db.look_up(caller, "SELECT identity.username_taken($1)", |query| query.bind(username_index)).await?;
    Ok(taken.into_iter().any(|(taken,)| taken))
}

/// Stores what [`User::named`] made of an account, which is held. Of many who want one name at once one gets it.
pub(super) async fn set_username(tx: &mut Tx, sealed: &Sealed, user: &User) -> Result<(), Error> {
    let id = user.id.uuid();
    sqlx::query!(
        "UPDATE identity.user_account SET username = $2, username_index = $3, version = $4, update_time = $5 WHERE user_id = $1",
        id,
        user.username.as_ref().map(|name| sealed.seal(Column::USERNAME, id, name.as_str())),
        user.username.as_ref().map(|name| sealed.username_index(name.as_str())),
        user.version,
        user.update_time,
    )
    .execute(tx.conn())
    .await
    .on_constraint("user_account_username_key", || Error::UsernameTaken)?;
    Ok(())
}

/// The newest registration of an address that waits for its proof, while nobody proved the address.
pub(super) async fn pending_user(db: &Db, caller: &Caller, email_index: &str) -> Result<Option<UserId>, Error> {
    let found: Vec<(Option<UserId>,)> = db.look_up(caller, "SELECT identity.pending_user($1)", |query| query.bind(email_index)).await?;
    Ok(found.into_iter().next().and_then(|(id,)| id))
}

/// Before there is a principal: who proved the address.
pub(super) async fn active_user_before(db: &Db, caller: &Caller, email_index: &str) -> Result<Option<UserId>, Error> {
    let found: Vec<(Option<UserId>,)> =
        db.look_up(caller, "SELECT identity.active_user(NULL, $1)", |query| query.bind(email_index)).await?;
    Ok(found.into_iter().next().and_then(|(id,)| id))
}

/// What the ladders of an account hang on: the blind indexes that it signs in by, and its id. `None` when there is no such account, or none
/// that the caller may know of.
pub(super) async fn throttled_as(tx: &mut Tx, id: UserId) -> Result<Option<Vec<String>>, Error> {
    let row = sqlx::query!("SELECT email_index, username_index FROM identity.user_account WHERE user_id = $1", id as _);
    let row = row.fetch_optional(tx.conn()).await?;
    Ok(row.map(|row| [Some(row.email_index), row.username_index, Some(id.to_string())].into_iter().flatten().collect()))
}

/// Notes that `asker` (of [`Sealed::asker_index`]) asks for `what` now, whether or not the address is somebody's; false when they did in the
/// `cooldown` before, or when everybody together asked for so much that no mail may go out. Of two at once one is told so.
pub(crate) async fn ask_for_mail(tx: &mut Tx, email_index: &str, what: Asked, asker: &str, cooldown: Duration) -> Result<bool, Error> {
    let now = tx.now();
    let done = sqlx::query!(
        "WITH first AS (
             INSERT INTO identity.mail_request AS r (email_index, asked, asker, request_time) VALUES ($1, $2, $3, $4)
             ON CONFLICT (email_index, asked, asker) DO UPDATE SET request_time = excluded.request_time WHERE r.request_time <= $5
             RETURNING 1)
         INSERT INTO identity.mail_request AS r (email_index, asked, asker, request_time) SELECT $1, $2, '', $6 FROM first
         ON CONFLICT (email_index, asked, asker) DO UPDATE SET request_time = greatest(r.request_time, $4) + (excluded.request_time - $4)
             WHERE r.request_time <= $7",
        email_index,
        what as _,
        asker,
        now,
        now - cooldown,
        now + cooldown,
        now + cooldown * (MAILBOX_MAX - 1),
    );
    Ok(done.execute(tx.conn()).await?.rows_affected() == 1)
}

/// Deletes at most `at_most` notes of what was asked for before `time`; says how many.
pub(crate) async fn prune_mail_requests(tx: &mut WorkTx, time: OffsetDateTime, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.mail_request WHERE (email_index, asked, asker) IN
             (SELECT email_index, asked, asker FROM identity.mail_request WHERE request_time < $1 ORDER BY request_time LIMIT $2)",
        time,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}

/// Holds the account to the end of the transaction, if it is there: sign-ins and changes of it take turns.
pub(crate) async fn hold(tx: &mut Tx, id: UserId) -> Result<(), Error> {
    sqlx::query!("SELECT user_id FROM identity.user_account WHERE user_id = $1 FOR NO KEY UPDATE", id as _)
        .fetch_optional(tx.conn())
        .await?;
    Ok(())
}

/// Holds the account of the user of this transaction to its end, if it is there and ACTIVE. Rows that refer to it are not held up.
pub(crate) async fn hold_account(tx: &mut Tx, sealed: &Sealed, id: UserId) -> Result<Option<Account>, Error> {
    let row = sqlx::query!(
        r#"SELECT system_role AS "system_role: SystemRole", email, email_index, version FROM identity.user_account
           WHERE user_id = $1 AND state = 2 FOR NO KEY UPDATE"#,
        id as _,
    );
    let Some(row) = row.fetch_optional(tx.conn()).await? else { return Ok(None) };
    let email = sealed.open(Column::EMAIL, id.uuid(), &row.email)?;
    Ok(Some(Account { system_role: row.system_role, email, email_index: row.email_index, version: row.version }))
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
pub(super) async fn resettable(tx: &mut Tx, sealed: &Sealed, id: UserId, generation: i64) -> Result<Option<Person>, Error> {
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
pub(super) async fn last_hashes(tx: &mut Tx, sealed: &Sealed, id: UserId, at_most: i64) -> Result<Vec<String>, Error> {
    let rows = sqlx::query_scalar!(r#"SELECT password_hash AS "password_hash!" FROM identity.own_password_hashes($1)"#, at_most);
    let rows = rows.fetch_all(tx.conn()).await?;
    Ok(rows.iter().map(|hash| sealed.open(Column::PASSWORD_HASH, id.uuid(), hash)).collect::<Result<_, _>>()?)
}

/// Keeps the hash in force of the user of this transaction, whose account is held, as `id`, and forgets all but the last `kept`. It stays
/// sealed as it is.
pub(super) async fn keep_hash(tx: &mut Tx, id: Uuid, kept: i64) -> Result<(), Error> {
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

/// Stores what [`User::changed`] made of an account, with another password: for a reset if `generation` is that of the good token, once. Every
/// reset that was asked for before is void, and every device token. Gives the generation that is good now.
pub(super) async fn set_password(
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

/// Stores what [`User::promoted`] made of an account.
pub(super) async fn promote(tx: &mut Tx, user: &User) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE identity.user_account SET system_role = $2, version = $3, update_time = $4 WHERE user_id = $1",
        user.id as _,
        user.system_role as _,
        user.version,
        user.update_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Deletes at most `at_most` registrations that wait since before `time`; says how many. One that is proved at this moment stays.
pub(crate) async fn prune_pending(tx: &mut WorkTx, time: OffsetDateTime, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.user_account WHERE state = 1 AND user_id IN
             (SELECT user_id FROM identity.user_account WHERE state = 1 AND create_time < $1 ORDER BY create_time LIMIT $2)",
        time,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}

/// Before there is a principal: whether there is a system admin.
pub(super) async fn has_system_admin(db: &Db, caller: &Caller) -> Result<bool, Error> {
    let found: Vec<(bool,)> = db.look_up(caller, "SELECT identity.has_system_admin()", |query| query).await?;
    Ok(found.into_iter().any(|(found,)| found))
}

/// One replica at a time makes the first system admin, to the end of the transaction; false when there is one.
pub(super) async fn lock_first_admin(tx: &mut Tx) -> Result<bool, Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('identity.first_admin', 0))").execute(tx.conn()).await?;
    // A statement of its own: the one that waits for the lock sees what was before.
    let found = sqlx::query_scalar!(r#"SELECT identity.has_system_admin() AS "found!""#).fetch_one(tx.conn()).await?;
    Ok(!found)
}

/// The user whom an admin names by id or address, if they can sign in.
pub(crate) async fn active_user(tx: &mut Tx, id: Option<UserId>, email_index: Option<&str>) -> Result<Option<UserId>, Error> {
    let user = sqlx::query_scalar!(r#"SELECT identity.active_user($1, $2) AS "user_id: UserId""#, id as _, email_index);
    Ok(user.fetch_one(tx.conn()).await?)
}

/// A page of every account that passes `filter`, oldest first.
pub(super) async fn list(tx: &mut Tx, sealed: &Sealed, filter: &Filter, page: &PageRequest) -> Result<Page<Seen>, Error> {
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(
        "SELECT u.user_id, u.email, u.username, u.display_name, u.state, u.system_role, u.version, u.create_time, u.update_time,
                (u.user_id = (SELECT identity.current_user_id()) OR (SELECT identity.is_system_admin())) AS shows_system_role
         FROM identity.user_account u WHERE true",
    );
    filter.push(&mut query);
    page.push(&mut query);
    let rows: Vec<Row> = query.build_query_as().fetch_all(tx.conn()).await?;
    let users = rows.into_iter().map(|row| row.open(sealed)).collect::<Result<Vec<_>, _>>()?;
    Ok(page.finish(users, |seen| Cursor::time(seen.user.create_time, seen.user.id.uuid())))
}
