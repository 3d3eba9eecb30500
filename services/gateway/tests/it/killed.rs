//! An edge that is killed while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gateway::Config;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use rpc::server::Limits;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::apart::{self, Apart};
use crate::edge::{SOON, message};
use crate::upstream;

const TEST: &str = "killed::an_edge_that_is_killed_leaves_nothing_behind_and_the_next_one_serves";
const CALLERS: usize = 16;

/// Somebody with a connection of its own, which is made again when it breaks.
#[derive(Clone)]
struct Caller(Client<HttpConnector, Full<Bytes>>, String);

impl Caller {
    fn of(edge: &Apart) -> Caller {
        Caller(Client::builder(TokioExecutor::new()).http2_only(true).build_http(), format!("http://{}", edge.address))
    }

    /// Headers of an answer, or how the connection failed: one or the other comes.
    async fn call(&self, method: &str, then: &str) -> Result<Response<Incoming>, Error> {
        let request = Request::post(format!("{}/muster.tasks.v1.WorkItemService/{method}", self.1));
        let request = request.header("content-type", "application/grpc").header("grpc-timeout", "1M").header("x-then", then);
        timeout(SOON, self.0.request(request.body(Full::new(message(9))).unwrap())).await.expect("nobody waits in vain")
    }

    /// Whether a call is answered, in full.
    async fn is_answered(&self) -> bool {
        let Ok(answer) = self.call("GetWorkItem", "").await else { return false };
        let whole = timeout(SOON, answer.into_body().collect()).await.expect("nobody waits in vain");
        whole.is_ok_and(|whole| whole.to_bytes() == message(9))
    }
}

#[tokio::test]
async fn an_edge_that_is_killed_leaves_nothing_behind_and_the_next_one_serves() {
    apart::serve_if_told(Config::default(), Limits::default()).await;
    let (upstream, seen, mut gone) = upstream::start().await;
    let edge = Apart::start(TEST, upstream, 0).await;
    let (callers, answered) = ((0..CALLERS).map(|_| Caller::of(&edge)).collect::<Vec<_>>(), Arc::new(AtomicUsize::new(0)));
    let (mut load, mut frozen, mut streams) = (JoinSet::new(), JoinSet::new(), Vec::new());
    for caller in callers.clone() {
        streams.push(caller.call("WatchWorkItems", "").await.unwrap());
        let (loaded, answered) = (caller.clone(), answered.clone());
        load.spawn(async move {
            while loaded.is_answered().await {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        frozen.spawn(async move { caller.call("GetWorkItem", "freeze").await });
    }
    let loaded = async {
        while answered.load(Ordering::Relaxed) < 500 || *seen.calls.lock().unwrap() < 500 + 2 * CALLERS {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, loaded).await.expect("it is under load");
    let address = edge.address;
    edge.kill();
    timeout(SOON, load.join_all()).await.expect("who called is told");
    assert!(frozen.join_all().await.iter().all(Result::is_err), "the connection failed");
    for stream in streams {
        assert!(timeout(SOON, stream.into_body().collect()).await.expect("a stream ends").is_err());
    }
    for _ in 0..2 * CALLERS {
        timeout(SOON, gone.recv()).await.expect("nothing is kept behind it").unwrap();
    }
    let next = Apart::start(TEST, upstream, address.port()).await;
    for caller in callers {
        assert!(caller.is_answered().await, "over a connection to the next one");
    }
    next.kill();
}
