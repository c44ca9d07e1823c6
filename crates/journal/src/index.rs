//! What is live, and where: the extents of the volume that the journal holds.
//!
//! An extent takes 32 bytes, so that with the slack of a B-tree it stays below 64. To fit, places are 32-bit
//! distances in a segment, and the kind of content shares a word with the place of the record's header, whose
//! lowest three bits are always 0.

use std::collections::BTreeMap;

use hotbay_block::Extent;

use crate::Sequence;
use crate::record::{Kind, stored_bytes};
use crate::segment::{Segments, Slot};

/// What an extent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Data,
    Zeroes,
    Trimmed,
}

const HOLDS_MASK: u32 = 0b111;

impl Holds {
    /// What a record of this kind leaves behind; `None` where it is no change.
    pub(crate) fn after(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Write => Some(Self::Data),
            Kind::Zeroes => Some(Self::Zeroes),
            Kind::Trim => Some(Self::Trimmed),
            Kind::Barrier | Kind::Replayed | Kind::Retired => None,
        }
    }

    /// The kind of record that leaves this behind.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Data => Kind::Write,
            Self::Zeroes => Kind::Zeroes,
            Self::Trimmed => Kind::Trim,
        }
    }

    fn bits(self) -> u32 {
        match self {
            Self::Data => 0,
            Self::Zeroes => 1,
            Self::Trimmed => 2,
        }
    }
}

/// A live extent but for its offset, which is the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sequence: Sequence,
    length: u32,
    pub(crate) slot: Slot,
    payload: u32,
    record_and_holds: u32,
}

impl Entry {
    /// The whole of what the record at `record` of a segment leaves behind; `payload` is where its bytes are.
    pub(crate) fn new(
        holds: Holds,
        sequence: Sequence,
        length: u64,
        slot: Slot,
        (record, payload): (u64, u64),
    ) -> Self {
        let place = |at: u64| u32::try_from(at).expect("a place in a segment has 32 bits");
        Self {
            sequence,
            length: u32::try_from(length).expect("a record's extent is bounded"),
            slot,
            payload: place(payload),
            record_and_holds: place(record) | holds.bits(),
        }
    }

    pub(crate) fn length(&self) -> u64 {
        u64::from(self.length)
    }

    /// Where the header of its record begins.
    pub(crate) fn record(&self) -> u64 {
        u64::from(self.record_and_holds & !HOLDS_MASK)
    }

    /// Where its bytes begin, if it has any.
    pub(crate) fn payload(&self) -> u64 {
        u64::from(self.payload)
    }

    pub(crate) fn holds(&self) -> Holds {
        match self.record_and_holds & HOLDS_MASK {
            0 => Holds::Data,
            1 => Holds::Zeroes,
            _ => Holds::Trimmed,
        }
    }

    /// The bytes of payload in it.
    pub(crate) fn data_bytes(&self) -> u64 {
        if self.holds() == Holds::Data { self.length() } else { 0 }
    }

    fn cost(&self) -> u64 {
        stored_bytes(self.data_bytes())
    }

    /// The part of it that begins `skip` bytes further on and has `length` bytes.
    fn part(self, skip: u64, length: u64) -> Self {
        let short = |n: u64| u32::try_from(n).expect("a part is not longer than the whole");
        let payload = if self.holds() == Holds::Data { short(skip) } else { 0 };
        Self { length: short(length), payload: self.payload + payload, ..self }
    }
}

/// The part of an entry at `offset` that lies in `within`.
pub(crate) fn clip(offset: u64, entry: Entry, within: Extent) -> Option<(Extent, Entry)> {
    let part = extent_of(offset, &entry).intersection(within)?;
    Some((part, entry.part(part.offset() - offset, part.length())))
}

fn extent_of(offset: u64, entry: &Entry) -> Extent {
    Extent::between(offset, offset.saturating_add(entry.length()))
}

/// The live extents and the segments that hold them.
#[derive(Default)]
pub(crate) struct Index {
    extents: BTreeMap<u64, Entry>,
    pub(crate) segments: Segments,
    live_bytes: u64,
    /// Of the newest change that is in the index.
    pub(crate) head: Sequence,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.extents.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// The bytes of payload in all live extents.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Notes what a record leaves behind at `offset`; older extents lose what it covers.
    pub(crate) fn insert(&mut self, offset: u64, entry: Entry) {
        self.clear(extent_of(offset, &entry));
        self.head = self.head.max(entry.sequence);
        self.put(offset, entry);
    }

    /// The live extents that have bytes in `within`, each cut to it, in ascending order.
    pub(crate) fn overlapping(&self, within: Extent) -> impl Iterator<Item = (Extent, Entry)> {
        let before = self.extents.range(..within.offset()).next_back();
        let inside = self.extents.range(within.offset()..within.end());
        before.into_iter().chain(inside).filter_map(move |(&at, &entry)| clip(at, entry, within))
    }

    /// All live extents.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.extents.iter().map(|(&offset, entry)| (offset, entry))
    }

    /// Takes all extents out at once, unless one may be newer than `up_to`.
    pub(crate) fn take_all_up_to(&mut self, up_to: Sequence) -> Option<BTreeMap<u64, Entry>> {
        if self.head > up_to {
            return None;
        }
        self.segments.clear_live();
        self.live_bytes = 0;
        Some(std::mem::take(&mut self.extents))
    }

    /// Drops extents that are not newer than `up_to`, looking at no more than `most` of those at `from` and
    /// above. Gives where to go on, or `None` at the end.
    pub(crate) fn drop_up_to(&mut self, up_to: Sequence, from: u64, most: usize) -> Option<u64> {
        let mut seen = self.extents.range(from..).take(most.saturating_add(1));
        let old: Vec<u64> = seen
            .by_ref()
            .take(most)
            .filter(|(_, entry)| entry.sequence <= up_to)
            .map(|(&offset, _)| offset)
            .collect();
        let next = seen.next().map(|(&offset, _)| offset);
        for offset in old {
            self.take(offset);
        }
        next
    }

    fn clear(&mut self, extent: Extent) {
        if let Some((&at, &entry)) = self.extents.range(..extent.offset()).next_back()
            && extent_of(at, &entry).overlaps(extent)
        {
            self.take(at);
            self.put(at, entry.part(0, extent.offset() - at));
            self.put_rest(at, entry, extent.end());
        }
        while let Some((&at, &entry)) = self.extents.range(extent.offset()..extent.end()).next() {
            self.take(at);
            self.put_rest(at, entry, extent.end());
        }
    }

    /// Puts back what of an entry lies at `from` and above.
    fn put_rest(&mut self, at: u64, entry: Entry, from: u64) {
        let skip = from.saturating_sub(at);
        if let Some(length) = entry.length().checked_sub(skip).filter(|&length| length > 0) {
            self.put(from, entry.part(skip, length));
        }
    }

    fn put(&mut self, offset: u64, entry: Entry) {
        let holder = self.segments.holder_mut(entry.slot);
        holder.live_extents += 1;
        holder.live_cost += entry.cost();
        self.live_bytes += entry.data_bytes();
        self.extents.insert(offset, entry);
    }

    fn take(&mut self, offset: u64) {
        let Some(entry) = self.extents.remove(&offset) else { return };
        let holder = self.segments.holder_mut(entry.slot);
        holder.live_extents -= 1;
        holder.live_cost -= entry.cost();
        self.live_bytes -= entry.data_bytes();
    }
}

#[cfg(test)]
mod tests;
