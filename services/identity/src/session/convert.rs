//! Sessions between the domain and the contract.

use contract::identity::v1 as pb;
use contract::time::timestamp;
use runtime::OrganizationId;
use time::OffsetDateTime;

use super::{Context, Given, Identifier, Opened, Session, SessionState, Tokens};
use crate::decode;

impl TryFrom<Option<pb::create_session_request::Identifier>> for Identifier {
    type Error = rpc::Error;

    fn try_from(identifier: Option<pb::create_session_request::Identifier>) -> Result<Self, rpc::Error> {
        match identifier {
            Some(pb::create_session_request::Identifier::Email(email)) => Ok(Identifier::Email(email)),
            Some(pb::create_session_request::Identifier::Username(username)) => Ok(Identifier::Username(username)),
            None => Err(rpc::Error::invalid_field("identifier", "required", "must be an email or a username")),
        }
    }
}

impl From<SessionState> for pb::SessionState {
    fn from(state: SessionState) -> Self {
        match state {
            SessionState::Active => pb::SessionState::Active,
            SessionState::Revoked => pb::SessionState::Revoked,
            SessionState::Challenged => pb::SessionState::Challenged,
            SessionState::Expired => pb::SessionState::Expired,
        }
    }
}

/// The session as it stands at `now`.
pub(crate) fn session_at(session: Session, now: OffsetDateTime) -> pb::Session {
    let state = session.state(now);
    message(session, state)
}

/// In an event a session is what its row says: whether time has run out is for the reader to see.
impl From<Session> for pb::Session {
    fn from(session: Session) -> Self {
        let state = session.stored_state;
        message(session, state)
    }
}

fn message(session: Session, state: SessionState) -> pb::Session {
    pb::Session {
        session_id: session.id.to_string(),
        user_id: session.user_id.to_string(),
        organization_id: session.organization_id.to_string(),
        workspace_id: session.workspace_id.map(String::from).unwrap_or_default(),
        state: pb::SessionState::from(state).into(),
        client_address: session.client_address.unwrap_or_default(),
        user_agent: session.user_agent.unwrap_or_default(),
        create_time: Some(timestamp(session.create_time)),
        last_use_time: Some(timestamp(session.last_use_time)),
        expire_time: Some(timestamp(session.expire_time)),
        aal: session.methods.aal().into(),
        amr: session.methods.names().into_iter().map(str::to_owned).collect(),
        auth_time: Some(timestamp(session.auth_time)),
    }
}

/// What a sign-in is answered with at `now`.
pub(super) fn answered(opened: Opened, now: OffsetDateTime) -> pb::CreateSessionResponse {
    let challenge_expire_time = Some(timestamp(opened.session.expire_time));
    let (tokens, challenge) = match opened.given {
        Given::Tokens(tokens) => (Some(tokens.into()), None),
        Given::Challenge(challenge_token) => (None, Some(pb::Challenge { challenge_token, challenge_expire_time })),
    };
    pb::CreateSessionResponse { session: Some(session_at(opened.session, now)), tokens, challenge, device_token: opened.device_token }
}

impl From<Tokens> for pb::TokenPair {
    fn from(tokens: Tokens) -> Self {
        pb::TokenPair {
            access_token: tokens.access_token,
            access_token_expire_time: Some(timestamp(tokens.access_token_expire_time)),
            refresh_token: tokens.refresh_token,
            refresh_token_expire_time: Some(timestamp(tokens.refresh_token_expire_time)),
        }
    }
}

impl TryFrom<&pb::SwitchContextRequest> for Context {
    type Error = rpc::Error;

    fn try_from(req: &pb::SwitchContextRequest) -> Result<Self, rpc::Error> {
        let organization_id: OrganizationId = decode::id("organization_id", &req.organization_id)?;
        let workspace_id = decode::optional_id("workspace_id", &req.workspace_id)?;
        Ok(Context { organization_id, workspace_id })
    }
}
