//! What is on its way to a person, and every state it can stand in. Pure.
//!
//! ```text
//! PENDING ──► SENDING ──► SENT
//!                ├──► RETRY_WAIT ──► SENDING        refused for now: again after a wait, until the attempts are used up;
//!                │                                  or left by a process that stops: at once, and that was no attempt;
//!                │                                  or by one that died before it handed anything over
//!                ├──► DEAD                          refused for good, or too often
//!                ├──► OBSOLETE                      nobody to send it to
//!                └──► UNKNOWN ──► SENDING           once by itself where a second copy does no harm
//! DEAD, UNKNOWN ──► PENDING                         by an admin
//! ```
//!
//! Why UNKNOWN is sent once more for SECURITY and ACCOUNT and not for the rest: a lost one of these locks somebody out or hides a break-in, and two
//! copies carry one Message-ID. What is assigned stands in the inbox anyway.

pub(crate) mod convert;
pub(crate) mod grpc;
pub(crate) mod hand_over;
pub(crate) mod mailer;
pub(crate) mod ops;
pub(crate) mod poke;
pub(crate) mod sender;
pub(crate) mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use db::EnumValue;
use runtime::{OrganizationId, id_type};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::category::Category;
use crate::error::Error;
use crate::mail::Template;
use crate::notice::Letter;

id_type! { pub(crate) struct DeliveryId; "Names a delivery." }

/// How often a delivery of which nobody can tell is sent once more by itself.
const UNKNOWN_RESENT_MAX: i32 = 1;

/// Where a delivery stands. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub(crate) enum State {
    /// Waits for an attempt that nobody made yet.
    Pending = 1,
    /// Somebody has it in hand.
    Sending = 2,
    /// Taken.
    Sent = 3,
    /// Refused for now.
    RetryWait = 4,
    /// Nobody can tell.
    Unknown = 5,
    /// Refused for good, or too often.
    Dead = 6,
    /// Nobody to send it to.
    Obsolete = 7,
}

/// Its names in a filter, in full or without the prefix.
pub(crate) const STATES: &[(&str, EnumValue)] = &[
    ("PENDING", EnumValue::Int(1)),
    ("SENDING", EnumValue::Int(2)),
    ("SENT", EnumValue::Int(3)),
    ("RETRY_WAIT", EnumValue::Int(4)),
    ("UNKNOWN", EnumValue::Int(5)),
    ("DEAD", EnumValue::Int(6)),
    ("OBSOLETE", EnumValue::Int(7)),
    ("DELIVERY_STATE_PENDING", EnumValue::Int(1)),
    ("DELIVERY_STATE_SENDING", EnumValue::Int(2)),
    ("DELIVERY_STATE_SENT", EnumValue::Int(3)),
    ("DELIVERY_STATE_RETRY_WAIT", EnumValue::Int(4)),
    ("DELIVERY_STATE_UNKNOWN", EnumValue::Int(5)),
    ("DELIVERY_STATE_DEAD", EnumValue::Int(6)),
    ("DELIVERY_STATE_OBSOLETE", EnumValue::Int(7)),
];

/// A way to a person. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub(crate) enum Channel {
    /// E-mail.
    Email = 1,
    /// The inbox, which needs no delivery.
    InApp = 2,
}

/// Its names in a filter.
pub(crate) const CHANNELS: &[(&str, EnumValue)] = &[("EMAIL", EnumValue::Int(1)), ("CHANNEL_EMAIL", EnumValue::Int(1))];

/// How an attempt ended. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[repr(i16)]
pub(crate) enum Outcome {
    /// Taken.
    Sent = 1,
    /// Refused for now, or nobody answered.
    PutOff = 2,
    /// Refused for good, or it can't be made.
    Refused = 3,
    /// Nobody can tell.
    Unknown = 4,
    /// Nobody to send it to.
    Obsolete = 5,
}

/// A row of `notifications.delivery`, without its lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, sqlx::FromRow)]
pub(crate) struct Delivery {
    /// Where it happened.
    pub organization_id: OrganizationId,
    /// Its name.
    pub delivery_id: DeliveryId,
    /// To whom: a user, or who was invited.
    pub recipient_id: Uuid,
    /// What led to it.
    pub event_id: Uuid,
    /// Which way.
    pub channel: Channel,
    /// What it is about.
    pub category: Category,
    /// What it is made by.
    pub template: Template,
    /// What the template is filled with.
    pub data: Json<BTreeMap<String, String>>,
    /// Where it stands.
    pub state: State,
    /// Attempts so far.
    pub attempt_count: i32,
    /// Attempts after which it is DEAD.
    pub attempt_limit: i32,
    /// Attempts of which nobody can tell, since it was last asked for.
    pub unknown_count: i32,
    /// When it is looked at next.
    pub due_time: Option<OffsetDateTime>,
    /// When it came to be.
    pub create_time: OffsetDateTime,
    /// When it last changed.
    pub update_time: OffsetDateTime,
}

/// A row of `notifications.delivery_attempt`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attempt {
    /// Counted from 1.
    pub number: i32,
    /// `None` while nobody knows.
    pub outcome: Option<Outcome>,
    /// What the server answered.
    pub smtp_code: Option<i16>,
    /// When it began.
    pub start_time: OffsetDateTime,
    /// When it ended.
    pub end_time: Option<OffsetDateTime>,
}

/// For whom a new delivery is, and why.
pub(crate) struct Addressed {
    /// Where it happened.
    pub organization_id: OrganizationId,
    /// To whom: a user, or who was invited.
    pub recipient_id: Uuid,
    /// What led to it.
    pub event_id: Uuid,
    /// What it is about.
    pub category: Category,
}

impl Delivery {
    /// The delivery that `letter` becomes, due at once.
    pub(crate) fn new(id: DeliveryId, to: Addressed, letter: Letter, attempt_max: i32, now: OffsetDateTime) -> Self {
        let Addressed { organization_id, recipient_id, event_id, category } = to;
        Delivery {
            organization_id,
            delivery_id: id,
            recipient_id,
            event_id,
            channel: Channel::Email,
            category,
            template: letter.template,
            data: Json(letter.data),
            state: State::Pending,
            attempt_count: 0,
            attempt_limit: attempt_max,
            unknown_count: 0,
            due_time: Some(now),
            create_time: now,
            update_time: now,
        }
    }

    /// What becomes of it by the outcome of its last attempt. `wait` is that before the next one, if there is to be one.
    pub(crate) fn settled(&self, outcome: Outcome, wait: Duration, now: OffsetDateTime) -> Self {
        let again = self.attempt_count < self.attempt_limit;
        let unknown_count = self.unknown_count + i32::from(outcome == Outcome::Unknown);
        let resent = again && self.category.may_come_twice() && unknown_count <= UNKNOWN_RESENT_MAX;
        let (state, due) = match outcome {
            Outcome::Sent => (State::Sent, false),
            Outcome::Obsolete => (State::Obsolete, false),
            Outcome::PutOff if again => (State::RetryWait, true),
            Outcome::PutOff | Outcome::Refused => (State::Dead, false),
            Outcome::Unknown => (State::Unknown, resent),
        };
        Delivery { state, unknown_count, due_time: due.then_some(now + wait), update_time: now, ..self.clone() }
    }

    /// The same delivery, left by a process that stops before anything was handed over: due at once, and the attempt does not count.
    pub(crate) fn left(&self, now: OffsetDateTime) -> Self {
        let attempt_limit = self.attempt_limit + 1;
        Delivery { state: State::RetryWait, attempt_limit, due_time: Some(now), update_time: now, ..self.clone() }
    }

    /// The same delivery, to be sent once more with `attempt_max` attempts.
    ///
    /// # Errors
    /// `DELIVERY_WRONG_STATE` unless it is DEAD or UNKNOWN.
    pub(crate) fn redriven(&self, attempt_max: i32, now: OffsetDateTime) -> Result<Self, Error> {
        if !matches!(self.state, State::Dead | State::Unknown) {
            return Err(Error::DeliveryWrongState(self.state));
        }
        let attempt_limit = self.attempt_count + attempt_max;
        let delivery = Delivery { state: State::Pending, attempt_limit, unknown_count: 0, due_time: Some(now), ..self.clone() };
        Ok(Delivery { update_time: now, ..delivery })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-02 09:00 UTC);
    const WAIT: Duration = Duration::from_secs(5);

    fn sending(category: Category, attempt_count: i32) -> Delivery {
        let to = Addressed { organization_id: OrganizationId::SYSTEM, recipient_id: Uuid::nil(), event_id: Uuid::nil(), category };
        let letter = Letter { template: Template::SignIn, data: BTreeMap::new() };
        Delivery { state: State::Sending, attempt_count, ..Delivery::new(DeliveryId::nil(), to, letter, 3, NOW) }
    }

    fn after(delivery: &Delivery, outcome: Outcome) -> (State, bool) {
        let settled = delivery.settled(outcome, WAIT, NOW);
        assert!(settled.due_time.is_none_or(|due| due == NOW + WAIT));
        (settled.state, settled.due_time.is_some())
    }

    #[test]
    fn every_outcome_leads_to_its_state() {
        let delivery = sending(Category::Assignment, 1);
        for (outcome, expected) in [
            (Outcome::Sent, (State::Sent, false)),
            (Outcome::PutOff, (State::RetryWait, true)),
            (Outcome::Refused, (State::Dead, false)),
            (Outcome::Unknown, (State::Unknown, false)),
            (Outcome::Obsolete, (State::Obsolete, false)),
        ] {
            assert_eq!(after(&delivery, outcome), expected, "{outcome:?}");
        }
        assert_eq!(after(&sending(Category::Assignment, 3), Outcome::PutOff), (State::Dead, false), "the attempts are used up");
    }

    #[test]
    fn what_protects_an_account_is_sent_once_more_when_nobody_can_tell_and_not_twice() {
        for category in [Category::Security, Category::Account] {
            let unknown = sending(category, 1).settled(Outcome::Unknown, WAIT, NOW);
            assert_eq!((unknown.state, unknown.due_time), (State::Unknown, Some(NOW + WAIT)));
            let again = Delivery { state: State::Sending, attempt_count: 2, ..unknown };
            assert_eq!(after(&again, Outcome::Unknown), (State::Unknown, false));
        }
        assert_eq!(after(&sending(Category::Status, 1), Outcome::Unknown), (State::Unknown, false));
        assert_eq!(after(&sending(Category::Security, 3), Outcome::Unknown), (State::Unknown, false), "the attempts are used up");
    }

    #[test]
    fn what_a_process_leaves_that_stops_has_as_many_attempts_as_before() {
        let left = sending(Category::Assignment, 3).left(NOW);
        assert_eq!((left.state, left.due_time, left.attempt_limit - left.attempt_count), (State::RetryWait, Some(NOW), 1));
        let again = Delivery { state: State::Sending, attempt_count: 4, ..left };
        assert_eq!(after(&again, Outcome::PutOff), (State::Dead, false));
    }

    #[test]
    fn an_admin_gives_what_failed_a_full_count_of_attempts_and_nothing_else() {
        let dead = sending(Category::Account, 3).settled(Outcome::Refused, WAIT, NOW);
        let again = dead.redriven(3, NOW).unwrap();
        assert_eq!((again.state, again.attempt_count, again.attempt_limit, again.due_time), (State::Pending, 3, 6, Some(NOW)));
        for state in [State::Pending, State::Sending, State::Sent, State::RetryWait, State::Obsolete] {
            let other = Delivery { state, ..dead.clone() };
            assert!(matches!(other.redriven(3, NOW), Err(Error::DeliveryWrongState(wrong)) if wrong == state));
        }
    }
}
