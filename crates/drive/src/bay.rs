//! The bays: how many media may be in at once.

use std::sync::Arc;

use parking_lot::Mutex;

/// What an insert does where every bay is occupied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenOccupied {
    /// It is refused.
    Refuse,
    /// The medium that has been in its bay longest is ejected first.
    Replace,
}

/// The bays of a drive, each empty or held for a volume.
#[derive(Clone, Debug)]
pub(crate) struct Bays(Arc<Mutex<Slots>>);

#[derive(Debug)]
struct Slots {
    /// How many media may be in.
    count: usize,
    /// By number. Longer than `count` where there were more and some of these are still occupied.
    occupants: Vec<Option<Occupant>>,
}

#[derive(Clone, Debug)]
struct Occupant {
    volume: String,
    since: u64,
}

impl Slots {
    fn occupied(&self) -> impl Iterator<Item = &Occupant> {
        self.occupants.iter().flatten()
    }

    fn settle_count(&mut self) {
        self.occupants.resize(self.occupants.len().max(self.count), None);
        while self.occupants.len() > self.count
            && self.occupants.last().is_some_and(Option::is_none)
        {
            self.occupants.pop();
        }
    }
}

impl Bays {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(Slots { count, occupants: vec![None; count] })))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().count
    }

    /// Makes it so many. Media that are in stay in; where these are more, none is let in until enough have gone.
    pub(crate) fn set_count(&self, count: usize) {
        let mut bays = self.0.lock();
        bays.count = count;
        bays.settle_count();
    }

    /// Takes a free bay for a volume, or `None` where all are occupied.
    pub(crate) fn take(&self, volume: &str) -> Option<BayPlace> {
        let mut bays = self.0.lock();
        if bays.occupied().count() >= bays.count {
            return None;
        }
        let since = bays.occupied().map(|o| o.since).max().unwrap_or(0) + 1;
        let number = bays.occupants.iter().position(Option::is_none)?;
        bays.occupants[number] = Some(Occupant { volume: volume.to_owned(), since });
        Some(BayPlace { bays: self.clone(), number })
    }

    /// The volumes that hold bays, the one that has been in longest first.
    pub(crate) fn occupants(&self) -> Vec<String> {
        let mut occupants: Vec<Occupant> = self.0.lock().occupied().cloned().collect();
        occupants.sort_by_key(|occupant| occupant.since);
        occupants.into_iter().map(|occupant| occupant.volume).collect()
    }
}

/// A bay that is held; free again when dropped.
#[derive(Debug)]
pub(crate) struct BayPlace {
    bays: Bays,
    number: usize,
}

impl BayPlace {
    /// The bay's number, from 0.
    pub(crate) const fn number(&self) -> usize {
        self.number
    }
}

impl Drop for BayPlace {
    fn drop(&mut self) {
        let mut bays = self.bays.0.lock();
        bays.occupants[self.number] = None;
        bays.settle_count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bay_is_free_again_when_its_place_is_dropped() {
        let bays = Bays::new(2);
        let first = bays.take("a").unwrap();
        let second = bays.take("b").unwrap();
        assert!(bays.take("c").is_none());
        assert_eq!(bays.occupants(), ["a", "b"]);
        assert_eq!(first.number(), 0);
        drop(first);
        let third = bays.take("c").unwrap();
        assert_eq!((third.number(), bays.occupants()), (0, vec!["b".to_owned(), "c".to_owned()]));
        drop(second);
    }

    #[test]
    fn fewer_bays_let_nobody_in_until_enough_have_gone() {
        let bays = Bays::new(1);
        let first = bays.take("a").unwrap();
        bays.set_count(3);
        let (second, third) = (bays.take("b").unwrap(), bays.take("c").unwrap());
        bays.set_count(1);
        assert_eq!((bays.count(), bays.occupants().len()), (1, 3));
        drop(first);
        assert!(bays.take("a").is_none(), "two are in, and there is one bay");
        drop(second);
        assert!(bays.take("a").is_none());
        drop(third);
        assert_eq!(bays.take("a").unwrap().number(), 0);
    }
}
