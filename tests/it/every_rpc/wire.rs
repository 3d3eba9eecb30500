//! Every RPC, sent what is no message and what is too much: refused, counted, and nothing is changed.

use muster_tests::{Suite, world::World};
use serde_json::Value;
use tonic::Code;

use super::{
    changes, policy,
    table::{Entry, entries},
    tidy, turned_away,
};

/// A key of wire type 7, which there is not.
const GARBAGE: [u8; 2] = [0x07, 0xff];
/// More than the largest request that any method is granted.
const TOO_MUCH: usize = (4 << 20) + 1024;

async fn is_refused(world: &World, entry: &Entry, message: Vec<u8>, expected: (Code, &str)) {
    let who = entry.who.of(world, policy(entry)).await;
    let owner = entry.rpc.split('.').next().unwrap_or_default();
    let place = if owner == "common" { "identity" } else { owner };
    let size = message.len();
    let call = async {
        let mut stream = who.send_bytes_at(place, entry.rpc, message).await?;
        Ok(stream.message().await.map(|_| Value::Null)?)
    };
    let fault = turned_away(entry, call).await;
    assert_eq!((fault.code, fault.reason.as_str()), expected, "{}, {size} bytes: {fault}", entry.rpc);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_refuses_what_is_no_message_and_what_is_too_much() {
    let world = World::of(Suite::start().await).await;
    let entries = entries(&world).await;
    let before = changes(&world).await;
    for entry in &entries {
        is_refused(&world, entry, GARBAGE.to_vec(), (Code::InvalidArgument, "MALFORMED_REQUEST")).await;
        let too_much = (Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
        is_refused(&world, entry, vec![0; TOO_MUCH], too_much).await;
    }
    assert_eq!(changes(&world).await, before, "what can't be read changes nothing");
    tidy(&world, &entries).await;
    world.suite.finish().await;
}
