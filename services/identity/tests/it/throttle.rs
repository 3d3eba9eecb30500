//! Whoever guesses waits; whoever owns the account does not wait for them.

use std::time::Duration;

use contract::BaseRole;
use contract::identity::v1::account_service_client::AccountServiceClient;
use contract::identity::v1::create_session_request::Identifier;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::{
    CreateSessionRequest, CreateSessionResponse, RequestPasswordResetRequest, SignInFailed, SignInThrottled, SignInUnlocked, ThrottleScope,
};
use identity::Config;
use identity::throttle::config::ThrottleConfig;
use identity::throttle::{Scope, Throttle};
use runtime::OrganizationId;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use testkit::{App, Channel, assert_fault, fault};
use time::OffsetDateTime;
use tonic::Status;

use crate::verbs::{Acts, Door, Invites, NOTHING, PASSWORD, ROOT, address, identity, identity_with, quick, until, with_root};

const FREE: i32 = 10;

/// A sign-in by `channel`, from a device that has `device_token`.
async fn signing_in(channel: Channel, email: &str, password: &str, device_token: &str) -> Result<CreateSessionResponse, Status> {
    let (password, device_token) = (password.to_owned(), device_token.to_owned());
    let request = CreateSessionRequest { identifier: Some(Identifier::Email(email.to_owned())), password, device_token };
    Ok(SessionServiceClient::new(channel).create_session(request).await?.into_inner())
}

/// Somebody at the network address `from`, as the gateway tells.
fn at(app: &App, from: &str) -> Channel {
    app.service("gateway").channel().header("muster-client-address", from)
}

/// So many wrong passwords in a row, all of them looked at.
async fn guess(app: &App, email: &str, times: i32) {
    for _ in 0..times {
        assert_fault!(app.create_session(email, "wrong").await, Unauthenticated, "SIGN_IN_REFUSED");
    }
}

/// How long a refused sign-in is to wait, in seconds.
fn waits(refused: Result<CreateSessionResponse, Status>) -> u64 {
    fault::retry_delay(&assert_fault!(refused, ResourceExhausted, "SIGN_IN_THROTTLED")).unwrap().as_secs()
}

fn few(throttle: ThrottleConfig) -> Config {
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

/// A ladder of its own in the table, as the functions of the migration take it.
fn ladder(subject: &str, free: i32) -> serde_json::Value {
    serde_json::json!({"scope": 6, "subject": subject, "part": "", "free": free, "cap_ms": 1_000, "resets": true})
}

/// How long an attempt at `keys` is to wait at `at`, in milliseconds; `None` when it is charged.
async fn admit(sql: &mut PgConnection, keys: &[serde_json::Value], at: OffsetDateTime) -> Option<i64> {
    let admit = "SELECT wait_ms FROM identity.throttle_admit($1, 1000, 3600000, $2)";
    sqlx::query_scalar(admit).bind(Json(keys)).bind(at).fetch_one(sql).await.unwrap()
}

#[tokio::test]
async fn a_replica_whose_clock_is_behind_some_milliseconds_lets_nobody_through_at_the_longest_delay() {
    let app = identity().await;
    let (mut sql, keys, at) = (app.sql().await, [ladder("at the cap", 0)], app.now());
    assert_eq!(admit(&mut sql, &keys, at).await, None);
    for behind in [0, 5] {
        assert_eq!(admit(&mut sql, &keys, at - time::Duration::milliseconds(behind)).await, Some(1_000 + behind));
    }
}

#[tokio::test]
async fn what_is_free_makes_nobody_wait_whose_clock_was_read_earlier() {
    let app = identity().await;
    let (mut sql, keys, at) = (app.sql().await, [ladder("free", 10)], app.now());
    for behind in [0, 0, 5] {
        assert_eq!(admit(&mut sql, &keys, at - time::Duration::milliseconds(behind)).await, None);
    }
    let given_back = sqlx::query("SELECT identity.throttle_settle($1, false)").bind(Json(&keys));
    given_back.execute(&mut sql).await.unwrap();
    assert_eq!(admit(&mut sql, &keys, at - time::Duration::milliseconds(5)).await, None);
}

#[tokio::test]
async fn who_is_outrun_at_one_ladder_is_charged_to_none() {
    let app = identity().await;
    let (mut first, mut second, mut watcher, at) = (app.sql().await, app.sql().await, app.sql().await, app.now());
    let mut tx = first.begin().await.unwrap();
    assert_eq!(admit(&mut tx, &[ladder("shared", 0)], at).await, None);
    let keys = [ladder("own", 0), ladder("shared", 0)];
    let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let first_commits = async {
        while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut watcher).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tx.commit().await.unwrap();
    };
    let (outrun, ()) = tokio::join!(admit(&mut second, &keys, at), first_commits);
    assert_eq!(outrun, Some(1_000));
    assert_eq!(admit(&mut watcher, &[ladder("own", 0)], at).await, None);
}

/// The scopes of ladders with failures whose rows somebody holds.
async fn held_scopes(app: &App) -> Vec<i16> {
    let held = "SELECT scope FROM identity.auth_throttle t WHERE failures > 0 AND NOT EXISTS (
                    SELECT FROM free WHERE (free.scope, free.subject) = (t.scope, t.subject)) ORDER BY scope";
    let held = format!("WITH free AS MATERIALIZED (SELECT scope, subject FROM identity.auth_throttle FOR UPDATE SKIP LOCKED) {held}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(held)).fetch_all(&mut app.sql().await).await.unwrap()
}

/// Whoever holds ladders in another order than the others waits for them while they wait for it.
#[tokio::test]
async fn ladders_are_cleared_in_the_order_in_which_they_are_charged() {
    let app = identity_with(with_root()).await;
    let (root, ana) = (app.root().await, app.verified("ana").await);
    let (network, account) = (Scope::Network as i16, Scope::Account as i16);
    for clears in [true, false] {
        guess(&app, &address("ana"), 1).await;
        let mut sql = app.sql().await;
        // As the rows lie in the table, that of the network is the last.
        sqlx::query("UPDATE identity.auth_throttle SET failures = failures WHERE scope = $1")
            .bind(network)
            .execute(&mut sql)
            .await
            .unwrap();
        let mut held = sql.begin().await.unwrap();
        let hold = "SELECT FROM identity.auth_throttle WHERE scope = $1 FOR UPDATE";
        sqlx::query(hold).bind(account).execute(&mut *held).await.unwrap();
        let calling = async {
            // Who waits for a row too long is told to come again.
            let call = async || match clears {
                true => root.unlock_sign_in(&ana.to_string()).await,
                false => app.create_session(&address("ana"), "wrong").await.map(drop),
            };
            while call().await.is_err_and(|refused| fault::reason(&refused) == "CONFLICT") {}
        };
        let seeing = async {
            until("the network's is held while the account's is waited for", async || held_scopes(&app).await == [network, account]).await;
            held.rollback().await.unwrap();
        };
        futures::future::join(calling, seeing).await;
    }
}

#[tokio::test]
async fn three_replicas_let_as_many_through_as_one() {
    let app = identity().await;
    let user = uuid::Uuid::from_u128(7);
    let admitted = app
        .inside(move |deps| async move {
            let caller = rpc::Caller::background(identity::NAME, OrganizationId::SYSTEM, None);
            let replicas: Vec<Throttle> = (0..3).map(|_| Throttle::new(deps.db.clone(), ThrottleConfig::default())).collect();
            let attempts = (0..60).map(|number: usize| {
                let (throttle, caller) = (replicas[number % 3].clone(), caller.clone());
                async move { throttle.admit(&caller, throttle.attempt(Scope::Code, user)).await.is_ok() }
            });
            futures::future::join_all(attempts).await.into_iter().filter(|admitted| *admitted).count()
        })
        .await;
    assert_eq!(admitted, 11);
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
async fn mails_are_asked_for_so_often_from_one_site_and_more_often_than_from_one_network() {
    let app = identity_with(few(ThrottleConfig { mails_per_address: 1, ..ThrottleConfig::default() })).await;
    let ask = async |from: &str, number: i32| {
        let request = RequestPasswordResetRequest { email: address(&format!("nobody{number}")) };
        AccountServiceClient::new(at(&app, from)).request_password_reset(request).await
    };
    for number in 1..=17 {
        ask(&format!("2001:db8:1:{number:x}::1"), number).await.unwrap();
    }
    assert_fault!(ask("2001:db8:1:18::1", 18).await, ResourceExhausted, "ATTEMPTS_THROTTLED");
    ask("2001:db8:2:1::1", 18).await.unwrap();
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
    app.request_password_reset(&address("ana")).await.unwrap();
    let token = crate::reset_password::mailed_token(&app).await;
    let device = app.reset_password(&token, "another good password").await.unwrap().device_token;
    guess(&app, &address("ana"), FREE + 1).await;
    assert_eq!(waits(app.create_session(&address("ana"), "another good password").await), 1);
    let opened = signing_in(app.anonymous().channel(), &address("ana"), "another good password", &device).await.unwrap();
    assert_eq!(opened.session.unwrap().user_id, ana.to_string());
}

#[tokio::test]
async fn mails_are_asked_for_so_often_from_one_network_whosever_address_it_is() {
    let app = identity_with(few(ThrottleConfig { mails_per_address: 4, ..ThrottleConfig::default() })).await;
    // The registration is the first.
    app.verified("ana").await;
    for name in ["ana", "nobody", "ana", "somebody"] {
        app.request_password_reset(&address(name)).await.unwrap();
    }
    for name in ["ana", "nobody"] {
        let refused = assert_fault!(app.resend_verification(&address(name), NOTHING).await, ResourceExhausted, "ATTEMPTS_THROTTLED");
        assert_eq!(fault::retry_delay(&refused), Some(Duration::from_secs(1)));
    }
    let elsewhere = RequestPasswordResetRequest { email: address("ana") };
    AccountServiceClient::new(at(&app, "203.0.113.7")).request_password_reset(elsewhere).await.unwrap();
    app.create_session(&address("ana"), PASSWORD).await.unwrap();
}

#[tokio::test]
async fn registrations_are_charged_as_mails_before_it_is_said_whether_a_username_is_free() {
    let app = identity_with(few(ThrottleConfig { mails_per_address: 4, ..ThrottleConfig::default() })).await;
    let ana = app.person("ana").await;
    ana.set_username("ana").await.unwrap();
    for number in 0..4 {
        assert_fault!(app.register_as(&format!("eve{number}"), "ana").await, AlreadyExists, "USERNAME_TAKEN");
    }
    for username in ["ana", "free"] {
        let refused = assert_fault!(app.register_as("eve", username).await, ResourceExhausted, "ATTEMPTS_THROTTLED");
        assert_eq!(fault::retry_delay(&refused), Some(Duration::from_secs(1)));
    }
}

#[tokio::test]
async fn who_signed_in_asks_for_mails_of_their_own_count_whatever_their_network_did() {
    let config = ThrottleConfig { mails_per_address: 4, mails_per_user: 2, ..ThrottleConfig::default() };
    let app = identity_with(Config { mail_cooldown_seconds: 0, ..few(config) }).await;
    let ana = app.person("ana").await;
    let (acme, evil) = (app.founded(&ana, "acme").await, app.founded(&ana, "evil").await);
    while app.resend_verification(&address("nobody"), NOTHING).await.is_ok() {}
    ana.request_email_change("lovelace@example.org").await.unwrap();
    acme.invite("cy", BaseRole::Member).await.unwrap();
    let last = evil.invite("cy", BaseRole::Member).await.unwrap();
    assert_fault!(acme.invite("dee", BaseRole::Member).await, ResourceExhausted, "ATTEMPTS_THROTTLED");
    assert_fault!(evil.resend_invitation(&last.invitation_id).await, ResourceExhausted, "ATTEMPTS_THROTTLED");
    assert_fault!(ana.request_email_change("ada@example.org").await, ResourceExhausted, "ATTEMPTS_THROTTLED");
    assert_eq!(acme.list_invitations(0, "").await.unwrap().invitations.len(), 1);
}

#[tokio::test]
async fn what_a_network_shares_never_waits_for_long() {
    let config = ThrottleConfig { mails_per_address: 1, address_attempts: 1, shared_delay_max_seconds: 2, ..ThrottleConfig::default() };
    let app = identity_with(few(config)).await;
    for number in 0..6 {
        app.resend_verification(&address("nobody"), NOTHING).await.unwrap();
        guess(&app, &address(&format!("nobody{number}")), 1).await;
        app.clock().advance(Duration::from_secs(2));
    }
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
