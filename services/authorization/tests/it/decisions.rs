use contract::authorization::v1::{DecisionCause, Question, RoleTier};
use contract::{BaseRole, Permission, Reach};
use runtime::OrganizationId;
use testkit::{assert_fault, fault};

use crate::verbs::{
    Asks, Sees, authorization, fresh, member, member_created, member_deleted, question, registered, workspace_member_created,
};

#[tokio::test]
async fn a_viewer_hears_what_they_may_and_why_not() {
    let app = authorization().await;
    let vic = app.joined("vic", BaseRole::Viewer).await;
    let attic = app.opened(app.organization()).await;
    let may = vic.check(question(Permission::TasksWorkItemGet, None, Some(attic))).await.unwrap();
    assert_eq!((may.allowed, may.cause(), may.role.as_str()), (true, DecisionCause::Role, "organization/VIEWER"));
    let may_not = vic.check(question(Permission::IdentityWorkspaceCreate, None, None)).await.unwrap();
    assert_eq!((may_not.allowed, may_not.cause(), may_not.role.as_str()), (false, DecisionCause::NotHeld, ""));
}

#[tokio::test]
async fn who_is_no_admin_asks_only_about_themselves() {
    let app = authorization().await;
    let (mia, ana) = (app.joined("mia", BaseRole::Member).await, app.joined("ana", BaseRole::Admin).await);
    let about = |user| question(Permission::AuthorizationRoleList, Some(user), None);
    assert!(mia.check(about(mia.user_id)).await.unwrap().allowed);
    assert_fault!(mia.check(about(ana.user_id)).await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(mia.batch_check(vec![about(mia.user_id), about(ana.user_id)]).await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(mia.list_permissions(Some(ana.user_id), None).await, PermissionDenied, "PERMISSION_DENIED");
    assert!(ana.check(about(mia.user_id)).await.unwrap().allowed);
}

#[tokio::test]
async fn an_admin_is_told_nothing_of_people_outside_the_organization() {
    let app = authorization().await;
    let (ana, root) = (app.joined("ana", BaseRole::Admin).await, app.user("root"));
    app.publish(registered(root.user_id, contract::identity::v1::SystemRole::Admin), OrganizationId::SYSTEM).await;
    app.role_at(root.user_id, OrganizationId::SYSTEM, 1).await;
    let about = |user| question(Permission::AuthorizationRoleList, Some(user), None);
    for outsider in [root.user_id, fresh()] {
        assert_eq!(ana.check(about(outsider)).await.unwrap().cause(), DecisionCause::NoRole);
        assert_fault!(ana.list_permissions(Some(outsider), None).await, NotFound, "SUBJECT_NOT_FOUND");
    }
    assert_eq!(root.check(about(root.user_id)).await.unwrap().cause(), DecisionCause::SystemRole);
}

#[tokio::test]
async fn a_workspace_of_another_organization_is_a_denial_like_one_that_does_not_exist() {
    let app = authorization().await;
    let ana = app.joined("ana", BaseRole::Owner).await;
    let (ours, theirs) = (app.opened(app.organization()).await, app.opened(fresh()).await);
    let at = |workspace| question(Permission::TasksWorkItemGet, None, Some(workspace));
    assert!(ana.check(at(ours)).await.unwrap().allowed);
    let (foreign, unknown) = (ana.check(at(theirs)).await.unwrap(), ana.check(at(fresh())).await.unwrap());
    assert_eq!((foreign.allowed, foreign.cause()), (false, DecisionCause::NoRole));
    assert_eq!(foreign, unknown);
}

#[tokio::test]
async fn a_permission_that_reaches_ones_own_asks_who_created_it() {
    let app = authorization().await;
    let mia = app.joined("mia", BaseRole::Member).await;
    let attic = app.opened(app.organization()).await;
    let held = mia.list_permissions(None, Some(attic)).await.unwrap();
    let own = held.iter().find(|held| held.reach() == Reach::Own).expect("some permission reaches one's own alone");
    let asked =
        |owner: String| Question { permission: own.permission.clone(), workspace_id: attic.into(), owner_id: owner, ..Question::default() };
    let hers = mia.check(asked(mia.user_id.into())).await.unwrap();
    assert_eq!((hers.allowed, hers.cause()), (true, DecisionCause::Own));
    let anothers = mia.check(asked(fresh::<runtime::UserId>().into())).await.unwrap();
    assert_eq!((anothers.allowed, anothers.cause()), (false, DecisionCause::NotHeld));
}

#[tokio::test]
async fn an_unknown_permission_is_named_by_its_field() {
    let app = authorization().await;
    let vic = app.joined("vic", BaseRole::Viewer).await;
    let unknown = Question { permission: "tasks.work_item.levitate".to_owned(), ..Question::default() };
    let status = assert_fault!(vic.check(unknown.clone()).await, InvalidArgument, "PERMISSION_UNKNOWN");
    assert_eq!(fault::violated_fields(&status), ["question.permission"]);
    let questions = vec![question(Permission::AuthorizationRoleList, None, None), unknown];
    let status = assert_fault!(vic.batch_check(questions).await, InvalidArgument, "PERMISSION_UNKNOWN");
    assert_eq!(fault::violated_fields(&status), ["questions[1].permission"]);
}

#[tokio::test]
async fn a_batch_answers_as_many_single_checks_would() {
    let app = authorization().await;
    let (ana, ben) = (app.joined("ana", BaseRole::Admin).await, app.user("ben"));
    let attic = app.opened(app.organization()).await;
    app.publish(workspace_member_created(app.organization(), attic, ben.user_id, BaseRole::Member), app.organization()).await;
    app.settled().await;
    let about = |&permission: &Permission| question(permission, Some(ben.user_id), Some(attic));
    let questions: Vec<Question> = Permission::ALL.iter().map(about).collect();
    let batch = ana.batch_check(questions.clone()).await.unwrap();
    assert_eq!(batch.decisions.len(), questions.len());
    assert!(batch.decisions.iter().any(|decision| decision.allowed) && batch.decisions.iter().any(|decision| !decision.allowed));
    for (question, decision) in questions.into_iter().zip(batch.decisions) {
        assert_eq!(ana.check(question).await.unwrap(), decision);
    }
}

#[tokio::test]
async fn the_largest_batch_is_taken() {
    let app = authorization().await;
    let ana = app.joined("ana", BaseRole::Admin).await;
    let id = || fresh::<runtime::UserId>().to_string();
    let largest = Question {
        user_id: ana.user_id.into(),
        permission: Permission::IdentityOrganizationMemberUpdate.name().to_owned(),
        workspace_id: id(),
        owner_id: id(),
        assignee_ids: (0..50).map(|_| id()).collect(),
    };
    assert_eq!(ana.batch_check(vec![largest; 500]).await.unwrap().decisions.len(), 500);
}

#[tokio::test]
async fn the_list_of_permissions_is_what_check_allows() {
    let app = authorization().await;
    let mia = app.joined("mia", BaseRole::Member).await;
    let held = mia.list_permissions(None, None).await.unwrap();
    assert!(held.is_sorted_by_key(|held| held.permission.clone()));
    for &permission in Permission::ALL {
        let own = Question { owner_id: mia.user_id.into(), ..question(permission, None, None) };
        let listed = held.iter().any(|held| held.permission == permission.name());
        assert_eq!(mia.check(own).await.unwrap().allowed, listed, "{permission}");
    }
}

#[tokio::test]
async fn roles_are_listed_from_the_highest_with_what_they_hold() {
    let app = authorization().await;
    let roles = app.joined("vic", BaseRole::Viewer).await.list_roles().await.unwrap();
    let named: Vec<(RoleTier, &str)> = roles.iter().map(|role| (role.tier(), role.name.as_str())).collect();
    assert_eq!(named[..2], [(RoleTier::System, "ADMIN"), (RoleTier::Organization, "OWNER")]);
    assert_eq!((named.len(), named[8]), (9, (RoleTier::Workspace, "VIEWER")));
    assert_eq!(roles[0].permissions.len(), Permission::COUNT);
}

#[tokio::test]
async fn whoever_lost_the_role_may_not_even_ask() {
    let app = authorization().await;
    let mia = app.joined("mia", BaseRole::Member).await;
    assert!(mia.list_roles().await.is_ok());
    app.publish(member_deleted(member(app.organization(), mia.user_id, BaseRole::Member, 1)), app.organization()).await;
    app.role_at(mia.user_id, app.organization(), 2).await;
    assert_fault!(mia.list_roles().await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(mia.check(question(Permission::AuthorizationRoleList, None, None)).await, PermissionDenied, "PERMISSION_DENIED");
}

#[tokio::test]
async fn a_role_elsewhere_answers_nothing_here() {
    let app = authorization().await;
    let (eve, away) = (app.user("eve"), fresh());
    app.publish(member_created(member(away, eve.user_id, BaseRole::Owner, 1)), away).await;
    app.role_at(eve.user_id, away, 1).await;
    assert_fault!(eve.list_roles().await, PermissionDenied, "PERMISSION_DENIED");
    assert!(eve.in_organization(away).list_roles().await.is_ok());
    assert_fault!(app.anonymous().list_roles().await, Unauthenticated, "CREDENTIALS_MISSING");
}

#[tokio::test]
async fn roles_are_there_again_after_a_restart() {
    let mut app = authorization().await;
    let mia = app.joined("mia", BaseRole::Member).await;
    app.restart().await;
    assert!(mia.list_roles().await.is_ok());
}
