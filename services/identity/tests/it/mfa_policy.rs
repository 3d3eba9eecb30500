//! From when on an organization asks for a second factor, and what becomes of sessions without one.

use std::time::Duration;

use contract::BaseRole;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::*;
use contract::time::timestamp;
use prost_types::Timestamp;
use runtime::OrganizationId;
use testkit::{Actor, App, assert_fault, fault::violated_fields};
use time::OffsetDateTime;

use crate::verbs::{Acts, Door, Factors, Guarded, PASSWORD, Person, Waits, address, claims, identity, identity_with, until, with_root};

const GRACE: Duration = Duration::from_secs(300);

/// Ana, who has a second factor, in an organization of her own.
async fn owner(app: &App, slug: &str) -> (Guarded, Actor) {
    let ana = app.guarded("ana").await;
    let owner = app.founded(&ana.person, slug).await;
    (ana, owner)
}

/// Ben with a session by password, a member of the organization of `owner` who entered it.
async fn ben(app: &App, owner: &Actor) -> (Person, Actor) {
    let ben = app.person("ben").await;
    owner.add_member(ben.user_id, BaseRole::Member).await.unwrap();
    let there = ben.entering(owner.organization_id).await;
    (ben, there)
}

async fn refreshed(app: &App, token: &str) -> (TokenPair, Option<Timestamp>) {
    let request = RefreshSessionRequest { refresh_token: token.to_owned() };
    let answer = SessionServiceClient::new(app.anonymous().channel()).refresh_session(request).await.unwrap().into_inner();
    (answer.tokens.unwrap(), answer.mfa_required_time)
}

/// Where a token leads.
fn organization(token: &str) -> String {
    claims(token)["org"].as_str().unwrap().to_owned()
}

fn nowhere() -> String {
    OrganizationId::SYSTEM.to_string()
}

fn in_grace(app: &App) -> OffsetDateTime {
    app.now() + GRACE
}

#[tokio::test]
async fn an_admin_with_a_second_factor_says_from_when_on_members_need_one_and_they_read_it() {
    let app = identity().await;
    let (_, acme) = owner(&app, "acme").await;
    let (_, ben) = ben(&app, &acme).await;
    let before = acme.organization_settings().await.unwrap();
    let after = acme.require_mfa(Some(in_grace(&app))).await.unwrap();
    assert_eq!((before.mfa_required_time, after.mfa_required_time), (None, Some(timestamp(in_grace(&app)))));
    assert_eq!(acme.require_mfa(Some(in_grace(&app))).await.unwrap(), after, "nothing changed");
    assert_eq!(acme.limit_sessions(1_800, 0, "").await.unwrap().mfa_required_time, after.mfa_required_time, "what no mask names stays");
    app.known_as(&ben, BaseRole::Member).await;
    assert_eq!(ben.organization_settings().await.unwrap().mfa_required_time, after.mfa_required_time);
    assert_fault!(ben.require_mfa(None).await, PermissionDenied, "PERMISSION_DENIED");
    let lifted = acme.require_mfa(None).await.unwrap();
    assert_eq!((lifted.mfa_required_time, lifted.session_idle_seconds), (None, 1_800));
    let told = app.events::<OrganizationSettingsUpdated>().await;
    assert_eq!((told.len(), told[0].before.as_ref(), told[0].after.as_ref()), (3, Some(&before), Some(&after)));
}

#[tokio::test]
async fn what_is_no_time_is_none_to_ask_for() {
    let app = identity().await;
    let (_, acme) = owner(&app, "acme").await;
    let mut request = UpdateOrganizationSettingsRequest {
        organization_id: acme.organization_id.to_string(),
        organization_settings: Some(OrganizationSettings::default()),
        update_mask: Some(prost_types::FieldMask { paths: vec!["mfa_required_time".to_owned()] }),
        etag: String::new(),
    };
    for time in [Timestamp { seconds: i64::MAX, nanos: 0 }, Timestamp { seconds: 0, nanos: -1 }] {
        request.organization_settings.as_mut().unwrap().mfa_required_time = Some(time);
        let mut client = organization_service_client::OrganizationServiceClient::new(acme.channel());
        let refused = assert_fault!(client.update_organization_settings(request.clone()).await, InvalidArgument, "FIELD_VIOLATION");
        assert_eq!(violated_fields(&refused), ["organization_settings.mfa_required_time"]);
    }
}

#[tokio::test]
async fn an_admin_without_a_second_factor_does_not_lock_themselves_out() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let acme = app.founded(&ana, "acme").await;
    assert_fault!(acme.require_mfa(Some(app.now())).await, FailedPrecondition, "FACTOR_ENROLLMENT_REQUIRED");
    acme.limit_sessions(1_800, 0, "").await.unwrap();
    let (risen, ..) = app.enrolling(&acme).await;
    assert_fault!(acme.require_mfa(Some(app.now())).await, FailedPrecondition, "MFA_REQUIRED");
    risen.require_mfa(Some(app.now())).await.unwrap();
    assert_fault!(acme.require_mfa(None).await, FailedPrecondition, "MFA_REQUIRED");
    assert_eq!(app.events::<OrganizationSettingsUpdated>().await.len(), 2);
}

#[tokio::test]
async fn a_session_without_a_second_factor_is_told_of_the_day_and_led_out_when_it_is_there() {
    let app = identity().await;
    let (_, acme) = owner(&app, "acme").await;
    let (ben, _) = ben(&app, &acme).await;
    let day = in_grace(&app);
    acme.require_mfa(Some(day)).await.unwrap();
    let again = ben.switch_context(acme.organization_id, None).await.unwrap();
    assert_eq!(again.mfa_required_time, Some(timestamp(day)));
    assert_eq!(claims(&again.access_token)["exp"], day.unix_timestamp(), "no token for there is good beyond it");
    let (tokens, told) = refreshed(&app, &ben.tokens.refresh_token).await;
    assert_eq!((organization(&tokens.access_token), told), (acme.organization_id.to_string(), Some(timestamp(day))));
    let switched = app.events::<SessionSwitched>().await.len();
    app.clock().advance(GRACE);
    assert_fault!(ben.switch_context(acme.organization_id, None).await, FailedPrecondition, "FACTOR_ENROLLMENT_REQUIRED");
    let (outside, told) = refreshed(&app, &tokens.refresh_token).await;
    assert_eq!((organization(&outside.access_token), told), (nowhere(), Some(timestamp(day))));
    assert_eq!(claims(&outside.access_token)["roles"], serde_json::json!([]));
    let led_out = app.events::<SessionSwitched>().await;
    let (before, after) = (led_out[switched].before.as_ref().unwrap(), led_out[switched].after.as_ref().unwrap());
    assert_eq!((led_out.len(), &before.organization_id), (switched + 1, &acme.organization_id.to_string()));
    assert_eq!(after.organization_id, nowhere());
    assert_eq!(refreshed(&app, &outside.refresh_token).await.1, None, "it is not told again");
}

#[tokio::test]
async fn who_was_led_out_enrols_outside_and_comes_in_again() {
    let app = identity().await;
    let (_, acme) = owner(&app, "acme").await;
    let (ben, _) = ben(&app, &acme).await;
    acme.require_mfa(Some(app.now())).await.unwrap();
    let (outside, _) = refreshed(&app, &ben.tokens.refresh_token).await;
    let outside = ben.with_token(&outside.access_token);
    assert_fault!(outside.switch_context(acme.organization_id, None).await, FailedPrecondition, "FACTOR_ENROLLMENT_REQUIRED");
    let (risen, ..) = app.enrolling(&outside).await;
    let there = risen.switch_context(acme.organization_id, None).await.unwrap();
    assert_eq!((there.mfa_required_time, claims(&there.access_token)["aal"].as_i64()), (None, Some(2)));
    assert_eq!(organization(&there.access_token), acme.organization_id.to_string());
}

#[tokio::test]
async fn who_has_a_second_factor_and_a_session_without_it_steps_up_and_comes_in() {
    let app = identity().await;
    let (_, acme) = owner(&app, "acme").await;
    app.verified("cy").await;
    let older = app.sign_in(&address("cy")).await;
    acme.add_member(older.user_id, BaseRole::Member).await.unwrap();
    let (_, _, shows) = app.enrolling(&*app.sign_in(&address("cy")).await).await;
    acme.require_mfa(Some(app.now())).await.unwrap();
    assert_fault!(older.switch_context(acme.organization_id, None).await, FailedPrecondition, "MFA_REQUIRED");
    app.next_step();
    older.step_up_by_code(&shows.code_at(app.now())).await.unwrap();
    older.switch_context(acme.organization_id, None).await.unwrap();
}

#[tokio::test]
async fn of_two_organizations_each_has_its_own_policy_and_tells_its_members_alone() {
    let app = identity().await;
    let (ana, acme) = owner(&app, "acme").await;
    let bolt = app.founded(&ana.person, "bolt").await;
    let (ben, _) = ben(&app, &acme).await;
    bolt.add_member(ben.user_id, BaseRole::Member).await.unwrap();
    let in_bolt = ben.entering(bolt.organization_id).await;
    acme.require_mfa(Some(app.now())).await.unwrap();
    assert_fault!(in_bolt.switch_context(acme.organization_id, None).await, FailedPrecondition, "FACTOR_ENROLLMENT_REQUIRED");
    let (tokens, told) = refreshed(&app, &ben.tokens.refresh_token).await;
    assert_eq!((organization(&tokens.access_token), told), (bolt.organization_id.to_string(), None));
    assert_eq!(bolt.organization_settings().await.unwrap().mfa_required_time, None);
    let eve = app.person("eve").await;
    assert_fault!(eve.switch_context(acme.organization_id, None).await, NotFound, "ORGANIZATION_NOT_FOUND");
}

#[tokio::test]
async fn who_is_no_member_any_more_is_not_told_what_is_asked() {
    let app = identity().await;
    let (_, acme) = owner(&app, "acme").await;
    let (ben, _) = ben(&app, &acme).await;
    acme.require_mfa(Some(app.now())).await.unwrap();
    acme.remove_member(ben.user_id).await.unwrap();
    let (tokens, told) = refreshed(&app, &ben.tokens.refresh_token).await;
    assert_eq!((organization(&tokens.access_token), told), (nowhere(), None));
}

#[tokio::test]
async fn the_repeat_of_a_refresh_leads_out_too_and_gives_the_same_successor() {
    let app = identity().await;
    let (_, acme) = owner(&app, "acme").await;
    let (ben, _) = ben(&app, &acme).await;
    acme.require_mfa(Some(app.now() + Duration::from_secs(20))).await.unwrap();
    let (first, _) = refreshed(&app, &ben.tokens.refresh_token).await;
    assert_eq!(organization(&first.access_token), acme.organization_id.to_string());
    let switched = app.events::<SessionSwitched>().await.len();
    app.clock().advance(Duration::from_secs(20));
    for _ in 0..2 {
        let (again, _) = refreshed(&app, &ben.tokens.refresh_token).await;
        assert_eq!((&again.refresh_token, organization(&again.access_token)), (&first.refresh_token, nowhere()));
    }
    assert_eq!(app.events::<SessionSwitched>().await.len(), switched + 1, "it left once");
    assert_eq!(organization(&refreshed(&app, &first.refresh_token).await.0.access_token), nowhere());
}

#[tokio::test]
async fn a_password_once_more_gives_no_further_token_for_there() {
    let app = identity().await;
    let (_, acme) = owner(&app, "acme").await;
    let (_, ben) = ben(&app, &acme).await;
    acme.require_mfa(Some(app.now())).await.unwrap();
    let risen = ben.step_up_by_password(PASSWORD).await.unwrap();
    assert_eq!((organization(&risen.access_token), risen.session.unwrap().organization_id), (nowhere(), nowhere()));
}

#[tokio::test]
async fn with_the_last_factor_its_session_leaves_at_once_and_the_others_at_their_next_refresh() {
    let app = identity().await;
    let (_, acme) = owner(&app, "acme").await;
    let cy = app.guarded("cy").await;
    acme.add_member(cy.user_id, BaseRole::Member).await.unwrap();
    acme.require_mfa(Some(app.now())).await.unwrap();
    let here = cy.entering(acme.organization_id).await;
    let other = app.answer_by_code(&app.challenge("cy").await, &app.code_of(&cy)).await.unwrap().tokens.unwrap();
    let there = cy.with_token(&other.access_token).entering(acme.organization_id).await;
    app.next_step();
    let kept = here.delete_factor(&cy.factor).await.unwrap();
    assert_eq!((organization(&kept.access_token), claims(&kept.access_token)["aal"].as_i64()), (nowhere(), Some(1)));
    until("the token is refused", async || there.get_user("").await.is_err()).await;
    assert_fault!(there.get_user("").await, Unauthenticated, "TOKEN_REVOKED");
    let (outside, told) = refreshed(&app, &other.refresh_token).await;
    assert_eq!((organization(&outside.access_token), told.is_some()), (nowhere(), true));
    let back = cy.with_token(&outside.access_token);
    assert_fault!(back.switch_context(acme.organization_id, None).await, FailedPrecondition, "FACTOR_ENROLLMENT_REQUIRED");
}

#[tokio::test]
async fn a_system_admin_needs_a_second_factor_where_everybody_does() {
    let app = identity_with(with_root()).await;
    let (ana, acme) = owner(&app, "acme").await;
    acme.require_mfa(Some(app.now())).await.unwrap();
    let root = app.root().await;
    assert_fault!(root.switch_context(acme.organization_id, None).await, FailedPrecondition, "FACTOR_ENROLLMENT_REQUIRED");
    // Whose factors an admin takes away is led out as well.
    root.reset_user_factors(&ana.user_id.to_string()).await.unwrap();
    let (outside, _) = refreshed(&app, &ana.person.tokens.refresh_token).await;
    assert_eq!((organization(&outside.access_token), claims(&outside.access_token)["aal"].as_i64()), (nowhere(), Some(1)));
}
