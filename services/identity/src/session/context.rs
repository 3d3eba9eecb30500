//! Where a session acts: the use case of switching, and by which rule a session stays where it is.
//!
//! Whenever a token is given, by a refresh, its repeat, a step-up or a change of factors, the session is held against the tables once more: who is
//! no longer a member, and who lacks the second factor that the organization asks for by now, is led out to no organization. The session goes on
//! there, so that a factor can be enrolled and the organization be entered again.

use db::Tx;
use rpc::Caller;
use runtime::UserId;
use time::OffsetDateTime;

use super::grant::Grant;
use super::ops::Ops;
use super::{Context, Held, Session, SessionState, store};
use crate::error::Error;
use crate::factor::store as factors;
use crate::{events, organization, settings, workspace};

/// A session that entered an organization.
pub struct Entered {
    /// The session.
    pub session: Session,
    /// A JWT for it.
    pub access_token: String,
    /// Good until then.
    pub expire_time: OffsetDateTime,
    /// From when on the organization asks for a second factor that the session lacks.
    pub mfa_required_time: Option<OffsetDateTime>,
}

impl Ops {
    /// Moves the caller's session to `context` and gives an access token for it. Whether the caller may enter is read from the tables, not
    /// from a snapshot. Moving to where the session is already changes nothing and gives a fresh token.
    ///
    /// # Errors
    /// `ORGANIZATION_NOT_FOUND`, `WORKSPACE_NOT_FOUND`; `SESSION_NOT_FOUND` when the session is over, or too old for what the organization
    /// asks: its user signs in again; `MFA_REQUIRED`, `FACTOR_ENROLLMENT_REQUIRED` when it lacks the second factor that is asked for.
    /// # Emits
    /// `SessionSwitched`, same transaction.
    pub async fn switch(&self, caller: &Caller, context: Context) -> Result<Entered, Error> {
        let id = caller.session_id().ok_or(Error::SessionNotFound)?;
        let caller = caller.with_organization(context.organization_id);
        let grant = self
            .db
            .write_unrecorded(&caller, async |tx: &mut Tx| {
                let held = enter(tx, context).await?;
                let before = store::lock(tx, &self.sealed, id).await?.ok_or(Error::SessionNotFound)?;
                if before.state(tx.now()) != SessionState::Active {
                    return Err(Error::SessionNotFound);
                }
                let asked = settings::store::find(tx, context.organization_id).await?;
                let after = asked.put_on(&before.in_context(context), tx.now());
                if after.state(tx.now()) != SessionState::Active {
                    return Err(Error::SessionNotFound);
                }
                if !after.may_act(&held, tx.now()) {
                    return Err(factor_missing(tx, after.user_id).await?);
                }
                if after != before {
                    store::set_context(tx, &after).await?;
                }
                if after.context() != before.context() {
                    events::emit_session_switched(tx, &before, &after);
                }
                Ok(Grant::of(tx, after, held))
            })
            .await?;
        let (access_token, expire_time) = self.access_token(&grant)?;
        let Grant { session, held, .. } = grant;
        Ok(Entered { mfa_required_time: held.mfa_lacked_from(session.methods), session, access_token, expire_time })
    }
}

/// What the caller holds in `context`, if they may enter it and it is there.
async fn enter(tx: &mut Tx, context: Context) -> Result<Held, Error> {
    let held = store::held(tx, context).await?;
    if !context.organization_id.is_nil() {
        let there = organization::store::exists(tx, context.organization_id).await?;
        if !(there && held.may_enter()) {
            return Err(rpc::Error::OrganizationNotFound.into());
        }
    }
    match context.workspace_id {
        // A role in an organization cascades into each of its workspaces, so a workspace that is there is one to enter.
        Some(workspace_id) if !workspace::store::exists(tx, workspace_id).await? => Err(rpc::Error::WorkspaceNotFound.into()),
        _ => Ok(held),
    }
}

/// A session, which is held, where it may act now, and what its user holds there.
///
/// # Emits
/// `SessionSwitched`, same transaction, when it is led out of its organization.
pub(crate) async fn stay(tx: &mut Tx, session: Session) -> Result<Grant, Error> {
    let held = store::held(tx, session.context()).await?;
    stay_with(tx, session, held).await
}

/// The same with what was `held` where the session acts, which is known.
pub(super) async fn stay_with(tx: &mut Tx, session: Session, held: Held) -> Result<Grant, Error> {
    if session.may_act(&held, tx.now()) {
        return Ok(Grant::of(tx, session, held));
    }
    let outside = session.in_context(Context::NOWHERE);
    store::set_context(tx, &outside).await?;
    events::emit_session_switched(tx, &session, &outside);
    Ok(Grant::of(tx, outside, held.outside()))
}

/// Refuses unless the session of the call is at aal 2, by its row and by the token of the call: one from before it rose may be in other hands.
///
/// # Errors
/// `MFA_REQUIRED`, `FACTOR_ENROLLMENT_REQUIRED`, `SESSION_NOT_FOUND`.
pub(crate) async fn require_second_factor(tx: &mut Tx) -> Result<(), Error> {
    let id = tx.caller().session_id().ok_or(Error::SessionNotFound)?;
    let methods = store::methods(tx, id).await?.ok_or(Error::SessionNotFound)?;
    if methods.aal() >= 2 && tx.caller().aal() >= Some(2) {
        return Ok(());
    }
    let user_id = tx.caller().user_id()?;
    Err(factor_missing(tx, user_id).await?)
}

/// Why a session at aal 1 is refused: its user has a second factor to step up by, or has to enrol one.
async fn factor_missing(tx: &mut Tx, user_id: UserId) -> Result<Error, Error> {
    Ok(if factors::count(tx, user_id).await? > 0 { Error::MfaRequired } else { Error::FactorEnrollmentRequired })
}
