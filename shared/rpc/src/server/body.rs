//! The two bodies of a call: the request's, where it is read as it comes, counted; and the answer's, watched to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use runtime::Shutdown;
use tonic::body::Body;
use tonic::{Code, Status};

use super::bare::{self, Sizes};
use super::record::Record;
use super::unread::{self, PIECE_BYTES_MAX};
use crate::authn::{AccessToken, Verifier};
use crate::limit::Place;
use crate::limit::answer::UnreadAnswers;
use crate::limit::message::PREFIX_BYTES;
use crate::{CallContext, Error};

/// How often the token of an open stream is looked at. A revoked one is refused within a second: half of that leaves time for the news.
const RECHECK: Duration = Duration::from_millis(500);

/// A request's body that is read as it comes, of at most so many bytes. More is answered with `MESSAGE_TOO_LARGE` before it is held in memory.
#[derive(Debug)]
pub(super) struct RequestBody {
    inner: Body,
    limit: usize,
    left: usize,
    context: Arc<CallContext>,
}

impl RequestBody {
    pub(super) fn new(inner: Body, limit: usize, context: Arc<CallContext>) -> Self {
        Self { inner, limit, left: limit + PREFIX_BYTES, context }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            None => return Poll::Ready(None),
            // The client went away: tonic ends the call on it.
            Some(Err(_)) => return Poll::Ready(Some(Err(Status::cancelled("the request was not sent to its end")))),
            Some(Ok(frame)) => frame,
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        let Some(left) = self.left.checked_sub(bytes) else {
            let error = Error::MessageTooLarge { limit_bytes: self.limit };
            return Poll::Ready(Some(Err(self.context.enter(|| error.into()))));
        };
        self.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an answer. Of a call that is still open, it keeps the call's time and its record until the last frame, and its place as long as there
/// is work: for a stream to its end, else until the message is there. What is there and not read is counted ([`limit::answer`](crate::limit::answer)):
/// where that is too much, the place is kept until the message is out. It goes out in pieces, and who does not take the next one is cut off, see
/// [`unread`].
pub(super) struct AnswerBody {
    inner: Body,
    call: Option<Box<OpenCall>>,
    /// What is left of a frame that is larger than a piece.
    rest: Bytes,
}

/// A call whose answer is on its way.
pub(super) struct OpenCall {
    pub(super) context: Arc<CallContext>,
    pub(super) record: Record,
    pub(super) place: Option<Place>,
    pub(super) sizes: Sizes,
    pub(super) shutdown: Shutdown,
    pub(super) verifier: Option<Verifier>,
    pub(super) answers: UnreadAnswers,
    /// What ends the call early. Made when it is first asked.
    end: Option<Pin<Box<dyn Future<Output = Error> + Send>>>,
}

impl OpenCall {
    pub(super) fn new(
        context: Arc<CallContext>,
        record: Record,
        place: Option<Place>,
        sizes: Sizes,
        shutdown: Shutdown,
        verifier: Option<Verifier>,
        answers: UnreadAnswers,
    ) -> Self {
        Self { context, record, place, sizes, shutdown, verifier, answers, end: None }
    }

    fn is_stream(&self) -> bool {
        self.context.policy.server_streaming
    }

    /// The error that ends the call, when it is time: its deadline has passed; or the call is a stream, and the server stops or the token it was
    /// opened with is no longer good.
    fn end(&self) -> impl Future<Output = Error> + Send + use<> {
        let streaming = self.is_stream();
        let (deadline, shutdown) = (self.context.deadline.instant(), self.shutdown.clone());
        let lapses = lapse(self.verifier.clone(), self.context.token.clone().filter(|_| streaming));
        async move {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => Error::DeadlineExceeded,
                () = shutdown.requested(), if streaming => Error::NotReady,
                error = lapses => error,
            }
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if self.end.is_none() {
            self.end = Some(Box::pin(self.end()));
        }
        self.end.as_mut().map_or(Poll::Pending, |end| end.as_mut().poll(cx))
    }
}

/// Waits until `token` is past its time or revoked, and says which; for ever without one.
async fn lapse(verifier: Option<Verifier>, token: Option<Arc<AccessToken>>) -> Error {
    let (Some(verifier), Some(token)) = (verifier, token) else { return std::future::pending().await };
    loop {
        if let Err(error) = verifier.recheck(&token) {
            return error;
        }
        tokio::time::sleep(RECHECK).await;
    }
}

impl AnswerBody {
    /// The body of an answer that is complete.
    pub(super) fn closed(inner: Body) -> Self {
        Self { inner, call: None, rest: Bytes::new() }
    }

    /// The body of a call that goes on.
    pub(super) fn open(inner: Body, call: OpenCall) -> Self {
        if call.is_stream() {
            unread::cut_off_after(call.end());
        }
        Self { inner, call: Some(Box::new(call)), rest: Bytes::new() }
    }

    /// Ends the call with `error`.
    fn end(&mut self, call: OpenCall, error: Error) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.inner = Body::empty();
        let mut trailers = HeaderMap::new();
        let code = call.context.enter(|| bare::write(&mut trailers, &Status::from(error)));
        Self::finish(call, code);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn finish(mut call: OpenCall, code: Code) {
        call.record.finish(code);
        drop(call.place.take());
    }

    /// The next frame, whole.
    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(mut call) = self.call.take() else {
            return Pin::new(&mut self.inner).poll_frame(cx);
        };
        // Asked first: a stream that always has more to say would never come to its end.
        if call.is_stream()
            && let Poll::Ready(error) = call.poll_end(cx)
        {
            return self.end(*call, error);
        }
        let inner = &mut self.inner;
        let polled = call.context.enter(|| {
            // Only a stream runs code of the handler's here.
            let _in_span = call.is_stream().then(|| call.context.trace.span().enter());
            catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(cx)))
        });
        let frame = match polled {
            Err(panic) => return self.end(*call, Error::Internal(format!("the stream panicked: {}", panic_text(&*panic)))),
            Ok(Poll::Pending) => match call.poll_end(cx) {
                Poll::Ready(error) => return self.end(*call, error),
                Poll::Pending => {
                    self.call = Some(call);
                    return Poll::Pending;
                }
            },
            Ok(Poll::Ready(None)) => {
                Self::finish(*call, Code::Ok);
                return Poll::Ready(None);
            }
            Ok(Poll::Ready(Some(Err(status)))) => return self.end(*call, Error::Internal(format!("the answer broke off: {status}"))),
            Ok(Poll::Ready(Some(Ok(frame)))) => frame,
        };
        match frame.into_trailers() {
            Ok(mut trailers) => {
                let code = call.context.enter(|| bare::dress(&mut trailers, &call.context, call.sizes));
                Self::finish(*call, code.unwrap_or(Code::Ok));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Err(frame) if frame.data_ref().is_some_and(|data| data.len() > call.sizes.response + PREFIX_BYTES) => {
                let limit_bytes = call.sizes.response;
                self.end(*call, Error::MessageTooLarge { limit_bytes })
            }
            Err(frame) => {
                // The work of what is no stream is done. What is left is the client's to read, and it may take its time with that.
                let done = call.place.take_if(|_| !call.context.policy.server_streaming);
                if done.is_some() && frame.data_ref().is_some_and(|message| message.len() > PIECE_BYTES_MAX) {
                    unread::cut_off_after_deadline(call.context.deadline.instant());
                }
                let frame = match done {
                    Some(place) => frame.map_data(|message| call.answers.count_or_hold(message, place)),
                    None => frame,
                };
                self.call = Some(call);
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match this.poll_whole(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => this.rest = frame.into_data().unwrap_or_default(),
                polled => {
                    unread::tell(false);
                    return polled;
                }
            }
        }
        unread::tell(true);
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.call.is_none() && self.inner.is_end_stream()
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
