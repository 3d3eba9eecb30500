//! Keeps an [`Authorizer`] equal to the authorization service's tables: a snapshot over `GetSnapshot`, then `Watch` from its position.
//!
//! Deliberately absent: the loop itself (`runtime::feed`), credentials and addresses (the client's channel).

use std::time::Duration;

use bytes::Bytes;
use contract::WireReason;
use contract::authorization::v1::replication_service_client::ReplicationServiceClient;
use contract::authorization::v1::{GetSnapshotRequest, WatchRequest};
use contract::common::v1::Reason;
use futures::StreamExt;
use runtime::Shutdown;
use runtime::feed::{Changes, Feed, Message, Replica};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::{Authorizer, Claim, Delta, Malformed, Snapshot};

/// How long one Watch stream lives: the most that the method's policy allows. After it, the feed goes on from where it was.
const WATCH_MAX: Duration = Duration::from_secs(3_600);

/// Why the authorization service could not be followed for the moment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service, or the way to it, refused.
    #[error("{} ({:?})", .0.message(), .0.code())]
    Status(Box<Status>),
    /// It sent what can't be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It ended a snapshot before the last chunk.
    #[error("the snapshot ended early")]
    Truncated,
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Error::Status(Box::new(status))
    }
}

/// Follows the authorization service until shutdown; it ends for no other reason. `feed` is named by the service that embeds the authorizer, as
/// `Feed::new("tasks", "authorization", Options::default())`.
pub async fn replicate<T>(feed: Feed, authorizer: Authorizer, client: ReplicationServiceClient<T>, shutdown: Shutdown)
where
    T: GrpcService<Body> + Clone + Send + Sync + 'static,
    T::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T::Future: Send,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    feed.run(Remote { authorizer, client, claim: None }, shutdown).await;
}

struct Remote<T> {
    authorizer: Authorizer,
    client: ReplicationServiceClient<T>,
    /// What the newest message said of its freshness.
    claim: Option<Claim>,
}

impl<T> Replica for Remote<T>
where
    T: GrpcService<Body> + Clone + Send + Sync + 'static,
    T::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T::Future: Send,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Snapshot = (Snapshot, Option<Claim>);
    type Body = (Delta, Option<Claim>);
    type Error = Error;

    async fn snapshot(&mut self) -> Result<(i64, Self::Snapshot), Error> {
        let mut chunks = self.client.get_snapshot(GetSnapshotRequest {}).await?.into_inner();
        let mut snapshot = Snapshot::default();
        while let Some(chunk) = chunks.message().await? {
            snapshot.extend(chunk.position, &Delta::read(chunk.assignments, chunk.workspaces)?);
            if chunk.last {
                return Ok((chunk.position, (snapshot, Claim::read(chunk.freshness)?)));
            }
        }
        Err(Error::Truncated)
    }

    async fn watch(&mut self, position: i64) -> Result<Changes<Self>, Error> {
        let mut request = Request::new(WatchRequest { from_position: position });
        request.set_timeout(WATCH_MAX);
        let news = self.client.watch(request).await?.into_inner();
        let messages = news.map(|news| {
            let news = news?;
            let body = (Delta::read(news.assignments, news.workspaces)?, Claim::read(news.freshness)?);
            Ok(Message { previous_position: news.previous_position, position: news.position, body })
        });
        Ok(messages.boxed())
    }

    fn needs_snapshot(&self, error: &Error) -> bool {
        let Error::Status(status) = error else { return false };
        let details = status.get_error_details();
        details.error_info().is_some_and(|info| info.reason == Reason::ResumeTokenExpired.wire() && info.domain == Reason::DOMAIN)
    }

    fn install(&mut self, _position: i64, (snapshot, claim): Self::Snapshot) {
        self.authorizer.install(snapshot);
        self.claim = claim;
    }

    fn apply(&mut self, position: i64, (delta, _): Self::Body) {
        self.authorizer.apply(position, &delta);
    }

    fn hear(&mut self, (_, claim): &Self::Body) {
        self.claim.clone_from(claim);
    }

    fn current(&mut self) {
        self.authorizer.heard();
        if let Some(claim) = self.claim.take() {
            claim.tell(&self.authorizer);
        }
    }
}
