use std::time::Duration;

use contract::notifications::v1::DeliveryState as State;

use crate::sink::{Mood, Sink};
use crate::verbs::{Reads, Sees, Tells, app_with, quick, recipient};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn what_is_old_goes_and_what_is_not_stays() {
    let mut app = app_with(quick()).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.sign_in_from(&ben, ("203.0.113.7", "agent")).await;
    app.assign_items(&ana, &ben, &["OLD-1"]).await;
    ana.once(State::Sent).await;
    app.clock().advance(181 * DAY);
    app.restart().await;
    while app.count("SELECT count(*) FROM notifications.delivery_attempt").await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left = "SELECT (SELECT count(*) FROM notifications.delivery) + (SELECT count(*) FROM notifications.known_device)";
    assert_eq!((app.count(left).await, ben.renewed().unread().await), (0, 2), "an inbox keeps them longer");
    app.clock().advance(185 * DAY);
    app.assign_items(&ana.renewed(), &ben.renewed(), &["NEW-1"]).await;
    app.restart().await;
    while ben.renewed().unread().await > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ben.renewed().titles("").await, ["NEW-1 was assigned to you"]);
}

#[tokio::test]
async fn what_did_not_come_to_its_end_stays_however_old_it_is() {
    let sink = Sink::start(Mood::SaysToRecipient("450 mailbox busy")).await;
    let mut app = app_with(notifications::Config { attempt_max: 100, ..sink.config() }).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    ana.once(State::RetryWait).await;
    app.clock().advance(400 * DAY);
    app.restart().await;
    while ben.renewed().unread().await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sink.becomes(Mood::Takes);
    app.clock().advance(DAY);
    ana.renewed().once(State::Sent).await;
}
