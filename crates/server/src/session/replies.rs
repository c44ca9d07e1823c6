//! Replies that wait to be sent, in the order in which they are sent.
//!
//! Headers lie one behind the other in one buffer, so that replies without bytes cost no piece each; bytes
//! that were read are sent from where they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use hotbay_block::Payload;
use hotbay_nbd::{Cookie, ErrorNumber, SimpleReply};

/// The most pieces that one write takes.
pub(super) const PIECES_MAX: usize = 128;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Replies {
    headers: BytesMut,
    pieces: VecDeque<Piece>,
    bytes: usize,
}

#[derive(Debug)]
enum Piece {
    /// As many of the next bytes of the headers.
    Headers(usize),
    Data(Bytes),
}

impl Replies {
    /// Adds the reply to a request.
    pub(super) fn push(&mut self, cookie: Cookie, result: Result<Payload, ErrorNumber>) {
        let (result, payload) = match result {
            Ok(payload) => (Ok(()), Some(payload)),
            Err(error) => (Err(error), None),
        };
        SimpleReply { cookie, result }.encode(&mut self.headers);
        self.bytes += SimpleReply::BYTES;
        match self.pieces.back_mut() {
            Some(Piece::Headers(length)) => *length += SimpleReply::BYTES,
            _ => self.pieces.push_back(Piece::Headers(SimpleReply::BYTES)),
        }
        for part in payload.into_iter().flat_map(Payload::into_parts) {
            if !part.is_empty() {
                self.bytes += part.len();
                self.pieces.push_back(Piece::Data(part));
            }
        }
    }

    /// The bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The replies of which not even the header has been sent in full.
    pub(super) fn count(&self) -> usize {
        self.headers.len().div_ceil(SimpleReply::BYTES)
    }

    /// Whether nothing waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The first pieces, for one write.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; PIECES_MAX]) -> usize {
        let mut headers: &[u8] = &self.headers;
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = match piece {
                Piece::Headers(length) => {
                    let (these, rest) = headers.split_at(*length);
                    headers = rest;
                    IoSlice::new(these)
                }
                Piece::Data(data) => IoSlice::new(data),
            };
            count += 1;
        }
        count
    }

    /// Takes `sent` bytes from the front.
    pub(super) fn advance(&mut self, mut sent: usize) {
        self.bytes -= sent;
        while sent > 0
            && let Some(piece) = self.pieces.front_mut()
        {
            let length = match piece {
                Piece::Headers(length) => *length,
                Piece::Data(data) => data.len(),
            };
            let taken = length.min(sent);
            sent -= taken;
            match piece {
                Piece::Headers(length) => {
                    self.headers.advance(taken);
                    *length -= taken;
                }
                Piece::Data(data) => data.advance(taken),
            }
            if taken == length {
                self.pieces.pop_front();
            }
        }
    }

    /// Throws away all that waits.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Lets go of memory that is not in use.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends all in writes of at most `step` bytes.
    fn drain(replies: &mut Replies, step: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        while !replies.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let count = replies.slices(&mut slices);
            let whole: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            let part = whole.len().min(step);
            sent.extend_from_slice(&whole[..part]);
            replies.advance(part);
        }
        sent
    }

    fn some() -> Replies {
        let mut replies = Replies::default();
        for cookie in 0..300 {
            let mut payload = Payload::default();
            for part in 0..cookie % 4 {
                payload.push(Bytes::from(vec![u8::try_from(part).unwrap(); 33]));
            }
            let result = if cookie % 5 == 4 { Err(ErrorNumber::Io) } else { Ok(payload) };
            replies.push(Cookie(cookie), result);
        }
        replies
    }

    #[test]
    fn however_it_is_cut_the_bytes_are_the_same() {
        let whole = drain(&mut some(), usize::MAX);
        let (mut input, mut cookie) = (whole.as_slice(), 0);
        while let Some(reply) = SimpleReply::decode(&mut input).unwrap() {
            assert_eq!(reply.cookie, Cookie(cookie));
            let parts = if reply.result.is_ok() { cookie % 4 } else { 0 };
            for part in 0..parts {
                assert!(input[..33].iter().all(|byte| u64::from(*byte) == part));
                input.advance(33);
            }
            cookie += 1;
        }
        assert_eq!((cookie, input.len()), (300, 0));
        for step in [1, 2, 15, 16, 17, 40, 1000] {
            assert_eq!(drain(&mut some(), step), whole, "{step} bytes at a time");
        }
    }

    #[test]
    fn it_knows_what_it_holds() {
        let mut replies = some();
        assert_eq!(replies.count(), 300);
        let bytes = replies.bytes();
        replies.advance(1);
        assert_eq!((replies.count(), replies.bytes()), (300, bytes - 1));
        assert_eq!(drain(&mut replies, 100).len(), bytes - 1);
        assert_eq!((replies.count(), replies.bytes(), replies.pieces.len()), (0, 0, 0));
    }
}
