//! The use case of an admin who lets somebody sign in without waiting.

use db::Tx;
use rpc::Caller;
use runtime::UserId;

use super::ops::Ops;
use super::store;
use crate::error::Error;
use crate::events;

impl Ops {
    /// Clears what was counted against sign-ins to an account. For system admins: `open` has refused everybody else.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    /// # Emits
    /// `SignInUnlocked`, same transaction, when something was counted.
    pub async fn unlock_sign_in(&self, caller: &Caller, user_id: UserId) -> Result<(), Error> {
        self.db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                let subjects = store::throttled_as(tx, user_id).await?.ok_or(Error::UserNotFound)?;
                if self.throttle.clear(tx, &subjects).await? {
                    tx.emit(events::sign_in_unlocked(user_id));
                }
                Ok(())
            })
            .await
    }
}
