//! The reasons that are one service's own.

use futures::future::join_all;
use muster::{seed, serve::Conditions};
use muster_tests::{
    Actor, text,
    world::{World, done, refused},
};
use serde_json::{Value, json};

use super::{Seen, common::ended};
use crate::every_rpc::with;

/// An id of nothing.
const NOBODY: &str = "018f4f2e-0000-7000-8000-00000000dead";

pub(super) async fn provoke(world: &World, seen: &mut Seen) {
    accounts(world, seen).await;
    factors(world, seen).await;
    mfa(world, seen).await;
    members(world, seen).await;
    invitations(world, seen).await;
    decisions(world, seen).await;
    work_items(world, seen).await;
    plans_and_watches(world, seen).await;
    inboxes(world, seen).await;
}

async fn accounts(world: &World, seen: &mut Seen) {
    let nobody = world.suite.nobody();
    let sign_in = async |email: &str, password: &str| {
        nobody.call("identity.SessionService/CreateSession", json!({"email": email, "password": password})).await
    };
    seen.note("identity.muster/SIGN_IN_REFUSED", sign_in("ana@muster.example", "not this").await);
    // Ten are free, and the next one makes the one after it wait.
    for _ in 0..11 {
        seen.note("identity.muster/SIGN_IN_REFUSED", sign_in("stranger@muster.example", "not this").await);
    }
    seen.note("identity.muster/SIGN_IN_THROTTLED", sign_in("stranger@muster.example", "not this").await);
    let crowd = join_all((0..8).map(|_| sign_in("ana@muster.example", seed::PASSWORD))).await;
    let turned_away = crowd.into_iter().find_map(Result::err);
    seen.keep("identity.muster/HASHING_OVERLOADED", turned_away.unwrap_or_else(|| panic!("a queue of one takes eight at once")));
    let weak = json!({"email": "new@muster.example", "password": "12345678", "displayName": "New"});
    seen.note("identity.muster/PASSWORD_TOO_WEAK", nobody.call("identity.AccountService/RegisterUser", weak).await);
    let username = async |name: &str| world.ana.call("identity.AccountService/SetUsername", json!({"username": name})).await;
    seen.note("identity.muster/USERNAME_RESERVED", username("admin").await);
    done(world.ben.call("identity.AccountService/SetUsername", json!({"username": "ben"})).await);
    seen.note("identity.muster/USERNAME_TAKEN", username("Ben").await);
    let proof = json!({"verificationToken": "none", "password": seed::PASSWORD});
    seen.note("identity.muster/VERIFICATION_TOKEN_INVALID", nobody.call("identity.AccountService/VerifyEmail", proof).await);
    let reset = json!({"passwordResetToken": "none", "password": seed::PASSWORD});
    seen.note("identity.muster/PASSWORD_RESET_TOKEN_INVALID", nobody.call("identity.AccountService/ResetPassword", reset).await);
    let change = json!({"emailChangeToken": "none"});
    seen.note("identity.muster/EMAIL_CHANGE_TOKEN_INVALID", world.ana.call("identity.AccountService/ConfirmEmailChange", change).await);
    let guess = json!({"currentPassword": "not this", "password": "another good password"});
    let guess = async || refused(world.vic.call("identity.AccountService/ChangePassword", guess.clone()).await);
    let mut guessed = guess().await;
    while guessed.reason == "PASSWORD_INCORRECT" {
        seen.keep("identity.muster/PASSWORD_INCORRECT", guessed);
        guessed = guess().await;
    }
    seen.keep("identity.muster/ATTEMPTS_THROTTLED", guessed);
    let refresh = async |token: &str| nobody.call("identity.SessionService/RefreshSession", json!({"refreshToken": token})).await;
    seen.note("identity.muster/REFRESH_TOKEN_INVALID", refresh("none").await);
    let first = world.suite.sign_in("ana").await.refresh_token;
    let second = text(&done(refresh(&first).await), "tokens.refreshToken");
    done(refresh(&second).await);
    seen.note("identity.muster/REFRESH_TOKEN_REUSED", refresh(&first).await);
    let session = json!({"sessionId": NOBODY});
    seen.note("identity.muster/SESSION_NOT_FOUND", world.ana.call("identity.SessionService/RevokeSession", session).await);
    seen.note("identity.muster/USER_NOT_FOUND", world.ana.call("identity.UserService/GetUser", json!({"userId": NOBODY})).await);
    let gone = world.suite.service("notifications").call("identity.RecipientService/ResolveRecipient", json!({"userId": NOBODY})).await;
    seen.note("identity.muster/RECIPIENT_NOT_FOUND", gone);
    let admin = world.suite.sign_in(seed::ADMIN).await;
    let rotate = async |request: Value| admin.call("identity.KeyService/RotateSigningKey", request).await;
    world.suite.age_signing_key().await;
    done(rotate(json!({})).await);
    seen.note("identity.muster/SIGNING_KEY_TOO_YOUNG", rotate(json!({})).await);
    let again = json!({"slug": "acme", "displayName": "Acme"});
    seen.note("identity.muster/SLUG_TAKEN", world.ana.call("identity.OrganizationService/CreateOrganization", again).await);
}

async fn factors(world: &World, seen: &mut Seen) {
    let suite = &world.suite;
    let una = suite.guarded("una").await;
    let call = async |rpc: &str, request: Value| una.actor.call(&format!("identity.{rpc}"), request).await;
    let nobody = suite.nobody();
    let answer = async |token: &str, code: Value| {
        nobody.call("identity.SessionService/ContinueSession", with(json!({"challengeToken": token}), code)).await
    };
    let wrong = json!({"recoveryCode": "wrong"});
    seen.note("identity.muster/CHALLENGE_INVALID", answer("none", wrong.clone()).await);
    seen.note("identity.muster/FACTOR_CODE_REFUSED", answer(&suite.challenge("una").await, wrong.clone()).await);
    seen.note("identity.muster/FACTOR_CODE_REQUIRED", call("SessionService/StepUpSession", json!({})).await);
    seen.note("identity.muster/STEP_UP_REFUSED", call("SessionService/StepUpSession", wrong).await);
    seen.note("identity.muster/FACTOR_NOT_FOUND", call("FactorService/DeleteFactor", json!({"factorId": NOBODY})).await);
    seen.note("muster/STEP_UP_REQUIRED", world.ana.call("identity.FactorService/DeleteFactor", json!({"factorId": NOBODY})).await);
    let full = "INSERT INTO identity.factor (user_id, factor_id, display_name, secret, state, create_time, confirm_time) \
                SELECT $1::uuid, gen_random_uuid(), '', '', 2, now(), now() FROM generate_series(1, 4)";
    sqlx::query(full).bind(&una.actor.user_id).execute(&mut suite.database().await).await.unwrap();
    seen.note("identity.muster/TOO_MANY_FACTORS", call("FactorService/EnrollTotp", json!({})).await);
}

/// Whose session has no second factor asks nobody for one: Ana, without any, and then with one that her session did not see.
async fn mfa(world: &World, seen: &mut Seen) {
    let ask = json!({"organizationId": world.organization_id, "organizationSettings": {"mfaRequiredTime": "2026-01-01T00:00:00Z"},
                     "updateMask": "mfaRequiredTime"});
    let asked = async || world.ana.call("identity.OrganizationService/UpdateOrganizationSettings", ask.clone()).await;
    seen.note("identity.muster/FACTOR_ENROLLMENT_REQUIRED", asked().await);
    let mut conn = world.suite.database().await;
    let has = "INSERT INTO identity.factor (user_id, factor_id, display_name, secret, state, create_time, confirm_time) \
               VALUES ($1::uuid, gen_random_uuid(), '', '', 2, now(), now())";
    sqlx::query(has).bind(&world.ana.user_id).execute(&mut conn).await.unwrap();
    seen.note("identity.muster/MFA_REQUIRED", asked().await);
    sqlx::query("DELETE FROM identity.factor WHERE user_id = $1::uuid").bind(&world.ana.user_id).execute(&mut conn).await.unwrap();
}

async fn members(world: &World, seen: &mut Seen) {
    let member = |user_id: &str, role: &str| {
        let member = json!({"organizationId": world.organization_id, "userId": user_id});
        if role.is_empty() { member } else { with(member, json!({"role": format!("BASE_ROLE_{role}")})) }
    };
    let (create, update, delete) = ("CreateOrganizationMember", "UpdateOrganizationMember", "DeleteOrganizationMember");
    let call = |rpc: &str| format!("identity.OrganizationMemberService/{rpc}");
    let (ana, ben) = (&world.ana, &world.ben);
    seen.note("identity.muster/MEMBER_NOT_FOUND", ana.call(&call(update), member(NOBODY, "MEMBER")).await);
    seen.note("identity.muster/MEMBER_ALREADY_EXISTS", ana.call(&call(create), member(&ben.user_id, "MEMBER")).await);
    seen.note("identity.muster/LAST_OWNER", ana.call(&call(delete), member(&ana.user_id, "")).await);
    done(ana.call(&call(update), member(&ben.user_id, "ADMIN")).await);
    world.suite.settle().await;
    seen.note("identity.muster/ROLE_ABOVE_OWN", ben.call(&call(update), member(&ben.user_id, "OWNER")).await);
    let guest = json!({"workspaceId": world.workspace_id, "userId": world.eve.user_id, "role": "BASE_ROLE_VIEWER"});
    let joined = ana.call("identity.WorkspaceMemberService/CreateWorkspaceMember", guest).await;
    seen.note("identity.muster/NOT_ORGANIZATION_MEMBER", joined);
}

async fn invitations(world: &World, seen: &mut Seen) {
    let (ana, suite) = (&world.ana, &world.suite);
    let call = async |rpc: &str, more: Value| {
        let request = with(json!({"organizationId": world.organization_id}), more);
        ana.call(&format!("identity.InvitationService/{rpc}"), request).await
    };
    let invite = |email: &str| json!({"email": email, "role": "BASE_ROLE_MEMBER"});
    seen.note("identity.muster/INVITATION_NOT_FOUND", call("GetInvitation", json!({"invitationId": NOBODY})).await);
    let eves = world.invite("eve@muster.example").await;
    seen.note("identity.muster/INVITATION_ALREADY_PENDING", call("CreateInvitation", invite("eve@muster.example")).await);
    let gone = world.invite("kai@muster.example").await;
    seen.note("identity.muster/TOO_MANY_INVITATIONS", call("CreateInvitation", invite("lou@muster.example")).await);
    done(call("RevokeInvitation", json!({"invitationId": gone})).await);
    seen.note("identity.muster/INVITATION_NOT_PENDING", call("RevokeInvitation", json!({"invitationId": gone})).await);
    let token = suite.invitation_token(&eves).await;
    let accept = json!({"invitationToken": token});
    seen.note("identity.muster/INVITED_ADDRESS_DIFFERS", ana.call("identity.InvitationService/AcceptInvitation", accept).await);
    let forged = json!({"invitationToken": "none"});
    seen.note("identity.muster/INVITATION_TOKEN_INVALID", ana.call("identity.InvitationService/AcceptInvitation", forged).await);
    let person = json!({"invitationToken": token, "password": seed::PASSWORD, "displayName": "Eve"});
    let known = suite.nobody().call("identity.InvitationService/AcceptInvitationAsNewUser", person).await;
    seen.note("identity.muster/ACCOUNT_ALREADY_EXISTS", known);
}

async fn decisions(world: &World, seen: &mut Seen) {
    let question = json!({"question": {"permission": "tasks.work_item.paint"}});
    seen.note("authorization.muster/PERMISSION_UNKNOWN", world.ana.call("authorization.AuthorizationService/Check", question).await);
    let whose = json!({"userId": NOBODY});
    seen.note("authorization.muster/SUBJECT_NOT_FOUND", world.ana.call("authorization.AuthorizationService/ListPermissions", whose).await);
    let event = json!({"auditEventId": NOBODY});
    seen.note("audit.muster/AUDIT_EVENT_NOT_FOUND", world.ana.call("audit.AuditService/GetEvent", event).await);
    let letter = json!({"deadLetterId": NOBODY});
    let dropped = world.suite.operator().call("common.EventAdminService/DropDeadLetter", letter).await;
    seen.note("muster/DEAD_LETTER_NOT_FOUND", dropped);
}

async fn work_items(world: &World, seen: &mut Seen) {
    let ana = &world.ana;
    let workspace = json!({"workspaceId": world.workspace_id});
    let of_workspace = |more: Value| with(workspace.clone(), more);
    let product = of_workspace(json!({"productId": NOBODY}));
    seen.note("tasks.muster/PRODUCT_NOT_FOUND", ana.call("tasks.ProductService/GetProduct", product).await);
    let taken = of_workspace(json!({"key": "ACME", "displayName": "Again"}));
    seen.note("tasks.muster/PRODUCT_KEY_TAKEN", ana.call("tasks.ProductService/CreateProduct", taken).await);
    let missing = of_workspace(json!({"workItemId": NOBODY}));
    seen.note("tasks.muster/WORK_ITEM_NOT_FOUND", ana.call("tasks.WorkItemService/GetWorkItem", missing).await);
    let create = async |more: Value| {
        let item = of_workspace(with(json!({"productId": world.product_id, "title": "one more"}), more));
        ana.call("tasks.WorkItemService/CreateWorkItem", item).await
    };
    seen.note("tasks.muster/PARENT_NOT_FOUND", create(json!({"parentId": NOBODY, "type": "WORK_ITEM_TYPE_SUBTASK"})).await);
    let epic = json!({"parentId": world.work_item_id, "type": "WORK_ITEM_TYPE_EPIC"});
    seen.note("tasks.muster/PARENT_TYPE_NOT_ALLOWED", create(epic).await);
    seen.note("tasks.muster/ASSIGNEE_NOT_FOUND", create(json!({"assigneeIds": [NOBODY]})).await);
    let mut parent_id = world.work_item_id.clone();
    let too_deep = loop {
        match create(json!({"parentId": parent_id, "type": "WORK_ITEM_TYPE_SUBTASK"})).await {
            Ok(child) => parent_id = text(&child, "workItem.workItemId"),
            Err(fault) => break fault,
        }
    };
    seen.keep("tasks.muster/HIERARCHY_TOO_DEEP", too_deep);
    let cancelled = world.work_item("never mind").await;
    let to = async |state: &str| {
        let state = json!({"workItemId": cancelled, "state": format!("WORK_ITEM_STATE_{state}")});
        ana.call("tasks.WorkItemService/TransitionWorkItem", of_workspace(state)).await
    };
    done(to("CANCELLED").await);
    seen.note("tasks.muster/TRANSITION_NOT_ALLOWED", to("COMPLETED").await);
    let nothing = of_workspace(json!({"workItem": {"workItemId": world.work_item_id}, "updateMask": ""}));
    seen.note("tasks.muster/UPDATE_MASK_EMPTY", ana.call("tasks.WorkItemService/UpdateWorkItem", nothing).await);
}

async fn plans_and_watches(world: &World, seen: &mut Seen) {
    let ana = &world.ana;
    let import = async |markdown: String| {
        let plan = json!({"workspaceId": world.workspace_id, "productId": world.product_id, "document": "plan.md", "markdown": markdown});
        ana.call("tasks.WorkItemService/ImportPlan", plan).await
    };
    seen.note("tasks.muster/PLAN_EMPTY", import("Nothing to do.\n".to_owned()).await);
    seen.note("tasks.muster/PLAN_TOO_LARGE", import((0..5_001).map(|n| format!("- [ ] item {n}\n")).collect()).await);

    let watch = ana.stream_at("tasks", "tasks.WorkItemService/WatchWorkItems", json!({"workspaceId": world.workspace_id})).await;
    // More than the windows of a connection hold, and nobody reads.
    for round in 0..100 {
        let item = json!({"workItemId": world.work_item_id, "description": format!("{round} {}", "x".repeat(60_000))});
        let change = json!({"workspaceId": world.workspace_id, "workItem": item, "updateMask": "description"});
        done(ana.call("tasks.WorkItemService/UpdateWorkItem", change).await);
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    seen.keep("tasks.muster/SLOW_CONSUMER", ended(watch).await);
    let short = json!({"workspaceId": world.workspace_id, "workItem": {"workItemId": world.work_item_id}, "updateMask": "description"});
    done(ana.call("tasks.WorkItemService/UpdateWorkItem", short).await);
    refused(ana.call("tasks.WorkItemService/ImportPlan", json!({})).await);
}

async fn inboxes(world: &World, seen: &mut Seen) {
    let missing = world.ana.call("notifications.InboxService/MarkRead", json!({"inboxItemId": NOBODY})).await;
    seen.note("notifications.muster/INBOX_ITEM_NOT_FOUND", missing);
    let unwanted = json!({"preferences": [{"category": "CATEGORY_SECURITY", "channel": "CHANNEL_EMAIL"}]});
    let refusal = world.ana.call("notifications.PreferenceService/UpdatePreferences", unwanted).await;
    seen.note("notifications.muster/CATEGORY_MANDATORY", refusal);
    let admin = world.suite.sign_in(seed::ADMIN).await;
    world.suite.settle().await;
    let redrive = async |id: &str| admin.call("notifications.DeliveryService/RedriveDelivery", json!({"deliveryId": id})).await;
    seen.note("notifications.muster/DELIVERY_NOT_FOUND", redrive(NOBODY).await);
    let sent = json!({"filter": "state = SENT", "pageSize": 1});
    let sent = done(admin.call("notifications.DeliveryService/ListDeliveries", sent).await);
    seen.note("notifications.muster/DELIVERY_WRONG_STATE", redrive(&text(&sent, "deliveries.0.deliveryId")).await);
    let mail = json!({"mailId": NOBODY});
    seen.note("notifications.muster/MAIL_NOT_FOUND", admin.call("notifications.MailboxService/GetMail", mail.clone()).await);
    let with_server = |config: &mut muster::config::Config| config.notifications.own.smtp.host = "127.0.0.1".to_owned();
    let (replica, places) = world.suite.replica("notifications", Conditions::default(), with_server).await;
    replica.ready(std::time::Duration::from_secs(60)).await.unwrap();
    let elsewhere = Actor::nobody(places).with_token(&admin.token);
    seen.note("notifications.muster/MAILBOX_DISABLED", elsewhere.call("notifications.MailboxService/GetMail", mail).await);
    replica.stop().await;
}
