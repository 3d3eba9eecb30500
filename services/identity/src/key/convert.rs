//! Signing keys between the domain and the contract.

use contract::identity::v1 as pb;
use contract::time::timestamp;

use super::{KeyState, SigningKey};
use crate::revocation::MATTERS;

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
            revoke_time: key.revoke_time.map(timestamp),
        }
    }
}

/// What to refuse of a key that is REVOKED; nothing of any other. It holds for as long as a token may live, which is longer than a verifier keeps
/// a set that has the key: whoever holds the private half may sign on.
pub(crate) fn revocation(key: &SigningKey) -> Option<pb::Revocation> {
    key.revoke_time.map(|revoke_time| pb::Revocation {
        kind: pb::RevocationKind::SigningKey.into(),
        subject_id: key.key_id.clone(),
        not_before: Some(timestamp(revoke_time)),
        expire_time: Some(timestamp(revoke_time + MATTERS)),
    })
}
