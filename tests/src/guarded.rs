//! People with a second factor.

use identity::factor::totp::{Secret, step_at};
use muster::seed;
use runtime::Clock;
use serde_json::json;

use crate::{Actor, Suite, text, world::done};

/// Somebody with a second factor, in the session that confirmed it.
pub struct Guarded {
    /// At aal 2.
    pub actor: Actor,
    /// The factor.
    pub factor_id: String,
    /// What the authenticator app was told.
    pub secret: Secret,
    /// Ten of them.
    pub recovery_codes: Vec<String>,
}

impl Suite {
    /// Registers `name`, who enrols an authenticator app.
    ///
    /// # Panics
    /// When a step is refused.
    pub async fn guarded(&self, name: &str) -> Guarded {
        self.register(name).await;
        let actor = self.sign_in(name).await;
        let (factor_id, secret) = self.enrolled(&actor).await;
        let code = secret.code(step_at(Clock::system().now()));
        let answer = done(actor.call("identity.FactorService/ConfirmTotp", json!({"factorId": factor_id, "totpCode": code})).await);
        let codes = answer["recoveryCodes"].as_array().into_iter().flatten();
        let recovery_codes = codes.filter_map(|code| code.as_str().map(str::to_owned)).collect();
        Guarded { actor: actor.with_token(&text(&answer, "accessToken")), factor_id, secret, recovery_codes }
    }

    /// `actor` enrols an authenticator app, which waits for its first code: the factor, and what the app was told.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn enrolled(&self, actor: &Actor) -> (String, Secret) {
        let answer = done(actor.call("identity.FactorService/EnrollTotp", json!({})).await);
        let uri = text(&answer, "otpauthUri");
        let secret = uri.split_once("secret=").and_then(|(_, rest)| rest.split('&').next()).expect("a key URI");
        (text(&answer, "factor.factorId"), Secret::from_base32(secret).expect("a secret"))
    }

    /// The challenge token of a sign-in of `name`, who has a second factor.
    ///
    /// # Panics
    /// When nothing is asked for.
    pub async fn challenge(&self, name: &str) -> String {
        let request = json!({"email": format!("{name}@muster.example"), "password": seed::PASSWORD});
        text(&done(self.nobody().call("identity.SessionService/CreateSession", request).await), "challenge.challengeToken")
    }
}
