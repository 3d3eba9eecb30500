//! Clients that do not read what they asked for: what they hold is let go, and others are served meanwhile.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Code;

use crate::edge::{Edge, SOON, message};
use crate::upstream;

/// What is asked for without being read: messages without end.
const FLOOD: &str = "/muster.tasks.v1.WorkItemService/ListWorkItems";

/// Clients that have room for a few bytes of each answer.
#[derive(Default)]
struct Unreading {
    connections: JoinSet<hyper::Result<()>>,
    answers: Vec<Response<Incoming>>,
}

impl Unreading {
    async fn connect(&mut self, edge: &Edge) -> SendRequest<Full<Bytes>> {
        let socket = TcpStream::connect(edge.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut client = http2::Builder::new(TokioExecutor::new());
        let (requests, connection) = client.initial_stream_window_size(100).handshake(TokioIo::new(socket)).await.unwrap();
        self.connections.spawn(connection);
        requests
    }

    /// Asks for `count` answers over one connection, each of them until it has begun.
    async fn ask(&mut self, edge: &Edge, count: usize) {
        let mut requests = self.connect(edge).await;
        for _ in 0..count {
            let request = Request::post(format!("http://{}{FLOOD}", edge.address)).header("content-type", "application/grpc");
            let answer = requests.send_request(request.body(Full::new(message(1))).unwrap());
            let answer = timeout(SOON, answer).await.expect("it is begun").unwrap();
            assert!(!answer.headers().contains_key("grpc-status"), "it is served");
            self.answers.push(answer);
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_ended_behind_the_edge_too() {
    let (address, _, mut gone) = upstream::start().await;
    let edge = Edge::impatient(address).await;
    let mut unreading = Unreading::default();
    unreading.ask(&edge, 3).await;
    for _ in 0..3 {
        timeout(SOON, gone.recv()).await.expect("it is let go").unwrap();
    }
}

#[tokio::test]
async fn a_page_that_does_not_read_is_hung_up_on() {
    let (address, _, mut gone) = upstream::start().await;
    let edge = Edge::impatient(address).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut page = socket.connect(edge.address).await.unwrap();
    let head = format!("POST {FLOOD} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 6\r\n\r\n");
    page.write_all(&[head.as_bytes(), &message(1)].concat()).await.unwrap();
    timeout(SOON, gone.recv()).await.expect("it is let go").unwrap();
}

#[tokio::test]
async fn what_some_do_not_read_keeps_no_other_waiting() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let mut unreading = Unreading::default();
    // Beside others on the connections to a service, and then more than its first four have room for.
    for more in [40, 50, 90, 90, 90, 90] {
        unreading.ask(&edge, more).await;
        for _ in 0..4 {
            let answered = edge.call("GetWorkItem", message(1_000_000), &[]).await;
            assert_eq!((answered.status().code(), answered.body.len()), (Code::Ok, 1_000_005));
        }
    }
    assert_eq!(unreading.answers.len(), 450);
}
