//! The system admin who is there from the first start, as the configuration says: without one nobody could make anything.
//!
//! Deliberately absent: changing a password by configuration. It is used when the account is made, and never after.

use std::time::Duration;

use db::Tx;
use rpc::Caller;
use runtime::{OrganizationId, UserId};

use super::ops::Ops;
use super::{SystemRole, User, UserState, store};
use crate::config::FirstAdminConfig;
use crate::error::Error;
use crate::events;

/// How long the one hash of a start may wait.
const HASH_WAIT: Duration = Duration::from_secs(30);

impl Ops {
    /// Makes the system admin of the configuration, where there is none: an ACTIVE account with the role ADMIN. An account that proved the
    /// address gets the role; a registration that did not is passed over, because anybody may have made it. Replicas that start at once make
    /// one. Once there is an admin the address means nothing any more: theirs may be another by now, and that one somebody else's.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`, `CONFLICT`.
    /// # Emits
    /// `UserRegistered` or `UserSystemRoleChanged`, same transaction; nothing when all is as it should be.
    pub async fn ensure_first_admin(&self, config: &FirstAdminConfig) -> Result<(), Error> {
        if config.email.is_empty() {
            return Ok(());
        }
        let own = Caller::background(crate::NAME, OrganizationId::SYSTEM, None);
        if store::has_system_admin(&self.db, &own).await? {
            return Ok(());
        }
        let index = self.sealed.email_index(&config.email);
        let known = store::active_user_before(&self.db, &own, &index).await?;
        match known {
            Some(user_id) => self.promote(&own.acting_as(user_id), user_id).await,
            None => self.make_admin(&own, config).await,
        }
    }

    async fn promote(&self, caller: &Caller, id: UserId) -> Result<(), Error> {
        self.db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                if store::lock_first_admin(tx).await? {
                    let before = store::find(tx, &self.sealed, id).await?.ok_or(Error::UserNotFound)?.user;
                    let after = before.promoted(tx.now());
                    store::promote(tx, &after).await?;
                    tx.emit(events::user_system_role_changed(&before, &after));
                }
                Ok(())
            })
            .await
    }

    async fn make_admin(&self, own: &Caller, config: &FirstAdminConfig) -> Result<(), Error> {
        let hash = self.hashing.hash(config.password.clone().into(), HASH_WAIT).await?;
        let id: UserId = self.db.ids().next_id();
        self.db
            .write_unrecorded(&own.acting_as(id), async |tx: &mut Tx| {
                let registered = User::registered(id, config.email.clone(), config.display_name.clone(), tx.now());
                let admin = User { state: UserState::Active, system_role: SystemRole::Admin, ..registered };
                // Somebody else may prove the address at this moment: then they get the role at the next start.
                if store::lock_first_admin(tx).await? && store::insert(tx, &self.sealed, &admin, &hash).await? {
                    tx.emit(events::user_registered(&admin, false));
                }
                Ok(())
            })
            .await
    }
}
