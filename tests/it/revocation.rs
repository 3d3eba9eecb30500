//! A revoked session is refused everywhere, though every service has its token verified and cached, and though a message is lost.

use std::time::{Duration, Instant};

use muster::seed;
use muster_tests::{
    Actor, Suite, text,
    world::{World, done},
};
use serde_json::json;
use tonic::Code;

/// The promise is a second; a machine under load is given more.
const AT_MOST: Duration = Duration::from_secs(15);

/// No feed is quiet for longer (`events.bookmark_ms`, and a poll).
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A call of each service that any member may make.
const CALLS: [&str; 5] = [
    "identity.WorkspaceService/ListWorkspaces",
    "authorization.AuthorizationService/ListRoles",
    "tasks.ProductService/ListProducts",
    "audit.AuditService/ListEvents",
    "notifications.InboxService/GetUnreadCount",
];

async fn call(world: &World, who: &Actor, rpc: &str) -> Result<(), muster_tests::Fault> {
    let request = if rpc.starts_with("tasks") { json!({"workspaceId": world.workspace_id}) } else { json!({}) };
    who.call(rpc, request).await.map(|_| ())
}

/// A session of ana whose token every service has verified.
async fn warm_session(world: &World) -> Actor {
    let session = done(world.suite.sign_in("ana").await.enter(&world.organization_id).await);
    for rpc in CALLS.into_iter().chain(CALLS) {
        done(call(world, &session, rpc).await);
    }
    session
}

/// Waits until all of them refuse `session`; none of them may take it again afterwards.
async fn is_refused_everywhere(world: &World, session: &Actor) -> Duration {
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    for rpc in CALLS {
        let fault = loop {
            match call(world, session, rpc).await {
                Err(fault) => break fault,
                Ok(()) => assert!(began.elapsed() < AT_MOST, "{rpc} still takes a revoked token"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!((fault.code, fault.reason.as_str()), (Code::Unauthenticated, "TOKEN_REVOKED"), "{rpc}");
        longest = longest.max(began.elapsed());
    }
    for rpc in CALLS {
        assert!(call(world, session, rpc).await.is_err(), "{rpc} takes a revoked token again");
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_refused_by_all_of_them() {
    let world = World::of(Suite::start().await).await;
    let (session, other) = (warm_session(&world).await, warm_session(&world).await);
    done(session.call("identity.SessionService/RevokeSession", json!({})).await);
    println!("refused by all after {:?}", is_refused_everywhere(&world, &session).await);
    for rpc in CALLS {
        done(call(&world, &other, rpc).await);
    }
    world.suite.finish().await;
}

/// How often a feed of revocations found that a message was lost.
fn gaps() -> f64 {
    let metrics = muster_tests::telemetry::metrics().render();
    let counts = metrics.lines().filter(|line| line.starts_with("muster_feed_gaps_total{") && line.contains("feed=\"revocations\""));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Waits until every feed has heard what the session's own making told, so that the next message is its end.
async fn heard(world: &World) {
    world.suite.settle().await;
    tokio::time::sleep(HEARTBEAT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_whose_message_is_lost_is_found_by_the_gap() {
    let world = World::of(Suite::start().await).await;
    for lost in (1_u64..).take(CALLS.len()) {
        let session = warm_session(&world).await;
        heard(&world).await;
        let before = gaps();
        // The feeds of all services share the count: each time another one of them loses its message.
        world.suite.revocation_faults().lose_message(lost);
        done(session.call("identity.SessionService/RevokeSession", json!({})).await);
        println!("message {lost} lost: refused by all after {:?}", is_refused_everywhere(&world, &session).await);
        assert!(gaps() > before, "the message that was lost is the revocation: its gap is found");
    }
    world.suite.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_refresh_token_ends_its_session_everywhere() {
    let world = World::of(Suite::start().await).await;
    let session = warm_session(&world).await;
    let mut tokens = vec![session.refresh_token.clone()];
    for _ in 0..2 {
        let answer = world.suite.nobody().call("identity.SessionService/RefreshSession", json!({"refreshToken": tokens.last()})).await;
        tokens.push(text(&done(answer), "tokens.refreshToken"));
    }
    let replayed = world.suite.nobody().call("identity.SessionService/RefreshSession", json!({"refreshToken": tokens[0]})).await;
    assert_eq!(muster_tests::world::refused(replayed.map(|_| json!({}))).reason, "REFRESH_TOKEN_REUSED");
    is_refused_everywhere(&world, &session).await;
    world.suite.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_emergency_what_the_former_key_signed_is_refused_by_all_of_them() {
    let world = World::of(Suite::start().await).await;
    let session = warm_session(&world).await;
    let admin = world.suite.sign_in(seed::ADMIN).await;
    done(admin.call("identity.KeyService/RotateSigningKey", json!({"emergency": true})).await);
    println!("refused by all after {:?}", is_refused_everywhere(&world, &session).await);
    let answer = world.suite.nobody().call("identity.SessionService/RefreshSession", json!({"refreshToken": session.refresh_token})).await;
    let again = session.with_token(&text(&done(answer), "tokens.accessToken"));
    for rpc in CALLS {
        done(call(&world, &again, rpc).await);
    }
    world.suite.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_feed_is_silent_nothing_sensitive_is_done_and_all_else_is() {
    let world = World::of(Suite::start().await).await;
    let (ana, admin) = (warm_session(&world).await, world.suite.sign_in(seed::ADMIN).await);
    let unlock = async || {
        let answer = admin.call("identity.UserService/UnlockSignIn", json!({"userId": world.ana.user_id})).await;
        answer.map_or_else(|fault| fault.reason, |_| "OK".to_owned())
    };
    let becomes = async |wanted: &str| {
        let began = Instant::now();
        while unlock().await != wanted {
            assert!(began.elapsed() < AT_MOST, "never {wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    becomes("OK").await;
    let feeds = [(world.suite.revocation_faults(), "REVOCATIONS_STALE"), (world.suite.permission_faults(), "AUTHORIZATION_STALE")];
    for (feed, stale) in feeds {
        feed.set_silent(true);
        becomes(stale).await;
        for rpc in CALLS {
            done(call(&world, &ana, rpc).await);
        }
        feed.set_silent(false);
        becomes("OK").await;
    }
    world.suite.finish().await;
}
