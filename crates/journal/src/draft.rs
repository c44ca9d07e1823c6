//! Records to be: what is known of them before they have a place.

use bytes::Bytes;
use hotbay_block::Extent;

use crate::checksum::checksum;
use crate::format::{EXTENT_MAX, PAYLOAD_MAX, RECORD_BYTES, SPLIT_BYTES, narrow, wide};
use crate::record::{Kind, stored_bytes};

/// A record that has no sequence and no place yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) kind: Kind,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) payload: Bytes,
    pub(crate) payload_crc: u32,
}

impl Draft {
    /// A write of these bytes.
    pub(crate) fn write(offset: u64, payload: Bytes) -> Self {
        let (length, payload_crc) = (wide(payload.len()), checksum(&payload));
        Self { kind: Kind::Write, offset, length, payload, payload_crc }
    }

    /// A record without payload.
    pub(crate) fn plain(kind: Kind, offset: u64, length: u64) -> Self {
        Self { kind, offset, length, payload: Bytes::new(), payload_crc: 0 }
    }

    /// The bytes of its payload.
    pub(crate) fn payload_bytes(&self) -> u64 {
        wide(self.payload.len())
    }

    /// The bytes that it takes in a segment.
    pub(crate) fn stored_bytes(&self) -> u64 {
        stored_bytes(self.payload_bytes())
    }

    /// The first `length` bytes of a write, and the rest.
    pub(crate) fn split(&self, length: u64) -> (Self, Self) {
        let at = narrow(length);
        let rest = Self::write(self.offset + length, self.payload.slice(at..));
        (Self::write(self.offset, self.payload.slice(..at)), rest)
    }
}

/// The records for a write of any length.
pub(crate) fn drafts_of_write(offset: u64, data: &Bytes, drafts: &mut Vec<Draft>) {
    let step = narrow(PAYLOAD_MAX);
    let starts = (0..data.len()).step_by(step);
    drafts.extend(starts.zip((offset..).step_by(step)).map(|(start, offset)| {
        Draft::write(offset, data.slice(start..data.len().min(start.saturating_add(step))))
    }));
}

/// The records for a change without bytes, of any length.
pub(crate) fn drafts_of_extent(kind: Kind, extent: Extent, drafts: &mut Vec<Draft>) {
    let pieces = extent.pieces(EXTENT_MAX);
    drafts.extend(pieces.map(|piece| Draft::plain(kind, piece.offset(), piece.length())));
}

/// How much of a write goes into `room` where it does not fit as a whole.
pub(crate) fn part_that_fits(draft: &Draft, room: u64) -> Option<u64> {
    let bytes = room.saturating_sub(RECORD_BYTES) / SPLIT_BYTES * SPLIT_BYTES;
    (draft.kind == Kind::Write && bytes > 0 && bytes < draft.length).then_some(bytes)
}
