//! Clients that do not read.
//!
//! hyper asks a body for its next frame when the client has room for the one before. A client that reads nothing therefore leaves its call where it
//! is: nobody asks, so the call sees neither its deadline nor the end of its token, and keeps its place and whatever stands behind it. Two clocks
//! run against that: [`Watch`], for a client that does not take the next piece of one answer, and [`Patient`], for one that takes nothing from its
//! socket at all.
//!
//! Deliberately absent: a least speed. Who takes a piece now and then is slow, not gone, and is served until its call's time is over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// The largest piece of an answer that is handed over at once, in bytes: one frame of HTTP/2. It is what a client takes within its time; what waits
/// behind it is counted, see `limit::answer`.
pub(super) const PIECE_BYTES_MAX: usize = 16 * 1024;

tokio::task_local! {
    static WATCH: Arc<Watch>;
}

/// What ends a call early, other than its client.
pub(super) type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is known of the reading of one answer: told by its body, asked by the task that serves its stream.
#[derive(Default)]
pub(super) struct Watch(Mutex<Reading>);

#[derive(Default)]
struct Reading {
    /// Pieces that were handed over.
    pieces: u64,
    /// Whether the last of them is what the call waits for: it does not wait for a handler.
    waits: bool,
    /// What ends the call meanwhile.
    end: Option<End>,
}

/// Serves a stream until it ends, or until its client did not take a piece of the answer within `limit`, or is not there when the call ends
/// otherwise; then the stream is reset, and all that it holds is let go. Says whether it was cut off.
pub(super) async fn watched(stream: impl Future, limit: Duration) -> bool {
    let watch = Arc::new(Watch::default());
    let stream = WATCH.scope(watch.clone(), stream);
    tokio::select! {
        biased;
        _ = stream => false,
        () = watch.cut_off(limit) => true,
    }
}

/// Says of the answer of this task that a piece of it was handed over, or that the call waits for something else.
pub(super) fn tell(handed_over: bool) {
    // Over HTTP/1.1 there is no stream that could be reset: its connection is watched.
    let _ = WATCH.try_with(|watch| {
        let mut reading = watch.lock();
        reading.pieces += u64::from(handed_over);
        reading.waits = handed_over;
    });
}

/// Has the stream of this task end at `end`, if its client reads nothing by then.
pub(super) fn end_at(end: impl FnOnce() -> End) {
    let _ = WATCH.try_with(|watch| watch.lock().end = Some(end()));
}

impl Watch {
    fn lock(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, beside the stream that it is polled after, until the client's time for a piece is over.
    async fn cut_off(&self, limit: Duration) {
        let mut timer: Option<(u64, Pin<Box<Sleep>>)> = None;
        std::future::poll_fn(|cx| {
            let mut reading = self.lock();
            if !reading.waits {
                timer = None;
                return Poll::Pending;
            }
            if timer.as_ref().is_none_or(|(piece, _)| *piece != reading.pieces) {
                timer = Some((reading.pieces, Box::pin(tokio::time::sleep(limit))));
            }
            let late = timer.as_mut().is_some_and(|(_, timer)| timer.as_mut().poll(cx).is_ready());
            let over = reading.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready());
            if late || over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// A socket whose client may take nothing for so long and no longer: then writing fails.
pub(super) struct Patient {
    socket: TcpStream,
    limit: Duration,
    /// Since the socket took nothing.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(super) fn new(socket: TcpStream, limit: Duration) -> Self {
        Self { socket, limit, timer: None }
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = write(Pin::new(&mut self.socket), cx) {
            self.timer = None;
            return Poll::Ready(written);
        }
        let limit = self.limit;
        ready!(self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, |socket, cx| socket.poll_write(cx, bytes))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.write(cx, |socket, cx| socket.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
