//! Estimates of passwords for whoever asks, account or none, beside the queue of hashes.
//!
//! Why apart: anybody may ask, as often as they like. In the queue of hashes each would take the place of a sign-in; here strangers keep strangers
//! waiting, on one thread that rests three times as long as it works, so that hashing has the cores. Estimates whose password is hashed next stay in
//! that queue: their callers were admitted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use metrics::counter;
use runtime::SecretString;
use secrecy::ExposeSecret;
use tokio::sync::oneshot;

use super::Refused;
use crate::password::{Person, Strength, strength};

/// Calls that wait at most: a tenth of a second of them, at a millisecond of work each.
pub(super) const WAITING_MAX: usize = 32;
/// How long the thread rests after an estimate, in times of what that took: a quarter of a core is what all who ask have together.
const REST: u32 = 3;
/// When one that found no place may ask again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The way to the thread, which ends with it.
pub(super) struct Estimates(SyncSender<Asked>);

struct Asked {
    password: SecretString,
    person: Person,
    /// When the caller no longer waits.
    expire: Instant,
    answer: oneshot::Sender<Result<Strength, Refused>>,
}

impl Estimates {
    /// Starts the thread.
    ///
    /// # Errors
    /// It can't be started.
    pub(super) fn start() -> std::io::Result<Self> {
        let (asked, taken) = sync_channel(WAITING_MAX);
        std::thread::Builder::new().name("estimating".to_owned()).spawn(move || work(&taken))?;
        Ok(Estimates(asked))
    }

    /// How good `password` is for `person`.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] when as many wait as may, or `remaining`, the time the call still has, is over before its turn.
    pub(super) async fn strength(&self, password: SecretString, person: Person, remaining: Duration) -> Result<Strength, Refused> {
        let (answer, answered) = oneshot::channel();
        let expire = Instant::now() + remaining;
        self.0.try_send(Asked { password, person, expire, answer }).map_err(|_| overloaded())?;
        answered.await.unwrap_or(Err(Refused::Panicked))
    }
}

/// The life of the thread.
fn work(taken: &Receiver<Asked>) {
    for Asked { password, person, expire, answer } in taken {
        if answer.is_closed() {
            continue;
        }
        let began = Instant::now();
        let estimated = if began > expire {
            Err(overloaded())
        } else {
            catch_unwind(AssertUnwindSafe(|| strength(password.expose_secret(), &person))).map_err(|_| Refused::Panicked)
        };
        // A caller that went away meanwhile needs no answer.
        let _ = answer.send(estimated);
        std::thread::sleep(began.elapsed() * REST);
    }
}

fn overloaded() -> Refused {
    counter!("identity_estimates_refused_total").increment(1);
    Refused::Overloaded { retry_after: RETRY_AFTER }
}
