//! The policy of every RPC, as its `muster.annotations.v1.method` option states it.
//!
//! Deliberately absent: grpc.health.v1 and server reflection, which carry no policy; the server stack treats them by name.

use std::time::Duration;

use crate::{Authn, Exposure, Idempotency, Permission, Scope};

/// What a call of one RPC needs and may do.
#[derive(Debug)]
pub struct MethodPolicy {
    /// The path on the wire: `/muster.tasks.v1.WorkItemService/CreateWorkItem`.
    pub path: &'static str,
    /// The full name of its service: `muster.tasks.v1.WorkItemService`.
    pub service: &'static str,
    /// Its name: `CreateWorkItem`.
    pub name: &'static str,
    /// The service of the suite that serves it: `tasks`; `common` for what every one serves.
    pub owner: &'static str,
    /// Who may call at all.
    pub authn: Authn,
    /// Which peers may call, by the names in their peer tokens; there exactly when `authn` is SERVICE_ONLY.
    pub callers: &'static [&'static str],
    /// What the caller must hold at `scope`; there exactly when the scope is SYSTEM, ORGANIZATION or WORKSPACE.
    pub permission: Option<Permission>,
    /// Where the permission must be held.
    pub scope: Scope,
    /// The request field that names the scope; see [`RequestMessage::scope_id`](crate::RequestMessage::scope_id).
    pub scope_field: Option<&'static str>,
    /// What the audit trail calls the act; there whenever the method has side effects.
    pub audit_action: Option<&'static str>,
    /// What a repeated call does.
    pub idempotency: Idempotency,
    /// The deadline of a caller who states none.
    pub deadline_default: Duration,
    /// The longest deadline; for a stream its longest life.
    pub deadline_max: Duration,
    /// Who may reach it from outside the suite.
    pub exposure: Exposure,
    /// Wire names of the reasons it may answer beside those any method may.
    pub reasons: &'static [&'static str],
    /// Whether it answers with a stream.
    pub server_streaming: bool,
    /// How the caller's session must have been authenticated; there only when `authn` is REQUIRED.
    pub step_up: Option<StepUp>,
}

impl MethodPolicy {
    /// Whether it is one that a session which was just ended, or a role that was just taken away, must never get through: it asks for a fresh
    /// authentication, or changes what is the whole suite's. Such a call is served only while revocations are known to the second
    /// (`REVOCATIONS_STALE`), and roles where it asks for a permission (`AUTHORIZATION_STALE`).
    pub fn is_sensitive(&self) -> bool {
        self.step_up.is_some() || (self.scope == Scope::System && self.idempotency != Idempotency::NoSideEffects)
    }
}

/// How surely and how lately a session must have been authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepUp {
    /// The greatest age of the last authentication.
    pub max_age: Duration,
    /// The least authenticator assurance level: 1 or 2.
    pub aal: u8,
}

include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// The policy of the RPC at `path`, as `/muster.tasks.v1.WorkItemService/CreateWorkItem`; `None` for a path of no RPC of the suite.
pub fn method(path: &str) -> Option<&'static MethodPolicy> {
    METHODS.binary_search_by(|policy| policy.path.cmp(path)).ok().map(|index| &METHODS[index])
}
