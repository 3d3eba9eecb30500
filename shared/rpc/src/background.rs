//! Callers that no call makes: a service at work on its own.
//!
//! The methods here that lend a caller another's face have no effect on the caller of a call, so that no handler can use them to get around
//! what `open` found.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use authz::{Authorizer, Workspaces};
use contract::common::v1::EventEnvelope;
use contract::{Authn, Exposure, Idempotency, MethodPolicy, Reach, Scope};
use runtime::{OrganizationId, UserId, WorkspaceId};

use crate::{CallContext, Caller, RequestKey, Subject};

/// How long background work without a deadline of its own may take.
const BACKGROUND_TIME: Duration = Duration::from_secs(30);

/// The policy of what no method asked for.
pub(crate) static BACKGROUND: MethodPolicy = MethodPolicy {
    path: "",
    service: "",
    name: "background",
    owner: "",
    authn: Authn::ServiceOnly,
    callers: &[],
    permission: None,
    scope: Scope::None,
    scope_field: None,
    audit_action: None,
    idempotency: Idempotency::None,
    deadline_default: BACKGROUND_TIME,
    deadline_max: BACKGROUND_TIME,
    exposure: Exposure::Internal,
    reasons: &[],
    server_streaming: false,
    step_up: None,
};

/// An authorizer that has no snapshot and gets none: whoever asks it is refused.
pub(crate) fn nobody() -> Authorizer {
    static NOBODY: LazyLock<Authorizer> = LazyLock::new(Authorizer::new);
    NOBODY.clone()
}

impl Caller {
    /// The service itself, at work on its own: an event that is taken in, a worker's round. It reaches everything of `organization`, and
    /// what it writes is told as caused by `cause`.
    pub fn background(service: &'static str, organization: OrganizationId, cause: Option<&EventEnvelope>) -> Self {
        let context = CallContext::current().filter(|context| std::ptr::eq(context.policy, &BACKGROUND));
        let deadline = context.map(|context| context.deadline());
        let mut context = CallContext::background(service, cause, BACKGROUND_TIME);
        context.deadline = deadline.unwrap_or(context.deadline);
        let subject = context.subject.clone();
        let (reach, workspaces) = (Reach::Any, Some(Workspaces::All));
        Self { context: Arc::new(context), subject, organization, workspace: None, reach, request: None, workspaces }
    }

    /// Background work on behalf of `user`: an event of theirs that is taken in, a fixture of a test. Rows of class USER and the actor of what
    /// is written are the user's. It has no effect on the caller of a call, who is known.
    #[must_use]
    pub fn acting_as(&self, user: UserId) -> Self {
        let subject = if self.is_background() { Subject::User(user) } else { self.subject.clone() };
        Self { subject, ..self.clone() }
    }

    /// Background work that sees rows of these workspaces alone. It has no effect on the caller of a call.
    #[must_use]
    pub fn within(&self, workspaces: Vec<WorkspaceId>) -> Self {
        let workspaces = if self.is_background() { Some(Workspaces::These(workspaces)) } else { None };
        Self { workspaces, ..self.clone() }
    }

    /// Background work whose answer is kept under `request`, so that a repeat has no second effect. It has no effect on the caller of a call.
    #[must_use]
    pub fn with_request(&self, request: RequestKey) -> Self {
        let request = if self.is_background() { Some(request) } else { self.request };
        Self { request, ..self.clone() }
    }

    pub(crate) fn is_background(&self) -> bool {
        std::ptr::eq(self.context.policy, &BACKGROUND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::test_context;

    #[test]
    fn background_work_follows_from_its_cause() {
        let event_id = runtime::Ids::system().next();
        let cause = EventEnvelope { event_id: event_id.to_string(), request_id: "r-1".into(), ..EventEnvelope::default() };
        let caller = Caller::background("audit", OrganizationId::SYSTEM, Some(&cause));
        assert_eq!((caller.causation_id(), caller.correlation_id(), caller.method()), (Some(event_id), "r-1", "audit"));
        assert_eq!((caller.workspaces(), caller.reach(), caller.audit_action()), (Workspaces::All, Reach::Any, None));
        assert!(!caller.is_system_admin() && !caller.authorizer().is_ready());
    }

    #[test]
    fn nobody_s_face_can_be_lent_to_the_caller_of_a_call() {
        let user: UserId = runtime::Ids::system().next_id();
        let call = Caller::of_call(Arc::new(test_context("/muster.tasks.v1.ProductService/GetProduct")), None, Reach::Own, None);
        let key = RequestKey { request_id: user.uuid(), body_sha256: [0; 32] };
        let lent = call.acting_as(user).with_request(key).within(vec![WorkspaceId::nil()]);
        assert_eq!((lent.subject(), lent.request(), lent.workspaces()), (&Subject::Anonymous, None, Workspaces::These(vec![])));
        let worker =
            Caller::background("audit", OrganizationId::SYSTEM, None).acting_as(user).with_request(key).within(vec![WorkspaceId::nil()]);
        assert_eq!((worker.user_id().ok(), worker.request()), (Some(user), Some(&key)));
        assert_eq!(worker.workspaces(), Workspaces::These(vec![WorkspaceId::nil()]));
    }
}
