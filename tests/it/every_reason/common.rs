//! The reasons of `muster.common.v1.Reason` that a caller alone can provoke.

use muster_tests::{
    Fault, dynamic, text,
    world::{World, done},
};
use serde_json::{Value, json};
use tonic::Streaming;

use super::Seen;

pub(super) async fn provoke(world: &World, seen: &mut Seen) {
    let World { ana, vic, eve, workspace_id, product_id, work_item_id, .. } = world;
    let list = "tasks.WorkItemService/ListWorkItems";
    let get = "tasks.WorkItemService/GetWorkItem";
    let item = json!({"workspaceId": workspace_id, "workItemId": work_item_id});
    let of_workspace = |field: &str, value: &str| json!({"workspaceId": workspace_id, field: value});

    seen.note("muster/FIELD_VIOLATION", ana.call(get, json!({"workspaceId": workspace_id, "workItemId": "none"})).await);
    // A number where the method expects text.
    let number = dynamic::pool().get_message_by_name("muster.identity.v1.WatchRevocationsRequest").expect("a message of the contract");
    let number = dynamic::from_json(number, r#"{"fromPosition": 1}"#).expect("a number");
    seen.keep("muster/MALFORMED_REQUEST", ended(ana.send_at("tasks", get, number).await).await);
    let once = |title: &str| {
        let request_id = "018f4f2e-0000-7000-8000-000000000001";
        json!({"workspaceId": workspace_id, "productId": product_id, "title": title, "requestId": request_id})
    };
    done(ana.call("tasks.WorkItemService/CreateWorkItem", once("one")).await);
    seen.note("muster/REQUEST_ID_REUSED", ana.call("tasks.WorkItemService/CreateWorkItem", once("two")).await);
    seen.note("muster/PAGE_TOKEN_INVALID", ana.call(list, of_workspace("pageToken", "none")).await);
    seen.note("muster/FILTER_INVALID", ana.call(list, of_workspace("filter", "none = 1")).await);
    seen.note("muster/ORDER_INVALID", ana.call(list, of_workspace("orderBy", "none")).await);
    let large = json!({"workspaceId": workspace_id, "productId": product_id, "title": "x".repeat(2 << 20)});
    seen.note("muster/MESSAGE_TOO_LARGE", ana.call("tasks.WorkItemService/CreateWorkItem", large).await);

    seen.note("muster/CREDENTIALS_MISSING", ana.without_token().call(get, item.clone()).await);
    seen.note("muster/TOKEN_INVALID", ana.with_token("none").call(get, item.clone()).await);
    seen.note("muster/PEER_TOKEN_INVALID", ana.call("identity.RevocationService/ListRevocations", json!({})).await);
    seen.note("muster/PERMISSION_DENIED", vic.call("tasks.WorkItemService/DeleteWorkItem", item.clone()).await);
    let acme = json!({"organizationId": world.organization_id});
    seen.note("muster/ORGANIZATION_NOT_FOUND", eve.call("identity.OrganizationService/GetOrganization", acme).await);
    seen.note("muster/WORKSPACE_NOT_FOUND", eve.call(get, item.clone()).await);
    seen.note("muster/METHOD_UNKNOWN", ana.call_at("audit", get, item.clone()).await);
    seen.note("muster/DEADLINE_EXCEEDED", ana.with_header("grpc-timeout", "1n").call(get, item.clone()).await);
    let revoked = done(world.suite.sign_in("ana").await.enter(&world.organization_id).await);
    done(revoked.call("identity.SessionService/RevokeSession", json!({})).await);
    world.suite.settle().await;
    seen.note("muster/TOKEN_REVOKED", eventually_refused(async || revoked.call(get, item.clone()).await).await);
    let stale = json!({"workspaceId": workspace_id, "workItemId": work_item_id, "etag": "none", "state": "WORK_ITEM_STATE_BLOCKED"});
    seen.note("muster/ETAG_MISMATCH", ana.call("tasks.WorkItemService/TransitionWorkItem", stale).await);

    let watch = "tasks.WorkItemService/WatchWorkItems";
    seen.note("muster/RESUME_TOKEN_INVALID", ana.call(watch, of_workspace("resumeToken", "none")).await);
    let mut open = Vec::new();
    let fault = loop {
        assert!(open.len() < 100, "a server has a limit of open streams");
        match first(ana.stream_at("tasks", watch, json!({"workspaceId": workspace_id})).await).await {
            Ok(stream) => open.push(stream),
            Err(fault) => break fault,
        }
    };
    seen.keep("muster/OVERLOADED", fault);
}

/// A stream whose first message has come.
async fn first<T>(opened: Result<Streaming<T>, Fault>) -> Result<Streaming<T>, Fault> {
    let mut stream = opened?;
    stream.message().await?;
    Ok(stream)
}

/// What a stream ends with.
pub(super) async fn ended<T>(opened: Result<Streaming<T>, Fault>) -> Fault {
    match opened {
        Err(fault) => fault,
        Ok(mut stream) => loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended well"),
                Err(status) => return status.into(),
            }
        },
    }
}

/// The first refusal of a call that is made again until it is refused, a minute long at most.
pub(super) async fn eventually_refused(call: impl AsyncFn() -> Result<Value, Fault>) -> Result<Value, Fault> {
    for _ in 0..2_400 {
        call().await?;
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("it is not refused")
}

/// The newest resume token of a workspace's items.
pub(super) async fn resume_token(world: &World) -> String {
    let bookmark = world.ana.call("tasks.WorkItemService/WatchWorkItems", json!({"workspaceId": world.workspace_id})).await;
    text(&done(bookmark), "resumeToken")
}
