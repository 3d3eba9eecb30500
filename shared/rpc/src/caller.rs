//! The caller of a call, and what it may.
//!
//! Deliberately absent: the callers that no call makes (`background`), and roles. A caller holds a permission at a scope with a reach, and a row is within that reach or not.

use std::borrow::Cow;
use std::sync::Arc;

use authz::{Authorizer, Resource, Workspaces};
use contract::{MethodPolicy, Reach, StepUp};
use runtime::{OrganizationId, SessionId, UserId, WorkspaceId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{CallContext, Deadline, Error, step_up};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A user, by a verified access token.
    User(UserId),
    /// A service of the suite, by a verified peer token, or this service itself in background work.
    Service(Cow<'static, str>),
    /// Anybody.
    Anonymous,
}

/// The caller's key for a safe repeat of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// What the caller sent as `request_id`.
    pub request_id: Uuid,
    /// SHA-256 of the request as it was validated: another body under the same id is `REQUEST_ID_REUSED`.
    pub body_sha256: [u8; 32],
}

/// The caller of one call, as far as `open` went: known, and permitted at the scope the method declares. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) context: Arc<CallContext>,
    pub(crate) subject: Subject,
    pub(crate) organization: OrganizationId,
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) reach: Reach,
    pub(crate) request: Option<RequestKey>,
    /// The workspaces of background work; a call's are found when they are asked for.
    pub(crate) workspaces: Option<Workspaces>,
}

impl Caller {
    pub(crate) fn of_call(context: Arc<CallContext>, workspace: Option<WorkspaceId>, reach: Reach, request: Option<RequestKey>) -> Self {
        let organization = context.token.as_ref().map_or(OrganizationId::SYSTEM, |token| token.organization_id);
        let subject = context.subject.clone();
        Self { context, subject, organization, workspace, reach, request, workspaces: None }
    }

    /// The same caller as the user that it just proved to be: by a password, or by a token of the service's own making. Rows of class USER and
    /// the actor of what is written are the user's. Nothing is checked here, so only public methods may use it, after their own checks. It
    /// has no effect on a user; a service that passes the proof on (the gateway, say) speaks for the user.
    #[must_use]
    pub fn proven_as(&self, user: UserId) -> Self {
        let subject = if let Subject::User(_) = self.subject { self.subject.clone() } else { Subject::User(user) };
        Self { subject, ..self.clone() }
    }

    /// The same caller in another organization: for the one that was just created, the one that a session is switched to, the one that
    /// a mailed invitation is about, and none for an account, which belongs to none. Nothing is checked here, so only CreateOrganization,
    /// SwitchContext, who holds an invitation's token (or mails it) and who changes their own account may use it, after their own checks.
    #[must_use]
    pub fn with_organization(&self, organization: OrganizationId) -> Self {
        Self { organization, workspace: None, ..self.clone() }
    }

    /// Who calls.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The user who calls.
    ///
    /// # Errors
    /// `CREDENTIALS_MISSING` when no user does.
    pub fn user_id(&self) -> Result<UserId, Error> {
        if let Subject::User(user) = self.subject { Ok(user) } else { Err(Error::CredentialsMissing) }
    }

    /// The tenant: the organization of the token; the system organization for services and anonymous callers.
    pub fn organization_id(&self) -> OrganizationId {
        self.organization
    }

    /// The workspace that the request names, for methods of scope WORKSPACE.
    pub fn workspace_id(&self) -> Option<WorkspaceId> {
        self.workspace
    }

    /// The workspace that the token is narrowed to.
    pub fn token_workspace_id(&self) -> Option<WorkspaceId> {
        self.context.token.as_ref().and_then(|token| token.workspace_id)
    }

    /// The session of the token.
    pub fn session_id(&self) -> Option<SessionId> {
        self.context.token.as_ref().map(|token| token.session_id)
    }

    /// How surely the token's session is its user's (authenticator assurance level): 1 by password, 2 by a second factor too; `None` without
    /// a token.
    pub fn aal(&self) -> Option<u8> {
        self.context.token.as_ref().map(|token| token.aal)
    }

    /// When the token's session last was authenticated, to the second, as far as the token says.
    pub fn auth_time(&self) -> Option<OffsetDateTime> {
        self.context.token.as_ref().and_then(|token| token.auth_time)
    }

    /// Asks for a session that was authenticated as surely and as lately as `step_up` says, where not the method alone decides but what the caller
    /// has.
    ///
    /// # Errors
    /// `STEP_UP_REQUIRED`.
    pub fn require_step_up(&self, step_up: StepUp) -> Result<(), Error> {
        step_up::require(&self.context, step_up)
    }

    /// The policy of the method.
    pub fn policy(&self) -> &'static MethodPolicy {
        self.context.policy
    }

    /// The path of the method; for background work the name of the service.
    pub fn method(&self) -> &str {
        match &self.context.subject {
            Subject::Service(service) if self.is_background() => service,
            _ => self.context.policy.path,
        }
    }

    /// What the audit trail calls the act; `None` for reads and background work.
    pub fn audit_action(&self) -> Option<&'static str> {
        self.context.policy.audit_action
    }

    /// How far the method's permission reaches for this caller: it was found by `open`.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// The key for a safe repeat; there when the method's policy has one and the caller sent it.
    pub fn request(&self) -> Option<&RequestKey> {
        self.request.as_ref()
    }

    /// The `x-request-id` of the call.
    pub fn correlation_id(&self) -> &str {
        self.context.request_id()
    }

    /// The W3C `traceparent` of the call.
    pub fn traceparent(&self) -> &str {
        self.context.traceparent()
    }

    /// The event that background work follows from.
    pub fn causation_id(&self) -> Option<Uuid> {
        self.context.causation_id
    }

    /// The service that called, when one did: on its own behalf, or passing a user's call on.
    pub fn peer(&self) -> Option<&str> {
        self.context.peer.as_deref()
    }

    /// The caller's network address without port: what the gateway says, else the socket's.
    pub fn client_address(&self) -> Option<&str> {
        self.context.client_address.as_deref()
    }

    /// The caller's user agent: what the gateway says, else the header's.
    pub fn user_agent(&self) -> Option<&str> {
        self.context.user_agent.as_deref()
    }

    /// When the call's time runs out.
    pub fn deadline(&self) -> Deadline {
        self.context.deadline
    }

    /// The authorizer of this process; in background work one that knows nobody.
    pub fn authorizer(&self) -> &Authorizer {
        &self.context.authorizer
    }

    /// Whether the caller is a system admin.
    pub fn is_system_admin(&self) -> bool {
        self.user_id().is_ok_and(|user| self.authorizer().is_system_admin(user))
    }

    /// The workspaces of the tenant whose rows the caller may see: all for organization-wide roles and for services, the one of the token
    /// when it is narrowed and reached, none for anonymous callers.
    pub fn workspaces(&self) -> Workspaces {
        if let Some(workspaces) = &self.workspaces {
            return workspaces.clone();
        }
        let user = match self.subject {
            Subject::User(user) => user,
            Subject::Service(_) => return Workspaces::All,
            Subject::Anonymous => return Workspaces::These(Vec::new()),
        };
        let reached = self.authorizer().workspaces(user, self.organization);
        match (self.token_workspace_id(), reached) {
            (None, reached) => reached,
            (Some(narrowed), Workspaces::All) => Workspaces::These(vec![narrowed]),
            (Some(narrowed), Workspaces::These(reached)) => Workspaces::These(reached.into_iter().filter(|one| *one == narrowed).collect()),
        }
    }

    /// Requires that `resource` is within the reach that the method's permission has for this caller: any, assigned (or own), own.
    ///
    /// Every use case that touches a row calls it with what the row says of itself, and a row type says that in one place. What it decides for
    /// a permission of reach ASSIGNED, and how a new way to reach a row will look, here a grant on the single resource: one field more in the
    /// row and one branch more in the guard. No call site changes.
    ///
    /// ```
    /// use authz::{Assignment, Authorizer, Delta, Query, Resource, RoleScope, Snapshot, Workspace};
    /// use contract::{BaseRole, Permission};
    /// use runtime::{Ids, OrganizationId, UserId, WorkspaceId};
    ///
    /// struct WorkItem {
    ///     reporter_id: UserId,
    ///     assignee_ids: Vec<UserId>,
    ///     grants: Vec<(UserId, Permission)>,
    /// }
    ///
    /// impl WorkItem {
    ///     /// What decides who reaches this item.
    ///     fn resource(&self) -> Resource<'_> {
    ///         Resource { owner: Some(self.reporter_id), assignees: &self.assignee_ids }
    ///     }
    /// }
    ///
    /// /// A call site, which stays as it is.
    /// fn transition(caller: &rpc::Caller, item: &WorkItem) -> Result<(), rpc::Error> {
    ///     caller.require(&item.resource())
    /// }
    ///
    /// let ids = Ids::system();
    /// let [ana, vic]: [UserId; 2] = std::array::from_fn(|_| ids.next_id());
    /// let (organization, workspace): (OrganizationId, WorkspaceId) = (ids.next_id(), ids.next_id());
    /// let viewer = |user| Assignment { user, scope: RoleScope::Workspace(organization, workspace), role: Some(BaseRole::Viewer), version: 1 };
    /// let roles = Delta { assignments: vec![viewer(ana), viewer(vic)], workspaces: vec![Workspace { organization, workspace }] };
    /// let engine = Authorizer::new();
    /// engine.install(Snapshot::of(1, &roles));
    ///
    /// // The guard: the engine decides by role and row, as `require` does; a grant on the row is asked after it.
    /// let may = |user, permission, item: &WorkItem| {
    ///     let query = Query { user, permission, organization, workspace: Some(workspace), resource: &item.resource() };
    ///     engine.check(&query).allowed || item.grants.contains(&(user, permission))
    /// };
    ///
    /// // What a service does by itself, in the background, reaches every row.
    /// let mut item = WorkItem { reporter_id: ids.next_id(), assignee_ids: vec![vic], grants: vec![] };
    /// assert!(transition(&rpc::Caller::background("tasks", organization, None), &item).is_ok());
    ///
    /// // A viewer transitions what is assigned to them, and nothing else.
    /// let to_transition = Permission::TasksWorkItemTransition;
    /// assert!(may(vic, to_transition, &item) && !may(ana, to_transition, &item));
    /// item.assignee_ids.clear();
    /// assert!(!may(vic, to_transition, &item));
    ///
    /// // A grant on this item is good for what it names, for whom it names, on this item.
    /// item.grants.push((ana, to_transition));
    /// assert!(may(ana, to_transition, &item) && !may(vic, to_transition, &item));
    /// assert!(!may(ana, Permission::TasksWorkItemDelete, &item));
    /// let other = WorkItem { reporter_id: ids.next_id(), assignee_ids: vec![], grants: vec![] };
    /// assert!(!may(ana, to_transition, &other));
    /// ```
    ///
    /// # Errors
    /// `PERMISSION_DENIED`.
    pub fn require(&self, resource: &Resource<'_>) -> Result<(), Error> {
        if self.reach == Reach::Any {
            return Ok(());
        }
        let user = self.user_id().map_err(|_| Error::Denied)?;
        let own = resource.owner == Some(user);
        let assigned = self.reach == Reach::Assigned && resource.assignees.contains(&user);
        if own || assigned { Ok(()) } else { Err(Error::Denied) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::test_context;

    fn may(reach: Reach, user: UserId, resource: &Resource<'_>) -> bool {
        let mut context = test_context("/muster.tasks.v1.WorkItemService/DeleteWorkItem");
        context.subject = Subject::User(user);
        Caller::of_call(Arc::new(context), None, reach, None).require(resource).is_ok()
    }

    #[test]
    fn a_row_is_reached_by_its_owner_its_assignees_or_all() {
        let [ana, ben, eve]: [UserId; 3] = std::array::from_fn(|_| runtime::Ids::system().next_id());
        let assignees = [ben];
        let item = Resource { owner: Some(ana), assignees: &assignees };
        let who = |reach| [ana, ben, eve].map(|user| may(reach, user, &item));
        assert_eq!(who(Reach::Own), [true, false, false]);
        assert_eq!(who(Reach::Assigned), [true, true, false]);
        assert_eq!(who(Reach::Any), [true, true, true]);
        assert_eq!(who(Reach::Unspecified), [true, false, false]);
        assert!(!may(Reach::Own, ana, &Resource::NONE), "nobody's is not everybody's");
    }
}
