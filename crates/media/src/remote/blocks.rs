//! A server that takes whole blocks alone, below a device that takes any range.
//!
//! What a change covers of a block in part is read, patched and written back. Meanwhile nothing else may change that
//! block, or the one who comes second brings back what the first has changed beside it. Such changes are rare: file
//! systems write whole blocks. So each of them is alone with the medium, and the others run beside each other.

use hotbay_block::Extent;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What a server's requests have to be multiples of.
#[derive(Debug)]
pub(super) struct Blocks {
    /// A power of two.
    bytes: u64,
    changes: RwLock<()>,
}

/// Held by a change while it is under way; released, it may be overtaken.
pub(super) enum Turn<'a> {
    /// No block is covered in part by anyone.
    Free,
    Beside(#[expect(dead_code, reason = "held")] RwLockReadGuard<'a, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'a, ()>),
}

/// A range as its whole blocks and what sticks out of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Before the whole blocks, in one block; may be empty.
    pub(super) head: Extent,
    /// May be empty.
    pub(super) whole: Extent,
    /// Behind them, in one block; may be empty.
    pub(super) tail: Extent,
}

impl Blocks {
    pub(super) fn of(bytes: u32) -> Self {
        assert!(bytes.is_power_of_two(), "a block is a power of two");
        Self { bytes: bytes.into(), changes: RwLock::new(()) }
    }

    const fn down(&self, place: u64) -> u64 {
        place & !(self.bytes - 1)
    }

    const fn up(&self, place: u64) -> u64 {
        self.down(place + self.bytes - 1)
    }

    /// Whether it covers no block in part.
    pub(super) const fn are_whole(&self, extent: Extent) -> bool {
        self.down(extent.offset()) == extent.offset() && self.down(extent.end()) == extent.end()
    }

    /// The blocks that it touches.
    pub(super) const fn around(&self, extent: Extent) -> Extent {
        Extent::between(self.down(extent.offset()), self.up(extent.end()))
    }

    pub(super) fn parts(&self, extent: Extent) -> Parts {
        let (up, down) = (self.up(extent.offset()), self.down(extent.end()));
        if up > down {
            let nothing = Extent::between(extent.end(), extent.end());
            return Parts { head: extent, whole: nothing, tail: nothing };
        }
        Parts {
            head: Extent::between(extent.offset(), up),
            whole: Extent::between(up, down),
            tail: Extent::between(down, extent.end()),
        }
    }

    /// Waits until a change of `extent` may be under way.
    pub(super) async fn turn(&self, extent: Extent) -> Turn<'_> {
        match self.bytes {
            1 => Turn::Free,
            _ if self.are_whole(extent) => Turn::Beside(self.changes.read().await),
            _ => Turn::Alone(self.changes.write().await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_parts_are_the_range_and_each_edge_is_in_one_block(
            offset in 0_u64..20_000, length in 1_u64..20_000, shift in 0_u32..14,
        ) {
            let blocks = Blocks::of(1 << shift);
            let extent = Extent::between(offset, offset + length);
            let Parts { head, whole, tail } = blocks.parts(extent);
            prop_assert_eq!((head.offset(), head.end(), whole.end(), tail.end()),
                            (offset, whole.offset(), tail.offset(), offset + length));
            prop_assert!(blocks.are_whole(whole) || whole.is_empty());
            for edge in [head, tail] {
                let touched = if edge.is_empty() { 0 } else { blocks.around(edge).length() };
                prop_assert!(edge.length() < blocks.bytes && touched <= blocks.bytes);
            }
            prop_assert!(blocks.around(extent).contains(extent));
            prop_assert!(blocks.are_whole(blocks.around(extent)));
            prop_assert_eq!(blocks.are_whole(extent), head.is_empty() && tail.is_empty());
        }
    }
}
