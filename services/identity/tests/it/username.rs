use contract::identity::v1::create_session_request::Identifier;
use contract::identity::v1::{SignInFailed, UserState, UsernameChanged};
use testkit::{App, assert_fault, fault, fault::violated_fields};
use tonic::Status;

use crate::verbs::{Acts, Door, PASSWORD, Person, address, identity, identity_with, with_root};

/// A sign-in by username; the user's id.
async fn by_name(app: &App, username: &str, password: &str) -> Result<String, Status> {
    let answer = app.create_session_as(Identifier::Username(username.to_owned()), password).await?;
    Ok(answer.session.unwrap().user_id)
}

/// Somebody who has the username.
async fn named(app: &App, name: &str) -> Person {
    let person = app.person(name).await;
    person.set_username(name).await.unwrap();
    person
}

/// Proves the address of the newest registration.
async fn prove(app: &App) {
    let newest = "SELECT user_id::text FROM identity.user_account ORDER BY user_id DESC LIMIT 1";
    let user: String = sqlx::query_scalar(newest).fetch_one(&mut app.sql().await).await.unwrap();
    let token = app.issue_verification_token(&user).await.unwrap();
    assert_eq!(app.verify_email(&token, PASSWORD).await.unwrap(), user);
}

#[tokio::test]
async fn a_username_signs_in_in_any_case_beside_the_address_until_it_is_given_up() {
    let app = identity().await;
    let ana = app.person("ana").await;
    assert_eq!(ana.set_username("Ana.Lovelace").await.unwrap().username, "ana.lovelace");
    for name in ["ana.lovelace", "ANA.Lovelace"] {
        assert_eq!(by_name(&app, name, PASSWORD).await.unwrap(), ana.user_id.to_string());
    }
    app.create_session(&address("ana"), PASSWORD).await.unwrap();
    ana.set_username("ada").await.unwrap();
    assert_fault!(by_name(&app, "ana.lovelace", PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    by_name(&app, "ada", PASSWORD).await.unwrap();
    assert_eq!(ana.set_username("").await.unwrap().username, "");
    assert_fault!(by_name(&app, "ada", PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    let changes = app.events::<UsernameChanged>().await;
    assert_eq!(changes.len(), 3);
    assert!(changes.iter().all(|change| change.after.as_ref().unwrap().username.is_empty()), "the log names nobody");
}

#[tokio::test]
async fn setting_the_same_name_again_changes_nothing_and_a_sign_in_under_way_goes_on() {
    let app = identity().await;
    let ana = named(&app, "ana").await;
    let before = ana.get_user("").await.unwrap();
    assert_eq!(ana.set_username("ANA").await.unwrap(), before);
    assert_eq!(app.events::<UsernameChanged>().await.len(), 1);
}

#[tokio::test]
async fn whatever_is_wrong_a_sign_in_by_username_is_refused_in_the_same_words_after_the_same_work() {
    let app = identity().await;
    let ana = named(&app, "ana").await;
    app.register_as("ben", "ben").await.unwrap();
    let mut refusals = Vec::new();
    for (name, password) in [("nobody", PASSWORD), ("ana", "wrong"), ("ben", PASSWORD), ("no name at all \u{430}", PASSWORD)] {
        let refused = assert_fault!(by_name(&app, name, password).await, Unauthenticated, "SIGN_IN_REFUSED");
        refusals.push((refused.message().to_owned(), fault::reason(&refused), fault::domain(&refused)));
    }
    let by_address = assert_fault!(app.create_session("nobody@example.com", PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    refusals.push((by_address.message().to_owned(), fault::reason(&by_address), fault::domain(&by_address)));
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    let failed = app.events::<SignInFailed>().await;
    assert_eq!(failed.len(), refusals.len(), "one commit with one event each");
    assert_eq!(failed[1].user_id, ana.user_id.to_string());
    assert!(failed.iter().all(|event| event.subject_key.len() == 64), "the index alone: a password may be typed there");
}

#[tokio::test]
async fn an_unknown_username_costs_a_hash_as_a_known_one_does() {
    let app = identity().await;
    named(&app, "ana").await;
    for name in ["ana", "nobody"] {
        assert_eq!(crate::sign_in::hashes(&app, name).await, 1, "{name}");
    }
}

#[tokio::test]
async fn of_thirty_two_who_want_one_name_at_once_one_gets_it() {
    let app = identity().await;
    let mut people = Vec::new();
    for number in 0..8 {
        people.push(app.person(&format!("p{number}")).await);
    }
    let wanted = (0..32).map(|n| people[n % 8].set_username(if n / 8 % 2 == 0 { "prize" } else { "PRIZE" }));
    let answers = futures::future::join_all(wanted).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), refused.len()), (4, 28), "the winner's repeats are no conflict");
    for answer in refused {
        assert_fault!(answer, AlreadyExists, "USERNAME_TAKEN");
    }
    let winners = "SELECT count(*) FROM identity.user_account WHERE username_index IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(winners).fetch_one(&mut app.sql().await).await.unwrap(), 1);
    assert_eq!(app.events::<UsernameChanged>().await.len(), 1);
}

#[tokio::test]
async fn a_registration_asks_for_a_name_and_has_it_once_its_address_is_proved() {
    let app = identity().await;
    app.register_as("ana", "Ana").await.unwrap();
    assert_fault!(by_name(&app, "ana", PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    prove(&app).await;
    let ana = by_name(&app, "ana", PASSWORD).await.unwrap();
    assert_eq!(app.sign_in(&address("ana")).await.user_id.to_string(), ana);
    assert_fault!(app.register_as("ben", "ANA").await, AlreadyExists, "USERNAME_TAKEN");
}

#[tokio::test]
async fn a_name_says_nothing_about_whose_an_address_is() {
    let app = identity().await;
    app.verified("ana").await;
    // A registration of ana's address leaves no trace, one of nobody's leaves a row; the name is as free after the one as after the other.
    for name in ["ana", "nobody"] {
        for _ in 0..2 {
            assert_eq!(app.register_as(name, "prize").await.unwrap().registration_id.len(), 36, "{name}");
        }
    }
    app.verified("ben").await;
    app.sign_in(&address("ben")).await.set_username("prize").await.unwrap();
    for name in ["ana", "nobody"] {
        assert_fault!(app.register_as(name, "prize").await, AlreadyExists, "USERNAME_TAKEN");
    }
}

#[tokio::test]
async fn who_proves_an_address_after_the_name_was_taken_has_an_account_without_one() {
    let app = identity().await;
    named(&app, "ben").await.set_username("other").await.unwrap();
    app.register_as("ana", "prize").await.unwrap();
    let ana = app.sign_in(&address("ben")).await;
    ana.set_username("prize").await.unwrap();
    prove(&app).await;
    let user = app.sign_in(&address("ana")).await.get_user("").await.unwrap();
    assert_eq!((user.state(), user.username.as_str()), (UserState::Active, ""));
}

#[tokio::test]
async fn a_name_that_can_be_none_is_refused_with_its_field() {
    let app = identity().await;
    let ana = app.person("ana").await;
    for name in ["an", "9ana", "ana b", "ana@example.com", "an\u{430}", "\u{ff41}na", "ana\u{202e}", "ana\0", &"a".repeat(33)] {
        let refused = assert_fault!(ana.set_username(name).await, InvalidArgument, "FIELD_VIOLATION");
        assert!(violated_fields(&refused).contains(&"username".to_owned()), "{name:?}");
    }
    let refused = assert_fault!(ana.set_username("Admin").await, InvalidArgument, "USERNAME_RESERVED");
    assert_eq!(violated_fields(&refused), ["username"]);
    assert_fault!(app.register_as("ben", "root").await, InvalidArgument, "USERNAME_RESERVED");
}

#[tokio::test]
async fn neither_both_identifiers_nor_none() {
    let app = identity().await;
    let request =
        contract::identity::v1::CreateSessionRequest { identifier: None, password: PASSWORD.to_owned(), device_token: String::new() };
    let client = contract::identity::v1::session_service_client::SessionServiceClient::new;
    let refused = client(app.anonymous().channel()).create_session(request).await;
    assert_eq!(violated_fields(&assert_fault!(refused, InvalidArgument, "FIELD_VIOLATION")), ["identifier"]);
}

#[tokio::test]
async fn an_admin_finds_an_account_by_the_whole_of_its_username() {
    let app = identity_with(with_root()).await;
    named(&app, "ana").await;
    let root = app.root().await;
    let found = async |filter: &str| root.list_users(filter, 0, "").await.unwrap().users.len();
    assert_eq!((found("username = \"ANA\"").await, found("username = \"an\"").await), (1, 0));
    assert_fault!(root.list_users("username : \"an\"", 0, "").await, InvalidArgument, "FILTER_INVALID");
}
