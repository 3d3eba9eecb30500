use contract::BaseRole;
use contract::identity::v1::create_organization_member_request::Subject;
use contract::identity::v1::create_workspace_member_request::Subject as WorkspaceSubject;
use contract::identity::v1::organization_member_service_client::OrganizationMemberServiceClient;
use contract::identity::v1::{
    CreateOrganizationMemberRequest, DeleteOrganizationMemberRequest, OrganizationMemberDeleted, OrganizationMemberUpdated, Propagation,
    WorkspaceMemberDeleted,
};
use identity::Config;
use testkit::{Actor, App, assert_fault, fault};

use crate::verbs::{Acts, Door, address, identity, identity_with, quick, request_id, with_root};

async fn owned() -> (App, Actor) {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    (app, ana)
}

#[tokio::test]
async fn a_member_is_added_by_id_or_by_address_once() {
    let (app, ana) = owned().await;
    let (ben, cid) = (app.verified("ben").await, app.verified("cid").await);
    let added = ana.create_member(Subject::UserId(ben.to_string()), BaseRole::Member).await.unwrap();
    assert_eq!(added.propagation(), Propagation::Pending, "the authority of this test knows nothing of it");
    let by_address = ana.create_member(Subject::Email("CID@example.com".to_owned()), BaseRole::Viewer).await.unwrap();
    assert_eq!(by_address.organization_member.unwrap().user_id, cid.to_string());
    for subject in [Subject::UserId(ben.to_string()), Subject::Email(address("cid"))] {
        assert_fault!(ana.create_member(subject, BaseRole::Viewer).await, AlreadyExists, "MEMBER_ALREADY_EXISTS");
    }
    let members = ana.list_members().await.unwrap();
    let roles: Vec<(String, BaseRole)> = members.iter().map(|member| (member.user_id.clone(), member.role())).collect();
    let expected = [(ana.user_id, BaseRole::Owner), (ben, BaseRole::Member), (cid, BaseRole::Viewer)];
    assert_eq!(roles, expected.map(|(user, role)| (user.to_string(), role)));
}

#[tokio::test]
async fn only_somebody_who_can_sign_in_is_added_and_who_can_t_is_not_told_from_nobody() {
    let (app, ana) = owned().await;
    let waiting = app.pending("ben").await;
    let subjects = [Subject::UserId(waiting.to_string()), Subject::Email(address("ben")), Subject::Email(address("nobody"))];
    let mut refusals = Vec::new();
    for subject in subjects {
        let refused = assert_fault!(ana.create_member(subject, BaseRole::Viewer).await, NotFound, "USER_NOT_FOUND");
        refusals.push((refused.message().to_owned(), fault::violated_fields(&refused)));
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
}

#[tokio::test]
async fn a_workspace_does_not_tell_who_has_an_account_elsewhere() {
    let (app, ana) = owned().await;
    let web = app.with_workspace(&ana, "web").await;
    app.verified("eve").await;
    app.pending("ben").await;
    let mut refusals = Vec::new();
    for name in ["eve", "ben", "nobody"] {
        let subject = WorkspaceSubject::Email(address(name));
        let refused = assert_fault!(ana.invite_to_workspace(web, subject).await, FailedPrecondition, "NOT_ORGANIZATION_MEMBER");
        refusals.push(refused.message().to_owned());
    }
    let nobody = WorkspaceSubject::UserId(uuid::Uuid::from_u128(1).to_string());
    refusals.push(
        assert_fault!(ana.invite_to_workspace(web, nobody).await, FailedPrecondition, "NOT_ORGANIZATION_MEMBER").message().to_owned(),
    );
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
}

#[tokio::test]
async fn a_change_in_force_here_is_applied() {
    let app = identity_with(Config { propagation_wait_ms: 5_000, ..quick() }).await;
    let person = app.person("ana").await;
    // Its creation waits for the owner to be known, so the authority hears of it meanwhile.
    let organization = {
        let creation = async { person.create_organization("acme", "").await.unwrap() };
        let projection = async {
            crate::verbs::until("it is created", async || !person.list_organizations().await.unwrap().is_empty()).await;
            let organization = person.list_organizations().await.unwrap().remove(0).organization_id.parse().unwrap();
            app.assign(person.user_id, organization, None, Some(BaseRole::Owner)).await;
            organization
        };
        tokio::join!(creation, projection).1
    };
    let ana = person.entering(organization).await;
    let ben = app.verified("ben").await;
    let addition = ana.create_member(Subject::UserId(ben.to_string()), BaseRole::Member);
    let projection = app.assign(ben, organization, None, Some(BaseRole::Member));
    let (added, ()) = tokio::join!(addition, projection);
    assert_eq!(added.unwrap().propagation(), Propagation::Applied);
}

#[tokio::test]
async fn nobody_gives_or_takes_a_role_above_their_own() {
    let (app, ana) = owned().await;
    let admin = app.joined(&ana, "ada", BaseRole::Admin).await;
    let ben = app.verified("ben").await;
    assert_fault!(admin.add_member(ben, BaseRole::Owner).await, PermissionDenied, "ROLE_ABOVE_OWN");
    admin.add_member(ben, BaseRole::Admin).await.unwrap();
    assert_fault!(admin.update_member(ben, BaseRole::Owner, "").await, PermissionDenied, "ROLE_ABOVE_OWN");
    assert_fault!(admin.update_member(ana.user_id, BaseRole::Viewer, "").await, PermissionDenied, "ROLE_ABOVE_OWN");
    assert_fault!(admin.remove_member(ana.user_id).await, PermissionDenied, "ROLE_ABOVE_OWN");
    let member = app.joined(&ana, "cid", BaseRole::Member).await;
    assert_fault!(member.add_member(ben, BaseRole::Viewer).await, PermissionDenied, "PERMISSION_DENIED");
}

#[tokio::test]
async fn a_role_is_changed_in_the_version_that_was_meant() {
    let (app, ana) = owned().await;
    let ben = app.verified("ben").await;
    let first = ana.add_member(ben, BaseRole::Member).await.unwrap();
    let second = ana.update_member(ben, BaseRole::Admin, &first.etag).await.unwrap();
    assert_eq!((second.role(), second.version), (BaseRole::Admin, first.version + 1));
    assert_fault!(ana.update_member(ben, BaseRole::Viewer, &first.etag).await, Aborted, "ETAG_MISMATCH");
    assert_eq!(ana.update_member(ben, BaseRole::Admin, "").await.unwrap(), second, "the same role again changes nothing");
    let [updated] = app.events::<OrganizationMemberUpdated>().await.try_into().unwrap();
    assert_eq!((updated.before, updated.after), (Some(first), Some(second)));
    assert_fault!(ana.update_member(app.verified("cid").await, BaseRole::Viewer, "").await, NotFound, "MEMBER_NOT_FOUND");
}

#[tokio::test]
async fn who_is_removed_and_added_again_goes_on_counting() {
    let (app, ana) = owned().await;
    let ben = app.verified("ben").await;
    let first = ana.add_member(ben, BaseRole::Member).await.unwrap();
    assert_eq!(ana.remove_member(ben).await.unwrap(), Propagation::Pending);
    assert_fault!(ana.remove_member(ben).await, NotFound, "MEMBER_NOT_FOUND");
    assert_eq!(app.events::<OrganizationMemberDeleted>().await[0].before, Some(first));
    let again = ana.add_member(ben, BaseRole::Viewer).await.unwrap();
    assert_eq!((again.role(), again.version), (BaseRole::Viewer, 3));
}

#[tokio::test]
async fn a_repeated_change_gets_the_same_answer_and_changes_nothing() {
    let (app, ana) = owned().await;
    let ben = app.verified("ben").await;
    let mut members = OrganizationMemberServiceClient::new(ana.channel());
    let (organization_id, user_id) = (ana.organization_id.to_string(), ben.to_string());
    let subject = Some(Subject::UserId(user_id.clone()));
    let (role, request_id) = (BaseRole::Member.into(), request_id(1));
    let addition =
        CreateOrganizationMemberRequest { organization_id: organization_id.clone(), subject, role, request_id: request_id.clone() };
    let first = members.create_organization_member(addition.clone()).await.unwrap().into_inner();
    assert_eq!(members.create_organization_member(addition.clone()).await.unwrap().into_inner(), first);
    let otherwise = CreateOrganizationMemberRequest { role: BaseRole::Viewer.into(), ..addition };
    assert_fault!(members.create_organization_member(otherwise).await, InvalidArgument, "REQUEST_ID_REUSED");

    // An id is one method's: the same one removes.
    let removal = DeleteOrganizationMemberRequest { organization_id, user_id, request_id };
    for _ in 0..2 {
        members.delete_organization_member(removal.clone()).await.unwrap();
    }
    assert_eq!(app.events::<OrganizationMemberDeleted>().await.len(), 1);
    assert_eq!(ana.list_members().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_last_owner_stays() {
    let (app, ana) = owned().await;
    assert_fault!(ana.remove_member(ana.user_id).await, FailedPrecondition, "LAST_OWNER");
    assert_fault!(ana.update_member(ana.user_id, BaseRole::Admin, "").await, FailedPrecondition, "LAST_OWNER");
    let ben = app.joined(&ana, "ben", BaseRole::Owner).await;
    ana.remove_member(ana.user_id).await.unwrap();
    assert_fault!(ben.remove_member(ben.user_id).await, FailedPrecondition, "LAST_OWNER");
}

#[tokio::test]
async fn of_two_owners_who_leave_at_the_same_time_one_stays() {
    let (app, ana) = owned().await;
    let ben = app.joined(&ana, "ben", BaseRole::Owner).await;
    for round in 0..20 {
        let leave = async |who: &Actor| match round % 2 {
            0 => who.remove_member(who.user_id).await.map(|_| ()),
            _ => who.update_member(who.user_id, BaseRole::Member, "").await.map(|_| ()),
        };
        let (first, second) = tokio::join!(leave(&ana), leave(&ben));
        assert!(first.is_ok() != second.is_ok(), "round {round}: {first:?}, {second:?}");
        let (gone, left) = if first.is_ok() { (&ana, &ben) } else { (&ben, &ana) };
        assert_fault!(first.and(second), FailedPrecondition, "LAST_OWNER");
        let members = left.list_members().await.unwrap();
        let owners: Vec<&str> =
            members.iter().filter(|member| member.role() == BaseRole::Owner).map(|member| member.user_id.as_str()).collect();
        assert_eq!(owners, [left.user_id.to_string()], "round {round}");
        match round % 2 {
            0 => left.add_member(gone.user_id, BaseRole::Owner).await.unwrap(),
            _ => left.update_member(gone.user_id, BaseRole::Owner, "").await.unwrap(),
        };
    }
}

#[tokio::test]
async fn a_workspace_takes_members_of_its_organization_alone() {
    let (app, ana) = owned().await;
    let web = app.with_workspace(&ana, "web").await;
    let ben = app.verified("ben").await;
    assert_fault!(ana.add_to_workspace(web, ben, BaseRole::Member).await, FailedPrecondition, "NOT_ORGANIZATION_MEMBER");
    ana.add_member(ben, BaseRole::Viewer).await.unwrap();
    let first = ana.add_to_workspace(web, ben, BaseRole::Member).await.unwrap();
    assert_fault!(ana.add_to_workspace(web, ben, BaseRole::Member).await, AlreadyExists, "MEMBER_ALREADY_EXISTS");
    let second = ana.update_in_workspace(web, ben, BaseRole::Admin, &first.etag).await.unwrap();
    assert_fault!(ana.update_in_workspace(web, ben, BaseRole::Viewer, &first.etag).await, Aborted, "ETAG_MISMATCH");
    assert_eq!(ana.list_in_workspace(web).await.unwrap(), [second]);
    ana.remove_from_workspace(web, ben).await.unwrap();
    assert_fault!(ana.remove_from_workspace(web, ben).await, NotFound, "MEMBER_NOT_FOUND");
    assert_eq!(ana.add_to_workspace(web, ben, BaseRole::Member).await.unwrap().version, 4);
}

#[tokio::test]
async fn who_leaves_the_organization_leaves_its_workspaces_with_an_event_for_each() {
    let (app, ana) = owned().await;
    let places = [app.with_workspace(&ana, "web").await, app.with_workspace(&ana, "lab").await];
    let ben = app.verified("ben").await;
    ana.add_member(ben, BaseRole::Viewer).await.unwrap();
    for place in places {
        ana.add_to_workspace(place, ben, BaseRole::Member).await.unwrap();
    }
    ana.remove_member(ben).await.unwrap();
    let left = app.events::<WorkspaceMemberDeleted>().await;
    let mut left: Vec<String> = left.into_iter().map(|event| event.member_key).collect();
    left.sort();
    assert_eq!(left, places.map(|place| format!("{place}/{ben}")));
    for place in places {
        assert!(ana.list_in_workspace(place).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_workspace_admin_rules_the_workspace_and_not_the_organization() {
    let (app, ana) = owned().await;
    let (web, lab) = (app.with_workspace(&ana, "web").await, app.with_workspace(&ana, "lab").await);
    let person = app.person("ben").await;
    ana.add_member(person.user_id, BaseRole::Viewer).await.unwrap();
    ana.add_to_workspace(web, person.user_id, BaseRole::Admin).await.unwrap();
    let ben = person.entering(ana.organization_id).await;
    app.known_as(&ben, BaseRole::Viewer).await;
    app.assign(ben.user_id, ben.organization_id, Some(web), Some(BaseRole::Admin)).await;
    let cid = app.verified("cid").await;
    ana.add_member(cid, BaseRole::Viewer).await.unwrap();
    ben.add_to_workspace(web, cid, BaseRole::Admin).await.unwrap();
    assert_fault!(ben.update_in_workspace(web, cid, BaseRole::Owner, "").await, PermissionDenied, "ROLE_ABOVE_OWN");
    assert_fault!(ben.add_to_workspace(lab, cid, BaseRole::Viewer).await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(ben.update_member(cid, BaseRole::Member, "").await, PermissionDenied, "PERMISSION_DENIED");
}

#[tokio::test]
async fn foreign_members_are_not_there() {
    let (app, ana) = owned().await;
    let eve = app.founded(&app.person("eve").await, "evil").await;
    let web = app.with_workspace(&ana, "web").await;
    let mut intruder = eve.clone();
    intruder.organization_id = ana.organization_id;
    assert_fault!(intruder.list_members().await, NotFound, "ORGANIZATION_NOT_FOUND");
    assert_fault!(intruder.add_member(eve.user_id, BaseRole::Owner).await, NotFound, "ORGANIZATION_NOT_FOUND");
    assert_fault!(intruder.remove_member(ana.user_id).await, NotFound, "ORGANIZATION_NOT_FOUND");
    assert_fault!(eve.list_in_workspace(web).await, NotFound, "WORKSPACE_NOT_FOUND");
    assert_fault!(eve.add_to_workspace(web, eve.user_id, BaseRole::Owner).await, NotFound, "WORKSPACE_NOT_FOUND");
    assert_fault!(eve.remove_member(ana.user_id).await, NotFound, "MEMBER_NOT_FOUND");
}

#[tokio::test]
async fn a_system_admin_who_entered_acts_as_an_owner() {
    let app = identity_with(with_root()).await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let root = app.root().await.entering(ana.organization_id).await;
    let ben = app.verified("ben").await;
    root.add_member(ben, BaseRole::Owner).await.unwrap();
    root.remove_member(ana.user_id).await.unwrap();
    assert_fault!(root.remove_member(ben).await, FailedPrecondition, "LAST_OWNER");
}
