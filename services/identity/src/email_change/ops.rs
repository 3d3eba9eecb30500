//! Use cases of changing an address: asking for it, and the proof.

use db::Tx;
use rpc::Caller;
use runtime::{OrganizationId, SecretString, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{EmailChange, EmailChangeState, store};
use crate::error::Error;
use crate::events;
use crate::token::link::LinkToken;
use crate::user::credential::store as credentials;
use crate::user::links::{Asked, whole_seconds};
use crate::user::ops::Ops;
use crate::user::store as users;

impl Ops {
    /// Asks for a mail to `email` with a link that makes it the address of the caller's account, in place of what was asked for before: a link
    /// to another address is void, whether or not a mail goes out. One mail to an address in the cool-down.
    ///
    /// # Errors
    /// `STEP_UP_REQUIRED`, `PASSWORD_INCORRECT`, `ATTEMPTS_THROTTLED`, `USER_NOT_FOUND`, `HASHING_OVERLOADED`, `CONFLICT`.
    /// # Emits
    /// `EmailChangeRequested`, same transaction, in no organization; nothing in the cool-down.
    pub async fn request_email_change(&self, caller: &Caller, email: String, password: SecretString) -> Result<(), Error> {
        let caller = caller.with_organization(OrganizationId::SYSTEM);
        let (own, pass) = self.confirmed(&caller, password).await?;
        if let Err(refused) = self.throttle.admit(&caller, self.throttle.mail(&caller)).await {
            self.throttle.give_back(&caller, pass).await;
            return Err(refused);
        }
        let index = self.sealed.email_index(&email);
        let id = self.db.ids().next();
        self.db
            .write_unrecorded(&caller, async |tx: &mut Tx| {
                let user_id = own.credential.user_id;
                credentials::hold_as(tx, &own.credential).await?;
                self.throttle.succeeded(tx, &pass).await?;
                store::void(tx, user_id, Some(&index)).await?;
                let asker = self.sealed.asker_index(&index, &user_id.to_string());
                if !users::ask_for_mail(tx, &index, Asked::ChangeEmail, &asker, self.links.cooldown).await?.mailbox {
                    return Ok(());
                }
                store::void(tx, user_id, None).await?;
                let expire_time = whole_seconds(tx.now() + self.links.verification_ttl);
                store::insert(tx, &self.sealed, &EmailChange { id, user_id, state: EmailChangeState::Pending, email, expire_time }).await?;
                tx.emit(events::email_change_requested(id, user_id));
                Ok(())
            })
            .await
    }

    /// Makes the address that `token` was mailed to the address of the caller, who asked for it, once. Whoever reads the mail of an address and
    /// was not signed in when it was asked for proves it for nobody: else a stranger could have an account of theirs proved by its owner. Sessions
    /// go on; links that reset the password were mailed to the former address, and are void, as are device tokens, which came with those links.
    ///
    /// # Errors
    /// `EMAIL_CHANGE_TOKEN_INVALID`, whatever is wrong; `ATTEMPTS_THROTTLED`.
    /// # Emits
    /// `EmailChanged`, same transaction, in no organization.
    pub async fn confirm_email_change(&self, caller: &Caller, token: &str) -> Result<(), Error> {
        let invalid = || Error::EmailChangeTokenInvalid;
        let caller = &caller.with_organization(OrganizationId::SYSTEM);
        let user_id = caller.user_id()?;
        let Ok(LinkToken { subject_id: id, .. }) = self.links.email_change.decode(token, self.db.clock().now()) else {
            self.throttle.forged(caller).await?;
            return Err(invalid());
        };
        let found = store::find(&self.db, caller, &self.sealed, id).await?;
        let own = found.filter(|(change, _)| change.user_id == user_id && change.state == EmailChangeState::Pending);
        let (change, _) = own.ok_or_else(invalid)?;
        self.db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                users::hold(tx, user_id).await?;
                let before = users::find(tx, &self.sealed, user_id).await?.ok_or_else(invalid)?.user;
                if !store::take(tx, &self.sealed, id, &before.email).await? {
                    return Err(invalid());
                }
                let after = before.reached_at(change.email, tx.now());
                store::set_email(tx, &self.sealed, &after).await?;
                tx.emit(events::email_changed(id, &before, &after));
                Ok(())
            })
            .await
    }

    /// For whoever sends mail: the address that the change `id` of `user_id` is about in `state`, how the person is called, and the token of
    /// one that waits. `None` for a link that is good for nothing any more, and for an address that somebody else proved.
    pub(crate) async fn email_change(
        &self,
        caller: &Caller,
        user_id: UserId,
        id: Uuid,
        state: EmailChangeState,
    ) -> Result<Option<(String, String, Option<(String, OffsetDateTime)>)>, Error> {
        let found = store::find(&self.db, caller, &self.sealed, id).await?;
        let found = found.filter(|(change, _)| change.user_id == user_id && change.state == state);
        let is_late = |expire_time| self.db.clock().now() >= expire_time;
        Ok(match found {
            Some((change, display_name)) if state == EmailChangeState::Done => Some((change.email, display_name, None)),
            Some((change, display_name)) if !is_late(change.expire_time) => {
                let token = LinkToken { subject_id: id, generation: 1, expire_time: change.expire_time };
                Some((change.email, display_name, Some((self.links.email_change.encode(token), change.expire_time))))
            }
            _ => None,
        })
    }
}
