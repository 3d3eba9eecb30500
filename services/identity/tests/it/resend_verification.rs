use std::time::Duration;

use contract::identity::v1::resolve_recipient_request::Subject;
use contract::identity::v1::{Link, MailRequestMissed, ResendVerificationResponse, ResolveRecipientRequest, VerificationRequested};
use testkit::App;

use crate::verbs::{Door, NOTHING, PASSWORD, address, identity};

/// Whose registrations another mail was asked for so far, and how often an address had none.
async fn told(app: &App) -> (Vec<String>, usize) {
    let requested = app.events::<VerificationRequested>().await.into_iter().map(|event| event.user_id).collect();
    (requested, app.events::<MailRequestMissed>().await.len())
}

#[tokio::test]
async fn another_mail_proves_the_registration_of_who_asks_and_not_a_newer_one_of_a_stranger() {
    let app = identity().await;
    let anas = app.register_user(&address("ana"), PASSWORD, "Ana").await.unwrap().registration_id;
    app.register_user(&address("ana"), "the password of eve", "Eve").await.unwrap();
    app.clock().advance(Duration::from_mins(1));
    app.resend_verification("Ana@Example.com", &anas).await.unwrap();
    assert_eq!(told(&app).await, (vec![anas.clone()], 0));
    let link = Link::VerifyEmail.into();
    let reached = app
        .resolve_recipient(ResolveRecipientRequest { subject: Some(Subject::UserId(anas.clone())), link, ..Default::default() })
        .await
        .unwrap();
    assert_eq!(app.verify_email(&reached.link_token, PASSWORD).await.unwrap(), anas);
}

#[tokio::test]
async fn a_registration_of_another_address_and_one_of_an_address_that_is_somebodys_by_now_are_none() {
    let app = identity().await;
    let (anas, bens) = (app.pending("ana").await.to_string(), app.pending("ben").await.to_string());
    app.verified("ana").await;
    app.clock().advance(Duration::from_mins(1));
    for (name, registration_id) in [("ana", &anas), ("ben", &anas), ("nobody", &bens)] {
        app.resend_verification(&address(name), registration_id).await.unwrap();
    }
    assert_eq!(told(&app).await, (vec![], 3));
}

#[tokio::test]
async fn an_address_with_nothing_to_prove_gets_the_same_answer_after_the_same_commit() {
    let app = identity().await;
    let (ana, ben) = (app.verified("ana").await.to_string(), app.pending("ben").await.to_string());
    app.clock().advance(Duration::from_mins(1));
    let before = app.emitted().await.len();
    for (name, id, events) in [("ana", ana.as_str(), 1), ("ben", &ben, 2), ("nobody", NOTHING, 3)] {
        assert_eq!(app.resend_verification(&address(name), id).await.unwrap(), ResendVerificationResponse {}, "{name}");
        assert_eq!(app.emitted().await.len(), before + events, "{name}: one event each");
    }
    let (requested, missed) = told(&app).await;
    assert_eq!((requested.len(), missed), (1, 2));
}

#[tokio::test]
async fn within_a_minute_an_address_is_asked_for_once_whether_or_not_it_is_somebodys() {
    let app = identity().await;
    let ana = app.pending("ana").await.to_string();
    app.clock().advance(Duration::from_mins(1));
    for _ in 0..3 {
        app.resend_verification(&address("ana"), &ana).await.unwrap();
        app.resend_verification(&address("nobody"), NOTHING).await.unwrap();
        app.clock().advance(Duration::from_secs(19));
    }
    assert_eq!((told(&app).await.0.len(), told(&app).await.1), (1, 1));
    app.clock().advance(Duration::from_secs(3));
    app.resend_verification(&address("ana"), &ana).await.unwrap();
    app.resend_verification(&address("nobody"), NOTHING).await.unwrap();
    assert_eq!((told(&app).await.0.len(), told(&app).await.1), (2, 2));
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_causes_a_mail() {
    let app = identity().await;
    let ana = app.pending("ana").await.to_string();
    app.clock().advance(Duration::from_mins(1));
    let email = address("ana");
    for answer in futures::future::join_all((0..8).map(|_| app.resend_verification(&email, &ana))).await {
        answer.unwrap();
    }
    assert_eq!(told(&app).await.0.len(), 1);
}

#[tokio::test]
async fn what_was_asked_for_is_forgotten_once_no_cool_down_lasts() {
    let app = identity().await;
    app.resend_verification(&address("nobody"), NOTHING).await.unwrap();
    let noted =
        async || -> i64 { sqlx::query_scalar("SELECT count(*) FROM identity.mail_request").fetch_one(&mut app.sql().await).await.unwrap() };
    app.clock().advance(Duration::from_secs(3_600));
    app.retention_round().await;
    assert_eq!(noted().await, 2, "of who asked, and of all");
    app.clock().advance(Duration::from_secs(1));
    app.retention_round().await;
    assert_eq!(noted().await, 1, "what all asked for is noted a cool-down ahead");
    app.clock().advance(Duration::from_mins(1));
    app.retention_round().await;
    assert_eq!(noted().await, 0);
}
