//! Mails about an account, by what identity tells: who gets them, where to, with which link.

use std::time::Duration;

use contract::identity::v1::{
    EmailChangeRequested, EmailChanged, Factor, FactorEnrolled, FactorRemoved, InvitationCreated, InvitationResent, Link, PasswordReset,
    PasswordResetRequested, RecoveryCodeUsed, RecoveryCodesRegenerated, ResolveRecipientResponse, Session, SessionRefreshReused,
    UserFactorsReset, UserRegistered,
};
use contract::notifications::v1::{DeliveryState as State, Mail};
use contract::time::timestamp;
use runtime::OrganizationId;
use testkit::Actor;

use crate::sink::{Mood, Sink};
use crate::verbs::{Reads, Sees, Tells, app_with, quick, recipient};

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
