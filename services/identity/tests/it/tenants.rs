//! Organizations and workspaces: made once, hidden from whoever does not belong.

use contract::BaseRole;
use contract::identity::v1::{OrganizationCreated, OrganizationMemberCreated, WorkspaceCreated};
use runtime::WorkspaceId;
use testkit::assert_fault;

use crate::verbs::{Acts, Door, identity, identity_with, request_id, with_root};

#[tokio::test]
async fn whoever_creates_an_organization_owns_it_and_the_world_is_told() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let organization = ana.create_organization("acme", "").await.unwrap();
    assert_eq!((organization.slug.as_str(), organization.display_name.as_str()), ("acme", "The acme"));
    assert_eq!(ana.list_organizations().await.unwrap(), std::slice::from_ref(&organization));
    let id = &organization.organization_id;
    assert_eq!(
        app.emitted().await[3..],
        [format!("muster.identity.v1.organization.created.{id}"), format!("muster.identity.v1.organization_member.created.{id}")]
    );
    let (created, owner) = (&app.events::<OrganizationCreated>().await[0], &app.events::<OrganizationMemberCreated>().await[0]);
    assert_eq!(created.after.as_ref(), Some(&organization));
    let owner = owner.after.as_ref().unwrap();
    assert_eq!((owner.user_id.as_str(), owner.role(), owner.version), (ana.user_id.to_string().as_str(), BaseRole::Owner, 1));
}

#[tokio::test]
async fn a_repeated_creation_gets_the_same_answer_and_makes_nothing() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let first = ana.create_organization("acme", &request_id(1)).await.unwrap();
    assert_eq!(ana.create_organization("acme", &request_id(1)).await.unwrap(), first);
    assert_fault!(ana.create_organization("acme-2", &request_id(1)).await, InvalidArgument, "REQUEST_ID_REUSED");
    // Another person's request of the same id is another request.
    let ben = app.person("ben").await;
    assert_ne!(ben.create_organization("bolt", &request_id(1)).await.unwrap().organization_id, first.organization_id);

    let ana = app.founded(&ana, "apex").await;
    let workspace = ana.create_workspace("web", &request_id(1)).await.unwrap();
    assert_eq!(ana.create_workspace("web", &request_id(1)).await.unwrap(), workspace);
    assert_fault!(ana.create_workspace("app", &request_id(1)).await, InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(app.events::<OrganizationCreated>().await.len(), 3);
    assert_eq!(app.events::<WorkspaceCreated>().await.len(), 1);
}

#[tokio::test]
async fn creations_of_one_request_at_once_make_one_organization() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let id = request_id(1);
    let answers = futures::future::join_all((0..8).map(|_| ana.create_organization("acme", &id))).await;
    let made: Vec<String> = answers.into_iter().map(|answer| answer.unwrap().organization_id).collect();
    assert!(made.iter().all(|id| *id == made[0]), "{made:?}");
    assert_eq!(ana.list_organizations().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_slug_is_taken_once_among_organizations_and_once_in_each() {
    let app = identity().await;
    let (ana, ben) = (app.founded(&app.person("ana").await, "acme").await, app.founded(&app.person("ben").await, "bolt").await);
    assert_fault!(ben.create_organization("acme", "").await, AlreadyExists, "SLUG_TAKEN");
    ana.create_workspace("web", "").await.unwrap();
    assert_fault!(ana.create_workspace("web", "").await, AlreadyExists, "SLUG_TAKEN");
    ben.create_workspace("web", "").await.unwrap();
    assert_fault!(ben.create_workspace("Not a slug", "").await, InvalidArgument, "FIELD_VIOLATION");
}

#[tokio::test]
async fn a_refused_creation_may_be_tried_again_under_its_id() {
    let app = identity().await;
    let (ana, ben) = (app.person("ana").await, app.person("ben").await);
    ana.create_organization("acme", "").await.unwrap();
    assert_fault!(ben.create_organization("acme", &request_id(1)).await, AlreadyExists, "SLUG_TAKEN");
    ben.create_organization("bolt", &request_id(1)).await.unwrap();
}

#[tokio::test]
async fn what_belongs_to_others_is_not_there() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let eve = app.founded(&app.person("eve").await, "evil").await;
    let workspace = app.with_workspace(&ana, "web").await;
    assert_fault!(eve.get_organization(ana.organization_id).await, NotFound, "ORGANIZATION_NOT_FOUND");
    assert_fault!(eve.get_workspace(workspace).await, NotFound, "WORKSPACE_NOT_FOUND");
    assert!(eve.list_workspaces().await.unwrap().is_empty());
    assert_eq!(eve.list_organizations().await.unwrap().len(), 1);
    assert_eq!(ana.get_workspace(workspace).await.unwrap().slug, "web");
}

#[tokio::test]
async fn a_role_in_one_workspace_reaches_that_one_alone() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let (web, lab) = (app.with_workspace(&ana, "web").await, app.with_workspace(&ana, "lab").await);
    let person = app.person("ben").await;
    ana.add_member(person.user_id, BaseRole::Viewer).await.unwrap();
    let ben = person.entering(ana.organization_id).await;
    // The authority tells of the place in the workspace and of none in the organization.
    app.assign(ben.user_id, ben.organization_id, Some(web), Some(BaseRole::Owner)).await;
    assert_eq!(ben.get_workspace(web).await.unwrap().slug, "web");
    assert_fault!(ben.get_workspace(lab).await, NotFound, "WORKSPACE_NOT_FOUND");
    assert_fault!(ben.list_workspaces().await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(ben.create_workspace("own", "").await, PermissionDenied, "PERMISSION_DENIED");
    app.known_as(&ben, BaseRole::Viewer).await;
    let seen: Vec<String> = ben.list_workspaces().await.unwrap().into_iter().map(|workspace| workspace.slug).collect();
    assert_eq!(seen, ["web", "lab"]);
}

#[tokio::test]
async fn a_system_admin_who_entered_no_organization_has_nothing_to_add_to() {
    let app = identity_with(with_root()).await;
    let root = app.root().await;
    let ben = app.verified("ben").await;
    assert_fault!(root.create_workspace("web", "").await, NotFound, "ORGANIZATION_NOT_FOUND");
    assert_fault!(root.add_member(ben, BaseRole::Member).await, NotFound, "ORGANIZATION_NOT_FOUND");
    assert_fault!(root.update_member(ben, BaseRole::Member, "").await, NotFound, "ORGANIZATION_NOT_FOUND");
    assert_fault!(root.remove_member(ben).await, NotFound, "ORGANIZATION_NOT_FOUND");
    let nowhere = WorkspaceId::from(uuid::Uuid::from_u128(1));
    assert_fault!(root.add_to_workspace(nowhere, ben, BaseRole::Member).await, NotFound, "WORKSPACE_NOT_FOUND");
}

#[tokio::test]
async fn a_system_admin_lists_no_organizations_but_those_they_joined() {
    let app = identity_with(with_root()).await;
    app.founded(&app.person("ana").await, "acme").await;
    assert!(app.root().await.list_organizations().await.unwrap().is_empty());
}
