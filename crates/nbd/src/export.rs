//! What a negotiation needs to know of the exports.

use crate::limits::PAYLOAD_BYTES_MAX;
use crate::{Dialect, TransmissionFlags};

/// An export as a list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportDescription {
    /// What a client asks for.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
}

/// The sizes of requests that an export takes ("Block size constraints"), in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSizes {
    /// What offsets and lengths are multiples of.
    pub minimum: u32,
    /// What serves best; a power of two.
    pub preferred: u32,
    /// The longest payload.
    pub maximum: u32,
}

impl Default for BlockSizes {
    fn default() -> Self {
        Self { minimum: 1, preferred: 4096, maximum: PAYLOAD_BYTES_MAX }
    }
}

/// An export as a client gets to know it. Size and flags stand for as long as a session lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The name that it is known by, also where it was asked for by another one, such as the empty one.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// What it can do, less what depends on the dialect.
    pub flags: TransmissionFlags,
    /// The sizes of requests; a client is told when it asks.
    pub block_sizes: BlockSizes,
}

impl Export {
    /// What it can do for a client with which this dialect was agreed upon.
    pub(crate) const fn flags_in(&self, dialect: Dialect) -> TransmissionFlags {
        let chunks = !matches!(dialect, Dialect::Simple);
        let extended = matches!(dialect, Dialect::Extended);
        self.flags
            .with_if(chunks, TransmissionFlags::SEND_DF)
            .with_if(extended, TransmissionFlags::BLOCK_STATUS_PAYLOAD)
    }
}

/// Where a negotiation looks for exports.
pub trait Exports {
    /// What the server needs to serve an export: it is opened once, so that what was described to the
    /// client is what the client gets.
    type Opened;

    /// The exports that a client may see.
    fn list(&self) -> Vec<ExportDescription>;

    /// The names of the metadata contexts that each export has, of the form `namespace:leaf`. Their places are the numbers
    /// by which BLOCK_STATUS knows them.
    fn contexts(&self) -> &'static [&'static str] {
        &[]
    }

    /// Opens the export of this name, at most 4096 bytes long; the empty name asks for the default one.
    /// Called for INFO and the contexts too, where the opened export is dropped at once.
    fn open(&self, name: &str) -> Option<(Export, Self::Opened)>;
}
