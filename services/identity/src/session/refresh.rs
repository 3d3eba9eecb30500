//! The use case of trading a refresh token: one conditional UPDATE, which also says what the person holds, and a second look only when it found
//! nothing.

use db::Tx;
use rpc::Caller;
use time::OffsetDateTime;

use super::grant::Grant;
use super::ops::Ops;
use super::{Tokens, context, store};
use crate::error::Error;
use crate::events;
use crate::token::refresh::{RefreshToken, Verdict};

/// What became of a refresh token. A reuse is an outcome and not an error of the transaction, so that the revocation is committed.
enum Outcome {
    Good(Box<Grant>),
    Reused,
    Invalid,
}

impl Ops {
    /// Trades a refresh token for its successor and a fresh access token. A repeat within the grace, while the successor is unused, gets the
    /// same successor byte for byte; any other reuse revokes the session. With the tokens: from when on the organization that the session acts
    /// in asks for a second factor that it lacks; when that is past, the session was led out for it now.
    ///
    /// # Errors
    /// `REFRESH_TOKEN_INVALID`, `REFRESH_TOKEN_REUSED`.
    /// # Emits
    /// `SessionRefreshReused` on reuse, in a transaction that commits though the call is refused; `SessionSwitched` when the session leaves an
    /// organization that its user is no longer a member of, or that asks for a second factor which it lacks.
    pub async fn refresh(&self, caller: &Caller, token: &str) -> Result<(Tokens, Option<OffsetDateTime>), Error> {
        let token = self.refresh_tokens.decode(token).map_err(|_| Error::RefreshTokenInvalid)?;
        let outcome = self.db.write_unrecorded(&caller.proven_as(token.user_id), async |tx: &mut Tx| self.trade(tx, &token).await).await?;
        match outcome {
            Outcome::Good(grant) => Ok((self.tokens(&grant)?, grant.held.mfa_lacked_from(grant.session.methods))),
            Outcome::Reused => Err(Error::RefreshTokenReused),
            Outcome::Invalid => Err(Error::RefreshTokenInvalid),
        }
    }

    async fn trade(&self, tx: &mut Tx, token: &RefreshToken) -> Result<Outcome, Error> {
        if let Some((session, held)) = store::trade(tx, &self.sealed, token, self.lifetimes.refresh_token).await? {
            return Ok(Outcome::Good(Box::new(context::stay_with(tx, session, held).await?)));
        }
        // Held from here on: who switches or ends the session at this moment comes before or after all of it.
        let Some(session) = store::lock(tx, &self.sealed, token.session_id).await? else { return Ok(Outcome::Invalid) };
        match session.standing(tx.now()).judge(token.generation, tx.now(), self.lifetimes.refresh_grace) {
            Verdict::Repeat => Ok(Outcome::Good(Box::new(context::stay(tx, session).await?))),
            Verdict::Invalid => Ok(Outcome::Invalid),
            Verdict::Reused => {
                if let Some((after, revocation)) = self.end(tx, &session).await? {
                    tx.emit(events::session_refresh_reused(&session, &after, &revocation));
                }
                Ok(Outcome::Reused)
            }
        }
    }
}
