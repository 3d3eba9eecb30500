//! SQL of settings. The table's floor shows those of the organization of the call.

use db::Tx;
use runtime::OrganizationId;

use super::Settings;
use crate::error::Error;

/// The settings of `id`, in a transaction for it.
pub(crate) async fn find(tx: &mut Tx, id: OrganizationId) -> Result<Settings, Error> {
    let row = sqlx::query!(
        "SELECT session_idle_seconds, session_max_seconds, mfa_required_time, version, update_time
         FROM identity.organization_settings WHERE organization_id = $1",
        id as _,
    );
    let Some(row) = row.fetch_optional(tx.conn()).await? else { return Ok(Settings::unset(id)) };
    Ok(Settings {
        organization_id: id,
        session_idle_seconds: row.session_idle_seconds,
        session_max_seconds: row.session_max_seconds,
        mfa_required_time: row.mfa_required_time,
        version: row.version,
        update_time: Some(row.update_time),
    })
}

/// Stores what [`Settings::changed`] made, if nobody was faster.
pub(super) async fn put(tx: &mut Tx, settings: &Settings) -> Result<(), Error> {
    let done = sqlx::query!(
        "INSERT INTO identity.organization_settings AS s (organization_id, session_idle_seconds, session_max_seconds, mfa_required_time, version,
                                                         update_time)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (organization_id) DO UPDATE
         SET session_idle_seconds = excluded.session_idle_seconds, session_max_seconds = excluded.session_max_seconds,
             mfa_required_time = excluded.mfa_required_time, version = excluded.version, update_time = excluded.update_time
         WHERE s.version = excluded.version - 1",
        settings.organization_id as _,
        settings.session_idle_seconds,
        settings.session_max_seconds,
        settings.mfa_required_time,
        settings.version,
        settings.update_time,
    );
    if done.execute(tx.conn()).await?.rows_affected() == 1 { Ok(()) } else { Err(rpc::Error::EtagMismatch.into()) }
}
