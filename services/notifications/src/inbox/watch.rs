//! Watching one's inbox: from the log, as it is committed, to its person.
//!
//! Nothing is put by for a watcher: the log is read as far as messages are taken, so one who reads slowly is only late, and one who reads
//! nothing for the life of the event log is told `RESUME_TOKEN_EXPIRED`.
//!
//! Deliberately absent: a permission to look at on the way. An inbox is its person's; the end of the session ends the stream (`shared/rpc`).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::notifications::v1::{InboxChange, WatchInboxResponse};
use db::Sealer;
use events::{Item, Log, Tail};
use futures::{Stream, stream};
use rpc::Caller;
use runtime::{OrganizationId, UserId};
use tokio::time::Instant;

use crate::{Config, error::Error, events as own_events};

const LABEL: &str = "watch resume token";

/// Starts watches.
#[derive(Clone)]
pub(crate) struct Watcher {
    log: Log,
    sealer: Sealer,
    config: Config,
}

impl Watcher {
    /// Over the service's log.
    pub(crate) fn new(log: Log, sealer: Sealer, config: Config) -> Self {
        Watcher { log, sealer, config }
    }

    /// Changes of the caller's inbox after `resume_token`, or from now on when it is empty. The first message is a bookmark.
    ///
    /// # Errors
    /// `RESUME_TOKEN_INVALID`, `RESUME_TOKEN_EXPIRED`.
    pub(crate) async fn watch(
        &self,
        caller: &Caller,
        resume_token: &str,
    ) -> Result<impl Stream<Item = Result<WatchInboxResponse, Error>> + Send + 'static, Error> {
        let whose = Whose { organization_id: caller.organization_id(), user_id: caller.user_id()? };
        let from = if resume_token.is_empty() { None } else { Some(whose.open(&self.sealer, resume_token)?) };
        let tail = self.log.tail(from, own_events::of_inboxes()).await?;
        let bookmark = self.config.watch_bookmark();
        let watch = Watch { tail, whose, sealer: self.sealer.clone(), bookmark, told: None };
        Ok(stream::unfold(Some(watch), async |watch| {
            let mut watch = watch?;
            match watch.next().await {
                Ok(message) => Some((Ok(message), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

/// Whose inbox is watched, from within which organization: what a token is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whose {
    organization_id: OrganizationId,
    user_id: UserId,
}

impl Whose {
    fn aad(self) -> Vec<u8> {
        format!("{}\n{}", self.organization_id, self.user_id).into_bytes()
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

/// One watcher's way along the log.
struct Watch {
    tail: Tail,
    whose: Whose,
    sealer: Sealer,
    bookmark: Duration,
    /// When the last message was given; `None` before the first.
    told: Option<Instant>,
}

impl Watch {
    async fn next(&mut self) -> Result<WatchInboxResponse, Error> {
        let Some(told) = self.told else { return Ok(self.message(None, self.tail.position())) };
        loop {
            let Item { position, event, .. } = self.tail.next().await?;
            let change = match &event {
                Some(event) => own_events::change(event, self.whose.user_id, self.whose.organization_id)
                    .map_err(|cause| rpc::Error::Internal(cause.to_string()))?,
                None => None,
            };
            if change.is_some() || told.elapsed() >= self.bookmark {
                return Ok(self.message(change, position));
            }
        }
    }

    fn message(&mut self, change: Option<InboxChange>, position: i64) -> WatchInboxResponse {
        self.told = Some(Instant::now());
        WatchInboxResponse { change, resume_token: self.whose.seal(&self.sealer, position) }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn whose(organization: u128, user: u128) -> Whose {
        Whose { organization_id: Uuid::from_u128(organization).into(), user_id: Uuid::from_u128(user).into() }
    }

    #[test]
    fn a_token_leads_on_for_its_own_person_and_tenant_alone() {
        let sealer = Sealer::from_key(&[7; 32]);
        let token = whose(1, 2).seal(&sealer, 42);
        assert_eq!(whose(1, 2).open(&sealer, &token).unwrap(), 42);
        for other in [whose(1, 3), whose(3, 2), whose(2, 1)] {
            assert!(matches!(other.open(&sealer, &token), Err(Error::Rpc(rpc::Error::ResumeTokenInvalid))));
        }
        assert!(whose(1, 2).open(&sealer, "nonsense").is_err() && whose(1, 2).open(&Sealer::from_key(&[8; 32]), &token).is_err());
    }
}
