//! Spans of an event on its way: in the trace of the call that caused it, long after that was answered.
//!
//! Only where that trace is exported. Moving 10⁴ events a second must not pay for spans that nobody sees.
//!
//! Deliberately absent: a span of the sequencer's statement, which numbers events without reading them. The envelope stays as it was written:
//! every consumer hangs on the call itself, whatever way the event came.

use contract::common::v1::EventEnvelope;
use runtime::telemetry::with_parent;
use tracing::Span;

/// The span from sending an event to the bus until the bus has stored it.
pub(crate) fn publishing(service: &'static str, event: &EventEnvelope) -> Span {
    of(event, || {
        tracing::info_span!("publish", service, "event.type" = event.r#type, "event.id" = event.event_id, position = event.position)
    })
}

/// The span of one try to take an event.
pub(crate) fn consuming(service: &'static str, consumer: &'static str, event: &EventEnvelope) -> Span {
    of(event, || {
        tracing::info_span!(
            "consume",
            service,
            consumer,
            "event.type" = event.r#type,
            "event.id" = event.event_id,
            position = event.position
        )
    })
}

fn of(event: &EventEnvelope, span: impl FnOnce() -> Span) -> Span {
    if is_exported(&event.traceparent) { with_parent(span(), &event.traceparent) } else { Span::none() }
}

/// Whether whoever began the trace exports it: the last bit of the flags, which stand last. Source: W3C Trace Context, 3.2.2.5.
fn is_exported(traceparent: &str) -> bool {
    traceparent.chars().last().and_then(|flags| flags.to_digit(16)).is_some_and(|flags| flags & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trace_that_is_exported_gets_spans() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-";
        assert!(["01", "03", "ff"].iter().all(|flags| is_exported(&format!("{trace}{flags}"))));
        assert!(["00", "02", ""].iter().all(|flags| !is_exported(&format!("{trace}{flags}"))));
        assert!(!is_exported(""));
    }
}
