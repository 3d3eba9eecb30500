//! JWT, the little of it that the suite takes: two algorithms, each pinned to its key, and one type per use.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::de::DeserializeOwned;

/// The longest token that is looked at, in bytes. Ours have about 500.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// What the header of a token says, as far as the token may be looked at further.
pub(super) struct Head {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: String,
}

/// The header of `token`, if its type is `typ` and it names a key.
///
/// An unknown algorithm, `none` among them, is no header at all; `crit` names extensions that a reader must know, and this one knows none.
pub(super) fn head(token: &str, typ: &str) -> Option<Head> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let header = decode_header(token).ok()?;
    let named = header.typ.as_deref().map(|named| named.strip_prefix("application/").unwrap_or(named));
    let right = named.is_some_and(|named| named.eq_ignore_ascii_case(typ)) && header.crit.is_none();
    right.then_some(Head { algorithm: header.alg, key_id: header.kid? })
}

/// The claims of `token`, if `key` signed it with `algorithm` and no other. Claims are not looked at: audience and time are the caller's.
pub(super) fn claims<T: DeserializeOwned>(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Option<T> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    decode::<T>(token, key, &validation).ok().map(|data| data.claims)
}
