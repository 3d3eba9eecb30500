//! Permissions at the scope that a method declares.

use authz::{Assignment, Authorizer, Delta, RoleScope, Workspace, Workspaces};
use contract::identity::v1::{CreateOrganizationRequest, GetOrganizationRequest, ListSigningKeysRequest, RotateSigningKeyRequest};
use contract::tasks::v1::CreateProductRequest;
use contract::{BaseRole, Reach};
use rpc::authn::SENSITIVE_STALENESS_MAX;
use runtime::{OrganizationId, UserId, WorkspaceId};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::app::{App, With, fresh, is, outcome};
use crate::tokens::Claims;

fn ok() -> (Code, String) {
    is(Code::Ok, "OK")
}

fn denied() -> (Code, String) {
    is(Code::PermissionDenied, "PERMISSION_DENIED")
}

fn no_workspace() -> (Code, String) {
    is(Code::NotFound, "WORKSPACE_NOT_FOUND")
}

async fn create(app: &App, user: UserId) -> (Code, String) {
    let (workspace_id, key, display_name) = (app.workspace.to_string(), "ABC".to_owned(), "Shed".to_owned());
    let request = Request::new(CreateProductRequest { workspace_id, key, display_name, request_id: String::new() });
    outcome(&app.products().create_product(request.with("authorization", &format!("Bearer {}", app.token(user)))).await)
}

#[tokio::test]
async fn who_holds_the_permission_at_the_workspace_is_served() {
    let app = App::start().await;
    for user in [app.member, app.viewer, app.admin] {
        assert_eq!(app.outcome(app.get_by(&app.token(user))).await, ok());
        let caller = app.seen().caller;
        assert_eq!((caller.workspace_id(), caller.reach(), caller.organization_id()), (Some(app.workspace), Reach::Any, app.organization));
    }
}

#[tokio::test]
async fn a_role_without_the_permission_is_told_so_and_no_role_is_told_nothing() {
    let app = App::start().await;
    assert_eq!(create(&app, app.viewer).await, denied());
    assert_eq!(create(&app, fresh()).await, no_workspace());
    assert_eq!(create(&app, app.member).await, ok());
    assert_eq!(app.ran(), 1);
}

#[tokio::test]
async fn a_workspace_of_another_organization_looks_like_none() {
    let app = App::start().await;
    let (theirs, workspace): (OrganizationId, WorkspaceId) = (fresh(), fresh());
    app.authorizer.apply(2, &Delta { assignments: vec![], workspaces: vec![Workspace { organization: theirs, workspace }] });
    for user in [app.member, app.admin] {
        let bearer = format!("Bearer {}", app.token(user));
        assert_eq!(app.outcome(app.get_in(workspace).with("authorization", &bearer)).await, no_workspace());
        assert_eq!(app.outcome(app.get_in(fresh()).with("authorization", &bearer)).await, no_workspace());
    }
    let entered = app.signer.sign(&Claims { org: theirs.to_string(), ..app.claims(app.admin) });
    assert_eq!(
        app.outcome(app.get_in(workspace).with("authorization", &format!("Bearer {entered}"))).await,
        ok(),
        "an admin who entered it"
    );
}

#[tokio::test]
async fn a_token_for_one_workspace_opens_no_other() {
    let app = App::start().await;
    let other: WorkspaceId = fresh();
    app.authorizer
        .apply(2, &Delta { assignments: vec![], workspaces: vec![Workspace { organization: app.organization, workspace: other }] });
    let sign = |workspace| app.signer.sign(&app.claims(app.member).narrowed_to(workspace));
    assert_eq!(app.outcome(app.get_by(&sign(app.workspace))).await, ok());
    assert_eq!(app.seen().caller.workspaces(), Workspaces::These(vec![app.workspace]));
    assert_eq!(app.outcome(app.get_by(&sign(other))).await, no_workspace());
    assert_eq!(app.outcome(app.get()).await, ok());
    assert_eq!(app.seen().caller.workspaces(), Workspaces::All);
    assert_eq!(app.outcome(app.get_by(&app.token(app.viewer))).await, ok());
    assert_eq!(app.seen().caller.workspaces(), Workspaces::These(vec![app.workspace]));
}

#[tokio::test]
async fn an_organization_is_the_token_s_or_none() {
    let app = App::start().await;
    let get = async |user: UserId, organization: OrganizationId| {
        let request = Request::new(GetOrganizationRequest { organization_id: organization.to_string() });
        let request = request.with("authorization", &format!("Bearer {}", app.token(user)));
        outcome(&app.organizations().get_organization(request).await)
    };
    let none = is(Code::NotFound, "ORGANIZATION_NOT_FOUND");
    assert_eq!(get(app.member, app.organization).await, ok());
    assert_eq!(get(app.member, fresh()).await, none);
    assert_eq!(get(app.admin, fresh()).await, none);
    assert_eq!(get(fresh(), app.organization).await, none, "an outsider with a token for it");
}

#[tokio::test]
async fn the_system_is_for_system_admins() {
    let app = App::start().await;
    let list = async |user: UserId| {
        let request = Request::new(ListSigningKeysRequest {}).with("authorization", &format!("Bearer {}", app.token(user)));
        outcome(&app.key_service().list_signing_keys(request).await)
    };
    assert_eq!(list(app.admin).await, ok());
    assert!(app.seen().caller.is_system_admin());
    assert_eq!(list(app.member).await, denied());
}

#[tokio::test]
async fn what_concerns_the_caller_alone_needs_no_role() {
    let app = App::start().await;
    let create = CreateOrganizationRequest { slug: "acme".into(), display_name: "Acme".into(), request_id: String::new() };
    let request = Request::new(create).with("authorization", &format!("Bearer {}", app.token(fresh())));
    assert_eq!(outcome(&app.organizations().create_organization(request).await), ok());
    let caller = app.seen().caller;
    let theirs: OrganizationId = fresh();
    assert_eq!((caller.with_organization(theirs).organization_id(), caller.organization_id()), (theirs, app.organization));
}

#[tokio::test]
async fn a_role_that_is_taken_away_bites_on_the_next_call() {
    let app = App::start().await;
    assert_eq!(app.outcome(app.get_by(&app.token(app.viewer))).await, ok());
    let scope = RoleScope::Workspace(app.organization, app.workspace);
    let gone = Assignment { user: app.viewer, scope, role: None::<BaseRole>, version: 2 };
    app.authorizer.apply(2, &Delta { assignments: vec![gone], workspaces: vec![] });
    assert_eq!(app.outcome(app.get_by(&app.token(app.viewer))).await, no_workspace());
}

#[tokio::test]
async fn before_the_first_snapshot_nothing_is_decided() {
    let app = App::with_authorizer(Authorizer::new()).await;
    let answer = app.products().get_product(app.get()).await;
    assert_eq!(outcome(&answer), is(Code::Unavailable, "NOT_READY"));
    assert!(answer.unwrap_err().get_error_details().retry_info().is_some());
}

#[tokio::test]
async fn what_is_sensitive_is_refused_when_revocations_and_roles_are_not_known_to_the_second() {
    let app = App::start().await;
    let token = app.token(app.admin);
    let rotate = async || {
        let request = Request::new(RotateSigningKeyRequest::default()).with("authorization", &format!("Bearer {token}"));
        outcome(&app.key_service().rotate_signing_key(request).await)
    };
    let list = async || {
        let request = Request::new(ListSigningKeysRequest {}).with("authorization", &format!("Bearer {token}"));
        outcome(&app.key_service().list_signing_keys(request).await)
    };
    app.revocations.heard();
    app.authorizer.heard();
    assert_eq!(rotate().await, is(Code::Ok, "OK"));
    // Nobody is heard from now on.
    tokio::time::sleep(SENSITIVE_STALENESS_MAX).await;
    assert_eq!(rotate().await, is(Code::Unavailable, "REVOCATIONS_STALE"));
    assert_eq!(list().await, ok(), "who reads is served for a minute");
    app.revocations.heard();
    assert_eq!(rotate().await, is(Code::Unavailable, "AUTHORIZATION_STALE"));
    assert_eq!(list().await, ok(), "who reads is served for a minute");
    app.authorizer.heard();
    assert_eq!(rotate().await, is(Code::Ok, "OK"));
}
