//! Clients that do not read.
//!
//! hyper asks a body for its next frame when the client has room for the one before. A client that reads nothing therefore leaves its call where it
//! is: nobody asks, so the call sees neither its deadline nor the end of its token, and keeps its place and whatever stands behind it. Two clocks
//! run against that: [`Watch`], for a client that does not take the next piece of one answer, and [`Patient`], for one that takes nothing from its
//! socket at all.
//!
//! Deliberately absent: a least speed. Who takes a piece now and then is slow, not gone, and is served until its call's time is over: a stream's client
//! has [`LAST_READ`] from there to come to the end of what was handed over and read why it ends; who reads a long answer has the time of one more piece.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// The largest piece of an answer that is handed over at once, in bytes: one frame of HTTP/2. It is what a client takes within its time; what waits
/// behind it is counted, see `limit::answer`.
pub(super) const PIECE_BYTES_MAX: usize = 16 * 1024;

/// How long the client of a stream that is over may take to read its status.
const LAST_READ: Duration = Duration::from_secs(2);

tokio::task_local! {
    static WATCH: Arc<Watch>;
}

/// What ends a call early, other than its client.
type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is known of the reading of one answer: told by its body, asked by the task that serves its stream.
struct Watch {
    /// Within which a client takes a piece.
    limit: Duration,
    reading: Mutex<Reading>,
}

#[derive(Default)]
struct Reading {
    /// Pieces that were handed over.
    pieces: u64,
    /// Whether the last of them is what the call waits for: it does not wait for a handler.
    waits: bool,
    /// What ends the call meanwhile.
    end: Option<End>,
}

/// Serves a stream until it ends, or until its client did not take a piece of the answer within `limit`, or has not read it to its end some time
/// after the call ended otherwise; then the stream is reset, and all that it holds is let go. Says whether it was cut off.
pub(super) async fn watched(stream: impl Future, limit: Duration) -> bool {
    let watch = Arc::new(Watch { limit, reading: Mutex::default() });
    let stream = WATCH.scope(watch.clone(), stream);
    tokio::select! {
        biased;
        _ = stream => false,
        () = watch.cut_off() => true,
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

/// Has the stream of this task, whose call is one that streams, cut off soon after `end`, if its client has not read why it ends by then.
pub(super) fn cut_off_after(end: impl Future + Send + 'static) {
    let _ = WATCH.try_with(|watch| watch.end(end, LAST_READ));
}

/// Has the stream of this task cut off if its client has not read the one, long answer by the time of one more piece after `deadline`.
pub(super) fn cut_off_after_deadline(deadline: Instant) {
    let _ = WATCH.try_with(|watch| watch.end(tokio::time::sleep_until(deadline), watch.limit));
}

impl Watch {
    fn lock(&self) -> std::sync::MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts off at `rest` after `end`.
    fn end(&self, end: impl Future + Send + 'static, rest: Duration) {
        self.lock().end = Some(Box::pin(async move {
            drop(end.await);
            tokio::time::sleep(rest).await;
        }));
    }

    /// Waits, beside the stream that it is polled after, until the client's time for a piece is over.
    async fn cut_off(&self) {
        let mut timer: Option<(u64, Pin<Box<Sleep>>)> = None;
        std::future::poll_fn(|cx| {
            let mut reading = self.lock();
            if !reading.waits {
                timer = None;
                return Poll::Pending;
            }
            if timer.as_ref().is_none_or(|(piece, _)| *piece != reading.pieces) {
                timer = Some((reading.pieces, Box::pin(tokio::time::sleep(self.limit))));
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
