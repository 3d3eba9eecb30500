use std::time::Duration;

use contract::identity::v1::{
    EmailChangeRequested, EmailChanged, Factor, FactorEnrolled, FactorRemoved, InvitationCreated, InvitationResent, Link, PasswordReset,
    PasswordResetRequested, RecoveryCodeUsed, RecoveryCodesRegenerated, ResolveRecipientResponse, Session, SessionRefreshReused,
    UserFactorsReset, UserRegistered,
};
use contract::notifications::v1::{AttemptOutcome as Outcome, DeliveryFailed, DeliverySent, DeliveryState as State, Mail};
use contract::time::timestamp;
use runtime::OrganizationId;
use testkit::{Actor, App};
use tonic::Code;

use crate::sink::{Mood, Sink};
use crate::verbs::{Reads, Sees, Tells, app_with, outcomes, quick, recipient};

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
async fn who_registers_gets_the_link_that_proves_the_address() {
    let sink = Sink::start(Mood::Takes).await;
    let app = app_with(sink.config()).await;
    let kim = app.user("kim");
    let told = contract::identity::v1::ResolveRecipientResponse {
        link_token: "mvt1_abc".to_owned(),
        link_expire_time: Some(contract::time::timestamp(app.now())),
        ..recipient(&kim)
    };
    app.authority().reach_with(kim.user_id, (Link::VerifyEmail, ""), Ok(told));
    app.tell(&kim, OrganizationId::SYSTEM, UserRegistered { user_id: kim.user_id.to_string(), after: None, mail_wanted: true }).await;
    app.system_admin("root").await.in_organization(OrganizationId::SYSTEM).once(State::Sent).await;
    let message = sink.messages().remove(0).replace("=3D", "=").replace("=\r\n", "");
    assert!(message.contains("http://127.0.0.1:8080/verify-email#token=mvt1_abc"), "{message}");
    assert!(message.contains("good until 2026-03-02 09:00 UTC"), "{message}");
    assert_eq!(app.count("SELECT count(*) FROM notifications.inbox_item").await, 0, "nobody can look into it yet");
}

#[tokio::test]
async fn who_forgot_a_password_gets_the_link_and_is_told_when_it_was_changed() {
    let app = app_with(quick()).await;
    let (kim, root) = (app.user("kim"), app.system_admin("root").await);
    let (password_reset_id, user_id) = (app.deps().ids.next().to_string(), kim.user_id.to_string());
    let link =
        ResolveRecipientResponse { link_token: "mpr1_abc".to_owned(), link_expire_time: Some(timestamp(app.now())), ..recipient(&kim) };
    app.authority().reach_with(kim.user_id, (Link::ResetPassword, &password_reset_id), Ok(link));
    app.authority().reach_with(kim.user_id, (Link::Unspecified, ""), Ok(recipient(&kim)));
    app.tell(&kim, OrganizationId::SYSTEM, PasswordResetRequested { password_reset_id, user_id: user_id.clone() }).await;
    root.in_organization(OrganizationId::SYSTEM).once(State::Sent).await;
    let mail = root.mail(&root.mails("template = reset_password").await.unwrap()[0].mail_id).await.unwrap();
    assert!(mail.text.contains("http://127.0.0.1:8080/reset-password#token=mpr1_abc"), "{}", mail.text);
    app.tell(&kim, OrganizationId::SYSTEM, PasswordReset { user_id, before: None, after: None }).await;
    assert_eq!(mailed(&root, "password_changed", 1).await[0].to, "kim@muster.example");
    assert_eq!(kim.titles("").await, ["Your password was changed"]);
}

#[tokio::test]
async fn who_changes_the_address_gets_the_link_and_the_former_address_is_told() {
    let app = app_with(quick()).await;
    let (kim, root) = (app.user("kim"), app.system_admin("root").await);
    let (user_id, email_change_id) = (kim.user_id.to_string(), app.deps().ids.next().to_string());
    let former = ResolveRecipientResponse { email: "kim@former.example".to_owned(), ..recipient(&kim) };
    let link =
        ResolveRecipientResponse { link_token: "mec1_abc".to_owned(), link_expire_time: Some(timestamp(app.now())), ..recipient(&kim) };
    app.authority().reach_with(kim.user_id, (Link::ChangeEmail, &email_change_id), Ok(link));
    app.authority().reach_with(kim.user_id, (Link::EmailChanged, &email_change_id), Ok(former));
    // Where any other mail goes from now on.
    app.authority().reach_with(kim.user_id, (Link::Unspecified, ""), Ok(recipient(&kim)));
    let asked = EmailChangeRequested { email_change_id: email_change_id.clone(), user_id: user_id.clone() };
    app.tell(&kim, OrganizationId::SYSTEM, asked).await;
    root.in_organization(OrganizationId::SYSTEM).once(State::Sent).await;
    let mail = root.mail(&root.mails("template = change_email").await.unwrap()[0].mail_id).await.unwrap();
    assert!(mail.text.contains("http://127.0.0.1:8080/change-email#token=mec1_abc"), "{}", mail.text);
    assert_eq!(mail.to, "kim@muster.example");
    app.tell(&kim, OrganizationId::SYSTEM, EmailChanged { email_change_id, user_id, before: None, after: None }).await;
    assert_eq!(mailed(&root, "email_changed", 1).await[0].to, "kim@former.example");
    assert_eq!(kim.titles("").await, ["Your address was changed"]);
}

/// The mails by a template, newest first, once there are `count`.
async fn mailed(root: &Actor, template: &str, count: usize) -> Vec<Mail> {
    let began = std::time::Instant::now();
    loop {
        let mails = root.mails(&format!("template = {template}")).await.unwrap();
        if mails.len() == count {
            return mails;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no {count} mails {template}: {mails:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn whose_session_was_ended_because_its_token_came_back_gets_a_mail_with_the_way_to_another_password() {
    let app = app_with(quick()).await;
    let (kim, root) = (app.user("kim"), app.system_admin("root").await);
    app.authority().reach_with(kim.user_id, (Link::Unspecified, ""), Ok(recipient(&kim)));
    let session_id = app.deps().ids.next().to_string();
    let after = Some(Session { session_id: session_id.clone(), user_id: kim.user_id.to_string(), ..Session::default() });
    app.tell(&kim, OrganizationId::SYSTEM, SessionRefreshReused { session_id, after, ..SessionRefreshReused::default() }).await;
    let mail = root.mail(&mailed(&root, "session_ended", 1).await[0].mail_id).await.unwrap();
    assert_eq!((&*mail.to, &*mail.subject), ("kim@muster.example", "One of your sessions was ended"));
    for part in ["Hello kim,", "its token was used twice", "http://127.0.0.1:8080/forgot-password"] {
        assert!(mail.text.contains(part) && mail.html.contains(part.split('/').next_back().unwrap()), "{part}: {}", mail.text);
    }
    assert_eq!(kim.titles("").await, ["One of your sessions was ended"]);
}

#[tokio::test]
async fn each_change_of_a_second_factor_is_mailed_to_its_owner_in_words_of_its_own() {
    let app = app_with(quick()).await;
    let (kim, root) = (app.user("kim"), app.system_admin("root").await);
    app.authority().reach_with(kim.user_id, (Link::Unspecified, ""), Ok(recipient(&kim)));
    let (factor_id, user_id) = (app.deps().ids.next().to_string(), kim.user_id.to_string());
    let factor = || Some(Factor { factor_id: factor_id.clone(), user_id: user_id.clone(), ..Factor::default() });
    let nowhere = OrganizationId::SYSTEM;
    app.tell(&kim, nowhere, FactorEnrolled { factor_id: factor_id.clone(), after: factor() }).await;
    app.tell(&kim, nowhere, RecoveryCodeUsed { user_id: user_id.clone(), recovery_codes_left: 9 }).await;
    app.tell(&kim, nowhere, RecoveryCodesRegenerated { user_id: user_id.clone() }).await;
    app.tell(&kim, nowhere, FactorRemoved { factor_id: factor_id.clone(), before: factor(), revocation: None }).await;
    app.tell(&root, nowhere, UserFactorsReset { user_id: user_id.clone(), factors: 1, revocation: None }).await;
    let mut texts = Vec::new();
    for mail in mailed(&root, "factor_changed", 5).await {
        assert_eq!((&*mail.to, &*mail.subject), ("kim@muster.example", "A change of how you sign in"));
        texts.push(root.mail(&mail.mail_id).await.unwrap().text);
    }
    for title in kim.titles("").await {
        assert_eq!(texts.iter().filter(|text| text.contains(&format!("{title} at 2026-"))).count(), 1, "{title}: {texts:?}");
        assert!(texts.iter().all(|text| text.contains("http://127.0.0.1:8080/factors")), "{texts:?}");
    }
    assert_eq!(kim.titles("").await.len(), 5);
}

#[tokio::test]
async fn who_registers_or_is_invited_again_within_the_cool_down_gets_no_second_mail() {
    let app = app_with(quick()).await;
    let (ana, kim, root) = (app.admin("ana").await, app.user("kim"), app.system_admin("root").await);
    let told = ResolveRecipientResponse { link_expire_time: Some(timestamp(app.now())), ..recipient(&kim) };
    app.authority().reach(kim.user_id, Ok(told));
    let registered = |mail_wanted| UserRegistered { user_id: kim.user_id.to_string(), after: None, mail_wanted };
    let invitation_id = app.deps().ids.next().to_string();
    app.tell(&ana, app.organization(), InvitationCreated { invitation_id, after: None, mail_wanted: false }).await;
    app.tell(&kim, OrganizationId::SYSTEM, registered(false)).await;
    app.tell(&kim, OrganizationId::SYSTEM, registered(true)).await;
    root.in_organization(OrganizationId::SYSTEM).once(State::Sent).await;
    assert_eq!(app.count("SELECT count(*) FROM notifications.delivery").await, 1);
}

#[tokio::test]
async fn who_is_invited_gets_the_link_that_joins_and_once_more_when_asked() {
    let app = app_with(quick()).await;
    let (ana, root) = (app.admin("ana").await, app.system_admin("root").await);
    let invitation_id = app.deps().ids.next().to_string();
    let told = ResolveRecipientResponse {
        email: "kim@muster.example".to_owned(),
        link_token: "inv1_abc".to_owned(),
        link_expire_time: Some(timestamp(app.now())),
        organization_display_name: "Acme <Inc>".to_owned(),
        ..ResolveRecipientResponse::default()
    };
    app.authority().reach_with(&invitation_id, (Link::AcceptInvitation, ""), Ok(told));
    app.tell(&ana, app.organization(), InvitationCreated { invitation_id: invitation_id.clone(), after: None, mail_wanted: true }).await;
    let sent = ana.once(State::Sent).await.delivery.unwrap();
    assert_eq!((&*sent.user_id, &sent.invitation_id), ("", &invitation_id));
    let mail = root.mail(&root.mails("to = \"kim@muster.example\"").await.unwrap()[0].mail_id).await.unwrap();
    assert!(mail.text.contains("http://127.0.0.1:8080/accept-invitation#token=inv1_abc"), "{}", mail.text);
    assert!(mail.html.contains("join Acme &lt;Inc&gt; on Muster") && mail.subject == "You are invited to Acme <Inc>");
    app.tell(&ana, app.organization(), InvitationResent { invitation_id, before: None, after: None }).await;
    while root.mails("template = invitation").await.unwrap().len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
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
