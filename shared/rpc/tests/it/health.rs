//! grpc.health.v1 exactly: trap 8, and what tonic-health does otherwise. The client is tonic-health's, which nobody here wrote.

use contract::grpc::health::v1::HealthListRequest;
use contract::grpc::health::v1::health_client::HealthClient as OurClient;
use rpc::health::{LIVENESS, READINESS, ServingStatus};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Answered;
use tonic_health::pb::health_client::HealthClient;

use crate::app::{App, plain, uri};

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

#[tokio::test]
async fn the_whole_is_not_serving_until_the_gate_opens() {
    let app = App::start().await;
    for address in [app.address, app.admin_address] {
        let mut health = HealthClient::with_origin(plain(), uri(address));
        app.health.set_serving(false);
        assert_eq!(health.check(of("")).await.unwrap().get_ref().status(), Answered::NotServing);
        assert_eq!(health.check(of(READINESS)).await.unwrap().get_ref().status(), Answered::NotServing);
        assert_eq!(health.check(of(LIVENESS)).await.unwrap().get_ref().status(), Answered::Serving);
        app.health.set_serving(true);
        assert_eq!(health.check(of("")).await.unwrap().get_ref().status(), Answered::Serving);
    }
}

#[tokio::test]
async fn check_of_an_unknown_name_is_not_found() {
    let app = App::start().await;
    let mut health = HealthClient::with_origin(plain(), app.uri());
    assert_eq!(health.check(of("muster.tasks.v1.ProductService")).await.unwrap_err().code(), Code::NotFound);
    app.health.set("muster.tasks.v1.ProductService", ServingStatus::Serving);
    assert_eq!(health.check(of("muster.tasks.v1.ProductService")).await.unwrap().get_ref().status(), Answered::Serving);
}

#[tokio::test]
async fn list_is_exactly_what_is_registered() {
    let app = App::start().await;
    app.health.set_of_other("dep.postgres", ServingStatus::NotServing);
    let mut health = OurClient::with_origin(plain(), app.uri());
    let listed = health.list(HealthListRequest {}).await.unwrap().into_inner().statuses;
    let listed: std::collections::BTreeMap<_, _> = listed.into_iter().map(|(name, answer)| (name, answer.status())).collect();
    let (yes, no) = (ServingStatus::Serving, ServingStatus::NotServing);
    let expected = [("", no), ("dep.postgres", no), (LIVENESS, yes), (READINESS, no)];
    assert_eq!(listed, expected.map(|(name, status)| (name.to_owned(), status)).into());
}

#[tokio::test]
async fn list_refuses_more_than_a_hundred_names() {
    let app = App::start().await;
    (0..98).for_each(|n| app.health.set(&format!("service.{n}"), ServingStatus::Serving));
    let mut health = OurClient::with_origin(plain(), app.uri());
    assert_eq!(health.list(HealthListRequest {}).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn watch_of_an_unknown_name_stays_open_until_the_name_is_known() {
    let app = App::start().await;
    let mut watch = HealthClient::with_origin(plain(), app.uri()).watch(of("later")).await.unwrap().into_inner();
    let mut next = async || watch.message().await.unwrap().unwrap().status();
    assert_eq!(next().await, Answered::ServiceUnknown);
    app.health.set("elsewhere", ServingStatus::Serving);
    app.health.set("later", ServingStatus::NotServing);
    assert_eq!(next().await, Answered::NotServing);
    app.health.set("later", ServingStatus::NotServing);
    app.health.set("later", ServingStatus::Serving);
    assert_eq!(next().await, Answered::Serving);
}

#[tokio::test]
async fn a_drain_is_seen_by_those_who_watch() {
    let app = App::start().await;
    app.health.set_of_other("dep.nats", ServingStatus::Serving);
    app.health.set_serving(true);
    let mut watch = HealthClient::with_origin(plain(), app.uri()).watch(of("")).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Answered::Serving);
    app.health.set_serving(false);
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Answered::NotServing);
    assert_eq!(app.health.get("dep.nats"), Some(ServingStatus::Serving), "what is needed is not what is drained");
}
