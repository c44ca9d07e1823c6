//! What is known of a medium's blocks while it is in: the witness in the making.
//!
//! Nothing here is asked of the medium while a client waits. What a sync covers is taken from the retained writes, whose
//! bytes are at hand; the other blocks are read when nobody is at work. A change takes what was known of the blocks
//! that it touches, and so does a reading that a change came across.

use std::collections::VecDeque;

use bytes::Bytes;
use hotbay_block::Extent;
use hotbay_journal::checksum;

use crate::witness::{BLOCK_BYTES, Witness, WitnessBlock, standard_places};

/// How many of the last synced writes bear witness.
const RECENT: usize = 32;

/// The blocks that are to bear witness.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Where they are on any medium of this size, in ascending order.
    standard: Vec<Place>,
    /// Where the last synced writes began, oldest first.
    recent: VecDeque<Place>,
    /// Around all that was spoiled: a sync that lets go of an older write there does not say what it holds.
    spoiled: Option<Extent>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    extent: Extent,
    knowledge: Knowledge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    /// Nothing; it may be read.
    None,
    /// It is being read, and has not been changed since that began.
    BeingRead,
    /// What it holds for certain.
    Checksum(u32),
    /// Nothing, because something in it was trimmed: what is read there may change by itself, until it is written.
    Trimmed,
    /// Nothing, and for the rest of the stay: something that nobody heard of the end of may still land there.
    Never,
}

impl Place {
    const fn unknown(extent: Extent) -> Self {
        Self { extent, knowledge: Knowledge::None }
    }

    fn forget(&mut self, changed: Extent) {
        self.knowledge = match self.knowledge {
            Knowledge::Never => Knowledge::Never,
            Knowledge::Trimmed if !changed.contains(self.extent) => Knowledge::Trimmed,
            _ => Knowledge::None,
        };
    }
}

impl Observed {
    /// Nothing is known but what the witness knows.
    pub(crate) fn new(size_bytes: u64, witness: &Witness) -> Self {
        let standard = standard_places(size_bytes).into_iter().map(Place::unknown).collect();
        let mut observed = Self { standard, ..Self::default() };
        for block in witness.blocks() {
            let known = Knowledge::Checksum(block.checksum);
            let at = observed.standard.iter_mut().find(|place| place.extent == block.extent);
            match at {
                Some(place) => place.knowledge = known,
                None => observed.recent.push_back(Place { extent: block.extent, knowledge: known }),
            }
        }
        observed.recent.truncate(RECENT);
        observed
    }

    /// The same places, of which nothing is known.
    pub(crate) fn places_alone(&self) -> Self {
        let unknown = |place: &Place| Place::unknown(place.extent);
        let standard = self.standard.iter().map(unknown).collect();
        Self { standard, recent: self.recent.iter().map(unknown).collect(), spoiled: None }
    }

    /// Takes note of a change: what was known of the blocks that it touches is not certain any more.
    pub(crate) fn changed(&mut self, extent: Extent) {
        self.standard_touched_by(extent).iter_mut().for_each(|place| place.forget(extent));
        self.recent.retain(|place| !place.extent.overlaps(extent));
    }

    /// Takes note of a trim.
    pub(crate) fn trimmed(&mut self, extent: Extent) {
        self.changed(extent);
        for place in self.standard_touched_by(extent) {
            if place.knowledge != Knowledge::Never {
                place.knowledge = Knowledge::Trimmed;
            }
        }
    }

    /// Takes note of a change after which nothing about the blocks will be certain.
    pub(crate) fn spoiled(&mut self, extent: Extent) {
        let around = self.spoiled.unwrap_or(extent);
        let start = around.offset().min(extent.offset());
        self.spoiled = Some(Extent::between(start, around.end().max(extent.end())));
        for place in self.standard_touched_by(extent) {
            place.knowledge = Knowledge::Never;
        }
        for place in self.recent.iter_mut().filter(|place| place.extent.overlaps(extent)) {
            place.knowledge = Knowledge::Never;
        }
    }

    /// Takes note of a write that is on the platter now, and of its bytes, where they are at hand.
    pub(crate) fn synced(&mut self, extent: Extent, data: Option<&[u8]>) {
        let end = extent.end().min(extent.offset() + BLOCK_BYTES);
        let first = Extent::between(extent.offset(), end);
        self.recent.retain(|place| !place.extent.overlaps(first));
        if self.spoiled.is_some_and(|spoiled| spoiled.overlaps(first)) {
            return;
        }
        let block = data.and_then(|data| data.get(..first.len_in_memory()));
        let knowledge = block.map_or(Knowledge::None, |block| Knowledge::Checksum(checksum(block)));
        self.recent.push_back(Place { extent: first, knowledge });
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Whether a write that so many others follow is among the last ones.
    pub(crate) const fn is_recent(followed_by: u64) -> bool {
        // No more than a few dozen, so this is exact.
        followed_by < RECENT as u64
    }

    /// Whether there is a block to be read.
    pub(crate) fn wants_reading(&self) -> bool {
        let mut places = self.standard.iter().chain(&self.recent);
        places.any(|place| place.knowledge == Knowledge::None)
    }

    /// Up to `most` blocks that are to be read. Those in which `is_unsynced` are left for later.
    pub(crate) fn begin_reading(
        &mut self,
        most: usize,
        is_unsynced: impl Fn(Extent) -> bool,
    ) -> Vec<Extent> {
        let unknown = self.places_mut().filter(|place| place.knowledge == Knowledge::None);
        let to_read = unknown.filter(|place| !is_unsynced(place.extent)).take(most);
        to_read
            .map(|place| {
                place.knowledge = Knowledge::BeingRead;
                place.extent
            })
            .collect()
    }

    /// Takes note of what was read. What was changed meanwhile stays unknown; what cannot be read is not tried again.
    pub(crate) fn read(
        &mut self,
        blocks: &[Extent],
        sampled: &[Option<Bytes>],
        is_unsynced: impl Fn(Extent) -> bool,
    ) {
        for (extent, data) in blocks.iter().zip(sampled) {
            let being_read = |place: &&mut Place| {
                place.extent == *extent && place.knowledge == Knowledge::BeingRead
            };
            for place in self.places_mut().filter(being_read) {
                place.knowledge = match data {
                    _ if is_unsynced(place.extent) => Knowledge::None,
                    Some(data) => Knowledge::Checksum(checksum(data)),
                    None => Knowledge::Never,
                };
            }
        }
    }

    /// What it would take to know all: the blocks that a reading with nobody else at work has to read.
    pub(crate) fn unknown(&self) -> Vec<Extent> {
        let places = self.standard.iter().chain(&self.recent);
        let unknown =
            |place: &&Place| matches!(place.knowledge, Knowledge::None | Knowledge::BeingRead);
        places.filter(unknown).map(|place| place.extent).collect()
    }

    /// All that is certain, and what was read with nobody else at work.
    pub(crate) fn witness(&self, read: &Witness) -> Witness {
        let places = self.standard.iter().chain(&self.recent);
        let known = places.filter_map(|place| match place.knowledge {
            Knowledge::Checksum(checksum) => Some(WitnessBlock { extent: place.extent, checksum }),
            _ => None,
        });
        known.chain(read.blocks().iter().copied()).collect()
    }

    fn places_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.standard.iter_mut().chain(&mut self.recent)
    }

    fn standard_touched_by(&mut self, extent: Extent) -> &mut [Place] {
        let from = self.standard.partition_point(|place| place.extent.end() <= extent.offset());
        let to = self.standard.partition_point(|place| place.extent.offset() < extent.end());
        // An empty extent may lie within a place.
        &mut self.standard[from..to.max(from)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A retained write, and after it one over it of which nobody knows the end: the sync lets go of the first alone.
    #[test]
    fn what_may_have_been_written_over_bears_no_witness() {
        let (older, newer) = (Extent::between(0, 4096), Extent::between(1024, 2048));
        for at in [0, 1 << 30] {
            let moved = |extent: Extent| Extent::between(at + extent.offset(), at + extent.end());
            let mut observed = Observed::new(4 << 30, &Witness::default());
            observed.spoiled(moved(newer));
            observed.changed(moved(older));
            observed.synced(moved(older), Some(&[1; 4096]));
            let beside = Extent::between(at + 8192, at + 12288);
            observed.synced(beside, Some(&[2; 4096]));
            let witness = observed.witness(&Witness::default());
            assert_eq!(witness.places(), [beside], "at {at}");
        }
    }
}
