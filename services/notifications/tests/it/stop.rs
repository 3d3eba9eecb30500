use std::time::Duration;

use contract::notifications::v1::{AttemptOutcome as Outcome, DeliveryState as State};
use notifications::{Config, SmtpConfig};
use testkit::{Actor, App};

use crate::sink::{Mood, Sink};
use crate::verbs::{Sees, Tells, app_with, outcomes, recipient};

/// Ana assigned one item to ben; the mail goes to `sink`, which has a minute to answer, and is tried once.
async fn assigned(sink: &Sink) -> (App, Actor) {
    let smtp = SmtpConfig { timeout_ms: 60_000, answer_ms: 60_000, ..sink.config().smtp };
    let app = app_with(Config { smtp, lease_ms: 130_000, attempt_max: 1, ..sink.config() }).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    (app, ana)
}

async fn until(happened: impl Fn() -> bool) {
    while !happened() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_mail_that_was_not_handed_over_is_left_to_the_next_process_and_loses_no_attempt() {
    let sink = Sink::start(Mood::Hangs).await;
    let (mut app, ana) = assigned(&sink).await;
    until(|| sink.connections() == 1).await;
    sink.becomes(Mood::Takes);
    app.restart().await;
    assert_eq!(outcomes(&ana.once(State::Sent).await), [(Outcome::PutOff, 0), (Outcome::Sent, 250)]);
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn the_answer_to_a_message_that_was_handed_over_is_waited_for() {
    let sink = Sink::start(Mood::AnswersLate).await;
    let (mut app, ana) = assigned(&sink).await;
    until(|| sink.messages().len() == 1).await;
    app.restart().await;
    assert_eq!(outcomes(&ana.once(State::Sent).await), [(Outcome::Sent, 250)]);
}

#[tokio::test]
async fn of_a_message_without_an_answer_it_is_said_at_once_that_nobody_knows() {
    let sink = Sink::start(Mood::HangsAfterDot).await;
    let (mut app, ana) = assigned(&sink).await;
    until(|| sink.messages().len() == 1).await;
    app.restart().await;
    assert_eq!(outcomes(&ana.once(State::Unknown).await), [(Outcome::Unknown, 0)]);
    assert_eq!(app.count("SELECT count(*) FROM notifications.delivery WHERE lease_token IS NOT NULL").await, 0);
}
