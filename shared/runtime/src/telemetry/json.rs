//! Log lines as JSON: one object a line, the fields of the spans around it laid flat into it, fixed names first.
//!
//! Fixed: `time`, `level`, `process`, `target`, `message`, then `trace_id` and `span_id` inside a trace. `service`, `method`, `actor`,
//! `action`, `resource`, `outcome`, `request_id` come as fields of the spans and events that shared/rpc makes. An inner field wins over an
//! outer one of the same name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io::Write;

use opentelemetry::trace::TraceContextExt;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::redact;
use crate::Clock;

/// Writes the log.
pub(super) struct JsonLog {
    process: &'static str,
    clock: Clock,
    writer: BoxMakeWriter,
}

impl JsonLog {
    pub(super) fn new(process: &'static str, writer: BoxMakeWriter) -> Self {
        Self { process, clock: Clock::system(), writer }
    }

    /// Writes `event` with the fields of `spans`, the innermost first, into `line`.
    fn write<'a, S>(&self, line: &mut Vec<u8>, event: &Event<'_>, spans: impl Iterator<Item = SpanRef<'a, S>>)
    where
        S: for<'b> LookupSpan<'b> + 'a,
    {
        let mut own = Fields::default();
        event.record(&mut own);
        line.push(b'{');
        put(line, "time", &self.clock.now().format(&Rfc3339).unwrap_or_default());
        put(line, "level", event.metadata().level().as_str());
        put(line, "process", self.process);
        // What came by the `log` crate carries its target as a field.
        match own.get("log.target") {
            Some(target) => put_json(line, "target", target),
            None => put(line, "target", event.metadata().target()),
        }
        put_json(line, "message", own.get("message").unwrap_or("null"));
        let context = opentelemetry::Context::current();
        let span = context.span();
        if span.span_context().is_valid() {
            put(line, "trace_id", &span.span_context().trace_id().to_string());
            put(line, "span_id", &span.span_context().span_id().to_string());
        }
        let mut written = Vec::with_capacity(16);
        own.0.retain(|(name, _)| *name != "message" && !name.starts_with("log."));
        own.put_all(line, &mut written);
        for span in spans {
            if let Some(fields) = span.extensions().get::<Fields>() {
                fields.put_all(line, &mut written);
            }
        }
        line.extend_from_slice(b"}\n");
    }
}

/// Adds a text under `name` to the object that `line` ends in.
fn put(line: &mut Vec<u8>, name: &str, text: &str) {
    put_json(line, name, &json(text));
}

/// As [`put`], for a value that is JSON already.
fn put_json(line: &mut Vec<u8>, name: &str, json: &str) {
    if line.last() != Some(&b'{') {
        line.push(b',');
    }
    for part in ["\"", name, "\":", json] {
        line.extend_from_slice(part.as_bytes());
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// What a field can't replace.
const FIXED: [&str; 7] = ["time", "level", "process", "target", "message", "trace_id", "span_id"];

impl<S> Layer<S> for JsonLog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // Taken, not borrowed: what a field's Debug does may log, too.
        let mut line = LINE.take();
        self.write(&mut line, event, context.event_scope(event).into_iter().flatten());
        // A log that can't be written has nowhere to say so.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(&line);
        line.clear();
        LINE.set(line);
    }
}

thread_local! {
    /// The line that a thread writes; kept, because every call writes one.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Which of the field names that a thread met are not written: the names are those of the source, so they are few.
    static SECRET: RefCell<HashMap<&'static str, bool>> = RefCell::default();
}

/// The fields of one span or event, redacted: names, and values as JSON.
#[derive(Debug, Default)]
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        let name = field.name();
        let secret = SECRET.with_borrow_mut(|known| *known.entry(name).or_insert_with(|| redact::is_secret_name(name)));
        let value = if secret { json(redact::REDACTED) } else { json(value) };
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Adds to `line` what is not `written` yet.
    fn put_all(&self, line: &mut Vec<u8>, written: &mut Vec<&'static str>) {
        for (name, value) in &self.0 {
            if written.contains(name) {
                continue;
            }
            written.push(name);
            match FIXED.contains(name) {
                true => put_json(line, &format!("field.{name}"), value),
                false => put_json(line, name, value),
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, &redact::text(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, &redact::text(&format!("{value:?}")));
    }
}
