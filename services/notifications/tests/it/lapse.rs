//! Senders that die, or come back late, with a mail in hand. What a kill leaves is a lease that ends: here by hand, in `services/muster` by SIGKILL.

use std::time::Duration;

use contract::notifications::v1::{AttemptOutcome as Outcome, DeliveryState as State};
use notifications::{Config, SmtpConfig};
use testkit::{Actor, App};

use crate::sink::{Mood, Sink};
use crate::verbs::{Sees, Tells, app_with, outcomes, quick, recipient};

/// Ana assigned one item to ben; the mail goes by `config`.
async fn assigned(config: Config) -> (App, Actor) {
    let app = app_with(config).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    (app, ana)
}

/// To `sink`, with patience.
fn patient(sink: &Sink) -> Config {
    let smtp = SmtpConfig { timeout_ms: 60_000, answer_ms: 60_000, ..sink.config().smtp };
    Config { smtp, lease_ms: 130_000, ..sink.config() }
}

/// As if whoever has a mail in hand had died long ago.
async fn leases_end(app: &App) {
    let over = "UPDATE notifications.delivery SET lease_expire_time = now() WHERE lease_token IS NOT NULL";
    sqlx::query(over).execute(&mut app.sql().await).await.unwrap();
}

/// The mail waits for its next try, and that sends it.
async fn sent_by_the_next(app: &App, ana: &Actor) {
    assert_eq!(outcomes(&ana.once(State::RetryWait).await), [(Outcome::PutOff, 0)]);
    app.clock().advance(Duration::from_secs(73));
    let codes: Vec<Outcome> = outcomes(&ana.renewed().once(State::Sent).await).into_iter().map(|(outcome, _)| outcome).collect();
    assert_eq!(codes, [Outcome::PutOff, Outcome::Sent]);
}

#[tokio::test]
async fn a_mail_whose_sender_died_before_it_reached_the_server_is_sent() {
    let sink = Sink::start(Mood::Hangs).await;
    let (app, ana) = assigned(patient(&sink)).await;
    while sink.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sink.becomes(Mood::Takes);
    leases_end(&app).await;
    sent_by_the_next(&app, &ana).await;
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn a_sender_whose_lease_ran_out_before_it_hands_over_hands_nothing_over() {
    let sink = Sink::start(Mood::HangsBeforeMessage).await;
    let (app, ana) = assigned(patient(&sink)).await;
    while !sink.overheard().contains("DATA") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    leases_end(&app).await;
    ana.once(State::RetryWait).await;
    sink.becomes(Mood::Takes);
    sent_by_the_next(&app, &ana).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sink.messages().len(), 1, "the first one was asked for its message too, and gave none");
}

#[tokio::test]
async fn a_mail_of_which_it_can_not_be_written_that_it_leaves_stays() {
    let sink = Sink::start(Mood::Takes).await;
    let app = app_with(sink.config()).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    let mut sql = app.sql().await;
    sqlx::query("ALTER TABLE notifications.delivery ADD CONSTRAINT nothing_leaves CHECK (NOT handed_over)")
        .execute(&mut sql)
        .await
        .unwrap();
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    ana.once(State::RetryWait).await;
    assert_eq!(sink.messages().len(), 0);
    sqlx::query("ALTER TABLE notifications.delivery DROP CONSTRAINT nothing_leaves").execute(&mut sql).await.unwrap();
    sent_by_the_next(&app, &ana).await;
}

#[tokio::test]
async fn a_mail_for_the_mailbox_whose_sender_died_is_put_there_once() {
    let app = app_with(quick()).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    let mut sql = app.sql().await;
    // No outcome can be written: what the sender has in hand is as if it had died with it.
    sqlx::query("REVOKE INSERT ON notifications.mail FROM notifications_app").execute(&mut sql).await.unwrap();
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    ana.once(State::Sending).await;
    leases_end(&app).await;
    ana.once(State::RetryWait).await;
    sqlx::query("GRANT INSERT ON notifications.mail TO notifications_app").execute(&mut sql).await.unwrap();
    sent_by_the_next(&app, &ana).await;
    assert_eq!(app.count("SELECT count(*) FROM notifications.mail").await, 1);
}

#[tokio::test]
async fn mails_that_want_to_leave_at_once_are_all_written_down_as_left() {
    let sink = Sink::start(Mood::HangsBeforeMessage).await;
    let app = app_with(Config { senders: 16, ..patient(&sink) }).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    let keys: Vec<String> = (0..16).map(|number| format!("A-{number}")).collect();
    app.assign_items(&ana, &ben, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    while sink.overheard().matches("DATA").count() < 16 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    sink.becomes(Mood::Takes);
    while sink.messages().len() < 16 || app.count("SELECT count(*) FROM notifications.delivery WHERE state = 3").await < 16 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(app.count("SELECT count(*) FROM notifications.delivery WHERE handed_over").await, 16);
}
