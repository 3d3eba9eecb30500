//! Load: many calls in flight for a while, and what came of them.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream::FuturesUnordered};

/// What came of a run.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// Successful calls a second.
    pub(super) per_second: f64,
    /// The median of a call's time.
    pub(super) p50: Duration,
    /// The time that one call in a hundred exceeds.
    pub(super) p99: Duration,
    /// Successful calls.
    pub(super) calls: u32,
}

/// Keeps `in_flight` calls going for `duration`: each place calls `call` with its number, and again as soon as it is answered.
///
/// # Errors
/// The first call that fails: a figure with failures in it is none.
pub(super) async fn keep<F>(in_flight: usize, duration: Duration, call: F) -> anyhow::Result<Outcome>
where
    F: AsyncFn(usize) -> anyhow::Result<()>,
{
    let began = Instant::now();
    let places = (0..in_flight).map(async |place| {
        let mut times = Vec::new();
        while began.elapsed() < duration {
            let asked = Instant::now();
            call(place).await?;
            times.push(asked.elapsed());
        }
        anyhow::Ok(times)
    });
    let mut times: Vec<Duration> = futures::future::try_join_all(places).await?.into_iter().flatten().collect();
    anyhow::ensure!(!times.is_empty(), "no call was answered");
    times.sort();
    Ok(Outcome {
        per_second: times.len() as f64 / began.elapsed().as_secs_f64(),
        p50: percentile(&times, 50),
        p99: percentile(&times, 99),
        calls: u32::try_from(times.len())?,
    })
}

/// What became of a call that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was done.
    Done,
    /// It was told at once that there is no room.
    Refused,
    /// It was let in and came to nothing.
    Late,
}

/// What came of calls that were offered, whoever was busy.
#[derive(Debug, Clone, Default)]
pub(super) struct Offered {
    /// Calls that were done in the time in which calls were offered, a second.
    pub(super) per_second: f64,
    /// How long those took that were let in, done or not; sorted.
    pub(super) accepted: Vec<Duration>,
    /// How long it took to refuse the others; sorted.
    pub(super) refused: Vec<Duration>,
}

/// Offers `per_second` calls a second for `duration`, each at its time, however many are in flight; and waits for all answers.
///
/// # Errors
/// The first call that fails otherwise than it may.
pub(super) async fn offer(per_second: f64, duration: Duration, call: impl AsyncFn() -> anyhow::Result<Answer>) -> anyhow::Result<Offered> {
    let timed = async |due: Instant| anyhow::Ok((call().await?, due.elapsed()));
    let (began, step) = (Instant::now(), Duration::from_secs_f64(per_second.recip()));
    let (mut due, mut done, mut offered) = (began, 0_u32, Offered::default());
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due.into()), if due < began + duration => {
                running.push(timed(due));
                due += step;
            }
            Some(answered) = running.next() => {
                let (answer, time) = answered?;
                done += u32::from(answer == Answer::Done && began.elapsed() <= duration);
                if answer == Answer::Refused { offered.refused.push(time) } else { offered.accepted.push(time) }
            }
            else => break,
        }
    }
    drop(running);
    offered.accepted.sort();
    offered.refused.sort();
    offered.per_second = f64::from(done) / duration.as_secs_f64();
    Ok(offered)
}

/// Waits until what was set going before has come to its end: a second in which the cores were nine tenths idle; two minutes at most.
pub(super) async fn rest() {
    for _ in 0..120 {
        let (busy, all) = cores();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (busy_then, all_then) = cores();
        if (busy_then - busy) * 10 <= all_then - all {
            return;
        }
    }
}

/// How long the cores were busy since the machine started, and how long that is, in ticks of all cores together. Source: proc(5), `/proc/stat`.
fn cores() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> =
        stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8).filter_map(|n| n.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// The value below which `percent` of the sorted `times` lie; zero of none.
pub(super) fn percentile(times: &[Duration], percent: usize) -> Duration {
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The median of some figures; NaN of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of some times; zero of none.
pub(super) fn median_time(mut times: Vec<Duration>) -> Duration {
    times.sort();
    percentile(&times, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_medians_are_those_of_the_books() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(51));
        assert_eq!(percentile(&times, 99), Duration::from_millis(100));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median_time([3, 1, 2].map(Duration::from_millis).into()), Duration::from_millis(2));
    }

    #[tokio::test]
    async fn calls_are_offered_whoever_is_busy_and_only_what_is_done_counts() {
        let asked = std::cell::Cell::new(0);
        let call = async || {
            asked.set(asked.get() + 1);
            let number = asked.get();
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(if number % 2 == 0 { Answer::Refused } else { Answer::Done })
        };
        let offered = offer(100.0, Duration::from_millis(200), call).await.unwrap();
        assert_eq!((offered.accepted.len(), offered.refused.len()), (10, 10));
        assert!(offered.per_second <= 50.0 && offered.accepted[0] >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn a_failed_call_ends_the_run() {
        let run = keep(2, Duration::from_secs(5), async |place| {
            tokio::task::yield_now().await;
            anyhow::ensure!(place == 0, "refused");
            Ok(())
        });
        assert_eq!(run.await.unwrap_err().to_string(), "refused");
    }
}
