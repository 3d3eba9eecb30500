//! What the edge answers itself: reflection, health, probes; and how it comes and goes.

use contract::Exposure;
use contract::grpc::health::v1::{
    HealthCheckRequest, HealthListRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use gateway::Config;
use http_body_util::BodyExt;
use prost_types::{FileDescriptorProto, ServiceDescriptorProto};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::edge::{Answered, Edge, SOON, message};
use crate::upstream::{self, Mortal};

fn channel(edge: &Edge) -> Channel {
    Endpoint::from_shared(format!("http://{}", edge.address)).unwrap().connect_lazy()
}

/// What reflection answers to `request`; an error when it does not know the name.
async fn reflected(edge: &Edge, request: MessageRequest) -> Result<MessageResponse, Status> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut client = ServerReflectionClient::new(channel(edge));
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await?.into_inner();
    Ok(answers.message().await?.unwrap().message_response.unwrap())
}

/// Status line, head and body of a GET over HTTP/1.1.
async fn get(edge: &Edge, path: &str) -> String {
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// Waits until health says `status` of `name`.
async fn until(edge: &Edge, name: &str, status: ServingStatus) {
    let mut news = HealthClient::new(channel(edge)).watch(HealthCheckRequest { service: name.into() }).await.unwrap().into_inner();
    let saying = async { while news.message().await.unwrap().unwrap().status() != status {} };
    tokio::time::timeout(SOON, saying).await.unwrap();
}

/// The paths of the methods in the file that describes `symbol`.
async fn methods(edge: &Edge, symbol: &str) -> Result<Vec<String>, Status> {
    let answer = reflected(edge, MessageRequest::FileContainingSymbol(symbol.to_owned())).await?;
    let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("no file") };
    let file: FileDescriptorProto = prost::Message::decode(files.file_descriptor_proto[0].as_slice()).unwrap();
    let path = |service: &ServiceDescriptorProto, name: &str| format!("/{}.{}/{name}", file.package(), service.name());
    Ok(file.service.iter().flat_map(|service| service.method.iter().map(move |method| path(service, method.name()))).collect())
}

#[tokio::test]
async fn reflection_tells_of_every_method_for_the_outside_and_of_no_other() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let listed = reflected(&edge, MessageRequest::ListServices(String::new())).await.unwrap();
    let MessageResponse::ListServicesResponse(listed) = listed else { panic!("no list") };
    let mut told = Vec::new();
    for service in listed.service.iter().filter(|one| one.name.starts_with("muster.")) {
        told.extend(methods(&edge, &service.name).await.unwrap());
    }
    told.sort();
    let shown = contract::METHODS.iter().filter(|policy| policy.exposure == Exposure::Edge);
    assert_eq!(told, shown.map(|policy| policy.path).collect::<Vec<_>>());
    assert!(methods(&edge, "muster.identity.v1.RevocationService").await.is_err());
}

#[tokio::test]
async fn health_says_of_a_service_what_its_owner_says() {
    let upstream = Mortal::start(0);
    let port = upstream.address.port();
    let edge = Edge::before(upstream.address, &[]).await;
    const ITEMS: &str = "muster.tasks.v1.WorkItemService";
    until(&edge, "", ServingStatus::Serving).await;
    until(&edge, ITEMS, ServingStatus::Serving).await;
    upstream.kill();
    until(&edge, ITEMS, ServingStatus::NotServing).await;
    until(&edge, "", ServingStatus::Serving).await;
    let names = HealthClient::new(channel(&edge)).list(HealthListRequest {}).await.unwrap().into_inner().statuses;
    assert!(names.contains_key(ITEMS) && names.contains_key("readiness") && !names.contains_key("muster.identity.v1.RevocationService"));
    let again = Mortal::start(port);
    until(&edge, ITEMS, ServingStatus::Serving).await;
    again.kill();
}

#[tokio::test]
async fn a_service_that_comes_back_is_called_again() {
    let upstream = Mortal::start(0);
    let port = upstream.address.port();
    let edge = Edge::before(upstream.address, &[]).await;
    assert_eq!(edge.call("GetWorkItem", message(1), &[]).await.status().code(), Code::Ok);
    upstream.kill();
    until(&edge, "muster.tasks.v1.WorkItemService", ServingStatus::NotServing).await;
    assert_eq!(edge.call("GetWorkItem", message(1), &[]).await.fault().1, "DEPENDENCY_UNAVAILABLE");
    let again = Mortal::start(port);
    let answered = async { while edge.call("GetWorkItem", message(1), &[]).await.status().code() != Code::Ok {} };
    tokio::time::timeout(SOON, answered).await.unwrap();
    again.kill();
}

#[tokio::test]
async fn probes_of_a_load_balancer_are_answered_over_plain_http() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    until(&edge, "", ServingStatus::Serving).await;
    for path in ["/livez", "/readyz"] {
        assert!(get(&edge, path).await.starts_with("HTTP/1.1 200 "), "{path}");
    }
    until(&edge, "muster.tasks.v1.WorkItemService", ServingStatus::Serving).await;
    let health = get(&edge, "/health").await;
    assert!(health.starts_with("HTTP/1.1 200 ") && health.contains("\"muster.tasks.v1.WorkItemService\":\"SERVING\""), "{health}");
    assert!(get(&edge, "/metrics").await.starts_with("HTTP/1.1 404 "), "metrics are the admin port's");
    edge.running.health().set_serving(false);
    assert!(get(&edge, "/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(get(&edge, "/health").await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test]
async fn a_drain_ends_open_streams_with_a_reason_and_leaves_nothing() {
    let (address, _, mut gone) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let mut stream = edge.open("WatchWorkItems", message(1), &[]).await;
    assert!(stream.body_mut().frame().await.unwrap().unwrap().is_data());
    edge.running.stop().await;
    let answered = tokio::time::timeout(SOON, Answered::of(stream)).await.unwrap();
    assert_eq!(answered.fault(), (Code::Unavailable, "NOT_READY".to_owned()));
    tokio::time::timeout(SOON, gone.recv()).await.unwrap().unwrap();
    assert!(TcpStream::connect(edge.address).await.is_err());
}

#[tokio::test]
async fn one_address_has_its_share_of_the_connections() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::with(address, Config { address_connections_max: 2, ..Config::default() }).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(TcpStream::connect(edge.address).await.unwrap());
    }
    let mut third = TcpStream::connect(edge.address).await.unwrap();
    let hung_up = tokio::time::timeout(SOON, third.read(&mut [0])).await.unwrap();
    assert!(!matches!(hung_up, Ok(1..)), "it is told nothing");
    held.pop();
    let again = async { while TcpStream::connect(edge.address).await.unwrap().read_exact(&mut [0]).await.is_err() {} };
    assert!(tokio::time::timeout(std::time::Duration::from_millis(500), again).await.is_err(), "it is held again");
}
