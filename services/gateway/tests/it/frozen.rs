//! A service that stands still as a whole, as one whose machine was suspended or starved, and moves again.

use futures::future::{join, join_all};
use gateway::Config;
use rpc::server::Limits;
use tonic::Code;

use crate::apart::{self, Apart};
use crate::edge::{Edge, message};
use crate::upstream;

const TEST: &str = "frozen::a_service_that_wakes_after_many_calls_were_given_up_answers_those_that_still_wait";
/// Calls that are given up meanwhile: on each of the edge's four connections more than twice as many as a server of h2 forgives by itself (20).
const GIVEN_UP: usize = 200;
/// Calls that wait, on all four connections. Each changes something, so the edge makes none of them twice.
const WAITING: usize = 16;

#[tokio::test]
async fn a_service_that_wakes_after_many_calls_were_given_up_answers_those_that_still_wait() {
    apart::serve_if_told(Config::default(), Limits::default()).await;
    let (upstream, ..) = upstream::start().await;
    // An edge in the place of a service: the same server of `rpc`.
    let service = Apart::start(TEST, upstream, 0).await;
    let edge = Edge::before(service.address, &[]).await;
    let change = async || edge.call("UpdateWorkItem", message(1), &[("grpc-timeout", "20S")]).await.status().code();
    let changes = async || join_all((0..WAITING).map(|_| change())).await;
    assert_eq!(changes().await, [Code::Ok; WAITING]);
    service.freeze();
    let given_up = async {
        let get = async |_| edge.call("GetWorkItem", message(1), &[("grpc-timeout", "200m")]).await.status().code();
        let late = join_all((0..GIVEN_UP).map(get)).await;
        service.thaw();
        late
    };
    let (waiting, late) = join(changes(), given_up).await;
    assert_eq!(late, [Code::DeadlineExceeded; GIVEN_UP]);
    assert_eq!(waiting, [Code::Ok; WAITING], "they have time left");
    assert_eq!(changes().await, [Code::Ok; WAITING], "and so do those that come after it");
}
