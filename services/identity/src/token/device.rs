//! Device tokens: what a device shows that signed in to an account before. `mdt1_` + base64url(version | user id | generation | device id |
//! HMAC-128) + CRC-32.
//!
//! It opens nothing. Whoever shows it has a ladder of failed sign-ins of their own, so that no stranger's failures keep them waiting; a stolen
//! one gives its thief as many attempts as any other network has. Not stored; another password ends them all, so that whoever knew the former
//! one has no ladders put by, and so does another address.

use db::Sealer;
use runtime::UserId;
use uuid::Uuid;

use super::{Frame, NotAToken, take};

const FRAME: Frame<40> = Frame { prefix: "mdt1_" };

/// What a device token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceToken {
    /// Who signed in.
    pub user_id: UserId,
    /// The account's, which another password makes another one: the `reset_generation` of the table.
    pub generation: i64,
    /// With what.
    pub device_id: Uuid,
}

/// Makes and reads device tokens under one key file.
#[derive(Clone)]
pub struct DeviceTokens {
    key: [u8; 32],
}

impl DeviceTokens {
    /// Under a key of `sealer`.
    pub fn new(sealer: &Sealer) -> Self {
        DeviceTokens { key: sealer.derive("identity device token") }
    }

    /// The token: the same text every time.
    pub fn encode(&self, token: DeviceToken) -> String {
        let mut payload = [0; 40];
        payload[..16].copy_from_slice(token.user_id.uuid().as_bytes());
        payload[16..24].copy_from_slice(&token.generation.to_be_bytes());
        payload[24..].copy_from_slice(token.device_id.as_bytes());
        FRAME.encode(&self.key, &payload)
    }

    /// What `token` says, if this service made it.
    ///
    /// # Errors
    /// [`NotAToken`]; whoever shows such a one is a stranger.
    pub fn decode(&self, token: &str) -> Result<DeviceToken, NotAToken> {
        let payload = FRAME.decode(token, |_| self.key)?;
        let mut rest = payload.as_slice();
        let user_id = Uuid::from_bytes(take(&mut rest)).into();
        let generation = i64::from_be_bytes(take(&mut rest));
        Ok(DeviceToken { user_id, generation, device_id: Uuid::from_bytes(take(&mut rest)) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> DeviceTokens {
        DeviceTokens::new(&Sealer::from_key(&[7; 32]))
    }

    fn token(user: u128, generation: i64, device: u128) -> DeviceToken {
        DeviceToken { user_id: Uuid::from_u128(user).into(), generation, device_id: Uuid::from_u128(device) }
    }

    #[test]
    fn another_key_file_makes_other_tokens() {
        let text = DeviceTokens::new(&Sealer::from_key(&[8; 32])).encode(token(1, 2, 3));
        assert_eq!(tokens().decode(&text), Err(NotAToken));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(user: u128, generation: i64, device: u128) {
            let token = token(user, generation, device);
            prop_assert_eq!(tokens().decode(&tokens().encode(token)), Ok(token));
        }

        #[test]
        fn a_flipped_bit_or_a_cut_makes_it_no_token(user: u128, at: prop::sample::Index, bit in 0..8_u32, cut: prop::sample::Index) {
            let text = tokens().encode(token(user, 1, 1));
            prop_assert_eq!(tokens().decode(&text[..cut.index(text.len())]), Err(NotAToken));
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                prop_assert_eq!(tokens().decode(&text), Err(NotAToken));
            }
        }
    }
}
