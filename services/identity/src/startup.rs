//! Steps of a start that replicas take beside one another.
//!
//! What another replica holds at that moment, a lock that is not had in time, is gone a moment later; so is a connection that was lost. A start
//! that failed for it would only be made again by whoever runs the process, later and with less patience.
//! Deliberately absent: waiting for a database that is away. The host connects before the service is built, and says so.

use std::time::Duration;

use rpc::Fault;
use runtime::Backoff;

use crate::error::Error;

/// How often a step is tried again. With the delays below and the half second that a lock is waited for: some ten seconds in all.
const RETRIES: u32 = 10;
const FIRST_DELAY: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(1);

/// Takes `step`, and takes it again while what stands in its way passes by itself.
///
/// # Errors
/// `step`'s: at once when trying again would not help, else the last one.
pub(crate) async fn beside_others<T, F>(name: &'static str, step: F) -> Result<T, Error>
where
    F: AsyncFn() -> Result<T, Error>,
{
    let mut backoff = Backoff::new(FIRST_DELAY, DELAY_MAX);
    loop {
        match step().await {
            Err(error) if error.retry_after().is_some() && backoff.attempt() < RETRIES => {
                tracing::info!(
                    step = name,
                    attempt = backoff.attempt(),
                    error = &error as &dyn std::error::Error,
                    "another replica is in the way: trying again"
                );
                backoff.wait().await;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn conflict() -> Error {
        Error::Db(db::Error::Conflict(None))
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_by_itself_is_tried_again() {
        let tries = AtomicU32::new(0);
        let step = async || if tries.fetch_add(1, Ordering::Relaxed) < 3 { Err(conflict()) } else { Ok("done") };
        assert_eq!(beside_others("test", step).await.unwrap(), "done");
        assert_eq!(tries.into_inner(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_has_an_end() {
        let tries = AtomicU32::new(0);
        let step = async || {
            tries.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(conflict())
        };
        assert!(matches!(beside_others("test", step).await, Err(Error::Db(db::Error::Conflict(_)))));
        assert_eq!(tries.into_inner(), 1 + RETRIES);
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_wrong_is_told_at_once() {
        let tries = AtomicU32::new(0);
        let step = async || {
            tries.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(Error::UserNotFound)
        };
        assert!(matches!(beside_others("test", step).await, Err(Error::UserNotFound)));
        assert_eq!(tries.into_inner(), 1);
    }
}
