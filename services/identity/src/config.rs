//! Settings of the identity service beside those every service has.

use host::ServiceConfig;
use runtime::config::{Faults, Secret};
use serde::{Deserialize, Serialize};

use crate::hashing::Cost;
use crate::key::Algorithm;
use crate::password::{Person, strength};
use crate::throttle::config::ThrottleConfig;
use crate::user::links::COOLDOWN_SECONDS_MAX;

/// The longest that an access token may be good for, in seconds. Tokens that were issued under an earlier setting may live so long, so what is
/// kept for as long as a token could live (revocations, retired keys) is kept by this and not by the setting of today.
pub const ACCESS_TOKEN_SECONDS_MAX: u32 = 15 * 60;

/// The `identity` section. Every default works.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How access tokens are signed; another algorithm takes over minutes after a start, once verifiers have its key.
    pub signing_algorithm: Algorithm,
    /// How long an access token is good, in seconds.
    pub access_token_seconds: u32,
    /// How long a refresh token is good if it is not used, in seconds.
    pub refresh_token_seconds: u32,
    /// How long a session lasts at most, in seconds.
    pub session_seconds: u32,
    /// Open sessions of one user; a sign-in beyond them ends the one that was refreshed longest ago.
    pub sessions_per_user: u32,
    /// How often it is written which sessions were used, in seconds.
    pub last_use_seconds: u32,
    /// How long a registration waits for its address to be proved, in days.
    pub pending_account_days: u32,
    /// How long a used refresh token gets the same successor again, in seconds.
    pub refresh_grace_seconds: u32,
    /// How long a link that proves an address is good, be it of a registration or of a change; in seconds.
    pub verification_token_seconds: u32,
    /// How long a link that resets a password is good, in seconds.
    pub password_reset_seconds: u32,
    /// The least time between two mails of one kind to one address that one network or user asks for, and between two invitations of an
    /// organization to one address; in seconds. All together cause ten in a row, and then one in each such time.
    pub mail_cooldown_seconds: u32,
    /// How long an invitation is good, in days.
    pub invitation_days: u32,
    /// Invitations of one organization that wait for an answer at a time.
    pub invitations_per_organization: u32,
    /// Whose code it is, as authenticator apps show it beside the address.
    pub totp_issuer: String,
    /// Where browsers and relying parties reach the suite over HTTP: the gateway's address as the world has it.
    pub public_url: String,
    /// How long a key signs before the service rotates it, in days; 0 rotates by command alone.
    pub signing_key_rotation_days: u32,
    /// How often a replica looks whether another one rotated the signing key, in seconds.
    pub key_poll_seconds: u32,
    /// How long a change of roles waits to be in force before it is answered PENDING, in milliseconds.
    pub propagation_wait_ms: u32,
    /// So many of a person's last passwords, the present one among them, can't be chosen again; 0 looks at none.
    pub password_history: u32,
    /// Password hashing.
    pub hashing: HashingConfig,
    /// Delays after attempts that failed.
    pub throttle: ThrottleConfig,
    /// The system admin who is there from the first start.
    pub first_admin: FirstAdminConfig,
}

/// What a hash costs and how many there are at a time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HashingConfig {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// Hashes at a time; 0 is as many as cores.
    pub threads: u32,
    /// Calls that wait or are hashed, at most.
    pub queue_max: u32,
    /// Which key of the key file is mixed into passwords before they are hashed; 0 is none. Another one takes its place by raising it.
    pub pepper_id: u32,
}

/// The first system admin. Nobody is made while the address is empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FirstAdminConfig {
    /// The address to sign in with.
    pub email: String,
    /// The password, used when the account is made and never after.
    pub password: Secret,
    /// How the person is called.
    pub display_name: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            signing_algorithm: Algorithm::default(),
            access_token_seconds: 15 * 60,
            refresh_token_seconds: 7 * 86_400,
            session_seconds: 30 * 86_400,
            sessions_per_user: 100,
            last_use_seconds: 30,
            pending_account_days: 7,
            refresh_grace_seconds: 30,
            verification_token_seconds: 86_400,
            password_reset_seconds: 3_600,
            mail_cooldown_seconds: 60,
            invitation_days: 7,
            invitations_per_organization: 1_000,
            totp_issuer: "Muster".to_owned(),
            public_url: "http://127.0.0.1:8080".to_owned(),
            signing_key_rotation_days: 30,
            key_poll_seconds: 10,
            propagation_wait_ms: 800,
            password_history: 0,
            hashing: HashingConfig::default(),
            throttle: ThrottleConfig::default(),
            first_admin: FirstAdminConfig::default(),
        }
    }
}

impl Default for HashingConfig {
    fn default() -> Self {
        HashingConfig { memory_kib: 19 * 1024, passes: 2, lanes: 1, threads: 0, queue_max: 1024, pepper_id: 0 }
    }
}

impl Default for FirstAdminConfig {
    fn default() -> Self {
        FirstAdminConfig { email: String::new(), password: Secret::default(), display_name: "Administrator".to_owned() }
    }
}

impl HashingConfig {
    /// What one hash costs.
    pub fn cost(&self) -> Cost {
        Cost { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes }
    }

    /// Hashes at a time: as many as cores unless said.
    pub fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads as usize,
        }
    }
}

impl ServiceConfig for Config {
    const PORT: u16 = 7101;

    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("signing_algorithm", "how access tokens are signed: EdDSA or RS256"),
            ("access_token_seconds", "how long an access token is good, in seconds, 60..=900"),
            ("refresh_token_seconds", "how long an unused refresh token is good, in seconds, 3600..=2592000"),
            ("session_seconds", "how long a session lasts at most, in seconds, 3600..=31536000"),
            ("sessions_per_user", "open sessions of one user, 1..=1000; a sign-in beyond them ends the one that was refreshed longest ago"),
            ("last_use_seconds", "how often it is written which sessions were used, in seconds, 1..=3600"),
            ("pending_account_days", "how long a registration waits for its address to be proved, in days, 1..=90"),
            ("refresh_grace_seconds", "how long a used refresh token gets the same successor again, in seconds, 0..=60"),
            ("verification_token_seconds", "how long a link that proves an address is good, in seconds, 300..=604800"),
            ("password_reset_seconds", "how long a link that resets a password is good, in seconds, 300..=86400"),
            (
                "mail_cooldown_seconds",
                "least time between two mails of one kind that one network, user or organization asks for to one address, in seconds, 0..=3600",
            ),
            ("invitation_days", "how long an invitation is good, in days, 1..=90"),
            ("invitations_per_organization", "invitations of one organization that wait for an answer at a time, 1..=100000"),
            ("totp_issuer", "whose code it is, as authenticator apps show it, 1..=64 characters without a colon"),
            ("public_url", "where the gateway is reached from outside, http:// or https://; OpenID metadata names the key set below it"),
            ("signing_key_rotation_days", "how long a key signs before the service rotates it, in days, 0..=365; 0 is by command alone"),
            ("key_poll_seconds", "how often a replica looks whether another one rotated the signing key, in seconds, 1..=60"),
            ("propagation_wait_ms", "how long a change of roles waits to be in force, in milliseconds, 0..=5000"),
            ("password_history", "so many of a person's last passwords can't be chosen again, 0..=10; 0 looks at none"),
            ("hashing.memory_kib", "memory of one password hash, in KiB, 8..=262144; OWASP asks for 19456"),
            ("hashing.passes", "passes over that memory, 1..=16"),
            ("hashing.lanes", "lanes, 1..=4"),
            ("hashing.threads", "hashes at a time, 0..=64; 0 is as many as cores"),
            ("hashing.queue_max", "calls that wait or are hashed at most, 1..=65536"),
            (
                "hashing.pepper_id",
                "which key of the key file is mixed into passwords first, 0..=1000000; 0 is none, raising it puts another in place",
            ),
            (
                "throttle.attempts",
                "failures in a row that are free for one device, or for strangers of one network at one account, 1..=100",
            ),
            ("throttle.account_attempts", "failures in a row that are free for all strangers together at one account, 1..=10000"),
            ("throttle.address_attempts", "failures in a row that are free for one network, at whatever account, 1..=1000000"),
            ("throttle.mails_per_address", "mails that may be asked for from one network in a row, registrations among them, 1..=1000000"),
            ("throttle.mails_per_user", "mails that one user may ask for in a row, invitations among them, 1..=1000000"),
            ("throttle.delay_ms", "the first delay, in milliseconds, 1..=60000; each one after it is twice as long"),
            ("throttle.delay_max_seconds", "the longest delay, in seconds, 1..=86400"),
            (
                "throttle.shared_delay_max_seconds",
                "the longest delay of what strangers share at one account, or in one network, in seconds, 1..=3600",
            ),
            ("throttle.forget_hours", "how long after the last attempt delays are forgotten, in hours, 1..=720"),
            ("first_admin.email", "the address of the system admin made at the first start; empty makes none"),
            ("first_admin.password", "the admin's password, used when the account is made and never after"),
            ("first_admin.display_name", "how the admin is called"),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("access_token_seconds", self.access_token_seconds, 60..=ACCESS_TOKEN_SECONDS_MAX);
        faults.range("refresh_token_seconds", self.refresh_token_seconds, 3_600..=2_592_000);
        faults.range("session_seconds", self.session_seconds, 3_600..=31_536_000);
        faults.range("sessions_per_user", self.sessions_per_user, 1..=1_000);
        faults.range("last_use_seconds", self.last_use_seconds, 1..=3_600);
        faults.range("password_history", self.password_history, 0..=10);
        faults.range("pending_account_days", self.pending_account_days, 1..=90);
        faults.range("refresh_grace_seconds", self.refresh_grace_seconds, 0..=60);
        faults.range("verification_token_seconds", self.verification_token_seconds, 300..=604_800);
        faults.range("password_reset_seconds", self.password_reset_seconds, 300..=86_400);
        faults.range("mail_cooldown_seconds", self.mail_cooldown_seconds, 0..=COOLDOWN_SECONDS_MAX);
        faults.range("invitation_days", self.invitation_days, 1..=90);
        faults.range("invitations_per_organization", self.invitations_per_organization, 1..=100_000);
        let issuer = (1..=64).contains(&self.totp_issuer.chars().count()) && !self.totp_issuer.contains(':');
        faults.require("totp_issuer", issuer, "must be 1..=64 characters without a colon");
        faults.require(
            "public_url",
            self.public_url.starts_with("http://") || self.public_url.starts_with("https://"),
            "must begin with http:// or https://",
        );
        faults.range("signing_key_rotation_days", self.signing_key_rotation_days, 0..=365);
        faults.range("key_poll_seconds", self.key_poll_seconds, 1..=60);
        faults.range("propagation_wait_ms", self.propagation_wait_ms, 0..=5_000);
        self.hashing.validate(faults);
        self.throttle.validate(faults);
        self.first_admin.validate(faults);
    }
}

impl HashingConfig {
    fn validate(&self, faults: &mut Faults) {
        faults.range("hashing.passes", self.passes, 1..=16);
        faults.range("hashing.lanes", self.lanes, 1..=4);
        faults.range("hashing.threads", self.threads, 0..=64);
        faults.range("hashing.queue_max", self.queue_max, 1..=65_536);
        faults.range("hashing.pepper_id", self.pepper_id, 0..=1_000_000);
        let least = 8 * self.lanes.clamp(1, 4);
        faults.range("hashing.memory_kib", self.memory_kib, least..=262_144);
    }
}

impl FirstAdminConfig {
    fn validate(&self, faults: &mut Faults) {
        if self.email.is_empty() {
            return;
        }
        faults.require("first_admin.email", self.email.len() <= 254 && self.email.contains('@'), "must be an address");
        faults.not_empty("first_admin.display_name", &self.display_name);
        let person = Person { display_name: self.display_name.clone(), ..Person::at(&self.email) };
        if let Some(weakness) = strength(self.password.expose(), &person).weakness {
            faults.push("first_admin.password", weakness.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::config::Section;

    use super::*;

    type Hosted = host::Hosted<Config>;

    fn faults(config: Config) -> bool {
        let mut faults = Faults::default();
        Section::validate(&Hosted { own: config, ..Hosted::default() }, &mut faults);
        !faults.is_empty()
    }

    #[test]
    fn the_defaults_work_and_cost_what_owasp_asks_for() {
        assert!(!faults(Config::default()));
        assert_eq!(Config::default().hashing.cost(), Cost { memory_kib: 19_456, passes: 2, lanes: 1 });
        assert!(Config::default().hashing.cost().is_usable());
        assert!(Config::default().hashing.thread_count() >= 1);
    }

    #[test]
    fn a_first_admin_needs_a_good_password() {
        let admin = |password: &str| Config {
            first_admin: FirstAdminConfig { email: "root@example.com".into(), password: password.into(), ..FirstAdminConfig::default() },
            ..Config::default()
        };
        assert!(faults(admin("")));
        assert!(faults(admin("password123")));
        assert!(!faults(admin("correct horse battery")));
    }

    #[test]
    fn tokens_never_live_longer_than_the_revocations_that_name_them() {
        assert!(faults(Config { access_token_seconds: 901, ..Config::default() }));
    }
}
