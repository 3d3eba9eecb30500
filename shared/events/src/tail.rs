//! Reading the log by position, from anywhere, for as long as one likes: what every Watch RPC stands on.
//!
//! One sequencer gives positions in the order of commits, so a tail that has read up to a position has missed nothing below it. At the end of
//! the log all tails of a process share one reader (`recent`); one that is behind catches up with reads of its own, by windows of positions,
//! so that a filter that matches little can't walk the whole log in one statement.
//!
//! Deliberately absent: who may see an event. The Watch RPC asks the authorizer for each one; the filter here only saves reading.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use runtime::OrganizationId;
use sqlx::AssertSqlSafe;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::envelope::Row;
use crate::recent::Found;
use crate::{Error, Log, Logged};

/// Positions that one statement looks at.
const WINDOW: i64 = 4_096;
/// Events that one statement brings: at most 16 MiB of bodies.
const PAGE: i64 = 64;

/// How long ago the database may have been asked last when a bookmark says that nothing happened: what a watcher knows is no older than this and
/// its own silence together, and a replica which is cut off from its database is left for another one. Where nothing else asks as often, it
/// costs a statement each second in which somebody watches, for all who do.
const UNSEEN_MAX: Duration = Duration::from_secs(1);

/// Which events a tail yields. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    organization_id: Option<OrganizationId>,
    types: Option<Vec<String>>,
}

impl Filter {
    /// Every event of the service, of every organization.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only events of one organization.
    #[must_use]
    pub fn of_organization(mut self, organization_id: OrganizationId) -> Self {
        self.organization_id = Some(organization_id);
        self
    }

    fn passes(&self, event: &Logged) -> bool {
        let Filter { organization_id, types } = self;
        organization_id.is_none_or(|organization_id| event.organization_id() == organization_id)
            && types.as_ref().is_none_or(|types| types.contains(&event.envelope.r#type))
    }

    /// Also events of the type `E`; without any call of this, those of all types.
    #[must_use]
    pub fn of_type<E: contract::Event>(mut self) -> Self {
        self.types.get_or_insert_default().push(E::full_name());
        self
    }
}

/// One step along the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Where the tail stood before.
    pub previous_position: i64,
    /// Where it stands now: what to resume from. Equal to the one before in a heartbeat.
    pub position: i64,
    /// The event at `position`; `None` in a bookmark, which says that nothing up to `position` passes the filter.
    pub event: Option<Logged>,
}

/// A reader of the log. It yields a bookmark at least every `bookmark_ms`.
pub struct Tail {
    log: Log,
    filter: Filter,
    head: watch::Receiver<i64>,
    /// What the reader was told.
    position: i64,
    /// What was read from the database.
    scanned: i64,
    ready: VecDeque<Arc<Logged>>,
    bookmark_due: Instant,
    _place: OwnedSemaphorePermit,
}

#[derive(sqlx::FromRow)]
struct Tailed {
    #[sqlx(flatten)]
    row: Row,
    oldest: Option<i64>,
}

impl Tail {
    pub(crate) async fn open(log: Log, from: Option<i64>, filter: Filter) -> Result<Self, Error> {
        let place = log.recent().admit()?;
        let receiver = log.head();
        let (head, oldest) = ends(&log).await?;
        log.reached(head);
        let position = from.unwrap_or(head);
        if position > head || reaches(oldest, head) > position {
            return Err(Error::ResumeTokenExpired);
        }
        let bookmark_due = Instant::now() + log.config().bookmark();
        Ok(Self { log, filter, head: receiver, position, scanned: position, ready: VecDeque::new(), bookmark_due, _place: place })
    }

    /// Where the reader stands: everything up to here was yielded or left out by the filter.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Waits for the next event or bookmark. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// `RESUME_TOKEN_EXPIRED` when retention overtook the reader; those of Postgres. Open a new tail from [`position`](Self::position).
    pub async fn next(&mut self) -> Result<Item, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(self.step(event.position(), Some(Arc::unwrap_or_clone(event))));
            }
            if self.scanned > self.position {
                return Ok(self.step(self.scanned, None));
            }
            let head = *self.head.borrow_and_update();
            if head > self.scanned {
                match self.log.recent().after(&self.log, self.scanned).await? {
                    Found::Events(events, end) => {
                        self.ready.extend(events.into_iter().filter(|event| self.filter.passes(event)));
                        self.scanned = end;
                    }
                    Found::Behind => self.read(head.min(self.scanned + WINDOW)).await?,
                }
                continue;
            }
            tokio::select! {
                _ = self.head.changed() => {}
                () = sleep_until(self.bookmark_due) => {
                    if self.log.unseen() > UNSEEN_MAX {
                        // A bookmark says that nothing happened, and that is not known. One asks for all, and fails with what is wrong.
                        let _turn = self.log.recent().turn().await;
                        if self.log.unseen() > UNSEEN_MAX {
                            self.log.reached(ends(&self.log).await?.0);
                        }
                        continue;
                    }
                    return Ok(self.step(self.position, None));
                }
            }
        }
    }

    /// The tail as a stream that ends after its first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Item, Error>> + Send + 'static {
        futures::stream::unfold(Some(self), async |tail| {
            let mut tail = tail?;
            match tail.next().await {
                Ok(item) => Some((Ok(item), Some(tail))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    fn step(&mut self, position: i64, event: Option<Logged>) -> Item {
        self.bookmark_due = Instant::now() + self.log.config().bookmark();
        let previous_position = std::mem::replace(&mut self.position, position);
        Item { previous_position, position, event }
    }

    /// Reads the positions after `scanned` up to `end`, or as many as make a page.
    async fn read(&mut self, end: i64) -> Result<(), Error> {
        let _turn = self.log.recent().catch_up().await;
        metrics::counter!("muster_event_tail_reads_total", "service" => self.log.service(), "kind" => "catch_up").increment(1);
        let rows = self.window(end).await?;
        let oldest = match rows.first() {
            Some(first) => first.oldest,
            None => ends(&self.log).await?.1,
        };
        if reaches(oldest, end) > self.scanned {
            return Err(Error::ResumeTokenExpired);
        }
        let full = i64::try_from(rows.len()).unwrap_or(PAGE) == PAGE;
        self.ready.extend(rows.into_iter().map(|row| Arc::new(row.row.into_logged(self.log.service(), self.log.db().sealer()))));
        self.scanned = self.ready.back().filter(|_| full).map_or(end, |event| event.position());
        Ok(())
    }

    async fn window(&self, end: i64) -> Result<Vec<Tailed>, Error> {
        let organization = self.filter.organization_id.map(Uuid::from);
        let rows = self.log.db().work_read(AssertSqlSafe(self.log.sql().tail.as_str()), |query| {
            query.bind(self.scanned).bind(end).bind(organization).bind(&self.filter.types).bind(PAGE)
        });
        Ok(rows.await?)
    }
}

/// The newest and the oldest position of the log.
async fn ends(log: &Log) -> Result<(i64, Option<i64>), Error> {
    Ok(log.db().work_read_one(AssertSqlSafe(log.sql().oldest.as_str()), |query| query).await?)
}

/// The lowest position from which nothing is missing: the one before the oldest, or the head of a log that holds nothing any more.
fn reaches(oldest: Option<i64>, head: i64) -> i64 {
    oldest.map_or(head, |oldest| oldest - 1)
}
