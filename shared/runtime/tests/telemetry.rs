//! One process, one subscriber: this binary starts telemetry once, to a log that it can read and a collector that it serves itself.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use runtime::telemetry::{self, Config, Guard};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tracing::Instrument;

/// The log of the process, readable.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The one line whose message is `message`.
    fn line(&self, message: &str) -> serde_json::Value {
        let lines: Vec<serde_json::Value> = self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut of_message = lines.into_iter().filter(|line| line["message"] == message);
        let line = of_message.next().unwrap_or_else(|| panic!("no line `{message}`"));
        assert!(of_message.next().is_none(), "two lines `{message}`");
        line
    }
}

/// A collector on a real socket.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

struct World {
    guard: Guard,
    log: Log,
    collector: Collector,
}

impl World {
    fn span(&self, name: &str) -> Span {
        self.guard.flush();
        let spans = self.collector.0.lock().unwrap();
        spans.iter().find(|span| span.name == name).cloned().unwrap_or_else(|| panic!("no span `{name}` in {spans:?}"))
    }
}

fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| {
        runtime::init_crypto();
        let (log, collector) = (Log::default(), Collector::default());
        let endpoint = serve(collector.clone());
        let config = Config { otlp_endpoint: Some(endpoint), levels: "info,loud=debug".into(), ..Config::default() };
        let writer = log.clone();
        let guard = telemetry::init_to(&config, "test", move || writer.clone()).unwrap();
        World { guard, log, collector }
    });
    &WORLD
}

/// Serves the collector on a thread with a runtime of its own, which outlives every test.
fn serve(collector: Collector) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
            #[expect(clippy::disallowed_methods, reason = "a collector in a test needs none of our limits")]
            let mut server = tonic::transport::Server::builder();
            server.add_service(TraceServiceServer::new(collector)).serve_with_incoming(incoming).await.unwrap();
        });
    });
    format!("http://{address}")
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn an_exported_span_hangs_on_the_traceparent_it_was_given() {
    let world = world();
    let span = telemetry::with_parent(tracing::info_span!("Create", method = "tasks"), PARENT);
    let sent = span.in_scope(|| telemetry::traceparent().unwrap());
    drop(span);
    let exported = world.span("Create");
    assert_eq!(hex(&exported.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&exported.parent_span_id), "b7ad6b7169203331");
    assert_eq!(sent, format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", hex(&exported.span_id)));
}

#[test]
fn a_traceparent_that_is_none_begins_a_new_trace() {
    let world = world();
    drop(telemetry::with_parent(tracing::info_span!("Root"), "nonsense").entered());
    let exported = world.span("Root");
    assert!(exported.parent_span_id.is_empty());
    assert_eq!(exported.trace_id.len(), 16);
}

#[tokio::test]
async fn a_flush_on_a_runtime_of_one_thread_does_not_wait_for_itself() {
    let world = world();
    async { tracing::info!("inside") }.instrument(tracing::info_span!("Awaited")).await;
    assert_eq!(world.span("Awaited").events[0].name, "inside");
}

#[test]
fn a_log_line_carries_the_trace_and_the_fields_of_every_span_around_it() {
    let world = world();
    let outer =
        telemetry::with_parent(tracing::info_span!("outer", service = "tasks", actor = "u1", outcome = tracing::field::Empty), PARENT);
    outer.in_scope(|| {
        outer.record("outcome", "ok");
        tracing::info_span!("inner", actor = "u2").in_scope(|| tracing::info!(rows = 3, "fields"));
    });
    let line = world.log.line("fields");
    assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    let expected = serde_json::json!(["INFO", "test", "tasks", "u2", "ok", 3]);
    let found = ["level", "process", "service", "actor", "outcome", "rows"].map(|name| line[name].clone());
    assert_eq!(serde_json::json!(found), expected);
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn secrets_reach_neither_the_log_nor_the_collector() {
    let world = world();
    let jwt = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.canary1";
    let span = tracing::info_span!("Secretive", password = "canary2", url = "postgres://a:canary3@h/d", note = tracing::field::Empty);
    span.in_scope(|| {
        span.record("note", format!("got Bearer canary4canary4 and {jwt}"));
        tracing::info!(refresh_token = "canary5", mail = "canary6@example.org", user_id = "u1", "told {jwt}");
    });
    drop(span);
    let exported = format!("{:?}", world.span("Secretive"));
    assert!(exported.contains("[redacted]") && exported.contains("user_id") && !exported.contains("canary"), "{exported}");
    let line = world.log.line("told [redacted]").to_string();
    assert!(line.contains(r#""user_id":"u1""#) && line.contains("got Bearer [redacted]") && !line.contains("canary"), "{line}");
}

#[test]
fn a_field_can_not_pass_for_a_fixed_one_and_a_newline_makes_no_line() {
    let world = world();
    tracing::info!(level = "ERROR", target = "x", note = "a\n{\"message\":\"forged\"}", "forgery");
    let line = world.log.line("forgery");
    assert_eq!((line["level"].as_str(), line["field.level"].as_str()), (Some("INFO"), Some("ERROR")));
    assert!(!world.log.text().lines().any(|line| line.starts_with("{\"message\":\"forged\"")));
}

#[test]
fn levels_change_while_the_process_runs() {
    let world = world();
    let levels = world.guard.levels();
    tracing::debug!(target: "loud", "before");
    levels.set("info,loud=warn").unwrap();
    tracing::info!(target: "loud", "between");
    assert!(levels.set("loud=shrill").is_err());
    assert_eq!(levels.get(), "info,loud=warn");
    levels.set("info,loud=debug").unwrap();
    tracing::debug!(target: "loud", "after");
    assert_eq!(world.log.line("before")["target"], "loud");
    assert_eq!(world.log.line("after")["level"], "DEBUG");
    assert!(!world.log.text().contains("between"));
}

#[test]
fn one_registry_renders_every_service_with_buckets_and_the_process() {
    let metrics = world().guard.metrics();
    metrics::counter!("muster_calls_total", "service" => "tasks").increment(2);
    metrics::counter!("muster_calls_total", "service" => "audit").increment(1);
    metrics::histogram!("muster_call_seconds", "service" => "tasks").record(0.003);
    let text = metrics.render();
    for line in [
        "muster_calls_total{service=\"tasks\"} 2",
        "muster_calls_total{service=\"audit\"} 1",
        "muster_call_seconds_bucket{service=\"tasks\",le=\"0.0025\"} 0",
        "muster_call_seconds_bucket{service=\"tasks\",le=\"0.005\"} 1",
        "# TYPE process_cpu_seconds_total counter",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(text.contains("muster_build_info{version=\""));
}

#[test]
fn telemetry_starts_once_in_a_process() {
    world();
    assert!(matches!(telemetry::init(&Config::default(), "again"), Err(telemetry::Error::Started)));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
