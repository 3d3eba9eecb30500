//! Every event of the contract, emitted by a story that a person could live through: in the log, on the bus, in the audit trail.

use std::collections::{BTreeMap, BTreeSet};

use contract::{EVENTS, common::v1::LoggedEvent, event_type};
use muster::{seed, serve::Conditions};
use muster_tests::{
    Suite, dynamic, rules, text,
    world::{World, done, refused},
};
use prost_reflect::{DynamicMessage, ReflectMessage, Value as Proto};
use serde_json::json;

/// Services that emit.
const SERVICES: [&str; 5] = ["identity", "authorization", "tasks", "audit", "notifications"];

/// What the story of [`World`] leaves out.
async fn the_rest_of_the_story(world: &World) {
    let (suite, ana) = (&world.suite, &world.ana);
    let person = json!({"email": "ana@muster.example", "password": seed::PASSWORD, "displayName": "Ana again"});
    done(suite.nobody().call("identity.AccountService/RegisterUser", person).await);
    refused(suite.nobody().sign_in("ana@muster.example", "not the password").await.map(|_| json!({})));
    for _ in 0..11 {
        refused(suite.nobody().sign_in("gus@muster.example", "not the password").await.map(|_| json!({})));
    }
    let admin = suite.sign_in(seed::ADMIN).await;
    done(admin.call("identity.UserService/UnlockSignIn", json!({"userId": world.ana.user_id})).await);
    let session = suite.sign_in("ana").await;
    let mut token = session.refresh_token.clone();
    for _ in 0..2 {
        let answer = suite.nobody().call("identity.SessionService/RefreshSession", json!({"refreshToken": token})).await;
        token = text(&done(answer), "tokens.refreshToken");
    }
    refused(suite.nobody().call("identity.SessionService/RefreshSession", json!({"refreshToken": session.refresh_token})).await);
    let session = suite.sign_in("ana").await;
    done(session.call("identity.AccountService/SetUsername", json!({"username": "ana"})).await);
    done(session.call("identity.SessionService/RevokeSession", json!({})).await);
    what_a_person_is_mailed(suite).await;
    what_a_person_does_with_a_second_factor(suite).await;
    what_becomes_of_invitations(world).await;
    // Whom the configuration names as the first admin becomes one at a start, while there is none.
    let mut conn = suite.database().await;
    let role = "UPDATE identity.user_account SET system_role = $2 WHERE user_id = $1::uuid";
    let root = suite.user_id(seed::ADMIN).await;
    sqlx::query(role).bind(&root).bind(1_i16).execute(&mut conn).await.unwrap();
    let (replica, _) = suite
        .replica("identity", Conditions::default(), |config| config.identity.own.first_admin.email = "ben@muster.example".to_owned())
        .await;
    replica.stop().await;
    sqlx::query(role).bind(&root).bind(2_i16).execute(&mut conn).await.unwrap();

    let limit = json!({"sessionMaxSeconds": 86_400});
    let asked = json!({"organizationId": world.organization_id, "organizationSettings": limit, "updateMask": "sessionMaxSeconds"});
    done(ana.call("identity.OrganizationService/UpdateOrganizationSettings", asked).await);
    let vic = |scope: &str, id: &str| json!({scope: id, "userId": world.vic.user_id, "role": "BASE_ROLE_MEMBER"});
    let (organization, workspace) = (vic("organizationId", &world.organization_id), vic("workspaceId", &world.workspace_id));
    let with_role = |member: &serde_json::Value, role: &str| {
        let mut member = member.clone();
        member["role"] = json!(role);
        member
    };
    let whom = |member: &serde_json::Value| {
        let mut member = member.clone();
        member.as_object_mut().map(|member| member.remove("role"));
        member
    };
    done(ana.call("identity.OrganizationMemberService/UpdateOrganizationMember", organization.clone()).await);
    done(ana.call("identity.WorkspaceMemberService/CreateWorkspaceMember", workspace.clone()).await);
    let admin = with_role(&workspace, "BASE_ROLE_ADMIN");
    done(ana.call("identity.WorkspaceMemberService/UpdateWorkspaceMember", admin).await);
    done(ana.call("identity.WorkspaceMemberService/DeleteWorkspaceMember", whom(&workspace)).await);
    done(ana.call("identity.OrganizationMemberService/DeleteOrganizationMember", whom(&organization)).await);

    let item = json!({"workspaceId": world.workspace_id, "workItemId": world.work_item_id});
    let change = json!({"workspaceId": world.workspace_id, "updateMask": "title",
        "workItem": {"workItemId": world.work_item_id, "title": "light the other fuse"}});
    done(ana.call("tasks.WorkItemService/UpdateWorkItem", change).await);
    let started = json!({"workspaceId": world.workspace_id, "workItemId": world.work_item_id, "state": "WORK_ITEM_STATE_IN_PROGRESS"});
    done(ana.call("tasks.WorkItemService/TransitionWorkItem", started).await);
    done(ana.call("tasks.WorkItemService/DeleteWorkItem", item.clone()).await);
    done(ana.call("tasks.WorkItemService/UndeleteWorkItem", item).await);
    what_a_person_does_with_an_inbox(world).await;
    what_a_person_wants(world).await;
    what_an_admin_does_with_a_mail(world).await;
    what_an_operator_does(suite).await;
    // At last: nobody's token is good afterwards.
    done(suite.sign_in(seed::ADMIN).await.call("identity.KeyService/RotateSigningKey", json!({"emergency": true})).await);
    suite.settle().await;
}

async fn what_a_person_is_mailed(suite: &Suite) {
    let person = json!({"email": "uma@muster.example", "password": seed::PASSWORD, "displayName": "Uma"});
    let registered = done(suite.nobody().call("identity.AccountService/RegisterUser", person).await);
    for email in ["uma@muster.example", "nobody@muster.example"] {
        let asking = json!({"email": email, "registrationId": registered["registrationId"]});
        done(suite.nobody().call("identity.AccountService/ResendVerification", asking).await);
    }
    suite.register("rex").await;
    suite.sign_in("rex").await;
    let token = suite.password_reset_token("rex@muster.example").await;
    let reset = json!({"passwordResetToken": token, "password": "another good password"});
    done(suite.nobody().call("identity.AccountService/ResetPassword", reset).await);
    suite.register("liz").await;
    let change = json!({"emailChangeToken": suite.email_change_token("liz", "elizabeth@muster.example").await});
    done(suite.sign_in("liz").await.call("identity.AccountService/ConfirmEmailChange", change).await);
    let liz = done(suite.nobody().sign_in("elizabeth@muster.example", seed::PASSWORD).await);
    let change = json!({"currentPassword": seed::PASSWORD, "password": "another good password"});
    done(liz.call("identity.AccountService/ChangePassword", change).await);
}

/// Una enrols an app, signs in by a recovery code, has other codes made, and gives the app up.
async fn what_a_person_does_with_a_second_factor(suite: &Suite) {
    let una = suite.guarded("una").await;
    let answer = json!({"challengeToken": suite.challenge("una").await, "recoveryCode": una.recovery_codes[0]});
    done(suite.nobody().call("identity.SessionService/ContinueSession", answer).await);
    done(una.actor.call("identity.FactorService/RegenerateRecoveryCodes", json!({})).await);
    done(una.actor.call("identity.FactorService/DeleteFactor", json!({"factorId": una.factor_id})).await);
    let lost = json!({"userId": suite.guarded("ulf").await.actor.user_id});
    done(suite.sign_in(seed::ADMIN).await.call("identity.FactorService/ResetUserFactors", lost).await);
}

async fn what_becomes_of_invitations(world: &World) {
    let (suite, ana) = (&world.suite, &world.ana);
    let (joins, declines, nobody) = (world.invite("jo@muster.example").await, world.invite("dee@muster.example").await, suite.nobody());
    let invitation = json!({"organizationId": world.organization_id, "invitationId": world.invite("kai@muster.example").await});
    for rpc in ["ResendInvitation", "RevokeInvitation"] {
        done(ana.call(&format!("identity.InvitationService/{rpc}"), invitation.clone()).await);
    }
    let person = json!({"invitationToken": suite.invitation_token(&joins).await, "password": seed::PASSWORD, "displayName": "Jo"});
    done(nobody.call("identity.InvitationService/AcceptInvitationAsNewUser", person).await);
    let declined = json!({"invitationToken": suite.invitation_token(&declines).await});
    done(nobody.call("identity.InvitationService/DeclineInvitation", declined).await);
}

async fn what_a_person_does_with_an_inbox(world: &World) {
    world.suite.settle().await;
    let told = done(world.ana.call("notifications.InboxService/ListInboxItems", json!({})).await);
    let told = json!({"inboxItemId": text(&told, "inboxItems.0.inboxItemId")});
    for rpc in ["MarkRead", "ArchiveInboxItem"] {
        done(world.ana.call(&format!("notifications.InboxService/{rpc}"), told.clone()).await);
    }
    done(world.ben.call("notifications.InboxService/MarkAllRead", json!({})).await);
}

/// Ana wants mail of what goes on.
async fn what_a_person_wants(world: &World) {
    let choice = json!({"category": "CATEGORY_STATUS", "channel": "CHANNEL_EMAIL", "enabled": true});
    done(world.ana.call("notifications.PreferenceService/UpdatePreferences", json!({"preferences": [choice]})).await);
}

/// Ben is to do something; whoever has handed the mail over dies before the answer, as far as anybody can tell; so ana has it sent once more.
async fn what_an_admin_does_with_a_mail(world: &World) {
    let change = json!({"workspaceId": world.workspace_id, "updateMask": "assigneeIds",
        "workItem": {"workItemId": world.work_item_id, "assigneeIds": [world.ben.user_id]}});
    done(world.ana.call("tasks.WorkItemService/UpdateWorkItem", change).await);
    world.suite.settle().await;
    let in_hand = "UPDATE notifications.delivery SET state = 2, lease_token = gen_random_uuid(), lease_expire_time = now(), handed_over = true, due_time = NULL WHERE organization_id = $1::uuid";
    sqlx::query(in_hand).bind(&world.organization_id).execute(&mut world.suite.database().await).await.unwrap();
    world.suite.settle().await;
    let unknown = done(world.ana.call("notifications.DeliveryService/ListDeliveries", json!({"filter": "state = UNKNOWN"})).await);
    let again = json!({"deliveryId": text(&unknown, "deliveries.0.deliveryId")});
    done(world.ana.call("notifications.DeliveryService/RedriveDelivery", again).await);
    world.suite.settle().await;
}

/// Tries a dead letter again and drops both: letters that were never on the bus, so that nothing can be made of them.
async fn what_an_operator_does(suite: &Suite) {
    let letters: Vec<String> = sqlx::query_scalar(
        "INSERT INTO audit.dead_letter (dead_letter_id, consumer, event_id, organization_id, stream, stream_sequence, envelope, body, cause, \
         attempts, create_time) SELECT gen_random_uuid(), 'audit', gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'MUSTER_TASKS', 0, \
         '', '', 'of a test', 1, now() FROM generate_series(1, 2) RETURNING dead_letter_id::text",
    )
    .fetch_all(&mut suite.database().await)
    .await
    .unwrap();
    let (operator, letter) = (suite.operator(), |id: &String| json!({"deadLetterId": id}));
    done(operator.call_at("audit", "common.EventAdminService/ReplayDeadLetter", letter(&letters[0])).await);
    for id in &letters {
        done(operator.call_at("audit", "common.EventAdminService/DropDeadLetter", letter(id)).await);
    }
}

/// The body, by the contract's descriptors.
fn body(event: &LoggedEvent) -> DynamicMessage {
    let type_name = &event.envelope.as_ref().unwrap_or_else(|| panic!("an event has an envelope")).r#type;
    let kind = dynamic::pool().get_message_by_name(type_name).unwrap_or_else(|| panic!("the contract has no {type_name}"));
    DynamicMessage::decode(kind, event.body.as_ref()).unwrap_or_else(|error| panic!("{type_name}: {error}"))
}

/// What is wrong with `before` and `after` of an event, in words.
fn wrong_change(body: &DynamicMessage) -> Option<&'static str> {
    let kind = body.descriptor();
    let (before, after) = (kind.get_field_by_name("before"), kind.get_field_by_name("after"));
    let value = |field: &Option<prost_reflect::FieldDescriptor>| {
        field.as_ref().filter(|field| body.has_field(field)).map(|field| body.get_field(field))
    };
    let (held_before, held_after) = (value(&before), value(&after));
    // An assignment has one event for its coming, its change and its end.
    let either = kind.full_name() == "muster.authorization.v1.AssignmentChanged";
    match (before.is_some() && held_before.is_none(), after.is_some() && held_after.is_none()) {
        (true, true) => Some("tells neither before nor after"),
        (true, false) if !either => Some("does not tell what was before"),
        (false, true) if !either => Some("does not tell what is after"),
        _ if held_before.is_some() && held_before == held_after => Some("changes nothing"),
        _ => None,
    }
}

/// The first field of `message` that holds what may not be in an event.
fn sensitive(message: &DynamicMessage) -> Option<String> {
    message.fields().find_map(|(field, value)| {
        let policy = rules::option(&field.options(), "muster.annotations.v1.field");
        let is_sensitive =
            policy.is_some_and(|policy| policy.get_field_by_name("sensitivity").is_some_and(|level| level.as_enum_number() > Some(0)));
        match value {
            _ if is_sensitive => Some(field.full_name().to_owned()),
            Proto::Message(inner) => sensitive(inner),
            Proto::List(items) => items.iter().filter_map(Proto::as_message).find_map(sensitive),
            _ => None,
        }
    })
}

/// Subject of every message on the bus, by the id of its event.
async fn on_the_bus(suite: &Suite) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for service in SERVICES {
        for message in suite.messages(service).await {
            let id = message.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id")).map(ToString::to_string);
            found.insert(id.unwrap_or_else(|| panic!("{} has no id", message.subject)), message.subject.to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_the_contract_is_told_once_whole_and_without_what_is_personal() {
    let world = World::of(Suite::start().await).await;
    the_rest_of_the_story(&world).await;
    let subjects = on_the_bus(&world.suite).await;
    let (mut told, mut count) = (BTreeSet::new(), 0);
    for service in SERVICES {
        for (event, position) in world.suite.events(service).await.iter().zip(1_i64..) {
            let envelope = event.envelope.clone().unwrap_or_default();
            let name = &envelope.r#type;
            let kind = event_type(name).unwrap_or_else(|| panic!("{name} is no event of the contract"));
            let teller = if kind.service == "common" { service } else { kind.service };
            assert_eq!((envelope.position, teller), (position, service), "{name}: no gap, no stranger");
            let subject = format!("muster.{service}.v1.{}.{}.{}", kind.aggregate, kind.past_tense, envelope.organization_id);
            assert_eq!(subjects.get(&envelope.event_id), Some(&subject), "{name} on the bus");
            let body = body(event);
            let key = body.get_field_by_name(kind.key_field).and_then(|key| key.as_str().map(ToOwned::to_owned));
            assert_eq!(key.as_deref(), Some(envelope.aggregate_id.as_str()), "{name}: the id of what changed");
            assert_eq!(wrong_change(&body), None, "{name}: {body:?}");
            assert_eq!(sensitive(&body), None, "{name}: {body:?}");
            let actor = envelope.actor.unwrap_or_default();
            assert!(actor.kind > 0 && !envelope.request_id.is_empty() && !envelope.traceparent.is_empty(), "{name}: who, in which request");
            told.insert(kind.type_name);
            count += 1;
        }
    }
    let untold: Vec<_> = EVENTS.iter().map(|event| event.type_name).filter(|name| !told.contains(name)).collect();
    assert_eq!(untold, [""; 0], "the story tells every event");
    assert_eq!(subjects.len(), count, "what is on the bus is in a log");
    let mut conn = world.suite.database().await;
    let recorded: i64 = sqlx::query_scalar("SELECT count(*) FROM audit.record").fetch_one(&mut conn).await.unwrap();
    assert_eq!(usize::try_from(recorded), Ok(count), "each event has its record in the audit trail");
    world.suite.finish().await;
}

#[test]
fn an_event_that_tells_too_little_or_too_much_is_noticed() {
    let event = |name: &str, json: serde_json::Value| {
        let kind = dynamic::pool().get_message_by_name(name).unwrap();
        dynamic::from_json(kind, &json.to_string()).unwrap()
    };
    let item = json!({"title": "paint the shed"});
    let updated = |body| wrong_change(&event("muster.tasks.v1.WorkItemUpdated", body));
    assert_eq!(updated(json!({"before": item, "after": {"title": "paint the barn"}})), None);
    assert_eq!(updated(json!({"before": item, "after": item})), Some("changes nothing"));
    assert_eq!(updated(json!({"after": item})), Some("does not tell what was before"));
    assert_eq!(updated(json!({"before": item})), Some("does not tell what is after"));
    let registered = event("muster.identity.v1.UserRegistered", json!({"userId": "u", "after": {"email": "ana@muster.example"}}));
    assert_eq!(sensitive(&registered).as_deref(), Some("muster.identity.v1.User.email"));
}
