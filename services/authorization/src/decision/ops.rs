//! What one can ask.

use authz::{Authorizer, Decision, Query, Resource, Snapshot, Workspaces};
use contract::authorization::v1::DecisionCause;
use contract::{Permission, Reach};
use rpc::Caller;
use runtime::{OrganizationId, UserId, WorkspaceId};

use super::{At, Question};
use crate::Error;

/// The use cases of decisions.
#[derive(Clone, Debug)]
pub struct Ops {
    authorizer: Authorizer,
}

impl Ops {
    /// Over the authorizer of this process.
    pub fn new(authorizer: Authorizer) -> Self {
        Self { authorizer }
    }

    /// Answers one question.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` when the caller may ask about itself alone and asks about somebody else.
    pub fn check(&self, caller: &Caller, question: &Question) -> Result<At<Decision>, Error> {
        self.at(|snapshot| answer(snapshot, caller, question))
    }

    /// Answers many questions at one revision, each as [`check`](Self::check) does.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, as for one.
    pub fn batch_check(&self, caller: &Caller, questions: &[Question]) -> Result<At<Vec<Decision>>, Error> {
        self.at(|snapshot| questions.iter().map(|question| answer(snapshot, caller, question)).collect())
    }

    /// What a subject holds at a scope, by name.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`; `SUBJECT_NOT_FOUND` for somebody else who holds no role in the organization.
    pub fn permissions(
        &self,
        caller: &Caller,
        user_id: Option<UserId>,
        workspace_id: Option<WorkspaceId>,
    ) -> Result<At<Vec<(Permission, Reach)>>, Error> {
        self.at(|snapshot| {
            let subject = subject(caller, user_id)?;
            if !may_know(snapshot, caller, subject) {
                return Err(Error::SubjectNotFound);
            }
            Ok(snapshot.permissions(subject, caller.organization_id(), workspace_id))
        })
    }

    fn at<T>(&self, f: impl FnOnce(&Snapshot) -> Result<T, Error>) -> Result<At<T>, Error> {
        let staleness = self.authorizer.staleness();
        let snapshot = self.authorizer.snapshot();
        Ok(At { value: f(&snapshot)?, revision: snapshot.revision(), staleness })
    }
}

/// The one way to an answer.
///
/// A subject without a role in the organization is answered as an outsider, also a system admin: an organization's admin may ask about anybody,
/// and is not told who runs the suite.
fn answer(snapshot: &Snapshot, caller: &Caller, question: &Question) -> Result<Decision, Error> {
    let subject = subject(caller, question.user_id)?;
    if !may_know(snapshot, caller, subject) {
        return Ok(Decision { allowed: false, cause: DecisionCause::NoRole, role: None });
    }
    let resource = Resource { owner: question.owner_id, assignees: &question.assignee_ids };
    Ok(snapshot.check(&Query {
        user: subject,
        permission: question.permission,
        organization: caller.organization_id(),
        workspace: question.workspace_id,
        resource: &resource,
    }))
}

/// Whom it is about: the caller, or whom the caller may ask about.
fn subject(caller: &Caller, user_id: Option<UserId>) -> Result<UserId, Error> {
    let subject = match user_id {
        Some(user_id) => user_id,
        None => caller.user_id()?,
    };
    caller.require(&Resource::of(subject))?;
    Ok(subject)
}

fn may_know(snapshot: &Snapshot, caller: &Caller, subject: UserId) -> bool {
    let own = caller.user_id().is_ok_and(|user_id| user_id == subject || snapshot.is_system_admin(user_id));
    own || belongs(snapshot, subject, caller.organization_id())
}

/// Whether the subject holds a role in the organization, or in some workspace of it.
fn belongs(snapshot: &Snapshot, subject: UserId, organization_id: OrganizationId) -> bool {
    let wide = snapshot.organization_role(subject, organization_id).is_some();
    wide || matches!(snapshot.workspaces(subject, organization_id), Workspaces::These(workspaces) if !workspaces.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use authz::{Assignment, Delta, RoleScope, Workspace};
    use contract::BaseRole;
    use uuid::Uuid;

    fn user(n: u128) -> UserId {
        Uuid::from_u128(n).into()
    }

    fn home() -> OrganizationId {
        Uuid::from_u128(0x10).into()
    }

    fn attic() -> WorkspaceId {
        Uuid::from_u128(0x20).into()
    }

    /// 1 is an admin of the organization, 2 a viewer of the attic, 3 a system admin, 4 nobody.
    fn snapshot() -> Snapshot {
        let held = |user, scope, role| Assignment { user, scope, role: Some(role), version: 1 };
        let assignments = vec![
            held(user(1), RoleScope::Organization(home()), BaseRole::Admin),
            held(user(2), RoleScope::Workspace(home(), attic()), BaseRole::Viewer),
            held(user(3), RoleScope::System, BaseRole::Owner),
        ];
        Snapshot::of(7, &Delta { assignments, workspaces: vec![Workspace { organization: home(), workspace: attic() }] })
    }

    fn asks(caller: UserId, subject: UserId, permission: Permission) -> Decision {
        let caller = Caller::background("authorization", home(), None).acting_as(caller);
        let question =
            Question { user_id: Some(subject), permission, workspace_id: Some(attic()), owner_id: None, assignee_ids: Vec::new() };
        answer(&snapshot(), &caller, &question).unwrap()
    }

    #[test]
    fn an_admin_hears_what_members_may() {
        assert!(asks(user(1), user(2), Permission::TasksWorkItemGet).allowed);
        let refused = asks(user(1), user(2), Permission::TasksWorkItemDelete);
        assert_eq!((refused.allowed, refused.cause), (false, DecisionCause::NotHeld));
    }

    #[test]
    fn an_admin_of_an_organization_is_not_told_who_is_an_admin_of_the_system() {
        let about_system_admin = asks(user(1), user(3), Permission::TasksWorkItemGet);
        assert_eq!(about_system_admin, asks(user(1), user(4), Permission::TasksWorkItemGet));
        assert_eq!(about_system_admin.cause, DecisionCause::NoRole);
        assert_eq!(asks(user(3), user(3), Permission::TasksWorkItemGet).cause, DecisionCause::SystemRole);
    }

    #[test]
    fn an_unnamed_subject_is_the_caller_and_a_service_is_none() {
        let service = Caller::background("authorization", home(), None);
        assert_eq!(subject(&service.acting_as(user(2)), None).unwrap(), user(2));
        assert!(matches!(subject(&service, None), Err(Error::Rpc(rpc::Error::CredentialsMissing))));
    }

    #[test]
    fn a_batch_answers_each_question_as_alone_and_all_at_one_revision() {
        let authorizer = Authorizer::new();
        authorizer.install(snapshot());
        let ops = Ops::new(authorizer);
        let caller = Caller::background("authorization", home(), None).acting_as(user(1));
        let question = |n, permission| Question {
            user_id: Some(user(n)),
            permission,
            workspace_id: Some(attic()),
            owner_id: None,
            assignee_ids: Vec::new(),
        };
        let questions: Vec<Question> =
            (1..5).flat_map(|n| Permission::ALL.iter().map(move |permission| question(n, *permission))).collect();
        let batch = ops.batch_check(&caller, &questions).unwrap();
        let alone: Vec<Decision> = questions.iter().map(|question| ops.check(&caller, question).unwrap().value).collect();
        assert_eq!((batch.value, batch.revision), (alone, 7));
    }

    #[test]
    fn permissions_of_an_outsider_are_not_found() {
        let authorizer = Authorizer::new();
        authorizer.install(snapshot());
        let ops = Ops::new(authorizer);
        let caller = Caller::background("authorization", home(), None).acting_as(user(1));
        assert!(matches!(ops.permissions(&caller, Some(user(4)), None), Err(Error::SubjectNotFound)));
        assert_eq!(ops.permissions(&caller, Some(user(2)), None).unwrap().value, []);
        assert!(!ops.permissions(&caller, Some(user(2)), Some(attic())).unwrap().value.is_empty());
    }
}
