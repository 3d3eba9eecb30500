//! The authorizer of this process, fed from our own tables by the same messages that the other services get.

use authz::{Authorizer, Claim, Delta, Snapshot};
use db::Db;
use events::{Freshness, Log};
use futures::{StreamExt, TryStreamExt};
use runtime::feed::{Changes, Message, Replica};

use crate::Error;

/// The way from our tables to our authorizer, for `runtime::feed` to follow.
pub struct Own {
    /// Our tables.
    pub db: Db,
    /// Our log.
    pub log: Log,
    /// How old what we took from identity is.
    pub freshness: Freshness,
    /// What is kept current.
    pub authorizer: Authorizer,
    /// What the newest message said of its freshness.
    pub claim: Option<Claim>,
    /// Entries that are read at once.
    pub chunk_size: usize,
}

impl Replica for Own {
    type Snapshot = (Snapshot, Option<Claim>);
    type Body = (Delta, Option<Claim>);
    type Error = Error;

    async fn snapshot(&mut self) -> Result<(i64, Self::Snapshot), Error> {
        let mut chunks = super::snapshot(self.db.clone(), &self.freshness, self.chunk_size);
        let (mut snapshot, mut claim) = (Snapshot::default(), None);
        while let Some(chunk) = chunks.try_next().await? {
            let part = Delta::read(chunk.assignments, chunk.workspaces).map_err(Error::Unreadable)?;
            snapshot.extend(chunk.position, &part);
            claim = Claim::read(chunk.freshness).map_err(Error::Unreadable)?;
        }
        Ok((snapshot.revision(), (snapshot, claim)))
    }

    async fn watch(&mut self, position: i64) -> Result<Changes<Self>, Error> {
        let changes = super::changes(&self.log, &self.freshness, position).await?;
        let messages = changes.map(|news| {
            let news = news?;
            let delta = Delta::read(news.assignments, news.workspaces).map_err(Error::Unreadable)?;
            let body = (delta, Claim::read(news.freshness).map_err(Error::Unreadable)?);
            Ok(Message { previous_position: news.previous_position, position: news.position, body })
        });
        Ok(messages.boxed())
    }

    fn needs_snapshot(&self, error: &Error) -> bool {
        matches!(error, Error::Events(events::Error::ResumeTokenExpired))
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
