//! Random numbers of which a seed decides all.

use std::time::Duration;

/// The generator `splitmix64`: small, and every seed is as good as any other.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One for somebody else, who does not disturb this one.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn place_below(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }

    /// True once in so many times; never where that is 0.
    pub fn one_in(&mut self, times: u64) -> bool {
        times != 0 && self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.place_below(of.len())]
    }

    /// Picks by weights.
    pub fn weighed<T: Copy>(&mut self, of: &[(u64, T)]) -> T {
        let mut at = self.below(of.iter().map(|(weight, _)| weight).sum());
        for &(weight, choice) in of {
            if at < weight {
                return choice;
            }
            at -= weight;
        }
        unreachable!("it is below the sum of all weights")
    }

    pub fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.below(u64::try_from(most.as_millis()).unwrap() + 1))
    }

    /// Keeps few, half, or most of what it is asked about.
    pub fn keeper(&mut self) -> impl FnMut() -> bool + use<> {
        let of_16 = self.pick(&[1, 8, 15]);
        let mut chance = self.fork();
        move || chance.below(16) < of_16
    }
}
