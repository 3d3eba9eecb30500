//! What a stranger could tell by whether an address or a username is somebody's: the bytes of an answer, and the work that it takes.
//!
//! Times are compared by `muster bench`. Here the work is counted: statements that a call waits for, and passwords that are hashed.

use std::time::Duration;

use contract::identity::v1::account_service_client::AccountServiceClient;
use contract::identity::v1::create_session_request::Identifier;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::{CreateSessionRequest, RegisterUserRequest, RequestPasswordResetRequest, ResendVerificationRequest};
use identity::hashing::{Hashing, Pepper};
use identity::sealed::Sealed;
use identity::throttle::Throttle;
use identity::user::links::Links;
use identity::user::ops::{NewUser, Ops};
use runtime::OrganizationId;
use testkit::{App, Channel, fault};
use tonic::metadata::MetadataMap;
use tonic::{Code, Response};

use crate::round_trips::quiet;
use crate::verbs::{Acts, Door, NOTHING, PASSWORD, address, identity, quick};

/// Who is there, who waits for the proof of an address, and who is not: each has, or would have, a username of that name.
const PEOPLE: [&str; 3] = ["ana", "ben", "nobody"];

/// Ana, who is there, and ben, who waits; the id of ben's registration.
async fn people(app: &App) -> String {
    app.person("ana").await.set_username("ana").await.unwrap();
    let waiting = app.register_as("ben", "ben").await.unwrap().registration_id;
    // So that nobody's mail is held up.
    app.clock().advance(Duration::from_mins(1));
    waiting
}

/// How many round trips `call` makes, be it answered or refused.
async fn trips<T>(app: &App, call: impl Future<Output = T>) -> u64 {
    let before = app.deps().db.round_trips();
    call.await;
    app.deps().db.round_trips() - before
}

fn assert_alike<T: PartialEq + std::fmt::Debug>(what: &str, of_people: &[T]) {
    assert_eq!(of_people.len(), PEOPLE.len());
    assert!(of_people.iter().all(|one| *one == of_people[0]), "{what}: {of_people:#?}");
}

#[tokio::test]
async fn whoever_is_there_each_way_in_waits_as_often_for_the_database() {
    let app = quiet().await;
    let waiting = people(&app).await;
    let mut costs: [Vec<u64>; 5] = Default::default();
    for name in PEOPLE {
        let (email, named) = (address(name), Identifier::Username(name.to_owned()));
        costs[0].push(trips(&app, app.create_session(&email, "wrong")).await);
        costs[1].push(trips(&app, app.create_session_as(named, "wrong")).await);
        costs[2].push(trips(&app, app.request_password_reset(&email)).await);
        costs[3].push(trips(&app, app.resend_verification(&email, if name == "ben" { &waiting } else { NOTHING })).await);
        costs[4].push(trips(&app, app.register_user(&email, PASSWORD, name)).await);
    }
    for (what, costs) in ["sign-in by address", "sign-in by username", "reset", "resend", "registration"].iter().zip(costs) {
        assert!(costs[0] > 0, "{what} is counted");
        assert_alike(what, &costs);
    }
}

#[tokio::test]
async fn whosever_an_address_is_its_registration_hashes_one_password() {
    let app = identity().await;
    people(&app).await;
    let mut costs = Vec::new();
    for name in PEOPLE {
        costs.push(registration(&app, name).await);
    }
    assert_eq!(costs, [1; 3]);
}

/// How many passwords are hashed for a registration of the address of `name`.
async fn registration(app: &App, name: &str) -> u64 {
    let (db, config) = (app.deps().db.clone(), quick());
    let hashing = Hashing::start(config.hashing.cost(), 1, 8, Pepper::none()).unwrap();
    let accounts = Ops {
        sealed: Sealed::new(db.sealer().clone()),
        hashing: hashing.clone(),
        links: Links::new(&config, db.sealer()),
        throttle: Throttle::new(db.clone(), config.throttle),
        history: 0,
        db,
    };
    let new = NewUser { email: address(name), password: PASSWORD.into(), display_name: name.to_owned(), username: None };
    let caller = rpc::Caller::background(identity::NAME, OrganizationId::SYSTEM, None);
    accounts.register(&caller, new).await.unwrap();
    hashing.done()
}

/// A caller whose calls have one id, whatever they are: nothing else of an answer but the time of day may differ.
fn one_call(app: &App) -> Channel {
    app.anonymous().channel().header("x-request-id", "01890a5d-ac96-774b-bcce-b302099a8058")
}

/// `metadata` but for the time of day.
fn headers(metadata: &MetadataMap) -> Vec<String> {
    let all = metadata.clone().into_headers();
    let mut told: Vec<String> = all.iter().filter(|(name, _)| *name != "date").map(|(name, value)| format!("{name}: {value:?}")).collect();
    told.sort();
    told
}

/// Everything of the refusal of a sign-in: its details are those bytes that came.
async fn refusal(app: &App, identifier: &Identifier) -> (String, (Code, String, Vec<u8>, Vec<String>)) {
    let request = CreateSessionRequest { identifier: Some(identifier.clone()), password: "wrong".to_owned(), device_token: String::new() };
    let refused = SessionServiceClient::new(one_call(app)).create_session(request).await.unwrap_err();
    let all = (refused.code(), refused.message().to_owned(), refused.details().to_vec(), headers(refused.metadata()));
    (fault::reason(&refused), all)
}

#[tokio::test]
async fn a_sign_in_that_is_refused_or_has_to_wait_says_the_same_byte_for_byte() {
    let app = identity().await;
    people(&app).await;
    let mut refusals: [Vec<_>; 2] = Default::default();
    for name in PEOPLE {
        for identifier in [Identifier::Email(address(name)), Identifier::Username(name.to_owned())] {
            for attempt in 1..=12 {
                let (reason, refusal) = refusal(&app, &identifier).await;
                assert_eq!(reason, if attempt == 12 { "SIGN_IN_THROTTLED" } else { "SIGN_IN_REFUSED" }, "{identifier:?}");
                refusals[usize::from(attempt == 12)].push(refusal);
            }
        }
    }
    for same in refusals {
        assert!(same[0].2.len() > 40 && same.iter().all(|one| *one == same[0]), "{same:#?}");
    }
}

/// Everything of an answer, with `of` its message.
fn answered<T, U>(answer: &Response<T>, of: impl Fn(&T) -> U) -> (Vec<String>, U) {
    (headers(answer.metadata()), of(answer.get_ref()))
}

#[tokio::test]
async fn what_is_asked_for_in_the_name_of_an_address_is_answered_the_same_byte_for_byte() {
    let app = identity().await;
    let waiting = people(&app).await;
    let mut accounts = AccountServiceClient::new(one_call(&app));
    let (mut resets, mut resent, mut registered) = (Vec::new(), Vec::new(), Vec::new());
    for name in PEOPLE {
        let (email, registration_id) = (address(name), if name == "ben" { waiting.clone() } else { NOTHING.to_owned() });
        let reset = RequestPasswordResetRequest { email: email.clone() };
        resets.push(answered(&accounts.request_password_reset(reset).await.unwrap(), Clone::clone));
        let again = ResendVerificationRequest { email: email.clone(), registration_id };
        resent.push(answered(&accounts.resend_verification(again).await.unwrap(), Clone::clone));
        let request = RegisterUserRequest { email, password: PASSWORD.to_owned(), display_name: name.to_owned(), ..Default::default() };
        // An id is another one each time.
        registered.push(answered(&accounts.register_user(request).await.unwrap(), |answer| answer.registration_id.len()));
    }
    assert_alike("reset", &resets);
    assert_alike("resend", &resent);
    assert_alike("registration", &registered);
}
