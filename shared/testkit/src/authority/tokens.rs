//! Access tokens as identity mints them, from a key of the test's own.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use runtime::{Ids, OrganizationId, SessionId, UserId, WorkspaceId};
use serde::Serialize;
use time::OffsetDateTime;

/// The claims of an access token. Public fields, so that a test can make a wrong one.
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    /// Who issued it: `muster`.
    pub iss: String,
    /// Whom it is for: `muster`.
    pub aud: String,
    /// The user.
    pub sub: String,
    /// The session.
    pub sid: String,
    /// The organization.
    pub org: String,
    /// The workspace it is narrowed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ws: Option<String>,
    /// For display only.
    pub roles: Vec<String>,
    /// The authenticator assurance level, 1 or 2.
    pub aal: u8,
    /// When the session last was authenticated, in seconds since 1970.
    pub auth_time: f64,
    /// The token's id.
    pub jti: String,
    /// Issued, in seconds since 1970, with microseconds.
    pub iat: f64,
    /// Good until, in seconds since 1970.
    pub exp: f64,
}

impl Claims {
    /// Good for 15 minutes from `now`.
    pub fn of(
        user: UserId,
        session: SessionId,
        organization: OrganizationId,
        workspace: Option<WorkspaceId>,
        now: OffsetDateTime,
    ) -> Claims {
        let now = now.unix_timestamp_nanos() as f64 / 1e9;
        Claims {
            iss: "muster".into(),
            aud: "muster".into(),
            sub: user.to_string(),
            sid: session.to_string(),
            org: organization.to_string(),
            ws: workspace.map(|workspace| workspace.to_string()),
            roles: Vec::new(),
            aal: 1,
            auth_time: now,
            jti: Ids::system().next().to_string(),
            iat: now,
            exp: now + 900.0,
        }
    }
}

/// Signs with one Ed25519 key.
#[derive(Clone)]
pub struct TokenSigner {
    key_id: String,
    key: EncodingKey,
    public: Vec<u8>,
}

impl TokenSigner {
    /// A new key named `key_id`.
    ///
    /// # Panics
    /// When the system gives no randomness.
    pub fn generate(key_id: &str) -> TokenSigner {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key just made");
        TokenSigner { key_id: key_id.into(), key: EncodingKey::from_ed_der(pkcs8.as_ref()), public: pair.public_key().as_ref().to_vec() }
    }

    /// The public half as a JSON Web Key Set.
    pub fn json_web_key_set(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(&self.public);
        let key = serde_json::json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.key_id, "x": x});
        serde_json::json!({ "keys": [key] }).to_string()
    }

    /// A signed token of type `at+jwt`.
    ///
    /// # Panics
    /// Never: the key fits the algorithm.
    pub fn sign(&self, claims: &Claims) -> String {
        let header = Header { typ: Some("at+jwt".into()), kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.key).expect("an Ed25519 key signs EdDSA")
    }
}

impl std::fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSigner").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
