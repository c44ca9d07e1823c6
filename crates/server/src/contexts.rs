//! Metadata contexts: what a client can ask about the bytes of an export without reading them.

use hotbay_block::{Allocation, Place, Status};

/// A context. Its number on the wire is its place in [`Context::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    /// What is stored, as the protocol defines it.
    Allocation,
    /// What is only in the journal, in the form of a dirty bitmap, which clients know how to show.
    Journal,
    /// Where the bytes are.
    Place,
}

const HOLE_AND_ZERO: u32 = 0b11;
const DIRTY: u32 = 0b1;
const ONLY_IN_JOURNAL: u32 = 0b01;
const OUT_OF_REACH: u32 = 0b10;

impl Context {
    const ALL: [Self; 3] = [Self::Allocation, Self::Journal, Self::Place];

    /// The names, by number.
    pub(crate) const NAMES: &'static [&'static str] =
        &["base:allocation", "qemu:dirty-bitmap:journal", "x-hotbay:place"];

    fn of_number(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// What it says of a piece.
    const fn flags(self, status: &Status) -> u32 {
        match (self, status.allocation, status.place) {
            (Self::Allocation, Allocation::Hole, _) => HOLE_AND_ZERO,
            (Self::Journal, _, Place::Journal) => DIRTY,
            (Self::Place, _, Place::Journal) => ONLY_IN_JOURNAL,
            (Self::Place, _, Place::Away) => OUT_OF_REACH,
            _ => 0,
        }
    }

    /// The pieces as it sees them: those that it does not tell apart are one.
    fn extents(self, pieces: &[Status]) -> Vec<(u64, u32)> {
        let mut extents: Vec<(u64, u32)> = Vec::new();
        for status in pieces {
            let (length, flags) = (status.extent.length(), self.flags(status));
            match extents.last_mut() {
                Some((total, same)) if *same == flags => *total += length,
                _ => extents.push((length, flags)),
            }
        }
        extents
    }
}

/// Some of the contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contexts(u8);

impl Contexts {
    /// Those of these numbers; `None` where one of them is no context.
    pub(crate) fn of_numbers(numbers: &[u32]) -> Option<Self> {
        let mut contexts = Self::default();
        for number in numbers {
            contexts.0 |= 1 << Context::of_number(*number)? as u8;
        }
        Some(contexts)
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether each of the others is among them.
    pub(crate) const fn contain(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// What each of them says of the pieces, with its number.
    pub(crate) fn extents(self, pieces: &[Status]) -> Vec<(u32, Vec<(u64, u32)>)> {
        let chosen = (0..).zip(Context::ALL).filter(|(number, _)| self.0 & 1 << *number != 0);
        chosen.map(|(number, context)| (number, context.extents(pieces))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_block::Extent;

    #[test]
    fn each_context_tells_its_own() {
        let status = |start, end, allocation, place| {
            let extent = Extent::between(start, end);
            Status { extent, allocation, place }
        };
        let pieces = [
            status(0, 10, Allocation::Data, Place::Medium),
            status(10, 30, Allocation::Hole, Place::Medium),
            status(30, 60, Allocation::Hole, Place::Journal),
            status(60, 100, Allocation::Data, Place::Journal),
            status(100, 150, Allocation::Data, Place::Away),
        ];
        let all = Contexts::of_numbers(&[0, 2, 1]).unwrap();
        let expected = vec![
            (0, vec![(10, 0), (50, 3), (90, 0)]),
            (1, vec![(30, 0), (70, 1), (50, 0)]),
            (2, vec![(30, 0), (70, 1), (50, 2)]),
        ];
        assert_eq!(all.extents(&pieces), expected);
        let one = Contexts::of_numbers(&[1]).unwrap();
        assert_eq!(one.extents(&pieces), expected[1..2]);
        assert!(all.contain(one) && !one.contain(all));
        assert_eq!(Contexts::of_numbers(&[3]), None);
        assert_eq!(Context::ALL.len(), Context::NAMES.len());
    }
}
