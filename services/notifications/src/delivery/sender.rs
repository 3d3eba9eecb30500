//! Senders: they take what is due into hand, have it sent, and say what became of it.
//!
//! What holds under a kill at any moment: a delivery is in hand by one lease token, written with its attempt before anything is done, and that
//! its message leaves is written before it does ([`hand_over`](super::hand_over)). Whoever dies with it leaves it SENDING; when the lease is over
//! it becomes UNKNOWN if the message may have left, else it is put off, as by an attempt that failed: one that kills its senders comes to an end
//! too. Whoever comes back late finds another token: it hands nothing over, and writes nothing. In the development mailbox mail and outcome are
//! one commit, so there nothing is ever UNKNOWN, and nothing comes twice.
//!
//! Why batches: a transaction costs more than what it says of one mail. Who looks for work takes as much into hand as there are senders with
//! nothing to do; while one writes what became of a mail, what ends meanwhile waits and is written together.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use db::{Db, Tx, WorkTx};
use rand::Rng;
use rpc::Caller;
use runtime::{Ids, OrganizationId, Shutdown, crash_point};
use tokio::time::{Instant, sleep};

use super::hand_over::HandOver;
use super::mailer::{Attempted, Mailer};
use super::poke::Poke;
use super::store::{self, Claimed, Said};
use super::{Delivery, Outcome, State};
use crate::{Config, NAME, events, mailbox};

/// How far a wait is longer or shorter than said, so that what failed together does not come again together.
const JITTER: f64 = 0.2;
/// The waits between two tries to write what became of mails: the first, and the longest, each twice the one before.
const SETTLE_WAIT_MIN: Duration = Duration::from_millis(100);
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(5);

/// What all senders of a process share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender(Arc<Shared>);

struct Shared {
    db: Db,
    ids: Ids,
    mailer: Mailer,
    hand_over: HandOver,
    poke: Poke,
    config: Config,
    /// Senders with nothing to do.
    idle: AtomicUsize,
    /// What is in hand and begun by nobody, for the next of those; held by who looks for work: one at a time.
    next: tokio::sync::Mutex<VecDeque<Claimed>>,
    /// What ended and is not written; and the turn of writing.
    ended: Mutex<Vec<Ended>>,
    settling: tokio::sync::Mutex<()>,
}

/// A delivery in hand whose attempt ended.
struct Ended {
    claimed: Claimed,
    attempted: Attempted,
    /// Before the next attempt, if there is to be one.
    wait: Duration,
}

impl Sender {
    /// Sends by `config` what lies in `db`; `poke` says when there is something new.
    pub(crate) fn new(db: Db, ids: Ids, mailer: Mailer, poke: Poke, config: &Config) -> Self {
        let (config, idle, next) = (config.clone(), AtomicUsize::default(), tokio::sync::Mutex::default());
        let (ended, settling) = (Mutex::default(), tokio::sync::Mutex::default());
        let hand_over = HandOver::new(db.clone());
        Sender(Arc::new(Shared { db, ids, mailer, hand_over, poke, config, idle, next, ended, settling }))
    }

    /// Sends one delivery after the other until `shutdown`. What is in hand then is brought to its end.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        while let Some(claimed) = self.next(&shutdown).await {
            crash_point!("mail_in_hand");
            let attempted = match (claimed.lapsed, claimed.handed_over) {
                (false, _) => self.attempt(&claimed, &shutdown).await,
                (true, false) => Outcome::PutOff.into(),
                (true, true) => Outcome::Unknown.into(),
            };
            crash_point!("mail_ended");
            let wait = self.wait(&claimed.delivery);
            self.settle(Ended { claimed, attempted, wait }).await;
        }
    }

    /// Once the message is on its way the server's answer is waited for as long as a stop allows.
    async fn attempt(&self, claimed: &Claimed, shutdown: &Shutdown) -> Attempted {
        let ready = match self.0.mailer.prepare(&claimed.delivery, shutdown).await {
            Ok(ready) => ready,
            Err(attempted) => return attempted,
        };
        crash_point!("mail_awaited");
        if !self.0.hand_over.allows(claimed).await {
            return Outcome::PutOff.into();
        }
        crash_point!("mail_handed_over");
        ready.hand_over(shutdown).await.into()
    }

    /// A delivery in hand; `None` at the end, when nothing is left in hand that nobody began.
    async fn next(&self, shutdown: &Shutdown) -> Option<Claimed> {
        self.0.idle.fetch_add(1, Ordering::SeqCst);
        let mut next = self.0.next.lock().await;
        while next.is_empty() && !shutdown.is_requested() {
            match self.claim().await {
                Ok(claimed) if !claimed.is_empty() => next.extend(claimed),
                Ok(_) => drop(shutdown.or(self.0.poke.wait(self.0.config.poll())).await),
                Err(error) => {
                    tracing::warn!(%error, "deliveries can't be looked for");
                    shutdown.or(sleep(self.0.config.poll())).await;
                }
            }
        }
        self.0.idle.fetch_sub(1, Ordering::SeqCst);
        next.pop_front()
    }

    /// Takes into hand what is due, as much as there are senders for.
    async fn claim(&self) -> db::Result<Vec<Claimed>> {
        let room = self.0.mailer.room(self.0.idle.load(Ordering::SeqCst));
        if room == 0 || !store::waits(&self.0.db).await? {
            return Ok(Vec::new());
        }
        let (lease_token, lease, at_most) = (self.0.ids.next(), self.0.config.lease(), i64::try_from(room).unwrap_or(i64::MAX));
        self.0.db.work(async |tx: &mut WorkTx| store::claim(tx, lease_token, lease, at_most).await).await
    }

    /// Writes what became of it, with all else that ended by now.
    async fn settle(&self, ended: Ended) {
        self.ended().push(ended);
        let _turn = self.0.settling.lock().await;
        let mut batches: BTreeMap<OrganizationId, Vec<Ended>> = BTreeMap::new();
        let ended = mem::take(&mut *self.ended());
        for ended in ended {
            batches.entry(ended.claimed.delivery.organization_id).or_default().push(ended);
        }
        for (organization_id, batch) in batches {
            self.settle_all(organization_id, batch).await;
        }
    }

    /// Tries until it is written or the leases are over: a mail that was put off must not be taken for one of which nobody knows, and one
    /// that was taken must not be sent again, because the database was away for a moment.
    async fn settle_all(&self, organization_id: OrganizationId, mut batch: Vec<Ended>) {
        let mut wait = SETTLE_WAIT_MIN;
        while !batch.is_empty() {
            match self.write(organization_id, &batch).await {
                Ok(states) => return self.tell(&batch, &states).await,
                Err(error) => {
                    tracing::warn!(%organization_id, count = batch.len(), %error, "what became of deliveries can't be written yet")
                }
            }
            sleep(wait).await;
            wait = (2 * wait).min(SETTLE_WAIT_MAX);
            batch.retain(|ended| {
                let in_hand = Instant::now() < ended.claimed.lease_until;
                if !in_hand {
                    tracing::warn!(delivery_id = %ended.claimed.delivery.delivery_id, "what became of a delivery was never written");
                }
                in_hand
            });
        }
    }

    /// Writes and emits in one transaction; answers where each stands now, `None` for one that is in other hands.
    async fn write(&self, organization_id: OrganizationId, batch: &[Ended]) -> db::Result<Vec<Option<State>>> {
        let caller = Caller::background(NAME, organization_id, None);
        let write = self.0.db.write_unrecorded(&caller, async |tx: &mut Tx| {
            let said: Vec<Said> = batch.iter().map(|ended| ended.said(tx)).collect();
            let settled = store::settle(tx, &said).await?;
            let mut states = Vec::with_capacity(batch.len());
            for (ended, said) in batch.iter().zip(&said) {
                let (before, after) = (&ended.claimed.delivery, &said.after);
                if !settled.contains(&after.delivery_id) {
                    states.push(None);
                    continue;
                }
                if let Attempted::Made(mail) = &ended.attempted {
                    mailbox::store::insert(tx, self.0.ids.next_id(), after, mail).await?;
                }
                match after.state {
                    State::Sent => tx.emit(events::sent(before, after)),
                    State::Dead | State::Unknown => tx.emit(events::failed(before, after)),
                    _ => {}
                }
                states.push(Some(after.state));
            }
            Ok::<_, db::Error>(states)
        });
        write.await
    }

    /// Counts what was written, and keeps the mailbox within its bound.
    async fn tell(&self, batch: &[Ended], states: &[Option<State>]) {
        for (ended, state) in batch.iter().zip(states) {
            let id = ended.claimed.delivery.delivery_id;
            let Some(state) = state else {
                tracing::warn!(delivery_id = %id, "a delivery was in hand for longer than its lease");
                continue;
            };
            metrics::counter!("muster_deliveries_total", "service" => NAME, "state" => state.label()).increment(1);
            if matches!(state, State::Dead | State::Unknown) {
                tracing::warn!(delivery_id = %id, state = state.label(), "a delivery failed");
            }
        }
        if batch.iter().any(|ended| matches!(ended.attempted, Attempted::Made(_))) {
            let kept = self.0.config.mails_kept();
            if let Err(error) = self.0.db.work(async |tx: &mut WorkTx| mailbox::store::forget(tx, kept).await).await {
                tracing::warn!(%error, "the development mailbox holds more mails than it should, until the next one");
            }
        }
    }

    fn wait(&self, delivery: &Delivery) -> Duration {
        let before = delivery.attempt_limit - self.0.config.attempt_max;
        let wait = self.0.config.retry_delay(delivery.attempt_count - before.max(0));
        wait.mul_f64(rand::rng().random_range(1.0 - JITTER..=1.0 + JITTER))
    }

    fn ended(&self) -> std::sync::MutexGuard<'_, Vec<Ended>> {
        self.0.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ended {
    fn said(&self, tx: &Tx) -> Said {
        let before = &self.claimed.delivery;
        let (outcome, smtp_code) = match self.attempted {
            Attempted::Ended(outcome, smtp_code) => (outcome, smtp_code),
            Attempted::Made(_) => (Outcome::Sent, None),
            Attempted::Left => (Outcome::PutOff, None),
        };
        let after = match self.attempted {
            Attempted::Left => before.left(tx.now()),
            _ => before.settled(outcome, self.wait, tx.now()),
        };
        Said { after, lease_token: self.claimed.lease_token, outcome, smtp_code }
    }
}
