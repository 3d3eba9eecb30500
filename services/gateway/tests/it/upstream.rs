//! A service behind the edge that decodes nothing: it answers with what it was sent, and tells of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use contract::identity::v1::GetJsonWebKeySetResponse;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tonic::body::Body;
use tonic::transport::server::TcpIncoming;

/// How long an upstream stands still that is told to.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(5);

/// What an upstream was sent last, and the end it tells of.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) headers: Arc<Mutex<HeaderMap>>,
    pub(crate) calls: Arc<Mutex<usize>>,
    /// What it publishes, if anything, as key set and as metadata; and for how many seconds that may be kept.
    pub(crate) published: Arc<Mutex<Option<(String, i32)>>>,
    /// While a test holds it, nothing that is published is answered.
    pub(crate) held: Arc<tokio::sync::Mutex<()>>,
}

/// An upstream on a free port; `gone` hears when a stream or a frozen call was cancelled.
pub(crate) async fn start() -> (SocketAddr, Seen, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, (gone, news)) = (Seen::default(), mpsc::unbounded_channel());
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    tokio::spawn(serve(listener, seen.clone(), gone));
    (address, seen, news)
}

/// An upstream on `port`, which can be killed.
pub(crate) struct Mortal {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Seen,
    end: oneshot::Sender<()>,
    life: std::thread::JoinHandle<()>,
}

impl Mortal {
    /// On a runtime of its own, so that its connections die with it.
    pub(crate) fn start(port: u16) -> Mortal {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let ((end, ended), seen) = (oneshot::channel(), Seen::default());
        let own = seen.clone();
        let life = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let serving = serve(TcpListener::from_std(listener).unwrap(), own, mpsc::unbounded_channel().0);
                tokio::select! {
                    () = serving => {}
                    _ = ended => {}
                }
            });
        });
        Mortal { address, seen, end, life }
    }

    pub(crate) fn kill(self) {
        drop(self.end);
        self.life.join().unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a foreign server, with none of our limits")]
async fn serve(listener: TcpListener, seen: Seen, gone: mpsc::UnboundedSender<()>) {
    let handler = move |request: Request<axum::body::Body>| {
        let (seen, gone) = (seen.clone(), gone.clone());
        async move {
            if request.uri().path() == "/grpc.health.v1.Health/Watch" {
                return serving();
            }
            *seen.headers.lock().unwrap() = request.headers().clone();
            *seen.calls.lock().unwrap() += 1;
            let published = seen.published.lock().unwrap().clone().filter(|_| request.uri().path().contains(".KeyService/"));
            match published {
                // The issuer's metadata has the same fields.
                Some((json_web_key_set, max_age_seconds)) => {
                    drop(seen.held.lock().await);
                    message(&GetJsonWebKeySetResponse { json_web_key_set, max_age_seconds })
                }
                None => answer(request, gone).await,
            }
        }
    };
    let routes: tonic::service::Routes = Router::new().fallback(handler).into();
    // As many as a service of the suite takes. It sees calls that were given up before it came to them, too.
    let mut server = tonic::transport::Server::builder().max_concurrent_streams(100).http2_max_pending_accept_reset_streams(Some(10_000));
    let server = server.add_routes(routes);
    server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))).await.unwrap();
}

/// What a test asks for beside the method: a code to fail with, and what to do in place of an answer.
fn asked(headers: &HeaderMap) -> (Option<String>, Option<String>) {
    let asked = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let again = headers.contains_key("grpc-previous-rpc-attempts");
    (asked("x-fail").or(asked("x-fail-once").filter(|_| !again)), asked("x-then"))
}

async fn answer(request: Request<axum::body::Body>, gone: mpsc::UnboundedSender<()>) -> Response<Body> {
    let (fails, then) = asked(request.headers());
    if let Some(code) = fails {
        return ended(code.leak(), Some("AAAA"));
    }
    match then.as_deref() {
        Some("freeze") => {
            let _told = Told(gone);
            return std::future::pending().await;
        }
        Some("break") => return broken(),
        // Its only thread, if it is a `Mortal`: nothing of it moves.
        Some("stand") => std::thread::sleep(STANDSTILL),
        Some("drip") => return dripping(request.into_body().collect().await.unwrap().to_bytes()),
        _ => {}
    }
    match request.uri().path().rsplit('/').next().unwrap() {
        "WatchWorkItems" => stream(gone),
        "ListWorkItems" => flood(gone),
        "TransitionWorkItem" => std::future::pending().await,
        "DeleteWorkItem" => ended("12", None),
        "CreateWorkItem" => ended("9", Some("AAAA")),
        _ => whole(request.into_body().collect().await.unwrap().to_bytes()),
    }
}

/// `message`, and a good end.
fn message(message: &impl Message) -> Response<Body> {
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.encoded_len()).unwrap().to_be_bytes());
    message.encode(&mut framed).unwrap();
    whole(framed.into())
}

/// One frame, and a good end.
fn whole(framed: Bytes) -> Response<Body> {
    let frames = [Frame::data(framed), Frame::trailers(trailers("0"))].map(Ok::<_, Infallible>);
    grpc(Body::new(StreamBody::new(stream::iter(frames))))
}

/// The same in frames of one byte.
fn dripping(framed: Bytes) -> Response<Body> {
    let bytes = (0..framed.len()).map(move |at| Frame::data(framed.slice(at..=at)));
    grpc(Body::new(StreamBody::new(stream::iter(bytes.chain([Frame::trailers(trailers("0"))]).map(Ok::<_, Infallible>)))))
}

fn stream(gone: mpsc::UnboundedSender<()>) -> Response<Body> {
    let told = Told(gone);
    let message = Frame::data(Bytes::from_static(&[0, 0, 0, 0, 1, b'x']));
    let frames = stream::iter([Ok::<_, Infallible>(message)]).chain(stream::pending()).inspect(move |_| {
        let _ = &told;
    });
    grpc(Body::new(StreamBody::new(frames)))
}

/// Messages without end.
fn flood(gone: mpsc::UnboundedSender<()>) -> Response<Body> {
    let (told, message) = (Told(gone), crate::edge::message(16 * 1024));
    let frames = stream::repeat_with(move || {
        let _ = &told;
        Ok::<_, Infallible>(Frame::data(message.clone()))
    });
    grpc(Body::new(StreamBody::new(frames)))
}

/// One message, and once it is out a reset.
fn broken() -> Response<Body> {
    let message = Frame::data(Bytes::from_static(&[0, 0, 0, 0, 1, b'x']));
    let reset = stream::once(async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Err(std::io::Error::other("it breaks off"))
    });
    grpc(Body::new(StreamBody::new(stream::iter([Ok(message)]).chain(Box::pin(reset)))))
}

/// A Watch of health that says SERVING and stays open.
fn serving() -> Response<Body> {
    let message = Frame::data(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]));
    grpc(Body::new(StreamBody::new(stream::iter([Ok::<_, Infallible>(message)]).chain(stream::pending()))))
}

/// Tells when it is dropped.
struct Told(mpsc::UnboundedSender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn ended(code: &'static str, details: Option<&'static str>) -> Response<Body> {
    let mut answer = grpc(Body::empty());
    answer.headers_mut().extend(trailers(code));
    if let Some(details) = details {
        answer.headers_mut().insert("grpc-status-details-bin", HeaderValue::from_static(details));
    }
    answer
}

fn trailers(code: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    trailers.insert("x-last-word", HeaderValue::from_static("bye"));
    trailers
}

fn grpc(body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    answer.headers_mut().insert("x-upstream", HeaderValue::from_static("tasks"));
    answer
}
