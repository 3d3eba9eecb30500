//! Log lines as JSON: one object a line, the fields of the spans around it laid flat into it, fixed names first.
//!
//! Fixed: `time`, `level`, `process`, `target`, `message`, then `trace_id` and `span_id` inside a trace. `service`, `method`, `actor`,
//! `action`, `resource`, `outcome`, `request_id` come as fields of the spans and events that shared/rpc makes. An inner field wins over an
//! outer one of the same name.

use std::fmt;
use std::io::Write;

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

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

    fn line(&self, event: &Event<'_>, around: Map<String, Value>) -> Map<String, Value> {
        let mut own = Fields::default();
        event.record(&mut own);
        // What came by the `log` crate carries its target as a field.
        let target = own.0.remove("log.target").unwrap_or_else(|| event.metadata().target().into());
        own.0.retain(|name, _| !name.starts_with("log."));
        let mut line = Map::new();
        line.insert("time".to_owned(), self.clock.now().format(&Rfc3339).unwrap_or_default().into());
        line.insert("level".to_owned(), event.metadata().level().as_str().into());
        line.insert("process".to_owned(), self.process.into());
        line.insert("target".to_owned(), target);
        line.insert("message".to_owned(), own.0.remove("message").unwrap_or_default());
        let context = opentelemetry::Context::current();
        let span = context.span();
        if span.span_context().is_valid() {
            line.insert("trace_id".to_owned(), span.span_context().trace_id().to_string().into());
            line.insert("span_id".to_owned(), span.span_context().span_id().to_string().into());
        }
        for (name, value) in around.into_iter().chain(own.0) {
            let name = if FIXED.contains(&name.as_str()) { format!("field.{name}") } else { name };
            line.insert(name, value);
        }
        line
    }
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
        let mut around = Map::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                around.extend(fields.0.clone());
            }
        }
        let mut line = serde_json::to_vec(&self.line(event, around)).unwrap_or_default();
        line.push(b'\n');
        // A log that can't be written has nowhere to say so.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(&line);
    }
}

/// The fields of one span or event, redacted.
#[derive(Debug, Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        let value = if redact::is_secret_name(field.name()) { redact::REDACTED.into() } else { value.into() };
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, redact::text(value).into_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, redact::text(&format!("{value:?}")).into_owned());
    }
}
