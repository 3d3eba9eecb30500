//! Password hashing as a bounded resource: argon2id on threads of its own, admitted by the call's deadline. Hashes of other systems are checked
//! there too, as dear as they are, and made argon2id when their owner signs in. Estimates for whoever asks stand apart (`estimates`).
//!
//! Why threads and not the runtime's blocking pool: a hash takes 19 MiB and a whole core, so there may never be more at a time than cores,
//! and their memory is taken once. Their priority is everybody's: the kernel lets a thread that wakes for a call go before one that computes all the
//! time. A lower one helped nobody, and where cores are shared out by group (cgroups, autogroup) it kept the database's processes waiting, for up to
//! 170 ms: to a group that holds little but such threads the kernel gives so little weight that it misjudges what others are due.
//!
//! Who is unknown pays the same: without a stored hash the password is verified against a decoy of the cost that is set now, through the same
//! queue, for the same time. A hash of another cost or system takes its own time until its owner signs in once.
//!
//! A pepper is mixed into each password before it is hashed (HMAC-SHA-256 under a key that no database holds), by the id that is set; hashes
//! made under another id, or none, stay good and are made anew when their owner signs in.
//! Deliberately absent: the rules a password must meet (`password`), and throttling by account or address.
//! Source of the cost: OWASP Password Storage (argon2id, m = 19 MiB, t = 2, p = 1).

mod admission;
mod argon;
mod estimates;
pub mod pepper;
mod place;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use runtime::SecretString;
use secrecy::{ExposeSecret, SecretBox};
use tokio::sync::oneshot;

use argon::Arena;
pub use argon::{Cost, Unreadable};
use estimates::Estimates;
pub use pepper::Pepper;
pub use place::Place;
use place::Places;
use stored::{Stored, peppered};

use crate::password::{Person, Strength, strength};

/// A thread without work for so long gives its memory back.
const IDLE: Duration = Duration::from_secs(60);

/// The hashing threads and their queue. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct Hashing(Arc<Owner>);

/// Why a password was not hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue is longer than the call's time.
    #[error("too many sign-ins at once")]
    Overloaded {
        /// When the same call would fit.
        retry_after: Duration,
    },
    /// The stored hash can't be read, or the system has no randomness.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Hashing this password panicked; the thread goes on with the next one.
    #[error("hashing panicked")]
    Panicked,
}

/// Closes the queue when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
    cost: Cost,
    pepper: Pepper,
    decoy: String,
    estimates: Estimates,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Held by whoever looks at a hash that takes more memory than ours: two at a time could take all that the process may have.
    large: Mutex<()>,
    arrived: Condvar,
    places: Arc<Places>,
    /// How long a thread without work keeps its memory.
    idle: Duration,
    cost: Cost,
    done: AtomicU64,
}

struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// What a thread does next.
enum Next {
    Job(Job),
    /// Nothing came for a while.
    Idle,
    Closed,
}

struct Job {
    work: Work,
    /// With the pepper in it, where one is.
    password: SecretBox<[u8]>,
    place: Place,
    /// When the caller no longer waits.
    expire: Instant,
    answer: oneshot::Sender<Result<Answer, Refused>>,
}

enum Work {
    Hash(Cost),
    Verify(Stored),
    Estimate(Person),
    #[cfg(test)]
    Panic,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Hashed(String),
    Verified(bool),
    Estimated(Strength),
}

impl Hashing {
    /// Starts `threads` threads, at least one, and measures how long a hash takes here. At most `ahead_max` calls wait or are hashed.
    /// Blocks for one hash.
    ///
    /// # Errors
    /// A thread can't be started, or argon2 does not take `cost`.
    pub fn start(cost: Cost, threads: usize, ahead_max: usize, pepper: Pepper) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let started = Instant::now();
        let decoy = Arena::of(cost).hash(cost, b"nobody has this password").map_err(std::io::Error::other)?;
        let hash_time = started.elapsed();
        for (parameter, value) in [("memory_kib", cost.memory_kib), ("passes", cost.passes), ("lanes", cost.lanes)] {
            gauge!("identity_hash_parameter", "parameter" => parameter).set(f64::from(value));
        }
        gauge!("identity_hash_threads").set(threads as f64);
        let shared = Arc::new(Shared::new(threads, ahead_max, cost, hash_time));
        let estimates = Estimates::start()?;
        let owner = Owner { shared: shared.clone(), cost, decoy: peppered(pepper.id(), decoy), pepper, estimates };
        for number in 0..threads {
            let shared = shared.clone();
            std::thread::Builder::new().name(format!("hashing-{number}")).spawn(move || shared.work())?;
        }
        Ok(Hashing(Arc::new(owner)))
    }

    /// Hashes `password` with a new salt, as a PHC string. `remaining` is the time the call still has.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] at once when that time does not suffice.
    pub async fn hash(&self, password: SecretString, remaining: Duration) -> Result<String, Refused> {
        let (id, place) = (self.0.pepper.id(), self.place(remaining)?);
        match self.submit(Work::Hash(self.0.cost), place, self.0.pepper.mixed(id, &password), remaining).await? {
            Answer::Hashed(hash) => Ok(peppered(id, hash)),
            Answer::Verified(_) | Answer::Estimated(_) => Err(Unreadable.into()),
        }
    }

    /// Whether `password` is the one behind `stored`, of whatever system. `None` stands for an account that is not there: the same work is done
    /// and the answer is no.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] at once when `remaining`, the time the call still has, does not suffice.
    pub async fn verify(&self, password: SecretString, stored: Option<String>, remaining: Duration) -> Result<bool, Refused> {
        self.verify_at(self.place(remaining)?, password, stored, remaining).await
    }

    /// As [`verify`](Self::verify), for a call that has its place.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] at once when `stored` is dearer than ours and `remaining` does not suffice for that.
    pub async fn verify_at(
        &self,
        mut place: Place,
        password: SecretString,
        stored: Option<String>,
        remaining: Duration,
    ) -> Result<bool, Refused> {
        let known = stored.is_some();
        let stored = Stored::parse(stored.as_deref().unwrap_or(&self.0.decoy))?;
        place.rebook(stored.work(), remaining)?;
        let password = self.0.pepper.mixed(stored.pepper_id, &password);
        match self.submit(Work::Verify(stored), place, password, remaining).await? {
            Answer::Verified(fits) => Ok(fits && known),
            Answer::Hashed(_) | Answer::Estimated(_) => Err(Unreadable.into()),
        }
    }

    /// How good `password` is for `person`, for whoever asks: beside the queue of hashes, so that it keeps nobody waiting who signs in.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] when many ask.
    pub async fn estimate(&self, password: SecretString, person: Person, remaining: Duration) -> Result<Strength, Refused> {
        self.0.estimates.strength(password, person, remaining).await
    }

    /// The same of a password that is hashed next, in the queue of hashes, which its call was admitted to.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] at once when `remaining`, the time the call still has, does not suffice.
    pub async fn strength(&self, password: &SecretString, person: Person, remaining: Duration) -> Result<Strength, Refused> {
        // Booked as a hash, which none takes longer than.
        match self.submit(Work::Estimate(person), self.place(remaining)?, self.0.pepper.mixed(0, password), remaining).await? {
            Answer::Estimated(strength) => Ok(strength),
            Answer::Hashed(_) | Answer::Verified(_) => Err(Unreadable.into()),
        }
    }

    /// A place for a password that is yet to be looked up: taken before anything else is done for a call with `remaining` time.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] when that time does not suffice.
    pub fn place(&self, remaining: Duration) -> Result<Place, Refused> {
        self.0.shared.places.take(remaining)
    }

    /// How many passwords were hashed so far, be it to store or to verify them: what a call costs, whoever it is for.
    pub fn done(&self) -> u64 {
        self.0.shared.done.load(Ordering::Relaxed)
    }

    /// Whether `stored` is as it would be made now: argon2id at the cost that is set, with the pepper that is set.
    pub fn is_current(&self, stored: &str) -> bool {
        Stored::parse(stored).is_ok_and(|stored| stored.own_cost() == Some(self.0.cost) && stored.pepper_id == self.0.pepper.id())
    }

    /// Whether a look at `stored` costs more than one at an account that is not there.
    pub fn is_dearer(&self, stored: &str) -> bool {
        Stored::parse(stored).is_ok_and(|stored| stored.work() > self.0.cost.work())
    }

    async fn submit(&self, work: Work, place: Place, password: SecretBox<[u8]>, remaining: Duration) -> Result<Answer, Refused> {
        let (answer, answered) = oneshot::channel();
        self.0.shared.push(Job { work, password, place, expire: Instant::now() + remaining, answer });
        // A thread answers every job it takes; without threads the process is about to end.
        answered.await.unwrap_or(Err(Refused::Panicked))
    }
}

/// Whether `stored`, which another system made, is taken: a form that is known, and within the bounds of what it may ask for.
pub fn is_taken(stored: &str) -> bool {
    Stored::parse(stored).is_ok_and(|stored| stored.pepper_id == 0)
}

impl Job {
    fn run(&self, arena: &mut Arena) -> Result<Answer, Refused> {
        let password = self.password.expose_secret();
        match &self.work {
            Work::Hash(cost) => Ok(Answer::Hashed(arena.hash(*cost, password)?)),
            Work::Verify(stored) => Ok(Answer::Verified(stored.fits(arena, password)?)),
            Work::Estimate(person) => {
                let password = std::str::from_utf8(password).map_err(|_| Unreadable)?;
                Ok(Answer::Estimated(strength(password, person)))
            }
            #[cfg(test)]
            Work::Panic => panic!("injected"),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.arrived.notify_all();
    }
}

impl Shared {
    fn new(threads: usize, ahead_max: usize, cost: Cost, hash_time: Duration) -> Self {
        let queue = Mutex::new(Queue { jobs: VecDeque::new(), closed: false });
        let places = Places::new(threads, ahead_max, cost.work(), hash_time);
        Shared { queue, large: Mutex::default(), arrived: Condvar::new(), places, idle: IDLE, cost, done: AtomicU64::new(0) }
    }

    /// A poisoned queue is still a queue: no thread leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Job) {
        let mut queue = self.lock();
        queue.jobs.push_back(job);
        gauge!("identity_hash_queue_length").set(queue.jobs.len() as f64);
        drop(queue);
        self.arrived.notify_one();
    }

    /// The life of one thread.
    fn work(&self) {
        let mut arena = Arena::of(self.cost);
        while self.step(&mut arena) {}
    }

    /// One job, or the memory given back for want of one. Answers whether there may be more to do.
    fn step(&self, arena: &mut Arena) -> bool {
        let job = match self.next() {
            Next::Job(job) => job,
            Next::Idle => {
                arena.release();
                return true;
            }
            Next::Closed => return false,
        };
        let is_large = matches!(&job.work, Work::Verify(stored) if stored.memory_kib() > self.cost.memory_kib.into());
        let turn = is_large.then(|| self.large.lock().unwrap_or_else(PoisonError::into_inner));
        let started = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| job.run(arena)));
        let took = started.elapsed();
        drop(turn);
        let result = done.unwrap_or_else(|_| {
            counter!("identity_hash_panics_total").increment(1);
            Err(Refused::Panicked)
        });
        if result == Err(Refused::Panicked) {
            // What it left behind is nobody's to use.
            *arena = Arena::of(self.cost);
        }
        if !matches!(job.work, Work::Estimate(_)) {
            histogram!("identity_hash_seconds").record(took.as_secs_f64());
            self.places.learn(job.place.work(), took);
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        drop(job.place);
        // A caller that went away meanwhile needs no answer.
        let _ = job.answer.send(result);
        true
    }

    /// The next job that somebody still waits for and that can still be done in time.
    fn next(&self) -> Next {
        let mut queue = self.lock();
        loop {
            while let Some(job) = queue.jobs.pop_front() {
                if job.answer.is_closed() {
                    counter!("identity_hash_dropped_total", "cause" => "cancelled").increment(1);
                } else if Instant::now() > job.expire {
                    counter!("identity_hash_dropped_total", "cause" => "late").increment(1);
                    let _ = job.answer.send(Err(Refused::Overloaded { retry_after: self.places.hash_time() }));
                } else {
                    gauge!("identity_hash_queue_length").set(queue.jobs.len() as f64);
                    return Next::Job(job);
                }
            }
            if queue.closed {
                return Next::Closed;
            }
            let (woken, waited) = self.arrived.wait_timeout(queue, self.idle).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            if waited.timed_out() && queue.jobs.is_empty() && !queue.closed {
                return Next::Idle;
            }
        }
    }
}
