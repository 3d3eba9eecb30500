//! The use case of choosing another password with the link that was mailed.
//!
//! Deliberately absent: an admin who chooses somebody's password (ASVS 5.0, 6.4.6), and a session: the person signs in afterwards.

use db::Tx;
use rpc::Caller;
use runtime::{SecretString, SessionId, UserId};

use super::credential::store as credentials;
use super::ops::Ops;
use super::store;
use crate::email_change::store as email_changes;
use crate::error::Error;
use crate::events;
use crate::session::end::end_all;
use crate::throttle::Scope;

impl Ops {
    /// Puts another password in place with the token of the link, once, and ends every session: whoever had the old one is out. What was
    /// asked for before is void with it. Whoever was kept waiting by failures at the account is not any more, and the device gets a token: who reads
    /// the mail of the address is no stranger.
    ///
    /// # Errors
    /// `PASSWORD_RESET_TOKEN_INVALID`, `PASSWORD_TOO_WEAK`, `HASHING_OVERLOADED`, `ATTEMPTS_THROTTLED`.
    /// # Emits
    /// `PasswordReset`, and `SessionRevoked` for each session that was open; same transaction.
    pub async fn reset_password(&self, caller: &Caller, token: &str, new: SecretString) -> Result<String, Error> {
        let now = self.db.clock().now();
        let Ok(token) = self.links.password_reset.decode(token, now) else {
            self.throttle.forged(caller).await?;
            return Err(Error::PasswordResetTokenInvalid);
        };
        let user_id = UserId::from(token.subject_id);
        let caller = caller.proven_as(user_id);
        // A link that was used asks nothing more: what was chosen before is told to nobody else.
        let known =
            self.db.read(&caller, async |tx: &mut Tx| credentials::resettable(tx, &self.sealed, user_id, token.generation).await).await?;
        let person = known.ok_or(Error::PasswordResetTokenInvalid)?;
        // That a password was one of the last tells who tries many what the person chooses.
        let pass = self.throttle.admit(&caller, self.throttle.attempt(Scope::Link, token.subject_id)).await?;
        let hash = match self.replacement(&caller, new, person).await {
            Ok(hash) => hash,
            Err(refused) => {
                if !refused.tells_a_password() {
                    self.throttle.give_back(&caller, pass).await;
                }
                return Err(refused);
            }
        };
        let generation = self
            .db
            .write_unrecorded(&caller, async |tx: &mut Tx| {
                store::hold(tx, user_id).await?;
                let before = store::find(tx, &self.sealed, user_id).await?.ok_or(Error::PasswordResetTokenInvalid)?.user;
                let after = before.changed(tx.now());
                self.remember(tx).await?;
                let generation = credentials::set_password(tx, &self.sealed, &after, Some(token.generation), &hash).await?;
                let generation = generation.ok_or(Error::PasswordResetTokenInvalid)?;
                let subjects = store::throttled_as(tx, user_id).await?;
                self.throttle.clear(tx, &subjects.unwrap_or_default()).await?;
                tx.emit(events::password_reset(&before, &after));
                self.end_what_stood_on_it(tx, user_id, None).await?;
                Ok::<_, Error>(generation)
            })
            .await?;
        Ok(self.throttle.device_token(user_id, generation, None))
    }

    /// Ends what is open of the user but `kept`, and the change of address that waits. The account is held: a sign-in that checked the former
    /// password comes too late.
    pub(super) async fn end_what_stood_on_it(&self, tx: &mut Tx, user_id: UserId, kept: Option<SessionId>) -> Result<(), Error> {
        email_changes::void(tx, user_id, None).await?;
        end_all(tx, &self.sealed, user_id, kept).await.map(|_| ())
    }
}
