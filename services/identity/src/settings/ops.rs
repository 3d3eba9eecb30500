//! Use cases of an organization's settings.

use db::{Db, Tx};
use rpc::Caller;

use super::{Change, Settings, store};
use crate::error::Error;
use crate::events;
use crate::session::context::require_second_factor;

/// Settings of organizations.
#[derive(Clone)]
pub struct Ops {
    /// The service's tables.
    pub db: Db,
}

impl Ops {
    /// What the organization of the call asks.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    pub async fn get(&self, caller: &Caller) -> Result<Settings, Error> {
        self.db.read(caller, async |tx: &mut Tx| store::find(tx, caller.organization_id()).await).await
    }

    /// Changes what the organization of the call asks.
    ///
    /// # Errors
    /// `ETAG_MISMATCH`; `CONFLICT` when two changes meet; `MFA_REQUIRED`, `FACTOR_ENROLLMENT_REQUIRED`, `SESSION_NOT_FOUND` when whether a second
    /// factor is asked for is to change and the caller's session is not at aal 2: who asks for one would be led out first.
    /// # Emits
    /// `OrganizationSettingsUpdated`, same transaction, when something changed.
    pub async fn update(&self, caller: &Caller, change: Change, etag: &str) -> Result<Settings, Error> {
        self.db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                let before = store::find(tx, caller.organization_id()).await?;
                before.require_etag(etag)?;
                let after = before.changed(change, tx.now());
                if after.mfa_required_time != before.mfa_required_time {
                    require_second_factor(tx).await?;
                }
                if after != before {
                    store::put(tx, &after).await?;
                    tx.emit(events::organization_settings_updated(&before, &after));
                }
                Ok(after)
            })
            .await
    }
}
