//! One entry of a journal.

use hotbay_block::Extent;

use crate::checksum::{checksum, checksum_after};
use crate::format::{EXTENT_MAX, PAYLOAD_MAX, RECORD_BYTES, RawRecord, aligned, record};
use crate::{Sequence, format};

/// What a record begins with.
const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"hbRC");

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The bytes of an extent; the payload holds them.
    Write,
    /// The extent reads as zeroes.
    Zeroes,
    /// The extent is not needed any more.
    Trim,
    /// Every record up to a sequence was synced before this one was appended.
    Barrier,
    /// Every change up to a sequence is on the medium.
    Replayed,
    /// A segment holds nothing that is needed and may be deleted.
    Retired,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Write, Self::Zeroes, Self::Trim, Self::Barrier, Self::Replayed, Self::Retired];

    /// Its number on disk.
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::Write => 1,
            Self::Zeroes => 2,
            Self::Trim => 3,
            Self::Barrier => 4,
            Self::Replayed => 5,
            Self::Retired => 6,
        }
    }

    fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Whether it changes what the volume holds.
    #[must_use]
    pub const fn is_change(self) -> bool {
        matches!(self, Self::Write | Self::Zeroes | Self::Trim)
    }
}

/// What ties a record to its volume, segment and place, so that its bytes are a record nowhere else: not as
/// the payload of another record (a journal may lie on a volume that is journaled), nor copied elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn of(volume: &[u8; 16], segment: u64) -> Self {
        Self(checksum_after(checksum(volume), &segment.to_le_bytes()))
    }

    fn at(self, position: u64) -> u32 {
        checksum_after(self.0, &position.to_le_bytes())
    }
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) sequence: Sequence,
    /// For a change, where; else the sequence or segment number that it speaks of.
    pub(crate) offset: u64,
    /// For a change, how many bytes; else 0.
    pub(crate) length: u64,
    pub(crate) payload_crc: u32,
}

impl Record {
    pub(crate) fn encode(&self, seed: Seed, position: u64) -> [u8; record::BYTES] {
        let raw = RawRecord {
            magic: RECORD_MAGIC,
            kind: self.kind.code(),
            sequence: self.sequence,
            offset: self.offset,
            length: self.length,
            payload_crc: self.payload_crc,
        };
        raw.encode(seed.at(position))
    }

    /// The record whose header is at the start of `bytes`, which lie at `position` of the segment.
    /// Says nothing of its payload.
    pub(crate) fn decode(bytes: &[u8], seed: Seed, position: u64) -> Option<Self> {
        let raw = RawRecord::decode(bytes, RECORD_MAGIC, || seed.at(position))?;
        let record = Self {
            kind: Kind::from_code(raw.kind)?,
            sequence: raw.sequence,
            offset: raw.offset,
            length: raw.length,
            payload_crc: raw.payload_crc,
        };
        record.is_sound().then_some(record)
    }

    fn is_sound(&self) -> bool {
        let longest = match self.kind {
            Kind::Write => PAYLOAD_MAX,
            Kind::Zeroes | Kind::Trim => EXTENT_MAX,
            Kind::Barrier | Kind::Replayed | Kind::Retired => 0,
        };
        self.length <= longest && Extent::new(self.offset, self.length).is_some()
    }

    /// What a change changes; empty for all others.
    pub(crate) fn extent(&self) -> Extent {
        match Extent::new(self.offset, self.length) {
            Some(extent) if self.kind.is_change() => extent,
            _ => Extent::between(0, 0),
        }
    }

    /// The bytes of its payload.
    pub(crate) fn payload_bytes(&self) -> u64 {
        if self.kind == Kind::Write { self.length } else { 0 }
    }

    /// The bytes that it takes in a segment.
    pub(crate) fn stored_bytes(&self) -> u64 {
        stored_bytes(self.payload_bytes())
    }

    /// Whether this is its payload.
    pub(crate) fn has_payload(&self, payload: &[u8]) -> bool {
        format::wide(payload.len()) == self.payload_bytes() && checksum(payload) == self.payload_crc
    }
}

/// The bytes that a record with this payload takes in a segment.
pub(crate) const fn stored_bytes(payload_bytes: u64) -> u64 {
    aligned(RECORD_BYTES + payload_bytes)
}
