//! The body of an answer, which ends with a status whatever becomes of the service that sends it.
//!
//! A call keeps its place at its service until its answer has come, and an answer comes as its client reads it: whoever asks and does not read would
//! keep places that others wait for. So what is no stream is read ahead, and what is here in full keeps no place. What is longer, or finds too much
//! unread already, keeps it, and of those each address has its share: beyond it a read is refused, since it can be asked again. A change was made,
//! and its answer goes out in any case. What bounds its place is the server's clock for clients that do not read (`answer_read_ms` for a piece, and
//! that long after the deadline for all of it), and that changes are seldom answered at such length.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use contract::{Idempotency, MethodPolicy};
use http::HeaderMap;
use http_body::{Body, Frame};
use rpc::client::InTime;
use rpc::{Error, Share, Shares, UnreadAnswers};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use crate::forward::lost;

/// What is read ahead of an answer, in bytes, before its client has read of it; a frame may be more. It is what a service sends of it unasked.
const AHEAD_BYTES: usize = 64 * 1024;

/// What the edge holds for clients that do not read.
#[derive(Debug)]
pub(crate) struct Unread {
    bytes: UnreadAnswers,
    shares: Shares<IpAddr>,
}

impl Unread {
    /// At most `bytes_max` of what was read ahead, and `address_max` answers of one address that keep their places.
    pub(crate) fn new(bytes_max: usize, address_max: usize) -> Self {
        Self { bytes: UnreadAnswers::new(bytes_max), shares: Shares::new(address_max) }
    }
}

/// An answer's frames as they come from the service `name`, where its call has a place. One that breaks off, or ends without a status, ends with
/// one of ours.
pub(crate) struct Coming {
    frames: InTime,
    name: &'static str,
    _place: OwnedSemaphorePermit,
    share: Option<Share<IpAddr>>,
}

impl Coming {
    pub(crate) fn new(frames: InTime, name: &'static str, place: OwnedSemaphorePermit) -> Self {
        Self { frames, name, _place: place, share: None }
    }

    /// The next frame. After trailers there is none.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<Bytes>, Status>> {
        let error = match ready!(Pin::new(&mut self.frames).poll_frame(cx)) {
            Some(Ok(frame)) => return Poll::Ready(Ok(frame)),
            Some(Err(status)) => lost(self.name, status),
            None => Error::unavailable(self.name, "the answer ended without a status"),
        };
        let mut trailers = HeaderMap::new();
        Status::from(error).add_header(&mut trailers)?;
        Poll::Ready(Ok(Frame::trailers(trailers)))
    }
}

/// An answer on its way to its client.
pub(crate) struct Answer {
    /// What was read ahead, in one piece of its own: the frames it came in hold the memory of their neighbours.
    ahead: Bytes,
    /// What ends it, when that was read too.
    trailers: Option<HeaderMap>,
    /// What is still to come, or the place that is kept meanwhile.
    coming: Option<Coming>,
}

impl Answer {
    /// That of a stream: as it comes.
    pub(crate) fn stream(coming: Coming) -> Self {
        Self { ahead: Bytes::new(), trailers: None, coming: Some(coming) }
    }

    /// That of any other call, of `policy`'s method by the client at `address`: read ahead, and the place given back if it is here in full.
    ///
    /// # Errors
    /// `OVERLOADED`: it would keep its place, too many of that address do, and nothing is lost by asking again.
    pub(crate) async fn read_ahead(mut coming: Coming, policy: &MethodPolicy, unread: &Unread, address: IpAddr) -> Result<Self, Error> {
        let (mut ahead, mut trailers) = (Vec::new(), None);
        while trailers.is_none() && ahead.len() < AHEAD_BYTES {
            let frame = poll_fn(|cx| coming.poll_frame(cx)).await.map_err(|status| Error::Internal(status.to_string()))?;
            match frame.into_data() {
                Ok(data) => ahead.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        let counted = unread.bytes.count(ahead.into_boxed_slice().into());
        let stays = trailers.is_none() || counted.is_err();
        if stays {
            coming.share = unread.shares.take(&rpc::subscriber(address));
            if coming.share.is_none() && policy.idempotency == Idempotency::NoSideEffects {
                return Err(Error::overloaded());
            }
        }
        let coming = stays.then_some(coming);
        Ok(Self { ahead: counted.unwrap_or_else(|ahead| ahead), trailers, coming })
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.ahead)))));
        }
        if let Some(trailers) = self.trailers.take() {
            self.coming = None;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let Some(coming) = &mut self.coming else { return Poll::Ready(None) };
        let frame = ready!(coming.poll_frame(cx));
        if !frame.as_ref().is_ok_and(Frame::is_data) {
            self.coming = None;
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && self.trailers.is_none() && self.coming.is_none()
    }
}
