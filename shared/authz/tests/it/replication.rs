//! An authorizer fed over a real socket by a service that plays the authorization service.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authz::{Assignment, Authorizer, RoleScope};
use contract::BaseRole;
use contract::authorization::v1::replication_service_client::ReplicationServiceClient;
use contract::authorization::v1::replication_service_server::{ReplicationService, ReplicationServiceServer};
use contract::authorization::v1::{self as pb, Freshness, GetSnapshotRequest, GetSnapshotResponse, WatchRequest, WatchResponse};
use futures::{Stream, StreamExt, stream};
use runtime::feed::{Feed, FeedFaults, Options};
use runtime::{Backoff, Shutdown};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::{TcpListenerStream, WatchStream};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::world::{organization, user};

const PATIENCE: Duration = Duration::from_secs(20);

/// Position n of the log is the n-th assignment; the log is kept from `kept_from` on.
#[derive(Clone)]
struct Peer {
    log: watch::Sender<Vec<pb::Assignment>>,
    kept_from: Arc<Mutex<i64>>,
    snapshots: Arc<Mutex<u32>>,
    freshness: Arc<Mutex<Option<Freshness>>>,
}

impl Peer {
    async fn start() -> (Self, ReplicationServiceClient<tonic::transport::Channel>) {
        let peer =
            Peer { log: watch::Sender::new(Vec::new()), kept_from: Arc::default(), snapshots: Arc::default(), freshness: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "a bare server of one test, which dies with its runtime")]
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(ReplicationServiceServer::new(peer.clone()))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        (peer, ReplicationServiceClient::connect(address).await.unwrap())
    }

    /// Tells the user's next role; answers with its version.
    fn tell(&self, role: Option<BaseRole>) -> i64 {
        let version = self.log.borrow().len() as i64 + 1;
        let assignment = Assignment { user: user(1), scope: RoleScope::Organization(organization(0)), role, version };
        self.log.send_modify(|log| log.push(assignment.into()));
        version
    }

    fn snapshots(&self) -> u32 {
        *self.snapshots.lock().unwrap()
    }
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ReplicationService for Peer {
    type GetSnapshotStream = Streamed<GetSnapshotResponse>;
    type WatchStream = Streamed<WatchResponse>;

    async fn get_snapshot(&self, _: Request<GetSnapshotRequest>) -> Result<Response<Self::GetSnapshotStream>, Status> {
        *self.snapshots.lock().unwrap() += 1;
        let log = self.log.borrow().clone();
        let position = log.len() as i64;
        let first = GetSnapshotResponse { assignments: log, position, ..GetSnapshotResponse::default() };
        let freshness = self.freshness.lock().unwrap().clone();
        let last = GetSnapshotResponse { last: true, position, freshness, ..GetSnapshotResponse::default() };
        Ok(Response::new(stream::iter([Ok(first), Ok(last)]).boxed()))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let mut position = request.into_inner().from_position;
        if position < *self.kept_from.lock().unwrap() {
            let details = ErrorDetails::with_error_info("RESUME_TOKEN_EXPIRED", "muster", std::collections::HashMap::new());
            return Err(Status::with_error_details(Code::OutOfRange, "expired", details));
        }
        let freshness = self.freshness.lock().unwrap().clone();
        let news = WatchStream::new(self.log.subscribe()).map(move |log| {
            let previous_position = std::mem::replace(&mut position, log.len() as i64);
            let assignments = log[previous_position as usize..].to_vec();
            Ok(WatchResponse { previous_position, position, assignments, freshness: freshness.clone(), ..WatchResponse::default() })
        });
        Ok(Response::new(news.boxed()))
    }
}

fn follow(client: ReplicationServiceClient<tonic::transport::Channel>) -> (Authorizer, FeedFaults, Shutdown) {
    let (authorizer, faults, shutdown) = (Authorizer::new(), FeedFaults::default(), Shutdown::new());
    let options = Options { backoff: Backoff::exact(Duration::from_millis(1), Duration::from_millis(5)), ..Options::default() };
    let feed = Feed::new("tasks", "authorization", options).with_faults(faults.clone());
    #[expect(clippy::disallowed_methods, reason = "a task of one test, which dies with its runtime")]
    tokio::spawn(authz::replicate(feed, authorizer.clone(), client, shutdown.clone()));
    (authorizer, faults, shutdown)
}

async fn arrives(authorizer: &Authorizer, version: i64) -> Option<BaseRole> {
    assert!(authorizer.wait_for(user(1), organization(0), None, version, PATIENCE).await, "version {version} arrives");
    authorizer.organization_role(user(1), organization(0))
}

#[tokio::test]
async fn an_authorizer_takes_a_snapshot_and_then_every_change() {
    let (peer, client) = Peer::start().await;
    let first = peer.tell(Some(BaseRole::Viewer));
    let (authorizer, _, _) = follow(client);
    assert_eq!(arrives(&authorizer, first).await, Some(BaseRole::Viewer));
    let second = peer.tell(Some(BaseRole::Owner));
    assert_eq!(arrives(&authorizer, second).await, Some(BaseRole::Owner));
    let third = peer.tell(None);
    assert_eq!(arrives(&authorizer, third).await, None);
    assert_eq!((authorizer.revision(), peer.snapshots()), (3, 1));
}

#[tokio::test]
async fn a_lost_message_is_made_good_by_a_new_snapshot() {
    let (peer, client) = Peer::start().await;
    let first = peer.tell(Some(BaseRole::Owner));
    let (authorizer, faults, _) = follow(client);
    arrives(&authorizer, first).await;
    faults.lose_message(1);
    peer.tell(None);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let third = peer.tell(Some(BaseRole::Member));
    assert_eq!(arrives(&authorizer, third).await, Some(BaseRole::Member));
    assert_eq!(peer.snapshots(), 2);
}

#[tokio::test]
async fn a_position_older_than_the_log_leads_to_a_new_snapshot() {
    let (peer, client) = Peer::start().await;
    *peer.kept_from.lock().unwrap() = 1;
    let (authorizer, _, _) = follow(client);
    authorizer.ready().await;
    // Position 0 is refused as expired, so that only a second snapshot can bring this.
    let version = peer.tell(Some(BaseRole::Admin));
    assert_eq!(arrives(&authorizer, version).await, Some(BaseRole::Admin));
    assert!(peer.snapshots() >= 2);
}

#[tokio::test]
async fn an_authorizer_is_as_old_as_the_service_says_whatever_heartbeats_come() {
    let (peer, client) = Peer::start().await;
    let first = peer.tell(Some(BaseRole::Owner));
    let (authorizer, _, _) = follow(client.clone());
    arrives(&authorizer, first).await;
    assert!(!authorizer.is_current(organization(0)), "nobody vouches for it");
    let blocked_organization_ids = vec![organization(1).to_string()];
    for (age_ms, current) in [(61_000, false), (1_000, true)] {
        *peer.freshness.lock().unwrap() = Some(Freshness { age_ms, blocked_organization_ids: blocked_organization_ids.clone() });
        let (authorizer, _, _) = follow(client.clone());
        arrives(&authorizer, first).await;
        let second = peer.tell(Some(BaseRole::Owner));
        arrives(&authorizer, second).await;
        assert_eq!(authorizer.is_current(organization(0)), current, "{age_ms} ms");
        assert!(!authorizer.is_current(organization(1)), "blocked");
    }
}
