//! `google.protobuf.Timestamp` and `time::OffsetDateTime`, to the microsecond that Postgres keeps.

use prost_types::Timestamp;
use time::OffsetDateTime;

/// The timestamp of `time`.
pub fn timestamp(time: OffsetDateTime) -> Timestamp {
    Timestamp { seconds: time.unix_timestamp(), nanos: i32::try_from(time.nanosecond()).unwrap_or_default() }
}

/// The time of `timestamp`, cut to microseconds; `None` when it is out of the years 1 to 9999 or its nanos are not within a second.
pub fn datetime(timestamp: &Timestamp) -> Option<OffsetDateTime> {
    let nanos = u32::try_from(timestamp.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    let time = OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok()?;
    (1..=9999).contains(&time.year()).then_some(())?;
    time.replace_nanosecond(nanos / 1_000 * 1_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_way_there_and_back_to_the_microsecond() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_763_690_000_123_456_789).unwrap();
        assert_eq!(datetime(&timestamp(time)), time.replace_nanosecond(123_456_000).ok());
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(datetime(&Timestamp { seconds: 0, nanos: -1 }), None);
        assert_eq!(datetime(&Timestamp { seconds: 0, nanos: 1_000_000_000 }), None);
        assert_eq!(datetime(&Timestamp { seconds: i64::MAX, nanos: 0 }), None);
        assert_eq!(datetime(&Timestamp { seconds: -62_135_596_801, nanos: 0 }), None, "year 0");
    }
}
