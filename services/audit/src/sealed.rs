//! Network address and agent: the two personal things a record holds, sealed under the service's key.

use db::Sealer;
use uuid::Uuid;

const ADDRESS: &str = "audit.record.client_address";
const AGENT: &str = "audit.record.user_agent";

/// Seals and opens what a record holds of a person. What is sealed is bound to its record.
#[derive(Clone)]
pub(crate) struct Sealed(Sealer);

impl Sealed {
    /// Under `sealer`'s key.
    pub(crate) fn new(sealer: Sealer) -> Sealed {
        Sealed(sealer)
    }

    /// `(client_address, user_agent)`, sealed; `None` for what is not known.
    pub(crate) fn seal(&self, audit_event_id: Uuid, address: &str, agent: &str) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let seal = |label, text: &str| (!text.is_empty()).then(|| self.0.seal(label, audit_event_id.as_bytes(), text.as_bytes()));
        (seal(ADDRESS, address), seal(AGENT, agent))
    }

    /// `(client_address, user_agent)` in the clear; empty for what is not known or no longer opens.
    pub(crate) fn open(&self, audit_event_id: Uuid, address: Option<&[u8]>, agent: Option<&[u8]>) -> (String, String) {
        let open = |label, sealed: Option<&[u8]>| {
            let text = sealed.and_then(|sealed| self.0.open(label, audit_event_id.as_bytes(), sealed).ok());
            text.and_then(|text| String::from_utf8(text).ok()).unwrap_or_default()
        };
        (open(ADDRESS, address), open(AGENT, agent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_opens_for_its_own_record_alone() {
        let sealed = Sealed::new(Sealer::from_key(&[7; 32]));
        let (record, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (address, agent) = sealed.seal(record, "192.0.2.7", "");
        assert_eq!(agent, None);
        assert_eq!(sealed.open(record, address.as_deref(), None), ("192.0.2.7".into(), String::new()));
        assert_eq!(sealed.open(other, address.as_deref(), None), (String::new(), String::new()));
    }
}
