//! Chunks: what a structured reply is made of ("Structured reply chunk message").

use bytes::{BufMut, BytesMut};

use crate::limits::STRING_BYTES_MAX;
use crate::wire::{EXTENDED_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC, clip, on_wire};
use crate::{Cookie, Dialect, ErrorNumber};

/// No chunk of this reply follows.
const DONE: u16 = 1 << 0;

/// What a reply says of the request that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The request's mark.
    pub cookie: Cookie,
    /// The request's offset.
    pub offset: u64,
}

/// A chunk, but for the bytes of [`Chunk::Data`], which are to be sent behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// There is no more to say.
    None,
    /// These bytes of a READ.
    Data {
        /// Where the first one was read.
        offset: u64,
        /// How many follow; at least one.
        length: u32,
    },
    /// These bytes of a READ are zeroes.
    Hole {
        /// Where the first one is.
        offset: u64,
        /// How many; at least one.
        length: u32,
    },
    /// What one context says of the bytes from the request's offset on.
    Status {
        /// The context's number.
        context: u32,
        /// How many bytes, and what is said of them. Lengths have 32 bits but for [`Dialect::Extended`].
        extents: &'a [(u64, u32)],
    },
    /// The request has failed.
    Error {
        /// How.
        error: ErrorNumber,
        /// Why, for people; at most 4096 bytes of it are sent.
        text: &'a str,
        /// The first byte that the error is about, where that is known: one of the request's.
        offset: Option<u64>,
    },
}

impl Chunk<'_> {
    /// Appends it to `output`. `done` says that it is the reply's last one.
    ///
    /// # Panics
    /// Where the dialect has no chunks.
    pub fn encode(&self, to: ReplyTo, done: bool, dialect: Dialect, output: &mut BytesMut) {
        let flags = if done { DONE } else { 0 };
        let payload_bytes = self.payload_bytes(dialect);
        let magic = match dialect {
            Dialect::Simple => panic!("simple replies have no chunks"),
            Dialect::Structured => STRUCTURED_REPLY_MAGIC,
            Dialect::Extended => EXTENDED_REPLY_MAGIC,
        };
        output.put_u32(magic);
        output.put_u16(flags);
        output.put_u16(self.kind(dialect));
        output.put_u64(to.cookie.0);
        if dialect == Dialect::Extended {
            output.put_u64(to.offset);
            output.put_u64(payload_bytes.into());
        } else {
            output.put_u32(payload_bytes);
        }
        self.put_payload(dialect, output);
    }

    const fn kind(&self, dialect: Dialect) -> u16 {
        match self {
            Self::None => 0,
            Self::Data { .. } => 1,
            Self::Hole { .. } => 2,
            Self::Status { .. } if matches!(dialect, Dialect::Extended) => 6,
            Self::Status { .. } => 5,
            Self::Error { offset: None, .. } => 1 << 15 | 1,
            Self::Error { offset: Some(_), .. } => 1 << 15 | 2,
        }
    }

    /// With the bytes that are sent behind it.
    fn payload_bytes(&self, dialect: Dialect) -> u32 {
        match self {
            Self::None => 0,
            Self::Data { length, .. } => 8 + length,
            Self::Hole { .. } => 12,
            Self::Status { extents, .. } if dialect == Dialect::Extended => {
                8 + 16 * on_wire(extents.len())
            }
            Self::Status { extents, .. } => 4 + 8 * on_wire(extents.len()),
            Self::Error { text, offset, .. } => {
                6 + on_wire(clip(text, STRING_BYTES_MAX).len())
                    + if offset.is_some() { 8 } else { 0 }
            }
        }
    }

    fn put_payload(&self, dialect: Dialect, output: &mut BytesMut) {
        match self {
            Self::None => {}
            Self::Data { offset, .. } => output.put_u64(*offset),
            Self::Hole { offset, length } => {
                output.put_u64(*offset);
                output.put_u32(*length);
            }
            Self::Status { context, extents } if dialect == Dialect::Extended => {
                output.put_u32(*context);
                output.put_u32(on_wire(extents.len()));
                for (length, flags) in *extents {
                    output.put_u64(*length);
                    output.put_u64((*flags).into());
                }
            }
            Self::Status { context, extents } => {
                output.put_u32(*context);
                for (length, flags) in *extents {
                    output.put_u32(u32::try_from(*length).expect("a request has 32 bits"));
                    output.put_u32(*flags);
                }
            }
            Self::Error { error, text, offset } => {
                let text = clip(text, STRING_BYTES_MAX);
                output.put_u32(error.number());
                output.put_u16(u16::try_from(text.len()).expect("a text is short"));
                output.put_slice(text.as_bytes());
                offset.iter().for_each(|offset| output.put_u64(*offset));
            }
        }
    }
}
