//! The body of an answer, which ends with a status whatever becomes of the service that sends it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use rpc::Error;
use rpc::client::InTime;
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use crate::forward::lost;

/// An answer's frames as they come. One that breaks off, or ends without a status, ends with one of ours.
pub(crate) struct Answer {
    inner: InTime,
    _place: OwnedSemaphorePermit,
    name: &'static str,
    ended: bool,
}

impl Answer {
    /// The body of an answer of `name`, whose place it keeps; `ended` says that the status stands in the headers already.
    pub(crate) fn new(inner: InTime, place: OwnedSemaphorePermit, name: &'static str, ended: bool) -> Self {
        Self { inner, _place: place, name, ended }
    }

    fn end(&mut self, error: Error) -> Result<Frame<Bytes>, Status> {
        self.ended = true;
        let mut trailers = HeaderMap::new();
        let status = Status::from(error);
        status.add_header(&mut trailers)?;
        Ok(Frame::trailers(trailers))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.ended = frame.is_trailers();
                Ok(frame)
            }
            Some(Err(status)) => {
                let error = lost(self.name, status);
                self.end(error)
            }
            None => {
                let error = Error::unavailable(self.name, "the answer ended without a status");
                self.end(error)
            }
        };
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
