//! Use cases of who is asked about a token: introspection (RFC 7662) and revocation (RFC 7009).

use std::sync::Arc;

use db::Tx;
use rpc::Caller;
use rpc::authn::{AccessToken, Verifier};

use super::refresh::RefreshToken;
use crate::error::Error;
use crate::session::ops::Ops as Sessions;
use crate::session::{Session, SessionState, store as sessions};

/// What is asked about tokens.
#[derive(Clone)]
pub struct Ops {
    /// What every call's token is verified by.
    pub verifier: Verifier,
    /// Sessions, which tokens stand on.
    pub sessions: Sessions,
}

/// A token that is good now.
pub enum Introspected {
    /// An access token.
    Access(Arc<AccessToken>),
    /// A refresh token, and its session.
    Refresh(Box<Session>),
}

impl Ops {
    /// What `token` says, if it is good now: an access token from memory, as every call is verified; a refresh token by its session's row.
    ///
    /// # Errors
    /// `NOT_READY`, `REVOCATIONS_STALE` when it can't be known; `DEPENDENCY_UNAVAILABLE`.
    pub async fn introspect(&self, caller: &Caller, token: &str) -> Result<Option<Introspected>, Error> {
        if let Ok(token) = self.sessions.refresh_tokens.decode(token) {
            return Ok(self.good(caller, &token).await?.map(|session| Introspected::Refresh(Box::new(session))));
        }
        Ok(self.verified(token).await?.map(Introspected::Access))
    }

    /// Ends the session that `token` belongs to. Whoever holds an older refresh token of the session may end it too: presented for a refresh
    /// it would. A token that is not good belongs to none.
    ///
    /// # Errors
    /// `NOT_READY`, `REVOCATIONS_STALE` when it can't be known; `DEPENDENCY_UNAVAILABLE`.
    /// # Emits
    /// `SessionRevoked`, when it was open.
    pub async fn revoke(&self, caller: &Caller, token: &str) -> Result<(), Error> {
        let (user_id, session_id) = match self.sessions.refresh_tokens.decode(token) {
            Ok(token) => (token.user_id, token.session_id),
            Err(_) => match self.verified(token).await? {
                Some(token) => (token.user_id, token.session_id),
                None => return Ok(()),
            },
        };
        match self.sessions.revoke(&caller.proven_as(user_id), Some(session_id)).await {
            Ok(_) | Err(Error::SessionNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What an access token says, unless it is forged, past its time or revoked.
    async fn verified(&self, token: &str) -> Result<Option<Arc<AccessToken>>, Error> {
        match self.verifier.access_token(token.as_bytes()).await {
            Ok(token) => Ok(Some(token)),
            Err(rpc::Error::TokenInvalid | rpc::Error::TokenExpired | rpc::Error::TokenRevoked) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The session whose good refresh token it is.
    async fn good(&self, caller: &Caller, token: &RefreshToken) -> Result<Option<Session>, Error> {
        let Sessions { db, sealed, .. } = &self.sessions;
        // The table's floor shows a session to its user, whom the token's HMAC speaks for.
        let owner = caller.proven_as(token.user_id);
        let found = db.read(&owner, async |tx: &mut Tx| sessions::find(tx, sealed, token.session_id).await).await?;
        let now = db.clock().now();
        Ok(found.filter(|session| session.generation == token.generation && session.state(now) == SessionState::Active))
    }
}
