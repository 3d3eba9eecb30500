//! Whoever has mails sent waits, for each network and for each who signed in.

use std::time::Duration;

use contract::BaseRole;
use contract::identity::v1::RequestPasswordResetRequest;
use contract::identity::v1::account_service_client::AccountServiceClient;
use identity::Config;
use identity::throttle::config::ThrottleConfig;
use testkit::{assert_fault, fault};

use crate::throttle::{at, few, guess};
use crate::verbs::{Acts, Door, Invites, NOTHING, PASSWORD, address, identity_with};

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
