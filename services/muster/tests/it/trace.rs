//! One call is one trace: through the edge, the service that answers it, the relay of its log, and the consumer of its event.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use contract::tasks::v1::{CreateWorkItemRequest, work_item_service_client::WorkItemServiceClient};
use muster::serve::SERVICES;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use runtime::{Shutdown, Tasks};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::suite::{AT_MOST, PERIOD, Suite};
use crate::up::alone;
use crate::world::World;

const TRACE_ID: [u8; 16] = *b"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

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

impl Collector {
    /// Listens; answers where.
    async fn serve(&self, tasks: &Tasks) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a collector in a test needs none of our limits")]
        let mut server = tonic::transport::Server::builder();
        let serving = server.add_service(TraceServiceServer::new(self.clone())).serve_with_incoming(TcpListenerStream::new(listener));
        tasks.spawn_once("collector", async { serving.await.unwrap() });
        format!("http://{address}")
    }

    /// The spans of the trace, by service and name.
    fn spans(&self) -> BTreeMap<(String, String), Span> {
        let spans = self.0.lock().unwrap();
        let of_trace = spans.iter().filter(|span| span.trace_id == TRACE_ID);
        of_trace.map(|span| ((attribute(&span.attributes, "service"), span.name.clone()), span.clone())).collect()
    }

    /// Waits until `service` has sent the span `name` of the trace.
    async fn span(&self, service: &str, name: &str) -> Span {
        let began = Instant::now();
        loop {
            let mut spans = self.spans();
            if let Some(span) = spans.remove(&(service.to_owned(), name.to_owned())) {
                return span;
            }
            assert!(began.elapsed() < AT_MOST, "no span `{name}` of {service}, only {:?}", spans.keys());
            sleep(PERIOD).await;
        }
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| attribute.value.clone()?.value);
    if let Some(Value::StringValue(text)) = value { text } else { String::new() }
}

#[test]
fn one_trace_runs_from_the_edge_through_call_and_relay_to_the_audit_trail() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (collector, tasks) = (Collector::default(), Tasks::new("test", Shutdown::new()));
        let suite = Suite::new().await;
        // The exporter's own variable: a batch leaves after 100 ms, not after 5 s.
        let exporting =
            [("MUSTER__TELEMETRY__OTLP_ENDPOINT", collector.serve(&tasks).await), ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned())];
        let mut process = suite.start(&["all"], &exporting);
        for service in SERVICES {
            suite.ready(&mut process, service).await;
        }
        let world = World::make(&suite).await;

        let item = CreateWorkItemRequest {
            workspace_id: world.workspace_id.clone(),
            product_id: world.product_ids[0].clone(),
            title: "paint the shed".into(),
            ..CreateWorkItemRequest::default()
        };
        let mut request = world.request(&world.ids.next().to_string(), item).await;
        request.metadata_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
        WorkItemServiceClient::new(suite.channel(gateway::NAME)).create_work_item(request).await.unwrap();

        let call = collector.span(tasks::NAME, "rpc").await;
        assert_eq!(attribute(&call.attributes, "method"), "muster.tasks.v1.WorkItemService/CreateWorkItem");
        let edge = collector.span(gateway::NAME, "rpc").await;
        assert_eq!(edge.parent_span_id, b"\xb7\xad\x6b\x71\x69\x20\x33\x31");
        assert_eq!(call.parent_span_id, edge.span_id, "the call hangs on that of the edge");
        for (service, name) in [(tasks::NAME, "publish"), (audit::NAME, "consume")] {
            let span = collector.span(service, name).await;
            assert_eq!(attribute(&span.attributes, "event.type"), "muster.tasks.v1.WorkItemCreated");
            assert_eq!(span.parent_span_id, call.span_id, "`{name}` hangs on the call");
        }
        drop(process);
        suite.stop().await;
    });
}
