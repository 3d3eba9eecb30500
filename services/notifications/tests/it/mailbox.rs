use std::sync::{Arc, Mutex};

use contract::notifications::v1::DeliveryState as State;
use runtime::OrganizationId;
use testkit::assert_fault;

use crate::sink::{Mood, Sink};
use crate::verbs::{Sees, Tells, app, app_with, quick, recipient};

/// A UUID that names nothing.
const NOTHING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[tokio::test]
async fn without_a_server_mails_can_be_read_by_system_admins() {
    let app = app_with(quick()).await;
    let (ana, ben, root) = (app.admin("ana").await, app.member("ben").await, app.system_admin("root").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    let delivery = ana.once(State::Sent).await.delivery.unwrap();
    let listed = root.mails("to = \"Ben@muster.example\"").await.unwrap().remove(0);
    assert_eq!((&*listed.to, &*listed.subject, &*listed.text), ("ben@muster.example", "ACME-1 was assigned to you: light the fuse", ""));
    let mail = root.mail(&listed.mail_id).await.unwrap();
    assert!(mail.text.contains("Hello ben,") && mail.html.contains("<p>Hello ben,</p>"));
    assert_eq!((mail.delivery_id, &*mail.template), (delivery.delivery_id, "assigned"));
    assert_eq!(root.mails("to = \"ana@muster.example\"").await.unwrap(), []);
    assert_fault!(root.mail(NOTHING).await, NotFound, "MAIL_NOT_FOUND");
}

#[tokio::test]
async fn nobody_else_reads_mails() {
    let app = app().await;
    for actor in [app.owner("ana").await, app.member("ben").await, app.outsider("eve").await] {
        assert_fault!(actor.mails("").await, PermissionDenied, "PERMISSION_DENIED");
        assert_fault!(actor.mail(NOTHING).await, PermissionDenied, "PERMISSION_DENIED");
    }
    assert_fault!(app.anonymous().mails("").await, Unauthenticated, "CREDENTIALS_MISSING");
}

#[tokio::test]
async fn with_a_server_there_is_no_mailbox() {
    let sink = Sink::start(Mood::Takes).await;
    let app = app_with(sink.config()).await;
    let root = app.system_admin("root").await;
    assert_fault!(root.mails("").await, FailedPrecondition, "MAILBOX_DISABLED");
    assert_fault!(root.mail(NOTHING).await, FailedPrecondition, "MAILBOX_DISABLED");
}

#[tokio::test]
async fn mails_that_lie_in_the_mailbox_go_when_a_server_is_configured() {
    let sink = Sink::start(Mood::Takes).await;
    let config = Arc::new(Mutex::new(quick()));
    let read = config.clone();
    let build = async move |deps: &host::Deps| {
        let config = read.lock().unwrap().clone();
        notifications::build(deps, &config).await
    };
    let mut app = testkit::App::of(notifications::NAME, notifications::SCHEMA, &notifications::MIGRATIONS, build).await;
    let (ana, ben) = (app.admin("ana").await, app.member("ben").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    ana.once(State::Sent).await;
    app.restart().await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(app.count("SELECT count(*) FROM notifications.mail").await, 1, "a start alone takes nothing away");
    *config.lock().unwrap() = sink.config();
    app.restart().await;
    while app.count("SELECT count(*) FROM notifications.mail").await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_mailbox_keeps_the_newest_alone_sealed() {
    let app = app_with(notifications::Config { mailbox_max: 2, ..quick() }).await;
    let (ben, root) = (app.member("ben").await, app.system_admin("root").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    let system = root.in_organization(OrganizationId::SYSTEM);
    for count in 1..=4 {
        app.clock().advance(std::time::Duration::from_secs(1));
        app.sign_in(&ben).await;
        while system.list_deliveries("state = SENT").await.unwrap().len() < count {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    while app.count("SELECT count(*) FROM notifications.mail").await > 2 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(root.mails("").await.unwrap().len(), 2);
    let rows: Vec<String> = sqlx::query_scalar("SELECT m::text || d::text FROM notifications.mail m, notifications.delivery d")
        .fetch_all(&mut app.sql().await)
        .await
        .unwrap();
    let hex: String = "ben@muster".bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(rows.iter().all(|row| !row.contains("ben@muster") && !row.contains(&hex)), "an address can be read in a table");
}
