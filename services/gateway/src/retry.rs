//! Which calls may be sent a second time, and how many of them.
//!
//! A call is sent again, once, when its service could not be reached or said UNAVAILABLE before anything of an answer was there; when its method's
//! policy says that a repeat has no second effect; when its message is small; and while the budget of that service lasts. Deadlines that ran out and
//! OVERLOADED are never tried again: that would be more of what there is too much of.
//!
//! Deliberately absent: a second try of streams that have begun. Whoever watches has a resume token.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use contract::{Idempotency, MethodPolicy};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost_reflect::DescriptorPool;
use rand::Rng;
use rpc::Message;
use tonic::body::Body;

/// The largest message that is kept for a second try, in bytes with its prefix.
const KEPT_BYTES_MAX: u64 = 64 * 1024;
/// What gRPC puts before a message, in bytes.
const PREFIX_BYTES: usize = 5;
/// How long a second try waits, in milliseconds: long enough for a connection to find another replica, too short to be felt.
const WAIT_MS: std::ops::RangeInclusive<u64> = 10..=50;
/// What a call adds to the budget of its service, and what a second try takes from it: one in ten calls is tried again. Source: Envoy's and
/// Linkerd's retry budgets of 10 to 20 %.
const EARNED: u32 = 1;
const SPENT: u32 = 10;
/// What a budget holds at most, and at first: ten second tries in a row.
const HELD_MAX: u32 = 100;

/// Which calls may be sent twice. Made once.
#[derive(Debug)]
pub(crate) struct Retries {
    /// The field of the request id, by path, for methods whose repeats need one.
    request_ids: HashMap<&'static str, u32>,
}

/// A request's message.
pub(crate) enum Kept {
    /// It can be sent once.
    Once(Body),
    /// It is here, and may be sent twice.
    Twice(Bytes),
}

/// How many second tries one service is sent.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU32);

impl Retries {
    /// # Errors
    /// The contract's descriptors lack a request id that a policy names.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let pool = DescriptorPool::decode(contract::DESCRIPTORS).context("the contract's descriptors")?;
        let mut request_ids = HashMap::new();
        for policy in contract::METHODS.iter().filter(|policy| policy.idempotency == Idempotency::RequestId) {
            let service = pool.get_service_by_name(policy.service).with_context(|| format!("{} has no descriptor", policy.service))?;
            let method = service.methods().find(|method| method.name() == policy.name);
            let field = method.and_then(|method| method.input().get_field_by_name("request_id"));
            request_ids.insert(policy.path, field.with_context(|| format!("{} has no request_id", policy.path))?.number());
        }
        Ok(Self { request_ids })
    }

    /// `message`, of a call of `policy`'s method: in one piece, if it may be sent twice.
    pub(crate) async fn keep(&self, policy: &MethodPolicy, message: Message) -> Kept {
        let may = matches!(policy.idempotency, Idempotency::NoSideEffects | Idempotency::Natural | Idempotency::RequestId);
        if !may || message.size_hint().lower() > KEPT_BYTES_MAX {
            return Kept::Once(Body::new(message));
        }
        let Ok(whole) = message.collect().await;
        let whole = whole.to_bytes();
        let without_id = self.request_ids.get(policy.path).is_some_and(|field| !has_text(&whole, *field));
        if without_id { Kept::Once(Body::new(Full::new(whole))) } else { Kept::Twice(whole) }
    }
}

/// Whether the one message in `frame` has a text that is not empty in `field`. What can't be read has none.
fn has_text(frame: &[u8], field: u32) -> bool {
    let Some((prefix, mut message)) = frame.split_at_checked(PREFIX_BYTES) else { return false };
    let is_one = prefix[0] == 0 && prefix[1..] == u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut found = false;
    while is_one && !message.is_empty() {
        let Ok((number, wire_type)) = decode_key(&mut message) else { return false };
        if number == field && wire_type == WireType::LengthDelimited {
            // The last one counts, as it does for whoever decodes it.
            found = decode_varint(&mut &*message).is_ok_and(|length| length > 0);
        }
        if skip_field(wire_type, number, &mut message, DecodeContext::default()).is_err() {
            return false;
        }
    }
    found
}

/// Waits before a second try. With jitter: calls that failed together must not come back together.
pub(crate) async fn wait() {
    let wait_ms = rand::rng().random_range(WAIT_MS);
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(HELD_MAX))
    }

    /// A call came.
    pub(crate) fn earn(&self) {
        // Full is no error.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| (held < HELD_MAX).then_some(held + EARNED));
    }

    /// Takes the price of a second try; whether there was enough.
    pub(crate) fn spend(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| held.checked_sub(SPENT)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One frame that holds `fields`, each a text.
    fn frame(fields: &[(u32, &str)]) -> Vec<u8> {
        let mut message = Vec::new();
        for (number, text) in fields {
            prost::encoding::string::encode(*number, &(*text).to_owned(), &mut message);
        }
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0][..], &length, &message].concat()
    }

    #[test]
    fn a_request_id_is_there_when_it_is_the_last_of_its_field_and_not_empty() {
        assert!(has_text(&frame(&[(1, "shed"), (5, "id"), (6, "x")]), 5));
        assert!(!has_text(&frame(&[(1, "shed"), (6, "id")]), 5));
        assert!(!has_text(&frame(&[(5, "id"), (5, "")]), 5));
    }

    #[test]
    fn what_can_t_be_read_has_no_request_id() {
        let whole = frame(&[(5, "id")]);
        let (compressed, two) = ([&[1][..], &whole[1..]].concat(), [&whole[..], &whole[..]].concat());
        for frame in [&whole[..4], &whole[..whole.len() - 1], &compressed, &two, &[0, 0, 0, 0, 1, 0xff]] {
            assert!(!has_text(frame, 5), "{frame:?}");
        }
    }

    #[test]
    fn a_budget_gives_ten_at_once_and_then_one_for_ten_calls() {
        let budget = Budget::new();
        assert_eq!((0..20).filter(|_| budget.spend()).count(), 10);
        let given = (0..100).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(given.count(), 10);
    }

    #[test]
    fn every_method_that_takes_a_request_id_has_a_field_for_it() {
        let named = contract::METHODS.iter().filter(|policy| policy.idempotency == Idempotency::RequestId).count();
        assert!(named > 0);
        assert_eq!(Retries::new().unwrap().request_ids.len(), named);
    }
}
