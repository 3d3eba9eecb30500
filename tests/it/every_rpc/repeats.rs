//! Every RPC that takes a request id: said twice, at once and again later, it has one effect and one answer.

use contract::Idempotency;
use futures::future::join;
use muster_tests::{
    Suite, short,
    world::{World, done, refused},
};
use serde_json::{Value, json};
use tonic::Code;

use super::{
    changes, policy,
    table::{Entry, entries},
    tidy, with,
};

/// What stays: the request id itself, and where the request is about; elsewhere it is refused before its id is looked at.
const KEPT: [&str; 4] = ["requestId", "organizationId", "workspaceId", "productId"];

/// `request` with another body that its caller may also send.
fn otherwise(rpc: &str, request: &Value) -> Value {
    let mut other = request.clone();
    let fields = other.as_object_mut().expect("a request is an object").iter_mut();
    let changed = fields.filter(|(name, _)| !KEPT.contains(&name.as_str())).any(|(_, value)| change(value));
    assert!(changed, "{rpc}: the guard knows no other request than {request}");
    other
}

/// Changes a value to another that its rules allow; false when it knows none.
fn change(value: &mut Value) -> bool {
    let other = match &*value {
        Value::Bool(flag) => json!(!flag),
        Value::String(text) if text.parse::<uuid::Uuid>().is_ok() => json!(runtime::Ids::system().next().to_string()),
        Value::String(text) if text.starts_with("BASE_ROLE_") => json!("BASE_ROLE_ADMIN"),
        Value::String(text) if text.starts_with("WORK_ITEM_STATE_") => json!("WORK_ITEM_STATE_DONE"),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_uppercase()) => json!(format!("{text}X")),
        Value::String(text) if !text.contains('@') => json!(format!("{text}-two")),
        Value::Array(_) => return value.as_array_mut().is_some_and(|several| several.iter_mut().any(change)),
        Value::Object(_) => return value.as_object_mut().is_some_and(|fields| fields.values_mut().any(change)),
        _ => return false,
    };
    *value = other;
    true
}

/// An answer but for what it says of the moment.
fn lasting(mut answer: Value) -> Value {
    answer.as_object_mut().map(|fields| fields.remove("propagation"));
    answer
}

async fn has_one_effect(world: &World, entry: &Entry) {
    let who = entry.who.of(world, policy(entry)).await;
    let request = with(entry.request("here"), json!({"requestId": runtime::Ids::system().next().to_string()}));
    let before = changes(world).await;
    let (one, other) = join(who.call(entry.rpc, request.clone()), who.call(entry.rpc, request.clone())).await;
    let first = match (one, other) {
        (Ok(one), Ok(other)) => {
            assert_eq!(lasting(one.clone()), lasting(other), "{}: two at once have one answer", entry.rpc);
            one
        }
        (Ok(answer), Err(fault)) | (Err(fault), Ok(answer)) => {
            let later = matches!(fault.code, Code::Aborted | Code::Unavailable);
            assert!(later, "{}: of two at once one may be told to come again, and nothing else: {fault}", entry.rpc);
            answer
        }
        (Err(fault), Err(_)) => panic!("{} refuses whom it is for: {fault}", entry.rpc),
    };
    let after = changes(world).await;
    assert!(after > before, "{} has an effect", entry.rpc);
    let again = done(who.call(entry.rpc, request.clone()).await);
    assert_eq!(lasting(again), lasting(first), "{}: the first answer is given again", entry.rpc);
    let fault = refused(who.call(entry.rpc, otherwise(entry.rpc, &request)).await);
    assert_eq!((fault.code, fault.reason.as_str()), (Code::InvalidArgument, "REQUEST_ID_REUSED"), "{}", entry.rpc);
    assert_eq!(changes(world).await, after, "{}: a repeat changes nothing", entry.rpc);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_repeat_under_a_request_id_has_one_effect() {
    let world = World::of(Suite::start().await).await;
    let entries = entries(&world).await;
    let mut repeated = Vec::new();
    for entry in &entries {
        if policy(entry).idempotency == Idempotency::RequestId {
            has_one_effect(&world, entry).await;
            repeated.push(short(policy(entry)));
        }
    }
    let every = contract::METHODS.iter().filter(|policy| policy.idempotency == Idempotency::RequestId).count();
    assert_eq!(repeated.len(), every, "{repeated:?}");
    tidy(&world, &entries).await;
    world.suite.finish().await;
}
