//! Replies that wait to be sent, in the order in which they are sent.
//!
//! Headers lie one behind the other in one buffer, so that replies without bytes cost no piece each; bytes
//! that were read are sent from where they are.
//!
//! A READ that succeeded has to be answered in chunks where those were agreed upon, and so does whatever fails, for the
//! sake of its text. What else is done gets a simple reply, which is shorter, unless there are extended headers.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use hotbay_block::{Lent, Part, Payload, Pipe};
use hotbay_nbd::{Chunk, Dialect, ErrorNumber, ReplyTo, SimpleReply};

use super::answer::{Answer, Asked, Failure};

/// The most pieces that one write takes.
pub(super) const PIECES_MAX: usize = 128;

/// The queue.
#[derive(Debug)]
pub(super) struct Replies {
    dialect: Dialect,
    headers: BytesMut,
    pieces: VecDeque<Piece>,
    bytes: usize,
    count: usize,
}

#[derive(Debug)]
enum Piece {
    /// As many of the next bytes of the headers, in which so many replies have their last header.
    Headers {
        bytes: usize,
        ends: usize,
    },
    Data(Bytes),
    /// They go to the stream by themselves.
    Lent(Lent),
}

/// Whether a header is the last one of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Yes,
    No,
}

impl Piece {
    const fn len(&self) -> usize {
        match self {
            Self::Headers { bytes, .. } => *bytes,
            Self::Data(data) => data.len(),
            Self::Lent(lent) => lent.len(),
        }
    }
}

impl Replies {
    /// None, of a session in this dialect.
    pub(super) fn new(dialect: Dialect) -> Self {
        let (headers, pieces) = (BytesMut::new(), VecDeque::new());
        Self { dialect, headers, pieces, bytes: 0, count: 0 }
    }

    /// Adds the reply to a request.
    pub(super) fn push(&mut self, asked: Asked, answer: Result<Answer, Failure>) {
        let to = asked.to;
        match (self.dialect, answer) {
            (Dialect::Simple, Ok(Answer::Data(payload))) => {
                self.put_simple(to, Ok(()));
                payload.into_parts().for_each(|part| self.put_data(part));
            }
            (_, Ok(Answer::Data(payload))) => self.put_read(asked, payload),
            (_, Ok(Answer::Status(said))) => self.put_status(to, &said),
            (Dialect::Extended, Ok(Answer::Done)) => self.put_chunk(to, &Chunk::None, Last::Yes),
            (_, Ok(Answer::Done)) => self.put_simple(to, Ok(())),
            (Dialect::Simple, Err(failure)) => self.put_simple(to, Err(failure.error)),
            (_, Err(Failure { error, text, offset })) => {
                let chunk = Chunk::Error { error, text: &text, offset };
                self.put_chunk(to, &chunk, Last::Yes);
            }
        }
    }

    /// Adds the bytes of a READ: a chunk for bytes that follow each other, a chunk for zeroes that are known to be some.
    fn put_read(&mut self, Asked { to, in_one_chunk, .. }: Asked, payload: Payload) {
        let is_hole = |part: &Part| !in_one_chunk && matches!(part, Part::Zeroes(_));
        let (mut offset, end) = (to.offset, to.offset + wide(payload.len()));
        if offset == end {
            return self.put_chunk(to, &Chunk::None, Last::Yes);
        }
        let mut parts = payload.into_parts().peekable();
        while let Some(part) = parts.next() {
            let (mut bytes, is_a_hole) = (part.len(), is_hole(&part));
            let mut more = Vec::new();
            while let Some(next) = parts.next_if(|next| !is_a_hole && !is_hole(next)) {
                bytes += next.len();
                more.push(next);
            }
            let length = u32::try_from(bytes).expect("the length of a READ is bounded");
            let last = if offset + wide(bytes) == end { Last::Yes } else { Last::No };
            if is_a_hole {
                self.put_chunk(to, &Chunk::Hole { offset, length }, last);
            } else {
                self.put_chunk(to, &Chunk::Data { offset, length }, last);
                self.put_data(part);
                more.into_iter().for_each(|part| self.put_data(part));
            }
            offset += wide(bytes);
        }
    }

    /// Adds a chunk for each context.
    fn put_status(&mut self, to: ReplyTo, said: &[(u32, Vec<(u64, u32)>)]) {
        for (index, (context, extents)) in said.iter().enumerate() {
            let last = if index + 1 == said.len() { Last::Yes } else { Last::No };
            self.put_chunk(to, &Chunk::Status { context: *context, extents }, last);
        }
    }

    fn put_simple(&mut self, to: ReplyTo, result: Result<(), ErrorNumber>) {
        SimpleReply { cookie: to.cookie, result }.encode(&mut self.headers);
        self.header_is_in(SimpleReply::BYTES, Last::Yes);
    }

    fn put_chunk(&mut self, to: ReplyTo, chunk: &Chunk<'_>, last: Last) {
        let before = self.headers.len();
        chunk.encode(to, last == Last::Yes, self.dialect, &mut self.headers);
        self.header_is_in(self.headers.len() - before, last);
    }

    /// Notes bytes that were added to the headers.
    fn header_is_in(&mut self, bytes: usize, last: Last) {
        let replies = usize::from(last == Last::Yes);
        self.bytes += bytes;
        self.count += replies;
        match self.pieces.back_mut() {
            Some(Piece::Headers { bytes: there, ends }) => {
                *there += bytes;
                *ends += replies;
            }
            _ => self.pieces.push_back(Piece::Headers { bytes, ends: replies }),
        }
    }

    fn put_data(&mut self, part: Part) {
        if let Part::Lent(lent) = part {
            self.bytes += lent.len();
            return self.pieces.push_back(Piece::Lent(lent));
        }
        for piece in part.into_pieces().filter(|piece| !piece.is_empty()) {
            self.bytes += piece.len();
            self.pieces.push_back(Piece::Data(piece));
        }
    }

    /// The bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The replies whose last header has not been sent, or only along with others.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether nothing waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What comes next, where that goes to the stream by itself.
    pub(super) fn next_lent(&self) -> Option<&Lent> {
        match self.pieces.front() {
            Some(Piece::Lent(lent)) => Some(lent),
            _ => None,
        }
    }

    /// The first pieces, for one write, up to what goes to the stream by itself.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; PIECES_MAX]) -> usize {
        let mut headers: &[u8] = &self.headers;
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = match piece {
                Piece::Headers { bytes, .. } => {
                    let (these, rest) = headers.split_at(*bytes);
                    headers = rest;
                    IoSlice::new(these)
                }
                Piece::Data(data) => IoSlice::new(data),
                Piece::Lent(_) => break,
            };
            count += 1;
        }
        count
    }

    /// Takes `sent` bytes from the front, and gives the pipe back in which they were lent, where it is empty now. Those that
    /// were lent are taken by themselves.
    pub(super) fn advance(&mut self, mut sent: usize) -> Option<Pipe> {
        let mut emptied = None;
        self.bytes -= sent;
        while sent > 0
            && let Some(piece) = self.pieces.front_mut()
        {
            let length = piece.len();
            let taken = length.min(sent);
            sent -= taken;
            match piece {
                Piece::Headers { bytes, ends } => {
                    self.headers.advance(taken);
                    *bytes -= taken;
                    if taken == length {
                        self.count -= *ends;
                    }
                }
                Piece::Data(data) => data.advance(taken),
                Piece::Lent(lent) => lent.taken(taken),
            }
            if taken == length
                && let Some(Piece::Lent(lent)) = self.pieces.pop_front()
            {
                emptied = lent.into_pipe();
            }
        }
        emptied
    }

    /// Throws away all that waits.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.dialect);
    }

    /// Lets go of memory that is not in use.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }
}

fn wide(size: usize) -> u64 {
    u64::try_from(size).expect("a size in memory has 64 bits or less")
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use hotbay_nbd::Cookie;

    /// Sends all in writes of at most `step` bytes.
    fn drain(replies: &mut Replies, step: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        while !replies.is_empty() {
            if let Some(lent) = replies.next_lent() {
                let mut part = vec![0; lent.len().min(step)];
                lent.reader().read_exact(&mut part).unwrap();
                sent.extend_from_slice(&part);
                replies.advance(part.len());
                continue;
            }
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let count = replies.slices(&mut slices);
            let whole: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            let part = whole.len().min(step);
            sent.extend_from_slice(&whole[..part]);
            replies.advance(part);
        }
        sent
    }

    fn asked(cookie: u64) -> Asked {
        let to = ReplyTo { cookie: Cookie(cookie), offset: 7 };
        Asked { to, length: 0, in_one_chunk: false }
    }

    fn some(dialect: Dialect) -> Replies {
        let mut replies = Replies::new(dialect);
        for cookie in 0..300 {
            let mut payload = Payload::default();
            for part in 0..cookie % 4 {
                payload.push(Bytes::from(vec![u8::try_from(part).unwrap(); 33]));
            }
            let answer = match cookie % 5 {
                4 => Err(ErrorNumber::Io.into()),
                _ => Ok(Answer::Data(payload)),
            };
            replies.push(asked(cookie), answer);
        }
        replies
    }

    #[test]
    fn however_it_is_cut_the_bytes_are_the_same() {
        let whole = drain(&mut some(Dialect::Simple), usize::MAX);
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
        for dialect in [Dialect::Simple, Dialect::Structured, Dialect::Extended] {
            let whole = drain(&mut some(dialect), usize::MAX);
            for step in [1, 2, 15, 16, 17, 40, 1000] {
                assert_eq!(drain(&mut some(dialect), step), whole, "{step} bytes at a time");
            }
        }
    }

    #[test]
    fn it_knows_what_it_holds() {
        for dialect in [Dialect::Simple, Dialect::Structured, Dialect::Extended] {
            let mut replies = some(dialect);
            assert_eq!(replies.count(), 300);
            let bytes = replies.bytes();
            replies.advance(1);
            assert_eq!((replies.count(), replies.bytes()), (300, bytes - 1));
            assert_eq!(drain(&mut replies, 100).len(), bytes - 1);
            assert_eq!((replies.count(), replies.bytes(), replies.pieces.len()), (0, 0, 0));
        }
    }

    /// The chunks of a reply: kind, whether it is the last, payload.
    fn chunks(mut bytes: &[u8]) -> Vec<(u16, bool, Vec<u8>)> {
        let mut chunks = Vec::new();
        while bytes.has_remaining() {
            assert_eq!(bytes.get_u32(), 0x668e_33ef);
            let (flags, kind) = (bytes.get_u16(), bytes.get_u16());
            assert_eq!((flags & !1, bytes.get_u64()), (0, 9));
            let length = usize::try_from(bytes.get_u32()).unwrap();
            chunks.push((kind, flags == 1, bytes.copy_to_bytes(length).to_vec()));
        }
        chunks
    }

    #[test]
    fn a_read_is_answered_in_chunks_and_zeroes_are_not_sent() {
        let payload = || {
            let mut payload = Payload::from(Bytes::from_static(b"ab"));
            payload.push(Bytes::from_static(b"cd"));
            payload.push_zeroes(100_000);
            payload.push(Bytes::from_static(b"e"));
            payload.push_zeroes(1);
            payload
        };
        let answer = |in_one_chunk| {
            let mut replies = Replies::new(Dialect::Structured);
            let asked = Asked { in_one_chunk, ..asked(9) };
            replies.push(asked, Ok(Answer::Data(payload())));
            assert_eq!(replies.count(), 1);
            chunks(&drain(&mut replies, usize::MAX))
        };
        let at = |offset: u64, rest: &[u8]| [&offset.to_be_bytes(), rest].concat();
        let chunked = vec![
            (1, false, at(7, b"abcd")),
            (2, false, at(11, &100_000u32.to_be_bytes())),
            (1, false, at(100_011, b"e")),
            (2, true, at(100_012, &1u32.to_be_bytes())),
        ];
        assert_eq!(answer(false), chunked);
        let whole = [b"abcd".as_slice(), &[0; 100_000], b"e\0"].concat();
        assert_eq!(answer(true), vec![(1, true, at(7, &whole))]);
    }

    #[test]
    fn what_is_lent_comes_in_its_place_among_the_rest() {
        let lent = || {
            let (reader, writer) = std::io::pipe().unwrap();
            let pipe = Pipe::new(reader, writer, 4096);
            pipe.writer().write_all(&[6; 1000]).unwrap();
            Payload::from(pipe.filled(1000))
        };
        let in_memory = || Bytes::from(vec![6; 1000]).into();
        let answer = |dialect, in_one_chunk, part: Payload| {
            let mut payload = Payload::from(Bytes::from_static(b"ab"));
            payload.extend(part);
            payload.push(Bytes::from_static(b"cd"));
            payload.push_zeroes(100);
            let mut replies = Replies::new(dialect);
            replies.push(Asked { in_one_chunk, ..asked(9) }, Ok(Answer::Data(payload)));
            replies
        };
        for dialect in [Dialect::Simple, Dialect::Structured, Dialect::Extended] {
            for in_one_chunk in [false, true] {
                let whole = drain(&mut answer(dialect, in_one_chunk, in_memory()), usize::MAX);
                for step in [7, 300, 5000] {
                    let sent = drain(&mut answer(dialect, in_one_chunk, lent()), step);
                    assert_eq!(sent, whole, "{dialect:?}, {step} bytes at a time");
                }
            }
        }
    }

    #[test]
    fn each_dialect_has_its_form_for_what_is_done() {
        for (dialect, form) in [
            (Dialect::Simple, b"\x67\x44\x66\x98\0\0\0\0\0\0\0\0\0\0\0\x09".as_slice()),
            (Dialect::Structured, b"\x67\x44\x66\x98\0\0\0\0\0\0\0\0\0\0\0\x09"),
            (
                Dialect::Extended,
                b"\x6e\x8a\x27\x8c\0\x01\0\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0",
            ),
        ] {
            let mut replies = Replies::new(dialect);
            replies.push(asked(9), Ok(Answer::Done));
            assert_eq!(drain(&mut replies, 3), form, "{dialect:?}");
        }
        let mut replies = Replies::new(Dialect::Structured);
        replies.push(asked(9), Ok(Answer::Data(Payload::default())));
        assert_eq!(chunks(&drain(&mut replies, 3)), vec![(0, true, vec![])]);
    }
}
