//! Dead letters: parking what a consumer gave up on, and giving it one more try when an operator asks.
//!
//! A replay runs in the consumer itself, from the row: it needs neither the bus nor a stream that still holds the event. The row goes in the
//! transaction that takes the event.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use db::Sealer;
use prost::Message;
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use tokio::time::sleep;
use uuid::Uuid;

use super::{Consumer, Handler};
use crate::sequencer::chain;
use crate::{Envelope, Error, Log, Logged};

/// How often the consumer looks for dead letters to try again.
const LOOK: Duration = Duration::from_secs(1);
/// Dead letters tried in one look.
const REPLAYS: i64 = 32;

/// What an envelope is sealed for; the row's id is bound beside it.
const LABEL: &str = "envelope of a dead letter";

/// A row of `dead_letter`.
#[derive(sqlx::FromRow)]
pub(crate) struct Letter {
    pub(crate) dead_letter_id: Uuid,
    pub(crate) consumer: String,
    /// Sealed: it tells network address and agent.
    pub(crate) envelope: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) cause: String,
    pub(crate) attempts: i32,
    pub(crate) create_time: OffsetDateTime,
}

impl Letter {
    /// The event, with an empty envelope when none could be read.
    pub(crate) fn event(&self, sealer: &Sealer) -> Logged {
        let opened = sealer.open(LABEL, self.dead_letter_id.as_bytes(), &self.envelope).unwrap_or_default();
        Logged { envelope: Envelope::decode(opened.as_slice()).unwrap_or_default(), body: Bytes::copy_from_slice(&self.body) }
    }
}

impl<H: Handler> Consumer<H> {
    pub(super) async fn bury(&self, event: &Logged, stream: &str, stream_sequence: u64, cause: &str, attempts: i32) -> Result<(), Error> {
        let sql = &self.log.sql().bury;
        let dead_letter_id = self.log.ids().next();
        let envelope = self.log.db().sealer().seal(LABEL, dead_letter_id.as_bytes(), &event.envelope.encode_to_vec());
        let bury = async |tx: &mut db::WorkTx| {
            let now = tx.now();
            let query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(dead_letter_id).bind(self.name).bind(event.event_id()).bind(stream);
            let query = query.bind(i64::try_from(stream_sequence).unwrap_or(i64::MAX)).bind(&envelope).bind(&event.body[..]);
            query.bind(cause).bind(attempts).bind(now).bind(event.organization_id()).execute(tx.conn()).await.map_err(db::Error::from)?;
            Ok(())
        };
        self.log.db().work(bury).await
    }

    /// Tries dead letters again that an operator marked.
    pub(super) async fn replay(&self) -> Infallible {
        loop {
            if let Err(error) = self.replay_marked().await {
                tracing::debug!(consumer = self.name, error = chain(&error), "dead letters can't be looked for");
            }
            sleep(LOOK).await;
        }
    }

    async fn replay_marked(&self) -> Result<(), Error> {
        let letters: Vec<Letter> =
            self.log.db().work_read(AssertSqlSafe(self.log.sql().replays.as_str()), |query| query.bind(self.name).bind(REPLAYS)).await?;
        for letter in letters {
            let event = letter.event(self.log.db().sealer());
            let taken = if event.position() > 0 {
                self.attempt(&event).await.map_err(|outcome| outcome.to_string())
            } else {
                Err(letter.cause.clone())
            };
            match taken {
                Ok(_) => tracing::info!(consumer = self.name, dead_letter_id = %letter.dead_letter_id, "a dead letter was taken"),
                Err(cause) => self.replay_failed(letter.dead_letter_id, &cause).await?,
            }
        }
        Ok(())
    }

    async fn replay_failed(&self, dead_letter_id: Uuid, cause: &str) -> Result<(), Error> {
        tracing::warn!(consumer = self.name, %dead_letter_id, cause, "a dead letter was not taken");
        let sql = &self.log.sql().replay_failed;
        let note = async |tx: &mut db::WorkTx| {
            sqlx::query(AssertSqlSafe(sql.as_str())).bind(dead_letter_id).bind(cause).execute(tx.conn()).await.map_err(db::Error::from)?;
            Ok(())
        };
        self.log.db().work(note).await
    }
}

/// A page of dead letters after `(time, id)`, oldest first; of all consumers when `consumer` is empty.
pub(crate) async fn letters(
    log: &Log,
    consumer: &str,
    after: (Option<OffsetDateTime>, Option<Uuid>),
    limit: i64,
) -> Result<Vec<Letter>, Error> {
    let (time, id) = after;
    Ok(log.db().work_read(AssertSqlSafe(log.sql().letters.as_str()), |query| query.bind(consumer).bind(time).bind(id).bind(limit)).await?)
}

/// How many dead letters each consumer has.
pub(crate) async fn counts(log: &Log) -> Result<Vec<(String, i64)>, Error> {
    Ok(log.db().work_read(AssertSqlSafe(log.sql().letter_counts.as_str()), |query| query).await?)
}
