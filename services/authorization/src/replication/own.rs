//! The authorizer of this process, fed from our own tables by the same messages that the other services get.

use authz::{Authorizer, Delta, Snapshot};
use db::Db;
use events::Log;
use futures::{StreamExt, TryStreamExt};
use runtime::feed::{Changes, Message, Replica};

use crate::Error;

/// The way from our tables to our authorizer, for `runtime::feed` to follow.
pub struct Own {
    /// Our tables.
    pub db: Db,
    /// Our log.
    pub log: Log,
    /// What is kept current.
    pub authorizer: Authorizer,
    /// Entries that are read at once.
    pub chunk_size: usize,
}

impl Replica for Own {
    type Snapshot = Snapshot;
    type Body = Delta;
    type Error = Error;

    async fn snapshot(&mut self) -> Result<(i64, Snapshot), Error> {
        let mut chunks = super::snapshot(self.db.clone(), self.chunk_size);
        let mut snapshot = Snapshot::default();
        while let Some(chunk) = chunks.try_next().await? {
            let part = Delta::read(chunk.assignments, chunk.workspaces).map_err(Error::Unreadable)?;
            snapshot.extend(chunk.position, &part);
        }
        Ok((snapshot.revision(), snapshot))
    }

    async fn watch(&mut self, position: i64) -> Result<Changes<Self>, Error> {
        let changes = super::changes(&self.log, position).await?;
        let messages = changes.map(|news| {
            let news = news?;
            let body = Delta::read(news.assignments, news.workspaces).map_err(Error::Unreadable)?;
            Ok(Message { previous_position: news.previous_position, position: news.position, body })
        });
        Ok(messages.boxed())
    }

    fn needs_snapshot(&self, error: &Error) -> bool {
        matches!(error, Error::Events(events::Error::ResumeTokenExpired))
    }

    fn install(&mut self, _position: i64, snapshot: Snapshot) {
        self.authorizer.install(snapshot);
    }

    fn apply(&mut self, position: i64, delta: Delta) {
        self.authorizer.apply(position, &delta);
    }

    fn current(&mut self) {
        self.authorizer.heard();
    }
}
