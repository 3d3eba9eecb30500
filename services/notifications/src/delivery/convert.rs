//! Deliveries on the wire.

use contract::notifications::v1 as pb;
use contract::time::timestamp;

use super::{Attempt, Delivery};
use crate::mail::Template;

impl From<&Delivery> for pb::Delivery {
    fn from(delivery: &Delivery) -> Self {
        let recipient = delivery.recipient_id.to_string();
        let (user_id, invitation_id) =
            if delivery.template == Template::Invitation { (String::new(), recipient) } else { (recipient, String::new()) };
        pb::Delivery {
            delivery_id: delivery.delivery_id.to_string(),
            organization_id: delivery.organization_id.to_string(),
            user_id,
            invitation_id,
            channel: i32::from(delivery.channel as i16),
            category: pb::Category::from(delivery.category).into(),
            template: delivery.template.name().to_owned(),
            event_id: delivery.event_id.to_string(),
            state: i32::from(delivery.state as i16),
            attempt_count: delivery.attempt_count,
            due_time: delivery.due_time.map(timestamp),
            create_time: Some(timestamp(delivery.create_time)),
            update_time: Some(timestamp(delivery.update_time)),
        }
    }
}

impl From<&Attempt> for pb::DeliveryAttempt {
    fn from(attempt: &Attempt) -> Self {
        pb::DeliveryAttempt {
            number: attempt.number,
            outcome: attempt.outcome.map_or(0, |outcome| i32::from(outcome as i16)),
            smtp_code: attempt.smtp_code.map(i32::from).unwrap_or_default(),
            start_time: Some(timestamp(attempt.start_time)),
            end_time: attempt.end_time.map(timestamp),
        }
    }
}

#[cfg(test)]
mod tests {
    use db::EnumValue;

    use super::super::{CHANNELS, Outcome, STATES, State};
    use super::*;

    #[test]
    fn every_name_of_an_enum_is_that_of_the_contract() {
        let number = |value: &EnumValue| if let EnumValue::Int(number) = value { i32::from(*number) } else { -1 };
        for (names, prefix, wire) in [
            (STATES, "DELIVERY_STATE_", (|name| pb::DeliveryState::from_str_name(name).map(i32::from)) as fn(&str) -> Option<i32>),
            (CHANNELS, "CHANNEL_", |name| pb::Channel::from_str_name(name).map(i32::from)),
        ] {
            for (name, value) in names {
                let full = if name.starts_with(prefix) { (*name).to_owned() } else { format!("{prefix}{name}") };
                assert_eq!(wire(&full), Some(number(value)), "{name}");
            }
        }
        assert_eq!(pb::DeliveryState::try_from(State::RetryWait as i32), Ok(pb::DeliveryState::RetryWait));
        assert_eq!(pb::AttemptOutcome::try_from(Outcome::Obsolete as i32), Ok(pb::AttemptOutcome::Obsolete));
        assert_eq!(pb::AttemptOutcome::try_from(Outcome::PutOff as i32), Ok(pb::AttemptOutcome::PutOff));
    }
}
