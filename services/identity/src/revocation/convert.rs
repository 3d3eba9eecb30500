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

/// The revocation that an event of the log tells of.
///
/// # Errors
/// The body can't be read: a fault of ours.
pub(super) fn told_by(event: &Logged) -> Result<Option<pb::Revocation>, rpc::Error> {
    let unreadable = |error: prost::DecodeError| rpc::Error::Internal(format!("event {} can't be read: {error}", event.envelope.event_id));
    let body = event.body.as_ref();
    match event.envelope.r#type.as_str() {
        name if name == pb::SessionRevoked::full_name() => Ok(pb::SessionRevoked::decode(body).map_err(unreadable)?.revocation),
        name if name == pb::SessionRefreshReused::full_name() => Ok(pb::SessionRefreshReused::decode(body).map_err(unreadable)?.revocation),
        _ => Ok(None),
    }
}
