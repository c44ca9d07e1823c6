//! What a medium that has gone is recognised by when it is back: checksums of some of its blocks.
//!
//! Three kinds of blocks bear witness. Those at the head tell who the medium is, and file systems, partition tables
//! and the like change them wherever they are used. Those spread over the medium tell of a content that is another one
//! altogether. The last synced writes tell of an older copy of the medium, which does not have them yet.
//!
//! A block bears witness only to what is certain to be on the platter: nothing has been given to the medium for it since the
//! sync after which it was known. A false witness would keep the right medium away; one that is missing only sees less.

use bytes::Bytes;
use hotbay_block::Extent;
use hotbay_journal::checksum;

/// The longest block that bears witness.
pub(crate) const BLOCK_BYTES: u64 = 4096;

/// The head of a medium, of which every block is to bear witness.
const HEAD_BYTES: u64 = 128 << 10;

/// How many blocks behind the head are to bear witness, in equal steps up to the last one.
const SPREAD: u64 = 32;

/// A block and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WitnessBlock {
    /// Where it is.
    pub extent: Extent,
    /// The CRC-32C of its bytes.
    pub checksum: u32,
}

/// What is known for certain to be on a medium: blocks in ascending order that do not overlap. Empty where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    blocks: Vec<WitnessBlock>,
}

/// Where a medium is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) first: u64,
    pub(crate) differing: usize,
    pub(crate) compared: usize,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first, differing, compared } = self;
        write!(f, "{differing} of {compared} witnessed blocks differ, the first at byte {first}")
    }
}

impl FromIterator<WitnessBlock> for Witness {
    /// Of blocks that overlap, the one that begins first counts.
    fn from_iter<I: IntoIterator<Item = WitnessBlock>>(blocks: I) -> Self {
        let mut sorted: Vec<WitnessBlock> = blocks.into_iter().collect();
        sorted.sort_by_key(|block| block.extent.offset());
        let mut end = 0;
        sorted.retain(|block| {
            let follows = block.extent.offset() >= end;
            if follows {
                end = block.extent.end();
            }
            follows
        });
        Self { blocks: sorted }
    }
}

impl Witness {
    /// Its blocks, in ascending order.
    #[must_use]
    pub fn blocks(&self) -> &[WitnessBlock] {
        &self.blocks
    }

    /// Whether it knows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// What blocks hold that were read; those that could not be read are left out.
    pub(crate) fn of(places: &[Extent], sampled: &[Option<Bytes>]) -> Self {
        let read = places.iter().zip(sampled);
        read.filter_map(|(extent, data)| {
            Some(WitnessBlock { extent: *extent, checksum: checksum(data.as_ref()?) })
        })
        .collect()
    }

    pub(crate) fn places(&self) -> Vec<Extent> {
        self.blocks.iter().map(|block| block.extent).collect()
    }

    /// Lets go of the blocks that are not certain any more.
    pub(crate) fn without(mut self, is_uncertain: impl Fn(Extent) -> bool) -> Self {
        self.blocks.retain(|block| !is_uncertain(block.extent));
        self
    }

    /// What both know.
    pub(crate) fn agreeing_with(&self, found: &Self) -> Self {
        let both = self.blocks.iter().filter(|block| found.blocks.contains(block));
        Self { blocks: both.copied().collect() }
    }

    /// Where `found` holds something else. What only one of them has is not compared.
    pub(crate) fn differs_from(&self, found: &Self) -> Option<Difference> {
        let mut difference = Difference { first: 0, differing: 0, compared: 0 };
        for known in &self.blocks {
            let at =
                found.blocks.binary_search_by_key(&known.extent.offset(), |it| it.extent.offset());
            let Ok(at) = at else { continue };
            difference.compared += 1;
            if found.blocks[at] != *known {
                if difference.differing == 0 {
                    difference.first = known.extent.offset();
                }
                difference.differing += 1;
            }
        }
        (difference.differing > 0).then_some(difference)
    }
}

/// The blocks that are to bear witness on any medium of this size, in ascending order.
pub(crate) fn standard_places(size_bytes: u64) -> Vec<Extent> {
    let head = Extent::between(0, size_bytes.min(HEAD_BYTES));
    let mut places: Vec<Extent> = head.pieces(BLOCK_BYTES).collect();
    let last = size_bytes.saturating_sub(BLOCK_BYTES) / BLOCK_BYTES;
    let first = head.end().div_ceil(BLOCK_BYTES);
    for step in 1..=SPREAD {
        let Some(blocks) = last.checked_sub(first) else { break };
        // In this order it cannot overflow: a medium has fewer than 2^52 blocks.
        let start = (first + blocks * step / SPREAD) * BLOCK_BYTES;
        if places.last().is_none_or(|before| before.end() <= start) {
            places.push(Extent::between(start, size_bytes.min(start + BLOCK_BYTES)));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(offset: u64, checksum: u32) -> WitnessBlock {
        WitnessBlock { extent: Extent::new(offset, 512).unwrap(), checksum }
    }

    #[test]
    fn only_what_both_know_is_compared() {
        let known: Witness = [block(0, 1), block(512, 2), block(4096, 3)].into_iter().collect();
        let found: Witness = [block(4096, 4), block(512, 2), block(8192, 9)].into_iter().collect();
        let difference = known.differs_from(&found).unwrap();
        assert_eq!(difference, Difference { first: 4096, differing: 1, compared: 2 });
        assert_eq!(known.differs_from(&known), None);
        assert_eq!(
            known.clone().without(|extent| extent.offset() == 4096).differs_from(&found),
            None
        );
        assert_eq!(Witness::default().differs_from(&found), None);
    }

    #[test]
    fn the_head_is_whole_and_the_last_block_is_among_them() {
        let places = standard_places(64 << 20);
        assert_eq!(places.len(), 64);
        assert!(places.windows(2).all(|pair| pair[0].end() <= pair[1].offset()));
        assert_eq!(places[31].end(), HEAD_BYTES);
        assert_eq!(places.last().unwrap().end(), 64 << 20);
    }

    proptest! {
        #[test]
        fn places_are_on_the_medium_and_do_not_overlap(size_bytes in prop_oneof![1_u64..1 << 20, 1_u64..1 << 62]) {
            let places = standard_places(size_bytes);
            prop_assert!(!places.is_empty() && places.len() <= 64);
            prop_assert!(places.windows(2).all(|pair| pair[0].end() <= pair[1].offset()));
            prop_assert!(places.iter().all(|place| place.end() <= size_bytes && !place.is_empty()));
        }
    }
}
