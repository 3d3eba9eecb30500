//! How old the authorization service says that its state is, and whom it can't speak for.
//!
//! Deliberately absent: how it knows; `events::Freshness` does.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::authorization::v1::Freshness;
use runtime::OrganizationId;
use tokio::time::Instant;

use crate::{Authorizer, Malformed};

/// A message's freshness, with the moment it came.
#[derive(Clone, Debug)]
pub struct Claim {
    came: Instant,
    age: Duration,
    blocked: BTreeSet<OrganizationId>,
}

impl Claim {
    /// What a message that came now says.
    ///
    /// # Errors
    /// [`Malformed`] when an id is none.
    pub fn read(freshness: Option<Freshness>) -> Result<Option<Self>, Malformed> {
        let Some(Freshness { age_ms, blocked_organization_ids }) = freshness else { return Ok(None) };
        let blocked = blocked_organization_ids.iter().map(|id| id.parse().map_err(|_| Malformed("blocked_organization_ids")));
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        Ok(Some(Self { came: Instant::now(), age, blocked: blocked.collect::<Result<_, _>>()? }))
    }

    /// Tells `authorizer`, which holds what the message leads to.
    pub fn tell(self, authorizer: &Authorizer) {
        authorizer.vouch(self.age + self.came.elapsed(), self.blocked);
    }
}
