//! What an organization asks of who acts in it.
//!
//! A limit is put on the session itself when it comes in and at each refresh, so that nothing else has to know of it; leaving the organization does
//! not lift what it put on. Whether a session has the second factor that is asked for is seen whenever it is given a token (`session::context`).
//! Deliberately absent: what the suite asks of everybody, which is configuration.

pub mod convert;
pub mod ops;
pub mod store;

use runtime::OrganizationId;
use time::{Duration, OffsetDateTime};

use crate::config::ACCESS_TOKEN_SECONDS_MAX;
use crate::session::Session;

/// The least that may be asked: twice as long as an access token lives. What a session does between two refreshes is seen by nobody here, so whoever
/// refreshes when the token is past its time, or when one that a switch gave meanwhile is, must not be taken for idle.
pub const SESSION_IDLE_SECONDS_MIN: i32 = 2 * ACCESS_TOKEN_SECONDS_MAX as i32;
/// The least that may be asked: who signs in should get something done.
pub const SESSION_MAX_SECONDS_MIN: i32 = 3_600;

/// The settings of one organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whose.
    pub organization_id: OrganizationId,
    /// After so long without a refresh a session is over, in seconds; `None` asks nothing.
    pub session_idle_seconds: Option<i32>,
    /// So long after it was opened a session is over, in seconds.
    pub session_max_seconds: Option<i32>,
    /// From then on a session that acts here is at aal 2, to the microsecond; `None` asks for no second factor.
    pub mfa_required_time: Option<OffsetDateTime>,
    /// Grows by one with every change, from 0; the etag.
    pub version: i64,
    /// When they were last changed; `None` while they never were.
    pub update_time: Option<OffsetDateTime>,
}

/// What changes; a field that is not there stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The new idle limit, or none.
    pub session_idle_seconds: Option<Option<i32>>,
    /// The new absolute limit, or none.
    pub session_max_seconds: Option<Option<i32>>,
    /// From when on a second factor is asked for, or none is.
    pub mfa_required_time: Option<Option<OffsetDateTime>>,
}

impl Settings {
    /// Of an organization that never asked anything.
    pub fn unset(organization_id: OrganizationId) -> Self {
        let (session_idle_seconds, session_max_seconds, mfa_required_time) = (None, None, None);
        Settings { organization_id, session_idle_seconds, session_max_seconds, mfa_required_time, version: 0, update_time: None }
    }

    /// With `change`, as of `now`; the same when it changes nothing.
    pub fn changed(&self, change: Change, now: OffsetDateTime) -> Self {
        let wanted = Settings {
            session_idle_seconds: change.session_idle_seconds.unwrap_or(self.session_idle_seconds),
            session_max_seconds: change.session_max_seconds.unwrap_or(self.session_max_seconds),
            mfa_required_time: change.mfa_required_time.unwrap_or(self.mfa_required_time),
            ..self.clone()
        };
        if wanted == *self { wanted } else { Settings { version: self.version + 1, update_time: Some(now), ..wanted } }
    }

    /// Refuses unless `etag` is empty or that of this version.
    ///
    /// # Errors
    /// `ETAG_MISMATCH`.
    pub fn require_etag(&self, etag: &str) -> Result<(), rpc::Error> {
        if etag.is_empty() || etag == self.version.to_string() { Ok(()) } else { Err(rpc::Error::EtagMismatch) }
    }

    /// The session under these limits, used at `now`. Past its time when it is too old for them.
    pub fn put_on(&self, session: &Session, now: OffsetDateTime) -> Session {
        let seconds = |of: Option<i32>| of.map(|seconds| Duration::seconds(seconds.into()));
        let longest = seconds(self.session_max_seconds).map(|longest| session.create_time + longest);
        let expire_time = session.expire_time.min(longest.unwrap_or(session.expire_time));
        let idle = seconds(self.session_idle_seconds).map(|idle| now + idle);
        let refresh_expire_time = session.refresh_expire_time.min(idle.unwrap_or(session.refresh_expire_time)).min(expire_time);
        Session { expire_time, refresh_expire_time, ..session.clone() }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn settings() -> Settings {
        Settings::unset(Uuid::from_u128(1).into())
    }

    #[test]
    fn a_change_that_changes_nothing_is_none() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let idle = Change { session_idle_seconds: Some(Some(1_800)), ..Change::default() };
        let first = settings().changed(idle, now);
        assert_eq!((first.version, first.session_idle_seconds, first.update_time), (1, Some(1_800), Some(now)));
        assert_eq!(first.changed(idle, now + Duration::DAY), first);
        assert_eq!(first.changed(Change::default(), now + Duration::DAY), first);
        let lifted = first.changed(Change { session_idle_seconds: Some(None), ..Change::default() }, now);
        assert_eq!((lifted.version, lifted.session_idle_seconds), (2, None));
    }

    #[test]
    fn an_etag_is_that_of_the_version_or_none_at_all() {
        assert!(settings().require_etag("").is_ok() && settings().require_etag("0").is_ok());
        assert!(settings().require_etag("1").is_err());
    }
}
