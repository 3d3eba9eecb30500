//! Events that a transaction emits: kept in memory, written to the outbox in one statement before COMMIT.

use contract::Event;
use rpc::{Caller, Subject};
use uuid::Uuid;

use crate::Error;

/// The most events of one transaction: two for each of the 5,000 items of an imported plan.
pub const EVENTS_MAX: usize = 10_000;
/// The largest event, in bytes; the outbox's own check says the same.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;
/// The most bytes of all events of one transaction: they wait in memory and go in one message, of which Postgres takes 1 GiB.
pub const EVENTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Column by column, as the statement takes them.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) event_ids: Vec<Uuid>,
    pub(crate) types: Vec<String>,
    pub(crate) aggregates: Vec<&'static str>,
    pub(crate) aggregate_ids: Vec<String>,
    /// Paths hold no blanks, so that they go as one text: an array of arrays would need all of one length.
    pub(crate) redacted_paths: Vec<String>,
    pub(crate) bodies: Vec<Vec<u8>>,
    emitted: usize,
    bytes: usize,
    too_large: Option<Error>,
}

impl Outbox {
    /// Keeps `event` under `event_id`. Beyond the limits nothing is kept and [`Outbox::check`] fails.
    pub(crate) fn push<E: Event>(&mut self, event_id: Uuid, mut event: E) {
        self.emitted += 1;
        let redacted = event.redact();
        let bytes = event.encoded_len();
        if bytes > EVENT_BYTES_MAX {
            self.too_large = Some(Error::EventTooLarge { type_name: E::full_name(), bytes });
        }
        self.bytes += bytes;
        if self.too_large.is_some() || self.emitted > EVENTS_MAX || self.bytes > EVENTS_BYTES_MAX {
            return;
        }
        self.event_ids.push(event_id);
        self.types.push(E::full_name());
        self.aggregates.push(E::AGGREGATE);
        self.aggregate_ids.push(event.key().to_owned());
        self.redacted_paths.push(redacted.join(" "));
        self.bodies.push(event.encode_to_vec());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.event_ids.is_empty()
    }

    /// # Errors
    /// [`Error::EventTooLarge`], [`Error::TooManyEvents`], [`Error::EventsTooLarge`].
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        match self.too_large.take() {
            Some(error) => Err(error),
            None if self.emitted > EVENTS_MAX => Err(Error::TooManyEvents(self.emitted)),
            None if self.bytes > EVENTS_BYTES_MAX => Err(Error::EventsTooLarge(self.bytes)),
            None => Ok(()),
        }
    }
}

/// Who did it, as the envelope tells: the kind and the id.
pub(crate) fn actor(caller: &Caller) -> (&'static str, String) {
    match caller.subject() {
        Subject::User(user) => ("USER", user.to_string()),
        Subject::Service(name) => ("SERVICE", name.to_string()),
        Subject::Anonymous => ("ANONYMOUS", String::new()),
    }
}
