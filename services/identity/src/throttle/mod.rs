//! Attempts at what can be guessed: how many are free, and how long the next one waits.
//!
//! Never a state of the account. An attempt climbs a ladder: so many are free, each one after them waits twice as long as the one before, up
//! to a cap, and a day without a failure forgets it all. It is charged before its secret is looked at and given back when the secret was
//! right, so that the count survives whatever becomes of the call, and of many attempts at once no more get through than are free, however
//! many replicas there are (CVE-2026-35597 counted in the transaction that a failure rolls back).
//!
//! Whoever is kept out by others' failures is not the owner: a device that signed in before shows its device token and has a ladder of its
//! own, whatever strangers do. Those share one per account and network, and two with a short cap: one per account, and one per network, which
//! who fails at many accounts meets. A mail is charged to the user who asks for it, and to the network where nobody signed in. Ladders hang on the blind index of what was typed, so that one that is nobody's behaves as any other.
//!
//! Whoever has a /48 of IPv6 has 65,536 networks to fail from. What is counted for a network of strangers is counted for its site too, where
//! [`SITE_NETWORKS`] times as much is free: few enough for whoever goes through their networks, and more than one network alone uses up in hours, so that
//! one subscriber of a provider who gives each a /64 holds up nobody else.
//!
//! Why not in Redis: a sign-in asks Postgres for the credential anyway, and the same statement counts. There is no copy to lose, to lag behind
//! or to disagree, and no second server whose absence would have to fail open or closed.
//!
//! Deliberately absent: how many calls a caller may make in all (shared/rpc), how many hashes there are at a time (`hashing`), and the
//! cool-down between two mails to one address (`user::links`).
//! Mails that are asked for too often are refused and counted (`identity_throttled_total`), and told by no event: nobody failed at anything, and
//! each mail that was asked for before has an event of its own, with where it was asked for from.
//! Source: field note identity, 1.7; OWASP ASVS 5.0, 6.1.1 and 6.6.3; NIST SP 800-63B-4, 3.2.2, for delays that grow. Its other rule, that an
//! authenticator is disabled after 100 failures in a row, is not kept: anybody who knows an address could lock its owner out.

pub mod config;
pub mod convert;
pub mod network;
pub mod ops;
pub mod store;

use std::time::Duration;

use serde::Serialize;

pub use ops::Throttle;

/// How many networks' worth of failures or mails is free for one site. A network that fails alone comes to a wait of a minute long before that.
pub(crate) const SITE_NETWORKS: u32 = 16;

/// What is counted. As in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Scope {
    /// Passwords of one account, tried by a device that signed in to it before.
    Device = 1,
    /// Passwords of one account, tried by strangers from one network.
    Network = 2,
    /// Passwords of one account, tried by strangers.
    Account = 3,
    /// Whatever strangers try from one network and fail at, whosever it is.
    Address = 4,
    /// Mails that one user asks for; or that are asked for from one network or site, by people who did not sign in.
    Mail = 5,
    /// Codes of a second factor, of one user.
    Code = 6,
    /// Passwords that go with one link.
    Link = 7,
    /// Passwords that somebody who signed in gives once more.
    Password = 8,
    /// What [`Scope::Address`] counts, of a whole site.
    Site = 9,
}

impl Scope {
    /// As metrics and logs name it.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Device => "device",
            Scope::Network => "network",
            Scope::Account => "account",
            Scope::Address => "address",
            Scope::Mail => "mail",
            Scope::Code => "code",
            Scope::Link => "link",
            Scope::Password => "password",
            Scope::Site => "site",
        }
    }

    /// Of the number that the table has.
    pub(super) fn of(number: i16) -> Option<Self> {
        use Scope::{Account, Address, Code, Device, Link, Mail, Network, Password, Site};
        [Device, Network, Account, Address, Mail, Code, Link, Password, Site].into_iter().find(|scope| *scope as i16 == number)
    }

    /// Whether people share it who have nothing to do with each other: then its delays stay short.
    fn is_shared(self) -> bool {
        matches!(self, Scope::Account | Scope::Address | Scope::Mail | Scope::Site)
    }

    /// Whether one success clears it. Where strangers and the owner are counted together, a success gives back its own attempt alone: else
    /// whoever guesses would wait for the owner to sign in. Mails that were sent were sent.
    fn resets(self) -> bool {
        matches!(self, Scope::Device | Scope::Network | Scope::Code | Scope::Link | Scope::Password)
    }
}

/// One ladder that an attempt stands on. Serialized as the functions of the migration take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    scope: i16,
    subject: String,
    part: String,
    /// Failures after which the next attempt waits.
    free: i32,
    cap_ms: i64,
    resets: bool,
}

/// An attempt that may be made, and is charged until it is settled: it succeeds, it is given back, or it stays charged as a failure.
#[derive(Clone, Debug)]
#[must_use = "an attempt that nobody settles has failed"]
pub struct Pass {
    pub(crate) keys: Vec<Key>,
    /// What the next attempt meets if this one fails.
    pub(crate) step: Option<Step>,
}

/// A rung of a ladder that an attempt has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which ladder, of those that the attempt stands on the one with the longest delay.
    pub scope: Scope,
    /// Failures in a row, this one with them.
    pub failures: i32,
    /// How long the next attempt waits.
    pub delay: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_scopes_lead_back_to_them() {
        for scope in (1..=9).map(Scope::of) {
            let scope = scope.unwrap();
            assert_eq!(Scope::of(scope as i16), Some(scope));
        }
        assert_eq!((Scope::of(0), Scope::of(10)), (None, None));
    }

    #[test]
    fn what_strangers_and_the_owner_share_is_cleared_by_no_success() {
        assert!([Scope::Account, Scope::Address, Scope::Mail, Scope::Site].iter().all(|scope| !scope.resets()));
    }
}
