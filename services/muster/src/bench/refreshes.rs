//! P of a refresh: the statements that RefreshSession sends, over a pool of the same size, by the same login, without anything around them.

use std::{
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
};

use contract::identity::v1::Session;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

/// As `services/identity/src/session/store.rs` has it, with the columns that are read.
const TRADE: &str = "WITH locked AS MATERIALIZED (
    SELECT h.session_id, h.organization_id, h.workspace_id, h.create_time, h.rotate_time FROM identity.session h
    WHERE h.session_id = $1 AND h.generation = $2 AND h.state = 1 AND h.refresh_expire_time > now() AND h.expire_time > now()
    FOR NO KEY UPDATE),
  held AS MATERIALIZED (
    SELECT h.session_id, u.system_admin, o.role AS organization_role, w.role AS workspace_role, p.mfa_required_time, p.idle,
           h.create_time + p.longest AS last_time
    FROM locked h
    LEFT JOIN LATERAL identity.session_policy(h.organization_id) p ON true
    CROSS JOIN LATERAL (SELECT identity.is_system_admin() AS system_admin) u
    LEFT JOIN LATERAL (SELECT m.role FROM identity.my_memberships() m
                       WHERE m.organization_id = h.organization_id AND m.workspace_id IS NULL) o ON true
    LEFT JOIN LATERAL (SELECT m.role FROM identity.my_memberships() m
                       WHERE m.organization_id = h.organization_id AND m.workspace_id = h.workspace_id) w ON true
    WHERE (p.idle IS NULL OR h.rotate_time + p.idle > now()) AND (p.longest IS NULL OR h.create_time + p.longest > now()))
  UPDATE identity.session s
  SET generation = s.generation + 1, rotate_time = now(), last_use_time = greatest(s.last_use_time, now()), expire_time = least(s.expire_time, held.last_time),
      refresh_expire_time = least(now() + interval '7 days', s.expire_time, held.last_time, now() + held.idle)
  FROM held WHERE s.session_id = held.session_id
  RETURNING s.session_id, s.user_id, s.organization_id, s.workspace_id, s.state, s.amr, s.auth_time, s.generation, s.client_address, s.user_agent,
      s.create_time, s.rotate_time, s.last_use_time, s.refresh_expire_time, s.expire_time, held.system_admin, held.organization_role, held.workspace_role, held.mfa_required_time";

/// Sessions whose refresh tokens are traded, one for each place.
pub(super) struct Refreshes {
    pool: PgPool,
    sessions: Vec<(Uuid, Uuid, AtomicI64)>,
}

impl Refreshes {
    /// Over the database at `url`, with `connections`, of `sessions` that were just opened.
    pub(super) async fn new(url: &str, connections: u32, sessions: &[Session]) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(url)?.username("identity_app");
        let pool = PgPoolOptions::new().max_connections(connections).min_connections(connections).test_before_acquire(false);
        let fresh = |session: &Session| anyhow::Ok((session.session_id.parse()?, session.user_id.parse()?, AtomicI64::new(1)));
        let sessions = sessions.iter().map(fresh).collect::<Result<_, _>>()?;
        Ok(Refreshes { pool: pool.connect_with(options).await?, sessions })
    }

    /// One transaction, of the session at `place`.
    pub(super) async fn refresh(&self, place: usize) -> anyhow::Result<()> {
        let (session, user, generation) = &self.sessions[place];
        let mut conn = self.pool.acquire().await?;
        let begin = format!(
            "BEGIN; SELECT set_config('muster.organization','00000000-0000-0000-0000-000000000000',true), \
             set_config('muster.user','{user}',true), set_config('muster.workspaces','*',true), set_config('muster.system','',true), \
             set_config('statement_timeout','4980',true), set_config('lock_timeout','500',true)"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).execute(&mut *conn).await?;
        let traded = sqlx::query(TRADE).bind(session).bind(generation.fetch_add(1, Ordering::Relaxed)).fetch_optional(&mut *conn).await?;
        anyhow::ensure!(traded.is_some(), "a session is not as it was left");
        sqlx::query("SELECT 1").execute(&mut *conn).await?;
        sqlx::raw_sql("COMMIT").execute(&mut *conn).await?;
        Ok(())
    }

    /// Closes the pool.
    pub(super) async fn close(self) {
        self.pool.close().await;
    }
}
