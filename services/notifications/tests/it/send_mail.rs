//! How a mail is handed over, and what becomes of one that a server puts off, refuses or leaves.

use std::time::Duration;

use contract::notifications::v1::{AttemptOutcome as Outcome, DeliveryFailed, DeliverySent, DeliveryState as State};
use runtime::OrganizationId;
use testkit::{Actor, App};
use tonic::Code;

use crate::sink::{Mood, Sink};
use crate::verbs::{Reads, Sees, Tells, app_with, outcomes, recipient};

/// Ana assigned one item to ben, who can be reached; the mail goes to `sink`.
async fn assigned(sink: &Sink) -> (App, Actor) {
    let app = app_with(sink.config()).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    (app, ana)
}

#[tokio::test]
async fn who_is_assigned_gets_a_mail_with_two_parts_and_a_link() {
    let sink = Sink::start(Mood::Takes).await;
    let (app, ana) = assigned(&sink).await;
    let sent = ana.once(State::Sent).await;
    let delivery = sent.delivery.clone().unwrap();
    assert_eq!((outcomes(&sent), delivery.due_time), (vec![(Outcome::Sent, 250)], None));
    let message = sink.messages().remove(0);
    for part in [
        "To: ben <ben@muster.example>",
        "Subject: ACME-1 was assigned to you: light the fuse",
        &format!("Message-ID: <{}@muster.example>", delivery.delivery_id),
        "http://127.0.0.1:8080/work-items/",
        "<p>ACME-1 was assigned to you:</p>",
    ] {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
    assert_eq!(app.events::<DeliverySent>().await[0].after, Some(delivery));
}

#[tokio::test]
async fn a_mail_that_is_put_off_is_sent_when_its_wait_is_over() {
    let sink = Sink::start(Mood::SaysToRecipient("450 mailbox busy")).await;
    let (app, ana) = assigned(&sink).await;
    let waiting = ana.once(State::RetryWait).await;
    let due = contract::time::datetime(&waiting.delivery.as_ref().unwrap().due_time.unwrap()).unwrap() - app.now();
    assert!((48.0..=72.0).contains(&due.as_seconds_f64()), "a minute, a fifth more or less: {due}");
    sink.becomes(Mood::Takes);
    app.clock().advance(Duration::from_secs(73));
    assert_eq!(outcomes(&ana.once(State::Sent).await), [(Outcome::PutOff, 450), (Outcome::Sent, 250)]);
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_dead_at_once_and_the_world_is_told() {
    for mood in [Mood::SaysToRecipient("550 nobody here"), Mood::SaysToMessage("554 spam")] {
        let sink = Sink::start(mood).await;
        let (app, ana) = assigned(&sink).await;
        let dead = ana.once(State::Dead).await;
        let code = if mood == Mood::SaysToMessage("554 spam") { 554 } else { 550 };
        assert_eq!(outcomes(&dead), [(Outcome::Refused, code)]);
        assert_eq!(app.events::<DeliveryFailed>().await[0].after, dead.delivery);
    }
}

#[tokio::test]
async fn attempts_are_used_up() {
    let sink = Sink::start(Mood::SaysToMessage("451 later")).await;
    let (app, ana) = assigned(&sink).await;
    for attempts in 1..=2 {
        while ana.once(State::RetryWait).await.attempts.len() < attempts {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        app.clock().advance(Duration::from_secs(73));
    }
    assert_eq!(outcomes(&ana.once(State::Dead).await), [(Outcome::PutOff, 451); 3]);
}

#[tokio::test]
async fn nobody_knows_of_a_mail_whose_server_hangs_up_after_the_dot_and_it_is_not_sent_again() {
    for mood in [Mood::DropsAfterDot, Mood::HangsAfterDot] {
        let sink = Sink::start(mood).await;
        let (app, ana) = assigned(&sink).await;
        let unknown = ana.once(State::Unknown).await;
        assert_eq!((outcomes(&unknown), unknown.delivery.unwrap().due_time), (vec![(Outcome::Unknown, 0)], None));
        sink.becomes(Mood::Takes);
        app.clock().advance(Duration::from_secs(86_400));
        let ana = ana.renewed();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!((ana.once(State::Unknown).await.attempts.len(), sink.messages().len()), (1, 1));
        assert_eq!(app.events::<DeliveryFailed>().await.len(), 1);
    }
}

#[tokio::test]
async fn a_notice_of_a_sign_in_of_which_nobody_knows_is_sent_once_more_under_the_same_id_and_no_third_time() {
    let sink = Sink::start(Mood::DropsAfterDot).await;
    let app = app_with(sink.config()).await;
    let (root, ben) = (app.system_admin("root").await.in_organization(OrganizationId::SYSTEM), app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.sign_in(&ben).await;
    assert!(root.once(State::Unknown).await.delivery.unwrap().due_time.is_some());
    app.clock().advance(Duration::from_secs(73));
    let root = root.renewed();
    while sink.messages().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let unknown = loop {
        let unknown = root.once(State::Unknown).await;
        if outcomes(&unknown).len() == 2 && unknown.attempts[1].end_time.is_some() {
            break unknown.delivery.unwrap();
        }
    };
    assert_eq!(unknown.due_time, None, "twice is enough");
    let ids: Vec<String> =
        sink.messages().iter().map(|message| message.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned()).collect();
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_server_that_never_speaks_and_one_that_is_not_there_put_mails_off() {
    let sink = Sink::start(Mood::Hangs).await;
    let (_app, ana) = assigned(&sink).await;
    assert_eq!(outcomes(&ana.once(State::RetryWait).await), [(Outcome::PutOff, 0)]);
    let gone = Sink::start(Mood::Takes).await;
    let config = gone.config();
    drop(gone);
    let app = app_with(config).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    assert_eq!(outcomes(&ana.once(State::RetryWait).await), [(Outcome::PutOff, 0)]);
}

#[tokio::test]
async fn a_lease_ends_by_the_clock_of_the_database_and_then_nobody_knows_of_a_mail_that_was_handed_over() {
    let sink = Sink::start(Mood::HangsAfterDot).await;
    let smtp = notifications::SmtpConfig { timeout_ms: 60_000, answer_ms: 60_000, ..sink.config().smtp };
    let app = app_with(notifications::Config { smtp, lease_ms: 130_000, ..sink.config() }).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    while sink.messages().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    app.clock().advance(Duration::from_secs(86_400));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let ana = ana.renewed();
    assert_eq!(outcomes(&ana.once(State::Sending).await), [(Outcome::Unspecified, 0)], "a replica's clock that runs ahead ends no lease");
    let over = "UPDATE notifications.delivery SET lease_expire_time = now() - interval '1 s'";
    sqlx::query(over).execute(&mut app.sql().await).await.unwrap();
    assert_eq!(outcomes(&ana.once(State::Unknown).await), [(Outcome::Unknown, 0)]);
    assert_eq!(sink.messages().len(), 1, "it is not sent again by itself");
}

#[tokio::test]
async fn what_became_of_a_mail_is_written_once_the_database_takes_it_again() {
    let away = "REVOKE UPDATE ON notifications.delivery_attempt FROM notifications_app";
    let back = "GRANT UPDATE (outcome, smtp_code, end_time) ON notifications.delivery_attempt TO notifications_app";
    for (mood, state, outcome) in [
        (Mood::Takes, State::Sent, (Outcome::Sent, 250)),
        (Mood::SaysToRecipient("450 mailbox busy"), State::RetryWait, (Outcome::PutOff, 450)),
    ] {
        let sink = Sink::start(mood).await;
        let app = app_with(sink.config()).await;
        let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
        app.authority().reach(ben.user_id, Ok(recipient(&ben)));
        sqlx::query(away).execute(&mut app.sql().await).await.unwrap();
        app.assign_items(&ana, &ben, &["ACME-1"]).await;
        while sink.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(outcomes(&ana.once(State::Sending).await), [(Outcome::Unspecified, 0)]);
        sqlx::query(back).execute(&mut app.sql().await).await.unwrap();
        assert_eq!(outcomes(&ana.once(state).await), [outcome]);
        assert!(sink.messages().len() <= 1);
    }
}

#[tokio::test]
async fn a_sender_is_woken_by_a_mail_and_by_one_that_is_sent_once_more() {
    let sink = Sink::start(Mood::SaysToRecipient("550 nobody")).await;
    let app = app_with(notifications::Config { poll_ms: 60_000, ..sink.config() }).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    let dead = ana.once(State::Dead).await.delivery.unwrap();
    sink.becomes(Mood::Takes);
    ana.redrive(&dead.delivery_id).await.unwrap();
    ana.once(State::Sent).await;
}

#[tokio::test]
async fn whoever_comes_back_after_its_lease_writes_nothing() {
    let sink = Sink::start(Mood::HangsAfterDot).await;
    let (app, ana) = assigned(&sink).await;
    while sink.messages().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Another replica says first what became of it, while this one still waits for the server's word.
    let other = "WITH d AS (UPDATE notifications.delivery SET state = 6, lease_token = NULL, lease_expire_time = NULL WHERE state = 2
                 RETURNING *)
                 UPDATE notifications.delivery_attempt SET outcome = 3 WHERE (SELECT count(*) FROM d) = 1";
    sqlx::query(other).execute(&mut app.sql().await).await.unwrap();
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(outcomes(&ana.once(State::Dead).await), [(Outcome::Refused, 0)]);
    assert_eq!(app.events::<DeliveryFailed>().await.len(), 0);
}

#[tokio::test]
async fn who_is_gone_is_not_written_to_and_an_identity_that_is_away_is_waited_for() {
    let sink = Sink::start(Mood::Takes).await;
    let app = app_with(sink.config()).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    assert_eq!(outcomes(&ana.once(State::Obsolete).await), [(Outcome::Obsolete, 0)]);
    let eve = app.outsider("eve").await;
    app.authority().reach(eve.user_id, Err(Code::Unavailable));
    app.assign_items(&eve.in_organization(eve.organization_id), &eve, &[]).await;
    let root = app.system_admin("root").await.in_organization(OrganizationId::SYSTEM);
    app.sign_in(&eve).await;
    assert_eq!(outcomes(&root.once(State::RetryWait).await), [(Outcome::PutOff, 0)]);
    app.authority().reach(eve.user_id, Ok(recipient(&eve)));
    app.clock().advance(Duration::from_secs(73));
    root.once(State::Sent).await;
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn an_address_and_a_name_inject_nothing() {
    let sink = Sink::start(Mood::Takes).await;
    let app = app_with(sink.config()).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    let evil = |email: &str, name: &str| contract::identity::v1::ResolveRecipientResponse {
        email: email.to_owned(),
        display_name: name.to_owned(),
        ..recipient(&ben)
    };
    app.authority().reach(ben.user_id, Ok(evil("ben@muster.example\r\nRCPT TO:<eve@evil.example>", "ben")));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    let dead = ana.once(State::Dead).await;
    assert_eq!((outcomes(&dead), sink.connections()), (vec![(Outcome::Refused, 0)], 0));
    app.authority().reach(ben.user_id, Ok(evil("ben@muster.example", "ben\r\nBcc: eve@evil.example\r\n\r\n<b>boo")));
    ana.redrive(&dead.delivery.unwrap().delivery_id).await.unwrap();
    ana.once(State::Sent).await;
    let message = sink.messages().remove(0);
    assert!(!message.lines().any(|line| line.starts_with("Bcc")) && message.contains("&lt;b&gt;boo"), "{message}");
}

#[tokio::test]
async fn a_connection_serves_many_mails_and_one_that_the_server_left_is_made_anew() {
    let sink = Sink::start(Mood::Takes).await;
    let app = app_with(notifications::Config { senders: 1, ..sink.config() }).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    let keys: Vec<String> = (0..20).map(|number| format!("A-{number}")).collect();
    let all_sent = async |count: usize| {
        while ana.list_deliveries("state = SENT").await.unwrap().len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    app.assign_items(&ana, &ben, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    all_sent(20).await;
    assert_eq!((sink.connections(), sink.messages().len()), (1, 20));
    sink.becomes(Mood::LeavesAfterEach);
    for key in ["B-1", "B-2", "B-3"] {
        app.assign_items(&ana, &ben, &[key]).await;
    }
    all_sent(23).await;
    assert_eq!((sink.connections(), sink.messages().len()), (3, 23));
}

#[tokio::test]
async fn many_senders_send_each_mail_once() {
    let sink = Sink::start(Mood::Takes).await;
    let app = app_with(notifications::Config { senders: 16, ..sink.config() }).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    for number in 0..60 {
        let after = crate::verbs::item(&app, &format!("A-{number}"), &[&ben], &ana);
        app.publish(
            contract::tasks::v1::WorkItemCreated { work_item_id: after.work_item_id.clone(), after: Some(after) },
            app.organization(),
        )
        .await;
    }
    while ana.list_deliveries("state = SENT").await.unwrap().len() < 50 || ben.unread().await < 60 || sink.messages().len() < 60 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut subjects: Vec<String> =
        sink.messages().iter().map(|message| message.lines().find(|line| line.starts_with("Subject")).unwrap().to_owned()).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!((subjects.len(), sink.messages().len()), (60, 60));
}
