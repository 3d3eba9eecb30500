//! How long a transaction may last, and whether a statement that was cut off was cut off by that.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;

/// The longest a transaction may last, whatever the call's deadline: a stream's is an hour.
pub(crate) const TRANSACTION_MAX: Duration = Duration::from_secs(30);
/// By how much the server gives up a statement before the caller does, so that the connection survives and can be told what happened.
/// Source: Boulder keeps 20 ms of each deadline for the same reason (field note reliability, 1).
const MARGIN: Duration = Duration::from_millis(20);

tokio::task_local! {
    static UNTIL: Instant;
}

/// The time left of `remaining` for a transaction.
///
/// # Errors
/// [`Error::DeadlineExceeded`] when nothing is left.
pub(crate) fn limit(remaining: Duration) -> Result<Duration, Error> {
    if remaining.is_zero() { Err(Error::DeadlineExceeded) } else { Ok(remaining.min(TRANSACTION_MAX)) }
}

/// `statement_timeout` for a transaction of `limit`, in milliseconds; never 0, which would mean none.
pub(crate) fn statement_timeout_ms(limit: Duration) -> u128 {
    limit.saturating_sub(MARGIN).as_millis().max(1)
}

/// Runs `work` for `limit` at most, then drops it.
pub(crate) async fn within<T, E: From<Error>>(limit: Duration, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let until = Instant::now() + limit;
    match tokio::time::timeout_at(until, UNTIL.scope(until, work)).await {
        Ok(result) => result,
        Err(_) => Err(Error::DeadlineExceeded.into()),
    }
}

/// Whether a statement cut off now was cut off because the call's time is over, or as good as over.
pub(crate) fn is_near() -> bool {
    UNTIL.try_with(|until| *until <= Instant::now() + MARGIN * 2).unwrap_or(false)
}
