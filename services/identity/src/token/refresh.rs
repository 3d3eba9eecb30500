//! Refresh tokens: a counter and an HMAC. `mrt1_` + base64url(version | user id | session id | generation | HMAC-128) + CRC-32.
//!
//! Each session has a key of its own, derived from the service's key file, so that neither a dump of the database nor a token of another
//! session makes one. The session's row holds the generation of the token that is good now; trading it in is one conditional UPDATE.
//! The user id is in the token so that this UPDATE runs under the owner's row-level floor without a look-up before it.
//!
//! A client that lost the answer may ask again: while the successor is unused and no more than the grace has passed, it gets the same
//! successor byte for byte. Any other reuse ends the session: one of the two holders is a thief, and nobody can tell which.
//! Source: RFC 9700, 4.14.2; the retry rule: FAPI 2.0 Security Profile, Supabase Auth and MAS (field note identity, 1.2 and 1.3).

use db::Sealer;
use runtime::{SessionId, UserId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Frame, NotAToken, take};

const FRAME: Frame<40> = Frame { prefix: "mrt1_" };

/// What a refresh token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// Whose session.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// Which of the session's tokens, from 1.
    pub generation: i64,
}

/// Makes and reads refresh tokens under one key file.
#[derive(Clone)]
pub struct RefreshTokens {
    sealer: Sealer,
}

impl RefreshTokens {
    /// Under the keys of `sealer`.
    pub fn new(sealer: Sealer) -> Self {
        RefreshTokens { sealer }
    }

    /// The token of a session's generation: the same text every time.
    pub fn encode(&self, token: RefreshToken) -> String {
        let mut payload = [0; 40];
        payload[..16].copy_from_slice(token.user_id.uuid().as_bytes());
        payload[16..32].copy_from_slice(token.session_id.uuid().as_bytes());
        payload[32..].copy_from_slice(&token.generation.to_be_bytes());
        FRAME.encode(&self.key(token.session_id), &payload)
    }

    /// What `token` says, if this service made it.
    ///
    /// # Errors
    /// `REFRESH_TOKEN_INVALID` on the wire.
    pub fn decode(&self, token: &str) -> Result<RefreshToken, NotAToken> {
        let payload = FRAME.decode(token, |payload| self.key(read(payload).session_id))?;
        Ok(read(&payload))
    }

    fn key(&self, session_id: SessionId) -> [u8; 32] {
        self.sealer.derive(&format!("identity refresh token of session {session_id}"))
    }
}

fn read(payload: &[u8; 40]) -> RefreshToken {
    let mut rest = payload.as_slice();
    let user_id = Uuid::from_bytes(take(&mut rest)).into();
    let session_id = Uuid::from_bytes(take(&mut rest)).into();
    RefreshToken { user_id, session_id, generation: i64::from_be_bytes(take(&mut rest)) }
}

/// What the session's row says when the conditional UPDATE found nothing to trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The generation that is good now.
    pub generation: i64,
    /// When it became so.
    pub rotate_time: OffsetDateTime,
    /// Whether the session is ACTIVE and its refresh token not past its time.
    pub is_open: bool,
}

/// What is done about a refresh token that is not the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer was lost: the same successor again.
    Repeat,
    /// A used token came back: the session ends.
    Reused,
    /// The session is over, or the token is from a future that a restored backup does not know.
    Invalid,
}

impl Standing {
    /// Judges a token of generation `presented`.
    pub fn judge(self, presented: i64, now: OffsetDateTime, grace: Duration) -> Verdict {
        if !self.is_open || presented >= self.generation {
            Verdict::Invalid
        } else if presented == self.generation - 1 && now - self.rotate_time <= grace {
            // The successor is the row's own generation, so it is unused: its use would have raised it.
            Verdict::Repeat
        } else {
            Verdict::Reused
        }
    }
}

#[cfg(test)]
#[path = "refresh_tests.rs"]
mod tests;
