//! Tokens that identity makes: access tokens (JWT), refresh tokens, challenge tokens and the tokens of links in mails.
//!
//! The opaque kinds share this frame: a prefix that a leak scanner knows, `base64url(version | payload | HMAC-128)`, and a CRC-32 of what
//! stands before it. The CRC tells a mistyped or cut token from a forged one without a key; the HMAC alone decides.
//! Nothing of a token is stored: it is computed from a key, ids and a counter, so that a dump of the database makes none.

pub mod access;
pub mod challenge;
pub mod device;
pub mod grpc;
pub mod link;
pub mod ops;
pub mod refresh;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The only version so far. It is covered by the HMAC.
const VERSION_1: u8 = 1;
/// 128 bits of HMAC-SHA-256. Source: RFC 2104, section 5; ASVS 5.0, 7.2.3.
const MAC_BYTES: usize = 16;
/// CRC-32 in hex.
const CRC_CHARACTERS: usize = 8;

/// Not a token of this kind, or not one of ours. It does not say which: whoever made it up should not learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a token of this service")]
pub struct NotAToken;

/// One kind of opaque token with a payload of `N` bytes.
#[derive(Clone, Copy)]
struct Frame<const N: usize> {
    prefix: &'static str,
}

impl<const N: usize> Frame<N> {
    /// The token of `payload` under `key`: the same bytes every time.
    fn encode(&self, key: &[u8; 32], payload: &[u8; N]) -> String {
        let mut body = Vec::with_capacity(1 + N + MAC_BYTES);
        body.push(VERSION_1);
        body.extend_from_slice(payload);
        let mac = self.mac(key, &body);
        body.extend_from_slice(&mac);
        let text = format!("{}{}", self.prefix, URL_SAFE_NO_PAD.encode(body));
        let crc = crc32fast::hash(text.as_bytes());
        format!("{text}{crc:08x}")
    }

    /// The payload of `token`, whose key may depend on it.
    fn decode(&self, token: &str, key: impl FnOnce(&[u8; N]) -> [u8; 32]) -> Result<[u8; N], NotAToken> {
        if !token.is_ascii() || token.len() < CRC_CHARACTERS {
            return Err(NotAToken);
        }
        let (text, crc) = token.split_at(token.len() - CRC_CHARACTERS);
        if format!("{:08x}", crc32fast::hash(text.as_bytes())) != crc {
            return Err(NotAToken);
        }
        let encoded = text.strip_prefix(self.prefix).ok_or(NotAToken)?;
        let body = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| NotAToken)?;
        let (signed, mac) = body.split_at_checked(1 + N).ok_or(NotAToken)?;
        let (version, payload) = signed.split_first().ok_or(NotAToken)?;
        let payload: [u8; N] = payload.try_into().map_err(|_| NotAToken)?;
        let right = self.mac(&key(&payload), signed);
        let genuine = *version == VERSION_1 && aws_lc_rs::constant_time::verify_slices_are_equal(&right, mac).is_ok();
        if genuine { Ok(payload) } else { Err(NotAToken) }
    }

    /// The prefix is signed too: a token of one kind is none of another.
    fn mac(&self, key: &[u8; 32], signed: &[u8]) -> [u8; MAC_BYTES] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        context.update(self.prefix.as_bytes());
        context.update(signed);
        let tag = context.sign();
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&tag.as_ref()[..MAC_BYTES]);
        mac
    }
}

/// Takes the next `N` bytes of a payload.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_at(N);
    *rest = tail;
    let mut bytes = [0; N];
    bytes.copy_from_slice(head);
    bytes
}
