//! Revocations between the domain and the contract, and out of the events that carry them.

use contract::identity::v1 as pb;
use contract::time::timestamp;
use events::Logged;
use prost::{Message, Name};

use super::{Revocation, RevocationKind};

impl From<RevocationKind> for pb::RevocationKind {
    fn from(kind: RevocationKind) -> Self {
        match kind {
            RevocationKind::Session => pb::RevocationKind::Session,
            RevocationKind::User => pb::RevocationKind::User,
            RevocationKind::Organization => pb::RevocationKind::Organization,
        }
    }
}

impl From<Revocation> for pb::Revocation {
    fn from(revocation: Revocation) -> Self {
        pb::Revocation {
            kind: pb::RevocationKind::from(revocation.kind).into(),
            subject_id: revocation.subject_id.to_string(),
            not_before: Some(timestamp(revocation.not_before)),
            expire_time: Some(timestamp(revocation.expire_time)),
        }
    }
}

/// The revocations that an event of the log tells of.
///
/// # Errors
/// The body can't be read: a fault of ours.
pub(super) fn told_by(event: &Logged) -> Result<Vec<pb::Revocation>, rpc::Error> {
    let unreadable = |error: prost::DecodeError| rpc::Error::Internal(format!("event {} can't be read: {error}", event.envelope.event_id));
    let body = event.body.as_ref();
    let told = match event.envelope.r#type.as_str() {
        name if name == pb::SessionRevoked::full_name() => pb::SessionRevoked::decode(body).map_err(unreadable)?.revocation,
        name if name == pb::SessionRefreshReused::full_name() => pb::SessionRefreshReused::decode(body).map_err(unreadable)?.revocation,
        name if name == pb::FactorRemoved::full_name() => pb::FactorRemoved::decode(body).map_err(unreadable)?.revocation,
        name if name == pb::UserFactorsReset::full_name() => pb::UserFactorsReset::decode(body).map_err(unreadable)?.revocation,
        name if name == pb::SigningKeyRotated::full_name() => {
            return Ok(pb::SigningKeyRotated::decode(body).map_err(unreadable)?.revocations);
        }
        _ => None,
    };
    Ok(told.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::revocation::ops::SNAPSHOT_MAX;

    /// What tonic's clients decode unless told otherwise.
    const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

    #[test]
    fn the_largest_snapshot_fits_one_message() {
        let late = datetime!(2200-12-31 23:59:59.999999 UTC);
        let largest = Revocation { kind: RevocationKind::Organization, subject_id: Uuid::max(), not_before: late, expire_time: late };
        let revocations = vec![largest.into(); SNAPSHOT_MAX];
        let size = pb::ListRevocationsResponse { revocations, position: i64::MAX }.encoded_len();
        assert!(size <= MESSAGE_BYTES_MAX, "{size} bytes");
    }
}
