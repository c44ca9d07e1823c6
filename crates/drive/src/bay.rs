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
pub(crate) struct Bays(Arc<Mutex<Vec<Option<Occupant>>>>);

#[derive(Clone, Debug)]
struct Occupant {
    volume: String,
    since: u64,
}

impl Bays {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![None; count])))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }

    /// Takes a free bay for a volume, or `None` where all are occupied.
    pub(crate) fn take(&self, volume: &str) -> Option<BayPlace> {
        let mut bays = self.0.lock();
        let since = bays.iter().flatten().map(|o| o.since).max().unwrap_or(0) + 1;
        let number = bays.iter().position(Option::is_none)?;
        bays[number] = Some(Occupant { volume: volume.to_owned(), since });
        Some(BayPlace { bays: self.clone(), number })
    }

    /// The volumes that hold bays, the one that has been in longest first.
    pub(crate) fn occupants(&self) -> Vec<String> {
        let mut occupants: Vec<Occupant> = self.0.lock().iter().flatten().cloned().collect();
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
        self.bays.0.lock()[self.number] = None;
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
}
