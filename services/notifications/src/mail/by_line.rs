//! A connection that is read line by line, so that STARTTLS leaves nothing behind it.
//!
//! Why: lettre keeps what it has read ahead over the upgrade. Whoever sits on the way could send their own answers together with the one to
//! STARTTLS, in the clear, and they would be taken for answers that came by TLS (CVE-2011-0411 and its kin). Here what follows a line stays in
//! the socket until it is asked for: behind the answer to STARTTLS that is the handshake, which takes it for none and fails.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How far is looked for the end of a line: a longer one is read in parts.
const LOOK_BYTES: usize = 1_024;

/// No read goes beyond the end of a line.
#[derive(Debug)]
pub(super) struct ByLine(pub(super) TcpStream);

impl AsyncRead for ByLine {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; LOOK_BYTES];
        let room = buf.remaining().min(LOOK_BYTES);
        let count = ready!(self.0.poll_peek(cx, &mut ReadBuf::new(&mut bytes[..room])))?;
        let end = bytes[..count].iter().position(|byte| *byte == b'\n').map_or(count, |last| last + 1);
        let mut line = ReadBuf::new(&mut bytes[..end]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut line))?;
        buf.put_slice(line.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByLine {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for ByLine {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_follows_a_line_stays_in_the_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut there = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut here = ByLine(listener.accept().await.unwrap().0);
        let long = "x".repeat(LOOK_BYTES);
        there.write_all(format!("220 go on\r\n250 injected\r\n{long}\n").as_bytes()).await.unwrap();
        there.shutdown().await.unwrap();
        let mut read = [0; 4 * LOOK_BYTES];
        for expected in ["220 go on\r\n", "250 injected\r\n", &long, "\n", ""] {
            let count = here.read(&mut read).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&read[..count]), expected);
        }
    }
}
