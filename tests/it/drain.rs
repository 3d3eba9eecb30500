//! Stopping behind a load balancer: what says NOT_SERVING takes calls until that has been heard.

use std::time::Duration;

use muster::serve::Conditions;
use muster_tests::{
    Actor, Suite,
    world::{World, done},
};
use rpc::health::{READINESS, ServingStatus};
use serde_json::json;

const LIST: &str = "audit.AuditService/ListEvents";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_says_not_serving_takes_new_connections_for_the_delay_and_none_after_it() {
    let world = World::of(Suite::start().await).await;
    let (serving, places) = world.suite.replica("audit", Conditions::default(), |config| config.limits.drain_delay_ms = 3_000).await;
    serving.ready(Duration::from_secs(60)).await.unwrap();
    let health = serving.running()[0].health().clone();
    let newcomer = Actor::nobody(places).with_token(&world.ana.token);
    let comes_late = async {
        while health.get(READINESS) != Some(ServingStatus::NotServing) {
            tokio::task::yield_now().await;
        }
        done(newcomer.call(LIST, json!({})).await);
        assert_eq!(health.get(""), Some(ServingStatus::NotServing));
    };
    tokio::join!(serving.stop(), comes_late);
    assert!(newcomer.call(LIST, json!({})).await.is_err(), "the port is closed");
    world.suite.finish().await;
}
