use std::time::Duration;

use contract::identity::v1::account_service_client::AccountServiceClient;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::{ImportOutcome, ImportUserResult, ImportedUser, RegisterUserRequest, UserRegistered, UserState};
use testkit::{App, assert_fault, fault::violated_fields};
use tonic::Request;

use crate::verbs::{Acts, Door, PASSWORD, Person, address, by_email, identity_with, request_id, with_root};

/// Everybody's password as other systems kept it.
const HASHES: [(&str, &str); 7] = [
    ("bcrypt", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.4c/Vz//sBM9XkyFmwsCP9HkrjK1U32S"),
    ("pbkdf2-sha256", "$pbkdf2-sha256$1000$c2FsdCBvZiBzaXh0ZWVuIQ$F1f9BwAtwbzZ7Ru7hl5C7lrSCj1e9TcAirr0SBjkPFE"),
    (
        "pbkdf2-sha512",
        "$pbkdf2-sha512$i=1000$c2FsdCBvZiBzaXh0ZWVuIQ$B+CSzmOMU9UmSaqsqefsjAraujvqZfAgQ0yrVQ3d6onlAUnl5sSZa2yjKt4+uuyrbDDvQwTrpL3uQxkrRRVpoA",
    ),
    ("scrypt", "$scrypt$ln=10,r=8,p=1$c2FsdCBvZiBzaXh0ZWVuIQ$SzUgJVamhxWZZ1qsE1mC9WWPg/esJ3L7UmeFKiZqb20"),
    // By the reference implementation, with two lanes and 24 bytes.
    ("argon2i", "$argon2i$v=16$m=64,t=2,p=2$c2FsdCBvZiBzaXh0ZWVuIQ$PMB3mOlTtepNaVrHR3XcQGWTau8ES+D1"),
    ("argon2d", "$argon2d$v=19$m=64,t=2,p=2$c2FsdCBvZiBzaXh0ZWVuIQ$JUCeYINDVeKiXcNhcn1jYv2sutP20uYY"),
    ("argon2id", "$argon2id$v=19$m=64,t=2,p=2$c2FsdCBvZiBzaXh0ZWVuIQ$UqyQdtibz1qnt18ynPuUlviOJlKLVmcs"),
];

async fn suite() -> (App, Person) {
    let app = identity_with(with_root()).await;
    let root = app.root().await;
    (app, root)
}

/// Somebody whose address was proved elsewhere.
fn person(name: &str, password_hash: &str) -> ImportedUser {
    let (display_name, password_hash) = (name.to_owned(), password_hash.to_owned());
    ImportedUser { email: address(name), email_proved: true, username: String::new(), display_name, password_hash }
}

fn outcomes(results: &[ImportUserResult]) -> Vec<ImportOutcome> {
    results.iter().map(ImportUserResult::outcome).collect()
}

async fn stored_hash(app: &App, user: &str) -> Vec<u8> {
    let hash = "SELECT password_hash FROM identity.user_account WHERE user_id = $1::uuid";
    sqlx::query_scalar(hash).bind(user).fetch_one(&mut app.sql().await).await.unwrap()
}

#[tokio::test]
async fn who_had_an_account_elsewhere_signs_in_with_the_same_password_and_is_hashed_anew_once() {
    let (app, root) = suite().await;
    let people = HASHES.iter().map(|(name, hash)| person(name, hash)).collect();
    let results = root.import_users(people, "").await.unwrap();
    assert_eq!(outcomes(&results), [ImportOutcome::Created; HASHES.len()]);
    for ((name, _), ImportUserResult { user_id, .. }) in HASHES.iter().zip(&results) {
        let imported = stored_hash(&app, user_id).await;
        assert_fault!(app.create_session(&address(name), "wrong").await, Unauthenticated, "SIGN_IN_REFUSED");
        assert_eq!(stored_hash(&app, user_id).await, imported, "only who knows the password replaces its hash");
        assert_eq!(app.sign_in(&address(name)).await.user_id.to_string(), *user_id);
        let ours = stored_hash(&app, user_id).await;
        assert_ne!(ours, imported);
        app.sign_in(&address(name)).await;
        assert_eq!(stored_hash(&app, user_id).await, ours, "once is enough");
    }
}

#[tokio::test]
async fn that_a_dear_hash_does_not_fit_a_short_call_is_paid_for_as_any_guess() {
    let (app, root) = suite().await;
    let dear = "$2b$14$CCCCCCCCCCCCCCCCCCCCC.4c/Vz//sBM9XkyFmwsCP9HkrjK1U32S";
    root.import_users(vec![person("dea", dear)], "").await.unwrap();
    let charged = async || -> i64 {
        let failures = "SELECT coalesce(max(failures), 0)::bigint FROM identity.auth_throttle WHERE scope = 2";
        sqlx::query_scalar(failures).fetch_one(&mut app.sql().await).await.unwrap()
    };
    for tried in 1..4 {
        let mut request = Request::new(by_email(&address("dea")));
        request.set_timeout(Duration::from_millis(400));
        let call = SessionServiceClient::new(app.anonymous().channel()).create_session(request).await;
        assert_fault!(call, ResourceExhausted, "HASHING_OVERLOADED");
        assert_eq!(charged().await, tried);
    }
}

#[tokio::test]
async fn each_row_has_its_result_and_one_that_can_not_be_stands_in_no_others_way() {
    let (app, root) = suite().await;
    app.verified("ana").await;
    let (_, hash) = HASHES[0];
    let named = |name: &str, username: &str| ImportedUser { username: username.to_owned(), ..person(name, hash) };
    let bomb = "$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
    let people = vec![
        person("ANA", hash),
        named("ben", "Prize"),
        named("cy", "prize"),
        named("dee", "admin"),
        named("eli", "\u{430}li"),
        person("fay", "5f4dcc3b5aa765d61d8327deb882cf99"),
        person("gil", bomb),
        person("Ben", hash),
        person("hal", hash),
    ];
    let results = root.import_users(people, "").await.unwrap();
    use ImportOutcome::{Created, EmailTaken, PasswordHashInvalid, UsernameInvalid, UsernameTaken};
    let expected = [
        EmailTaken,
        Created,
        UsernameTaken,
        UsernameInvalid,
        UsernameInvalid,
        PasswordHashInvalid,
        PasswordHashInvalid,
        EmailTaken,
        Created,
    ];
    assert_eq!(outcomes(&results), expected);
    assert!(results.iter().all(|result| result.user_id.is_empty() == (result.outcome() != Created)));
    app.sign_in(&address("ana")).await;
    app.sign_in(&address("hal")).await;
    let registered = app.events::<UserRegistered>().await;
    let made = registered.iter().filter(|event| results.iter().any(|result| result.user_id == event.user_id));
    assert!(made.map(|event| event.mail_wanted).eq([false, false]), "who proved the address elsewhere gets no mail");
}

#[tokio::test]
async fn an_address_that_was_not_proved_waits_for_its_proof_with_the_password_from_elsewhere() {
    let (app, root) = suite().await;
    let ana = ImportedUser { email_proved: false, ..person("ana", HASHES[0].1) };
    let results = root.import_users(vec![ana], "").await.unwrap();
    assert_fault!(app.create_session(&address("ana"), PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    assert!(app.events::<UserRegistered>().await.pop().unwrap().mail_wanted);
    let token = app.issue_verification_token(&results[0].user_id).await.unwrap();
    app.verify_email(&token, PASSWORD).await.unwrap();
    assert_eq!(app.sign_in(&address("ana")).await.get_user("").await.unwrap().state(), UserState::Active);
}

#[tokio::test]
async fn who_is_imported_gets_their_mail_though_strangers_filled_the_mailbox_and_gets_it_once() {
    let (app, root) = suite().await;
    for n in 0..12 {
        let (email, password, display_name) = (address("ana"), PASSWORD.to_owned(), "Ana".to_owned());
        let channel = app.service("gateway").channel().header("muster-client-address", &format!("203.0.113.{n}"));
        let stranger = RegisterUserRequest { email, password, display_name, ..Default::default() };
        AccountServiceClient::new(channel).register_user(stranger).await.unwrap();
    }
    let ana = ImportedUser { email_proved: false, ..person("ana", HASHES[0].1) };
    let results = root.import_users(vec![ana.clone(), ana], "").await.unwrap();
    let registered = app.events::<UserRegistered>().await;
    let wanted = |user: &str| registered.iter().find(|event| event.user_id == user).unwrap().mail_wanted;
    assert_eq!(registered.iter().filter(|event| event.mail_wanted).count(), 11, "the strangers' bound is used up");
    assert!(wanted(&results[0].user_id) && !wanted(&results[1].user_id));
}

#[tokio::test]
async fn a_repeat_under_its_id_has_the_same_answer_and_one_without_finds_the_address_taken() {
    let (_app, root) = suite().await;
    let people = || vec![person("ana", HASHES[0].1)];
    let first = root.import_users(people(), &request_id(1)).await.unwrap();
    assert_eq!(root.import_users(people(), &request_id(1)).await.unwrap(), first);
    assert_eq!(outcomes(&root.import_users(people(), "").await.unwrap()), [ImportOutcome::EmailTaken]);
}

#[tokio::test]
async fn of_imports_of_one_address_at_once_one_makes_the_account() {
    let (app, root) = suite().await;
    let answers = futures::future::join_all((0..8).map(|_| root.import_users(vec![person("ana", HASHES[0].1)], ""))).await;
    let created = answers.into_iter().flat_map(Result::unwrap).filter(|result| result.outcome() == ImportOutcome::Created).count();
    assert_eq!(created, 1);
    app.sign_in(&address("ana")).await;
}

#[tokio::test]
async fn system_admins_import_and_a_hundred_at_a_time() {
    let (app, root) = suite().await;
    let many: Vec<_> = (0..101).map(|n| person(&format!("p{n}"), HASHES[0].1)).collect();
    let refused = assert_fault!(root.import_users(many.clone(), "").await, InvalidArgument, "FIELD_VIOLATION");
    assert_eq!(violated_fields(&refused), ["users"]);
    let results = root.import_users(many[..100].to_vec(), "").await.unwrap();
    assert_eq!(outcomes(&results), [ImportOutcome::Created; 100]);
    let ana = app.person("ana").await;
    assert_fault!(ana.import_users(many[100..].to_vec(), "").await, PermissionDenied, "PERMISSION_DENIED");
}
