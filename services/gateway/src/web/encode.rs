//! An answer's body in gRPC-Web: what comes goes out at once, and trailers are its last frame.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use tonic::Status;
use tonic::body::Body;

use super::Mode;

/// The flag of a frame that holds trailers.
const TRAILERS: u8 = 0x80;

/// The body of an answer.
pub(super) struct Encoded {
    inner: Body,
    mode: Mode,
}

impl Encoded {
    pub(super) fn new(inner: Body, mode: Mode) -> Self {
        Self { inner, mode }
    }
}

impl http_body::Body for Encoded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => framed(&trailers),
                Err(_) => Bytes::new(),
            },
        };
        let bytes = match self.mode {
            Mode::Binary => bytes,
            // Each piece with its own padding: a reader takes four letters at a time, and nobody has to wait for the next piece.
            Mode::Text => STANDARD.encode(&bytes).into(),
        };
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

/// Trailers as a frame: as HTTP/1.1 writes headers.
fn framed(trailers: &HeaderMap) -> Bytes {
    let mut text = Vec::new();
    for (name, value) in trailers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(5 + text.len());
    frame.put_u8(TRAILERS);
    // Trailers are bounded by what a header list may be, far below this.
    frame.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&text);
    frame.freeze()
}
