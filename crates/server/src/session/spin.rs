//! Spinning: a session that has answered all there was looks at its socket for a moment before it sleeps.
//!
//! A client that asks for one thing at a time waits, for each request, until a sleeping processor wakes up; that is
//! most of its time. The price of the spin is a processor, so that a session spins only
//!
//! * where the option is on and the machine has a second processor, and the runtime a second thread;
//! * while no other session is active: none is awake, and the last [`ALONE`] receives of all were its own;
//! * while nothing is in flight, so that no answer waits for the end of a spin;
//! * for a client that sends one request at a time: others are served better in batches;
//! * while it helps: after [`MISSES`] spins in a row that found nothing it sleeps at once, until a request
//!   comes so soon after it fell asleep that a spin could have found it; that earns it one more spin.
//!
//! It stops at the configured time, or as soon as another session wakes. A session that always finds something hands its
//! thread back after [`TURN`], so that what else this thread has to do waits no longer than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// So many receives in a row, with none of another session between, make a session the only active one.
const ALONE: u8 = 8;
/// So many spins that found nothing end the spinning.
const MISSES: u8 = 4;
/// The longest time on a thread with spins in it.
const TURN: Duration = Duration::from_micros(500);

/// A stream that can be looked at without waiting for it.
pub(crate) trait Look {
    /// Whether there is, or may be, something to be read. The next read waits as if nobody had looked.
    fn look(&mut self) -> Looked;
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// Bytes, the end, or an error: the next read is worth it.
    Something,
    /// Nothing yet.
    Nothing,
}

/// What the sessions of a server know of each other, so that only a lone one spins.
#[derive(Debug)]
pub(crate) struct Floor {
    /// How long a spin lasts at most.
    most: Duration,
    /// How many sessions have something to do.
    awake: AtomicUsize,
    /// Which session received last.
    latest: AtomicU64,
    named: AtomicU64,
}

impl Floor {
    /// For spins of this length, with so many threads that each have a processor; `None` where nobody is to spin.
    pub(crate) fn new(most: Duration, threads: usize) -> Option<Arc<Self>> {
        let spins = !most.is_zero() && threads > 1;
        spins.then(|| {
            Arc::new(Self {
                most,
                awake: AtomicUsize::new(0),
                latest: AtomicU64::new(0),
                named: AtomicU64::new(0),
            })
        })
    }
}

/// Whether a session may look for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// It is to read now.
    Enough,
    /// It is to hand its thread back, and to go on after that.
    TurnOver,
}

/// The spinning of one session. Where nobody is to spin, nothing here costs anything.
#[derive(Debug)]
pub(crate) struct Spin(Option<Spinner>);

#[derive(Debug)]
struct Spinner {
    floor: Arc<Floor>,
    name: u64,
    habit: Habit,
    /// Whether it is counted among those that have something to do.
    awake: bool,
    /// When it fell asleep, where it did so without a spin.
    slept: Option<Instant>,
    spun: bool,
    /// The requests taken since something was received.
    requests: usize,
    /// The first spin since the thread was handed back.
    turn: Option<Instant>,
}

impl Spin {
    pub(crate) fn new(floor: Option<Arc<Floor>>) -> Self {
        Self(floor.map(|floor| Spinner {
            name: floor.named.fetch_add(1, Ordering::Relaxed) + 1,
            floor,
            habit: Habit::default(),
            awake: false,
            slept: None,
            spun: false,
            requests: 0,
            turn: None,
        }))
    }

    /// Notes that the session is polled.
    pub(super) const fn begin_turn(&mut self) {
        if let Some(spinner) = &mut self.0 {
            spinner.turn = None;
        }
    }

    /// Notes that a request was taken.
    pub(super) const fn note_request(&mut self) {
        if let Some(spinner) = &mut self.0 {
            spinner.requests += 1;
        }
    }

    /// Notes that something was received.
    pub(super) fn note_received(&mut self) {
        if let Some(spinner) = &mut self.0 {
            spinner.note_received();
        }
    }

    /// Notes that there is nothing to do and nothing to be received.
    pub(super) fn note_sleep(&mut self) {
        if let Some(spinner) = &mut self.0 {
            spinner.note_sleep();
        }
    }

    /// Waits until there is something to be read, where that is worth it; to be called where nothing else is to be done.
    pub(super) fn wait(&mut self, stream: &mut impl Look) -> Waited {
        self.0.as_mut().map_or(Waited::Enough, |spinner| spinner.wait(stream))
    }
}

impl Spinner {
    fn note_received(&mut self) {
        if !self.awake {
            self.awake = true;
            self.floor.awake.fetch_add(1, Ordering::Relaxed);
        }
        let latest = self.floor.latest.swap(self.name, Ordering::Relaxed);
        self.habit.note_received(Received {
            lone: latest == self.name && self.requests <= 1,
            soon: self.slept.take().is_some_and(|slept| slept.elapsed() <= 2 * self.floor.most),
        });
        self.requests = 0;
        self.spun = false;
    }

    fn note_sleep(&mut self) {
        if self.awake {
            self.awake = false;
            self.floor.awake.fetch_sub(1, Ordering::Relaxed);
            self.slept = (!self.spun).then(Instant::now);
        }
    }

    fn is_alone(&self) -> bool {
        self.awake && self.floor.awake.load(Ordering::Relaxed) == 1
    }

    fn wait(&mut self, stream: &mut impl Look) -> Waited {
        if !self.is_alone() || self.spun || self.requests > 1 || !self.habit.is_to_spin() {
            return Waited::Enough;
        }
        let begun = Instant::now();
        let turn = *self.turn.get_or_insert(begun);
        if begun.duration_since(turn) > TURN {
            return Waited::TurnOver;
        }
        self.spun = true;
        let found = loop {
            if stream.look() == Looked::Something {
                break true;
            }
            if !self.is_alone() || begun.elapsed() >= self.floor.most {
                break false;
            }
            // The client may wait for this very processor.
            std::thread::yield_now();
        };
        self.habit.note_spin(found);
        Waited::Enough
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if self.awake {
            self.floor.awake.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What a receive says about the client.
#[derive(Clone, Copy, Debug)]
struct Received {
    /// No other session received since the last time, and at most one request was taken from what came then.
    lone: bool,
    /// It came so soon after the session fell asleep that a spin could have found it.
    soon: bool,
}

/// Whether spins are worth it for a session, by what it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Habit {
    lone: u8,
    misses: u8,
}

impl Habit {
    fn is_to_spin(self) -> bool {
        self.lone >= ALONE && self.misses < MISSES
    }

    fn note_received(&mut self, Received { lone, soon }: Received) {
        self.lone = if lone { self.lone.saturating_add(1) } else { 0 };
        if soon {
            self.misses = self.misses.min(MISSES - 1);
        }
    }

    fn note_spin(&mut self, found: bool) {
        self.misses = if found { 0 } else { self.misses.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a session, a letter each: `l`one receive, `o`ther session or batch between, `s`oon lone
    /// receive, spin that `f`inds, spin that `m`isses.
    fn after(story: &str) -> bool {
        let mut habit = Habit::default();
        for letter in story.chars() {
            match letter {
                'l' => habit.note_received(Received { lone: true, soon: false }),
                'o' => habit.note_received(Received { lone: false, soon: false }),
                's' => habit.note_received(Received { lone: true, soon: true }),
                'f' => habit.note_spin(true),
                'm' => habit.note_spin(false),
                _ => panic!("no such letter"),
            }
        }
        habit.is_to_spin()
    }

    #[test]
    fn a_lone_session_spins_while_that_helps() {
        for (story, spins) in [
            ("", false),
            ("lllllll", false),
            ("llllllll", true),
            ("llllllllo", false),
            ("lllllllloooooooo", false),
            ("llllllllolllllll", false),
            ("llllllllollllllll", true),
            ("llllllllmlmlml", true),
            ("llllllllmlmlmlml", false),
            ("llllllllmlmlmlmllllllllllllll", false),
            ("llllllllmlmlmflmlmlml", true),
            // Asleep, a request that comes soon earns one spin; one that finds something, all of them.
            ("llllllllmlmlmlmls", true),
            ("llllllllmlmlmlmlsml", false),
            ("llllllllmlmlmlmlsflmlmlml", true),
            ("llllllllmlmlmlmlos", false),
        ] {
            assert_eq!(after(story), spins, "{story:?}");
        }
        assert!(after(&"l".repeat(1000)));
        assert!(!after(&format!("llllllll{}", "m".repeat(1000))));
    }

    #[test]
    fn nobody_spins_without_the_option_or_a_processor_to_spare() {
        let most = Duration::from_micros(50);
        assert!(Floor::new(Duration::ZERO, 64).is_none());
        assert!(Floor::new(most, 0).is_none());
        assert!(Floor::new(most, 1).is_none());
        assert!(Floor::new(most, 2).is_some());
    }

    /// Finds nothing for so many looks.
    struct Empty(usize);

    impl Look for Empty {
        fn look(&mut self) -> Looked {
            let left = self.0.checked_sub(1);
            self.0 = left.unwrap_or_default();
            if left.is_some() { Looked::Nothing } else { Looked::Something }
        }
    }

    const LONG: Duration = Duration::from_secs(3600);

    /// A session that may spin.
    fn eager(floor: &Arc<Floor>) -> Spin {
        let mut spin = Spin::new(Some(Arc::clone(floor)));
        for _ in 0..=ALONE {
            spin.note_sleep();
            spin.note_received();
        }
        spin
    }

    /// Whether a session looks at its stream.
    fn looks(spin: &mut Spin) -> bool {
        let mut stream = Empty(3);
        spin.begin_turn();
        assert_eq!(spin.wait(&mut stream), Waited::Enough);
        stream.0 == 0
    }

    #[test]
    fn a_session_spins_once_for_each_receive_of_one_request() {
        let floor = Floor::new(LONG, 2).unwrap();
        let mut spin = eager(&floor);
        spin.note_request();
        assert!(looks(&mut spin));
        assert!(!looks(&mut spin), "nothing was received since");
        spin.note_received();
        spin.note_request();
        assert!(looks(&mut spin));
        spin.note_received();
        spin.note_request();
        spin.note_request();
        assert!(!looks(&mut spin), "the client sends several at once");
        assert!(!looks(&mut Spin::new(None)));
    }

    #[test]
    fn no_session_spins_while_another_is_awake_or_was_just_now() {
        let floor = Floor::new(LONG, 2).unwrap();
        let mut spin = eager(&floor);
        let mut other = Spin::new(Some(Arc::clone(&floor)));
        other.note_received();
        assert!(!looks(&mut spin));
        other.note_sleep();
        assert!(looks(&mut spin));
        spin.note_received();
        assert!(!looks(&mut spin), "the other one received between");
        drop(spin);
        other.note_received();
        drop(other);
        assert_eq!(floor.awake.load(Ordering::Relaxed), 0, "who is gone is not awake");
        assert!(looks(&mut eager(&floor)));
    }

    #[test]
    fn a_spin_ends_when_another_session_wakes() {
        struct Waking(Spin, usize);
        impl Look for Waking {
            fn look(&mut self) -> Looked {
                self.1 += 1;
                if self.1 == 5 {
                    self.0.note_received();
                }
                Looked::Nothing
            }
        }
        let floor = Floor::new(LONG, 2).unwrap();
        let mut spin = eager(&floor);
        let mut stream = Waking(Spin::new(Some(floor)), 0);
        assert_eq!(spin.wait(&mut stream), Waited::Enough);
        assert_eq!(stream.1, 5);
    }

    #[test]
    fn a_spin_ends_by_itself() {
        let floor = Floor::new(Duration::from_nanos(1), 2).unwrap();
        let mut spin = eager(&floor);
        assert_eq!(spin.wait(&mut Empty(usize::MAX)), Waited::Enough);
    }

    #[test]
    fn a_session_that_always_finds_something_hands_its_thread_back() {
        let floor = Floor::new(LONG, 2).unwrap();
        let mut spin = eager(&floor);
        spin.begin_turn();
        while spin.wait(&mut Empty(0)) == Waited::Enough {
            spin.note_received();
        }
        spin.begin_turn();
        assert_eq!(spin.wait(&mut Empty(0)), Waited::Enough);
    }
}
