//! Which block comes next.

use std::fmt;

/// In which order the blocks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Each block once, in an order that looks random, before any comes again; the sessions share the blocks. So a load
    /// that is meant to find nothing in a cache finds nothing, and no memory is needed to see to it.
    Random,
    /// One after the other; each session has a part of its own, and begins it again at its end.
    Sequential,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "random",
            Self::Sequential => "sequential",
        })
    }
}

/// The numbers of one session's blocks, without end.
#[derive(Clone, Debug)]
pub(super) enum Blocks {
    /// See [`Order::Random`].
    Random(Shuffle),
    /// See [`Order::Sequential`].
    Sequential {
        /// The part of the session; not empty.
        part: std::ops::Range<u64>,
        /// What comes next.
        next: u64,
    },
}

impl Blocks {
    /// Those of session `session` of `sessions`, of `count` blocks, which is not 0.
    pub(super) fn new(order: Order, count: u64, session: u64, sessions: u64) -> Self {
        match order {
            Order::Random => Self::Random(Shuffle::new(count, session, sessions)),
            Order::Sequential => {
                let edge = |number: u64| {
                    let scaled = u128::from(count) * u128::from(number) / u128::from(sessions);
                    u64::try_from(scaled).unwrap_or(count)
                };
                let part = edge(session)..edge(session + 1);
                // With more sessions than blocks some parts are empty.
                let part = if part.is_empty() { 0..count } else { part };
                Self::Sequential { next: part.start, part }
            }
        }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> u64 {
        match self {
            Self::Random(shuffle) => shuffle.next(),
            Self::Sequential { part, next } => {
                let block = *next;
                *next = if block + 1 == part.end { part.start } else { block + 1 };
                block
            }
        }
    }
}

/// The numbers below a count, shuffled by arithmetic: a mapping of the numbers of some bits onto themselves, of which those
/// that are too large are left out.
#[derive(Clone, Debug)]
pub(super) struct Shuffle {
    count: u64,
    mask: u64,
    shift: u32,
    pass: u64,
    position: u64,
    first: u64,
    step: u64,
}

impl Shuffle {
    fn new(count: u64, session: u64, sessions: u64) -> Self {
        let bits = 64 - (count - 1).leading_zeros();
        let mask = u64::MAX.checked_shr(64 - bits).unwrap_or(0);
        let shift = bits.div_ceil(2).max(1);
        let first = session & mask;
        Self { count, mask, shift, pass: 0, position: first, first, step: sessions }
    }

    fn next(&mut self) -> u64 {
        loop {
            let block = self.scattered(self.position);
            self.advance();
            if block < self.count {
                return block;
            }
        }
    }

    /// To the session's next position, of the next pass where this one is over.
    fn advance(&mut self) {
        match self.position.checked_add(self.step) {
            Some(position) if position <= self.mask => self.position = position,
            _ => {
                self.position = self.first;
                self.pass = self.pass.wrapping_add(1);
            }
        }
    }

    /// Each step is one to one on the numbers up to the mask, so that all of them together are.
    fn scattered(&self, position: u64) -> u64 {
        const ODD: [u64; 3] = [0x9E37_79B9_7F4A_7C15, 0xBF58_476D_1CE4_E5B9, 0x94D0_49BB_1331_11EB];
        let key = self.pass.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        ODD.iter().fold(position, |number, odd| {
            let number = number.wrapping_add(key).wrapping_mul(*odd) & self.mask;
            number ^ (number >> self.shift)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn taken(blocks: &mut Blocks, count: u64) -> Vec<u64> {
        (0..count).map(|_| blocks.next()).collect()
    }

    proptest! {
        #[test]
        fn a_random_pass_has_each_block_once(count in 1_u64..5000) {
            let mut blocks = Blocks::new(Order::Random, count, 0, 1);
            for _pass in 0..3 {
                let once: BTreeSet<u64> = taken(&mut blocks, count).into_iter().collect();
                prop_assert_eq!(once, (0..count).collect());
            }
        }

        #[test]
        fn blocks_are_below_the_count(
            count in 1_u64..=u64::MAX,
            small in 1_u64..20,
            sessions in 1_u64..1024,
            random: bool,
        ) {
            let order = if random { Order::Random } else { Order::Sequential };
            for (count, session) in [(count, sessions - 1), (small, sessions - 1), (small, 0)] {
                let mut blocks = Blocks::new(order, count, session, sessions);
                prop_assert!(taken(&mut blocks, 40).into_iter().all(|block| block < count));
            }
        }
    }

    #[test]
    fn sessions_share_a_random_pass() {
        let (count, sessions) = (1 << 12, 4);
        let mut all = BTreeSet::new();
        for session in 0..sessions {
            let mut blocks = Blocks::new(Order::Random, count, session, sessions);
            all.extend(taken(&mut blocks, count / sessions));
        }
        assert_eq!(all.len(), count as usize);
    }

    #[test]
    fn a_random_order_has_no_neighbours_and_changes_with_the_pass() {
        let count = 1 << 16;
        let mut blocks = Blocks::new(Order::Random, count, 0, 1);
        let (first, second) = (taken(&mut blocks, count), taken(&mut blocks, count));
        let near = first.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 16).count();
        assert!(near < 200, "{near} of {count} lie beside the one before");
        let same = first.iter().zip(&second).filter(|(one, other)| one == other).count();
        assert!(same < 100, "{same} come at the same place again");
    }

    #[test]
    fn sessions_have_parts_of_their_own() {
        let mut second = Blocks::new(Order::Sequential, 10, 1, 2);
        assert_eq!(taken(&mut second, 7), [5, 6, 7, 8, 9, 5, 6]);
        let mut none_left = Blocks::new(Order::Sequential, 2, 0, 3);
        assert_eq!(taken(&mut none_left, 3), [0, 1, 0]);
    }
}
