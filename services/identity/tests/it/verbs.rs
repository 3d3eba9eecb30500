//! What people do at the identity service, and what services ask it: [`Door`] without a session, [`Acts`] with one, [`Watches`] for services.
//!
//! Identity verifies tokens against its own key set, so everybody here signs in; the fixture authority says only what they may.

mod acts;
mod door;
mod factors;
mod invites;

use std::ops::Deref;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::identity::v1::create_session_request::Identifier;
use contract::identity::v1::{CreateSessionRequest, Session, TokenPair};
use identity::Config;
use identity::config::{FirstAdminConfig, HashingConfig};
use identity::throttle::config::ThrottleConfig;
use testkit::{Actor, App, Setup};

pub(crate) use acts::Acts;
pub(crate) use door::{Door, Watches};
pub(crate) use factors::{Factors, Guarded, Waits};
pub(crate) use invites::{Invited, Invites};

/// Everybody's password, unless a test says otherwise.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The id of no registration.
pub(crate) const NOTHING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
/// The address of the system admin of [`with_root`].
pub(crate) const ROOT: &str = "root@example.com";
/// How long the service may take to hear of something from the authority.
const HEARD: Duration = Duration::from_secs(10);

/// Settings under which a hash costs next to nothing and a change of roles is not waited for.
pub(crate) fn quick() -> Config {
    let hashing = HashingConfig { memory_kib: 64, passes: 1, ..HashingConfig::default() };
    // Everybody in a test registers from one address.
    let throttle = ThrottleConfig { mails_per_address: 10_000, mails_per_user: 10_000, ..ThrottleConfig::default() };
    Config { hashing, throttle, propagation_wait_ms: 10, key_poll_seconds: 1, ..Config::default() }
}

/// Settings under which a hash takes longer than a hurried call has.
pub(crate) fn slow() -> Config {
    let hashing = HashingConfig { memory_kib: 64 * 1024, passes: 16, threads: 1, ..HashingConfig::default() };
    Config { hashing, ..quick() }
}

/// As [`quick`], with a system admin from the first start.
pub(crate) fn with_root() -> Config {
    let first_admin = FirstAdminConfig { email: ROOT.to_owned(), password: PASSWORD.into(), ..FirstAdminConfig::default() };
    Config { first_admin, ..quick() }
}

/// The service under test; nobody has an account.
pub(crate) async fn identity() -> App {
    identity_with(quick()).await
}

/// The service under test with other settings.
pub(crate) async fn identity_with(config: Config) -> App {
    build_with(async move |deps| identity::build(deps, &config).await).await
}

/// The service under test, built in a way of the test's own.
pub(crate) async fn build_with<F>(build: F) -> App
where
    F: AsyncFn(&host::Deps) -> anyhow::Result<host::Service> + Send + 'static,
{
    App::with(Setup::default(), identity::NAME, identity::SCHEMA, &identity::MIGRATIONS, build).await
}

/// The address of the person `name`.
pub(crate) fn address(name: &str) -> String {
    format!("{name}@example.com")
}

/// A sign-in by address, with everybody's password.
pub(crate) fn by_email(email: &str) -> CreateSessionRequest {
    CreateSessionRequest {
        identifier: Some(Identifier::Email(email.to_owned())),
        password: PASSWORD.to_owned(),
        device_token: String::new(),
    }
}

/// Somebody with a session that the service opened.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    actor: Actor,
    pub(crate) session: Session,
    pub(crate) tokens: TokenPair,
}

impl Deref for Person {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}

/// Waits until `holds`; gives up after a while far beyond what it may take.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HEARD, waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// What an access token says.
pub(crate) fn claims(token: &str) -> serde_json::Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// The `kid` that a token names.
pub(crate) fn key_of(token: &str) -> String {
    let head: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    head["kid"].as_str().unwrap().to_owned()
}

/// A UUID for `request_id`, the same for the same number.
pub(crate) fn request_id(number: u128) -> String {
    uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | number).to_string()
}
