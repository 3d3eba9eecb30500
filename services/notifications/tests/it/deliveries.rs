use contract::notifications::v1::{DeliveryRedriven, DeliveryState as State};
use runtime::OrganizationId;
use testkit::assert_fault;

use crate::sink::{Mood, Sink};
use crate::verbs::{Sees, Tells, app_with, quick, recipient};

/// A UUID that names nothing.
const NOTHING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[tokio::test]
async fn admins_see_the_deliveries_of_their_organization_and_nobody_else_does() {
    let app = app_with(quick()).await;
    let (ana, ben, eve) = (app.admin("ana").await, app.member("ben").await, app.outsider("eve").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    let id = ana.once(State::Sent).await.delivery.unwrap().delivery_id;
    assert_eq!(app.system_admin("root").await.list_deliveries("").await.unwrap().len(), 1);
    assert_eq!(eve.list_deliveries("").await.unwrap(), []);
    assert_fault!(eve.delivery(&id).await, NotFound, "DELIVERY_NOT_FOUND");
    assert_fault!(eve.redrive(&id).await, NotFound, "DELIVERY_NOT_FOUND");
    assert_fault!(ana.delivery(NOTHING).await, NotFound, "DELIVERY_NOT_FOUND");
    for actor in [&ben, &app.viewer("vic").await] {
        assert_fault!(actor.list_deliveries("").await, PermissionDenied, "PERMISSION_DENIED");
        assert_fault!(actor.delivery(&id).await, PermissionDenied, "PERMISSION_DENIED");
        assert_fault!(actor.redrive(&id).await, PermissionDenied, "PERMISSION_DENIED");
    }
    assert_fault!(app.anonymous().list_deliveries("").await, Unauthenticated, "CREDENTIALS_MISSING");
}

#[tokio::test]
async fn what_belongs_to_no_organization_is_for_system_admins() {
    let app = app_with(quick()).await;
    let (ana, ben) = (app.owner("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.sign_in(&ben).await;
    let root = app.system_admin("root").await;
    root.in_organization(OrganizationId::SYSTEM).once(State::Sent).await;
    assert_eq!((ana.list_deliveries("").await.unwrap(), root.list_deliveries("").await.unwrap()), (vec![], vec![]));
}

#[tokio::test]
async fn a_filter_finds_what_it_says_and_nonsense_is_refused() {
    let app = app_with(quick()).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    ana.once(State::Obsolete).await;
    for (filter, count) in [
        ("state = OBSOLETE", 1),
        ("state = DELIVERY_STATE_SENT", 0),
        ("category = ASSIGNMENT AND channel = EMAIL", 1),
        ("template = assigned", 1),
        (&format!("user_id = {}", ben.user_id), 1),
    ] {
        assert_eq!(ana.list_deliveries(filter).await.unwrap().len(), count, "{filter}");
    }
    assert_fault!(ana.list_deliveries("data = x").await, InvalidArgument, "FILTER_INVALID");
}

#[tokio::test]
async fn an_admin_has_a_dead_mail_sent_once_more_and_a_sent_one_never() {
    let sink = Sink::start(Mood::SaysToRecipient("550 nobody")).await;
    let app = app_with(sink.config()).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    let dead = ana.once(State::Dead).await.delivery.unwrap();
    sink.becomes(Mood::Takes);
    let again = ana.redrive(&dead.delivery_id).await.unwrap();
    assert_eq!((again.state(), again.attempt_count), (State::Pending, 1));
    let sent = ana.once(State::Sent).await;
    assert_eq!((sent.attempts.len(), sink.messages().len()), (2, 1));
    assert_fault!(ana.redrive(&dead.delivery_id).await, FailedPrecondition, "DELIVERY_WRONG_STATE");
    assert_eq!(
        app.events::<DeliveryRedriven>().await,
        [DeliveryRedriven { delivery_id: dead.delivery_id.clone(), before: Some(dead), after: Some(again) }]
    );
}

#[tokio::test]
async fn a_mail_of_an_event_that_comes_twice_is_one() {
    let app = app_with(quick()).await;
    let ben = app.member("ben").await;
    let event = app.sign_in(&ben).await;
    sqlx::query("DELETE FROM notifications.inbox").execute(&mut app.sql().await).await.unwrap();
    app.deliver(&event).await;
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM notifications.delivery").await, 1);
}
