//! Replies of the transmission phase ("Simple reply message").

use bytes::{Buf, BufMut};

use crate::wire::SIMPLE_REPLY_MAGIC;
use crate::{Cookie, ErrorNumber, WrongMagic};

/// The 16 bytes that begin, and mostly are, a reply. The bytes of a READ that succeeded follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimpleReply {
    /// The mark of the request that it answers.
    pub cookie: Cookie,
    /// How the request went.
    pub result: Result<(), ErrorNumber>,
}

impl SimpleReply {
    /// Its size on the wire, without the bytes of a READ.
    pub const BYTES: usize = 16;

    /// Appends it to `output`.
    pub fn encode(&self, output: &mut impl BufMut) {
        output.put_u32(SIMPLE_REPLY_MAGIC);
        output.put_u32(self.result.map_or_else(ErrorNumber::number, |()| 0));
        output.put_u64(self.cookie.0);
    }

    /// Takes the reply at the front of `input`.
    ///
    /// Returns `None`, and takes nothing, where it is not there in full.
    ///
    /// # Errors
    /// Where it does not begin with its magic number. The connection cannot go on.
    pub fn decode(input: &mut impl Buf) -> Result<Option<Self>, WrongMagic> {
        if input.remaining() < Self::BYTES {
            return Ok(None);
        }
        let magic = input.get_u32();
        if magic != SIMPLE_REPLY_MAGIC {
            return Err(WrongMagic { expected: SIMPLE_REPLY_MAGIC.into(), found: magic.into() });
        }
        let result = match input.get_u32() {
            0 => Ok(()),
            number => Err(ErrorNumber::from_number(number)),
        };
        Ok(Some(Self { cookie: Cookie(input.get_u64()), result }))
    }
}
