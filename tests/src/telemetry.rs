//! The log, the traces and the metrics of the test process, kept in memory so that a guard can look for what must not be in them.

use std::{
    io,
    net::TcpListener,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use prost::Message;
use runtime::telemetry::{Config, Guard, Metrics, init_to};
use tokio::runtime::Builder;
use tonic::{
    Request, Response, Status,
    transport::server::{Server, TcpIncoming},
};
use tracing_subscriber::fmt::MakeWriter;

/// Every line that this process logged so far.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

/// A collector of traces on a real socket; keeps what it receives as it came.
#[derive(Debug, Clone, Default)]
struct Collector(Arc<Mutex<Vec<u8>>>);

impl Collector {
    /// Serves as long as the process, on a thread of its own; answers where.
    fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let service = TraceServiceServer::new(self.clone());
        let serve = move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            let serving = async {
                let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).expect("a listener"));
                #[expect(clippy::disallowed_methods, reason = "a collector in a test needs none of our limits")]
                let mut server = Server::builder();
                server.add_service(service).serve_with_incoming(incoming).await
            };
            runtime.block_on(serving).expect("the collector serves");
        };
        std::thread::Builder::new().name("collector".to_owned()).spawn(serve).expect("a thread");
        endpoint
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(request.into_inner().encode_to_vec());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

static STARTED: LazyLock<(Guard, Lines, Collector)> = LazyLock::new(|| {
    let (lines, collector) = (Lines::default(), Collector::default());
    // As talkative as an operator can make it: what is not logged at debug is not logged at all.
    let levels = "debug,async_nats=info,h2=info,hyper=info,hyper_util=info,sqlx=debug,tonic=debug,tower=info";
    let config = Config { levels: levels.to_owned(), otlp_endpoint: Some(collector.serve()), ..Config::default() };
    let guard = init_to(&config, "muster-tests", lines.clone()).unwrap_or_else(|error| panic!("{error}"));
    (guard, lines, collector)
});

/// The metrics of this process.
pub fn metrics() -> Metrics {
    STARTED.0.metrics()
}

/// What was logged so far, by every test of this process.
pub fn log() -> String {
    String::from_utf8_lossy(&STARTED.1.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// What was exported of traces so far, by every test of this process: OTLP as it came through the socket.
pub fn traces() -> Vec<u8> {
    STARTED.0.flush();
    STARTED.2.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
