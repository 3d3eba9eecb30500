//! Settings of ladders.

use runtime::config::Faults;
use serde::{Deserialize, Serialize};

/// How many attempts are free, and how delays grow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ThrottleConfig {
    /// Failures in a row that are free for a device, for the strangers of one network at one account, for codes and for links.
    pub attempts: u32,
    /// Failures in a row that are free for all strangers together at one account.
    pub account_attempts: u32,
    /// Failures in a row that are free for all strangers of one network together, at whatever account.
    pub address_attempts: u32,
    /// Mails that may be asked for from one network in a row, registrations among them.
    pub mails_per_address: u32,
    /// Mails that one user who signed in may ask for in a row, invitations among them.
    pub mails_per_user: u32,
    /// The first delay, in milliseconds; each one after it is twice as long.
    pub delay_ms: u32,
    /// The longest delay, in seconds.
    pub delay_max_seconds: u32,
    /// The longest delay of what people share who have nothing to do with each other, in seconds: the strangers at one account, and whoever
    /// fails or asks for mails in one network. It is a pause between two attempts of all of them: who owns an account and has a new device
    /// waits with the strangers, and may be outrun by them more than once.
    pub shared_delay_max_seconds: u32,
    /// After so many hours without an attempt a ladder is forgotten; one on which nobody ever had to wait, after one hour at most.
    pub forget_hours: u32,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        ThrottleConfig {
            attempts: 10,
            account_attempts: 100,
            address_attempts: 100,
            mails_per_address: 30,
            mails_per_user: 200,
            delay_ms: 1_000,
            delay_max_seconds: 900,
            shared_delay_max_seconds: 60,
            forget_hours: 24,
        }
    }
}

impl ThrottleConfig {
    pub(crate) fn validate(&self, faults: &mut Faults) {
        faults.range("throttle.attempts", self.attempts, 1..=100);
        faults.range("throttle.account_attempts", self.account_attempts, 1..=10_000);
        faults.range("throttle.address_attempts", self.address_attempts, 1..=1_000_000);
        faults.range("throttle.mails_per_address", self.mails_per_address, 1..=1_000_000);
        faults.range("throttle.mails_per_user", self.mails_per_user, 1..=1_000_000);
        faults.range("throttle.delay_ms", self.delay_ms, 1..=60_000);
        faults.range("throttle.delay_max_seconds", self.delay_max_seconds, 1..=86_400);
        faults.range("throttle.shared_delay_max_seconds", self.shared_delay_max_seconds, 1..=3_600);
        faults.range("throttle.forget_hours", self.forget_hours, 1..=720);
        let longest = u64::from(self.delay_max_seconds.max(self.shared_delay_max_seconds));
        faults.require(
            "throttle.forget_hours",
            longest <= u64::from(self.forget_hours) * 3_600,
            "must not be shorter than the longest delay",
        );
    }
}
