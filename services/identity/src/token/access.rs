//! Access tokens: JWTs of type `at+jwt` (RFC 9068), signed with the ACTIVE key.
//!
//! Deliberately absent: verification, which every service does for itself (shared/rpc), and any claim that decides something beside who, where
//! and until when: roles are there to be shown.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use runtime::{OrganizationId, SessionId, UserId, WorkspaceId};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::key::pair::{BadKey, KeyPair};
use crate::session::assurance::Methods;

/// Issuer of every token of the suite.
pub const ISSUER: &str = "muster";
/// Whom they are for.
const AUDIENCE: &str = "muster";

/// What an access token says.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// The tenant; the nil UUID for none.
    pub organization_id: OrganizationId,
    /// The workspace it is narrowed to.
    pub workspace_id: Option<WorkspaceId>,
    /// To be shown; no decision reads them.
    pub roles: Vec<&'static str>,
    /// What the session was authenticated by.
    pub methods: Methods,
    /// When it last was.
    pub auth_time: OffsetDateTime,
    /// The token's own id.
    pub token_id: Uuid,
    /// When it is issued.
    pub issue_time: OffsetDateTime,
    /// Good until then.
    pub expire_time: OffsetDateTime,
}

#[derive(Serialize)]
struct Header<'a> {
    typ: &'static str,
    alg: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    aud: &'static str,
    sub: UserId,
    sid: SessionId,
    org: OrganizationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    ws: Option<WorkspaceId>,
    roles: &'a [&'static str],
    /// The level as a number, which our verifiers compare; `acr` is the same for others. Source of the names: RFC 9068, 2.2.1.
    aal: u8,
    acr: &'static str,
    amr: Vec<&'static str>,
    auth_time: i64,
    jti: Uuid,
    /// With microseconds, so that a token issued after a revocation in the same second is good.
    iat: f64,
    exp: i64,
}

/// A key with its id, ready to sign.
pub struct Signer {
    key_id: String,
    pair: KeyPair,
}

impl Signer {
    /// Signs with `pair`.
    pub fn new(pair: KeyPair) -> Self {
        Signer { key_id: pair.key_id(), pair }
    }

    /// The `kid` its tokens carry.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The signed token.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn sign(&self, token: &AccessToken) -> Result<String, BadKey> {
        let header = Header { typ: "at+jwt", alg: self.pair.algorithm().name(), kid: &self.key_id };
        let claims = Claims {
            iss: ISSUER,
            aud: AUDIENCE,
            sub: token.user_id,
            sid: token.session_id,
            org: token.organization_id,
            ws: token.workspace_id,
            roles: &token.roles,
            aal: token.methods.aal(),
            acr: token.methods.acr(),
            amr: token.methods.names(),
            auth_time: token.auth_time.unix_timestamp(),
            jti: token.token_id,
            iat: seconds(token.issue_time),
            exp: token.expire_time.unix_timestamp(),
        };
        let signed = format!("{}.{}", part(&header)?, part(&claims)?);
        let signature = self.pair.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn part(value: &impl Serialize) -> Result<String, BadKey> {
    serde_json::to_vec(value).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| BadKey)
}

/// Seconds since 1970 with microseconds: exact in an f64 until the year 2255.
fn seconds(time: OffsetDateTime) -> f64 {
    (time.unix_timestamp_nanos() / 1_000) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use serde_json::Value;

    use super::*;
    use crate::key::Algorithm;

    fn token() -> AccessToken {
        let issue_time = OffsetDateTime::from_unix_timestamp_nanos(1_900_000_000_123_456_000).unwrap();
        AccessToken {
            user_id: Uuid::from_u128(1).into(),
            session_id: Uuid::from_u128(2).into(),
            organization_id: Uuid::from_u128(3).into(),
            workspace_id: None,
            roles: vec!["organization.owner"],
            methods: Methods::PASSWORD.and(Methods::TOTP),
            auth_time: issue_time - time::Duration::HOUR,
            token_id: Uuid::from_u128(4),
            issue_time,
            expire_time: issue_time + time::Duration::minutes(15),
        }
    }

    /// Reads with another library, from nothing but the public set.
    fn verify(text: &str, set: &str) -> Value {
        let header = decode_header(text).unwrap();
        let set: JwkSet = serde_json::from_str(set).unwrap();
        let key = set.find(&header.kid.unwrap()).unwrap();
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&["muster"]);
        validation.set_issuer(&["muster"]);
        assert_eq!(header.typ.unwrap(), "at+jwt");
        decode::<Value>(text, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims
    }

    #[test]
    fn both_algorithms_make_tokens_that_another_library_verifies_from_the_public_set() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Rs256] {
            let pair = KeyPair::generate(algorithm).unwrap();
            let set = format!("{{\"keys\":[{}]}}", pair.public_key());
            let claims = verify(&Signer::new(pair).sign(&token()).unwrap(), &set);
            assert_eq!(claims["sub"], Uuid::from_u128(1).to_string());
            assert_eq!(claims["iat"], 1_900_000_000.123_456);
            assert_eq!(claims["exp"], 1_900_000_900);
            assert_eq!(claims["roles"][0], "organization.owner");
            assert_eq!((&claims["aal"], &claims["acr"]), (&Value::from(2), &Value::from("aal2")));
            assert_eq!(claims["amr"], serde_json::json!(["pwd", "otp", "mfa"]));
            assert_eq!(claims["auth_time"], 1_899_996_400);
            assert!(claims.get("ws").is_none(), "a token that is not narrowed has no such claim");
        }
    }

    #[test]
    fn a_narrowed_token_says_to_what() {
        let pair = KeyPair::generate(Algorithm::EdDsa).unwrap();
        let set = format!("{{\"keys\":[{}]}}", pair.public_key());
        let narrowed = AccessToken { workspace_id: Some(Uuid::from_u128(5).into()), ..token() };
        assert_eq!(verify(&Signer::new(pair).sign(&narrowed).unwrap(), &set)["ws"], Uuid::from_u128(5).to_string());
    }
}
