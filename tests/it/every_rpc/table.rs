//! A request for each RPC that its caller may send, in an order in which all of them can be sent.

use contract::MethodPolicy;
use identity::factor::totp::step_at;
use muster::seed;
use muster_tests::{
    Actor, text,
    world::{World, done},
};
use runtime::Clock;
use serde_json::{Value, json};

use super::with;

/// Who a request is from.
#[derive(Debug, Clone)]
pub(super) enum Who {
    /// Anybody, without credentials.
    Nobody,
    /// A service that the method names as its caller.
    Service,
    /// The system admin.
    Admin,
    /// The owner of acme.
    Ana,
    /// Somebody with a password that nobody else has.
    Pat,
    /// Somebody in a session of this moment.
    Fresh(&'static str),
    /// Somebody in a session that was made for it.
    This(Box<Actor>),
}

/// Pat's password.
const PATS: &str = "a password of pat's own";

impl Who {
    pub(super) async fn of(&self, world: &World, policy: &MethodPolicy) -> Actor {
        match self {
            Who::Nobody => world.suite.nobody(),
            Who::Service => world.suite.service(policy.callers[0]),
            Who::Admin => world.suite.sign_in(seed::ADMIN).await,
            Who::Ana => world.ana.clone(),
            Who::Pat => done(world.suite.nobody().sign_in("pat@muster.example", PATS).await),
            Who::Fresh(name) => world.suite.sign_in(name).await,
            Who::This(actor) => (**actor).clone(),
        }
    }
}

/// One RPC.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) rpc: &'static str,
    pub(super) who: Who,
    /// With `{place}` where each caller must say something of its own.
    request: Value,
    /// Whether the request names something of acme, so that a stranger must be refused. Without, a stranger's answer is about the stranger.
    pub(super) names_acme: bool,
}

impl Entry {
    /// The request, from a caller at `place`.
    pub(super) fn request(&self, place: &str) -> Value {
        let text = self.request.to_string().replace("{place}", place);
        text.parse().unwrap_or_else(|error| panic!("{}: {error}", self.rpc))
    }
}

/// The table.
pub(super) async fn entries(world: &World) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |who, names_acme, rpc, request| entries.push(Entry { rpc, who, request, names_acme });
    let own = false;
    let acme = true;

    // First of all, while the code is good.
    factors(world, &mut add).await;
    let (token, second) = unverified(world).await;
    let session = world.suite.sign_in("ana").await;
    let registration = json!({"email": "fay@muster.example", "password": seed::PASSWORD, "displayName": "Fay"});
    add(Who::Nobody, own, "identity.AccountService/RegisterUser", registration);
    add(Who::Service, own, "identity.AccountService/IssueVerificationToken", json!({"userId": second}));
    add(Who::Nobody, own, "identity.AccountService/VerifyEmail", json!({"verificationToken": token, "password": seed::PASSWORD}));
    add(Who::Nobody, own, "identity.AccountService/ResendVerification", json!({"email": "hal@muster.example", "registrationId": second}));
    add(Who::Nobody, own, "identity.AccountService/RequestPasswordReset", json!({"email": "ana@muster.example"}));
    world.suite.register("ivy").await;
    let reset = json!({"passwordResetToken": world.suite.password_reset_token("ivy@muster.example").await, "password": seed::PASSWORD});
    add(Who::Nobody, own, "identity.AccountService/ResetPassword", reset);
    pat(world).await;
    let address = json!({"email": "pat-{place}@muster.example", "currentPassword": PATS});
    add(Who::Pat, own, "identity.AccountService/RequestEmailChange", address);
    world.suite.register("nia").await;
    let change = json!({"emailChangeToken": world.suite.email_change_token("nia", "nia-two@muster.example").await});
    add(Who::Fresh("nia"), own, "identity.AccountService/ConfirmEmailChange", change);
    add(Who::Nobody, own, "identity.AccountService/CheckPassword", json!({"password": PATS}));
    let password = json!({"currentPassword": PATS, "password": PATS});
    add(Who::Pat, own, "identity.AccountService/ChangePassword", password);
    add(Who::Ana, own, "identity.AccountService/SetUsername", json!({"username": "ana-{place}"}));
    world.suite.age_signing_key().await;
    add(Who::Nobody, own, "identity.KeyService/GetJsonWebKeySet", json!({}));
    add(Who::Admin, own, "identity.KeyService/ListSigningKeys", json!({}));
    add(Who::Admin, own, "identity.KeyService/RotateSigningKey", json!({"emergency": false}));
    add(Who::Service, own, "identity.MembershipService/ListMemberships", json!({}));
    add(Who::Service, own, "identity.RecipientService/ResolveRecipient", json!({"userId": second, "link": "LINK_VERIFY_EMAIL"}));
    add(Who::Service, own, "identity.RevocationService/ListRevocations", json!({}));
    add(Who::Service, own, "identity.RevocationService/WatchRevocations", json!({}));
    let password = json!({"email": "ana@muster.example", "password": seed::PASSWORD});
    add(Who::Nobody, own, "identity.SessionService/CreateSession", password);
    add(Who::Nobody, own, "identity.SessionService/RefreshSession", json!({"refreshToken": session.refresh_token}));
    add(Who::Ana, acme, "identity.SessionService/SwitchContext", json!({"organizationId": world.organization_id}));
    add(Who::Ana, own, "identity.SessionService/ListSessions", json!({}));
    add(Who::Ana, acme, "identity.SessionService/RevokeSession", json!({"sessionId": session.session_id}));
    add(Who::Ana, acme, "identity.UserService/GetUser", json!({"userId": world.ben.user_id}));
    add(Who::Admin, own, "identity.UserService/ListUsers", json!({}));
    add(Who::Admin, own, "identity.SessionService/RevokeUserSessions", json!({"userId": second}));
    add(Who::Service, own, "identity.TokenService/IntrospectToken", json!({"token": "none"}));
    add(Who::Nobody, own, "identity.TokenService/RevokeToken", json!({"token": "none"}));
    add(Who::Nobody, own, "identity.KeyService/GetOpenIdConfiguration", json!({}));
    let hash = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let imported =
        json!({"users": [{"email": "uli-{place}@muster.example", "displayName": "Uli", "emailProved": true, "passwordHash": hash}]});
    add(Who::Admin, own, "identity.UserService/ImportUsers", imported);
    add(Who::Admin, own, "identity.UserService/UnlockSignIn", json!({"userId": world.ben.user_id}));

    let organization = json!({"organizationId": world.organization_id});
    let joiner = world.suite.register("joe").await;
    let member = with(organization.clone(), json!({"userId": joiner}));
    let (role, less) = (json!({"role": "BASE_ROLE_MEMBER"}), json!({"role": "BASE_ROLE_VIEWER"}));
    add(Who::Ana, own, "identity.OrganizationService/CreateOrganization", json!({"slug": "initech-{place}", "displayName": "Initech"}));
    add(Who::Ana, acme, "identity.OrganizationService/GetOrganization", organization.clone());
    add(Who::Ana, own, "identity.OrganizationService/ListOrganizations", json!({}));
    add(Who::Ana, acme, "identity.OrganizationService/GetOrganizationSettings", organization.clone());
    let asked = json!({"organizationSettings": {"sessionIdleSeconds": 86_400}, "updateMask": "sessionIdleSeconds"});
    add(Who::Ana, acme, "identity.OrganizationService/UpdateOrganizationSettings", with(organization.clone(), asked));
    add(Who::Ana, acme, "identity.OrganizationMemberService/CreateOrganizationMember", with(member.clone(), role.clone()));
    add(Who::Ana, acme, "identity.OrganizationMemberService/UpdateOrganizationMember", with(member.clone(), less.clone()));
    add(Who::Ana, acme, "identity.OrganizationMemberService/ListOrganizationMembers", organization);
    add(Who::Ana, own, "identity.WorkspaceService/CreateWorkspace", json!({"slug": "second-{place}", "displayName": "Second"}));
    let workspace = json!({"workspaceId": world.workspace_id});
    add(Who::Ana, acme, "identity.WorkspaceService/GetWorkspace", workspace.clone());
    add(Who::Ana, own, "identity.WorkspaceService/ListWorkspaces", json!({}));
    let guest = with(workspace.clone(), json!({"userId": joiner}));
    add(Who::Ana, acme, "identity.WorkspaceMemberService/CreateWorkspaceMember", with(guest.clone(), role));
    add(Who::Ana, acme, "identity.WorkspaceMemberService/UpdateWorkspaceMember", with(guest.clone(), less));
    add(Who::Ana, acme, "identity.WorkspaceMemberService/ListWorkspaceMembers", workspace.clone());
    add(Who::Ana, acme, "identity.WorkspaceMemberService/DeleteWorkspaceMember", guest);
    add(Who::Ana, acme, "identity.OrganizationMemberService/DeleteOrganizationMember", member);

    invitations(world, &mut add).await;

    let question = with(workspace.clone(), json!({"userId": world.ben.user_id, "permission": "tasks.work_item.get"}));
    add(Who::Ana, own, "authorization.AuthorizationService/Check", json!({"question": question}));
    add(Who::Ana, own, "authorization.AuthorizationService/BatchCheck", json!({"questions": [question]}));
    let whose = with(workspace.clone(), json!({"userId": world.ben.user_id}));
    add(Who::Ana, acme, "authorization.AuthorizationService/ListPermissions", whose);
    add(Who::Ana, own, "authorization.AuthorizationService/ListRoles", json!({}));
    add(Who::Service, own, "authorization.ReplicationService/GetSnapshot", json!({}));
    add(Who::Service, own, "authorization.ReplicationService/Watch", json!({}));

    let product = with(workspace.clone(), json!({"productId": world.product_id}));
    let item = with(workspace.clone(), json!({"workItemId": world.work_item_id}));
    add(Who::Ana, acme, "tasks.ProductService/CreateProduct", with(workspace.clone(), json!({"key": "NEW", "displayName": "New"})));
    add(Who::Ana, acme, "tasks.ProductService/GetProduct", product.clone());
    add(Who::Ana, acme, "tasks.ProductService/ListProducts", workspace.clone());
    add(Who::Ana, acme, "tasks.WorkItemService/CreateWorkItem", with(product.clone(), json!({"title": "count down"})));
    add(Who::Ana, acme, "tasks.WorkItemService/GetWorkItem", item.clone());
    add(Who::Ana, acme, "tasks.WorkItemService/ListWorkItems", workspace.clone());
    let change = json!({"workItem": {"workItemId": world.work_item_id, "title": "light it"}, "updateMask": "title"});
    add(Who::Ana, acme, "tasks.WorkItemService/UpdateWorkItem", with(workspace.clone(), change));
    let started = with(item.clone(), json!({"state": "WORK_ITEM_STATE_IN_PROGRESS"}));
    add(Who::Ana, acme, "tasks.WorkItemService/TransitionWorkItem", started);
    add(Who::Ana, acme, "tasks.WorkItemService/DeleteWorkItem", item.clone());
    add(Who::Ana, acme, "tasks.WorkItemService/UndeleteWorkItem", item);
    let plan = with(product, json!({"document": "plan.md", "markdown": "- [ ] one\n"}));
    add(Who::Ana, acme, "tasks.WorkItemService/ImportPlan", plan);
    add(Who::Ana, acme, "tasks.WorkItemService/WatchWorkItems", workspace);

    let newest = done(world.ana.call("audit.AuditService/ListEvents", json!({"pageSize": 1})).await);
    add(Who::Ana, own, "audit.AuditService/ListEvents", json!({}));
    add(Who::Ana, acme, "audit.AuditService/GetEvent", json!({"auditEventId": text(&newest, "auditEvents.0.auditEventId")}));

    let told = text(&done(world.ana.call("notifications.InboxService/ListInboxItems", json!({})).await), "inboxItems.0.inboxItemId");
    let told = json!({"inboxItemId": told});
    add(Who::Ana, own, "notifications.InboxService/ListInboxItems", json!({}));
    add(Who::Ana, own, "notifications.InboxService/GetUnreadCount", json!({}));
    add(Who::Ana, acme, "notifications.InboxService/MarkRead", told.clone());
    add(Who::Ana, own, "notifications.InboxService/MarkAllRead", json!({}));
    add(Who::Ana, acme, "notifications.InboxService/ArchiveInboxItem", told);
    add(Who::Ana, own, "notifications.InboxService/WatchInbox", json!({}));

    let delivery = json!({"deliveryId": dead_delivery(world).await});
    add(Who::Ana, own, "notifications.DeliveryService/ListDeliveries", json!({}));
    add(Who::Ana, acme, "notifications.DeliveryService/GetDelivery", delivery.clone());
    add(Who::Ana, acme, "notifications.DeliveryService/RedriveDelivery", delivery);
    let mails = done(world.suite.sign_in(seed::ADMIN).await.call("notifications.MailboxService/ListMails", json!({})).await);
    add(Who::Admin, own, "notifications.MailboxService/ListMails", json!({}));
    add(Who::Admin, own, "notifications.MailboxService/GetMail", json!({"mailId": text(&mails, "mails.0.mailId")}));

    let choice = json!({"category": "CATEGORY_STATUS", "channel": "CHANNEL_EMAIL", "enabled": true});
    add(Who::Ana, own, "notifications.PreferenceService/GetPreferences", json!({}));
    add(Who::Ana, own, "notifications.PreferenceService/UpdatePreferences", json!({"preferences": [choice]}));

    let letter = dead_letter(world).await;
    add(Who::Service, own, "common.EventAdminService/GetEventStatus", json!({}));
    add(Who::Service, own, "common.EventAdminService/ListLoggedEvents", json!({}));
    add(Who::Service, own, "common.EventAdminService/ListDeadLetters", json!({}));
    add(Who::Service, own, "common.EventAdminService/ReplayDeadLetter", json!({"deadLetterId": letter}));
    add(Who::Service, own, "common.EventAdminService/DropDeadLetter", json!({"deadLetterId": letter}));
    // The last: it ends the sessions of whoever calls.
    entries.push(Entry { rpc: "identity.SessionService/RevokeOtherSessions", who: Who::Ana, request: json!({}), names_acme: own });
    entries
}

/// People with a second factor: one who has it, and one who is about to.
async fn factors(world: &World, add: &mut impl FnMut(Who, bool, &'static str, Value)) {
    let own = false;
    let guarded = world.suite.guarded("una").await;
    let challenge = json!({"challengeToken": world.suite.challenge("una").await, "recoveryCode": guarded.recovery_codes[0]});
    let (una, factor) = (Who::This(Box::new(guarded.actor)), json!({"factorId": guarded.factor_id}));
    world.suite.register("ugo").await;
    let ugo = world.suite.sign_in("ugo").await;
    let (factor_id, secret) = world.suite.enrolled(&ugo).await;
    let first = json!({"factorId": factor_id, "totpCode": secret.code(step_at(Clock::system().now()) + 1)});
    add(Who::This(Box::new(ugo)), own, "identity.FactorService/ConfirmTotp", first);
    add(Who::Fresh("ben"), own, "identity.FactorService/EnrollTotp", json!({"displayName": "my phone"}));
    add(Who::Fresh("ben"), own, "identity.FactorService/ListFactors", json!({}));
    add(Who::Fresh("ben"), own, "identity.SessionService/StepUpSession", json!({"password": seed::PASSWORD}));
    add(Who::Nobody, own, "identity.SessionService/ContinueSession", challenge);
    add(una.clone(), own, "identity.FactorService/RegenerateRecoveryCodes", json!({}));
    add(una, own, "identity.FactorService/DeleteFactor", factor);
    let joe = world.suite.register("jim").await;
    add(Who::Admin, own, "identity.FactorService/ResetUserFactors", json!({"userId": joe}));
}

/// Who invites into acme and who answers; the one that ana herself answers is eve's, into globex.
async fn invitations(world: &World, add: &mut impl FnMut(Who, bool, &'static str, Value)) {
    let (own, acme) = (false, true);
    let organization = json!({"organizationId": world.organization_id});
    let mut ids = Vec::new();
    for name in ["again", "back", "look", "join", "decline"] {
        ids.push(world.invite(&format!("{name}@muster.example")).await);
    }
    let invitation = |id: &str| with(json!({"organizationId": world.organization_id}), json!({"invitationId": id}));
    let create = with(organization.clone(), json!({"email": "kai@muster.example", "role": "BASE_ROLE_MEMBER"}));
    add(Who::Ana, acme, "identity.InvitationService/CreateInvitation", create);
    add(Who::Ana, acme, "identity.InvitationService/GetInvitation", invitation(&ids[0]));
    add(Who::Ana, acme, "identity.InvitationService/ListInvitations", organization);
    add(Who::Ana, acme, "identity.InvitationService/ResendInvitation", invitation(&ids[0]));
    add(Who::Ana, acme, "identity.InvitationService/RevokeInvitation", invitation(&ids[1]));
    let mut tokens = Vec::new();
    for id in &ids[2..] {
        tokens.push(json!({"invitationToken": world.suite.invitation_token(id).await}));
    }
    let into_globex = json!({"organizationId": world.other_organization_id, "email": "ana@muster.example", "role": "BASE_ROLE_VIEWER"});
    let into_globex = done(world.eve.call("identity.InvitationService/CreateInvitation", into_globex).await);
    let into_globex = world.suite.invitation_token(&text(&into_globex, "invitation.invitationId")).await;
    add(Who::Nobody, own, "identity.InvitationService/PreviewInvitation", tokens[0].clone());
    add(Who::Ana, acme, "identity.InvitationService/AcceptInvitation", json!({"invitationToken": into_globex}));
    let person = with(tokens[1].clone(), json!({"password": seed::PASSWORD, "displayName": "Jo"}));
    add(Who::Nobody, own, "identity.InvitationService/AcceptInvitationAsNewUser", person);
    add(Who::Nobody, own, "identity.InvitationService/DeclineInvitation", tokens[2].clone());
}

/// Two accounts that wait for their proof: the token of the first, the id of the second.
async fn unverified(world: &World) -> (String, String) {
    let mut ids = Vec::new();
    for name in ["gil", "hal"] {
        let email = format!("{name}@muster.example");
        let person = json!({"email": email, "password": seed::PASSWORD, "displayName": name});
        done(world.suite.nobody().call("identity.AccountService/RegisterUser", person).await);
        ids.push(world.suite.user_id(&email).await);
    }
    let issued = world.suite.operator().call("identity.AccountService/IssueVerificationToken", json!({"userId": ids[0]})).await;
    (text(&done(issued), "verificationToken"), ids.remove(1))
}

/// Somebody with a password that nobody else has, so that everybody else is refused what takes it.
async fn pat(world: &World) {
    let (email, nobody) = ("pat@muster.example", world.suite.nobody());
    let person = json!({"email": email, "password": PATS, "displayName": "Pat"});
    done(nobody.call("identity.AccountService/RegisterUser", person).await);
    let user = json!({"userId": world.suite.user_id(email).await});
    let issued = done(world.suite.operator().call("identity.AccountService/IssueVerificationToken", user).await);
    let proof = json!({"verificationToken": text(&issued, "verificationToken"), "password": PATS});
    done(nobody.call("identity.AccountService/VerifyEmail", proof).await);
}

/// A mail to ana that did not get through, of acme.
async fn dead_delivery(world: &World) -> String {
    sqlx::query_scalar(
        "INSERT INTO notifications.delivery (organization_id, delivery_id, recipient_id, event_id, channel, category, template, data, state,
         attempt_count, attempt_limit, unknown_count, create_time, update_time)
         SELECT $1::uuid, gen_random_uuid(), $2::uuid, gen_random_uuid(), 1, 1, 'sign_in', '{\"time\": \"now\"}', 6, 0, 10, 0, now(), now()
         RETURNING delivery_id::text",
    )
    .bind(&world.organization_id)
    .bind(&world.ana.user_id)
    .fetch_one(&mut world.suite.database().await)
    .await
    .unwrap()
}

/// A dead letter of identity, which runs no consumer that would take it up; [`Who::Service`] drops it at the end of the table.
async fn dead_letter(world: &World) -> String {
    let mut conn = world.suite.database().await;
    let id: uuid::Uuid = runtime::Ids::system().next();
    sqlx::query(
        "INSERT INTO identity.dead_letter (dead_letter_id, consumer, event_id, organization_id, stream, stream_sequence, envelope, body, cause, attempts,
         create_time) VALUES ($1, 'nobody', $1, '00000000-0000-0000-0000-000000000000', 'MUSTER_TASKS', 1, '', '', 'a test put it there', 12, now())",
    )
    .bind(id)
    .execute(&mut conn)
    .await
    .unwrap();
    id.to_string()
}
