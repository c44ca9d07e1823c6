//! Bytes from the client, and the requests in them.
//!
//! The bytes of a WRITE stay where they were received; those of a long one are given out in parts, or received into one
//! buffer that was reserved for it. What is refused is dropped as it comes.

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use hotbay_nbd::limits::DRAIN_BYTES_MAX;
use hotbay_nbd::{Command, Dialect, ErrorNumber, RequestHeader, WrongMagic};

/// The bytes received at once, but for the payload of a long WRITE.
const RECEIVE_BYTES: usize = 64 << 10;
/// With less room than this a receive is not worth its system call.
const RECEIVE_BYTES_LEAST: usize = 16 << 10;
/// The most of a WRITE in parts that is received at once. More would leave the processor's cache before it is used.
const PART_BYTES_MOST: usize = 256 << 10;
/// With less than this, a part is not worth its requests, unless it is the last one.
const PART_BYTES_LEAST: usize = 32 << 10;
/// Parts end at multiples of this in the device.
const BLOCK_BYTES: u64 = 4 << 10;

/// What was received and has not been taken yet.
#[derive(Debug)]
pub(super) struct Intake {
    dialect: Dialect,
    buffer: BytesMut,
    expected: Expected,
}

/// What the next bytes are.
#[derive(Debug)]
enum Expected {
    Header,
    /// The payload of a request that was admitted.
    Payload(RequestHeader),
    /// The same in parts; so many bytes of it were given out.
    Parts(RequestHeader, usize),
    /// `left` bytes of a request that is refused.
    Refused {
        header: RequestHeader,
        error: ErrorNumber,
        left: usize,
    },
}

/// What becomes of a request that has begun to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It stays where it is.
    NotNow,
    /// It is taken when it is there in full.
    Whole,
    /// The same, but for its payload, which is taken in parts.
    InParts,
}

/// What is next.
#[derive(Debug)]
pub(super) enum Next {
    /// A request, with its payload where it has one.
    Request(RequestHeader, Bytes),
    /// Bytes of a payload that is taken in parts, and how many came before them.
    Part(RequestHeader, usize, Bytes),
    /// A request that is wrong whatever the device; its payload has been dropped.
    Refused(RequestHeader, ErrorNumber),
    /// The client wants no more.
    Disconnect,
    /// More must be received.
    Incomplete,
    /// The next request was not admitted; it is still there.
    NotAdmitted,
}

/// Why nothing that follows can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutOfStep {
    #[error(transparent)]
    Magic(#[from] WrongMagic),
    #[error("a payload of {0} bytes is too long even to be refused")]
    Endless(u64),
}

impl Intake {
    /// Begins with bytes that were received already.
    pub(super) const fn new(received: BytesMut, dialect: Dialect) -> Self {
        Self { dialect, buffer: received, expected: Expected::Header }
    }

    /// Takes the next request, if it is there in full and `admits` agrees. Asked once for each request that
    /// is given to the device, before its payload is waited for.
    pub(super) fn next(
        &mut self,
        admits: impl FnOnce(&RequestHeader) -> Admission,
    ) -> Result<Next, OutOfStep> {
        if matches!(self.expected, Expected::Header)
            && let Some(next) = self.take_header(admits)?
        {
            return Ok(next);
        }
        Ok(match &mut self.expected {
            Expected::Header => Next::Incomplete,
            &mut Expected::Payload(header) => {
                let length = self.bytes_of(&header);
                if self.buffer.len() < length {
                    return Ok(Next::Incomplete);
                }
                self.expected = Expected::Header;
                Next::Request(header, self.buffer.split_to(length).freeze())
            }
            &mut Expected::Parts(header, done) => self.next_part(header, done),
            Expected::Refused { header, error, left } => {
                let dropped = self.buffer.len().min(*left);
                self.buffer.advance(dropped);
                *left -= dropped;
                if *left > 0 {
                    return Ok(Next::Incomplete);
                }
                let refused = Next::Refused(*header, *error);
                self.expected = Expected::Header;
                refused
            }
        })
    }

    /// Takes what is there of a payload, up to its end or to the last end of a block.
    fn next_part(&mut self, header: RequestHeader, done: usize) -> Next {
        let left = self.bytes_of(&header) - done;
        let mut length = self.buffer.len().min(left);
        if length < left {
            let end = header.offset + wide(done + length);
            length = length.saturating_sub(narrow(end % BLOCK_BYTES));
            if length < PART_BYTES_LEAST {
                return Next::Incomplete;
            }
            self.expected = Expected::Parts(header, done + length);
        } else {
            self.expected = Expected::Header;
        }
        Next::Part(header, done, self.buffer.split_to(length).freeze())
    }

    /// Takes a header. Gives what is next where that has no payload, else sets what is expected.
    fn take_header(
        &mut self,
        admits: impl FnOnce(&RequestHeader) -> Admission,
    ) -> Result<Option<Next>, OutOfStep> {
        let Some(header) = RequestHeader::decode(&mut self.buffer.as_ref(), self.dialect)? else {
            return Ok(Some(Next::Incomplete));
        };
        if header.payload_bytes(self.dialect) > DRAIN_BYTES_MAX.into() {
            return Err(OutOfStep::Endless(header.length));
        }
        if header.command == Command::Disconnect {
            return Ok(Some(Next::Disconnect));
        }
        let admission = admits(&header);
        if admission == Admission::NotNow {
            return Ok(Some(Next::NotAdmitted));
        }
        self.buffer.advance(RequestHeader::bytes(self.dialect));
        let length = self.bytes_of(&header);
        match header.refusal(self.dialect) {
            Some(error) => self.expected = Expected::Refused { header, error, left: length },
            None if length == 0 => return Ok(Some(Next::Request(header, Bytes::new()))),
            None if admission == Admission::InParts => self.expected = Expected::Parts(header, 0),
            None => self.expected = Expected::Payload(header),
        }
        Ok(None)
    }

    /// The bytes of the payload, or of its next part, that are being received; 0 where there are none.
    pub(super) fn bytes_expected(&self) -> usize {
        match &self.expected {
            Expected::Payload(header) => self.bytes_of(header),
            Expected::Parts(header, done) => (self.bytes_of(header) - done).min(PART_BYTES_MOST),
            Expected::Header | Expected::Refused { .. } => 0,
        }
    }

    /// The payload of a request in memory.
    fn bytes_of(&self, header: &RequestHeader) -> usize {
        narrow(header.payload_bytes(self.dialect))
    }

    /// Where to receive to. A payload that is longer than a usual receive gets room for itself and nothing
    /// else, so that what comes behind it never has to be moved. Parts may lie behind each other, so that those
    /// that are kept keep little more than their own bytes, however little comes at a time.
    pub(super) fn room(&mut self) -> Limit<&mut BytesMut> {
        let missing = self.bytes_expected().saturating_sub(self.buffer.len());
        let most = missing.max(RECEIVE_BYTES);
        let room = self.buffer.capacity() - self.buffer.len();
        let enough = match self.expected {
            Expected::Parts(..) => missing.min(RECEIVE_BYTES),
            _ => missing,
        };
        if room < enough.max(RECEIVE_BYTES_LEAST) {
            self.buffer.reserve(most);
        }
        (&mut self.buffer).limit(most)
    }

    /// Whether a request has begun and is not there in full.
    pub(super) fn is_amid_request(&self) -> bool {
        !self.buffer.is_empty() || !matches!(self.expected, Expected::Header)
    }

    /// Whether it keeps memory.
    pub(super) fn holds_memory(&self) -> bool {
        self.buffer.capacity() > 0
    }

    /// Lets go of memory that is not in use.
    pub(super) fn release(&mut self) {
        if !self.is_amid_request() {
            self.buffer = BytesMut::new();
        }
    }
}

fn narrow(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is too long for memory was turned away")
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a size in memory has 64 bits or less")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_nbd::{CommandFlags, Cookie};

    /// Parts that the device has not done with keep what they were received into; in TLS little comes at a time.
    #[test]
    fn parts_that_are_kept_keep_little_more_than_their_bytes() {
        const LENGTH: usize = 8 << 20;
        let length = wide(LENGTH);
        let (command, flags, cookie) = (Command::Write, CommandFlags::NONE, Cookie(1));
        let header = RequestHeader { command, flags, cookie, offset: 0, length };
        let mut received = BytesMut::new();
        header.encode(&mut received, Dialect::Simple);
        let mut intake = Intake::new(received, Dialect::Simple);
        let (mut kept, mut allocated, mut at) = (Vec::new(), 0, 0);
        while at < LENGTH {
            match intake.next(|_| Admission::InParts).unwrap() {
                Next::Part(_, done, data) => {
                    assert_eq!(done, at);
                    at += data.len();
                    kept.push(data);
                }
                Next::Incomplete => {
                    let before = intake.buffer.capacity();
                    let mut room = intake.room();
                    let record = room.remaining_mut().min(16 << 10);
                    room.put_bytes(0x5a, record);
                    if intake.buffer.capacity() > before {
                        allocated += intake.buffer.capacity();
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(allocated < LENGTH * 2, "{} parts keep {allocated} bytes", kept.len());
    }
}
