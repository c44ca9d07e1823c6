//! One file of a journal, and the table of those that there are.

use std::sync::Arc;

use bytes::Bytes;

use crate::Sequence;
use crate::format::{InventoryEntry, RECORD_BYTES};
use crate::record::{Record, Seed};
use crate::storage::SegmentFile;

const NAME_SUFFIX: &str = ".segment";
const NAME_DIGITS: usize = 16;

/// The file name of a segment.
pub(crate) fn name_of(number: u64) -> String {
    format!("{number:016x}{NAME_SUFFIX}")
}

/// The number of the segment that has this file name; `None` for any other file.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(NAME_SUFFIX)?;
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if digits.len() != NAME_DIGITS || !is_plain {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// A segment's file and what never changes about it.
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) length: u64,
    pub(crate) first: Sequence,
    /// Where the first record begins.
    pub(crate) records_at: u64,
    pub(crate) seed: Seed,
    pub(crate) file: Box<dyn SegmentFile>,
}

impl Segment {
    /// The record whose header is at `position`, or `None` where there is none, whatever its payload.
    pub(crate) fn record_at(&self, position: u64) -> Option<Record> {
        let end = position.checked_add(RECORD_BYTES)?;
        if end > self.length {
            return None;
        }
        let record = Record::decode(&self.file.view(position, RECORD_BYTES), self.seed, position)?;
        (position.checked_add(record.stored_bytes())? <= self.length).then_some(record)
    }

    /// The payload of a record that `record_at` found at `position`.
    pub(crate) fn payload_of(&self, record: &Record, position: u64) -> Bytes {
        self.file.view(position + RECORD_BYTES, record.payload_bytes())
    }
}

/// Where a segment is in the table. Used again only once nothing refers to the segment any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

/// What may happen to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Records are appended to it.
    Active,
    /// It is full.
    Sealed,
    /// The record with this sequence says that it is not needed. Its file is deleted once that is durable.
    Retired(Sequence),
}

/// A segment as the index knows it.
pub(crate) struct SegmentState {
    pub(crate) segment: Arc<Segment>,
    /// The sequence after its last record; of the active one, as it was last noted.
    pub(crate) next: Sequence,
    pub(crate) stage: Stage,
    pub(crate) live_extents: u64,
    /// What its live extents would take as records of another segment.
    pub(crate) live_cost: u64,
}

impl SegmentState {
    /// What moving its live extents elsewhere would free.
    pub(crate) fn gain(&self) -> u64 {
        self.segment.length.saturating_sub(self.live_cost)
    }

    /// Whether all that is left of it is its file.
    pub(crate) fn is_left_over(&self) -> bool {
        matches!(self.stage, Stage::Retired(_)) && self.live_extents == 0
    }

    /// Whether nothing in it is live and nothing will be.
    pub(crate) fn is_dead(&self) -> bool {
        self.stage == Stage::Sealed && self.live_extents == 0
    }
}

/// The segments that exist.
#[derive(Default)]
pub(crate) struct Segments {
    slots: Vec<Option<SegmentState>>,
    disk_bytes: u64,
}

impl Segments {
    /// Takes a segment in.
    pub(crate) fn add(&mut self, state: SegmentState) -> Slot {
        self.disk_bytes += state.segment.length;
        let free = self.slots.iter().position(Option::is_none);
        let at = free.unwrap_or(self.slots.len());
        match self.slots.get_mut(at) {
            Some(slot) => *slot = Some(state),
            None => self.slots.push(Some(state)),
        }
        Slot(u32::try_from(at).expect("segments are far fewer than 2^32"))
    }

    /// Lets a segment go to which nothing refers.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<SegmentState> {
        let state = self.slots.get_mut(index_of(slot))?.take()?;
        debug_assert_eq!(state.live_extents, 0, "a segment goes when nothing in it is live");
        self.disk_bytes -= state.segment.length;
        Some(state)
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&SegmentState> {
        self.slots.get(index_of(slot))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut SegmentState> {
        self.slots.get_mut(index_of(slot))?.as_mut()
    }

    /// The segment that an extent of the index refers to.
    pub(crate) fn holder(&self, slot: Slot) -> &SegmentState {
        self.get(slot).expect("a segment that holds a live extent is in the table")
    }

    /// The same, to be changed.
    pub(crate) fn holder_mut(&mut self, slot: Slot) -> &mut SegmentState {
        self.get_mut(slot).expect("a segment that holds a live extent is in the table")
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &SegmentState)> {
        (0u32..)
            .map(Slot)
            .zip(&self.slots)
            .filter_map(|(slot, state)| Some((slot, state.as_ref()?)))
    }

    /// Notes that nothing is live in any of them.
    pub(crate) fn clear_live(&mut self) {
        for state in self.slots.iter_mut().flatten() {
            (state.live_extents, state.live_cost) = (0, 0);
        }
    }

    /// The length of all files together.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_bytes
    }

    fn needed(&self) -> impl Iterator<Item = (Slot, &SegmentState)> {
        self.iter().filter(|(_, state)| !matches!(state.stage, Stage::Retired(_)))
    }

    /// The entries that the inventory of a segment that is begun now has.
    pub(crate) fn inventory_len(&self) -> usize {
        self.needed().count()
    }

    /// What the header of a new segment says of those before it.
    pub(crate) fn inventory(&self) -> Vec<InventoryEntry> {
        let mut entries: Vec<_> = self
            .needed()
            .map(|(_, state)| InventoryEntry {
                number: state.segment.number,
                first: state.segment.first,
                next: state.next,
            })
            .collect();
        entries.sort_unstable_by_key(|entry| entry.number);
        entries
    }
}

fn index_of(slot: Slot) -> usize {
    usize::try_from(slot.0).expect("32 bits fit in an index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_number_and_nothing_else_is_a_segment() {
        assert_eq!(number_of(&name_of(0x1f)), Some(0x1f));
        assert_eq!(number_of(&name_of(u64::MAX)), Some(u64::MAX));
        for other in ["1.segment", "000000000000001F.segment", "+00000000000001f.segment", "x", ""]
        {
            assert_eq!(number_of(other), None, "{other}");
        }
    }
}
