//! Use cases of ending many sessions at once: all others of one's own, all of somebody.

use db::Tx;
use rpc::Caller;
use runtime::{SessionId, UserId};

use super::ops::Ops;
use super::store;
use crate::error::Error;
use crate::events;
use crate::revocation::{Revocation, store as revocations};
use crate::sealed::Sealed;
use crate::user::store as users;

impl Ops {
    /// Ends every session of the caller but the one of the call; says how many.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND` for a call without a session.
    /// # Emits
    /// `SessionRevoked` for each, same transaction.
    pub async fn revoke_others(&self, caller: &Caller) -> Result<usize, Error> {
        let (user_id, kept) = (caller.user_id()?, caller.session_id().ok_or(Error::SessionNotFound)?);
        self.db.write_unrecorded(caller, async |tx: &mut Tx| end_all(tx, &self.sealed, user_id, Some(kept)).await).await
    }

    /// Ends every session of `user_id`; says how many. For system admins: `open` has refused everybody else, and the table's floor lets calls of
    /// their scope alone write what is not the caller's.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    /// # Emits
    /// `SessionRevoked` for each, same transaction.
    pub async fn revoke_of_user(&self, caller: &Caller, user_id: UserId) -> Result<usize, Error> {
        self.db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                users::find(tx, &self.sealed, user_id).await?.ok_or(Error::UserNotFound)?;
                end_all(tx, &self.sealed, user_id, None).await
            })
            .await
    }
}

/// Ends the sessions of a user but `kept`, and tells every verifier; says how many.
pub(crate) async fn end_all(tx: &mut Tx, sealed: &Sealed, user_id: UserId, kept: Option<SessionId>) -> Result<usize, Error> {
    let ended = store::revoke_all(tx, sealed, user_id, kept).await?;
    let told: Vec<Revocation> = ended.iter().map(|(_, session)| Revocation::of_session(session.id, tx.now())).collect();
    revocations::insert(tx, &told).await?;
    for ((before, after), revocation) in ended.iter().zip(&told) {
        events::emit_session_revoked(tx, before, after, revocation);
    }
    Ok(ended.len())
}
