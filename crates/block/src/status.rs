//! What is known of the bytes of a device without reading them.

use crate::Extent;

/// What is known of an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which.
    pub extent: Extent,
    /// What is stored there.
    pub allocation: Allocation,
    /// Where that is.
    pub place: Place,
}

/// What is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Allocation {
    /// Any bytes.
    Data,
    /// Nothing: it reads as zeroes.
    Hole,
}

/// Where the bytes are at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// On the medium that is in.
    Medium,
    /// In the journal; what the medium has there is older.
    Journal,
    /// On a medium that is away: they cannot be read now.
    Away,
}

impl Status {
    /// What is known of a device of which nothing is known: stored bytes, on the medium.
    #[must_use]
    pub const fn unknown(extent: Extent) -> Self {
        Self { extent, allocation: Allocation::Data, place: Place::Medium }
    }

    /// Adds it to a list in ascending order, as a part of the last one where that differs in nothing else.
    pub fn add_to(self, list: &mut Vec<Self>) {
        match list.last_mut() {
            Some(last)
                if last.extent.end() == self.extent.offset()
                    && (last.allocation, last.place) == (self.allocation, self.place) =>
            {
                last.extent = Extent::between(last.extent.offset(), self.extent.end());
            }
            _ if self.extent.is_empty() => {}
            _ => list.push(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_are_alike_become_one() {
        let status = |start, end, allocation, place| {
            let extent = Extent::between(start, end);
            Status { extent, allocation, place }
        };
        let mut list = Vec::new();
        status(0, 5, Allocation::Data, Place::Medium).add_to(&mut list);
        status(5, 7, Allocation::Data, Place::Medium).add_to(&mut list);
        status(7, 7, Allocation::Hole, Place::Medium).add_to(&mut list);
        status(7, 9, Allocation::Hole, Place::Medium).add_to(&mut list);
        status(9, 12, Allocation::Hole, Place::Journal).add_to(&mut list);
        status(20, 21, Allocation::Hole, Place::Journal).add_to(&mut list);
        let ends: Vec<_> = list.iter().map(|s| (s.extent.offset(), s.extent.end())).collect();
        assert_eq!(ends, [(0, 7), (7, 9), (9, 12), (20, 21)]);
    }
}
