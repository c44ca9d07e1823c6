//! Whose medium is loaded next, where bays are fewer than volumes and a changer loads them: who waits, who has stayed long enough, whose
//! turn it is.
//!
//! No clock and no I/O: times are durations since some beginning, and what was done is told. What it promises, whoever waits how
//! often: a medium that was loaded stays for its minimum; whoever has waited longest is next; and nobody is passed over for ever, for
//! a volume whose medium cannot be loaded goes behind the others.

use std::collections::VecDeque;
use std::time::Duration;

/// How turns are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnPolicy {
    /// Whoever has waited longest is next. A medium stays for at least `minimum_stay`, so that two busy volumes do not spend
    /// their time on being exchanged.
    FirstCome {
        /// How long at least.
        minimum_stay: Duration,
    },
}

/// What the changer is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// In which bay, from 0.
    pub bay: usize,
    /// Whose medium goes first; `None` where the bay is empty.
    pub unload: Option<String>,
    /// Whose medium comes.
    pub load: String,
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// This is to be done now.
    Exchange(Exchange),
    /// Somebody waits, and nothing is to be done before this time.
    NotBefore(Duration),
    /// Nobody waits.
    Nobody,
}

/// What lies in a bay.
#[derive(Clone, Debug)]
struct Lying {
    volume: String,
    /// When it may go; at once where the drive has let go of it.
    stays_until: Duration,
}

#[derive(Clone, Debug)]
struct Waiting {
    volume: String,
    not_before: Duration,
}

/// The queue, and what lies in the bays.
#[derive(Clone, Debug)]
pub struct Turns {
    policy: TurnPolicy,
    bays: Vec<Option<Lying>>,
    waiting: VecDeque<Waiting>,
}

impl Turns {
    /// With so many empty bays, and nobody who waits.
    #[must_use]
    pub fn new(policy: TurnPolicy, bays: usize) -> Self {
        Self { policy, bays: vec![None; bays], waiting: VecDeque::new() }
    }

    /// A volume's medium lies in this bay from now on. It waits no more.
    pub fn lies_in(&mut self, bay: usize, volume: &str, now: Duration) {
        let TurnPolicy::FirstCome { minimum_stay } = self.policy;
        let lying =
            Lying { volume: volume.to_owned(), stays_until: now.saturating_add(minimum_stay) };
        if let Some(place) = self.bays.get_mut(bay) {
            *place = Some(lying);
        }
        self.waits_no_more(volume);
    }

    /// Nothing lies in this bay.
    pub fn is_empty(&mut self, bay: usize) {
        if let Some(place) = self.bays.get_mut(bay) {
            *place = None;
        }
    }

    /// The drive has let go of a volume's medium, which need not stay where it lies.
    pub fn may_go(&mut self, volume: &str) {
        for lying in self.bays.iter_mut().flatten().filter(|lying| lying.volume == volume) {
            lying.stays_until = Duration::ZERO;
        }
    }

    /// In which bay a volume's medium lies.
    #[must_use]
    pub fn bay_of(&self, volume: &str) -> Option<usize> {
        let is_its = |lying: &Option<Lying>| lying.as_ref().is_some_and(|it| it.volume == volume);
        self.bays.iter().position(is_its)
    }

    /// A volume waits for its medium, behind all who wait already. One that waits keeps its place.
    pub fn waits(&mut self, volume: &str) {
        if !self.waiting.iter().any(|waiting| waiting.volume == volume) {
            let volume = volume.to_owned();
            self.waiting.push_back(Waiting { volume, not_before: Duration::ZERO });
        }
    }

    /// A volume does not wait any more.
    pub fn waits_no_more(&mut self, volume: &str) {
        self.waiting.retain(|waiting| waiting.volume != volume);
    }

    /// A volume's medium could not be loaded: it waits behind the others, and at least so long.
    pub fn failed(&mut self, volume: &str, not_before: Duration) {
        self.waits_no_more(volume);
        self.waiting.push_back(Waiting { volume: volume.to_owned(), not_before });
    }

    /// Whose turn it is now.
    #[must_use]
    pub fn next(&self, now: Duration) -> Turn {
        let Some(first) = self.waiting.iter().find(|waiting| waiting.not_before <= now) else {
            let soonest = self.waiting.iter().map(|waiting| waiting.not_before).min();
            return soonest.map_or(Turn::Nobody, Turn::NotBefore);
        };
        let load = first.volume.clone();
        // Its own medium lies there, and is to be put in once more: where the drive has lost it, say.
        if let Some(bay) = self.bay_of(&load) {
            return Turn::Exchange(Exchange { bay, unload: None, load });
        }
        if let Some(bay) = self.bays.iter().position(Option::is_none) {
            return Turn::Exchange(Exchange { bay, unload: None, load });
        }
        let lying = self.bays.iter().enumerate().filter_map(|(bay, it)| Some((bay, it.as_ref()?)));
        match lying.min_by_key(|(_, lying)| lying.stays_until) {
            Some((bay, lying)) if lying.stays_until <= now => {
                Turn::Exchange(Exchange { bay, unload: Some(lying.volume.clone()), load })
            }
            Some((_, lying)) => Turn::NotBefore(lying.stays_until),
            None => Turn::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const STAY: Duration = Duration::from_secs(10);
    const EXCHANGE: Duration = Duration::from_secs(3);
    const SECOND: Duration = Duration::from_secs(1);

    fn turns(bays: usize) -> Turns {
        Turns::new(TurnPolicy::FirstCome { minimum_stay: STAY }, bays)
    }

    fn exchange(bay: usize, unload: Option<&str>, load: &str) -> Turn {
        let (unload, load) = (unload.map(str::to_owned), load.to_owned());
        Turn::Exchange(Exchange { bay, unload, load })
    }

    #[test]
    fn two_busy_volumes_take_turns_and_do_not_thrash() {
        let mut turns = turns(1);
        assert_eq!(turns.next(SECOND), Turn::Nobody);
        turns.waits("a");
        assert_eq!(turns.next(SECOND), exchange(0, None, "a"));
        turns.lies_in(0, "a", SECOND);
        turns.waits("b");
        assert_eq!(turns.next(SECOND), Turn::NotBefore(11 * SECOND));
        assert_eq!(turns.next(11 * SECOND), exchange(0, Some("a"), "b"));
        turns.is_empty(0);
        turns.lies_in(0, "b", 14 * SECOND);
        turns.waits("a");
        assert_eq!(turns.next(20 * SECOND), Turn::NotBefore(24 * SECOND));
        turns.may_go("b");
        assert_eq!(turns.next(20 * SECOND), exchange(0, Some("b"), "a"));
    }

    #[test]
    fn one_that_cannot_be_loaded_holds_up_nobody() {
        let mut turns = turns(1);
        turns.waits("broken");
        turns.waits("b");
        turns.failed("broken", 30 * SECOND);
        assert_eq!(turns.next(SECOND), exchange(0, None, "b"));
        turns.lies_in(0, "b", SECOND);
        assert_eq!(turns.next(12 * SECOND), Turn::NotBefore(30 * SECOND));
        assert_eq!(turns.next(30 * SECOND), exchange(0, Some("b"), "broken"));
    }

    /// What volumes want, second by second: one of them begins to wait, or nobody does.
    fn wishes() -> impl Strategy<Value = (usize, Vec<Option<u8>>)> {
        (1_usize..4, prop::collection::vec(prop::option::weighted(0.3, 0_u8..6), 1..300))
    }

    proptest! {
        /// Every volume that waits is served, in the order in which they came, within what the stays of those before it take; and
        /// no medium goes before its time.
        #[test]
        fn turns_are_fair_and_stays_are_kept((bays, wishes) in wishes()) {
            let mut turns = turns(bays);
            let (mut since, mut waits) = (BTreeMap::<String, Duration>::new(), VecDeque::new());
            let mut busy_until = Duration::ZERO;
            let quiet = std::iter::repeat_n(None, 120);
            for (second, wish) in (1_u32..).zip(wishes.into_iter().chain(quiet)) {
                let now = second * SECOND;
                if let Some(volume) = wish.map(|number| format!("v{number}"))
                    && turns.bay_of(&volume).is_none()
                    && !waits.iter().any(|(waiting, _)| *waiting == volume)
                {
                    turns.waits(&volume);
                    waits.push_back((volume, now));
                }
                if now < busy_until {
                    continue;
                }
                let Turn::Exchange(Exchange { bay, unload, load }) = turns.next(now) else {
                    prop_assert!(waits.is_empty() || turns.bays.iter().all(Option::is_some), "a bay is empty");
                    continue;
                };
                let (first, asked) = waits.pop_front().unwrap();
                prop_assert_eq!(&load, &first, "out of order");
                // Before it: the exchange under way, and at most one turn of each of the five others.
                prop_assert!(now - asked <= 7 * (STAY + EXCHANGE), "{} waited {:?}", load, now - asked);
                if let Some(unload) = unload {
                    prop_assert!(now - since[&unload] >= STAY, "{} had to go too early", unload);
                    turns.is_empty(bay);
                }
                busy_until = now + EXCHANGE;
                turns.lies_in(bay, &load, busy_until);
                since.insert(load, busy_until);
            }
            prop_assert!(waits.is_empty(), "{:?} were never served", waits);
        }
    }
}
