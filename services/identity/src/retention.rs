//! Deletes what no longer matters: revocations that no token outlives, sessions that ended long ago, challenges that nobody answered, factors that
//! nobody confirmed, registrations whose address nobody proved, invitations whose time was over long ago, changes of
//! addresses, what was asked for in the name of an address, ladders of attempts that nobody climbed for long, former passwords beyond the number
//! that is set.
//!
//! Deliberately absent: events and answers to requests, which shared/events and shared/db forget for every service.

use std::time::Duration;

use db::{Db, WorkTx};
use runtime::Shutdown;

use crate::email_change::store as email_changes;
use crate::error::Error;
use crate::factor::store as factors;
use crate::invitation::store as invitations;
use crate::revocation::store as revocations;
use crate::session::store as sessions;
use crate::throttle::store as throttles;
use crate::user::credential::store as credentials;
use crate::user::links::COOLDOWN_SECONDS_MAX;
use crate::user::store as users;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(60);
/// Rows of each kind that one transaction deletes.
const BATCH: i64 = 1_000;
/// Sessions are kept so long after their end: their events name them.
const SESSION_KEPT: time::Duration = time::Duration::days(30);

/// Invitations are kept so long after their time is over: who was invited is told to admins, and an address is personal.
const INVITATION_KEPT: time::Duration = time::Duration::days(30);
/// Changes of addresses are kept so long after they were asked for: a day to prove the address, and a week in which the mail to the former one
/// can still be made. One that is sent again by hand later has nowhere to go.
const EMAIL_CHANGE_KEPT: time::Duration = time::Duration::days(8);
/// What was asked for is remembered as long as any cool-down lasts.
const MAIL_REQUEST_KEPT: time::Duration = time::Duration::seconds(COOLDOWN_SECONDS_MAX as i64);

/// Former passwords are looked through once in so many rounds, a day, and in the first one. That reads an index of all of them, and a change of a
/// password forgets that person's itself: what is left is of a setting that was lowered, by a restart.
const HISTORIES_EVERY: u64 = 24 * 60;

/// What is forgotten, and when.
pub struct Retention {
    /// The service's tables.
    pub db: Db,
    /// How long a registration waits for its address to be proved.
    pub pending_kept: time::Duration,
    /// How many of a person's last passwords are looked at; the one in force is the first of them.
    pub password_history: i64,
}

impl Retention {
    /// Runs until shutdown, a round a minute; a round goes on while there is a full batch.
    pub async fn run(self, shutdown: Shutdown) {
        for number in 0_u64.. {
            if shutdown.or(tokio::time::sleep(EVERY)).await.is_none() {
                return;
            }
            loop {
                match self.round(number % HISTORIES_EVERY == 0).await {
                    Ok(deleted) if deleted < BATCH as u64 || shutdown.is_requested() => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "what no longer matters could not be deleted; next try in a minute"
                        );
                        break;
                    }
                }
            }
        }
    }

    /// One batch of each kind, former passwords with them if `histories` says so; says how many rows of the largest one.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    pub async fn round(&self, histories: bool) -> Result<u64, Error> {
        let former_kept = (self.password_history - 1).max(0);
        self.db
            .work(async |tx: &mut WorkTx| {
                let now = tx.now();
                let former = if histories { credentials::prune_hashes(tx, former_kept, BATCH).await? } else { 0 };
                let pruned = [
                    ("password_history", former),
                    ("revocation", revocations::prune(tx, now, BATCH).await?),
                    ("session", sessions::prune(tx, now - SESSION_KEPT, BATCH).await?),
                    ("challenge", sessions::prune_challenged(tx, now, BATCH).await?),
                    ("factor", factors::prune(tx, now, BATCH).await?),
                    ("invitation", invitations::prune(tx, now - INVITATION_KEPT, BATCH).await?),
                    ("email_change", email_changes::prune(tx, now - EMAIL_CHANGE_KEPT, BATCH).await?),
                    ("mail_request", users::prune_mail_requests(tx, now - MAIL_REQUEST_KEPT, BATCH).await?),
                    ("auth_throttle", throttles::prune(tx, now, BATCH).await?),
                    ("user_account", users::prune_pending(tx, now - self.pending_kept, BATCH).await?),
                ];
                for (table, rows) in pruned {
                    metrics::counter!("identity_pruned_total", "table" => table).increment(rows);
                }
                Ok(pruned.map(|(_, rows)| rows).into_iter().max().unwrap_or(0))
            })
            .await
    }
}
