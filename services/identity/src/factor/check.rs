//! Whether a code is one of a person's: the one place where codes are taken, for sign-ins and step-ups alike.
//!
//! A code of an app has a million values, of which three are good, so guesses climb the ladder of the person (`throttle`), over all sessions and
//! replicas, whatever challenge or session they are for. Recovery codes can't be guessed and never wait: the owner whom a guesser with the
//! password keeps waiting gets in by one.

use db::Tx;
use rpc::Caller;
use runtime::{SecretString, UserId};
use secrecy::ExposeSecret;

use super::{recovery, store};
use crate::error::Error;
use crate::events;
use crate::sealed::Sealed;
use crate::session::assurance::Methods;
use crate::throttle::{Pass, Scope, Throttle};

/// A code as it was entered.
pub enum Code {
    /// Of an authenticator app.
    Totp(SecretString),
    /// One that was written down.
    Recovery(SecretString),
}

/// A code that may be looked at.
pub(crate) struct Attempt<'a> {
    code: &'a Code,
    /// What it is charged to; `None` for a code that can't be guessed.
    pass: Option<Pass>,
}

impl<'a> Attempt<'a> {
    /// Lets a code of the user be looked at, and charges it in a commit of its own.
    ///
    /// # Errors
    /// `ATTEMPTS_THROTTLED`.
    pub(crate) async fn admitted(throttle: &Throttle, caller: &Caller, user_id: UserId, code: &'a Code) -> Result<Self, Error> {
        let pass = match code {
            Code::Totp(_) => Some(throttle.admit(caller, throttle.attempt(Scope::Code, user_id.uuid())).await?),
            Code::Recovery(_) => None,
        };
        Ok(Attempt { code, pass })
    }

    /// Gives it back: the code was not looked at.
    pub(crate) async fn give_back(self, throttle: &Throttle, caller: &Caller) {
        if let Some(pass) = self.pass {
            throttle.give_back(caller, pass).await;
        }
    }

    /// By what the code authenticates the user, whose account is held, if it is one of theirs; it is used up then.
    ///
    /// # Emits
    /// `RecoveryCodeUsed`; `SignInThrottled` when a wrong one makes the next wait.
    pub(crate) async fn take(&self, tx: &mut Tx, sealed: &Sealed, throttle: &Throttle, user_id: UserId) -> Result<Option<Methods>, Error> {
        let methods = match self.code {
            Code::Totp(code) => totp(tx, sealed, user_id, code.expose_secret()).await?,
            Code::Recovery(code) => recovery(tx, sealed, user_id, code.expose_secret()).await?,
        };
        match &self.pass {
            Some(pass) if methods.is_some() => throttle.succeeded(tx, pass).await?,
            Some(pass) => throttle.failed(tx, pass.clone(), Some(user_id)).await?,
            None => {}
        }
        Ok(methods)
    }
}

async fn totp(tx: &mut Tx, sealed: &Sealed, user_id: UserId, code: &str) -> Result<Option<Methods>, Error> {
    let now = tx.now();
    for (factor_id, secret) in store::confirmed(tx, sealed, user_id).await? {
        if let Some(step) = secret.step_of(code, now)
            && store::spend(tx, user_id, factor_id, step).await?
        {
            return Ok(Some(Methods::TOTP));
        }
    }
    Ok(None)
}

async fn recovery(tx: &mut Tx, sealed: &Sealed, user_id: UserId, code: &str) -> Result<Option<Methods>, Error> {
    let digest = sealed.recovery_digest(user_id, &recovery::normalized(code));
    if !store::spend_code(tx, user_id, &digest).await? {
        return Ok(None);
    }
    let left = store::codes_left(tx, user_id).await?;
    tx.emit(events::recovery_code_used(user_id, left));
    Ok(Some(Methods::RECOVERY_CODE))
}
