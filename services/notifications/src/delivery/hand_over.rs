//! The word that a mail may leave: written before its message does, so that whoever finds it after a kill knows what can't be known.
//!
//! It is written under the lease token: a sender whose lease ran out is told here that the mail is another's. What lapses without it never left.
//! A mail for the development mailbox needs none: there mail and outcome are one commit.
//!
//! Why a room of its own: a transaction for each mail would cost as much as its outcome. While one is written, what wants to leave meanwhile
//! waits and goes with the next one.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use db::{Db, WorkTx};
use tokio::sync::oneshot;

use super::store::{self, Claimed};

/// Mails of a process that are about to leave.
pub(crate) struct HandOver {
    db: Db,
    waiting: Mutex<Vec<Waiting>>,
    /// The turn of writing.
    writing: tokio::sync::Mutex<()>,
}

/// A mail whose server waits for it, and who asks whether it may leave.
struct Waiting {
    claimed: Claimed,
    allow: oneshot::Sender<bool>,
}

impl HandOver {
    /// Written into `db`.
    pub(crate) fn new(db: Db) -> Self {
        HandOver { db, waiting: Mutex::default(), writing: tokio::sync::Mutex::default() }
    }

    /// Whether `claimed` may leave: its lease holds, and it is written that it left. While that can't be written, nothing does.
    pub(crate) async fn allows(&self, claimed: &Claimed) -> bool {
        let (allow, allowed) = oneshot::channel();
        self.waiting().push(Waiting { claimed: claimed.clone(), allow });
        let turn = self.writing.lock().await;
        let batch = mem::take(&mut *self.waiting());
        if !batch.is_empty() {
            self.write(batch).await;
        }
        drop(turn);
        allowed.await.unwrap_or(false)
    }

    async fn write(&self, batch: Vec<Waiting>) {
        let claimed: Vec<&Claimed> = batch.iter().map(|waiting| &waiting.claimed).collect();
        let written = self.db.work(async |tx: &mut WorkTx| store::hand_over(tx, &claimed).await).await;
        let allowed = written.unwrap_or_else(|error: db::Error| {
            tracing::warn!(count = batch.len(), %error, "mails are put off: that they leave can't be written");
            Vec::new()
        });
        for Waiting { claimed, allow } in batch {
            // Nobody listens when the sender was dropped, and then nothing leaves either.
            let _ = allow.send(allowed.contains(&claimed.delivery.delivery_id));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
