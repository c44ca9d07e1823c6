//! A range of bytes on a device.

use std::fmt;
use std::ops::Range;

/// A range of bytes: `offset` and `length`, whose end is known not to overflow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Extent {
    offset: u64,
    length: u64,
}

impl Extent {
    /// The range of `length` bytes at `offset`, or `None` where its end does not fit in 64 bits.
    #[must_use]
    pub const fn new(offset: u64, length: u64) -> Option<Self> {
        match offset.checked_add(length) {
            Some(_) => Some(Self { offset, length }),
            None => None,
        }
    }

    /// The range from `start` up to, not including, `end`; empty where `end` is not above `start`.
    #[must_use]
    pub const fn between(start: u64, end: u64) -> Self {
        Self { offset: start, length: end.saturating_sub(start) }
    }

    /// The first byte, as a distance from the start of the device.
    #[must_use]
    pub const fn offset(self) -> u64 {
        self.offset
    }

    /// The number of bytes.
    #[must_use]
    pub const fn length(self) -> u64 {
        self.length
    }

    /// The length as a size in memory.
    ///
    /// # Panics
    /// Where the length does not fit in memory. Requests that carry data are far shorter (64 MiB).
    #[must_use]
    pub fn len_in_memory(self) -> usize {
        usize::try_from(self.length).expect("an extent that carries data fits in memory")
    }

    /// The byte after the last one.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.offset + self.length
    }

    /// As long, beginning at `offset`.
    ///
    /// # Panics
    /// Where its end would not fit in 64 bits.
    #[must_use]
    pub fn moved_to(self, offset: u64) -> Self {
        Self::new(offset, self.length).expect("an extent is moved to a place on a device")
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.length == 0
    }

    /// Whether the two have a byte in common.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.offset < other.end() && other.offset < self.end()
    }

    /// Whether each byte of `other` is in it.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.offset <= other.offset && other.end() <= self.end()
    }

    /// The bytes that both have, or `None` where there is none.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        let start = self.offset.max(other.offset);
        let end = self.end().min(other.end());
        (start < end).then(|| Self::between(start, end))
    }

    /// It, cut into consecutive pieces of at most `step` bytes.
    ///
    /// # Panics
    /// Where `step` is 0.
    pub fn pieces(self, step: u64) -> impl Iterator<Item = Self> {
        assert!(step > 0, "a piece has at least one byte");
        let mut at = self.offset;
        std::iter::from_fn(move || {
            let piece = Self::between(at, self.end().min(at.saturating_add(step)));
            at = piece.end();
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Where `inner` lies in a buffer that holds the bytes of `self`.
    ///
    /// # Panics
    /// Where `inner` is not wholly in `self`.
    #[must_use]
    pub fn range_of(self, inner: Self) -> Range<usize> {
        assert!(self.contains(inner), "{inner} is not within {self}");
        let start = Self::between(self.offset, inner.offset).len_in_memory();
        start..start + inner.len_in_memory()
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.offset, self.length)
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small() -> impl Strategy<Value = Extent> {
        (0u64..40, 0u64..20).prop_map(|(offset, length)| Extent { offset, length })
    }

    fn bytes(e: Extent) -> std::collections::BTreeSet<u64> {
        (e.offset()..e.end()).collect()
    }

    proptest! {
        #[test]
        fn agrees_with_sets_of_bytes(a in small(), b in small()) {
            let both: Vec<u64> = bytes(a).intersection(&bytes(b)).copied().collect();
            if !a.is_empty() && !b.is_empty() {
                prop_assert_eq!(a.overlaps(b), !both.is_empty());
            }
            let shared: Vec<u64> = a.intersection(b).map(|e| bytes(e).into_iter().collect()).unwrap_or_default();
            prop_assert_eq!(both, shared);
            if a.contains(b) { prop_assert!(bytes(b).is_subset(&bytes(a))); }
        }

        #[test]
        fn pieces_cover_it_once(a in small(), step in 1u64..9) {
            let pieces: Vec<Extent> = a.pieces(step).collect();
            prop_assert!(pieces.iter().all(|p| !p.is_empty() && p.length() <= step));
            prop_assert_eq!(pieces.iter().flat_map(|p| p.offset()..p.end()).collect::<Vec<_>>(),
                            (a.offset()..a.end()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_end_past_64_bits_is_refused() {
        assert!(Extent::new(u64::MAX, 1).is_none());
        assert_eq!(Extent::new(u64::MAX, 0).unwrap().end(), u64::MAX);
    }
}
