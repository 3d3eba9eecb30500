//! The admin port over plain HTTP.

use std::net::SocketAddr;

use rpc::health::{READINESS, ServingStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{App, SOON, is};

/// Status line and body of a GET over HTTP/1.1.
async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    answer
}

#[tokio::test]
async fn probes_follow_health() {
    let app = App::start().await;
    assert!(get(app.admin_address, "/livez").await.starts_with("HTTP/1.1 200 "));
    assert!(get(app.admin_address, "/readyz").await.starts_with("HTTP/1.1 503 "));
    app.health.set(READINESS, ServingStatus::Serving);
    assert!(get(app.admin_address, "/readyz").await.starts_with("HTTP/1.1 200 "));
    assert!(get(app.admin_address, "/etc/passwd").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn every_call_is_counted_by_method_and_code() {
    let app = App::start().await;
    assert_eq!(app.outcome(app.get()).await, is(tonic::Code::Ok, "OK"));
    assert_eq!(app.outcome(app.get_in(app.workspace)).await.0, tonic::Code::Unauthenticated);
    let metrics = get(app.admin_address, "/metrics").await;
    for code in ["OK", "UNAUTHENTICATED"] {
        let line =
            format!("muster_rpc_requests_total{{service=\"tasks\",method=\"muster.tasks.v1.ProductService/GetProduct\",code=\"{code}\"}}");
        assert!(metrics.contains(&line), "{line}");
    }
    assert!(metrics.contains("muster_rpc_duration_seconds_bucket{service=\"tasks\",method=\"muster.tasks.v1.ProductService/GetProduct\""));
}
