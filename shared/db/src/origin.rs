//! Where a call came from, as it lies beside its events: network address and agent tell who a person is, so they are sealed.
//!
//! Deliberately absent: what is told of it. The envelope on the bus carries both in the clear, for audit, which seals them in its own tables.

use rpc::Caller;
use uuid::Uuid;

use crate::{DoesNotOpen, Sealer};

const LABEL: &str = "origin of an event";

/// Network address and agent of a call, each as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The network address; empty when it is not known.
    pub client_address: String,
    /// The agent; empty when it is not known.
    pub user_agent: String,
}

impl Origin {
    /// Of the call that `caller` makes; `None` when nothing is known of it, as in background work.
    pub(crate) fn of(caller: &Caller) -> Option<Self> {
        let known = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let origin = Origin { client_address: known(caller.client_address()), user_agent: known(caller.user_agent()) };
        (origin != Origin::default()).then_some(origin)
    }

    /// As it is stored beside the event `event_id`.
    pub(crate) fn seal(&self, sealer: &Sealer, event_id: Uuid) -> Vec<u8> {
        // The agent stands last: it may hold anything but a line's end, which no header has.
        let plain = format!("{}\n{}", self.client_address, self.user_agent);
        sealer.seal(LABEL, event_id.as_bytes(), plain.as_bytes())
    }

    /// Reads what is stored beside the event `event_id`.
    ///
    /// # Errors
    /// Another key file, or a value moved from another event.
    pub fn open(sealer: &Sealer, event_id: Uuid, sealed: Option<&[u8]>) -> Result<Self, DoesNotOpen> {
        let Some(sealed) = sealed else { return Ok(Origin::default()) };
        let plain = String::from_utf8(sealer.open(LABEL, event_id.as_bytes(), sealed)?).map_err(|_| DoesNotOpen)?;
        let (client_address, user_agent) = plain.split_once('\n').ok_or(DoesNotOpen)?;
        Ok(Origin { client_address: client_address.to_owned(), user_agent: user_agent.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_opens_beside_its_own_event_alone_and_lies_nowhere_in_the_clear() {
        let (sealer, event) = (Sealer::from_key(&[7; 32]), Uuid::from_u128(1));
        let origin = Origin { client_address: "203.0.113.77".to_owned(), user_agent: "Marmoset/7.2 (é)".to_owned() };
        let sealed = origin.seal(&sealer, event);
        assert!(!sealed.windows(8).any(|part| part == b"Marmoset" || part == b"203.0.11"));
        assert_eq!(Origin::open(&sealer, event, Some(&sealed)), Ok(origin));
        assert_eq!(Origin::open(&sealer, Uuid::from_u128(2), Some(&sealed)), Err(DoesNotOpen));
        assert_eq!(Origin::open(&sealer, event, None), Ok(Origin::default()));
    }
}
