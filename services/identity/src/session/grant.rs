//! What tokens are given for.
//!
//! Why their time of issue is taken while the session's row is held, and no later: what takes something from the sessions of a user holds the same
//! rows before it looks at the clock and voids the tokens from before (`factor::ops`). So whatever still says it is void, however long it is on its
//! way, and what is given to a session afterwards is good.

use db::Tx;
use time::OffsetDateTime;

use super::{Held, Session};

/// A session and what its user holds, as the rows have it in the transaction that gives tokens for it.
pub struct Grant {
    /// The session.
    pub session: Session,
    /// What its user holds where it acts.
    pub held: Held,
    /// When its tokens are issued.
    pub issue_time: OffsetDateTime,
}

impl Grant {
    /// Of a session whose row this transaction holds.
    pub fn of(tx: &Tx, session: Session, held: Held) -> Self {
        Grant { session, held, issue_time: tx.db().clock().now() }
    }
}
