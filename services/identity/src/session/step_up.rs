//! The use case of authenticating an open session anew, and how a session rises.
//!
//! Who has a second factor steps up with a code, whatever else is brought: a password alone would make a session look as if the factor had
//! been seen lately. Who has none brings the password.

use db::Tx;
use rpc::Caller;
use runtime::{SecretString, UserId};
use time::OffsetDateTime;

use super::assurance::Methods;
use super::grant::Grant;
use super::ops::Ops;
use super::{FAILURES_MAX, Session, SessionState, context, store};
use crate::error::Error;
use crate::events;
use crate::factor::check::{Attempt, Code};
use crate::factor::store as factors;
use crate::user::credential::store as credentials;
use crate::user::ops::RESERVE;
use crate::user::store as users;

/// A session with an access token that says how it stands.
pub struct Authenticated {
    /// The session.
    pub session: Session,
    /// A JWT.
    pub access_token: String,
    /// Good until then.
    pub expire_time: OffsetDateTime,
}

/// What is brought to authenticate a session.
pub struct Proof {
    /// The password.
    pub password: Option<SecretString>,
    /// A code.
    pub code: Option<Code>,
}

/// A password that was brought.
struct Checked {
    fits: bool,
    /// The version of the account whose hash it was checked against.
    version: i64,
}

/// What became of it. A refusal is an outcome and not an error of the transaction, so that it is counted.
enum Outcome {
    Risen(Box<Grant>),
    Refused,
}

impl Ops {
    /// Authenticates the caller's session anew. The fifth refusal in a row ends the session: whoever holds it is not its user.
    ///
    /// # Errors
    /// `STEP_UP_REFUSED`, `FACTOR_CODE_REQUIRED`, `ATTEMPTS_THROTTLED`, `SESSION_NOT_FOUND`, `HASHING_OVERLOADED`.
    /// # Emits
    /// `SessionSteppedUp`, `RecoveryCodeUsed`, `SessionSwitched` when led out; or `SignInFailed`, with `SessionRevoked` for the fifth, in a transaction that commits though the
    /// call is refused.
    pub async fn step_up(&self, caller: &Caller, proof: Proof) -> Result<Authenticated, Error> {
        let user_id = caller.user_id()?;
        let checked = match proof.password {
            Some(password) => Some(self.check_password(caller, password).await?),
            None => None,
        };
        let attempt = match &proof.code {
            Some(code) => Some(Attempt::admitted(&self.throttle, caller, user_id, code).await?),
            None => None,
        };
        let (checked, attempt) = (checked.as_ref(), attempt.as_ref());
        match self.db.write_unrecorded(caller, async |tx: &mut Tx| self.stepped_up(tx, user_id, checked, attempt).await).await? {
            Outcome::Risen(grant) => self.authenticated(*grant),
            Outcome::Refused => Err(Error::StepUpRefused),
        }
    }

    async fn check_password(&self, caller: &Caller, password: SecretString) -> Result<Checked, Error> {
        let own = self.db.read(caller, async |tx: &mut Tx| credentials::own(tx, &self.sealed).await).await?;
        let known = own.ok_or(Error::SessionNotFound)?.credential;
        let remaining = caller.deadline().remaining().saturating_sub(RESERVE);
        let fits = self.hashing.verify(password, Some(known.password_hash), remaining).await?;
        Ok(Checked { fits, version: known.version })
    }

    async fn stepped_up(
        &self,
        tx: &mut Tx,
        user_id: UserId,
        password: Option<&Checked>,
        attempt: Option<&Attempt<'_>>,
    ) -> Result<Outcome, Error> {
        let account = users::hold_account(tx, &self.sealed, user_id).await?.ok_or(Error::SessionNotFound)?;
        let before = self.hold_own(tx).await?;
        if attempt.is_none() && (password.is_none() || factors::count(tx, user_id).await? > 0) {
            return Err(Error::FactorCodeRequired);
        }
        let mut methods = before.methods;
        if let Some(checked) = password {
            // Another password may have been put in place since it was checked.
            if !checked.fits || checked.version != account.version {
                return self.refused(tx, &account.email_index, &before).await;
            }
            methods = methods.and(Methods::PASSWORD);
        }
        if let Some(attempt) = attempt {
            match attempt.take(tx, &self.sealed, &self.throttle, user_id).await? {
                Some(second) => methods = methods.and(second),
                None => return self.refused(tx, &account.email_index, &before).await,
            }
        }
        Ok(Outcome::Risen(Box::new(self.rise(tx, &before, methods).await?)))
    }

    async fn refused(&self, tx: &mut Tx, email_index: &str, before: &Session) -> Result<Outcome, Error> {
        tx.emit(events::code_failed(email_index, before));
        if store::fail(tx, before.id).await? >= FAILURES_MAX
            && let Some((after, revocation)) = self.end(tx, before).await?
        {
            events::emit_session_revoked(tx, before, &after, &revocation);
        }
        Ok(Outcome::Refused)
    }

    /// The caller's session, which is held to the end of the transaction.
    pub(crate) async fn hold_own(&self, tx: &mut Tx) -> Result<Session, Error> {
        let id = tx.caller().session_id().ok_or(Error::SessionNotFound)?;
        let session = store::lock(tx, &self.sealed, id).await?.ok_or(Error::SessionNotFound)?;
        if session.state(tx.now()) == SessionState::Active { Ok(session) } else { Err(Error::SessionNotFound) }
    }

    /// Notes that a session, which is held, was authenticated by these methods too, now; gives it where it may act, with what its user holds there.
    pub(crate) async fn rise(&self, tx: &mut Tx, before: &Session, methods: Methods) -> Result<Grant, Error> {
        let after = Session { methods: before.methods.and(methods), auth_time: tx.now(), ..before.clone() };
        store::authenticate(tx, &after).await?;
        events::emit_session_stepped_up(tx, before, &after);
        context::stay(tx, after).await
    }

    /// A session with an access token for it.
    pub(crate) fn authenticated(&self, grant: Grant) -> Result<Authenticated, Error> {
        let (access_token, expire_time) = self.access_token(&grant)?;
        Ok(Authenticated { session: grant.session, access_token, expire_time })
    }
}
