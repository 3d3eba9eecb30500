//! One request on its way to a peer, and the answer as it comes. Nobody runs beside the call: what is left of the message goes out when the answer is
//! asked for. Whoever lets go of either ends the stream (CANCEL).

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use tonic::Status;
use tonic::body::Body;

/// The message of a request, as its peer has room for it.
#[derive(Debug)]
struct Outgoing {
    message: Body,
    stream: SendStream<Bytes>,
    /// What waits for room.
    piece: Bytes,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Incoming {
    frames: RecvStream,
    /// What is not sent yet.
    outgoing: Option<Outgoing>,
}

/// Sends `request`; the answer, when its headers are there.
///
/// # Errors
/// UNAVAILABLE: the connection broke off. The code of a reset, if that is what came.
pub(super) async fn send(mut requests: SendRequest<Bytes>, request: Request<Body>) -> Result<Response<Incoming>, Status> {
    let (head, message) = request.into_parts();
    let is_empty = message.is_end_stream();
    let (mut answer, stream) = requests.send_request(Request::from_parts(head, ()), is_empty).map_err(broken)?;
    let mut outgoing = (!is_empty).then(|| Outgoing { message, stream, piece: Bytes::new() });
    let answer = poll_fn(|cx| {
        proceed(&mut outgoing, cx);
        Pin::new(&mut answer).poll(cx)
    });
    Ok(answer.await.map_err(broken)?.map(|frames| Incoming { frames, outgoing }))
}

/// Sends what there is room for.
fn proceed(outgoing: &mut Option<Outgoing>, cx: &mut Context<'_>) {
    if outgoing.as_mut().is_some_and(|outgoing| outgoing.poll(cx).is_ready()) {
        *outgoing = None;
    }
}

/// The status of a stream that came to no good end.
fn broken(error: h2::Error) -> Status {
    match error.is_reset() {
        true => Status::from_error(Box::new(error)),
        false => Status::unavailable(error.to_string()),
    }
}

impl Outgoing {
    /// Sends what there is room for, until all is sent or the peer wants no more: then its answer says so.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while !self.piece.is_empty() {
                self.stream.reserve_capacity(self.piece.len());
                while self.stream.capacity() == 0 {
                    let Some(Ok(_)) = ready!(self.stream.poll_capacity(cx)) else { return Poll::Ready(()) };
                }
                let fits = self.piece.split_to(self.stream.capacity().min(self.piece.len()));
                let is_last = self.piece.is_empty() && self.message.is_end_stream();
                if self.stream.send_data(fits, is_last).is_err() || is_last {
                    return Poll::Ready(());
                }
            }
            match ready!(Pin::new(&mut self.message).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.piece = data,
                // A request has no trailers in gRPC.
                Some(Ok(Err(_))) => {}
                Some(Err(_)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                None => {
                    // An error would say that the stream has ended, and its answer says how.
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(());
                }
            }
        }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        proceed(&mut this.outgoing, cx);
        if let Some(data) = ready!(this.frames.poll_data(cx)) {
            let data = data.map_err(broken)?;
            // It fails for more than came.
            let _ = this.frames.flow_control().release_capacity(data.len());
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = ready!(this.frames.poll_trailers(cx)).map_err(broken)?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_end_stream()
    }
}
