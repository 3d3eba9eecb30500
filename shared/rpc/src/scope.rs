//! Whether a caller holds the permission of a method at the scope the method declares. No I/O: the embedded authorizer knows.

use authz::Held;
use contract::{Authn, Permission, Reach, Scope};
use runtime::{OrganizationId, UserId, WorkspaceId};

use crate::authn::AccessToken;
use crate::{CallContext, Error, Subject};

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) reach: Reach,
    pub(crate) workspace: Option<WorkspaceId>,
}

/// Checks the call of `context`, whose request names its scope by `scope_id`.
pub(crate) fn check(context: &CallContext, scope_id: Option<&str>) -> Result<Found, Error> {
    let policy = context.policy;
    let token = match policy.authn {
        Authn::Required => context.token.as_deref().ok_or(Error::CredentialsMissing)?,
        Authn::ServiceOnly if matches!(context.subject, Subject::Service(_)) => return Ok(Found { reach: Reach::Any, workspace: None }),
        Authn::ServiceOnly => return Err(Error::PeerTokenInvalid),
        Authn::Public => return Ok(Found { reach: Reach::Own, workspace: None }),
        Authn::Unspecified => return Err(Error::Internal(format!("{} does not say who may call", policy.path))),
    };
    let Some(permission) = policy.permission else {
        return Ok(Found { reach: Reach::Own, workspace: None });
    };
    if !context.authorizer.is_ready() {
        return Err(Error::NotReady);
    }
    let organization = if policy.scope == Scope::System { OrganizationId::SYSTEM } else { token.organization_id };
    let is_known = context.authorizer.is_current(organization) && (!policy.is_sensitive() || context.authorizer.is_current_to_the_second());
    if !is_known {
        return Err(Error::AuthorizationStale);
    }
    match policy.scope {
        Scope::System if context.authorizer.is_system_admin(token.user_id) => Ok(Found { reach: Reach::Any, workspace: None }),
        Scope::System => Err(Error::Denied),
        Scope::Organization => in_organization(context, token, permission, scope_id),
        Scope::Workspace => in_workspace(context, token, permission, scope_id),
        Scope::None | Scope::Self_ | Scope::Unspecified => Err(Error::Internal(format!("{} has a permission and no scope", policy.path))),
    }
}

fn in_organization(context: &CallContext, token: &AccessToken, permission: Permission, scope_id: Option<&str>) -> Result<Found, Error> {
    let organization = token.organization_id;
    if let Some(named) = scope_id
        && named.parse::<OrganizationId>() != Ok(organization)
    {
        return Err(Error::OrganizationNotFound);
    }
    match held(context, token.user_id, permission, organization, None) {
        Held::Yes { reach, .. } => Ok(Found { reach, workspace: None }),
        Held::No { knows_scope: false } if scope_id.is_some() => Err(Error::OrganizationNotFound),
        Held::No { .. } => Err(Error::Denied),
    }
}

fn in_workspace(context: &CallContext, token: &AccessToken, permission: Permission, scope_id: Option<&str>) -> Result<Found, Error> {
    let workspace = scope_id.and_then(|id| id.parse::<WorkspaceId>().ok()).ok_or(Error::WorkspaceNotFound)?;
    let narrowed_away = token.workspace_id.is_some_and(|narrowed| narrowed != workspace);
    if narrowed_away || !context.authorizer.has_workspace(token.organization_id, workspace) {
        return Err(Error::WorkspaceNotFound);
    }
    match held(context, token.user_id, permission, token.organization_id, Some(workspace)) {
        Held::Yes { reach, .. } => Ok(Found { reach, workspace: Some(workspace) }),
        Held::No { knows_scope: true } => Err(Error::Denied),
        Held::No { knows_scope: false } => Err(Error::WorkspaceNotFound),
    }
}

fn held(context: &CallContext, user: UserId, permission: Permission, organization: OrganizationId, workspace: Option<WorkspaceId>) -> Held {
    context.authorizer.reach(user, permission, organization, workspace)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use authz::{Delta, Snapshot, Workspace};
    use runtime::{Ids, SessionId};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::context::test_context;
    use crate::error::Fault;

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_older_than_a_minute_decides_nothing() {
        let (organization, workspace): (OrganizationId, WorkspaceId) = (Ids::system().next_id(), Ids::system().next_id());
        let user: UserId = Ids::system().next_id();
        let mut context = test_context("/muster.tasks.v1.ProductService/GetProduct");
        let (issue_time, expire_time) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
        let token = AccessToken {
            key_id: "k1".into(),
            user_id: user,
            session_id: SessionId::nil(),
            organization_id: organization,
            workspace_id: None,
            aal: 1,
            auth_time: None,
            issue_time,
            expire_time,
        };
        context.token = Some(Arc::new(token));
        let reason = |context: &CallContext| check(context, Some(&workspace.to_string())).unwrap_err().status().1.wire;
        assert_eq!(reason(&context), "NOT_READY");
        let everything = Delta { assignments: vec![], workspaces: vec![Workspace { organization, workspace }] };
        context.authorizer.install(Snapshot::of(1, &everything));
        assert_eq!(reason(&context), "AUTHORIZATION_STALE", "nobody vouches for it");
        context.authorizer.vouch(Duration::ZERO, std::collections::BTreeSet::new());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(reason(&context), "WORKSPACE_NOT_FOUND", "a decision");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(reason(&context), "AUTHORIZATION_STALE");
        context.authorizer.vouch(Duration::from_secs(61), std::collections::BTreeSet::new());
        assert_eq!(reason(&context), "AUTHORIZATION_STALE", "a sign of life from somebody who is behind");
        context.authorizer.vouch(Duration::ZERO, std::collections::BTreeSet::from([Uuid::from_u128(99).into()]));
        assert_eq!(reason(&context), "WORKSPACE_NOT_FOUND", "a decision: another organization is blocked");
        context.authorizer.vouch(Duration::ZERO, std::collections::BTreeSet::from([organization]));
        assert_eq!(reason(&context), "AUTHORIZATION_STALE");
        context.authorizer.vouch(Duration::ZERO, std::collections::BTreeSet::from([OrganizationId::SYSTEM]));
        assert_eq!(reason(&context), "AUTHORIZATION_STALE", "all are blocked");
    }
}
