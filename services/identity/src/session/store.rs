//! SQL of sessions. The table's floor shows a caller their own alone.

use db::{Cursor, Page, PageRequest, Tx, WorkTx};
use runtime::{OrganizationId, SessionId, UserId, WorkspaceId};
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};

use super::{Context, Held, Methods, Session, SessionState};
use crate::config::ACCESS_TOKEN_SECONDS_MAX;
use crate::error::Error;
use crate::member::Role;
use crate::sealed::{Column, Sealed, Unopened};
use crate::throttle::Key;
use crate::token::refresh::RefreshToken;
use crate::user::SystemRole;

/// A row as it lies in the table.
struct Row {
    session_id: SessionId,
    user_id: UserId,
    organization_id: OrganizationId,
    workspace_id: Option<WorkspaceId>,
    state: SessionState,
    amr: Methods,
    auth_time: OffsetDateTime,
    generation: i64,
    client_address: Option<Vec<u8>>,
    user_agent: Option<Vec<u8>>,
    create_time: OffsetDateTime,
    rotate_time: OffsetDateTime,
    last_use_time: OffsetDateTime,
    refresh_expire_time: OffsetDateTime,
    expire_time: OffsetDateTime,
}

impl Row {
    fn open(self, sealed: &Sealed) -> Result<Session, Unopened> {
        let id = self.session_id.uuid();
        let open = |column, value: Option<Vec<u8>>| value.map(|value| sealed.open(column, id, &value)).transpose();
        Ok(Session {
            id: self.session_id,
            user_id: self.user_id,
            organization_id: self.organization_id,
            workspace_id: self.workspace_id,
            stored_state: self.state,
            methods: self.amr,
            auth_time: self.auth_time,
            generation: self.generation,
            client_address: open(Column::CLIENT_ADDRESS, self.client_address)?,
            user_agent: open(Column::USER_AGENT, self.user_agent)?,
            create_time: self.create_time,
            rotate_time: self.rotate_time,
            last_use_time: self.last_use_time,
            refresh_expire_time: self.refresh_expire_time,
            expire_time: self.expire_time,
        })
    }
}

/// What an insert found out.
pub(super) struct Inserted {
    /// What the person may do across organizations.
    pub(super) system_role: SystemRole,
    /// Whether the person has a second factor: the session is CHALLENGED.
    pub(super) is_challenged: bool,
    /// Whether the person has more sessions open now than may be.
    pub(super) is_crowded: bool,
}

/// Inserts a session and holds its user's account to the end of the transaction: sign-ins of one user take turns, so that the bound of their
/// sessions holds. It is inserted as `challenged` when the person has a second factor. `None` when the account is not as `version` was, the one
/// that the password was checked against: another one may have been chosen since.
///
/// The account is held first and in the same statement; it does not hold up rows that refer to it (FOR NO KEY UPDATE).
/// In the same step the attempt that succeeded is settled with the ladders `attempt` it was charged to, and it is seen whether there are more
/// than `kept` sessions open.
pub(super) async fn insert(
    tx: &mut Tx,
    sealed: &Sealed,
    [session, challenged]: [&Session; 2],
    version: i64,
    attempt: &[Key],
    kept: i64,
) -> Result<Option<Inserted>, Error> {
    let id = session.id.uuid();
    let seal = |column, value: &Option<String>| value.as_ref().map(|value| sealed.seal(column, id, value));
    let inserted = sqlx::query_as!(
        Inserted,
        r#"WITH held AS MATERIALIZED (
             SELECT u.user_id, u.system_role, EXISTS (SELECT FROM identity.factor f WHERE f.user_id = $2 AND f.state = 2) AS asks
             FROM identity.user_account u WHERE u.user_id = $2 AND u.version = $15 FOR NO KEY UPDATE),
                settled AS MATERIALIZED (SELECT identity.throttle_settle($18, true) FROM held)
           INSERT INTO identity.session (session_id, user_id, organization_id, workspace_id, state, generation, client_address, user_agent,
                                         amr, auth_time, create_time, rotate_time, last_use_time, refresh_expire_time,
                                         expire_time)
           SELECT $1, held.user_id, $3, $4, CASE WHEN held.asks THEN $16 ELSE $5::smallint END, $6, $7, $8, $9, $10, $11, $12, $12,
                  CASE WHEN held.asks THEN $17 ELSE $13::timestamptz END, CASE WHEN held.asks THEN $17 ELSE $14::timestamptz END
           FROM held CROSS JOIN settled
           RETURNING (SELECT held.system_role FROM held) AS "system_role!: SystemRole", (SELECT held.asks FROM held) AS "is_challenged!",
                     identity.has_sessions_beyond($2, $19, $11) AS "is_crowded!""#,
        id,
        session.user_id as _,
        session.organization_id as _,
        session.workspace_id as _,
        session.stored_state as i16,
        session.generation,
        seal(Column::CLIENT_ADDRESS, &session.client_address),
        seal(Column::USER_AGENT, &session.user_agent),
        session.methods as _,
        session.auth_time,
        session.create_time,
        session.last_use_time,
        session.refresh_expire_time,
        session.expire_time,
        version,
        challenged.stored_state as i16,
        challenged.expire_time,
        Json(attempt) as _,
        kept,
    );
    Ok(inserted.fetch_optional(tx.conn()).await?)
}

/// Stores that a session, which is held, was authenticated: it is open, and nothing wrong was brought since.
pub(super) async fn authenticate(tx: &mut Tx, session: &Session) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE identity.session SET state = 1, amr = $2, auth_time = $3, failures = 0, rotate_time = $4, last_use_time = $5, refresh_expire_time = $6,
             expire_time = $7
         WHERE session_id = $1",
        session.id as _,
        session.methods as _,
        session.auth_time,
        session.rotate_time,
        session.last_use_time,
        session.refresh_expire_time,
        session.expire_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Counts a wrong code or password of the session, which is held; says how many there were in a row.
pub(super) async fn fail(tx: &mut Tx, id: SessionId) -> Result<i16, Error> {
    let failures =
        sqlx::query_scalar!("UPDATE identity.session SET failures = failures + 1 WHERE session_id = $1 RETURNING failures", id as _);
    Ok(failures.fetch_one(tx.conn()).await?)
}

/// Takes the second factor out of what the user's open sessions were authenticated by.
pub(crate) async fn lower(tx: &mut Tx, user_id: UserId) -> Result<(), Error> {
    sqlx::query!("UPDATE identity.session SET amr = amr & 1 WHERE user_id = $1 AND state = 1 AND amr > 1", user_id as _)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Trades the refresh token in, if it is the good one of a session that is open: at most one caller gets the row. In the same step the session
/// is put under what the organization asks of sessions. Gives it as it is now, and what its user holds where it acts.
///
/// The row is locked before anything is asked about it: what a switch that was under way made of it decides where the session is.
pub(super) async fn trade(
    tx: &mut Tx,
    sealed: &Sealed,
    token: &RefreshToken,
    refresh_ttl: Duration,
) -> Result<Option<(Session, Held)>, Error> {
    let now = tx.now();
    let row = sqlx::query!(
        r#"WITH locked AS MATERIALIZED (
             SELECT h.session_id, h.organization_id, h.workspace_id, h.create_time, h.rotate_time FROM identity.session h
             WHERE h.session_id = $1 AND h.generation = $2 AND h.state = 1 AND h.refresh_expire_time > $3 AND h.expire_time > $3
             FOR NO KEY UPDATE),
           held AS MATERIALIZED (
             SELECT h.session_id, u.system_admin, o.role AS organization_role, w.role AS workspace_role, p.mfa_required_time,
                    p.idle, h.create_time + p.longest AS last_time
             FROM locked h
             LEFT JOIN LATERAL identity.session_policy(h.organization_id) p ON true
             CROSS JOIN LATERAL (SELECT identity.is_system_admin() AS system_admin) u
             LEFT JOIN LATERAL (SELECT m.role FROM identity.my_memberships() m
                                WHERE m.organization_id = h.organization_id AND m.workspace_id IS NULL) o ON true
             LEFT JOIN LATERAL (SELECT m.role FROM identity.my_memberships() m
                                WHERE m.organization_id = h.organization_id AND m.workspace_id = h.workspace_id) w ON true
             WHERE (p.idle IS NULL OR h.rotate_time + p.idle > $3) AND (p.longest IS NULL OR h.create_time + p.longest > $3))
           UPDATE identity.session s
           SET generation = s.generation + 1, rotate_time = $3, last_use_time = greatest(s.last_use_time, $3), expire_time = least(s.expire_time, held.last_time),
               refresh_expire_time = least($4, s.expire_time, held.last_time, $3 + held.idle)
           FROM held WHERE s.session_id = held.session_id
           RETURNING s.session_id AS "session_id: SessionId", s.user_id AS "user_id: UserId", s.organization_id AS "organization_id: OrganizationId",
                     s.workspace_id AS "workspace_id: WorkspaceId", s.state AS "state: SessionState", s.amr AS "amr: Methods", s.auth_time, s.generation, s.client_address, s.user_agent, s.create_time,
                     s.rotate_time, s.last_use_time, s.refresh_expire_time, s.expire_time,
                     held.system_admin AS "system_admin!", held.organization_role AS "organization_role?: Role",
                     held.workspace_role AS "workspace_role?: Role", held.mfa_required_time AS "mfa_required_time?""#,
        token.session_id as _,
        token.generation,
        now,
        now + refresh_ttl,
    );
    let Some(row) = row.fetch_optional(tx.conn()).await? else { return Ok(None) };
    let held = Held {
        system_admin: row.system_admin,
        organization_role: row.organization_role,
        workspace_role: row.workspace_role,
        mfa_required_time: row.mfa_required_time,
    };
    let row = Row {
        session_id: row.session_id,
        user_id: row.user_id,
        organization_id: row.organization_id,
        workspace_id: row.workspace_id,
        state: row.state,
        amr: row.amr,
        auth_time: row.auth_time,
        generation: row.generation,
        client_address: row.client_address,
        user_agent: row.user_agent,
        create_time: row.create_time,
        rotate_time: row.rotate_time,
        last_use_time: row.last_use_time,
        refresh_expire_time: row.refresh_expire_time,
        expire_time: row.expire_time,
    };
    Ok(Some((row.open(sealed)?, held)))
}

/// What an open session was authenticated by.
pub(super) async fn methods(tx: &mut Tx, id: SessionId) -> Result<Option<Methods>, Error> {
    let methods = sqlx::query_scalar!(r#"SELECT amr AS "amr: Methods" FROM identity.session WHERE session_id = $1 AND state = 1"#, id as _);
    Ok(methods.fetch_optional(tx.conn()).await?)
}

pub(crate) async fn find(tx: &mut Tx, sealed: &Sealed, id: SessionId) -> Result<Option<Session>, Error> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT session_id AS "session_id: SessionId", user_id AS "user_id: UserId", organization_id AS "organization_id: OrganizationId",
                  workspace_id AS "workspace_id: WorkspaceId", state AS "state: SessionState", amr AS "amr: Methods", auth_time, generation, client_address, user_agent, create_time,
                  rotate_time, last_use_time, refresh_expire_time, expire_time
           FROM identity.session WHERE session_id = $1"#,
        id as _,
    );
    Ok(row.fetch_optional(tx.conn()).await?.map(|row| row.open(sealed)).transpose()?)
}

/// The session, held until the transaction ends.
pub(super) async fn lock(tx: &mut Tx, sealed: &Sealed, id: SessionId) -> Result<Option<Session>, Error> {
    let held = sqlx::query_scalar!("SELECT true FROM identity.session WHERE session_id = $1 FOR UPDATE", id as _);
    match held.fetch_optional(tx.conn()).await? {
        Some(_) => find(tx, sealed, id).await,
        None => Ok(None),
    }
}

/// Moves the session to the context that it has, under the limits that it has.
pub(super) async fn set_context(tx: &mut Tx, session: &Session) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE identity.session SET organization_id = $2, workspace_id = $3, refresh_expire_time = $4, expire_time = $5 WHERE session_id = $1",
        session.id as _,
        session.organization_id as _,
        session.workspace_id as _,
        session.refresh_expire_time,
        session.expire_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends the session; false when it was revoked already.
pub(super) async fn revoke(tx: &mut Tx, id: SessionId) -> Result<bool, Error> {
    let done =
        sqlx::query!("UPDATE identity.session SET state = 2 WHERE session_id = $1 AND state IN (1, 3)", id as _).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Ends every session of the user but `kept` that is open or waits for a second factor, and gives each as it was and as it is now. One whose
/// refresh token lapsed a moment ago too: an access token that it was given before that, by a switch say, is good for as long as any may be.
pub(crate) async fn revoke_all(
    tx: &mut Tx,
    sealed: &Sealed,
    user_id: UserId,
    kept: Option<SessionId>,
) -> Result<Vec<(Session, Session)>, Error> {
    let now = tx.now();
    let lapsed_before = now - Duration::seconds(ACCESS_TOKEN_SECONDS_MAX.into());
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT session_id AS "session_id: SessionId", user_id AS "user_id: UserId", organization_id AS "organization_id: OrganizationId",
                  workspace_id AS "workspace_id: WorkspaceId", state AS "state: SessionState", amr AS "amr: Methods", auth_time, generation,
                  client_address, user_agent, create_time, rotate_time, last_use_time, refresh_expire_time, expire_time
           FROM identity.session
           WHERE user_id = $1 AND state IN (1, 3) AND refresh_expire_time > $3 AND expire_time > $2 AND session_id IS DISTINCT FROM $4
           ORDER BY session_id FOR UPDATE"#,
        user_id as _,
        now,
        lapsed_before,
        kept as _,
    );
    let open = rows.fetch_all(tx.conn()).await?.into_iter().map(|row| row.open(sealed)).collect::<Result<Vec<Session>, _>>()?;
    let ids: Vec<uuid::Uuid> = open.iter().map(|session| session.id.uuid()).collect();
    sqlx::query!("UPDATE identity.session SET state = 2 WHERE session_id = ANY($1)", &ids).execute(tx.conn()).await?;
    Ok(open.into_iter().map(|before| (before.clone(), Session { stored_state: SessionState::Revoked, ..before })).collect())
}

/// What the user of this transaction holds in `context`, and what is asked there.
pub(crate) async fn held(tx: &mut Tx, context: Context) -> Result<Held, Error> {
    let row = sqlx::query!(
        r#"SELECT identity.is_system_admin() AS "system_admin!",
                  (SELECT m.role FROM identity.my_memberships() m WHERE m.organization_id = $1 AND m.workspace_id IS NULL) AS "organization_role: Role",
                  (SELECT m.role FROM identity.my_memberships() m WHERE m.organization_id = $1 AND m.workspace_id = $2) AS "workspace_role: Role",
                  (SELECT p.mfa_required_time FROM identity.session_policy($1) p) AS mfa_required_time"#,
        context.organization_id as _,
        context.workspace_id as _,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Held {
        system_admin: row.system_admin,
        organization_role: row.organization_role,
        workspace_role: row.workspace_role,
        mfa_required_time: row.mfa_required_time,
    })
}

/// A page of the caller's open sessions, newest first.
pub(super) async fn list_open(tx: &mut Tx, sealed: &Sealed, page: &PageRequest) -> Result<Page<Session>, Error> {
    let (now, user_id) = (tx.now(), tx.caller().user_id()?);
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT session_id AS "session_id: SessionId", user_id AS "user_id: UserId", organization_id AS "organization_id: OrganizationId",
                  workspace_id AS "workspace_id: WorkspaceId", state AS "state: SessionState", amr AS "amr: Methods", auth_time, generation, client_address, user_agent, create_time,
                  rotate_time, last_use_time, refresh_expire_time, expire_time
           FROM identity.session
           WHERE user_id = $1 AND state = 1 AND refresh_expire_time > $2 AND expire_time > $2
             AND ($3::timestamptz IS NULL OR (create_time, session_id) < ($3, $4))
           ORDER BY create_time DESC, session_id DESC LIMIT $5"#,
        user_id as _,
        now,
        page.after_time(),
        page.after_id(),
        page.limit(),
    )
    .fetch_all(tx.conn())
    .await?;
    let sessions = rows.into_iter().map(|row| row.open(sealed)).collect::<Result<Vec<_>, _>>()?;
    Ok(page.finish(sessions, |session| Cursor::time(session.create_time, session.id.uuid())))
}

/// The user's open sessions beyond the `kept` that were refreshed last, a hundred at most: a bound that was lowered is reached in some sign-ins.
pub(super) async fn beyond(tx: &mut Tx, sealed: &Sealed, user_id: UserId, kept: i64) -> Result<Vec<Session>, Error> {
    let now = tx.now();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT session_id AS "session_id: SessionId", user_id AS "user_id: UserId", organization_id AS "organization_id: OrganizationId",
                  workspace_id AS "workspace_id: WorkspaceId", state AS "state: SessionState", amr AS "amr: Methods", auth_time, generation, client_address, user_agent, create_time,
                  rotate_time, last_use_time, refresh_expire_time, expire_time
           FROM identity.session
           WHERE user_id = $1 AND state = 1 AND refresh_expire_time > $2 AND expire_time > $2
           ORDER BY rotate_time DESC, session_id DESC OFFSET $3 LIMIT 100"#,
        user_id as _,
        now,
        kept,
    );
    Ok(rows.fetch_all(tx.conn()).await?.into_iter().map(|row| row.open(sealed)).collect::<Result<_, _>>()?)
}

/// Deletes at most `at_most` challenges that nobody answered until `now`; says how many.
pub(crate) async fn prune_challenged(tx: &mut WorkTx, now: OffsetDateTime, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.session WHERE session_id IN
             (SELECT session_id FROM identity.session WHERE state = 3 AND expire_time < $1 ORDER BY expire_time LIMIT $2)",
        now,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}

/// Deletes at most `at_most` sessions that ended before `time`; says how many.
pub(crate) async fn prune(tx: &mut WorkTx, time: OffsetDateTime, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.session WHERE session_id IN
             (SELECT session_id FROM identity.session WHERE expire_time < $1 ORDER BY expire_time LIMIT $2)",
        time,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}
