//! The channel between services: trap 2 (a timeout that is set is not a timeout that is sent).

use std::time::Duration;

use contract::tasks::v1::GetProductRequest;
use contract::tasks::v1::product_service_client::ProductServiceClient;
use rpc::client::channel;
use tonic::{Code, Request};

use crate::app::{App, With, fresh, header, is, listener, outcome};

/// Two apps that know the same world; the handlers of the first call the second.
async fn pair() -> (App, App) {
    let (front, back) = (App::start().await, App::start().await);
    let mut world = authz::Delta::default();
    world.workspaces.push(authz::Workspace { organization: front.organization, workspace: front.workspace });
    let scope = authz::RoleScope::Organization(front.organization);
    world.assignments.push(authz::Assignment { user: front.member, scope, role: Some(contract::BaseRole::Owner), version: 1 });
    back.authorizer.apply(2, &world);
    back.keys.install(&crate::tokens::Signer::json_web_key_set(&[&front.signer])).unwrap();
    let to_back = channel("tasks", &format!("http://{}", back.address), &back.peers["identity"]).unwrap();
    *front.handlers.peer.lock().unwrap() = Some(to_back);
    (front, back)
}

#[tokio::test]
async fn a_call_goes_on_with_its_subject_its_trace_its_id_and_what_is_left_of_its_time() {
    let (front, back) = pair().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = front.get().with("does", "call").with("grpc-timeout", "3S").with("traceparent", parent);
    let authorization = header(request.metadata(), "authorization");
    assert_eq!(front.outcome(request).await, is(Code::Ok, "OK"));
    let (here, there) = (front.seen(), back.seen());
    assert_eq!(header(&there.metadata, "authorization"), authorization);
    assert_eq!(there.caller.user_id().unwrap(), front.member);
    assert_eq!(there.caller.peer(), Some("identity"));
    assert_eq!(there.caller.correlation_id(), here.caller.correlation_id());
    assert_eq!(header(&there.metadata, "traceparent"), here.caller.traceparent());
    let timeout = header(&there.metadata, "grpc-timeout");
    let millis: u64 = timeout.strip_suffix('m').expect("in milliseconds").parse().unwrap();
    assert!(millis < 3_000 - 9, "{millis} ms is not less than what was left, by a margin");
}

#[tokio::test]
async fn a_peer_that_takes_too_long_is_named_by_the_caller_s_own_deadline() {
    let (front, back) = pair().await;
    let request = front.get().with("does", "call-sleeper").with("grpc-timeout", "400m");
    assert_eq!(front.outcome(request).await, is(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!(back.ran(), 1);
}

#[tokio::test]
async fn a_call_outside_of_calls_has_its_method_s_time() {
    let (front, back) = pair().await;
    let peer = front.handlers.peer.lock().unwrap().clone().unwrap();
    let request = front.get();
    assert_eq!(outcome(&ProductServiceClient::new(peer).get_product(request).await), is(Code::Ok, "OK"));
    assert!((Duration::from_secs(1)..=Duration::from_secs(5)).contains(&back.seen().left));
    assert!(!header(&back.seen().metadata, "grpc-timeout").is_empty());
}

#[tokio::test]
async fn a_peer_that_is_silent_does_not_hold_the_caller() {
    let app = App::start().await;
    let silent = listener().await;
    let uri = format!("http://{}", silent.local_addr().unwrap());
    let mut products = ProductServiceClient::new(channel("tasks", &uri, &app.peers["identity"]).unwrap());
    let message = GetProductRequest { workspace_id: app.workspace.to_string(), product_id: fresh::<uuid::Uuid>().to_string() };
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_millis(200));
    let answer = products.get_product(request).await;
    assert_eq!(outcome(&answer), is(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    drop(silent);
}

#[tokio::test]
async fn a_peer_that_is_away_is_unavailable() {
    let app = App::start().await;
    let address = listener().await.local_addr().unwrap();
    let mut products = ProductServiceClient::new(channel("tasks", &format!("http://{address}"), &app.peers["identity"]).unwrap());
    assert_eq!(products.get_product(app.get()).await.unwrap_err().code(), Code::Unavailable);
}
