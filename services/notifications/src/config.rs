//! Settings of the notifications service beside those every service has.

use std::time::Duration;

use lettre::message::Mailbox;
use runtime::config::{Faults, Secret};
use serde::{Deserialize, Serialize};

/// The section `notifications`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The longest time without a message to a watcher, in milliseconds, 10..=15000.
    pub watch_bookmark_ms: u64,
    /// Mails that are sent at a time by one process, 1..=64.
    pub senders: usize,
    /// How often a sender looks for work while there is none, in milliseconds, 10..=60000.
    pub poll_ms: u64,
    /// How long a sender may have a mail in hand, in milliseconds: afterwards another one takes it.
    pub lease_ms: u64,
    /// How often a mail is tried, 1..=100.
    pub attempt_max: i32,
    /// The waits between the tries, in milliseconds, each a fifth more or less; the last one repeats.
    pub retry_delays_ms: Vec<u64>,
    /// Mails that the development mailbox keeps, 1..=100000.
    pub mailbox_max: i64,
    /// Devices that are known of one person: those used last, 1..=1000.
    pub known_devices_per_user: i64,
    /// After how many days without a sign-in a device is known no more, 1..=3650.
    pub known_device_days: u32,
    /// How many days an item stays in an inbox, 90..=3650.
    pub inbox_days: u32,
    /// How many days a delivery that came to its end can be looked at, 90..=3650.
    pub delivery_days: u32,
    /// From whom mails are.
    pub mail_from: String,
    /// What links in mails begin with.
    pub link_base_url: String,
    /// The server that takes mails; without, they go to the development mailbox.
    pub smtp: SmtpConfig,
}

/// An SMTP server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmtpConfig {
    /// Its name; empty for none.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub security: Security,
    /// Whom it knows us as; empty for nobody.
    pub user: String,
    /// What it knows us by.
    pub password: Secret,
    /// Certificates that are trusted beside the public ones, a file in PEM; empty for none.
    pub ca_file: String,
    /// How we greet it.
    pub hello: String,
    /// How long the server may take until it waits for a mail: connection, TLS, credentials and the commands before the message.
    pub timeout_ms: u64,
    /// How long the server may then take to take it. RFC 5321, 4.5.3.2.6 asks for 10 minutes, since who gives up earlier sends it twice.
    pub answer_ms: u64,
    /// How long nothing is sent after the server refused us and not a mail, in milliseconds, 100..=3600000.
    pub refusal_pause_ms: u64,
}

/// How a connection to an SMTP server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Begins in the clear and must become TLS.
    Starttls,
    /// Begins in the clear and becomes TLS where the server offers it: whoever can change what is on the way can prevent that.
    Opportunistic,
    /// TLS from the first byte.
    Tls,
    /// Not at all: for a relay on the same machine.
    None,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            watch_bookmark_ms: 14_000,
            senders: 8,
            poll_ms: 1_000,
            lease_ms: 360_000,
            attempt_max: 10,
            retry_delays_ms: vec![5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000, 10_800_000],
            mailbox_max: 1_000,
            known_devices_per_user: 20,
            known_device_days: 90,
            inbox_days: 365,
            delivery_days: 180,
            mail_from: "Muster <no-reply@muster.example>".to_owned(),
            link_base_url: "http://127.0.0.1:8080".to_owned(),
            smtp: SmtpConfig::default(),
        }
    }
}

impl Default for SmtpConfig {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            security: Security::Starttls,
            user: String::new(),
            password: Secret::default(),
            ca_file: String::new(),
            hello: "localhost".to_owned(),
            timeout_ms: 20_000,
            answer_ms: 300_000,
            refusal_pause_ms: 60_000,
        }
    }
}

impl Config {
    pub(crate) fn watch_bookmark(&self) -> Duration {
        Duration::from_millis(self.watch_bookmark_ms)
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How long a device is known after its last use.
    pub(crate) fn known_device_age(&self) -> Duration {
        days(self.known_device_days)
    }

    /// How long an item stays in an inbox.
    pub(crate) fn inbox_age(&self) -> Duration {
        days(self.inbox_days)
    }

    /// How long a delivery that came to its end stays.
    pub(crate) fn delivery_age(&self) -> Duration {
        days(self.delivery_days)
    }

    /// How many mails the development mailbox keeps: none once there is a server that takes them.
    pub(crate) fn mails_kept(&self) -> i64 {
        if self.smtp.host.is_empty() { self.mailbox_max } else { 0 }
    }

    /// The wait after the try with this number, counted from 1.
    pub(crate) fn retry_delay(&self, attempts: i32) -> Duration {
        let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(0);
        let delay = self.retry_delays_ms.get(index).or(self.retry_delays_ms.last());
        Duration::from_millis(delay.copied().unwrap_or(5_000))
    }
}

fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 24 * 60 * 60)
}

impl host::ServiceConfig for Config {
    const PORT: u16 = 7105;

    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("watch_bookmark_ms", "the longest time without a message to a watcher, 10..=15000"),
            ("senders", "mails that one process sends at a time, 1..=64"),
            ("poll_ms", "how often a sender looks for work while there is none, 10..=60000"),
            ("lease_ms", "how long a sender may have a mail in hand; afterwards another one takes it"),
            ("attempt_max", "how often a mail is tried, 1..=100"),
            ("retry_delays_ms", "waits between the tries, each a fifth more or less; the last one repeats"),
            ("mailbox_max", "mails that the development mailbox keeps, 1..=100000"),
            (
                "known_devices_per_user",
                "devices that are known of one person, those used last, 1..=1000: a sign-in from another one is told",
            ),
            ("known_device_days", "after how many days without a sign-in a device is known no more, 1..=3650"),
            ("inbox_days", "how many days an item stays in an inbox, 90..=3650 and no fewer than events.event_keep_days"),
            (
                "delivery_days",
                "how many days a delivery that came to its end can be looked at, 90..=3650 and no fewer than events.event_keep_days",
            ),
            ("mail_from", "from whom mails are: a name and an address"),
            ("link_base_url", "what links in mails begin with: the address of the web console"),
            ("smtp.host", "the SMTP server; empty sends nothing and keeps mails in the development mailbox"),
            ("smtp.port", "its port: 587 with starttls, 465 with tls as a rule"),
            (
                "smtp.security",
                "starttls, tls, opportunistic (starttls where the server offers it), or none for a relay on the same machine",
            ),
            ("smtp.user", "whom the server knows us as, said over TLS alone (starttls, tls); empty for nobody"),
            ("smtp.password", "what the server knows us by"),
            ("smtp.ca_file", "certificates that are trusted beside the public ones, in PEM; empty for none"),
            ("smtp.hello", "how we greet the server: our own name"),
            ("smtp.timeout_ms", "how long the server may take until it waits for a mail, 100..=60000"),
            ("smtp.answer_ms", "how long it may then take to take the mail, 100..=600000: a shorter wait sends mails twice"),
            (
                "smtp.refusal_pause_ms",
                "how long nothing is sent after the server refused us and not a mail (credentials, TLS), 100..=3600000",
            ),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("watch_bookmark_ms", self.watch_bookmark_ms, 10..=15_000);
        faults.range("senders", self.senders, 1..=64);
        faults.range("poll_ms", self.poll_ms, 10..=60_000);
        faults.range("attempt_max", self.attempt_max, 1..=100);
        faults.require("retry_delays_ms", !self.retry_delays_ms.is_empty(), "must list at least one wait");
        faults.range("mailbox_max", self.mailbox_max, 1..=100_000);
        faults.range("known_devices_per_user", self.known_devices_per_user, 1..=1_000);
        faults.range("known_device_days", self.known_device_days, 1..=3_650);
        // Not less than events live in a log: what may come again must find that it was told. The suite holds them against `events.event_keep_days`.
        faults.range("inbox_days", self.inbox_days, 90..=3_650);
        faults.range("delivery_days", self.delivery_days, 90..=3_650);
        let from = self.mail_from.parse::<Mailbox>();
        let sendable = from.is_ok_and(|from| AsRef::<str>::as_ref(&from.email).is_ascii());
        faults.require("mail_from", sendable, "must be an address in ASCII, with a name before it or not");
        let url = &self.link_base_url;
        faults.require("link_base_url", url.starts_with("https://") || url.starts_with("http://"), "must begin with http:// or https://");
        faults.require("link_base_url", !url.chars().any(|c| c.is_whitespace() || c.is_control()), "must hold no blanks");
        faults.range("smtp.timeout_ms", self.smtp.timeout_ms, 100..=60_000);
        faults.range("smtp.answer_ms", self.smtp.answer_ms, 100..=600_000);
        faults.range("smtp.refusal_pause_ms", self.smtp.refusal_pause_ms, 100..=3_600_000);
        let in_the_clear = matches!(self.smtp.security, Security::None | Security::Opportunistic);
        faults.require(
            "smtp.user",
            self.smtp.user.is_empty() || !in_the_clear,
            "is said over TLS alone: smtp.security must be starttls or tls",
        );
        faults.not_empty("smtp.hello", &self.smtp.hello);
        // Asking for the address takes five seconds at most, the server twice its time.
        let longest = self.smtp.timeout_ms + self.smtp.answer_ms + 10_000;
        faults.require("lease_ms", self.lease_ms >= longest, format!("must be {longest} or more, by smtp.timeout_ms and smtp.answer_ms"));
    }
}

#[cfg(test)]
mod tests {
    use host::ServiceConfig;

    use super::*;

    fn faults(config: &Config) -> bool {
        let mut faults = Faults::default();
        config.validate(&mut faults);
        !faults.is_empty()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert!(!faults(&Config::default()));
    }

    #[test]
    fn a_lease_shorter_than_a_dialog_and_a_link_that_is_none_are_refused() {
        assert!(faults(&Config { lease_ms: 329_999, ..Config::default() }));
        for link_base_url in ["", "javascript:alert(1)", "https://muster.example/\r\nx"] {
            assert!(faults(&Config { link_base_url: link_base_url.to_owned(), ..Config::default() }), "{link_base_url}");
        }
        for mail_from in ["nobody", "nobödy@muster.example"] {
            assert!(faults(&Config { mail_from: mail_from.to_owned(), ..Config::default() }), "{mail_from}");
        }
    }

    #[test]
    fn credentials_go_over_tls_alone() {
        let with = |security| {
            let smtp = SmtpConfig { user: "muster".to_owned(), security, ..SmtpConfig::default() };
            faults(&Config { smtp, ..Config::default() })
        };
        let refused = [Security::Starttls, Security::Tls, Security::Opportunistic, Security::None].map(with);
        assert_eq!(refused, [false, false, true, true]);
        let smtp = SmtpConfig { password: "hunter2".into(), ..SmtpConfig::default() };
        assert!(!format!("{smtp:?}").contains("hunter2"), "what is logged of the settings does not hold it");
    }
}
