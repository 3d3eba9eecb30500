use contract::notifications::v1::preference_service_client::PreferenceServiceClient;
use contract::notifications::v1::{
    Category, Channel, DeliveryState as State, GetPreferencesRequest, Preference, PreferencesUpdated, UpdatePreferencesRequest,
};
use testkit::{Actor, assert_fault};
use tonic::Status;

use crate::verbs::{Reads, Sees, Tells, app, app_with, item, quick, recipient};

async fn preferences(who: &Actor) -> Vec<Preference> {
    let answer = PreferenceServiceClient::new(who.channel()).get_preferences(GetPreferencesRequest {}).await.unwrap();
    answer.into_inner().preferences.unwrap().preferences
}

async fn choose(who: &Actor, choices: &[(Category, Channel, bool)]) -> Result<Vec<Preference>, Status> {
    let entry = |(category, channel, enabled): &(Category, Channel, bool)| Preference {
        category: (*category).into(),
        channel: (*channel).into(),
        enabled: *enabled,
        mandatory: false,
    };
    let request = UpdatePreferencesRequest { preferences: choices.iter().map(entry).collect() };
    let answer = PreferenceServiceClient::new(who.channel()).update_preferences(request).await?;
    Ok(answer.into_inner().preferences.unwrap().preferences)
}

fn is_on(all: &[Preference], category: Category, channel: Channel) -> bool {
    all.iter().any(|entry| entry.category() == category && entry.channel() == channel && entry.enabled)
}

#[tokio::test]
async fn everything_is_on_at_first_but_mail_of_what_only_went_on() {
    let app = app().await;
    let all = preferences(&app.member("ben").await).await;
    let off: Vec<_> = all.iter().filter(|entry| !entry.enabled).map(|entry| (entry.category(), entry.channel())).collect();
    assert_eq!((all.len(), off), (8, vec![(Category::Status, Channel::Email)]));
    let mandatory: Vec<_> = all.iter().filter(|entry| entry.mandatory).map(Preference::category).collect();
    assert_eq!(mandatory, [Category::Security, Category::Security, Category::Account, Category::Account]);
}

#[tokio::test]
async fn a_choice_is_kept_for_its_person_alone_in_every_organization_and_told_once() {
    let app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    let before = preferences(&ben).await;
    let after = choose(&ben, &[(Category::Assignment, Channel::Email, false)]).await.unwrap();
    assert_eq!(choose(&ben, &[(Category::Assignment, Channel::Email, false)]).await.unwrap(), after);
    let elsewhere = ben.in_organization(app.outsider("eve").await.organization_id);
    assert_eq!((preferences(&elsewhere).await, preferences(&ana).await), (after.clone(), before.clone()));
    let told = app.events::<PreferencesUpdated>().await;
    assert_eq!((told.len(), &told[0].user_id), (1, &ben.user_id.to_string()));
    assert_eq!(told[0].before.as_ref().map(|all| &all.preferences), Some(&before));
    assert_eq!(told[0].after.as_ref().map(|all| &all.preferences), Some(&after));
}

#[tokio::test]
async fn what_protects_an_account_can_not_be_turned_off_and_nothing_else_changes_with_it() {
    let app = app().await;
    let ben = app.member("ben").await;
    for category in [Category::Security, Category::Account] {
        let choices = [(Category::Status, Channel::Email, true), (category, Channel::Email, false)];
        assert_fault!(choose(&ben, &choices).await, FailedPrecondition, "CATEGORY_MANDATORY");
    }
    assert!(!is_on(&preferences(&ben).await, Category::Status, Channel::Email));
    choose(&ben, &[(Category::Security, Channel::Email, true)]).await.unwrap();
    assert_eq!(app.events::<PreferencesUpdated>().await, []);
}

#[tokio::test]
async fn two_changes_at_once_are_both_made() {
    let app = app().await;
    let ben = app.member("ben").await;
    let one = [(Category::Assignment, Channel::Email, false)];
    let other = [(Category::Status, Channel::Email, true)];
    let (one, other) = tokio::join!(choose(&ben, &one), choose(&ben, &other));
    one.unwrap();
    other.unwrap();
    let all = preferences(&ben).await;
    assert!(!is_on(&all, Category::Assignment, Channel::Email) && is_on(&all, Category::Status, Channel::Email));
    let told = app.events::<PreferencesUpdated>().await;
    assert_eq!(told[0].after, told[1].before, "each was told on top of the other");
}

#[tokio::test]
async fn who_wants_no_mail_gets_the_item_alone_and_who_wants_no_item_the_mail() {
    let app = app_with(quick()).await;
    let (ana, ben, cleo) = (app.admin("ana").await, app.member("ben").await, app.member("cleo").await);
    for actor in [&ben, &cleo] {
        app.authority().reach(actor.user_id, Ok(recipient(actor)));
    }
    choose(&ben, &[(Category::Assignment, Channel::Email, false)]).await.unwrap();
    choose(&cleo, &[(Category::Assignment, Channel::InApp, false)]).await.unwrap();
    app.assign_items(&ana, &ben, &["A-1"]).await;
    app.assign_items(&ana, &cleo, &["A-2"]).await;
    assert_eq!((ben.unread().await, cleo.unread().await), (1, 0));
    assert_eq!(ana.once(State::Sent).await.delivery.unwrap().user_id, cleo.user_id.to_string());
}

#[tokio::test]
async fn who_wants_mail_of_what_went_on_gets_it() {
    let app = app_with(quick()).await;
    let (ana, ben, root) = (app.admin("ana").await, app.member("ben").await, app.system_admin("root").await);
    app.authority().reach(ben.user_id, Ok(recipient(&ben)));
    choose(&ben, &[(Category::Status, Channel::Email, true)]).await.unwrap();
    app.begin(&ana, item(&app, "ACME-1", &[&ben], &ana)).await;
    ana.once(State::Sent).await;
    let mail = root.mails("").await.unwrap().remove(0);
    assert_eq!(mail.subject, "ACME-1 went from not started to in progress: light the fuse");
}
