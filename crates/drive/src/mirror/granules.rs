//! The granules of a mirror: what is marked, and copied, as a whole.

use fixedbitset::FixedBitSet;
use hotbay_block::Extent;

/// A granule at least: large enough that a sequential load marks seldom.
const GRANULE_BYTES_MIN: u64 = 1 << 20;

/// So many granules at most; a set of them takes an eighth of that in bytes.
const GRANULES_MAX: u64 = 64 << 10;

/// How a mirror is cut into granules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granules {
    size_bytes: u64,
    granule_bytes: u64,
}

/// Some of the granules.
pub(super) type Set = FixedBitSet;

impl Granules {
    /// Those of a mirror of this size.
    pub(super) fn of(size_bytes: u64) -> Self {
        let least = size_bytes.div_ceil(GRANULES_MAX).max(1);
        Self { size_bytes, granule_bytes: least.next_power_of_two().max(GRANULE_BYTES_MIN) }
    }

    /// The mirror's size.
    pub(super) fn size_bytes(self) -> u64 {
        self.size_bytes
    }

    /// The size of one.
    pub(super) fn granule_bytes(self) -> u64 {
        self.granule_bytes
    }

    /// At most so many bytes as this number of granules have.
    pub(super) fn bytes_of(self, count: usize) -> u64 {
        (count as u64).saturating_mul(self.granule_bytes).min(self.size_bytes)
    }

    /// None of them.
    pub(super) fn none(self) -> Set {
        let count = self.size_bytes.div_ceil(self.granule_bytes);
        Set::with_capacity(usize::try_from(count).expect("there are at most 65536 granules"))
    }

    /// All of them.
    pub(super) fn all(self) -> Set {
        let mut all = self.none();
        all.insert_range(..);
        all
    }

    /// The numbers of those that an extent of the mirror touches.
    pub(super) fn touched(self, extent: Extent) -> std::ops::Range<usize> {
        let number = |offset: u64| {
            usize::try_from(offset / self.granule_bytes).expect("there are at most 65536 granules")
        };
        number(extent.offset())..number(extent.end().saturating_sub(1)) + 1
    }

    /// Where one lies.
    pub(super) fn extent(self, number: usize) -> Extent {
        let start = number as u64 * self.granule_bytes;
        Extent::between(start, self.size_bytes.min(start + self.granule_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_size_has_a_bounded_number() {
        for size in [1, 1 << 20, (1 << 20) + 1, 1 << 40, i64::MAX as u64] {
            let granules = Granules::of(size);
            let all = granules.all();
            assert!(all.len() as u64 <= GRANULES_MAX, "{size}");
            assert_eq!(all.count_ones(..), all.len());
            assert_eq!(granules.extent(all.len() - 1).end(), size);
        }
    }

    #[test]
    fn an_extent_touches_what_it_overlaps() {
        let granules = Granules::of(10 << 20);
        let mib = 1 << 20;
        assert_eq!(granules.touched(Extent::between(0, mib)), 0..1);
        assert_eq!(granules.touched(Extent::between(mib - 1, mib + 1)), 0..2);
        assert_eq!(granules.touched(Extent::between(3 * mib, 5 * mib + 1)), 3..6);
    }
}
