//! The generated tables, as their readers use them.

use std::{collections::BTreeSet, time::Duration};

use contract::{
    Authn, BaseRole, EVENTS, Event, METHODS, Permission, Reach, RequestMessage, Scope, WireReason,
    common::v1::{EventAdminReason, Reason},
    event_type,
    identity::v1::{IdentityReason, RotateSigningKeyRequest, Session, SessionRevoked, User, UserVerified},
    method,
    tasks::v1::{GetWorkItemRequest, WorkItemTransitioned},
};
use prost_reflect::{DescriptorPool, prost::Name};

#[test]
fn a_policy_is_found_by_its_path() {
    let policy = method("/muster.tasks.v1.WorkItemService/TransitionWorkItem").unwrap();
    assert_eq!((policy.owner, policy.authn, policy.scope), ("tasks", Authn::Required, Scope::Workspace));
    assert_eq!(policy.permission, Some(Permission::TasksWorkItemTransition));
    assert_eq!((policy.scope_field, policy.audit_action), (Some("workspace_id"), Some("tasks.work_item.transition")));
    assert_eq!((policy.deadline_default, policy.deadline_max), (Duration::from_secs(5), Duration::from_secs(30)));
    assert_eq!(policy.reasons, ["WORK_ITEM_NOT_FOUND", "TRANSITION_NOT_ALLOWED"]);
    assert!(method("/grpc.health.v1.Health/Check").is_none());
    assert!(METHODS.iter().all(|policy| method(policy.path).is_some_and(|found| std::ptr::eq(found, policy))));
}

#[test]
fn what_asks_for_a_step_up_or_changes_what_is_the_systems_is_sensitive() {
    let is_sensitive = |rpc: &str| method(&format!("/muster.{rpc}")).unwrap().is_sensitive();
    assert!(is_sensitive("identity.v1.FactorService/DeleteFactor") && is_sensitive("identity.v1.KeyService/RotateSigningKey"));
    for rpc in
        ["identity.v1.KeyService/ListSigningKeys", "identity.v1.SessionService/RevokeSession", "tasks.v1.WorkItemService/DeleteWorkItem"]
    {
        assert!(!is_sensitive(rpc), "{rpc}");
    }
}

#[test]
fn every_rpc_of_ours_in_the_descriptors_has_its_policy() {
    let pool = DescriptorPool::decode(contract::DESCRIPTORS).unwrap();
    let ours = pool.services().filter(|service| service.package_name().starts_with("muster."));
    let paths: BTreeSet<_> = ours
        .flat_map(|service| service.methods().map(|method| format!("/{}/{}", service.full_name(), method.name())).collect::<Vec<_>>())
        .collect();
    assert_eq!(paths, METHODS.iter().map(|policy| policy.path.to_owned()).collect());
}

#[test]
fn the_catalogue_is_the_permissions_that_methods_need() {
    let needed: BTreeSet<_> = METHODS.iter().filter_map(|policy| policy.permission).collect();
    assert_eq!(needed, Permission::ALL.iter().copied().collect());
    for (index, permission) in Permission::ALL.iter().enumerate() {
        assert_eq!(permission.index(), index);
        assert_eq!(Permission::from_name(permission.name()), Some(*permission));
        assert_eq!(permission.grants().is_empty(), permission.scope() == Scope::System);
    }
    assert_eq!(Permission::from_name("tasks.work_item.paint"), None);
    assert_eq!(Permission::TasksWorkItemDelete.grants(), [(BaseRole::Member, Reach::Own), (BaseRole::Admin, Reach::Any)]);
}

#[test]
fn a_request_tells_its_scope_and_its_key() {
    let request = GetWorkItemRequest { workspace_id: "w".to_owned(), ..Default::default() };
    assert_eq!((request.scope_id(), request.request_id()), (Some("w"), None));
    let request = RotateSigningKeyRequest { request_id: "r".to_owned(), ..Default::default() };
    assert_eq!((request.scope_id(), request.request_id()), (None, Some("r")));
    assert_eq!(RotateSigningKeyRequest::default().request_id(), None);
}

#[test]
fn an_event_tells_what_it_is_about() {
    let event = WorkItemTransitioned { work_item_id: "i".to_owned(), ..Default::default() };
    assert_eq!(
        (WorkItemTransitioned::SERVICE, WorkItemTransitioned::AGGREGATE, WorkItemTransitioned::PAST_TENSE),
        ("tasks", "work_item", "transitioned")
    );
    assert_eq!(event.key(), "i");
    assert_eq!(event_type(&WorkItemTransitioned::full_name()).unwrap().key_field, "work_item_id");
    assert_eq!(event_type("muster.tasks.v1.WorkItem"), None);
    assert!(EVENTS.is_sorted_by_key(|event| event.type_name));
}

#[test]
fn an_event_is_cleared_of_who_a_person_is() {
    let user = User { user_id: "u".to_owned(), email: "ana@muster.example".to_owned(), ..Default::default() };
    let mut event =
        UserVerified { user_id: "u".to_owned(), before: Some(user.clone()), after: Some(User { display_name: "Ana".to_owned(), ..user }) };
    assert_eq!(event.redact(), ["before.email", "after.email", "after.display_name"]);
    let cleared = Some(User { user_id: "u".to_owned(), ..Default::default() });
    assert_eq!((&event.before, &event.after), (&cleared, &cleared));
    assert!(event.redact().is_empty());

    let mut event =
        SessionRevoked { after: Some(Session { client_address: "192.0.2.1".to_owned(), ..Default::default() }), ..Default::default() };
    assert_eq!(event.redact(), ["after.client_address"]);
}

#[test]
fn a_reason_has_the_name_and_domain_that_clients_see() {
    fn full<R: WireReason>(reason: R) -> String {
        format!("{}/{}", R::DOMAIN, reason.wire())
    }
    assert_eq!(full(IdentityReason::LastOwner), "identity.muster/LAST_OWNER");
    assert_eq!(full(Reason::FieldViolation), "muster/FIELD_VIOLATION");
    assert_eq!(full(EventAdminReason::DeadLetterNotFound), "muster/DEAD_LETTER_NOT_FOUND");
}
