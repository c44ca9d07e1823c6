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
        let payload_bytes = self.payload_bytes();
        let magic = match dialect {
            Dialect::Simple => panic!("simple replies have no chunks"),
            Dialect::Structured => STRUCTURED_REPLY_MAGIC,
            Dialect::Extended => EXTENDED_REPLY_MAGIC,
        };
        output.put_u32(magic);
        output.put_u16(flags);
        output.put_u16(self.kind());
        output.put_u64(to.cookie.0);
        if dialect == Dialect::Extended {
            output.put_u64(to.offset);
            output.put_u64(payload_bytes.into());
        } else {
            output.put_u32(payload_bytes);
        }
        self.put_payload(output);
    }

    const fn kind(&self) -> u16 {
        match self {
            Self::None => 0,
            Self::Data { .. } => 1,
            Self::Hole { .. } => 2,
            Self::Error { offset: None, .. } => 1 << 15 | 1,
            Self::Error { offset: Some(_), .. } => 1 << 15 | 2,
        }
    }

    /// With the bytes that are sent behind it.
    fn payload_bytes(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Data { length, .. } => 8 + length,
            Self::Hole { .. } => 12,
            Self::Error { text, offset, .. } => {
                6 + on_wire(clip(text, STRING_BYTES_MAX).len())
                    + if offset.is_some() { 8 } else { 0 }
            }
        }
    }

    fn put_payload(&self, output: &mut BytesMut) {
        match self {
            Self::None => {}
            Self::Data { offset, .. } => output.put_u64(*offset),
            Self::Hole { offset, length } => {
                output.put_u64(*offset);
                output.put_u32(*length);
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
