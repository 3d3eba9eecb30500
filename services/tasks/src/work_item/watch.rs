//! Watching the items of a workspace: from the log, as it is committed, to whoever may see it.
//!
//! One task for each watcher reads the log and puts messages into a bounded buffer; the stream takes them out. A watcher who lets the buffer
//! stand full is cut off and holds nothing any more: its token leads on from where it was.
//!
//! Why the permission is looked at on a timer and not told: a look costs a microsecond, takes no lock, and can't be missed. It is looked at
//! before every message too, so that nothing is told after the permission is gone.
//!
//! Deliberately absent: filters and the watch of one item; they come with the first caller that needs them.

use std::time::Duration;

use authz::{Authorizer, Held};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::Permission;
use contract::tasks::v1::{WatchWorkItemsResponse, WorkItemChange};
use db::Sealer;
use events::{Item, Log, Tail};
use futures::future::FusedFuture;
use futures::{FutureExt, Stream, stream};
use rpc::Caller;
use runtime::{OrganizationId, Tasks, UserId, WorkspaceId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

use crate::{Config, error::Error, events as own_events};

const LABEL: &str = "watch resume token";

/// Starts watches.
#[derive(Clone)]
pub struct Watcher {
    log: Log,
    sealer: Sealer,
    tasks: Tasks,
    config: Config,
}

impl Watcher {
    /// Over the service's log.
    pub fn new(log: Log, sealer: Sealer, tasks: Tasks, config: Config) -> Self {
        Watcher { log, sealer, tasks, config }
    }

    /// Changes of a workspace's items after `resume_token`, or from now on when it is empty. The first message is a bookmark.
    ///
    /// The stream ends with `PERMISSION_DENIED` or `WORKSPACE_NOT_FOUND` within a second after the caller lost the permission, with
    /// `SLOW_CONSUMER` when messages were not taken, with `RESUME_TOKEN_EXPIRED` when retention overtook it.
    ///
    /// # Errors
    /// `RESUME_TOKEN_INVALID`, `RESUME_TOKEN_EXPIRED`.
    pub async fn watch(
        &self,
        caller: &Caller,
        workspace_id: WorkspaceId,
        resume_token: &str,
    ) -> Result<impl Stream<Item = Result<WatchWorkItemsResponse, Error>> + Send + 'static, Error> {
        let scope = Scope { organization_id: caller.organization_id(), workspace_id };
        let from = if resume_token.is_empty() { None } else { Some(scope.open(&self.sealer, resume_token)?) };
        let viewer = Viewer { user_id: caller.user_id()?, scope, authorizer: caller.authorizer().clone() };
        let tail = self.log.tail(from, own_events::of_work_items(scope.organization_id)).await?;
        let (messages, taken) = mpsc::channel(self.config.watch_buffer);
        let (end, ended) = oneshot::channel();
        let mut looks = interval(self.config.watch_recheck());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watch = Watch { tail, viewer, sealer: self.sealer.clone(), messages, looks, config: self.config.clone(), told: Instant::now() };
        self.tasks.spawn_once("watch of work items", async move {
            if let Err(Ended::With(error)) = watch.run().await {
                // The watcher may have gone in the meantime.
                let _ = end.send(error);
            }
        });
        Ok(messages_until(taken, ended))
    }
}

/// Messages until the watch ends. Its end is told before what still waits: a watcher without permission is told nothing more, and one who was
/// too slow reads it after its last token.
fn messages_until(
    taken: mpsc::Receiver<WatchWorkItemsResponse>,
    ended: oneshot::Receiver<Error>,
) -> impl Stream<Item = Result<WatchWorkItemsResponse, Error>> + Send + 'static {
    stream::unfold(Some((taken, ended.fuse())), async |open| {
        let (mut taken, mut ended) = open?;
        let message = tokio::select! {
            biased;
            Ok(error) = &mut ended => return Some((Err(error), None)),
            message = taken.recv() => message,
        };
        match message {
            Some(message) => Some((Ok(message), Some((taken, ended)))),
            // The buffer goes a moment before its end is told.
            None if ended.is_terminated() => None,
            None => ended.await.ok().map(|error| (Err(error), None)),
        }
    })
}

/// What is watched: what a token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scope {
    organization_id: OrganizationId,
    workspace_id: WorkspaceId,
}

impl Scope {
    fn aad(self) -> Vec<u8> {
        format!("{}\n{}", self.organization_id, self.workspace_id).into_bytes()
    }

    fn seal(self, sealer: &Sealer, position: i64) -> String {
        URL_SAFE_NO_PAD.encode(sealer.seal(LABEL, &self.aad(), &position.to_be_bytes()))
    }

    fn open(self, sealer: &Sealer, token: &str) -> Result<i64, Error> {
        let sealed = URL_SAFE_NO_PAD.decode(token).ok();
        let opened = sealed.and_then(|sealed| sealer.open(LABEL, &self.aad(), &sealed).ok());
        let position = opened.and_then(|bytes| bytes.try_into().ok()).map(i64::from_be_bytes);
        position.ok_or_else(|| rpc::Error::ResumeTokenInvalid.into())
    }
}

/// Who watches.
struct Viewer {
    user_id: UserId,
    scope: Scope,
    authorizer: Authorizer,
}

impl Viewer {
    /// Whether the permission still holds.
    fn check(&self) -> Result<(), Error> {
        let Scope { organization_id, workspace_id } = self.scope;
        if !self.authorizer.is_current(organization_id) {
            return Err(rpc::Error::AuthorizationStale.into());
        }
        match self.authorizer.reach(self.user_id, Permission::TasksWorkItemWatch, organization_id, Some(workspace_id)) {
            Held::Yes { .. } => Ok(()),
            Held::No { knows_scope: true } => Err(rpc::Error::Denied.into()),
            Held::No { knows_scope: false } => Err(rpc::Error::WorkspaceNotFound.into()),
        }
    }
}

/// Why a watch is over.
enum Ended {
    /// There is something to tell.
    With(Error),
    /// The watcher has gone.
    Alone,
}

impl<E: Into<Error>> From<E> for Ended {
    fn from(error: E) -> Self {
        Ended::With(error.into())
    }
}

/// One watcher's way along the log.
struct Watch {
    tail: Tail,
    viewer: Viewer,
    sealer: Sealer,
    messages: mpsc::Sender<WatchWorkItemsResponse>,
    looks: Interval,
    config: Config,
    /// When the last message was put into the buffer.
    told: Instant,
}

impl Watch {
    async fn run(mut self) -> Result<(), Ended> {
        self.tell(None, self.tail.position()).await?;
        loop {
            let Item { position, event, .. } = permitted(&mut self.looks, &self.viewer, &self.messages, self.tail.next()).await??;
            let change = match &event {
                Some(event) => own_events::change(event).map_err(|cause| rpc::Error::Internal(cause.to_string()))?,
                None => None,
            };
            let change = change.filter(|change| self.is_of_workspace(change));
            if change.is_some() || self.told.elapsed() >= self.config.watch_bookmark() {
                self.tell(change, position).await?;
            }
        }
    }

    fn is_of_workspace(&self, change: &WorkItemChange) -> bool {
        let workspace_id = change.work_item.as_ref().and_then(|item| item.workspace_id.parse().ok());
        workspace_id == Some(self.viewer.scope.workspace_id)
    }

    async fn tell(&mut self, change: Option<WorkItemChange>, position: i64) -> Result<(), Ended> {
        let message = WatchWorkItemsResponse { change, resume_token: self.viewer.scope.seal(&self.sealer, position) };
        let slow: Duration = self.config.watch_slow();
        let place = timeout(slow, self.messages.reserve());
        match permitted(&mut self.looks, &self.viewer, &self.messages, place).await? {
            Ok(Ok(place)) => place.send(message),
            Ok(Err(_)) => return Err(Ended::Alone),
            Err(_) => return Err(Error::SlowConsumer.into()),
        }
        self.told = Instant::now();
        Ok(())
    }
}

/// Waits for `future` as long as the watcher is there and may watch; looks once more when it is done.
async fn permitted<F: Future>(
    looks: &mut Interval,
    viewer: &Viewer,
    messages: &mpsc::Sender<WatchWorkItemsResponse>,
    future: F,
) -> Result<F::Output, Ended> {
    // It is not dropped at a look: it may be in the middle of reading the log.
    tokio::pin!(future);
    loop {
        let output = tokio::select! {
            () = messages.closed() => return Err(Ended::Alone),
            _ = looks.tick() => None,
            output = &mut future => Some(output),
        };
        viewer.check()?;
        if let Some(output) = output {
            return Ok(output);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn scope(organization: u128, workspace: u128) -> Scope {
        Scope { organization_id: Uuid::from_u128(organization).into(), workspace_id: Uuid::from_u128(workspace).into() }
    }

    #[test]
    fn a_token_leads_on_in_its_own_workspace_and_tenant_alone() {
        let sealer = Sealer::from_key(&[7; 32]);
        let token = scope(1, 2).seal(&sealer, 42);
        assert_eq!(scope(1, 2).open(&sealer, &token).unwrap(), 42);
        for other in [scope(1, 3), scope(3, 2), scope(2, 1)] {
            assert!(matches!(other.open(&sealer, &token), Err(Error::Rpc(rpc::Error::ResumeTokenInvalid))));
        }
        assert!(scope(1, 2).open(&Sealer::from_key(&[8; 32]), &token).is_err());
        assert!(scope(1, 2).open(&sealer, "nonsense").is_err() && scope(1, 2).open(&sealer, "").is_err());
    }

    #[tokio::test]
    async fn the_end_of_a_watch_is_told_before_what_still_waits() {
        use futures::StreamExt;
        let (messages, taken) = mpsc::channel(2);
        let (end, ended) = oneshot::channel();
        messages.send(WatchWorkItemsResponse::default()).await.unwrap();
        end.send(Error::SlowConsumer).unwrap();
        let told: Vec<_> = messages_until(taken, ended).collect().await;
        assert!(matches!(told[..], [Err(Error::SlowConsumer)]));
    }

    #[tokio::test]
    async fn a_watch_that_ends_without_a_word_ends_the_stream_after_what_waits() {
        use futures::StreamExt;
        let (messages, taken) = mpsc::channel(2);
        let (end, ended) = oneshot::channel::<Error>();
        messages.send(WatchWorkItemsResponse::default()).await.unwrap();
        drop((end, messages));
        let told: Vec<_> = messages_until(taken, ended).collect().await;
        assert!(matches!(told[..], [Ok(_)]));
    }
}
