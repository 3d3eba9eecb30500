use contract::BaseRole;
use contract::identity::v1::{SystemRole, UserState};
use runtime::{OrganizationId, UserId};
use testkit::{Actor, assert_fault};

use crate::verbs::{Acts, Door, ROOT, identity, identity_with, with_root};

#[tokio::test]
async fn people_see_themselves_and_whom_they_share_the_organization_with() {
    let app = identity().await;
    let person = app.person("ana").await;
    let ana = app.founded(&person, "acme").await;
    let ben = app.joined(&ana, "ben", BaseRole::Viewer).await;
    let eve = app.founded(&app.person("eve").await, "evil").await;

    let seen = ben.get_user(&ana.user_id.to_string()).await.unwrap();
    assert_eq!((seen.email.as_str(), seen.display_name.as_str()), ("ana@example.com", "ana"));
    assert_eq!(eve.get_user("").await.unwrap(), eve.get_user(&eve.user_id.to_string()).await.unwrap());
    for (who, whom) in [(&eve, &ana), (&ana, &eve), (&eve, &ben)] {
        assert_fault!(who.get_user(&whom.user_id.to_string()).await, NotFound, "USER_NOT_FOUND");
    }
    // Outside of the organization a co-member is a stranger.
    assert_fault!(person.get_user(&ben.user_id.to_string()).await, NotFound, "USER_NOT_FOUND");
    let nobody = uuid::Uuid::from_u128(1).to_string();
    assert_fault!(ana.get_user(&nobody).await, NotFound, "USER_NOT_FOUND");
}

#[tokio::test]
async fn who_is_a_system_admin_is_known_to_themselves_and_to_system_admins() {
    let app = identity_with(with_root()).await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let root = app.root().await;
    ana.add_member(root.user_id, BaseRole::Viewer).await.unwrap();
    let role = async |who: &Actor, whom: UserId| who.get_user(&whom.to_string()).await.unwrap().system_role();
    assert_eq!(role(&ana, root.user_id).await, SystemRole::Unspecified);
    assert_eq!(role(&ana, ana.user_id).await, SystemRole::User);
    assert_eq!(role(&root, root.user_id).await, SystemRole::Admin);
    assert_eq!(role(&root, ana.user_id).await, SystemRole::User);
}

#[tokio::test]
async fn who_was_removed_is_seen_no_longer_and_sees_nobody_whatever_the_token_says() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let ben = app.joined(&ana, "ben", BaseRole::Member).await;
    ana.remove_member(ben.user_id).await.unwrap();
    assert_fault!(ben.get_user(&ana.user_id.to_string()).await, NotFound, "USER_NOT_FOUND");
    assert_fault!(ana.get_user(&ben.user_id.to_string()).await, NotFound, "USER_NOT_FOUND");
}

#[tokio::test]
async fn a_system_admin_lists_all_accounts_page_by_page() {
    let app = identity_with(with_root()).await;
    for name in ["ana", "ben", "cid"] {
        app.pending(name).await;
    }
    let root = app.root().await;
    let first = root.list_users("", 3, "").await.unwrap();
    let second = root.list_users("", 3, &first.next_page_token).await.unwrap();
    let emails: Vec<&str> = first.users.iter().chain(&second.users).map(|user| user.email.as_str()).collect();
    assert_eq!(emails, [ROOT, "ana@example.com", "ben@example.com", "cid@example.com"]);
    assert_eq!((first.users.len(), second.next_page_token.as_str()), (3, ""));
    let other_list = root.list_users("state = \"ACTIVE\"", 3, &first.next_page_token).await;
    assert_fault!(other_list, InvalidArgument, "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn accounts_are_found_by_address_state_and_role() {
    let app = identity_with(with_root()).await;
    app.verified("ana").await;
    app.pending("ben").await;
    let root = app.root().await;
    let found = async |filter: &str| -> Vec<String> {
        root.list_users(filter, 0, "").await.unwrap().users.into_iter().map(|user| user.email).collect()
    };
    assert_eq!(found("email = \"Ana@example.com\"").await, ["ana@example.com"]);
    assert!(found("email = \"ana@example.org\"").await.is_empty());
    assert_eq!(found("state = \"PENDING\"").await, ["ben@example.com"]);
    assert_eq!(found("state = \"ACTIVE\" AND email != \"ana@example.com\"").await, [ROOT]);
    assert_eq!(found("system_role = \"ADMIN\"").await, [ROOT]);
    for filter in ["email : \"ana\"", "display_name = \"ana\"", "state ="] {
        assert_fault!(root.list_users(filter, 0, "").await, InvalidArgument, "FILTER_INVALID");
    }
    let admin = &root.list_users("system_role = \"ADMIN\"", 0, "").await.unwrap().users[0];
    assert_eq!((admin.state(), admin.system_role()), (UserState::Active, SystemRole::Admin));
}

#[tokio::test]
async fn nobody_else_lists_accounts() {
    let app = identity_with(with_root()).await;
    let person = app.person("ana").await;
    let owner = app.founded(&person, "acme").await;
    for somebody in [&*person, &owner] {
        assert_fault!(somebody.list_users("", 0, "").await, PermissionDenied, "PERMISSION_DENIED");
    }
    // Who is an admin to the authority and not in the table is shown no more than before.
    app.authority().make_system_admin(owner.user_id);
    crate::verbs::until("the admin is known", async || app.deps().authorizer.is_system_admin(owner.user_id)).await;
    let shown = person.entering(OrganizationId::SYSTEM).await.list_users("", 0, "").await.unwrap().users;
    assert_eq!(shown.iter().map(|user| user.email.as_str()).collect::<Vec<_>>(), ["ana@example.com"]);
}
