//! W3C trace context: taken over when it is valid, begun otherwise.
//!
//! Source: W3C Trace Context, 3.2 (`traceparent`); a text that breaks it in any way begins a new trace.

use std::sync::OnceLock;

use tracing::Span;

/// The header that carries it.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The trace of one call: where it came from, and the span that it runs in.
#[derive(Debug)]
pub(crate) struct Trace {
    incoming: Option<Box<str>>,
    span: Span,
    /// What goes on. Made when it is first asked for: most calls call nobody and emit nothing.
    parent: OnceLock<Box<str>>,
}

impl Trace {
    /// The trace of a call that came with `incoming` and runs in the span that `span` makes.
    pub(crate) fn begin(incoming: Option<&str>, span: impl FnOnce() -> Span) -> Self {
        let incoming = incoming.filter(|text| is_valid(text));
        let span = span();
        let span = match incoming {
            Some(parent) if !span.is_disabled() => runtime::telemetry::with_parent(span, parent),
            _ => span,
        };
        Self { incoming: incoming.map(Into::into), span, parent: OnceLock::new() }
    }

    /// The trace that goes on after an event; a new one without.
    pub(crate) fn after(cause: Option<&str>) -> Self {
        Self::begin(cause, Span::none)
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The `traceparent` to pass on: of the span that is exported if there is one, else of the trace that came in, else of a new one.
    pub(crate) fn parent(&self) -> &str {
        self.parent.get_or_init(|| {
            let exported = if self.span.is_disabled() { None } else { runtime::telemetry::traceparent_of(&self.span) };
            exported.map_or_else(|| self.own(), Into::into)
        })
    }

    fn own(&self) -> Box<str> {
        let span_id = rand::random::<u64>().max(1);
        match self.incoming.as_deref() {
            Some(incoming) => format!("{}{span_id:016x}{}", &incoming[..36], &incoming[52..55]).into(),
            None => format!("00-{:032x}-{span_id:016x}-00", rand::random::<u128>().max(1)).into(),
        }
    }
}

/// Whether `text` is a `traceparent` of version 00: four groups of lower-case hex digits, neither id all zeros.
fn is_valid(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex = |range: std::ops::Range<usize>| bytes[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let some = |range: std::ops::Range<usize>| bytes[range].iter().any(|byte| *byte != b'0');
    bytes.len() == 55
        && bytes.starts_with(b"00-")
        && bytes[35] == b'-'
        && bytes[52] == b'-'
        && hex(3..35)
        && hex(36..52)
        && hex(53..55)
        && some(3..35)
        && some(36..52)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_trace_goes_on_under_a_span_of_ours() {
        let trace = Trace::after(Some(VALID));
        assert!(trace.parent().starts_with("00-0af7651916cd43dd8448eb211c80319c-") && trace.parent().ends_with("-01"));
        assert!(is_valid(trace.parent()) && trace.parent() != VALID);
        assert_eq!(trace.parent(), trace.parent());
    }

    #[test]
    fn anything_else_begins_a_new_one() {
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let upper = "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01";
        let version = "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let umlauts = "00-äääääääääääääääää-0123456789abcdef-01";
        for text in ["", zero_trace, zero_span, upper, version, umlauts, &VALID[1..], &format!("{VALID}-00")] {
            assert!(!is_valid(text), "{text}");
            let trace = Trace::after(Some(text));
            assert!(is_valid(trace.parent()) && !trace.parent().contains("0af7651916cd43dd"), "{text}");
        }
    }
}
