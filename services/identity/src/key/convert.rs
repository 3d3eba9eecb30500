//! Signing keys between the domain and the contract.

use contract::identity::v1 as pb;
use contract::time::timestamp;

use super::{KeyState, SigningKey};

impl From<KeyState> for pb::SigningKeyState {
    fn from(state: KeyState) -> Self {
        match state {
            KeyState::Published => pb::SigningKeyState::Published,
            KeyState::Active => pb::SigningKeyState::Active,
            KeyState::Retired => pb::SigningKeyState::Retired,
            KeyState::Revoked => pb::SigningKeyState::Revoked,
        }
    }
}

impl From<SigningKey> for pb::SigningKey {
    fn from(key: SigningKey) -> Self {
        pb::SigningKey {
            key_id: key.key_id,
            algorithm: key.algorithm,
            state: pb::SigningKeyState::from(key.state).into(),
            create_time: Some(timestamp(key.create_time)),
            retire_time: key.retire_time.map(timestamp),
            activate_time: key.activate_time.map(timestamp),
        }
    }
}
