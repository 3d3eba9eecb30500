//! Server reflection in both versions.

use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient as V1;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1alpha;
use tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient as V1Alpha;

use crate::app::{App, plain};

#[tokio::test]
async fn v1_lists_what_the_server_serves_and_describes_it() {
    let app = App::start().await;
    let mut client = V1::with_origin(plain(), app.uri());
    let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("muster.tasks.v1.ProductService.GetProduct".into())),
        ask(MessageRequest::FileContainingSymbol("nothing.like.this".into())),
    ];
    let mut answers = client.server_reflection_info(futures::stream::iter(requests)).await.unwrap().into_inner();
    let mut next = async || answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(listed) = next().await else { panic!("no list") };
    assert_eq!(names(listed.service.into_iter().map(|one| one.name)), expected("v1"));
    let MessageResponse::FileDescriptorResponse(file) = next().await else { panic!("no file") };
    assert!(String::from_utf8_lossy(&file.file_descriptor_proto.concat()).contains("product_service.proto"));
}

#[tokio::test]
async fn v1alpha_lists_the_same() {
    let app = App::start().await;
    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = V1Alpha::with_origin(plain(), app.uri());
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(listed) = answer else { panic!("no list") };
    assert_eq!(names(listed.service.into_iter().map(|one| one.name)), expected("v1alpha"));
}

fn names(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The services of the app, health, and the version of reflection that is asked.
fn expected(version: &str) -> Vec<String> {
    let reflection = format!("grpc.reflection.{version}.ServerReflection");
    names(crate::handlers::Handlers::SERVICES.iter().map(|name| (*name).to_owned()).chain([reflection, "grpc.health.v1.Health".to_owned()]))
}
