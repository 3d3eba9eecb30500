//! The time a call may take, from the caller's `grpc-timeout` to the last message of a stream.
//!
//! Every call has a deadline: what the caller asks for, clamped to what the method's policy allows, or the policy's default. It travels in the
//! task-local [`CallContext`], so that storage and client channels find it without being handed it.
//!
//! Source of the header's form: gRPC over HTTP/2, `Timeout -> "grpc-timeout" TimeoutValue TimeoutUnit`.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::{CallContext, Error};

/// The header that carries it.
pub(crate) const GRPC_TIMEOUT: &str = "grpc-timeout";

/// The most that eight digits of milliseconds hold, 27 hours: longer than any policy allows.
const MILLIS_MAX: u128 = 99_999_999;

/// The moment at which a call's time runs out. Monotonic; never stored, never sent as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// The deadline of the call that runs now; `None` outside of calls and background work with a context.
pub fn deadline() -> Option<Deadline> {
    CallContext::current().map(|context| context.deadline())
}

impl Deadline {
    /// `time` from now.
    pub fn after(time: Duration) -> Self {
        // A century at most: the sum must not overflow, and nobody waits so long.
        Self(Instant::now() + time.min(Duration::from_secs(100 * 365 * 86_400)))
    }

    /// What is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn is_expired(self) -> bool {
        self.remaining().is_zero()
    }

    /// The moment itself, for tokio's timers.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The earlier of two.
    #[must_use]
    pub fn or_sooner(self, other: Self) -> Self {
        self.min(other)
    }

    /// The output of `future`, if it comes in time.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED`.
    pub async fn limit<F: Future>(self, future: F) -> Result<F::Output, Error> {
        tokio::time::timeout_at(self.0, future).await.map_err(|_| Error::DeadlineExceeded)
    }

    /// The deadline of a call with these headers under a policy of (`default`, `max`).
    ///
    /// # Errors
    /// `MALFORMED_REQUEST` for a `grpc-timeout` that can't be read.
    pub(crate) fn of_call(headers: &HeaderMap, default: Duration, max: Duration) -> Result<Self, Error> {
        let Some(value) = headers.get(GRPC_TIMEOUT) else {
            return Ok(Self::after(default));
        };
        let asked = parse(value).ok_or(Error::MalformedRequest("grpc-timeout can't be read"))?;
        Ok(Self::after(asked.min(max)))
    }
}

/// One to eight digits and a unit.
pub(crate) fn parse(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// `time` in whole milliseconds, rounded down: a callee must not outlive its caller.
pub(crate) fn format(time: Duration) -> HeaderValue {
    let text = format!("{}m", time.as_millis().min(MILLIS_MAX));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("0m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn of(text: &'static str) -> Option<Duration> {
        parse(&HeaderValue::from_static(text))
    }

    #[test]
    fn every_unit_of_the_header_is_read() {
        let read = [of("2H"), of("3M"), of("4S"), of("5m"), of("6u"), of("7n")];
        let meant = [7_200_000_000_000_u64, 180_000_000_000, 4_000_000_000, 5_000_000, 6_000, 7];
        assert_eq!(read, meant.map(|nanos| Some(Duration::from_nanos(nanos))));
    }

    #[test]
    fn nonsense_and_nine_digits_are_refused() {
        for text in ["", "5", "m", "-1m", "1.5S", "5 m", "123456789m", "5X"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(of("99999999m"), Some(Duration::from_millis(99_999_999)));
    }

    #[test]
    fn what_is_written_reads_back_rounded_down() {
        assert_eq!(parse(&format(Duration::from_micros(1_999))), Some(Duration::from_millis(1)));
        assert_eq!(parse(&format(Duration::MAX)), Some(Duration::from_millis(99_999_999)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_gets_what_it_asks_for_up_to_the_maximum() {
        let of = |text: Option<&'static str>| {
            let headers = text.map(|text| (http::HeaderName::from_static(GRPC_TIMEOUT), HeaderValue::from_static(text)));
            Deadline::of_call(&headers.into_iter().collect(), SECOND, 10 * SECOND).map(Deadline::remaining).ok()
        };
        assert_eq!([of(None), of(Some("2S")), of(Some("1H")), of(Some("soon"))], [Some(SECOND), Some(2 * SECOND), Some(10 * SECOND), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_cuts_off_what_takes_longer() {
        let deadline = Deadline::after(SECOND);
        assert!(matches!(deadline.limit(std::future::pending::<()>()).await, Err(Error::DeadlineExceeded)));
        assert!(deadline.is_expired() && deadline.remaining().is_zero());
    }
}
