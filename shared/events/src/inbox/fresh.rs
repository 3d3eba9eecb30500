//! Until when a consumer had taken everything that its sources told, and whose events it could not take.
//!
//! A projection that decides something must know how old it is. The replica that pulls notes in `inbox_freshness` when it had nothing more to
//! take; every replica reads that once a second and so knows what it may claim of its tables and of its log ([`Freshness::at`]). Where nothing
//! is noted, for whatever reason (the bus is away, the consumer is paused, this process is cut off), claims grow old by themselves.
//!
//! An event that is tried again, or became a dead letter, stops no claim: its organization is named as blocked instead, so that one event that
//! can't be read costs one organization its decisions and not all of them.
//!
//! Deliberately absent: whether the source has put on the bus all that it committed; `muster_outbox_oldest_age_seconds` and
//! `muster_event_unpublished` of the source say that.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use runtime::OrganizationId;
use sqlx::AssertSqlSafe;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Consumer, Handler};
use crate::sequencer::chain;
use crate::{Error, Log};

/// How often it is noted at most, and how often it is read.
const PERIOD: Duration = Duration::from_secs(1);
/// More blocked organizations than this count as all of them.
const BLOCKED_MAX: usize = 1_000;

/// What a consumer's service may claim of what it tells others. Made by [`Inbox::freshness`](super::Inbox::freshness); known in every replica.
#[derive(Clone, Debug)]
pub struct Freshness(watch::Receiver<Option<Vouched>>);

/// How old a state is, at most, and what of it is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Everything that the sources had put on the bus until then is taken, but for `blocked`.
    pub until: Instant,
    /// Organizations of which an event waits for another try or is a dead letter; the nil id stands for all.
    pub blocked: BTreeSet<OrganizationId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Vouched {
    claim: Claim,
    /// Our log holds every effect of what was taken until then up to here.
    position: i64,
}

impl Default for Freshness {
    /// Claims nothing, ever.
    fn default() -> Self {
        Self(watch::channel(None).1)
    }
}

impl Freshness {
    /// What may be claimed of a state that our log made up to `position`; of our tables, which are ahead of the log, with `i64::MAX`. `None`:
    /// nothing, so whatever was claimed before grows old.
    pub fn at(&self, position: i64) -> Option<Claim> {
        self.0.borrow().as_ref().filter(|vouched| vouched.position <= position).map(|vouched| vouched.claim.clone())
    }
}

/// Reads in every replica what the one that pulls has noted.
pub(super) struct Reader {
    told: watch::Sender<Option<Vouched>>,
    ledger: Ledger,
}

impl Reader {
    pub(super) fn new() -> (Self, Freshness) {
        let (told, freshness) = watch::channel(None);
        (Self { told, ledger: Ledger::default() }, Freshness(freshness))
    }

    /// Reads for ever. While Postgres does not answer, claims grow old.
    pub(super) async fn run(mut self, log: &Log, consumer: &str, sources: &[&str]) -> Infallible {
        loop {
            match look(log, consumer, sources).await {
                Ok(seen) => {
                    if let Some(vouched) = self.ledger.saw(seen) {
                        let age = vouched.claim.until.elapsed().as_secs_f64();
                        metrics::gauge!("muster_inbox_freshness_age_seconds", "service" => log.service(), "consumer" => consumer.to_owned())
                            .set(age);
                        metrics::gauge!("muster_inbox_blocked_organizations", "service" => log.service(), "consumer" => consumer.to_owned())
                            .set(vouched.claim.blocked.len() as f64);
                        self.told.send_replace(Some(vouched));
                    }
                }
                Err(error) => tracing::debug!(service = log.service(), consumer, error = chain(&error), "freshness can't be read"),
            }
            sleep(PERIOD).await;
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    age_ms: Option<i64>,
    head: i64,
    oldest: Option<i64>,
    newest: Option<i64>,
    blocked: Vec<OrganizationId>,
}

async fn look(log: &Log, consumer: &str, sources: &[&str]) -> Result<Seen, Error> {
    let asked = Instant::now();
    let limit = i64::try_from(BLOCKED_MAX + 1).unwrap_or(i64::MAX);
    let row: Row =
        log.db().work_read_one(AssertSqlSafe(log.sql().freshness.as_str()), |query| query.bind(consumer).bind(sources).bind(limit)).await?;
    let age = |age_ms: i64| Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
    let until = row.age_ms.and_then(|age_ms| asked.checked_sub(age(age_ms)));
    let too_many = row.blocked.len() > BLOCKED_MAX;
    let blocked = if too_many { BTreeSet::from([OrganizationId::SYSTEM]) } else { row.blocked.into_iter().collect() };
    Ok(Seen { until, head: row.head, outbox: row.oldest.zip(row.newest), blocked })
}

/// One look.
struct Seen {
    until: Option<Instant>,
    /// The newest position of our log.
    head: i64,
    /// The first and the last number in the outbox, of what is committed and has no position yet.
    outbox: Option<(i64, i64)>,
    blocked: BTreeSet<OrganizationId>,
}

/// Joins "taken until then" with "in the log up to there": what one look found in the outbox has its position once a look finds nothing as old
/// there. What commits later with a lower number is younger than the claim.
#[derive(Default)]
struct Ledger {
    /// What may be claimed once the outbox holds nothing up to this number.
    waiting: Option<(Claim, i64)>,
    vouched: Option<Vouched>,
}

impl Ledger {
    fn saw(&mut self, seen: Seen) -> Option<Vouched> {
        let claim = seen.until.map(|until| Claim { until, blocked: seen.blocked.clone() });
        let newest = seen.outbox.map_or(0, |(_, newest)| newest);
        let waiting = self.waiting.take().or_else(|| claim.clone().map(|claim| (claim, newest)));
        if let Some((waited, until)) = waiting {
            if seen.outbox.is_none_or(|(oldest, _)| oldest > until) {
                self.vouched = Some(Vouched { claim: waited, position: seen.head });
                self.waiting = claim.filter(|_| newest > 0).map(|claim| (claim, newest));
            } else {
                self.waiting = Some((waited, until));
            }
        }
        let vouched = self.vouched.as_mut()?;
        // Blocked at once, and free again only with the effect.
        vouched.claim.blocked.extend(seen.blocked);
        Some(vouched.clone())
    }
}

/// What was on the bus when a pull began and is not taken yet.
#[derive(Debug, Default)]
pub(super) struct Backlog(Option<(u64, Instant)>);

impl Backlog {
    /// Notes that a pull which began at `asked` brought `new` messages, and that `behind` were behind them. Returns until when everything is
    /// taken, when that is news.
    pub(super) fn took(&mut self, asked: Instant, new: u64, behind: u64) -> Option<Instant> {
        if behind == 0 {
            self.0 = None;
            return Some(asked);
        }
        match &mut self.0 {
            Some((left, _)) if *left > new => {
                *left -= new;
                None
            }
            held => held.replace((behind, asked)).map(|(_, until)| until),
        }
    }
}

impl<H: Handler> Consumer<H> {
    /// Notes that everything that was on the bus at `until` is taken, put off or parked. A note that fails costs freshness alone.
    pub(super) async fn caught_up(&self, source: &'static str, until: Instant) {
        let now = Instant::now();
        let due = |last: &Instant| now.duration_since(*last) >= PERIOD;
        if !self.notes_freshness || !self.noted().get(source).is_none_or(due) {
            return;
        }
        let age_ms = i64::try_from(until.elapsed().as_millis()).unwrap_or(i64::MAX);
        let sql = &self.log.sql().caught_up;
        let note = async |tx: &mut db::WorkTx| {
            let query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(self.name).bind(source).bind(age_ms);
            query.execute(tx.conn()).await.map_err(db::Error::from)?;
            Ok::<_, Error>(())
        };
        match self.log.db().work(note).await {
            Ok(()) => drop(self.noted().insert(source, now)),
            Err(error) => {
                tracing::debug!(
                    service = self.log.service(),
                    consumer = self.name,
                    source,
                    error = chain(&error),
                    "freshness can't be noted"
                );
            }
        }
    }

    fn noted(&self) -> MutexGuard<'_, HashMap<&'static str, Instant>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn seen(until: Instant, head: i64, outbox: Option<(i64, i64)>, blocked: &[u128]) -> Seen {
        let blocked = blocked.iter().map(|id| uuid::Uuid::from_u128(*id).into()).collect();
        Seen { until: Some(until), head, outbox, blocked }
    }

    #[test]
    fn a_claim_waits_until_the_log_holds_what_was_in_the_outbox() {
        let (start, mut ledger) = (Instant::now(), Ledger::default());
        let told = |vouched: Option<Vouched>| vouched.map(|vouched| (vouched.claim.until, vouched.position));
        assert_eq!(told(ledger.saw(seen(start, 4, Some((7, 9)), &[]))), None, "7, 8 and 9 have no position yet");
        assert_eq!(told(ledger.saw(seen(after(start, 1), 6, Some((9, 12)), &[]))), None, "9 has none");
        assert_eq!(told(ledger.saw(seen(after(start, 2), 8, Some((11, 15)), &[]))), Some((start, 8)));
        assert_eq!(told(ledger.saw(seen(after(start, 3), 9, None, &[]))), Some((after(start, 2), 9)));
        assert_eq!(told(ledger.saw(seen(after(start, 4), 9, None, &[]))), Some((after(start, 4), 9)));
    }

    #[test]
    fn an_organization_is_blocked_at_once_and_free_with_the_effect() {
        let (start, mut ledger) = (Instant::now(), Ledger::default());
        let blocked = |vouched: Option<Vouched>| vouched.unwrap().claim.blocked.len();
        assert_eq!(blocked(ledger.saw(seen(start, 4, None, &[]))), 0);
        assert_eq!(blocked(ledger.saw(seen(start, 4, Some((5, 5)), &[1]))), 1);
        assert_eq!(blocked(ledger.saw(seen(start, 4, Some((5, 6)), &[]))), 1, "the effect is in the outbox");
        assert_eq!(blocked(ledger.saw(seen(start, 5, Some((6, 6)), &[]))), 1, "the claim of the moment when it was blocked");
        assert_eq!(blocked(ledger.saw(seen(start, 6, None, &[]))), 0);
    }

    #[test]
    fn without_a_note_nothing_is_claimed_and_one_from_before_grows_old() {
        let (start, mut ledger) = (Instant::now(), Ledger::default());
        let nothing = || Seen { until: None, head: 4, outbox: None, blocked: BTreeSet::new() };
        assert_eq!(ledger.saw(nothing()), None);
        ledger.saw(seen(start, 4, None, &[]));
        assert_eq!(ledger.saw(nothing()).unwrap().claim.until, start);
    }

    #[test]
    fn under_constant_load_a_backlog_is_taken_until_the_moment_it_was_counted() {
        let (start, mut backlog) = (Instant::now(), Backlog::default());
        assert_eq!(backlog.took(start, 32, 40), None);
        assert_eq!(backlog.took(after(start, 1), 32, 60), None, "8 of the 40 are left");
        assert_eq!(backlog.took(after(start, 2), 32, 70), Some(start));
        assert_eq!(backlog.took(after(start, 3), 32, 0), Some(after(start, 3)), "nothing is behind");
    }
}
