//! The events this service emits, one constructor each. It consumes none but its own: signing keys and revocations are read from its tables
//! and its log.

use contract::identity::v1 as pb;
use contract::time::timestamp;
use db::Tx;
use runtime::{OrganizationId, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::factor::Factor;
use crate::invitation::Invitation;
use crate::invitation::convert::told;
use crate::key::SigningKey;
use crate::key::convert::revocation;
use crate::member::Member;
use crate::organization::Organization;
use crate::revocation::Revocation;
use crate::sealed::Index;
use crate::session::Session;
use crate::settings::Settings;
use crate::throttle::Step;
use crate::user::User;
use crate::workspace::Workspace;

pub(crate) fn user_registered(user: &User, mail_wanted: bool) -> pb::UserRegistered {
    pb::UserRegistered { user_id: user.id.to_string(), after: Some(user.clone().into()), mail_wanted }
}

pub(crate) fn registration_repeated(email_index: &str) -> pb::RegistrationRepeated {
    pb::RegistrationRepeated { subject_key: email_index.to_owned() }
}

/// The blind index alone, as for a sign-in that failed.
pub(crate) fn mail_request_missed(email_index: &str) -> pb::MailRequestMissed {
    pb::MailRequestMissed { subject_key: email_index.to_owned() }
}

pub(crate) fn verification_requested(user_id: UserId) -> pb::VerificationRequested {
    pb::VerificationRequested { user_id: user_id.to_string() }
}

pub(crate) fn password_reset_requested(id: Uuid, user_id: UserId) -> pb::PasswordResetRequested {
    pb::PasswordResetRequested { password_reset_id: id.to_string(), user_id: user_id.to_string() }
}

pub(crate) fn password_reset(before: &User, after: &User) -> pb::PasswordReset {
    pb::PasswordReset { user_id: after.id.to_string(), before: Some(before.clone().into()), after: Some(after.clone().into()) }
}

pub(crate) fn password_changed(before: &User, after: &User) -> pb::PasswordChanged {
    pb::PasswordChanged { user_id: after.id.to_string(), before: Some(before.clone().into()), after: Some(after.clone().into()) }
}

pub(crate) fn email_change_requested(id: Uuid, user_id: UserId) -> pb::EmailChangeRequested {
    pb::EmailChangeRequested { email_change_id: id.to_string(), user_id: user_id.to_string() }
}

pub(crate) fn email_changed(id: Uuid, before: &User, after: &User) -> pb::EmailChanged {
    let (before, after) = (Some(before.clone().into()), after.clone());
    pb::EmailChanged { email_change_id: id.to_string(), user_id: after.id.to_string(), before, after: Some(after.into()) }
}

pub(crate) fn user_verified(before: &User, after: &User) -> pb::UserVerified {
    pb::UserVerified { user_id: after.id.to_string(), before: Some(before.clone().into()), after: Some(after.clone().into()) }
}

pub(crate) fn username_changed(before: &User, after: &User) -> pb::UsernameChanged {
    pb::UsernameChanged { user_id: after.id.to_string(), before: Some(before.clone().into()), after: Some(after.clone().into()) }
}

pub(crate) fn user_system_role_changed(before: &User, after: &User) -> pb::UserSystemRoleChanged {
    pb::UserSystemRoleChanged { user_id: after.id.to_string(), before: Some(before.clone().into()), after: Some(after.clone().into()) }
}

/// The blind index alone: what was typed in the field may be a password.
pub(crate) fn sign_in_failed(index: &Index, user_id: Option<UserId>) -> pb::SignInFailed {
    pb::SignInFailed {
        subject_key: index.as_str().to_owned(),
        user_id: user_id.map(String::from).unwrap_or_default(),
        session_id: String::new(),
    }
}

/// A wrong code or password for a session that waits or steps up.
pub(crate) fn code_failed(email_index: &str, session: &Session) -> pb::SignInFailed {
    let (user_id, session_id) = (session.user_id.to_string(), session.id.to_string());
    pb::SignInFailed { subject_key: email_index.to_owned(), user_id, session_id }
}

pub(crate) fn session_challenged(session: &Session) -> pb::SessionChallenged {
    pb::SessionChallenged { session_id: session.id.to_string(), after: Some(session.clone().into()) }
}

pub(crate) fn emit_session_stepped_up(tx: &mut Tx, before: &Session, after: &Session) {
    let (before, after) = (told_in(tx.organization_id(), before), told_in(tx.organization_id(), after));
    tx.emit(pb::SessionSteppedUp { session_id: after.session_id.clone(), before: Some(before), after: Some(after) });
}

pub(crate) fn factor_enrolled(factor: &Factor) -> pb::FactorEnrolled {
    pb::FactorEnrolled { factor_id: factor.id.to_string(), after: Some(factor.clone().into()) }
}

pub(crate) fn factor_removed(factor: &Factor, revocation: Option<&Revocation>) -> pb::FactorRemoved {
    let revocation = revocation.map(|revocation| revocation.clone().into());
    pb::FactorRemoved { factor_id: factor.id.to_string(), before: Some(factor.clone().into()), revocation }
}

pub(crate) fn user_factors_reset(user_id: UserId, factors: i64, revocation: &Revocation) -> pb::UserFactorsReset {
    let factors = i32::try_from(factors).unwrap_or(i32::MAX);
    pb::UserFactorsReset { user_id: user_id.to_string(), factors, revocation: Some(revocation.clone().into()) }
}

pub(crate) fn recovery_codes_regenerated(user_id: UserId) -> pb::RecoveryCodesRegenerated {
    pb::RecoveryCodesRegenerated { user_id: user_id.to_string() }
}

pub(crate) fn recovery_code_used(user_id: UserId, left: i64) -> pb::RecoveryCodeUsed {
    pb::RecoveryCodeUsed { user_id: user_id.to_string(), recovery_codes_left: i32::try_from(left).unwrap_or(i32::MAX) }
}

pub(crate) fn organization_settings_updated(before: &Settings, after: &Settings) -> pb::OrganizationSettingsUpdated {
    let organization_id = after.organization_id.to_string();
    pb::OrganizationSettingsUpdated { organization_id, before: Some(before.clone().into()), after: Some(after.clone().into()) }
}

/// That the next attempt at `subject` has to wait until `next_time`.
pub(crate) fn sign_in_throttled(subject: &str, user_id: Option<UserId>, step: Step, next_time: OffsetDateTime) -> pb::SignInThrottled {
    pb::SignInThrottled {
        subject_key: subject.to_owned(),
        user_id: user_id.map(String::from).unwrap_or_default(),
        scope: pb::ThrottleScope::from(step.scope).into(),
        failures: step.failures,
        next_time: Some(timestamp(next_time)),
    }
}

pub(crate) fn sign_in_unlocked(user_id: UserId) -> pb::SignInUnlocked {
    pb::SignInUnlocked { user_id: user_id.to_string() }
}

pub(crate) fn session_created(session: &Session) -> pb::SessionCreated {
    pb::SessionCreated { session_id: session.id.to_string(), after: Some(session.clone().into()) }
}

pub(crate) fn emit_session_switched(tx: &mut Tx, before: &Session, after: &Session) {
    let (before, after) = (told_in(tx.organization_id(), before), told_in(tx.organization_id(), after));
    tx.emit(pb::SessionSwitched { session_id: after.session_id.clone(), before: Some(before), after: Some(after) });
}

pub(crate) fn emit_session_revoked(tx: &mut Tx, before: &Session, after: &Session, revocation: &Revocation) {
    let (before, after) = (told_in(tx.organization_id(), before), told_in(tx.organization_id(), after));
    let revocation = Some(revocation.clone().into());
    tx.emit(pb::SessionRevoked { session_id: after.session_id.clone(), before: Some(before), after: Some(after), revocation });
}

/// A session as the log of `organization` tells of it: where it acts is told to that organization alone, and to the system organization.
fn told_in(organization: OrganizationId, session: &Session) -> pb::Session {
    let mut told = pb::Session::from(session.clone());
    if !organization.is_nil() && session.organization_id != organization {
        told.organization_id.clear();
        told.workspace_id.clear();
    }
    told
}

pub(crate) fn session_refresh_reused(before: &Session, after: &Session, revocation: &Revocation) -> pb::SessionRefreshReused {
    pb::SessionRefreshReused {
        session_id: after.id.to_string(),
        before: Some(before.clone().into()),
        after: Some(after.clone().into()),
        revocation: Some(revocation.clone().into()),
    }
}

pub(crate) fn organization_created(organization: &Organization) -> pb::OrganizationCreated {
    pb::OrganizationCreated { organization_id: organization.id.to_string(), after: Some(organization.clone().into()) }
}

pub(crate) fn workspace_created(workspace: &Workspace) -> pb::WorkspaceCreated {
    pb::WorkspaceCreated { workspace_id: workspace.id.to_string(), after: Some(workspace.clone().into()) }
}

/// A member of a workspace or of the organization itself: the place decides the type.
pub(crate) fn emit_member_created(tx: &mut Tx, member: &Member) {
    let (member_key, after) = (member.key(), member.clone());
    match member.workspace_id {
        Some(_) => tx.emit(pb::WorkspaceMemberCreated { member_key, after: Some(after.into()) }),
        None => tx.emit(pb::OrganizationMemberCreated { member_key, after: Some(after.into()) }),
    }
}

pub(crate) fn emit_member_updated(tx: &mut Tx, before: &Member, after: &Member) {
    let (member_key, before, after) = (after.key(), before.clone(), after.clone());
    match after.workspace_id {
        Some(_) => tx.emit(pb::WorkspaceMemberUpdated { member_key, before: Some(before.into()), after: Some(after.into()) }),
        None => tx.emit(pb::OrganizationMemberUpdated { member_key, before: Some(before.into()), after: Some(after.into()) }),
    }
}

pub(crate) fn emit_member_deleted(tx: &mut Tx, member: &Member) {
    let (member_key, before) = (member.key(), member.clone());
    match member.workspace_id {
        Some(_) => tx.emit(pb::WorkspaceMemberDeleted { member_key, before: Some(before.into()) }),
        None => tx.emit(pb::OrganizationMemberDeleted { member_key, before: Some(before.into()) }),
    }
}

pub(crate) fn invitation_created(after: &Invitation, mail_wanted: bool) -> pb::InvitationCreated {
    let told = Some(told(after.clone(), after.update_time));
    pb::InvitationCreated { invitation_id: after.id.to_string(), after: told, mail_wanted }
}

pub(crate) fn invitation_resent(before: &Invitation, after: &Invitation) -> pb::InvitationResent {
    let (invitation_id, before, after) = invitation_change(before, after);
    pb::InvitationResent { invitation_id, before, after }
}

pub(crate) fn invitation_accepted(before: &Invitation, after: &Invitation) -> pb::InvitationAccepted {
    let (invitation_id, before, after) = invitation_change(before, after);
    pb::InvitationAccepted { invitation_id, before, after }
}

pub(crate) fn invitation_declined(before: &Invitation, after: &Invitation) -> pb::InvitationDeclined {
    let (invitation_id, before, after) = invitation_change(before, after);
    pb::InvitationDeclined { invitation_id, before, after }
}

pub(crate) fn invitation_revoked(before: &Invitation, after: &Invitation) -> pb::InvitationRevoked {
    let (invitation_id, before, after) = invitation_change(before, after);
    pb::InvitationRevoked { invitation_id, before, after }
}

/// Both as they stood at the moment of the change.
fn invitation_change(before: &Invitation, after: &Invitation) -> (String, Option<pb::Invitation>, Option<pb::Invitation>) {
    let now = after.update_time;
    (after.id.to_string(), Some(told(before.clone(), now)), Some(told(after.clone(), now)))
}

/// `former` are the keys that no longer sign: in an emergency those that signed before, too.
pub(crate) fn signing_key_rotated(former: &[SigningKey], after: &SigningKey) -> pb::SigningKeyRotated {
    let (key_id, after) = (after.key_id.clone(), Some(after.clone().into()));
    let before = former.iter().max_by_key(|key| key.activate_time).cloned().map(Into::into);
    pb::SigningKeyRotated { key_id, before, after, revocations: former.iter().filter_map(revocation).collect() }
}
