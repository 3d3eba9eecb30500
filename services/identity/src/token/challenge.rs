//! Challenge tokens: what a sign-in holds between the password and the second factor. `mct1_` + base64url(version | user id | session id |
//! expiry | HMAC-128) + CRC-32.
//!
//! Derived, never stored: the session's row says whether it still waits. The user id is in the token so that the row is found under its owner's
//! floor.

use db::Sealer;
use runtime::{SessionId, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Frame, NotAToken, take};

const FRAME: Frame<40> = Frame { prefix: "mct1_" };

/// What a challenge token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChallengeToken {
    /// Whose session.
    pub user_id: UserId,
    /// The session that waits.
    pub session_id: SessionId,
    /// Good until then, to the second.
    pub expire_time: OffsetDateTime,
}

/// Makes and reads challenge tokens under one key file.
#[derive(Clone)]
pub struct ChallengeTokens {
    key: [u8; 32],
}

impl ChallengeTokens {
    /// Under a key of `sealer`.
    pub fn new(sealer: &Sealer) -> Self {
        ChallengeTokens { key: sealer.derive("identity challenge token") }
    }

    /// The token: the same text every time.
    pub fn encode(&self, token: ChallengeToken) -> String {
        let mut payload = [0; 40];
        payload[..16].copy_from_slice(token.user_id.uuid().as_bytes());
        payload[16..32].copy_from_slice(token.session_id.uuid().as_bytes());
        payload[32..].copy_from_slice(&token.expire_time.unix_timestamp().to_be_bytes());
        FRAME.encode(&self.key, &payload)
    }

    /// What `token` says, if this service made it and its time is not past at `now`.
    ///
    /// # Errors
    /// `CHALLENGE_INVALID` on the wire.
    pub fn decode(&self, token: &str, now: OffsetDateTime) -> Result<ChallengeToken, NotAToken> {
        let payload = FRAME.decode(token, |_| self.key)?;
        let mut rest = payload.as_slice();
        let user_id = Uuid::from_bytes(take(&mut rest)).into();
        let session_id = Uuid::from_bytes(take(&mut rest)).into();
        let expire_time = OffsetDateTime::from_unix_timestamp(i64::from_be_bytes(take(&mut rest))).map_err(|_| NotAToken)?;
        if now < expire_time { Ok(ChallengeToken { user_id, session_id, expire_time }) } else { Err(NotAToken) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;
    use crate::token::refresh::{RefreshToken, RefreshTokens};

    const EXPIRE: OffsetDateTime = time::macros::datetime!(2026-03-02 09:10 UTC);

    fn tokens() -> ChallengeTokens {
        ChallengeTokens::new(&Sealer::from_key(&[7; 32]))
    }

    fn token(user: u128) -> ChallengeToken {
        ChallengeToken { user_id: Uuid::from_u128(user).into(), session_id: Uuid::from_u128(2).into(), expire_time: EXPIRE }
    }

    #[test]
    fn a_challenge_is_good_to_the_second_before_its_time_and_a_refresh_token_is_none() {
        let text = tokens().encode(token(1));
        assert_eq!(tokens().decode(&text, EXPIRE - Duration::SECOND), Ok(token(1)));
        assert_eq!(tokens().decode(&text, EXPIRE), Err(NotAToken));
        let refresh = RefreshToken { user_id: token(1).user_id, session_id: token(1).session_id, generation: 1 };
        let refresh = RefreshTokens::new(Sealer::from_key(&[7; 32])).encode(refresh);
        assert_eq!(tokens().decode(&refresh, EXPIRE - Duration::SECOND), Err(NotAToken));
        assert_eq!(tokens().decode(&refresh.replacen("mrt1_", "mct1_", 1), EXPIRE - Duration::SECOND), Err(NotAToken));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_or_a_cut_makes_it_none(user: u128, at: prop::sample::Index, bit in 0..8_u32) {
            let text = tokens().encode(token(user));
            let mut bytes = text.clone().into_bytes();
            let at = at.index(bytes.len());
            prop_assert_eq!(tokens().decode(&text[..at], EXPIRE - Duration::SECOND), Err(NotAToken));
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert_eq!(tokens().decode(&text, EXPIRE - Duration::SECOND), Err(NotAToken));
            }
        }
    }
}
