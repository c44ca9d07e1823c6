//! The bounds of all that a peer can make this crate, or one that uses it, hold.

/// The most bytes that one READ or WRITE may carry; announced as the maximum block size.
pub const PAYLOAD_BYTES_MAX: u32 = 64 << 20;

/// The most bytes that may follow a BLOCK_STATUS: its length, and so many contexts.
pub const STATUS_PAYLOAD_BYTES_MAX: u32 = 8 + 4 * 64;

/// A WRITE that announces more than this many bytes ends the session; below it, what is above
/// [`PAYLOAD_BYTES_MAX`] is drained and refused.
pub const DRAIN_BYTES_MAX: u32 = 256 << 20;

/// The most bytes of data that an option, or the reply to one, may have. Longer data of an option is drained
/// without being kept; a longer reply makes a client give up.
pub const OPTION_BYTES_MAX: u32 = 64 << 10;

/// The most options that a client may send in one negotiation.
pub const OPTIONS_MAX: u32 = 256;

/// The most bytes of any string: names, descriptions, texts of errors ("Values", proto.md).
pub const STRING_BYTES_MAX: usize = 4096;

/// The most bytes of a chunk that tells of a failure.
pub const ERROR_BYTES_MAX: u64 = 8 << 10;

/// The most extents of one answer to BLOCK_STATUS, as the protocol has it.
pub const STATUS_EXTENTS_MAX: u64 = 1 << 20;

/// The most pieces, with gaps between them, in which a client takes the bytes of a READ.
pub const PIECES_MAX: usize = 4096;

/// The most exports that a client takes from one LIST.
pub const LISTED_MAX: usize = 16 << 10;

/// The most pieces of information that a client takes in answer to one GO.
pub const INFO_REPLIES_MAX: u32 = 64;
