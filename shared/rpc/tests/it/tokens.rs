//! Access tokens: what is taken and, above all, what is not.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};
use aws_lc_rs::{hmac, rsa::PublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::identity::v1::{Revocation, RevocationKind};
use contract::time::timestamp;
use runtime::{OrganizationId, SessionId, UserId, WorkspaceId};
use serde::Serialize;
use serde_json::{Value, json};
use time::Duration;
use tonic::Code;

use crate::app::{App, NOW, is};

/// The claims of a token, as identity writes them.
#[derive(Clone, Serialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) aud: Value,
    pub(crate) sub: String,
    pub(crate) sid: String,
    pub(crate) org: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ws: Option<String>,
    pub(crate) iat: f64,
    pub(crate) exp: i64,
}

impl Claims {
    pub(crate) fn of(user: UserId, session: SessionId, organization: OrganizationId, now: i64) -> Self {
        let (sub, sid, org) = (user.to_string(), session.to_string(), organization.to_string());
        Self { iss: "muster".into(), aud: "muster".into(), sub, sid, org, ws: None, iat: now as f64, exp: now + 900 }
    }

    pub(crate) fn narrowed_to(self, workspace: WorkspaceId) -> Self {
        Self { ws: Some(workspace.to_string()), ..self }
    }
}

enum Key {
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// Signs tokens with one key.
pub(crate) struct Signer {
    key_id: String,
    key: Key,
}

fn encoded(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap())
}

impl Signer {
    pub(crate) fn ed25519(key_id: &str) -> Self {
        Self { key_id: key_id.into(), key: Key::Ed25519(Ed25519KeyPair::generate().unwrap()) }
    }

    pub(crate) fn rsa(key_id: &str) -> Self {
        Self { key_id: key_id.into(), key: Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    pub(crate) fn json_web_key_set(signers: &[&Self]) -> String {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.json_web_key()).collect();
        json!({ "keys": keys }).to_string()
    }

    fn json_web_key(&self) -> Value {
        let (kid, part) = (&self.key_id, |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes));
        match &self.key {
            Key::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": part(key.public_key().as_ref())})
            }
            Key::Rsa(key) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": part(&public.n), "e": part(&public.e)})
            }
        }
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        self.sign_as("at+jwt", claims)
    }

    fn sign_as(&self, typ: &str, claims: &Claims) -> String {
        let alg = if matches!(self.key, Key::Ed25519(_)) { "EdDSA" } else { "RS256" };
        self.sign_under(&json!({"alg": alg, "typ": typ, "kid": self.key_id}), claims)
    }

    /// Signs whatever the header says.
    fn sign_under(&self, header: &Value, claims: &Claims) -> String {
        let input = format!("{}.{}", encoded(header), encoded(claims));
        let signature = match &self.key {
            Key::Ed25519(key) => key.sign(input.as_bytes()).as_ref().to_vec(),
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn public_bytes(&self) -> Vec<u8> {
        match &self.key {
            Key::Ed25519(key) => key.public_key().as_ref().to_vec(),
            Key::Rsa(key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }
}

/// What the app says to a token.
async fn says(app: &App, token: &str) -> (Code, String) {
    app.outcome(app.get_by(token)).await
}

fn invalid() -> (Code, String) {
    is(Code::Unauthenticated, "TOKEN_INVALID")
}

fn revoked() -> (Code, String) {
    is(Code::Unauthenticated, "TOKEN_REVOKED")
}

#[tokio::test]
async fn ed25519_and_rsa_are_taken_each_by_its_own_key() {
    let app = App::start().await;
    let rsa = Signer::rsa("k2");
    app.keys.install(&Signer::json_web_key_set(&[&app.signer, &rsa])).unwrap();
    let claims = app.claims(app.member);
    assert_eq!(says(&app, &app.signer.sign(&claims)).await, is(Code::Ok, "OK"));
    assert_eq!(says(&app, &rsa.sign(&claims)).await, is(Code::Ok, "OK"));
    assert_eq!(app.seen().caller.user_id().unwrap(), app.member);
}

#[tokio::test]
async fn without_a_token_nothing_is_served() {
    let app = App::start().await;
    let missing = is(Code::Unauthenticated, "CREDENTIALS_MISSING");
    assert_eq!(app.outcome(app.get_in(app.workspace)).await, missing);
    for header in ["Basic YTpi", "Bearer ", "Bearer", ""] {
        let request = crate::app::With::with(app.get_in(app.workspace), "authorization", header);
        assert_eq!(app.outcome(request).await, missing, "{header}");
    }
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let app = App::start().await;
    let (claims, kid) = (app.claims(app.member), "k1");
    for alg in ["none", "None", "NONE", ""] {
        let unsigned = format!("{}.{}.", encoded(&json!({"alg": alg, "typ": "at+jwt", "kid": kid})), encoded(&claims));
        assert_eq!(says(&app, &unsigned).await, invalid(), "{alg}");
    }
    let stripped = app.token(app.member).rsplit_once('.').unwrap().0.to_owned() + ".";
    assert_eq!(says(&app, &stripped).await, invalid());
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn the_public_key_is_no_shared_secret() {
    let app = App::start().await;
    let rsa = Signer::rsa("k2");
    app.keys.install(&Signer::json_web_key_set(&[&app.signer, &rsa])).unwrap();
    for signer in [&app.signer, &rsa] {
        let input =
            format!("{}.{}", encoded(&json!({"alg": "HS256", "typ": "at+jwt", "kid": signer.key_id})), encoded(&app.claims(app.member)));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &signer.public_bytes()), input.as_bytes());
        assert_eq!(says(&app, &format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))).await, invalid());
    }
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn the_algorithm_is_the_key_s_and_not_the_header_s() {
    let app = App::start().await;
    let claims = app.claims(app.member);
    for alg in ["RS256", "RS512", "ES256", "PS256"] {
        let token = app.signer.sign_under(&json!({"alg": alg, "typ": "at+jwt", "kid": "k1"}), &claims);
        assert_eq!(says(&app, &token).await, invalid(), "{alg}");
    }
}

#[tokio::test]
async fn another_s_signature_is_refused_also_under_a_known_key_id() {
    let app = App::start().await;
    let forger = Signer::ed25519("k1");
    assert_eq!(says(&app, &forger.sign(&app.claims(app.member))).await, invalid());
    let stranger = Signer::ed25519("k9");
    assert_eq!(says(&app, &stranger.sign(&app.claims(app.member))).await, invalid());
}

#[tokio::test]
async fn one_bit_anywhere_makes_a_token_invalid() {
    let app = App::start().await;
    let token = app.token(app.member);
    assert_eq!(says(&app, &token).await, is(Code::Ok, "OK"), "the token itself is good, and cached now");
    let mut products = app.products();
    // The last character of the signature carries four bits that mean nothing, so it is left out.
    for at in (0..token.len() - 1).step_by(7).filter(|at| token.as_bytes()[*at] != b'.') {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let answer = products.get_product(app.get_by(&String::from_utf8(bytes).unwrap())).await;
        assert_eq!(crate::app::outcome(&answer), invalid(), "at {at}");
    }
    assert_eq!(app.ran(), 1);
}

#[tokio::test]
async fn a_token_that_is_cut_off_or_goes_on_is_invalid() {
    let app = App::start().await;
    let token = app.token(app.member);
    let parts: Vec<&str> = token.split('.').collect();
    for at in (1..token.len()).step_by(11).chain([token.len() - 1]) {
        assert_eq!(says(&app, &token[..at]).await, invalid(), "cut off at {at}");
    }
    for odd in [format!("{token}A"), format!("{token}."), format!(".{token}"), parts[..2].join("."), parts[1..].join(".")] {
        assert_eq!(says(&app, &odd).await, invalid(), "{odd}");
    }
}

#[tokio::test]
async fn a_token_for_others_or_from_others_is_refused() {
    let app = App::start().await;
    let claims = app.claims(app.member);
    let sign = |claims: Claims| app.signer.sign(&claims);
    assert_eq!(says(&app, &sign(Claims { aud: "elsewhere".into(), ..claims.clone() })).await, invalid());
    assert_eq!(says(&app, &sign(Claims { aud: json!(["elsewhere", "nowhere"]), ..claims.clone() })).await, invalid());
    assert_eq!(says(&app, &sign(Claims { iss: "evil".into(), ..claims.clone() })).await, invalid());
    assert_eq!(says(&app, &sign(Claims { sub: "root".into(), ..claims.clone() })).await, invalid());
    assert_eq!(says(&app, &sign(Claims { aud: json!(["elsewhere", "muster"]), ..claims })).await, is(Code::Ok, "OK"));
}

#[tokio::test]
async fn a_jwt_of_another_use_is_refused() {
    let app = App::start().await;
    let claims = app.claims(app.member);
    for typ in ["JWT", "id+jwt", "muster-peer+jwt", ""] {
        assert_eq!(says(&app, &app.signer.sign_as(typ, &claims)).await, invalid(), "{typ}");
    }
    assert_eq!(says(&app, &app.signer.sign_as("application/at+jwt", &claims)).await, is(Code::Ok, "OK"));
    let no_kid = app.signer.sign_under(&json!({"alg": "EdDSA", "typ": "at+jwt"}), &claims);
    assert_eq!(says(&app, &no_kid).await, invalid());
    let critical = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k1", "crit": ["exp"]});
    assert_eq!(says(&app, &app.signer.sign_under(&critical, &claims)).await, invalid());
}

#[tokio::test]
async fn a_token_ends_at_its_time_also_when_it_was_verified_before() {
    let app = App::start().await;
    let token = app.token(app.member);
    app.clock.set(NOW + Duration::seconds(900 + 29));
    assert_eq!(says(&app, &token).await, is(Code::Ok, "OK"), "clocks may differ by 30 seconds");
    app.clock.set(NOW + Duration::seconds(900 + 30));
    assert_eq!(says(&app, &token).await, is(Code::Unauthenticated, "TOKEN_EXPIRED"));
    app.clock.set(NOW - Duration::seconds(31));
    assert_eq!(says(&app, &token).await, invalid(), "issued in the future");
}

#[tokio::test]
async fn a_revoked_session_is_refused_also_when_its_token_is_cached() {
    let app = App::start().await;
    let (token, other) = (app.claims(app.member), app.token(app.member));
    let signed = app.signer.sign(&token);
    assert_eq!(says(&app, &signed).await, is(Code::Ok, "OK"));
    app.revocations.apply(&[revocation(RevocationKind::Session, &token.sid, NOW)]);
    assert_eq!(says(&app, &signed).await, revoked());
    assert_eq!(says(&app, &other).await, is(Code::Ok, "OK"), "another session of the same user goes on");
}

#[tokio::test]
async fn a_session_whose_token_is_taken_is_told_of_once_with_when_it_last_was() {
    let app = App::start().await;
    let (used, refused) = (app.claims(app.member), app.claims(app.member));
    app.revocations.apply(&[revocation(RevocationKind::Session, &refused.sid, NOW)]);
    for _ in 0..2 {
        app.clock.advance(std::time::Duration::from_secs(5));
        assert_eq!(says(&app, &app.signer.sign(&used)).await, is(Code::Ok, "OK"));
        // Another token of the session, after a switch say.
        assert_eq!(says(&app, &app.signer.sign(&used.clone().narrowed_to(app.workspace))).await, is(Code::Ok, "OK"));
        assert_eq!(says(&app, &app.signer.sign(&refused)).await, revoked());
    }
    let told: Vec<_> = app.verifier.take_used().into_iter().map(|(session, time)| (session.to_string(), time)).collect();
    assert_eq!(told, [(used.sid, NOW + Duration::seconds(10))]);
    assert!(app.verifier.take_used().is_empty());
}

#[tokio::test]
async fn a_revoked_user_or_organization_loses_the_tokens_from_before_and_no_others() {
    let app = App::start().await;
    for kind in [RevocationKind::User, RevocationKind::Organization] {
        let (before, after) = (app.claims(app.viewer), Claims { iat: NOW.unix_timestamp() as f64 + 0.6, ..app.claims(app.viewer) });
        let subject = if kind == RevocationKind::User { &before.sub } else { &before.org };
        app.revocations.install(&[revocation(kind, subject, NOW + Duration::milliseconds(500))]);
        assert_eq!(says(&app, &app.signer.sign(&before)).await, revoked());
        assert_eq!(says(&app, &app.signer.sign(&after)).await, is(Code::Ok, "OK"), "signed in again within the same second");
    }
}

#[tokio::test]
async fn a_key_that_is_withdrawn_takes_its_cached_tokens_along() {
    let app = App::start().await;
    let token = app.token(app.member);
    assert_eq!(says(&app, &token).await, is(Code::Ok, "OK"));
    app.keys.install(&Signer::json_web_key_set(&[&Signer::ed25519("k2")])).unwrap();
    assert_eq!(says(&app, &token).await, invalid());
}

#[tokio::test]
async fn two_authorization_headers_are_one_too_many() {
    let app = App::start().await;
    let token = app.token(app.member);
    let request = crate::app::With::with(app.get_by(&token), "authorization", &format!("Bearer {token}"));
    assert_eq!(app.outcome(request).await, invalid());
}

fn revocation(kind: RevocationKind, subject: &str, not_before: time::OffsetDateTime) -> Revocation {
    let (not_before, expire_time) = (Some(timestamp(not_before)), Some(timestamp(NOW + Duration::hours(1))));
    Revocation { kind: kind.into(), subject_id: subject.to_owned(), not_before, expire_time }
}
