//! Sign-in against H: as many hashes as the same cores make when they do nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};

use tonic::transport::Channel;

use super::{
    actor::open,
    figures::{Run, figure},
    floors, load,
    report::Figure,
};

/// People who sign in at the same time.
const IN_FLIGHT: usize = 16;
/// Who signs in, one after the other: so many that nobody has as many sessions as may be open, where each sign-in ends another session.
pub(super) const CROWD: usize = 100;

/// People, and the device that each of them signed in with before.
pub(super) struct Crowd<'a> {
    identity: &'a Channel,
    people: Vec<(String, String)>,
    next: AtomicUsize,
}

impl<'a> Crowd<'a> {
    /// Signs in each of those at `emails` once.
    pub(super) async fn gather(identity: &'a Channel, emails: Vec<String>) -> anyhow::Result<Self> {
        let mut people = Vec::new();
        for email in emails {
            let device_token = open(identity, &email, "").await?.device_token;
            people.push((email, device_token));
        }
        Ok(Crowd { identity, people, next: AtomicUsize::new(0) })
    }

    /// Address and device of the next one.
    pub(super) fn next(&self) -> (&str, &str) {
        let (email, device_token) = &self.people[self.next.fetch_add(1, Ordering::Relaxed) % self.people.len()];
        (email, device_token)
    }

    /// The next one signs in, with the device that is known or with one that nobody knows.
    pub(super) async fn sign_in(&self, is_known: bool) -> anyhow::Result<()> {
        let (email, device_token) = self.next();
        open(self.identity, email, if is_known { device_token } else { "" }).await.map(|_| ())
    }
}

impl Run<'_> {
    /// With everybody who hears of it at work on the same cores, and with them at rest; there also of strangers, whose attempts climb the ladders
    /// that all of a network share. Each is held against the floors right before and after it: what a core gives changes within seconds.
    pub(super) async fn sign_in(&self) -> anyhow::Result<Vec<Figure>> {
        let (memory_kib, passes) = self.hashing;
        let identity = self.suite.channel(::identity::NAME)?;
        let crowd = Crowd::gather(&identity, self.suite.crowd(CROWD).await?).await?;
        let duration = self.duration;
        let hashes = async || {
            // Who hears of sign-ins is still busy with those before.
            load::rest().await;
            tokio::task::spawn_blocking(move || floors::hashes(memory_kib, passes, duration)).await?
        };
        let sign_ins = async |is_known| load::keep(IN_FLIGHT, duration, async |_| crowd.sign_in(is_known).await).await;
        let mut floors = vec![hashes().await?];
        let [mut beside, mut alone, mut strange] = [const { Vec::new() }; 3];
        for _ in 0..self.rounds {
            beside.push(sign_ins(true).await?.per_second);
            floors.push(hashes().await?);
            for (rates, is_known) in [(&mut alone, true), (&mut strange, false)] {
                let rate = self.with_consumers_at_rest(sign_ins(is_known)).await?.per_second;
                rates.push(rate);
                floors.push(hashes().await?);
            }
        }
        let against = format!("H: argon2id {memory_kib} KiB, t={passes}, all cores, {:.0}/s", load::median(floors.clone()));
        let row = |name, place: usize, rates: Vec<f64>, goal, bound: f64| {
            let around = |round: usize| (floors[3 * round + place] + floors[3 * round + place + 1]) / 2.0;
            let ratio = load::median(rates.iter().enumerate().map(|(round, rate)| rate / around(round)).collect());
            figure(name, format!("{:.0}/s, ratio {ratio:.2}", load::median(rates)), against.clone(), goal, ratio >= bound)
        };
        Ok(vec![
            row("sign-in, consumers at rest", 1, alone, "≥ 0.85", 0.85),
            row("sign-in, the whole suite at work beside it", 0, beside, "≥ 0.75", 0.75),
            row("sign-in of strangers, consumers at rest", 2, strange, "told", 0.0),
        ])
    }

    /// Runs `work` while nobody who hears of it does anything.
    pub(super) async fn with_consumers_at_rest<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let consumers = [authorization::NAME, audit::NAME, notifications::NAME];
        for consumer in consumers {
            self.services[consumer].pause()?;
        }
        let outcome = work.await;
        for consumer in consumers {
            self.services[consumer].wake()?;
        }
        outcome
    }
}
