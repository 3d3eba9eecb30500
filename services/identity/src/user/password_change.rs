//! The use case of changing the password that one knows, and what the password is asked for besides.

use std::time::Duration;

use contract::StepUp;
use db::Tx;
use rpc::Caller;
use runtime::{OrganizationId, SecretString};

use super::credential::{Own, store as credentials};
use super::ops::{Ops, RESERVE};
use super::store;
use crate::error::Error;
use crate::events;
use crate::factor::store as factors;
use crate::password::Person;
use crate::throttle::{Pass, Scope};

/// As the methods ask that take a factor away.
const BY_FACTOR: StepUp = StepUp { aal: 2, max_age: Duration::from_mins(10) };

impl Ops {
    /// Puts another password in place of `current`, and ends every session of the caller but the one of the call. Links that were mailed before
    /// are void, and so are device tokens: whoever had the former password may have asked for them. Gives a device token for the device of the call.
    ///
    /// # Errors
    /// `STEP_UP_REQUIRED`, `PASSWORD_INCORRECT`, `ATTEMPTS_THROTTLED`, `PASSWORD_TOO_WEAK`, `USER_NOT_FOUND`, `HASHING_OVERLOADED`; `CONFLICT` when the account was changed meanwhile.
    /// # Emits
    /// `PasswordChanged`, and `SessionRevoked` for each session that ended; same transaction, in no organization.
    pub async fn change_password(&self, caller: &Caller, current: SecretString, new: SecretString) -> Result<String, Error> {
        let caller = caller.with_organization(OrganizationId::SYSTEM);
        let (own, pass) = self.confirmed(&caller, current).await?;
        let hash = match self.replacement(&caller, new, Person::at(&own.email)).await {
            Ok(hash) => hash,
            Err(refused) => {
                if !refused.tells_a_password() {
                    self.throttle.give_back(&caller, pass).await;
                }
                return Err(refused);
            }
        };
        let user_id = own.credential.user_id;
        let generation = self
            .db
            .write_unrecorded(&caller, async |tx: &mut Tx| {
                credentials::hold_as(tx, &own.credential).await?;
                self.throttle.succeeded(tx, &pass).await?;
                let before = store::find(tx, &self.sealed, user_id).await?.ok_or(Error::UserNotFound)?.user;
                let after = before.changed(tx.now());
                self.remember(tx).await?;
                let generation = credentials::set_password(tx, &self.sealed, &after, None, &hash).await?.ok_or(Error::UserNotFound)?;
                tx.emit(events::password_changed(&before, &after));
                self.end_what_stood_on_it(tx, user_id, caller.session_id()).await?;
                Ok::<_, Error>(generation)
            })
            .await?;
        Ok(self.throttle.device_token(user_id, generation, None))
    }

    /// The caller's account, whose password they gave once more, and the attempt, which is theirs to settle. Whoever sits at a session that was
    /// left open may guess a few times, and then waits. Who has a second factor in force showed it lately: the password alone changes nothing
    /// that it guards.
    ///
    /// # Errors
    /// `STEP_UP_REQUIRED`, `PASSWORD_INCORRECT`, `ATTEMPTS_THROTTLED`, `USER_NOT_FOUND`, `HASHING_OVERLOADED`.
    pub(crate) async fn confirmed(&self, caller: &Caller, password: SecretString) -> Result<(Own, Pass), Error> {
        let (own, count) = self
            .db
            .read(caller, async |tx: &mut Tx| {
                let own = credentials::own(tx, &self.sealed).await?.ok_or(Error::UserNotFound)?;
                let count = factors::count(tx, own.credential.user_id).await?;
                Ok::<_, Error>((own, count))
            })
            .await?;
        if count > 0 {
            caller.require_step_up(BY_FACTOR)?;
        }
        let user_id = own.credential.user_id;
        let pass = self.throttle.admit(caller, self.throttle.attempt(Scope::Password, user_id.uuid())).await?;
        let remaining = caller.deadline().remaining().saturating_sub(RESERVE);
        match self.hashing.verify(password, Some(own.credential.password_hash.clone()), remaining).await {
            Ok(true) => Ok((own, pass)),
            Ok(false) => {
                self.throttle.failed_alone(caller, pass, Some(user_id)).await?;
                Err(Error::PasswordIncorrect)
            }
            Err(refused) => {
                self.throttle.give_back(caller, pass).await;
                Err(refused.into())
            }
        }
    }
}
