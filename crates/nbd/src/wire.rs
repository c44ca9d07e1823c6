//! The magic numbers, and integers of the wire as sizes in memory. Everything is big-endian.

use bytes::{Buf, BufMut};

/// The first 8 bytes from a server: `NBDMAGIC`.
pub const SERVER_MAGIC: u64 = 0x4e42_444d_4147_4943;
/// The next 8 bytes from a newstyle server, and the first of each option: `IHAVEOPT`.
pub const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// The first 8 bytes of each reply to an option.
pub const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// The first 4 bytes of each request.
pub const REQUEST_MAGIC: u32 = 0x2560_9513;
/// The first 4 bytes of each simple reply.
pub const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;

/// The first 4 bytes of each chunk of a structured reply.
pub const STRUCTURED_REPLY_MAGIC: u32 = 0x668e_33ef;
/// The first 4 bytes of each request with an extended header.
pub const EXTENDED_REQUEST_MAGIC: u32 = 0x21e4_1c71;
/// The first 4 bytes of each chunk with an extended header.
pub const EXTENDED_REPLY_MAGIC: u32 = 0x6e8a_278c;

/// The TCP port that is NBD's by registration.
pub const DEFAULT_PORT: u16 = 10809;

/// Bytes of zeroes that end the answer to EXPORT_NAME where NO_ZEROES was not agreed upon.
pub(crate) const EXPORT_NAME_ZEROES: usize = 124;

/// A length of the wire as a size in memory.
pub(crate) fn in_memory(length: u32) -> usize {
    usize::try_from(length).expect("a size in memory has 32 bits or more")
}

/// A size in memory, bounded by [`crate::limits`], as a length of the wire.
pub(crate) fn on_wire(size: usize) -> u32 {
    u32::try_from(size).expect("what is sent was kept below 4 GiB by its limit")
}

/// Writes a string as its length in 32 bits and its bytes.
pub(crate) fn put_string(output: &mut impl BufMut, text: &str) {
    output.put_u32(on_wire(text.len()));
    output.put_slice(text.as_bytes());
}

/// Takes the next `length` bytes, or `None` where there are fewer.
pub(crate) fn take<'a>(input: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (head, tail) = input.split_at_checked(in_memory(length))?;
    *input = tail;
    Some(head)
}

/// Takes a string that is preceded by its length in 32 bits, or `None` where it is cut off.
pub(crate) fn take_string<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = input.try_get_u32().ok()?;
    take(input, length)
}

/// What a peer says for people, without what could do harm on their terminal.
pub(crate) fn for_people(text: &[u8]) -> String {
    let replaced = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(text).chars().map(replaced).collect()
}

/// The longest beginning of `text` that has at most `bytes` bytes.
pub(crate) fn clip(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
