//! Replies as they come from a server: simple ones, and the chunks of the others ("Structured reply chunk message").

use bytes::{Buf, BytesMut};

use crate::limits::{ERROR_BYTES_MAX, PAYLOAD_BYTES_MAX, STATUS_EXTENTS_MAX};
use crate::wire::{
    EXTENDED_REPLY_MAGIC, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC, for_people, in_memory,
};
use crate::{Cookie, Dialect, ErrorNumber, SimpleReply, WrongMagic};

/// No chunk of this reply follows.
const DONE: u16 = 1 << 0;

/// What every kind of chunk has that tells of a failure.
const FAILURE: u16 = 1 << 15;

/// A reply, or one of the chunks that a reply is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The mark of the request that it answers.
    pub cookie: Cookie,
    /// The offset of that request, where the server has repeated it.
    pub offset: Option<u64>,
    /// No more of this reply follows.
    pub done: bool,
    /// What it says.
    pub part: Part,
}

/// What a reply, or a chunk of one, says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The request was carried out. The bytes of a READ follow.
    Success,
    /// Nothing.
    None,
    /// These bytes of a READ, which follow.
    Data {
        /// Where the first one was read.
        offset: u64,
        /// How many; at most [`PAYLOAD_BYTES_MAX`].
        length: u32,
    },
    /// These bytes of a READ are zeroes.
    Zeroes {
        /// Where the first one is.
        offset: u64,
        /// How many.
        length: u32,
    },
    /// What one context says of the bytes from the request's offset on.
    Status {
        /// The context's number.
        context: u32,
        /// How many bytes, and what is said of them.
        extents: Vec<(u64, u64)>,
    },
    /// The request has failed.
    Failure(Refusal),
}

/// A server's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of no.
    pub error: ErrorNumber,
    /// Why, in the server's words, without control characters; may be empty.
    pub text: String,
    /// The byte that it is about, where the server has said.
    pub offset: Option<u64>,
}

/// Why nothing that follows can be trusted. The connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutOfStep {
    /// No reply begins like that.
    #[error(transparent)]
    Magic(#[from] WrongMagic),
    /// A chunk of a kind that is not known, and no failure.
    #[error("an unknown kind of chunk: {kind}")]
    UnknownChunk {
        /// Its kind.
        kind: u16,
    },
    /// A chunk whose length does not go with its kind, or is above its limit.
    #[error("a chunk of kind {kind} with {length} bytes")]
    ChunkLength {
        /// Its kind.
        kind: u16,
        /// Its length in bytes.
        length: u64,
    },
    /// A chunk whose content makes no sense.
    #[error("a chunk of kind {kind} that makes no sense")]
    ChunkContent {
        /// Its kind.
        kind: u16,
    },
    /// What is no answer to that request.
    #[error("an answer that does not go with its request: {what}")]
    WrongAnswer {
        /// In which way.
        what: &'static str,
    },
}

impl Reply {
    /// Takes the reply, or chunk, at the front of `input`, but for the bytes of a READ.
    ///
    /// Returns `None`, and takes nothing, where it is not there in full. It is at most 32 bytes longer than what
    /// [`STATUS_EXTENTS_MAX`] extents need.
    ///
    /// # Errors
    /// Where it is none.
    pub fn decode(input: &mut BytesMut, dialect: Dialect) -> Result<Option<Self>, OutOfStep> {
        let Some(magic) = input.as_ref().try_get_u32().ok() else { return Ok(None) };
        match (magic, dialect) {
            (SIMPLE_REPLY_MAGIC, Dialect::Simple | Dialect::Structured) | (_, Dialect::Simple) => {
                Ok(SimpleReply::decode(input)?.map(Self::from))
            }
            _ => take_chunk(input, dialect),
        }
    }
}

impl From<SimpleReply> for Reply {
    fn from(reply: SimpleReply) -> Self {
        let refusal = |error| Refusal { error, text: String::new(), offset: None };
        let part =
            reply.result.map_or_else(|error| Part::Failure(refusal(error)), |()| Part::Success);
        Self { cookie: reply.cookie, offset: None, done: true, part }
    }
}

/// The bytes that begin a chunk.
struct ChunkHeader {
    flags: u16,
    kind: u16,
    cookie: Cookie,
    offset: Option<u64>,
    length: u64,
}

impl ChunkHeader {
    const fn bytes(dialect: Dialect) -> usize {
        if matches!(dialect, Dialect::Extended) { 32 } else { 20 }
    }

    fn decode(mut input: &[u8], dialect: Dialect) -> Result<Option<Self>, WrongMagic> {
        if input.len() < Self::bytes(dialect) {
            return Ok(None);
        }
        let is_extended = dialect == Dialect::Extended;
        let expected = if is_extended { EXTENDED_REPLY_MAGIC } else { STRUCTURED_REPLY_MAGIC };
        let magic = input.get_u32();
        if magic != expected {
            return Err(WrongMagic { expected: expected.into(), found: magic.into() });
        }
        let (flags, kind) = (input.get_u16(), input.get_u16());
        let cookie = Cookie(input.get_u64());
        let offset = is_extended.then(|| input.get_u64());
        let length = if is_extended { input.get_u64() } else { input.get_u32().into() };
        Ok(Some(Self { flags, kind, cookie, offset, length }))
    }

    /// How many bytes of what follows are to be there at once: all but those of a READ.
    fn fixed_bytes(&self, dialect: Dialect) -> Result<u32, OutOfStep> {
        let each = if dialect == Dialect::Extended { 16 } else { 8 };
        let (least, most) = match (self.kind, dialect) {
            (0, _) => (0, 0),
            (1, _) => (9, 8 + u64::from(PAYLOAD_BYTES_MAX)),
            (2, _) => (12, 12),
            (5, Dialect::Structured) => (4 + each, 4 + each * STATUS_EXTENTS_MAX),
            (6, Dialect::Extended) => (8 + each, 8 + each * STATUS_EXTENTS_MAX),
            (kind, _) if kind & FAILURE != 0 => (6, ERROR_BYTES_MAX),
            (kind, _) => return Err(OutOfStep::UnknownChunk { kind }),
        };
        let (kind, length) = (self.kind, self.length);
        let fits = (least..=most).contains(&length);
        let bytes = u32::try_from(length).ok().filter(|_| fits);
        let bytes = bytes.ok_or(OutOfStep::ChunkLength { kind, length })?;
        Ok(if kind == 1 { 8 } else { bytes })
    }
}

fn take_chunk(input: &mut BytesMut, dialect: Dialect) -> Result<Option<Reply>, OutOfStep> {
    let Some(header) = ChunkHeader::decode(input, dialect)? else { return Ok(None) };
    let begin = ChunkHeader::bytes(dialect);
    let whole = begin + in_memory(header.fixed_bytes(dialect)?);
    let Some(payload) = input.get(begin..whole) else { return Ok(None) };
    let part = part(&header, payload)?;
    input.advance(whole);
    let ChunkHeader { flags, cookie, offset, .. } = header;
    Ok(Some(Reply { cookie, offset, done: flags & DONE != 0, part }))
}

/// What a chunk says; its length goes with its kind.
fn part(header: &ChunkHeader, mut payload: &[u8]) -> Result<Part, OutOfStep> {
    let kind = header.kind;
    let nonsense = OutOfStep::ChunkContent { kind };
    Ok(match kind {
        0 => Part::None,
        1 => {
            let length = u32::try_from(header.length - 8).map_err(|_| nonsense)?;
            Part::Data { offset: payload.get_u64(), length }
        }
        2 => Part::Zeroes { offset: payload.get_u64(), length: payload.get_u32() },
        5 => {
            let context = payload.get_u32();
            let (pairs, rest) = payload.as_chunks::<8>();
            let pair = |mut pair: &[u8]| (pair.get_u32().into(), pair.get_u32().into());
            let extents = pairs.iter().map(|bytes| pair(bytes)).collect();
            rest.is_empty().then_some(Part::Status { context, extents }).ok_or(nonsense)?
        }
        6 => {
            let (context, count) = (payload.get_u32(), payload.get_u32());
            let (pairs, rest) = payload.as_chunks::<16>();
            let pair = |mut pair: &[u8]| (pair.get_u64(), pair.get_u64());
            let extents = pairs.iter().map(|bytes| pair(bytes)).collect();
            let adds_up = rest.is_empty() && pairs.len() == in_memory(count);
            adds_up.then_some(Part::Status { context, extents }).ok_or(nonsense)?
        }
        _ => Part::Failure(refusal(kind, payload).ok_or(nonsense)?),
    })
}

/// A failure of any kind begins alike; what more it has is known of one kind alone.
fn refusal(kind: u16, mut payload: &[u8]) -> Option<Refusal> {
    let number = payload.try_get_u32().ok().filter(|number| *number != 0)?;
    let length = payload.try_get_u16().ok()?;
    let (text, mut rest) = payload.split_at_checked(length.into())?;
    let has_offset = kind == FAILURE | 2;
    let offset = if has_offset { Some(rest.try_get_u64().ok()?) } else { None };
    Some(Refusal { error: ErrorNumber::from_number(number), text: for_people(text), offset })
}
