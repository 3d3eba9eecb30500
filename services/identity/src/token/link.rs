//! Tokens that a link in a mail holds: the proof that a person reads the mail of an address. `<prefix>` + base64url(version | subject id |
//! generation | expiry | HMAC-128) + CRC-32.
//!
//! Derived, never stored: the service that sends the mail asks for the token at send time. The subject's row holds the generation that is
//! good; using the token raises it, so that a token works once. Each kind has a prefix and a key of its own.

use db::Sealer;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Frame, NotAToken, take};

/// What the token of a link says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkToken {
    /// Whose: a user, an invitation, or a change of address.
    pub subject_id: Uuid,
    /// Which of the subject's tokens, from 1.
    pub generation: i64,
    /// Good until then, to the second.
    pub expire_time: OffsetDateTime,
}

/// Makes and reads the tokens of one kind of link under one key file.
#[derive(Clone)]
pub struct LinkTokens {
    frame: Frame<32>,
    key: [u8; 32],
}

impl LinkTokens {
    /// Of links that prove the address of a registration.
    pub fn verification(sealer: &Sealer) -> Self {
        LinkTokens { frame: Frame { prefix: "mvt1_" }, key: sealer.derive("identity verification token") }
    }

    /// Of links that let a person choose another password.
    pub fn password_reset(sealer: &Sealer) -> Self {
        LinkTokens { frame: Frame { prefix: "mpr1_" }, key: sealer.derive("identity password reset token") }
    }

    /// Of links that make another address a person's. Each change has one token, so its generation says nothing.
    pub fn email_change(sealer: &Sealer) -> Self {
        LinkTokens { frame: Frame { prefix: "mec1_" }, key: sealer.derive("identity email change token") }
    }

    /// Of links that invite into an organization.
    pub fn invitation(sealer: &Sealer) -> Self {
        LinkTokens { frame: Frame { prefix: "min1_" }, key: sealer.derive("identity invitation token") }
    }

    /// The token: the same text every time.
    pub fn encode(&self, token: LinkToken) -> String {
        let mut payload = [0; 32];
        payload[..16].copy_from_slice(token.subject_id.as_bytes());
        payload[16..24].copy_from_slice(&token.generation.to_be_bytes());
        payload[24..].copy_from_slice(&token.expire_time.unix_timestamp().to_be_bytes());
        self.frame.encode(&self.key, &payload)
    }

    /// What `token` says, if this service made it for this kind of link and its time is not past at `now`.
    ///
    /// # Errors
    /// Each kind has a reason of its own on the wire.
    pub fn decode(&self, token: &str, now: OffsetDateTime) -> Result<LinkToken, NotAToken> {
        let payload = self.frame.decode(token, |_| self.key)?;
        let mut rest = payload.as_slice();
        let subject_id = Uuid::from_bytes(take(&mut rest));
        let generation = i64::from_be_bytes(take(&mut rest));
        let expire_time = OffsetDateTime::from_unix_timestamp(i64::from_be_bytes(take(&mut rest))).map_err(|_| NotAToken)?;
        if now < expire_time { Ok(LinkToken { subject_id, generation, expire_time }) } else { Err(NotAToken) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;

    fn tokens() -> LinkTokens {
        LinkTokens::verification(&Sealer::from_key(&[7; 32]))
    }

    const EXPIRE: i64 = 1_800_000_000;

    fn token(user: u128, generation: i64) -> LinkToken {
        let expire_time = OffsetDateTime::UNIX_EPOCH + Duration::seconds(EXPIRE);
        LinkToken { subject_id: Uuid::from_u128(user), generation, expire_time }
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(EXPIRE - 1)
    }

    #[test]
    fn a_token_is_good_to_the_second_before_its_time() {
        let text = tokens().encode(token(1, 1));
        assert_eq!(tokens().decode(&text, now()), Ok(token(1, 1)));
        assert_eq!(tokens().decode(&text, now() + Duration::seconds(1)), Err(NotAToken));
    }

    #[test]
    fn a_refresh_token_is_no_verification_token() {
        let refresh = super::super::refresh::RefreshTokens::new(Sealer::from_key(&[7; 32]));
        let told = super::super::refresh::RefreshToken {
            user_id: Uuid::from_u128(1).into(),
            session_id: Uuid::from_u128(2).into(),
            generation: 1,
        };
        assert_eq!(tokens().decode(&refresh.encode(told), now()), Err(NotAToken));
    }

    #[test]
    fn the_token_of_one_kind_of_link_is_none_of_another() {
        let resets = LinkTokens::password_reset(&Sealer::from_key(&[7; 32]));
        assert_eq!(tokens().decode(&resets.encode(token(1, 1)), now()), Err(NotAToken));
        assert_eq!(resets.decode(&tokens().encode(token(1, 1)), now()), Err(NotAToken));
        let renamed = resets.encode(token(1, 1)).replacen("mpr1_", "mvt1_", 1);
        assert_eq!(tokens().decode(&renamed, now()), Err(NotAToken));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(user: u128, generation in 1..i64::MAX) {
            prop_assert_eq!(tokens().decode(&tokens().encode(token(user, generation)), now()), Ok(token(user, generation)));
        }

        #[test]
        fn a_flipped_bit_makes_it_no_token(user: u128, at: prop::sample::Index, bit in 0..8_u32) {
            let mut bytes = tokens().encode(token(user, 1)).into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert_eq!(tokens().decode(&text, now()), Err(NotAToken));
            }
        }

        #[test]
        fn a_cut_token_is_none(user: u128, cut: prop::sample::Index) {
            let text = tokens().encode(token(user, 1));
            prop_assert_eq!(tokens().decode(&text[..cut.index(text.len())], now()), Err(NotAToken));
        }
    }
}
