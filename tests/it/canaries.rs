//! A value that nobody else uses in every secret and personal field of a request, in every secret of an answer, and for the network address and
//! the agent of the caller: then a look at all that leaves a service or stays in it.

use std::collections::BTreeSet;

use async_nats::jetstream;
use contract::METHODS;
use identity::factor::totp::{Secret, step_at};
use muster::{migrate::SCHEMAS, seed};
use muster_tests::{
    Actor, Fault, Suite, dynamic, rules, telemetry, text,
    world::{World, done, refused},
};
use prost_reflect::{Kind, MessageDescriptor};
use runtime::Clock;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::every_rpc::with;

/// The fields whose values may not travel, as `<message>.<field>`.
fn sensitive(message: &MessageDescriptor, found: &mut BTreeSet<String>) {
    for field in message.fields() {
        let policy = rules::option(&field.options(), "muster.annotations.v1.field");
        if policy.is_some_and(|policy| policy.get_field_by_name("sensitivity").is_some_and(|value| value.as_enum_number() > Some(0))) {
            found.insert(format!("{}.{}", message.name(), field.name()));
        }
        if let Kind::Message(inner) = field.kind()
            && inner.package_name().starts_with("muster.")
        {
            sensitive(&inner, found);
        }
    }
}

/// Values that may be found nowhere, each with the field it stood in.
#[derive(Default)]
struct Canaries(Vec<(&'static str, String)>);

impl Canaries {
    fn keep(&mut self, field: &'static str, value: impl Into<String>) -> String {
        let value = value.into();
        assert!(value.len() > 10, "{field} is long enough to be told from other text: {value}");
        self.0.push((field, value.clone()));
        value
    }

    /// Each name of a request's field once.
    fn fields(&self) -> BTreeSet<String> {
        self.0
            .iter()
            .map(|(field, _)| (*field).to_owned())
            .filter(|field| field.contains("Request.") || field.starts_with("Imported"))
            .collect()
    }

    #[track_caller]
    fn assert_absent(&self, place: &str, from: &[u8]) {
        let from = String::from_utf8_lossy(from).to_lowercase();
        for (field, value) in &self.0 {
            assert!(!from.contains(&value.to_lowercase()), "{place} tells {field}: {value}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_nothing_personal_is_left_lying_about() {
    let world = World::of(Suite::start().await).await;
    let mut canaries = Canaries::default();
    let mut faults = Vec::new();
    let network = canaries.keep("Session.client_address", "203.0.113.177");
    let agent = canaries.keep("Session.user_agent", "Canarybrowser-47.11");
    let gateway = world.suite.service("gateway").with_header("muster-client-address", &network);
    let (nobody, operator) = (gateway.with_header("muster-user-agent", &agent), world.suite.operator());

    let email = canaries.keep("RegisterUserRequest.email", "canary-kim@canary.example");
    let password = canaries.keep("RegisterUserRequest.password", "canary tall ladder 4711");
    let name = canaries.keep("RegisterUserRequest.display_name", "Kim Canarybird");
    let username = canaries.keep("RegisterUserRequest.username", "canary-kimmie");
    let person = json!({"email": email, "password": password, "displayName": name, "username": username});
    done(nobody.call("identity.AccountService/RegisterUser", person.clone()).await);
    let user_id = world.suite.user_id(&email).await;
    let issued = done(operator.call("identity.AccountService/IssueVerificationToken", json!({"userId": user_id})).await);
    let token = canaries.keep("VerifyEmailRequest.verification_token", text(&issued, "verificationToken"));
    let proof = json!({"verificationToken": token, "password": canaries.keep("VerifyEmailRequest.password", password.clone())});
    done(nobody.call("identity.AccountService/VerifyEmail", proof.clone()).await);
    faults.push(refused(nobody.call("identity.AccountService/VerifyEmail", proof).await));
    // The name is kim's by now; without it nothing is said.
    faults.push(refused(nobody.call("identity.AccountService/RegisterUser", person).await));
    let person = json!({"email": email, "password": password, "displayName": name});
    done(nobody.call("identity.AccountService/RegisterUser", person).await);

    let signing_in = |email: &str, password: &str| json!({"email": email, "password": password});
    let (stranger, guess) = ("canary-lou@canary.example", "canary guess 0815");
    canaries.keep("CreateSessionRequest.email", stranger);
    canaries.keep("CreateSessionRequest.password", guess);
    faults.push(refused(nobody.call("identity.SessionService/CreateSession", signing_in(stranger, guess)).await));
    faults.push(refused(nobody.call("identity.SessionService/CreateSession", signing_in(&email, guess)).await));
    let by_name = canaries.keep("CreateSessionRequest.username", "canary-nobody");
    let by_name = json!({"username": by_name, "password": guess});
    faults.push(refused(nobody.call("identity.SessionService/CreateSession", by_name).await));
    let kim = done(nobody.sign_in(&email, &password).await);
    let username = json!({"username": canaries.keep("SetUsernameRequest.username", "canary-kim-two")});
    done(kim.call("identity.AccountService/SetUsername", username).await);
    canaries.keep("TokenPair.access_token", kim.token.clone());
    let sessions = done(kim.call("identity.SessionService/ListSessions", json!({})).await).to_string();
    assert!(sessions.contains(&network) && sessions.contains(&agent), "their owner sees them: {sessions}");
    let refresh = json!({"refreshToken": canaries.keep("RefreshSessionRequest.refresh_token", kim.refresh_token.clone())});
    let mut successor = refresh.clone();
    for _ in 0..2 {
        let answer = done(nobody.call("identity.SessionService/RefreshSession", successor).await);
        canaries.keep("TokenPair.access_token", text(&answer, "tokens.accessToken"));
        successor = json!({"refreshToken": canaries.keep("TokenPair.refresh_token", text(&answer, "tokens.refreshToken"))});
    }
    faults.push(refused(nobody.call("identity.SessionService/RefreshSession", refresh).await));

    factors(&world, &nobody, &mut canaries, &mut faults).await;

    let asking = json!({"email": canaries.keep("ResendVerificationRequest.email", email.clone()), "registrationId": user_id});
    done(nobody.call("identity.AccountService/ResendVerification", asking).await);
    canaries.keep("RequestPasswordResetRequest.email", email.clone());
    let token = world.suite.password_reset_token(&email).await;
    let token = canaries.keep("ResetPasswordRequest.password_reset_token", token);
    let password = canaries.keep("ResetPasswordRequest.password", "canary short ladder 4712");
    let reset = json!({"passwordResetToken": token, "password": password});
    done(nobody.call("identity.AccountService/ResetPassword", reset.clone()).await);
    faults.push(refused(nobody.call("identity.AccountService/ResetPassword", reset).await));

    let kim = done(nobody.sign_in(&email, &password).await);
    let former = canaries.keep("ChangePasswordRequest.current_password", password.clone());
    let password = canaries.keep("ChangePasswordRequest.password", "canary new ladder 4714");
    let change = json!({"currentPassword": former, "password": password});
    done(kim.call("identity.AccountService/ChangePassword", change.clone()).await);
    faults.push(refused(kim.call("identity.AccountService/ChangePassword", change).await));
    canaries.keep("RequestEmailChangeRequest.current_password", password.clone());
    let wanted = canaries.keep("RequestEmailChangeRequest.email", "canary-kimberly@canary.example");
    let token = world.suite.email_change_token_of(&kim, &password, &wanted).await;
    let change = json!({"emailChangeToken": canaries.keep("ConfirmEmailChangeRequest.email_change_token", token)});
    done(kim.call("identity.AccountService/ConfirmEmailChange", change.clone()).await);
    faults.push(refused(kim.call("identity.AccountService/ConfirmEmailChange", change).await));
    let email = wanted;

    let thought_of = json!({
        "password": canaries.keep("CheckPasswordRequest.password", "canary long ladder 4715"),
        "email": canaries.keep("CheckPasswordRequest.email", "canary-moe@canary.example"),
        "username": canaries.keep("CheckPasswordRequest.username", "canary-moesha"),
        "displayName": canaries.keep("CheckPasswordRequest.display_name", "Moe Canarybird"),
    });
    done(nobody.call("identity.AccountService/CheckPassword", thought_of).await);

    let imported = json!({"users": [{
        "email": canaries.keep("ImportedUser.email", "canary-max@canary.example"),
        "displayName": canaries.keep("ImportedUser.display_name", "Max Canarybird"),
        "username": canaries.keep("ImportedUser.username", "canary-maxine"),
        "passwordHash": canaries.keep("ImportedUser.password_hash", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        "emailProved": true,
    }]});
    done(world.suite.sign_in(seed::ADMIN).await.call("identity.UserService/ImportUsers", imported).await);

    let lee = canaries.keep("CreateInvitationRequest.email", "canary-lee@canary.example");
    let token = canaries.keep("PreviewInvitationRequest.invitation_token", world.suite.invitation_token(&world.invite(&lee).await).await);
    done(nobody.call("identity.InvitationService/PreviewInvitation", json!({"invitationToken": token})).await);
    canaries.keep("AcceptInvitationAsNewUserRequest.invitation_token", token.clone());
    let joining = json!({
        "invitationToken": token,
        "password": canaries.keep("AcceptInvitationAsNewUserRequest.password", "canary wide ladder 4713"),
        "displayName": canaries.keep("AcceptInvitationAsNewUserRequest.display_name", "Lee Canarybird"),
    });
    done(nobody.call("identity.InvitationService/AcceptInvitationAsNewUser", joining.clone()).await);
    faults.push(refused(nobody.call("identity.InvitationService/AcceptInvitationAsNewUser", joining).await));
    let answer = json!({"invitationToken": canaries.keep("AcceptInvitationRequest.invitation_token", token.clone())});
    faults.push(refused(world.ana.call("identity.InvitationService/AcceptInvitation", answer.clone()).await));
    canaries.keep("DeclineInvitationRequest.invitation_token", token.clone());
    faults.push(refused(nobody.call("identity.InvitationService/DeclineInvitation", answer).await));

    canaries.keep("CreateOrganizationMemberRequest.email", "canary-kim@canary.example");
    canaries.keep("CreateWorkspaceMemberRequest.email", "canary-kim@canary.example");
    let member = json!({"organizationId": world.organization_id, "email": email, "role": "BASE_ROLE_VIEWER"});
    done(world.ana.call("identity.OrganizationMemberService/CreateOrganizationMember", member.clone()).await);
    faults.push(refused(world.ana.call("identity.OrganizationMemberService/CreateOrganizationMember", member).await));
    let guest = json!({"workspaceId": world.workspace_id, "email": email, "role": "BASE_ROLE_MEMBER"});
    done(world.ana.call("identity.WorkspaceMemberService/CreateWorkspaceMember", guest).await);
    faults.push(refused(nobody.call("identity.SessionService/CreateSession", signing_in(&email, &password.repeat(20))).await));
    let token = canaries.keep("IntrospectTokenRequest.token", kim.token.clone());
    done(operator.call("identity.TokenService/IntrospectToken", json!({"token": token})).await);
    let token = canaries.keep("RevokeTokenRequest.token", kim.refresh_token.clone());
    done(nobody.call("identity.TokenService/RevokeToken", json!({"token": token})).await);
    let malformed = json!({"email": format!("{email} {email}"), "password": password, "displayName": name.repeat(20)});
    faults.push(refused(nobody.call("identity.AccountService/RegisterUser", malformed).await));
    faults.push(refused(kim.with_token(&format!("{}x", kim.token)).call("identity.SessionService/ListSessions", json!({})).await));
    world.suite.settle().await;

    let mut fields = BTreeSet::new();
    METHODS.iter().for_each(|policy| sensitive(&dynamic::method(dynamic::pool(), policy.path).input(), &mut fields));
    assert_eq!(canaries.fields(), fields, "every sensitive field of a request has its canary");
    faults.iter().for_each(|fault| canaries.assert_absent("an error", format!("{fault} {:?}", fault.fields).as_bytes()));
    let log = telemetry::log();
    assert!(log.contains(&user_id) && log.contains("CreateSession"), "the log tells of it, by ids");
    canaries.assert_absent("the log", log.as_bytes());
    canaries.assert_absent("/metrics", telemetry::metrics().render().as_bytes());
    let traces = telemetry::traces();
    assert!(String::from_utf8_lossy(&traces).contains("identity.v1.SessionService/CreateSession"), "the traces tell of it");
    canaries.assert_absent("a trace", &traces);
    let (mut envelopes, mut bus) = (BTreeSet::new(), Vec::new());
    for (service, ..) in SCHEMAS {
        for message in world.suite.messages(service).await {
            let (from, rest) = told(&message);
            envelopes.insert(from);
            bus.extend(rest);
        }
    }
    assert!(envelopes.contains(&(network, agent)), "address and agent stand in the envelope, on their way to the audit trail");
    assert!(String::from_utf8_lossy(&bus).contains(&user_id), "the bus tells of it, by ids");
    canaries.assert_absent("a message on the bus", &bus);
    let trail = [trail(&world.ana).await, trail(&world.suite.sign_in(seed::ADMIN).await).await].concat();
    assert!(trail.contains(&user_id), "the audit trail tells of it, by ids");
    canaries.assert_absent("the audit trail", trail.as_bytes());
    let mut conn = world.suite.database().await;
    for (_, schema, _) in SCHEMAS {
        let stored = everything_stored(&mut conn, schema).await;
        assert!(stored.len() > 100, "{schema} holds something");
        canaries.assert_absent(&format!("the schema {schema}"), stored.as_bytes());
    }
    world.suite.finish().await;
}

/// What somebody with a second factor enters and is told.
async fn factors(world: &World, nobody: &Actor, canaries: &mut Canaries, faults: &mut Vec<Fault>) {
    world.suite.register("una").await;
    let una = world.suite.sign_in("una").await;
    let request = json!({"email": "una@muster.example", "password": seed::PASSWORD});
    let device = text(&done(nobody.call("identity.SessionService/CreateSession", request.clone()).await), "deviceToken");
    let known = with(request, json!({"deviceToken": canaries.keep("CreateSessionRequest.device_token", device)}));
    done(nobody.call("identity.SessionService/CreateSession", known).await);
    let name = canaries.keep("EnrollTotpRequest.display_name", "Canaryphone of Una");
    let enrolled = done(una.call("identity.FactorService/EnrollTotp", json!({"displayName": name})).await);
    let uri = canaries.keep("EnrollTotpResponse.otpauth_uri", text(&enrolled, "otpauthUri"));
    let secret = uri.split_once("secret=").unwrap().1.split('&').next().unwrap().to_owned();
    let secret = Secret::from_base32(&canaries.keep("EnrollTotpResponse.otpauth_uri", secret)).unwrap();
    let code = |request: &'static str, steps: i64| (request, secret.code(step_at(Clock::system().now()) + steps));
    let (field, first) = code("ConfirmTotpRequest.totp_code", 0);
    canaries.0.push((field, format!("\"{first}\"")));
    let confirm = json!({"factorId": text(&enrolled, "factor.factorId"), "totpCode": first});
    let answer = done(una.call("identity.FactorService/ConfirmTotp", confirm).await);
    let recovery = |at: usize| text(&answer, &format!("recoveryCodes.{at}"));
    (0..10).for_each(|at| drop(canaries.keep("ConfirmTotpResponse.recovery_codes", recovery(at))));
    let una = una.with_token(&canaries.keep("ConfirmTotpResponse.access_token", text(&answer, "accessToken")));
    let token = canaries.keep("ContinueSessionRequest.challenge_token", world.suite.challenge("una").await);
    let answered = |code: &str, text: &str| json!({"challengeToken": token, code: text});
    let continued = "identity.SessionService/ContinueSession";
    canaries.0.push(("ContinueSessionRequest.totp_code", format!("\"{first}\"")));
    faults.push(refused(nobody.call(continued, answered("totpCode", &first)).await));
    let code = canaries.keep("ContinueSessionRequest.recovery_code", recovery(0));
    done(nobody.call(continued, answered("recoveryCode", &code)).await);
    faults.push(refused(nobody.call(continued, answered("recoveryCode", &code)).await));
    let guess = canaries.keep("StepUpSessionRequest.password", "canary step ladder 4714");
    canaries.0.push(("StepUpSessionRequest.totp_code", format!("\"{first}\"")));
    let step_up = "identity.SessionService/StepUpSession";
    faults.push(refused(una.call(step_up, json!({"password": guess, "totpCode": first})).await));
    let code = canaries.keep("StepUpSessionRequest.recovery_code", recovery(1));
    done(una.call(step_up, json!({"recoveryCode": code})).await);
    let others = done(una.call("identity.FactorService/RegenerateRecoveryCodes", json!({})).await);
    canaries.keep("RegenerateRecoveryCodesResponse.recovery_codes", text(&others, "recoveryCodes.0"));
}

/// Network address and agent in the envelope of a message, which are sealed wherever they are kept; and all the rest of it, as bytes.
fn told(message: &jetstream::Message) -> ((String, String), Vec<u8>) {
    let (mut from, mut rest) = ((String::new(), String::new()), format!("{} ", message.subject).into_bytes());
    for (name, values) in message.headers.iter().flat_map(|headers| headers.iter()) {
        for value in values {
            match name.as_ref() {
                "ce-clientaddress" => from.0 = value.to_string(),
                "ce-useragent" => from.1 = value.to_string(),
                // As CloudEvents writes a space in a header.
                _ => rest.extend(format!("{name}: {value} ").replace("%20", " ").into_bytes()),
            }
        }
    }
    rest.extend_from_slice(&message.payload);
    (from, rest)
}

/// The audit trail that `reader` may read, record by record, but for the two fields that show an address to whoever may see it.
async fn trail(reader: &Actor) -> String {
    let listed = done(reader.call("audit.AuditService/ListEvents", json!({"pageSize": 1000})).await);
    let mut trail = String::new();
    for event in listed["auditEvents"].as_array().unwrap() {
        let mut record = done(reader.call("audit.AuditService/GetEvent", json!({"auditEventId": event["auditEventId"]})).await);
        record["auditEvent"].as_object_mut().unwrap().retain(|name, _| name != "clientAddress" && name != "userAgent");
        trail.push_str(&record.to_string());
    }
    trail
}

/// Every row of a schema as text, bytes as they are.
async fn everything_stored(conn: &mut PgConnection, schema: &str) -> String {
    let columns =
        "SELECT table_name::text, column_name::text, data_type = 'bytea' AS bytes FROM information_schema.columns WHERE table_schema = $1";
    let mut stored = String::new();
    for column in sqlx::query(columns).bind(schema).fetch_all(&mut *conn).await.unwrap() {
        let (table, name): (String, String) = (column.get("table_name"), column.get("column_name"));
        let shown = if column.get("bytes") { format!("encode({name}, 'escape')") } else { format!("{name}::text") };
        let query = AssertSqlSafe(format!("SELECT string_agg({shown}, ' ') FROM {schema}.{table}"));
        let text: Option<String> =
            sqlx::query_scalar(query).fetch_one(&mut *conn).await.unwrap_or_else(|error| panic!("{table}.{name}: {error}"));
        stored.push_str(&text.unwrap_or_default());
    }
    stored
}

#[test]
#[should_panic(expected = "the log tells RegisterUserRequest.email")]
fn a_canary_that_sings_is_heard() {
    let mut canaries = Canaries::default();
    canaries.keep("RegisterUserRequest.email", "canary-kim@canary.example");
    canaries.assert_absent("the log", b"{\"message\": \"welcome Canary-Kim@canary.example\"}");
}
