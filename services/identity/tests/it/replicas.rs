//! Three replicas on one database: what one of them is told holds at all.

use contract::BaseRole;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::*;
use identity::Config;
use runtime::OrganizationId;
use testkit::{Actor, App, assert_fault, fault};
use tonic::Status;

use crate::verbs::{Acts, Door, Factors, Waits, address, by_email, claims, identity, identity_with, key_of, until, with_root};

/// `who` at each of three replicas.
async fn at_three(app: &App, who: &Actor) -> [Actor; 3] {
    let (second, third) = (app.replica().await, app.replica().await);
    [who.clone(), who.at(&second), who.at(&third)]
}

async fn refreshed(at: &Actor, token: &str) -> Result<TokenPair, Status> {
    let request = RefreshSessionRequest { refresh_token: token.to_owned() };
    let answer = SessionServiceClient::new(at.with_token("").channel()).refresh_session(request).await?;
    Ok(answer.into_inner().tokens.unwrap())
}

#[tokio::test]
async fn a_policy_that_one_replica_is_told_of_is_kept_by_all() {
    let app = identity().await;
    let acme = app.founded(&app.guarded("ana").await.person, "acme").await;
    let person = app.person("ben").await;
    acme.add_member(person.user_id, BaseRole::Member).await.unwrap();
    person.entering(acme.organization_id).await;
    let [first, second, third] = at_three(&app, &person).await;
    acme.require_mfa(Some(app.now())).await.unwrap();
    for ben in [&first, &second, &third] {
        assert_fault!(ben.switch_context(acme.organization_id, None).await, FailedPrecondition, "FACTOR_ENROLLMENT_REQUIRED");
    }
    let outside = refreshed(&second, &person.tokens.refresh_token).await.unwrap();
    assert_eq!(claims(&outside.access_token)["org"], OrganizationId::SYSTEM.to_string());
    let again = refreshed(&third, &outside.refresh_token).await.unwrap();
    acme.require_mfa(None).await.unwrap();
    third.with_token(&again.access_token).switch_context(acme.organization_id, None).await.unwrap();
}

/// Refreshes as a client does: who is told that somebody else is at it comes again.
async fn refreshed_in_turn(at: &Actor, token: &str) -> Result<TokenPair, Status> {
    loop {
        match refreshed(at, token).await {
            Err(status) if fault::reason(&status) == "CONFLICT" => {}
            outcome => return outcome,
        }
    }
}

#[tokio::test]
async fn one_refresh_token_at_three_replicas_at_once_has_one_successor() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let replicas = at_three(&app, &ana).await;
    let mut token = ana.tokens.refresh_token.clone();
    for generation in 2..5 {
        let calls = replicas.iter().cycle().take(30).map(|at| refreshed_in_turn(at, &token));
        let successors: Vec<String> =
            futures::future::join_all(calls).await.into_iter().map(|answer| answer.unwrap().refresh_token).collect();
        assert!(successors.iter().all(|successor| *successor == successors[0]));
        let stored: i64 = sqlx::query_scalar("SELECT generation FROM identity.session").fetch_one(&mut app.sql().await).await.unwrap();
        assert_eq!(stored, generation, "one of them moved the session on");
        token = successors[0].clone();
    }
    let calls = replicas.iter().cycle().take(30).map(|at| refreshed_in_turn(at, &ana.tokens.refresh_token));
    for answer in futures::future::join_all(calls).await {
        let reason = fault::reason(&answer.unwrap_err());
        assert!(["REFRESH_TOKEN_REUSED", "REFRESH_TOKEN_INVALID"].contains(&reason.as_str()), "{reason}");
    }
    assert_eq!(app.events::<SessionRefreshReused>().await.len(), 1, "one of them ended it");
    assert_fault!(refreshed(&replicas[2], &token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
}

#[tokio::test]
async fn a_session_that_one_replica_ended_is_refused_by_all() {
    let app = identity().await;
    let (ana, ben) = (app.person("ana").await, app.person("ben").await);
    let [first, second, third] = at_three(&app, &ana).await;
    for replica in [&first, &second, &third] {
        replica.get_user("").await.unwrap();
    }
    second.revoke_session("").await.unwrap();
    for replica in [&first, &second, &third] {
        assert_fault!(refreshed(replica, &ana.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
        until("the access token is refused", async || replica.get_user("").await.is_err()).await;
        assert_fault!(replica.get_user("").await, Unauthenticated, "TOKEN_REVOKED");
    }
    ben.get_user("").await.unwrap();
}

#[tokio::test]
async fn a_code_at_three_replicas_at_once_opens_one_session() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let replicas = at_three(&app, &app.anonymous()).await;
    let mut challenges = Vec::new();
    for _ in 0..6 {
        challenges.push(app.challenge("ana").await);
    }
    let code = app.code_of(&ana);
    let calls = challenges.iter().zip(replicas.iter().cycle()).map(|(challenge, at)| {
        let code = Some(continue_session_request::Code::TotpCode(code.clone()));
        let request = ContinueSessionRequest { challenge_token: challenge.challenge_token.clone(), code };
        async move { SessionServiceClient::new(at.channel()).continue_session(request).await }
    });
    let answers = futures::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refused in answers.into_iter().filter_map(Result::err) {
        assert_eq!(fault::reason(&refused), "FACTOR_CODE_REFUSED");
    }
    assert_eq!(ana.list_sessions().await.unwrap().len(), 2, "that of the enrolment, and one more");
}

#[tokio::test]
async fn of_many_wrong_passwords_at_three_replicas_at_once_one_replicas_share_is_looked_at() {
    let app = identity().await;
    app.verified("ana").await;
    let replicas = at_three(&app, &app.anonymous()).await;
    let wrong = CreateSessionRequest { password: "wrong".to_owned(), ..by_email(&address("ana")) };
    let calls = (0..60).map(|number: usize| {
        let (channel, request) = (replicas[number % 3].channel(), wrong.clone());
        async move { fault::reason(&SessionServiceClient::new(channel).create_session(request).await.unwrap_err()) }
    });
    let reasons = futures::future::join_all(calls).await;
    let count = |wanted: &str| reasons.iter().filter(|reason| *reason == wanted).count();
    // Ten are free, and the first that is to be followed by a wait.
    assert_eq!((count("SIGN_IN_REFUSED"), count("SIGN_IN_THROTTLED")), (11, 49), "{reasons:?}");
    assert_eq!((app.events::<SignInFailed>().await.len(), app.events::<SignInThrottled>().await.len()), (11, 1));
    for at in &replicas {
        let right = SessionServiceClient::new(at.channel()).create_session(by_email(&address("ana"))).await;
        assert_fault!(right, ResourceExhausted, "SIGN_IN_THROTTLED");
    }
}

#[tokio::test]
async fn in_an_emergency_every_replica_signs_by_the_next_key_and_refuses_what_the_former_signed() {
    // So seldom that it is not the look by time that finds out.
    let app = identity_with(Config { key_poll_seconds: 60, ..with_root() }).await;
    let ana = app.person("ana").await;
    let replicas = at_three(&app, &ana).await;
    for replica in &replicas {
        replica.get_user("").await.unwrap();
    }
    let active = app.root().await.rotate_in_emergency().await.unwrap();
    for replica in &replicas {
        until("the token is refused", async || replica.get_user("").await.is_err()).await;
        assert_fault!(replica.get_user("").await, Unauthenticated, "TOKEN_REVOKED");
        let signs = async || {
            let answer = SessionServiceClient::new(replica.with_token("").channel()).create_session(by_email(&address("ana"))).await;
            answer.unwrap().into_inner().tokens.unwrap().access_token
        };
        until("it signs by the next key", async || key_of(&signs().await) == active.key_id).await;
        replica.with_token(&signs().await).get_user("").await.unwrap();
    }
}
