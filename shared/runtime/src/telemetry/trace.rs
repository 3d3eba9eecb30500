//! Traces: W3C propagation always, export by OTLP when an endpoint is configured.
//!
//! Why a runtime of its own: the exporter's connection lives on the runtime that built it. On the runtime of `main`, a flush at the end
//! would block the thread that has to send what it flushes.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanData};
use tokio::runtime::Runtime;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{Config, Error, build, redact};

/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last export may take. Source: field note reliability 7.9.
const LAST_EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// The W3C `traceparent` of the current span, to send along with a call; `None` outside of a trace.
pub fn traceparent() -> Option<String> {
    traceparent_of(&Span::current())
}

/// The W3C `traceparent` of `span`. Asking starts the span's trace: set its parent before.
pub fn traceparent_of(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let it = span.span_context();
    it.is_valid().then(|| format!("00-{}-{}-{:02x}", it.trace_id(), it.span_id(), it.trace_flags().to_u8()))
}

/// `span` as a child of the span that `traceparent` names. A text that is no traceparent leaves `span` as it is. Call it before the span is
/// entered: a trace that has begun keeps its parent.
#[must_use]
pub fn with_parent(span: Span, traceparent: &str) -> Span {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    if context.span().span_context().is_valid() {
        // It fails when the span is disabled or has begun, and there is nothing to hang on then.
        let _ = span.set_parent(context);
    }
    span
}

/// The provider of traces, and the runtime that exports them.
#[derive(Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
    runtime: Option<Runtime>,
}

impl Traces {
    pub(super) fn start(config: &Config, name: &'static str) -> Result<Self, Error> {
        let attributes = [KeyValue::new("service.namespace", "muster"), KeyValue::new("service.version", build::VERSION)];
        let resource = Resource::builder().with_service_name(name).with_attributes(attributes).build();
        let builder = SdkTracerProvider::builder().with_resource(resource);
        let Some(endpoint) = &config.otlp_endpoint else {
            // Ids are made and passed on, nothing is recorded.
            let provider = builder.with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff))).build();
            return Ok(Self { provider, runtime: None });
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("otlp").enable_all().build();
        let runtime = runtime.map_err(|error| Error::Traces(error.to_string()))?;
        let exporter = {
            let _inside = runtime.enter();
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT).build()
        };
        let exporter = exporter.map_err(|error| Error::Traces(error.to_string()))?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.trace_ratio)));
        let provider = builder.with_sampler(sampler).with_batch_exporter(Redacting(exporter)).build();
        Ok(Self { provider, runtime: Some(runtime) })
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("muster")
    }

    pub(super) fn flush(&self) {
        if let Err(error) = self.provider.force_flush() {
            tracing::warn!(%error, "traces were not exported");
        }
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_EXPORT_TIMEOUT)
            && self.runtime.is_some()
        {
            tracing::warn!(%error, "the last traces were not exported");
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An exporter that takes secrets out of what it is given.
#[derive(Debug)]
struct Redacting<E>(E);

impl<E: opentelemetry_sdk::trace::SpanExporter> opentelemetry_sdk::trace::SpanExporter for Redacting<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            span.attributes.iter_mut().for_each(clean);
            for event in &mut span.events.events {
                if let std::borrow::Cow::Owned(name) = redact::text(&event.name) {
                    event.name = name.into();
                }
                event.attributes.iter_mut().for_each(clean);
            }
            if let opentelemetry::trace::Status::Error { description } = &mut span.status {
                *description = redact::text(description).into_owned().into();
            }
        }
        let exported = self.0.export(batch).await;
        let outcome = if exported.is_ok() { "ok" } else { "failed" };
        metrics::counter!("muster_trace_exports_total", "outcome" => outcome).increment(1);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

fn clean(attribute: &mut KeyValue) {
    if redact::is_secret_name(attribute.key.as_str()) {
        attribute.value = redact::REDACTED.into();
    } else if let opentelemetry::Value::String(text) = &attribute.value
        && let std::borrow::Cow::Owned(clean) = redact::text(text.as_str())
    {
        attribute.value = clean.into();
    }
}
