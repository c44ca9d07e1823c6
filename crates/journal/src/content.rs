//! What goes into a journal and comes out of it.

use bytes::Bytes;
use hotbay_block::Extent;

use crate::Sequence;
use crate::format::wide;

/// One change to the volume.
#[derive(Clone, Debug)]
pub enum Change {
    /// New bytes.
    Write {
        /// Where they begin.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// The extent reads as zeroes.
    Zeroes(Extent),
    /// The extent is not needed any more; it reads as zeroes while the journal holds it.
    Trim(Extent),
}

impl Change {
    /// The byte behind it; `None` where that does not fit in 64 bits.
    pub(crate) fn end(&self) -> Option<u64> {
        match self {
            Self::Write { offset, data } => offset.checked_add(wide(data.len())),
            Self::Zeroes(extent) | Self::Trim(extent) => Some(extent.end()),
        }
    }

    /// What it changes.
    #[must_use]
    pub fn extent(&self) -> Extent {
        match self {
            Self::Write { offset, data } => {
                Extent::between(*offset, offset.saturating_add(wide(data.len())))
            }
            Self::Zeroes(extent) | Self::Trim(extent) => *extent,
        }
    }
}

/// What a live extent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Data(Bytes),
    /// Zeroes.
    Zeroes,
    /// Nothing that is needed; reads as zeroes.
    Trimmed,
}

/// A part of an extent that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which part.
    pub extent: Extent,
    /// What the journal holds for it; `None` where that is nothing.
    pub content: Option<Content>,
}

/// An extent that is to be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveExtent {
    /// Which.
    pub extent: Extent,
    /// What it holds.
    pub content: Content,
    /// Of the record that it comes from.
    pub sequence: Sequence,
}

/// How much a journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The bytes of data in all live extents. Zeroes and trims count nothing.
    pub live_bytes: u64,
    /// The length of all files.
    pub disk_bytes: u64,
    /// What `disk_bytes` never exceeds, unless the journal was opened with a lower limit than it had before.
    pub limit_bytes: u64,
    /// The number of live extents.
    pub extents: u64,
}
