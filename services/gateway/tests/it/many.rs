//! Ten thousand who connect and do nothing.

use std::net::{Ipv4Addr, SocketAddr};

use futures::future::join_all;
use gateway::Config;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rpc::server::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::apart::{self, Apart};
use crate::edge::{SOON, message};
use crate::upstream;

const TEST: &str = "many::ten_thousand_who_say_nothing_cost_little_and_others_are_served";
/// How many, and from how many addresses: each has its share, and no more.
const ADDRESSES: u8 = 25;
const SHARE: usize = 400;
/// What an idle connection may cost, in KiB; measured 18, with debug assertions on.
const IDLE_KIB_MAX: usize = 40;
/// File descriptors beside the connections.
const OTHERS: u64 = 500;

/// Allows this process, and those it starts, as many file descriptors as may be; how many connections that is good for.
fn raise_descriptors() -> usize {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
    most.map_or(usize::MAX, |most| usize::try_from(most.saturating_sub(OTHERS)).unwrap())
}

/// A connection from an address that ends in `from`, over which HTTP/2 was begun and nothing was said.
async fn idle(edge: SocketAddr, from: u8) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::new(127, 0, 1, from), 0).into())?;
    let mut stream = socket.connect(edge).await?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    stream.read_exact(&mut [0; 9]).await?;
    Ok(stream)
}

#[tokio::test]
async fn ten_thousand_who_say_nothing_cost_little_and_others_are_served() {
    let limits = Limits { keepalive_ms: 600_000, ..Limits::default() };
    apart::serve_if_told(Config { connections_max: 12_000, address_connections_max: SHARE, ..Config::default() }, limits).await;
    let (share, (upstream, ..)) = (SHARE.min(raise_descriptors() / usize::from(ADDRESSES)), upstream::start().await);
    if share < SHARE {
        eprintln!("file descriptors for {share} connections of each address alone");
    }
    let edge = Apart::start(TEST, upstream, 0).await;
    let (before, mut held) = (edge.resident_mib(), Vec::new());
    for from in 1..=ADDRESSES {
        held.extend(join_all((0..share).map(|_| timeout(SOON, idle(edge.address, from)))).await);
    }
    let held: Vec<_> = held.into_iter().map(|one| one.expect("it is heard").expect("it is taken")).collect();
    let cost = edge.resident_mib().saturating_sub(before);
    assert!(cost * 1024 <= held.len() * IDLE_KIB_MAX, "{} connections cost {cost} MiB", held.len());
    if share == SHARE {
        assert!(timeout(SOON, idle(edge.address, 1)).await.expect("it is told at once").is_err(), "an address has its share");
    }
    for _ in 0..20 {
        let request = Request::post(format!("http://{}/muster.tasks.v1.WorkItemService/GetWorkItem", edge.address));
        let request = request.header("content-type", "application/grpc").body(Full::new(message(9))).unwrap();
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let answer = timeout(SOON, client.request(request)).await.expect("an honest caller is answered").unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), message(9));
    }
    edge.kill();
}
