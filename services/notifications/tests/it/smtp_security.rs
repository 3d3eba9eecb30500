use std::time::Duration;

use contract::notifications::v1::{AttemptOutcome as Outcome, DeliveryState as State};
use notifications::{Config, Security, SmtpConfig};
use testkit::{Actor, App};

use crate::sink::{Door, Mood, PASSWORD, Sink, USER};
use crate::verbs::{Sees, Tells, app_with, outcomes, recipient};

/// Ana assigned `keys` to ben; the mails go as `config` says.
async fn assigned(config: Config, keys: &[&str]) -> (App, Actor) {
    let app = app_with(config).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, keys).await;
    (app, ana)
}

/// With credentials.
fn known_as(config: Config, password: &str) -> Config {
    let smtp = SmtpConfig { user: USER.to_owned(), password: password.into(), ..config.smtp.clone() };
    Config { smtp, ..config }
}

#[tokio::test]
async fn over_tls_nothing_of_a_mail_can_be_read_on_the_way() {
    for (door, security) in [(Door::StartTls, Security::Starttls), (Door::StartTls, Security::Opportunistic), (Door::Tls, Security::Tls)] {
        let sink = Sink::behind(door, "", Mood::Takes).await;
        let (_app, ana) = assigned(sink.secure_config(security), &["ACME-1"]).await;
        assert_eq!(outcomes(&ana.once(State::Sent).await), [(Outcome::Sent, 250)], "{security:?}");
        assert_eq!(sink.messages().len(), 1);
        let overheard = sink.overheard();
        assert!(!overheard.contains("ben") && !overheard.contains("MAIL"), "{security:?}: {overheard}");
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_no_mail_that_must_go_over_it_and_one_that_may() {
    let sink = Sink::behind(Door::Open, "", Mood::Takes).await;
    let (_app, ana) = assigned(sink.secure_config(Security::Starttls), &["ACME-1"]).await;
    assert_eq!(outcomes(&ana.once(State::RetryWait).await), [(Outcome::PutOff, 0)]);
    assert!(sink.messages().is_empty() && !sink.overheard().contains("MAIL"), "{}", sink.overheard());
    let (_app, ana) = assigned(sink.secure_config(Security::Opportunistic), &["ACME-1"]).await;
    ana.once(State::Sent).await;
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn who_answers_for_the_server_before_tls_begins_is_not_heard_once_it_did() {
    let sink = Sink::behind(Door::StartTls, "PLAIN", Mood::IsJoined).await;
    let (_app, ana) = assigned(known_as(sink.secure_config(Security::Starttls), PASSWORD), &["ACME-1"]).await;
    assert_eq!(outcomes(&ana.once(State::RetryWait).await), [(Outcome::PutOff, 0)]);
    assert_eq!(sink.messages().len(), 0);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_believed() {
    for (door, security) in [(Door::StartTls, Security::Starttls), (Door::Tls, Security::Tls)] {
        let sink = Sink::behind(door, "", Mood::Takes).await;
        let config = sink.secure_config(security);
        let smtp = SmtpConfig { ca_file: String::new(), ..config.smtp.clone() };
        let (_app, ana) = assigned(Config { smtp, senders: 1, ..config }, &["ACME-1", "ACME-2"]).await;
        while ana.list_deliveries("state = RETRY_WAIT").await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((sink.messages().len(), sink.connections()), (0, 1), "the second mail does not try {security:?} again");
    }
}

#[tokio::test]
async fn senders_say_who_they_are_by_either_way_and_over_tls_alone() {
    for auth in ["PLAIN", "LOGIN", "LOGIN PLAIN"] {
        let sink = Sink::behind(Door::StartTls, auth, Mood::Takes).await;
        let (_app, ana) = assigned(known_as(sink.secure_config(Security::Starttls), PASSWORD), &["ACME-1"]).await;
        ana.once(State::Sent).await;
        assert!(!sink.overheard().contains("AUTH"), "{auth}: {}", sink.overheard());
    }
}

#[tokio::test]
async fn wrong_credentials_can_be_read_from_the_delivery_and_are_not_tried_with_every_mail() {
    let sink = Sink::behind(Door::Tls, "PLAIN", Mood::Takes).await;
    let config = known_as(sink.secure_config(Security::Tls), "wrong");
    let (app, ana) = assigned(Config { senders: 1, attempt_max: 1, ..config }, &["A-1", "A-2", "A-3"]).await;
    while ana.list_deliveries("state = DEAD").await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let dead = ana.list_deliveries("state = DEAD").await.unwrap().remove(0);
    assert_eq!(outcomes(&ana.delivery(&dead.delivery_id).await.unwrap()), [(Outcome::PutOff, 535)]);
    assert_eq!(app.count("SELECT count(*) FROM notifications.delivery WHERE state = 1").await, 2, "the others wait");
    assert_eq!((sink.connections(), sink.messages().len()), (1, 0));
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_has_refused_no_mail() {
    let sink = Sink::behind(Door::Tls, "PLAIN", Mood::Takes).await;
    let (app, ana) = assigned(Config { senders: 1, ..sink.secure_config(Security::Tls) }, &["A-1", "A-2", "A-3"]).await;
    while ana.list_deliveries("state = RETRY_WAIT").await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let waiting = ana.list_deliveries("state = RETRY_WAIT").await.unwrap().remove(0);
    assert_eq!(outcomes(&ana.delivery(&waiting.delivery_id).await.unwrap()), [(Outcome::PutOff, 530)]);
    assert_eq!(app.count("SELECT count(*) FROM notifications.delivery WHERE state = 1").await, 2, "the others are not tried");
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn when_the_server_knows_us_again_every_mail_that_waited_is_sent() {
    let sink = Sink::behind(Door::StartTls, "PLAIN", Mood::KnowsNobody).await;
    let config = known_as(sink.secure_config(Security::Starttls), PASSWORD);
    let smtp = SmtpConfig { refusal_pause_ms: 100, ..config.smtp.clone() };
    let (app, ana) = assigned(Config { smtp, attempt_max: 100, ..config }, &["A-1", "A-2", "A-3"]).await;
    while ana.list_deliveries("state = RETRY_WAIT").await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sink.becomes(Mood::Takes);
    app.clock().advance(Duration::from_secs(73));
    let ana = ana.renewed();
    while ana.list_deliveries("state = SENT").await.unwrap().len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sink.messages().len(), 3);
}
