//! SQL of accounts, without their passwords (`credential`). Address and name are sealed; which rows are seen is the table's floor: one's own, who
//! shares the organization, all for system admins.

use db::{Cursor, Db, Filter, OnConstraint, Page, PageRequest, Tx, WorkTx};
use rpc::Caller;
use runtime::UserId;
use sqlx::{Postgres, QueryBuilder};
use time::{Duration, OffsetDateTime};

use super::links::{Asked, MAILBOX_MAX};
use super::username::Username;
use super::{Seen, SystemRole, User, UserState};
use crate::error::Error;
use crate::sealed::{Column, Sealed, Unopened};

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

/// Inserts an account; false when somebody proved its address, or has its username if it is to be in force at once.
pub(crate) async fn insert(tx: &mut Tx, sealed: &Sealed, user: &User, password_hash: &str) -> Result<bool, Error> {
    let id = user.id.uuid();
    let done = sqlx::query!(
        "INSERT INTO identity.user_account (user_id, email, email_index, display_name, password_hash, state, system_role, version, create_time,
                                            update_time, username, username_index)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 WHERE NOT EXISTS (SELECT FROM identity.sign_in_credential($3, NULL))
         ON CONFLICT DO NOTHING",
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

/// Whether `id` is a registration of the address that waits for its proof, while nobody proved the address.
pub(super) async fn is_pending(db: &Db, caller: &Caller, email_index: &str, id: UserId) -> Result<bool, Error> {
    let sql = "SELECT identity.is_pending($1, $2)";
    let found: Vec<(bool,)> = db.look_up(caller, sql, |query| query.bind(id).bind(email_index)).await?;
    Ok(found.into_iter().any(|(pending,)| pending))
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

/// Whose bounds leave room for a mail that is asked for.
pub(crate) struct MailRoom {
    /// Of who asks: they did not in the cool-down before.
    pub(crate) asker: bool,
    /// And of the mailbox: everybody together did not ask for so much that no mail may go out.
    pub(crate) mailbox: bool,
}

/// Notes that `asker` (of [`Sealed::asker_index`]) asks for `what` now, whether or not the address is somebody's, and says whose bounds leave room
/// for the mail. Of two at once one finds none.
pub(crate) async fn ask_for_mail(tx: &mut Tx, email_index: &str, what: Asked, asker: &str, cooldown: Duration) -> Result<MailRoom, Error> {
    let now = tx.now();
    let room = sqlx::query_as!(
        MailRoom,
        r#"WITH first AS (
             INSERT INTO identity.mail_request AS r (email_index, asked, asker, request_time) VALUES ($1, $2, $3, $4)
             ON CONFLICT (email_index, asked, asker) DO UPDATE SET request_time = excluded.request_time WHERE r.request_time <= $5
             RETURNING 1),
         room AS (
             INSERT INTO identity.mail_request AS r (email_index, asked, asker, request_time) SELECT $1, $2, '', $6 FROM first
             ON CONFLICT (email_index, asked, asker) DO UPDATE SET request_time = greatest(r.request_time, $4) + (excluded.request_time - $4)
                 WHERE r.request_time <= $7
             RETURNING 1)
         SELECT EXISTS (SELECT FROM first) AS "asker!", EXISTS (SELECT FROM room) AS "mailbox!""#,
        email_index,
        what as _,
        asker,
        now,
        now - cooldown,
        now + cooldown,
        now + cooldown * (MAILBOX_MAX - 1),
    );
    Ok(room.fetch_one(tx.conn()).await?)
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
