//! The message of a call, read in full before the call has a place.
//!
//! Whoever sends half a message would hold a place until the deadline, and a few hundred such calls would shut a server. So the message comes
//! first: within a bounded time, of a bounded length, and all that is not there in full within a budget of bytes. The first few kilobytes of
//! each message are not counted, because what connections and streams on them may be bounds those, and small messages must pass when large
//! ones have taken the budget.
//!
//! Deliberately absent: streams of messages from the client. Reflection alone has them, and its body is read as it comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use super::Limiter;
use crate::{Deadline, Error};

/// What of a message the budget does not count, in bytes. With 1,024 connections of 100 streams it is 400 MiB at the very worst.
const UNCOUNTED_BYTES: usize = 4 * 1024;
/// What gRPC puts before a message, in bytes.
pub(crate) const PREFIX_BYTES: usize = 5;

/// A message that is there in full, as it came.
#[derive(Debug, Default)]
pub struct Message {
    parts: VecDeque<Bytes>,
    bytes: usize,
    /// Its share of the budget.
    counted: Option<OwnedSemaphorePermit>,
}

impl Limiter {
    /// Reads a message of at most `bytes_max`.
    ///
    /// # Errors
    /// `MESSAGE_TOO_LARGE`; `DEADLINE_EXCEEDED` when it does not arrive in time; `OVERLOADED` when too much of others' is on its way;
    /// `MALFORMED_REQUEST` when it breaks off.
    pub(crate) async fn read<B>(&self, body: B, bytes_max: usize, deadline: Deadline) -> Result<Message, Error>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        deadline.or_sooner(Deadline::after(self.read_at_most)).limit(self.whole(body, bytes_max)).await?
    }

    async fn whole<B: Body<Data = Bytes> + Unpin>(&self, mut body: B, bytes_max: usize) -> Result<Message, Error> {
        let mut message = Message::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Error::MalformedRequest("the request was not sent to its end"))?;
            let Ok(part) = frame.into_data() else { continue };
            message.bytes += part.len();
            if message.bytes > bytes_max + PREFIX_BYTES {
                return Err(Error::MessageTooLarge { limit_bytes: bytes_max });
            }
            self.count(&mut message)?;
            message.parts.push_back(part);
        }
        Ok(message)
    }

    /// Takes from the budget what `message` has grown by.
    fn count(&self, message: &mut Message) -> Result<(), Error> {
        let counted = message.counted.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = message.bytes.saturating_sub(UNCOUNTED_BYTES + counted);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).ok().and_then(|more| self.unread.clone().try_acquire_many_owned(more).ok());
        let more = more.ok_or_else(|| self.overloaded())?;
        match &mut message.counted {
            Some(counted) => counted.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

impl Body for Message {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let part = self.parts.pop_front();
        if let Some(part) = &part {
            self.bytes -= part.len();
        } else {
            self.counted = None;
        }
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes as u64)
    }
}
