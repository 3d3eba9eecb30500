//! The use case of answering a sign-in's challenge: a code of a second factor makes a CHALLENGED session ACTIVE.
//!
//! Wrong codes are counted in the transaction that refuses them, which commits although the call is refused: a count that were rolled back with
//! the refusal would count nothing (CVE-2026-35597).

use db::Tx;
use rpc::Caller;

use super::grant::Grant;
use super::ops::Ops;
use super::{FAILURES_MAX, Held, Session, SessionState, Tokens, store};
use crate::error::Error;
use crate::events;
use crate::factor::check::{Attempt, Code};
use crate::token::challenge::ChallengeToken;
use crate::user::SystemRole;
use crate::user::store as users;

/// What became of an answer. A refusal is an outcome and not an error of the transaction, so that it is counted.
enum Outcome {
    Opened(Box<Grant>),
    Refused,
    Invalid,
}

impl Ops {
    /// Answers a challenge: the session is ACTIVE, and its time begins. The fifth wrong code ends the challenge.
    ///
    /// # Errors
    /// `CHALLENGE_INVALID`, `FACTOR_CODE_REFUSED`, `ATTEMPTS_THROTTLED`.
    /// # Emits
    /// `SessionCreated`, `RecoveryCodeUsed`, and `SessionRevoked` for a session that made room; or `SignInFailed` in a transaction that commits
    /// though the call is refused, with `SignInThrottled` when the next code has to wait.
    pub async fn answer(&self, caller: &Caller, token: &str, code: &Code) -> Result<(Session, Tokens), Error> {
        let token = self.challenge_tokens.decode(token, self.db.clock().now()).map_err(|_| Error::ChallengeInvalid)?;
        let caller = caller.proven_as(token.user_id);
        let attempt = Attempt::admitted(&self.throttle, &caller, token.user_id, code).await?;
        match self.db.write_unrecorded(&caller, async |tx: &mut Tx| self.answered(tx, &token, &attempt).await).await? {
            Outcome::Opened(grant) => {
                let tokens = self.tokens(&grant)?;
                Ok((grant.session, tokens))
            }
            Outcome::Refused => Err(Error::FactorCodeRefused),
            Outcome::Invalid => {
                attempt.give_back(&self.throttle, &caller).await;
                Err(Error::ChallengeInvalid)
            }
        }
    }

    async fn answered(&self, tx: &mut Tx, token: &ChallengeToken, attempt: &Attempt<'_>) -> Result<Outcome, Error> {
        let Some(account) = users::hold_account(tx, &self.sealed, token.user_id).await? else { return Ok(Outcome::Invalid) };
        let Some(before) = store::lock(tx, &self.sealed, token.session_id).await? else { return Ok(Outcome::Invalid) };
        if before.state(tx.now()) != SessionState::Challenged {
            return Ok(Outcome::Invalid);
        }
        match attempt.take(tx, &self.sealed, &self.throttle, token.user_id).await? {
            Some(methods) => {
                let after = before.answered(methods, &self.lifetimes, tx.now());
                store::authenticate(tx, &after).await?;
                self.make_room(tx, token.user_id).await?;
                tx.emit(events::session_created(&after));
                let held = Held { system_admin: account.system_role == SystemRole::Admin, ..Held::default() };
                Ok(Outcome::Opened(Box::new(Grant::of(tx, after, held))))
            }
            None => {
                if store::fail(tx, before.id).await? >= FAILURES_MAX {
                    store::revoke(tx, before.id).await?;
                }
                tx.emit(events::code_failed(&account.email_index, &before));
                Ok(Outcome::Refused)
            }
        }
    }
}
