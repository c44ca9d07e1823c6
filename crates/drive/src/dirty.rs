//! The ranges of a medium that have changed since a copier looked last.
//!
//! They are rounded out to granules: small ones, so that a scattered load of small writes does not make the copier bring
//! much more than was written; larger ones as soon as there are very many ranges, so that the memory for them is bounded.

use std::ops::Range;

use hotbay_block::Extent;
use rangemap::RangeSet;

/// The granule to begin with: what file systems write at least.
const GRANULE_BYTES: u64 = 4 << 10;

/// What the granule grows by.
const GROWTH: u64 = 4;

/// The most ranges; a range takes less than 64 bytes.
const RANGES_MAX: usize = 16 << 10;

/// A set of ranges that stays bounded.
#[derive(Debug)]
pub(crate) struct DirtyRanges {
    ranges: RangeSet<u64>,
    granule_bytes: u64,
}

impl Default for DirtyRanges {
    fn default() -> Self {
        Self { ranges: RangeSet::new(), granule_bytes: GRANULE_BYTES }
    }
}

impl DirtyRanges {
    pub(crate) fn insert(&mut self, extent: Extent) {
        if extent.is_empty() {
            return;
        }
        self.ranges.insert(rounded_out(extent.offset()..extent.end(), self.granule_bytes));
        while self.ranges.len() > RANGES_MAX {
            self.granule_bytes *= GROWTH;
            let finer = std::mem::take(&mut self.ranges);
            self.ranges =
                finer.into_iter().map(|range| rounded_out(range, self.granule_bytes)).collect();
        }
    }

    /// The extents, in ascending order, cut at the end of the medium.
    pub(crate) fn into_extents(self, size_bytes: u64) -> Vec<Extent> {
        let cut = |range: Range<u64>| Extent::between(range.start, range.end.min(size_bytes));
        self.ranges.into_iter().map(cut).collect()
    }
}

fn rounded_out(range: Range<u64>, granule_bytes: u64) -> Range<u64> {
    // A granule that has grown may reach beyond what can be counted.
    let end = range.end.checked_next_multiple_of(granule_bytes).unwrap_or(u64::MAX);
    range.start / granule_bytes * granule_bytes..end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dirty(extents: impl IntoIterator<Item = Extent>) -> DirtyRanges {
        let mut dirty = DirtyRanges::default();
        extents.into_iter().for_each(|extent| dirty.insert(extent));
        dirty
    }

    #[test]
    fn a_scattered_load_is_not_much_more_than_was_written() {
        let page = |number: u64| Extent::between(number * 65_536, number * 65_536 + 4096);
        let extents = dirty((0..1000).map(page)).into_extents(u64::MAX);
        assert_eq!(extents.iter().map(|extent| extent.length()).sum::<u64>(), 1000 * 4096);
    }

    #[test]
    fn the_number_of_ranges_is_bounded_whatever_is_written() {
        // Every other granule, at first and after each growth.
        let mut all = DirtyRanges::default();
        for step in [1, GROWTH, GROWTH * GROWTH, 1 << 20] {
            let step = 2 * step * GRANULE_BYTES;
            for number in 0..2 * RANGES_MAX as u64 {
                all.insert(Extent::between(number * step, number * step + 1));
                assert!(all.ranges.len() <= RANGES_MAX);
            }
        }
        for bit in 0..64 {
            all.insert(Extent::between((1 << bit) - 1, 1 << bit));
        }
        assert!(all.granule_bytes > GRANULE_BYTES);
    }

    #[test]
    fn nothing_is_beyond_the_end() {
        let extents = dirty([Extent::between(8000, 9000)]).into_extents(9000);
        assert_eq!(extents, [Extent::between(4096, 9000)]);
    }

    proptest! {
        #[test]
        fn all_that_was_written_is_in_it(
            starts in prop::collection::vec((0u64..1 << 40, 1u64..1 << 20), 1..100), grown in 0u32..12,
        ) {
            let extents: Vec<_> = starts.iter().map(|(at, n)| Extent::between(*at, at + n)).collect();
            let mut dirty = DirtyRanges::default();
            dirty.granule_bytes *= GROWTH.pow(grown);
            extents.iter().for_each(|extent| dirty.insert(*extent));
            let found = dirty.into_extents(u64::MAX);
            for extent in extents {
                prop_assert!(found.iter().any(|range| range.contains(extent)));
            }
            prop_assert!(found.windows(2).all(|pair| pair[0].end() < pair[1].offset()));
        }
    }
}
