//! Whoever guesses waits; whoever owns the account does not wait for them.

use std::time::Duration;

use contract::identity::v1::create_session_request::Identifier;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::{CreateSessionRequest, CreateSessionResponse, SignInFailed, SignInThrottled, SignInUnlocked, ThrottleScope};
use identity::Config;
use identity::throttle::config::ThrottleConfig;
use testkit::{App, Channel, assert_fault, fault};
use tonic::Status;

use crate::verbs::{Acts, Door, PASSWORD, ROOT, address, identity, identity_with, quick, with_root};

const FREE: i32 = 10;

/// A sign-in by `channel`, from a device that has `device_token`.
async fn signing_in(channel: Channel, email: &str, password: &str, device_token: &str) -> Result<CreateSessionResponse, Status> {
    let (password, device_token) = (password.to_owned(), device_token.to_owned());
    let request = CreateSessionRequest { identifier: Some(Identifier::Email(email.to_owned())), password, device_token };
    Ok(SessionServiceClient::new(channel).create_session(request).await?.into_inner())
}

/// Somebody at the network address `from`, as the gateway tells.
pub(crate) fn at(app: &App, from: &str) -> Channel {
    app.service("gateway").channel().header("muster-client-address", from)
}

/// So many wrong passwords in a row, all of them looked at.
pub(crate) async fn guess(app: &App, email: &str, times: i32) {
    for _ in 0..times {
        assert_fault!(app.create_session(email, "wrong").await, Unauthenticated, "SIGN_IN_REFUSED");
    }
}

/// How long a refused sign-in is to wait, in seconds.
fn waits(refused: Result<CreateSessionResponse, Status>) -> u64 {
    fault::retry_delay(&assert_fault!(refused, ResourceExhausted, "SIGN_IN_THROTTLED")).unwrap().as_secs()
}

pub(crate) fn few(throttle: ThrottleConfig) -> Config {
    Config { throttle, ..quick() }
}

#[tokio::test]
async fn after_ten_failures_each_next_attempt_waits_twice_as_long_and_each_step_is_told_once() {
    let app = identity().await;
    let ana = app.verified("ana").await;
    guess(&app, &address("ana"), FREE + 1).await;
    for seconds in [1, 2, 4] {
        assert_eq!(waits(app.create_session(&address("ana"), "wrong").await), seconds);
        assert_eq!(waits(app.create_session(&address("ana"), PASSWORD).await), seconds, "the right password waits too");
        app.clock().advance(Duration::from_secs(seconds));
        guess(&app, &address("ana"), 1).await;
    }
    let told = app.events::<SignInThrottled>().await;
    let failures: Vec<i32> = told.iter().map(|event| event.failures).collect();
    assert_eq!(failures, [FREE + 1, FREE + 2, FREE + 3, FREE + 4], "not for each call that waited");
    assert!(told.iter().all(|event| event.user_id == ana.to_string() && event.scope() == ThrottleScope::Network));
    app.clock().advance(Duration::from_secs(8));
    app.create_session(&address("ana"), PASSWORD).await.unwrap();
}

/// CVE-2026-35597: a counter that is written in the transaction of the sign-in goes back with it.
#[tokio::test]
async fn failures_are_counted_though_the_sign_in_is_refused_and_the_service_restarts() {
    let mut app = identity().await;
    app.verified("ana").await;
    guess(&app, &address("ana"), FREE).await;
    app.restart().await;
    guess(&app, &address("ana"), 1).await;
    app.restart().await;
    assert_eq!(waits(app.create_session(&address("ana"), PASSWORD).await), 1);
}

/// zitadel #6502: whoever knows the address keeps its owner out.
#[tokio::test]
async fn a_stranger_does_not_lock_out_the_device_that_its_owner_signed_in_with() {
    let app = identity_with(few(ThrottleConfig { account_attempts: 5, address_attempts: 5, ..ThrottleConfig::default() })).await;
    app.verified("ana").await;
    let device = app.create_session(&address("ana"), PASSWORD).await.unwrap().device_token;
    guess(&app, &address("ana"), 6).await;
    assert!(waits(app.create_session(&address("ana"), PASSWORD).await) > 0, "strangers wait, the owner at a new device with them");
    let again = signing_in(app.anonymous().channel(), &address("ana"), PASSWORD, &device).await.unwrap();
    assert_eq!(again.device_token, device, "a device keeps its token");
    // Nor does the device's own trouble with the password keep strangers, or another device, waiting.
    app.verified("ben").await;
    assert!(waits(app.create_session(&address("ben"), PASSWORD).await) > 0, "who never signed in here is a stranger of this network");
    for _ in 0..=FREE {
        let wrong = signing_in(app.anonymous().channel(), &address("ana"), "wrong", &device).await;
        assert_fault!(wrong, Unauthenticated, "SIGN_IN_REFUSED");
    }
    assert_eq!(waits(signing_in(app.anonymous().channel(), &address("ana"), PASSWORD, &device).await), 1);
    let elsewhere = at(&app, "203.0.113.7");
    app.clock().advance(Duration::from_mins(1));
    signing_in(elsewhere, &address("ana"), PASSWORD, "").await.unwrap();
}

#[tokio::test]
async fn the_device_token_of_another_account_or_of_nobody_is_none() {
    let app = identity().await;
    app.verified("ana").await;
    app.verified("eve").await;
    let eves = app.create_session(&address("eve"), PASSWORD).await.unwrap().device_token;
    guess(&app, &address("ana"), FREE + 1).await;
    for token in [eves.as_str(), "mdt1_forged", "", &eves[..eves.len() - 1]] {
        assert_eq!(waits(signing_in(app.anonymous().channel(), &address("ana"), PASSWORD, token).await), 1, "{token}");
    }
}

/// zitadel #8546: a counter that is never reset adds up over the years.
#[tokio::test]
async fn a_success_forgets_the_failures_before_it() {
    let app = identity().await;
    app.verified("ana").await;
    for _ in 0..3 {
        guess(&app, &address("ana"), FREE).await;
        app.create_session(&address("ana"), PASSWORD).await.unwrap();
    }
    assert!(app.events::<SignInThrottled>().await.is_empty());
}

#[tokio::test]
async fn failures_are_forgotten_with_time_sooner_where_nobody_had_to_wait() {
    let app = identity().await;
    app.verified("ana").await;
    guess(&app, &address("ana"), FREE).await;
    // An hour, and the rest of its minute.
    app.clock().advance(Duration::from_mins(61));
    guess(&app, &address("ana"), FREE + 1).await;
    app.clock().advance(Duration::from_hours(23));
    guess(&app, &address("ana"), 1).await;
    assert_eq!(waits(app.create_session(&address("ana"), PASSWORD).await), 2, "the ladder goes on");
    app.clock().advance(Duration::from_hours(24) + Duration::from_mins(2));
    app.retention_round().await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM identity.auth_throttle").fetch_one(&mut app.sql().await).await.unwrap();
    assert_eq!(left, 0);
    guess(&app, &address("ana"), FREE + 1).await;
}

#[tokio::test]
async fn an_account_that_is_not_there_is_throttled_in_the_same_words_and_the_same_steps() {
    let app = identity().await;
    app.verified("ana").await;
    app.pending("ben").await;
    let mut told = Vec::new();
    for name in ["ana", "ben", "nobody"] {
        let mut answers = Vec::new();
        for attempt in 0..FREE + 8 {
            let refused = app.create_session(&address(name), "wrong").await.unwrap_err();
            answers.push((refused.code(), refused.message().to_owned(), fault::reason(&refused), fault::retry_delay(&refused)));
            if attempt % 2 == 0 {
                app.clock().advance(Duration::from_secs(1));
            }
        }
        told.push(answers);
    }
    assert_eq!(told[0], told[2]);
    assert_eq!(told[1], told[2]);
    assert!(told[0].iter().any(|answer| answer.2 == "SIGN_IN_THROTTLED"));
}

/// What is read, checked and written afterwards lets everybody through who came at once.
#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_looked_at_than_one_after_the_other() {
    let app = identity().await;
    app.verified("ana").await;
    let email = address("ana");
    let answers = futures::future::join_all((0..60).map(|_| app.create_session(&email, "wrong"))).await;
    let looked_at = answers.iter().filter(|answer| fault::reason(answer.as_ref().unwrap_err()) == "SIGN_IN_REFUSED").count();
    assert_eq!(looked_at, 11);
    assert_eq!(app.events::<SignInFailed>().await.len(), 11);
    assert_eq!(app.events::<SignInThrottled>().await.len(), 1);
}

#[tokio::test]
async fn of_many_accounts_that_are_tried_at_once_no_more_are_looked_at_than_one_after_the_other() {
    let app = identity_with(few(ThrottleConfig { address_attempts: 4, ..ThrottleConfig::default() })).await;
    let emails: Vec<String> = (0..60).map(|number| address(&format!("nobody{number}"))).collect();
    let answers = futures::future::join_all(emails.iter().map(|email| app.create_session(email, "wrong"))).await;
    let looked_at = answers.iter().filter(|answer| fault::reason(answer.as_ref().unwrap_err()) == "SIGN_IN_REFUSED").count();
    assert_eq!((looked_at, app.events::<SignInFailed>().await.len()), (5, 5));
}

#[tokio::test]
async fn people_who_know_their_passwords_never_wait_for_the_others_of_their_network() {
    let app = identity_with(few(ThrottleConfig { address_attempts: 3, ..ThrottleConfig::default() })).await;
    for name in ["ana", "ben", "cy", "dee", "eli", "fay"] {
        app.verified(name).await;
        app.create_session(&address(name), PASSWORD).await.unwrap();
    }
    guess(&app, &address("ana"), 4).await;
    assert_eq!(waits(app.create_session(&address("ben"), PASSWORD).await), 1);
}

#[tokio::test]
async fn a_clock_that_steps_back_locks_nobody_out_and_forgets_nothing() {
    let app = identity().await;
    app.verified("ana").await;
    guess(&app, &address("ana"), FREE + 1).await;
    app.clock().set(app.now() - time::Duration::days(1));
    guess(&app, &address("ana"), 1).await;
    assert_eq!(waits(app.create_session(&address("ana"), PASSWORD).await), 2, "the next step, from the time it is now");
    app.clock().advance(Duration::from_secs(2));
    app.create_session(&address("ana"), PASSWORD).await.unwrap();
}

#[tokio::test]
async fn the_addresses_of_one_ipv6_network_are_one_stranger() {
    let app = identity().await;
    app.verified("ana").await;
    for host in 1..=FREE + 1 {
        let wrong = signing_in(at(&app, &format!("2001:db8:1:2::{host:x}")), &address("ana"), "wrong", "").await;
        assert_fault!(wrong, Unauthenticated, "SIGN_IN_REFUSED");
    }
    assert_eq!(waits(signing_in(at(&app, "2001:db8:1:2:ffff::1"), &address("ana"), PASSWORD, "").await), 1);
    signing_in(at(&app, "2001:db8:1:3::1"), &address("ana"), PASSWORD, "").await.unwrap();
}

#[tokio::test]
async fn an_address_that_the_caller_makes_up_is_not_believed() {
    let app = identity().await;
    app.verified("ana").await;
    let forging = |number: i32| app.anonymous().channel().header("muster-client-address", &format!("203.0.113.{number}"));
    for number in 1..=FREE + 1 {
        assert_fault!(signing_in(forging(number), &address("ana"), "wrong", "").await, Unauthenticated, "SIGN_IN_REFUSED");
    }
    assert_eq!(waits(signing_in(forging(200), &address("ana"), PASSWORD, "").await), 1);
    let tasks = app.service("tasks").channel().header("muster-client-address", "203.0.113.201");
    assert_eq!(waits(signing_in(tasks, &address("ana"), PASSWORD, "").await), 1, "no service but the gateway tells addresses");
}

#[tokio::test]
async fn who_fails_at_many_accounts_is_kept_from_all_and_nobody_elsewhere_is() {
    let app = identity_with(few(ThrottleConfig { address_attempts: 4, ..ThrottleConfig::default() })).await;
    app.verified("ana").await;
    for number in 0..5 {
        guess(&app, &address(&format!("nobody{number}")), 1).await;
    }
    assert_eq!(waits(app.create_session(&address("ana"), PASSWORD).await), 1);
    signing_in(at(&app, "203.0.113.7"), &address("ana"), PASSWORD, "").await.unwrap();
    let [told] = app.events::<SignInThrottled>().await.try_into().unwrap();
    assert_eq!((told.scope(), told.user_id.as_str(), told.failures), (ThrottleScope::Address, "", 5));
    for event in app.logged().await {
        assert!(!event.body.windows(9).any(|part| part == b"127.0.0.1"), "{} holds an address", event.envelope.r#type);
    }
}

#[tokio::test]
async fn who_fails_from_one_network_of_a_site_after_the_other_waits_and_whoever_is_elsewhere_does_not() {
    let app = identity_with(few(ThrottleConfig { address_attempts: 1, ..ThrottleConfig::default() })).await;
    app.verified("ana").await;
    let from = |network: i32| at(&app, &format!("2001:db8:1:{network:x}::1"));
    for network in 1..=17 {
        let nobody = address(&format!("nobody{network}"));
        assert_fault!(signing_in(from(network), &nobody, "wrong", "").await, Unauthenticated, "SIGN_IN_REFUSED");
    }
    assert_eq!(waits(signing_in(from(18), &address("ana"), PASSWORD, "").await), 1);
    signing_in(at(&app, "2001:db8:2:1::1"), &address("ana"), PASSWORD, "").await.unwrap();
    let [told] = app.events::<SignInThrottled>().await.try_into().unwrap();
    assert_eq!((told.scope(), told.user_id.as_str(), told.failures), (ThrottleScope::Site, "", 17));
}

#[tokio::test]
async fn guesses_from_everywhere_wait_for_each_other_and_never_for_long() {
    let app = identity_with(few(ThrottleConfig { account_attempts: 3, shared_delay_max_seconds: 4, ..ThrottleConfig::default() })).await;
    app.verified("ana").await;
    let from =
        async |number: i32, password: &str| signing_in(at(&app, &format!("203.0.113.{number}")), &address("ana"), password, "").await;
    let mut longest = 0;
    for number in 0..9 {
        assert_fault!(from(number, "wrong").await, Unauthenticated, "SIGN_IN_REFUSED");
        if number >= 3 {
            longest = waits(from(100, PASSWORD).await);
            app.clock().advance(Duration::from_secs(longest));
        }
    }
    assert_eq!(longest, 4, "the cap");
    from(100, PASSWORD).await.unwrap();
    assert_fault!(from(101, "wrong").await, Unauthenticated, "SIGN_IN_REFUSED");
    assert!(waits(from(102, "wrong").await) > 0, "a success of the owner's does not start strangers over");
}

#[tokio::test]
async fn a_system_admin_unlocks_and_nobody_else_does() {
    let app = identity_with(with_root()).await;
    let (root, ana) = (app.root().await, app.verified("ana").await.to_string());
    guess(&app, &address("ana"), FREE + 1).await;
    let eve = app.person("eve").await;
    assert_fault!(eve.unlock_sign_in(&ana).await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(root.unlock_sign_in(&uuid::Uuid::from_u128(1).to_string()).await, NotFound, "USER_NOT_FOUND");
    assert_eq!(waits(app.create_session(&address("ana"), PASSWORD).await), 1);
    root.unlock_sign_in(&ana).await.unwrap();
    app.create_session(&address("ana"), PASSWORD).await.unwrap();
    root.unlock_sign_in(&root.user_id.to_string()).await.unwrap();
    let [unlocked] = app.events::<SignInUnlocked>().await.try_into().unwrap();
    assert_eq!(unlocked.user_id, ana);
    let told = app.envelopes().await.into_iter().find(|envelope| envelope.r#type.ends_with("SignInUnlocked")).unwrap();
    assert_eq!((told.actor.unwrap().actor_id, told.audit_action.as_str()), (root.user_id.to_string(), "identity.user.unlock"));
    guess(&app, ROOT, 1).await;
}

#[tokio::test]
async fn another_password_by_mail_unlocks_and_the_device_that_chose_it_waits_for_no_stranger() {
    let app = identity().await;
    let ana = app.verified("ana").await;
    guess(&app, &address("ana"), FREE + 1).await;
    let token = crate::reset_password::mailed(&app, "ana").await;
    let device = app.reset_password(&token, "another good password").await.unwrap().device_token;
    guess(&app, &address("ana"), FREE + 1).await;
    assert_eq!(waits(app.create_session(&address("ana"), "another good password").await), 1);
    let opened = signing_in(app.anonymous().channel(), &address("ana"), "another good password", &device).await.unwrap();
    assert_eq!(opened.session.unwrap().user_id, ana.to_string());
}

#[tokio::test]
async fn another_password_makes_a_stranger_of_every_device_but_the_one_that_chose_it() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let former = app.create_session(&address("ana"), PASSWORD).await.unwrap().device_token;
    let new = "another good password";
    let chosen = ana.change_password(PASSWORD, new).await.unwrap().device_token;
    guess(&app, &address("ana"), FREE + 1).await;
    assert_eq!(waits(signing_in(app.anonymous().channel(), &address("ana"), new, &former).await), 1);
    let opened = signing_in(app.anonymous().channel(), &address("ana"), new, &chosen).await.unwrap();
    assert_eq!(opened.device_token, chosen);
}

#[tokio::test]
async fn who_enters_forged_links_waits_and_who_tries_passwords_with_a_genuine_one_too() {
    let app = identity_with(few(ThrottleConfig { attempts: 2, address_attempts: 5, ..ThrottleConfig::default() })).await;
    let ana = app.pending("ana").await;
    let token = app.issue_verification_token(&ana.to_string()).await.unwrap();
    for _ in 0..3 {
        assert_fault!(app.verify_email(&token, "wrong").await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    }
    assert_fault!(app.verify_email(&token, PASSWORD).await, ResourceExhausted, "ATTEMPTS_THROTTLED");
    app.clock().advance(Duration::from_secs(1));
    app.verify_email(&token, PASSWORD).await.unwrap();
    for _ in 0..6 {
        assert_fault!(app.reset_password("mpr1_forged", PASSWORD).await, InvalidArgument, "PASSWORD_RESET_TOKEN_INVALID");
    }
    assert_fault!(app.reset_password("mpr1_forged", PASSWORD).await, ResourceExhausted, "ATTEMPTS_THROTTLED");
    assert_fault!(app.verify_email("mvt1_forged", PASSWORD).await, ResourceExhausted, "ATTEMPTS_THROTTLED");
}
