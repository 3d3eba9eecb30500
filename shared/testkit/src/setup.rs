//! What a test may want otherwise than usual.

use events::EventsConfig;
use rpc::server::Limits;
use runtime::{Clock, Ids};
use time::{OffsetDateTime, macros::datetime};

/// Where every fixed clock begins.
const BEGINNING: OffsetDateTime = datetime!(2026-03-02 09:00:00 UTC);

/// How a service under test is set up. `Setup::default()` is what [`App::of`](crate::App::of) takes.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The event log: quick, so that a fault shows within a test's patience.
    pub events: EventsConfig,
    /// The limits of the server: a drain of two seconds.
    pub limits: Limits,
    /// Where the clock stands until the test moves it, 2026-03-02 09:00 UTC unless said; `None` for the system's clock, which goes.
    pub clock: Option<OffsetDateTime>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { events: quick(), limits: Limits { drain_ms: 2_000, ..Limits::default() }, clock: Some(BEGINNING) }
    }
}

impl Setup {
    /// The clock, its handle, and ids that carry its time.
    pub(crate) fn time(&self) -> (Clock, Option<runtime::ClockHandle>, Ids) {
        let (clock, handle) = match self.clock {
            Some(now) => {
                let (clock, handle) = Clock::fixed(now);
                (clock, Some(handle))
            }
            None => (Clock::system(), None),
        };
        (clock.clone(), handle, Ids::at(clock))
    }
}

fn quick() -> EventsConfig {
    EventsConfig {
        poll_idle_ms: 100,
        leader_timeout_ms: 2_000,
        bookmark_ms: 50,
        attempt_max: 4,
        retry_delays_ms: vec![50, 100],
        ..EventsConfig::default()
    }
}
