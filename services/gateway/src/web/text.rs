//! A request's body in text mode, decoded as it comes: pieces of base64, each with or without padding at its end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use hyper::body::Incoming;

/// Letters that stand for bytes together.
const GROUP: usize = 4;

/// The body of a request. What is no base64 breaks it off.
pub(super) struct Decoded<B = Incoming> {
    inner: B,
    decoder: Decoder,
}

/// What was left over of the last piece: fewer letters than a group.
#[derive(Default)]
struct Decoder {
    rest: BytesMut,
}

impl<B> Decoded<B> {
    pub(super) fn new(inner: B) -> Self {
        Self { inner, decoder: Decoder::default() }
    }
}

impl Decoder {
    /// The bytes of all whole groups so far.
    fn decode(&mut self, letters: &[u8]) -> io::Result<Bytes> {
        self.rest.extend_from_slice(letters);
        let whole = self.rest.split_to(self.rest.len() - self.rest.len() % GROUP);
        let (mut bytes, mut left) = (Vec::with_capacity(whole.len() / GROUP * 3), &whole[..]);
        while !left.is_empty() {
            // Padding ends a piece, and the next begins with the next group.
            let padding = left.iter().position(|letter| *letter == b'=').unwrap_or(left.len() - 1);
            let (piece, next) = left.split_at((padding / GROUP + 1) * GROUP);
            STANDARD.decode_vec(piece, &mut bytes).map_err(io::Error::other)?;
            left = next;
        }
        Ok(bytes.into())
    }

    fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<B: Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Unpin> Body for Decoded<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            None if self.decoder.is_done() => return Poll::Ready(None),
            None => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            Some(Ok(frame)) => frame,
        };
        let decoded = frame.data_ref().map_or_else(|| Ok(Bytes::new()), |letters| self.decoder.decode(letters));
        Poll::Ready(Some(decoded.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `pieces` say, one after the other.
    fn decoded(pieces: &[&str]) -> io::Result<Vec<u8>> {
        let mut decoder = Decoder::default();
        let parts: Vec<Bytes> = pieces.iter().map(|piece| decoder.decode(piece.as_bytes())).collect::<Result<_, _>>()?;
        if decoder.is_done() { Ok(parts.concat()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    #[test]
    fn it_does_not_matter_where_the_pieces_are_cut() {
        let text = STANDARD.encode(b"paint the shed");
        for at in 0..text.len() {
            assert_eq!(decoded(&[&text[..at], &text[at..]]).unwrap(), b"paint the shed");
        }
    }

    #[test]
    fn padding_ends_a_piece_and_another_may_follow() {
        let text = [STANDARD.encode(b"pain"), STANDARD.encode(b"t the"), STANDARD.encode(b" shed")].concat();
        assert_eq!(decoded(&[&text]).unwrap(), b"paint the shed");
        let letters: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(decoded(&letters.iter().map(String::as_str).collect::<Vec<_>>()).unwrap(), b"paint the shed");
    }

    #[test]
    fn what_is_no_base64_is_none() {
        for text in ["cGF", "c=Fp", "====", "cG F", "\u{e4}\u{e4}"] {
            assert!(decoded(&[text]).is_err(), "{text}");
        }
    }
}
