//! Use cases of ladders, for whoever lets somebody try a secret:
//! [`admit`](Throttle::admit) before it is looked at; then [`succeeded`](Throttle::succeeded) in the transaction of the success, or
//! [`failed`](Throttle::failed) in the one that tells of the failure, or [`give_back`](Throttle::give_back) when it was not looked at.

use std::time::Duration;

use db::{Db, Sealer, Tx};
use metrics::counter;
use rpc::Caller;
use runtime::UserId;
use uuid::Uuid;

use super::config::ThrottleConfig;
use super::network::{network, site};
use super::store::{self, Admitted};
use super::{Key, Pass, SITE_NETWORKS, Scope};
use crate::error::Error;
use crate::events;
use crate::token::device::{DeviceToken, DeviceTokens};

/// Attempts. Cheap to clone.
#[derive(Clone)]
pub struct Throttle {
    db: Db,
    sealer: Sealer,
    config: ThrottleConfig,
    devices: DeviceTokens,
}

/// How ladders are climbed, whatever they are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The first delay.
    pub(crate) step_ms: i64,
    /// How long after its last attempt a ladder is remembered.
    pub(crate) kept_ms: i64,
}

/// A sign-in before it is known whose identifier that is: which ladders it stands on if its device token is the account's, and which if not.
pub(crate) struct SignIn {
    pub(crate) device: Option<DeviceToken>,
    pub(crate) known: Vec<Key>,
    pub(crate) stranger: Vec<Key>,
}

impl SignIn {
    /// The device token, if it is one of `user_id`'s and of the `generation` that is good.
    pub(crate) fn device_of(&self, user_id: UserId, generation: i64) -> Option<DeviceToken> {
        self.device.filter(|device| (device.user_id, device.generation) == (user_id, generation))
    }
}

impl Throttle {
    /// As the settings say, under keys of `sealer`.
    pub fn new(db: Db, config: ThrottleConfig) -> Self {
        let sealer = db.sealer().clone();
        Throttle { devices: DeviceTokens::new(&sealer), db, sealer, config }
    }

    /// The keys of a sign-in by what has the blind index `index`, from where `caller` is. A device token that is none of ours is none.
    pub(crate) fn sign_in(&self, caller: &Caller, index: &str, device_token: &str) -> SignIn {
        let device = self.devices.decode(device_token).ok();
        let network = self.network(caller);
        let part = device.map(|device| device.device_id.to_string()).unwrap_or_default();
        let mut stranger = vec![self.key(Scope::Network, index, &network), self.key(Scope::Account, index, "")];
        stranger.extend(self.strangers_of(caller));
        SignIn { device, known: vec![self.key(Scope::Device, index, &part)], stranger }
    }

    /// The verdict on a sign-in that was looked up, with `device` if its token is one of the account's.
    ///
    /// # Errors
    /// `SIGN_IN_THROTTLED`, the same whosever identifier it is.
    pub(crate) fn signing_in(&self, admitted: Admitted, sign_in: SignIn, device: Option<DeviceToken>) -> Result<Pass, Error> {
        let keys = if device.is_some() { sign_in.known } else { sign_in.stranger };
        self.pass(admitted, keys, |retry_after| Error::SignInThrottled { retry_after })
    }

    /// The token of a device that has just signed in, or chosen another password: the one it showed, or a new one.
    pub(crate) fn device_token(&self, user_id: UserId, generation: i64, shown: Option<DeviceToken>) -> String {
        self.devices.encode(shown.unwrap_or_else(|| DeviceToken { user_id, generation, device_id: self.db.ids().next() }))
    }

    /// What an attempt is charged to that is one of few at `subject`: the codes of a user's second factor, the passwords that go with a link or that
    /// somebody who signed in gives once more.
    /// Who comes so far has shown a password or a genuine link, and does not wait for strangers of the same network.
    pub fn attempt(&self, scope: Scope, subject: Uuid) -> Vec<Key> {
        vec![self.key(scope, &subject.to_string(), "")]
    }

    /// What a mail that somebody asks for is charged to: whoever signed in is counted alone, wherever they are.
    pub(crate) fn mail(&self, caller: &Caller) -> Vec<Key> {
        match caller.user_id() {
            Ok(user_id) => vec![Key { free: at_most(self.config.mails_per_user), ..self.key(Scope::Mail, &user_id.to_string(), "") }],
            Err(_) => {
                let of_network = self.key(Scope::Mail, &self.network(caller), "");
                let free = of_network.free.saturating_mul(at_most(SITE_NETWORKS));
                let of_site = self.site(caller).map(|site| Key { free, ..self.key(Scope::Mail, &site, "") });
                std::iter::once(of_network).chain(of_site).collect()
            }
        }
    }

    /// What strangers fail at is charged to, whatever it is: their network, and its site.
    fn strangers_of(&self, caller: &Caller) -> Vec<Key> {
        let of_site = self.site(caller).map(|site| self.key(Scope::Site, &site, ""));
        std::iter::once(self.key(Scope::Address, &self.network(caller), "")).chain(of_site).collect()
    }

    /// Lets an attempt be made and charges it, in a commit of its own.
    ///
    /// # Errors
    /// `ATTEMPTS_THROTTLED` with the time after which the same attempt may be made.
    pub async fn admit(&self, caller: &Caller, keys: Vec<Key>) -> Result<Pass, Error> {
        let admitted = store::admit(&self.db, caller, &keys, self.pace()).await?;
        self.pass(admitted, keys, |retry_after| Error::AttemptsThrottled { retry_after })
    }

    /// Charges what is done in this transaction, if that is done, and never before.
    ///
    /// # Errors
    /// `ATTEMPTS_THROTTLED`, for which the transaction is given up.
    pub(crate) async fn charge(&self, tx: &mut Tx, keys: Vec<Key>) -> Result<(), Error> {
        let admitted = store::charge(tx, &keys, self.pace()).await?;
        self.pass(admitted, keys, |retry_after| Error::AttemptsThrottled { retry_after }).map(drop)
    }

    fn pass(&self, admitted: Admitted, keys: Vec<Key>, refusal: impl FnOnce(Duration) -> Error) -> Result<Pass, Error> {
        admitted.verdict().map(|step| Pass { keys, step }).map_err(|(scope, wait)| {
            counter!("identity_throttled_total", "scope" => scope.map_or("unknown", Scope::name)).increment(1);
            refusal(wait)
        })
    }

    /// Settles an attempt that succeeded, in the transaction of what it was for.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    pub async fn succeeded(&self, tx: &mut Tx, pass: &Pass) -> Result<(), Error> {
        store::succeed(tx, &pass.keys).await
    }

    /// Gives back an attempt whose secret was not looked at: there was no room for a hash, say. Without an answer of the database it stays
    /// charged, which a success will clear.
    pub async fn give_back(&self, caller: &Caller, pass: Pass) {
        if let Err(error) = store::give_back(&self.db, caller, &pass.keys).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an attempt that was not made stays charged");
        }
    }

    /// Tells of an attempt that failed, of `user_id` if that is known.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    /// # Emits
    /// `SignInThrottled` when the next attempt has to wait, same transaction: for the ladder on which it waits longest.
    pub async fn failed(&self, tx: &mut Tx, pass: Pass, user_id: Option<UserId>) -> Result<(), Error> {
        let Some(step) = pass.step else { return Ok(()) };
        let subject = pass.keys.iter().find(|key| key.scope == step.scope as i16).map_or("", |key| key.subject.as_str());
        counter!("identity_throttle_steps_total", "scope" => step.scope.name()).increment(1);
        // What is counted for a network is counted for no account.
        let user_id = user_id.filter(|_| !matches!(step.scope, Scope::Address | Scope::Site));
        tx.emit(events::sign_in_throttled(subject, user_id, step, tx.now() + step.delay));
        Ok(())
    }

    /// Tells of an attempt that failed where nothing else happened.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    /// # Emits
    /// As [`failed`](Self::failed), in a transaction of its own.
    pub async fn failed_alone(&self, caller: &Caller, pass: Pass, user_id: Option<UserId>) -> Result<(), Error> {
        self.db.write_unrecorded(caller, async |tx: &mut Tx| self.failed(tx, pass, user_id).await).await
    }

    /// Counts a token that was none of ours for the network that it came from. It can't be guessed; whoever tries is kept waiting all the same.
    ///
    /// # Errors
    /// `ATTEMPTS_THROTTLED`.
    pub async fn forged(&self, caller: &Caller) -> Result<(), Error> {
        let pass = self.admit(caller, self.strangers_of(caller)).await?;
        self.failed_alone(caller, pass, None).await
    }

    /// Clears every ladder of an account, by the blind indexes that it signs in by and its id. What strangers did from their networks
    /// elsewhere stays. Says whether there was a failure.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    pub async fn clear(&self, tx: &mut Tx, subjects: &[String]) -> Result<bool, Error> {
        store::clear(tx, subjects).await
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace { step_ms: self.config.delay_ms.into(), kept_ms: i64::from(self.config.forget_hours) * 3_600_000 }
    }

    /// The network of the caller as a blind index: addresses tell where people are.
    pub(crate) fn network(&self, caller: &Caller) -> String {
        hex::encode(self.sealer.blind_index("identity.auth_throttle.network", &network(caller.client_address())))
    }

    /// Its site as a blind index, for IPv6.
    fn site(&self, caller: &Caller) -> Option<String> {
        let site = site(caller.client_address())?;
        Some(hex::encode(self.sealer.blind_index("identity.auth_throttle.network", &site)))
    }

    fn key(&self, scope: Scope, subject: &str, part: &str) -> Key {
        let ThrottleConfig { attempts, account_attempts, address_attempts, mails_per_address, .. } = self.config;
        let free = match scope {
            Scope::Device | Scope::Network | Scope::Code | Scope::Link | Scope::Password => attempts,
            Scope::Account => account_attempts,
            Scope::Address => address_attempts,
            Scope::Site => address_attempts.saturating_mul(SITE_NETWORKS),
            Scope::Mail => mails_per_address,
        };
        let ThrottleConfig { delay_max_seconds, shared_delay_max_seconds, .. } = self.config;
        let cap = if scope.is_shared() { shared_delay_max_seconds } else { delay_max_seconds };
        Key {
            scope: scope as i16,
            subject: subject.to_owned(),
            part: part.to_owned(),
            free: at_most(free),
            cap_ms: i64::from(cap) * 1_000,
            resets: scope.resets(),
        }
    }
}

/// As the table counts.
fn at_most(free: u32) -> i32 {
    i32::try_from(free).unwrap_or(i32::MAX)
}
