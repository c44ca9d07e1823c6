//! Random histories with a crash at each step: what was flushed is there, what was never written is not, and old data
//! does not come back.
//!
//! The volume is a row of units; each change gives units a new value. Beside the journal there is a medium, to which
//! replay goes and, while the journal is empty, changes directly. What counts is the journal over the medium: neither
//! relocation nor the end of a replay may change what that shows.
//!
//! `HOTBAY_CRASH_HISTORIES=1000 cargo test --release -p hotbay-journal --test crashes` runs longer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use hotbay_block::Extent;
use hotbay_journal::testing::{Image, ImageStorage};
use hotbay_journal::{AppendError, Change, Content, Journal, ReclaimProgress, Settings};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Records are split at multiples of this, so that a unit is always in one record.
const UNIT_BYTES: u64 = 4 << 10;
const UNITS: u64 = 384;
const SETTINGS: Settings =
    Settings { volume: [3; 16], size_bytes: UNITS * UNIT_BYTES, limit_bytes: 16 << 20 };
/// What the mark takes beside the segments, which the limit is for.
const MARK: u64 = 512;
const HISTORIES: u32 = 10;
const HISTORIES_VARIABLE: &str = "HOTBAY_CRASH_HISTORIES";

/// What a unit reads as. 0: zeroes.
type Value = u64;

#[derive(Clone, Copy, Debug)]
enum Put {
    Write,
    Zeroes,
    Trim,
}

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<(Put, u64, u64)>),
    Sync,
    Reclaim,
    /// Replays all that is live and marks it; with `true` a relocation comes between.
    Replay(bool),
    /// Ends the process and starts it again: the page cache stays.
    Restart,
    Close,
}

fn act() -> impl Strategy<Value = Act> {
    let put = prop_oneof![5 => Just(Put::Write), 1 => Just(Put::Zeroes), 1 => Just(Put::Trim)];
    let extent = prop_oneof![
        4 => (0..UNITS, 1u64..4),
        2 => (0..UNITS, 1u64..100),
        1 => (0u64..8, 300u64..UNITS),
    ];
    let change = (put, extent).prop_map(|(put, (at, count))| (put, at, count.min(UNITS - at)));
    prop_oneof![
        10 => prop::collection::vec(change, 1..4).prop_map(Act::Append),
        4 => Just(Act::Sync),
        3 => Just(Act::Reclaim),
        2 => any::<bool>().prop_map(Act::Replay),
        1 => Just(Act::Restart),
        1 => Just(Act::Close),
    ]
}

/// What each unit may show after a crash.
#[derive(Clone)]
struct Model {
    medium: Vec<Value>,
    /// The values of each unit since the last one that is known to be durable, that one first.
    possible: Vec<Vec<Value>>,
    next_value: Value,
}

impl Model {
    fn new() -> Self {
        let none = vec![0; usize::try_from(UNITS).unwrap()];
        Self { possible: none.iter().map(|&v| vec![v]).collect(), medium: none, next_value: 1 }
    }

    fn range(at: u64, count: u64) -> std::ops::Range<usize> {
        usize::try_from(at).unwrap()..usize::try_from(at + count).unwrap()
    }

    /// The change to append, from now on possible.
    fn begin(&mut self, (put, at, count): (Put, u64, u64)) -> Change {
        let extent = Extent::new(at * UNIT_BYTES, count * UNIT_BYTES).unwrap();
        let value = if matches!(put, Put::Write) { self.next_value } else { 0 };
        self.next_value += 1;
        for unit in &mut self.possible[Self::range(at, count)] {
            unit.push(value);
        }
        match put {
            Put::Write => Change::Write { offset: extent.offset(), data: bytes_of(value, count) },
            Put::Zeroes => Change::Zeroes(extent),
            Put::Trim => Change::Trim(extent),
        }
    }

    /// All that was appended is durable now.
    fn settle(&mut self) {
        for unit in &mut self.possible {
            unit.drain(..unit.len() - 1);
        }
    }

    fn newest(&self) -> Vec<Value> {
        self.possible.iter().map(|unit| *unit.last().unwrap()).collect()
    }
}

fn bytes_of(value: Value, units: u64) -> Bytes {
    value.to_le_bytes().repeat(usize::try_from(units * UNIT_BYTES / 8).unwrap()).into()
}

fn value_of(bytes: &[u8]) -> Value {
    let value = Value::from_le_bytes(bytes[..8].try_into().unwrap());
    assert!(bytes == value.to_le_bytes().repeat(bytes.len() / 8), "a unit is of one value");
    value
}

/// The journal over the medium.
fn shown(journal: &Journal, medium: &[Value]) -> Vec<Value> {
    let mut values = medium.to_vec();
    let all = Extent::new(0, SETTINGS.size_bytes).unwrap();
    for piece in journal.pieces(all) {
        put_content(&mut values, piece.extent, piece.content.as_ref());
    }
    values
}

fn put_content(values: &mut [Value], extent: Extent, content: Option<&Content>) {
    let Some(content) = content else { return };
    let unit = usize::try_from(UNIT_BYTES).unwrap();
    let range = Model::range(extent.offset() / UNIT_BYTES, extent.length() / UNIT_BYTES);
    match content {
        Content::Data(bytes) => {
            assert_eq!((extent.offset() % UNIT_BYTES, bytes.len() % unit), (0, 0));
            for (to, from) in values[range].iter_mut().zip(bytes.chunks(unit)) {
                *to = value_of(from);
            }
        }
        Content::Zeroes | Content::Trimmed => values[range].fill(0),
    }
}

fn open(storage: &ImageStorage) -> Journal {
    Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap().0
}

struct Run {
    storage: ImageStorage,
    journal: Journal,
    model: Model,
    rng: TestRng,
    crashes: u32,
}

impl Run {
    fn new(rng: TestRng) -> Self {
        let storage = ImageStorage::default();
        storage.record();
        let journal = open(&storage);
        Self { storage, journal, model: Model::new(), rng, crashes: 0 }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Append(changes) => self.append(changes),
            Act::Sync => {
                self.journal.sync().unwrap();
                self.crash_everywhere();
                self.model.settle();
            }
            Act::Close => {
                self.journal.close().unwrap();
                self.crash_everywhere();
                self.model.settle();
            }
            Act::Reclaim => drop(self.journal.reclaim_step().unwrap()),
            Act::Replay(with_relocation) => self.replay(*with_relocation),
            Act::Restart => self.journal = open(&self.storage),
        }
        self.crash_everywhere();
        assert!(self.storage.image().disk_bytes() <= SETTINGS.limit_bytes + MARK);
        assert_eq!(shown(&self.journal, &self.model.medium), self.model.newest());
    }

    fn append(&mut self, changes: &[(Put, u64, u64)]) {
        if self.journal.is_empty() && self.rng.below(2) == 0 {
            return self.change_medium(changes);
        }
        let changes: Vec<Change> = changes.iter().map(|&it| self.model.begin(it)).collect();
        loop {
            match self.journal.append(&changes) {
                Ok(()) => return,
                Err(AppendError::NeedsReclaim) => {
                    let progress = self.journal.reclaim_step().unwrap();
                    assert_ne!(progress, ReclaimProgress::Nothing);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The medium is back and the journal is done with: changes go to the medium, and stay.
    fn change_medium(&mut self, changes: &[(Put, u64, u64)]) {
        for &change in changes {
            self.model.begin(change);
        }
        self.model.settle();
        self.model.medium = self.model.newest();
    }

    fn replay(&mut self, with_relocation: bool) {
        let up_to = self.journal.head();
        let mut from = 0;
        loop {
            let live = self.journal.live_after(from, up_to, 100 << 10).unwrap();
            let Some(last) = live.last() else { break };
            from = last.extent.end();
            for extent in &live {
                assert!(extent.sequence <= up_to);
                put_content(&mut self.model.medium, extent.extent, Some(&extent.content));
            }
            if with_relocation {
                self.journal.reclaim_step().unwrap();
            }
        }
        self.crash_everywhere();
        self.journal.mark_replayed(up_to).unwrap();
        // A deletion may come at once, or later with something else.
        for _ in 0..self.rng.below(3) {
            self.journal.delete_retired().unwrap();
        }
        assert_eq!(self.journal.live_bytes_up_to(up_to), 0);
        self.crash_everywhere();
        // The end of a replay syncs all that was appended before.
        self.model.settle();
    }

    fn crash_everywhere(&mut self) {
        for (_, image) in self.storage.take_recorded() {
            self.check_crash(&image.crashed(&mut || false));
            self.check_crash(&image.crashed(&mut || true));
            let odds = self.rng.odds();
            let subset = image.crashed(&mut || self.rng.below(16) < odds);
            self.check_crash(&subset);
            // A kill leaves the page cache; a power cut comes some time after.
            if self.rng.below(4) == 0 {
                self.check_kill(&image);
            }
        }
    }

    fn check_shown(&self, journal: &Journal, when: &str) -> Vec<Value> {
        let values = shown(journal, &self.model.medium);
        for (unit, (value, possible)) in values.iter().zip(&self.model.possible).enumerate() {
            assert!(
                possible.contains(value),
                "{when}: unit {unit} is {value}, not of {possible:?}"
            );
        }
        values
    }

    /// Recovers, goes on with it, and crashes again in the middle of recovery.
    fn check_crash(&mut self, image: &Image) {
        self.crashes += 1;
        let storage = ImageStorage::over(image.clone());
        storage.record();
        let journal = open(&storage);
        let before = self.check_shown(&journal, "after a crash");
        self.go_on(&journal, before, &storage);
        let during = storage.take_recorded();
        if !during.is_empty() {
            let (_, image) = &during[usize::try_from(self.rng.below(during.len() as u64)).unwrap()];
            let odds = self.rng.odds();
            let again = image.crashed(&mut || self.rng.below(16) < odds);
            open_unchanged(&again);
        }
    }

    fn check_kill(&mut self, image: &Image) {
        let storage = ImageStorage::over(image.clone());
        self.check_shown(&open(&storage), "after a kill");
        let after = ImageStorage::over(storage.image().crashed(&mut || false));
        self.check_shown(&open(&after), "after a kill and a crash");
    }

    /// Appends more after a recovery, flushes it, and loses power: all of it is there, and nothing else.
    fn go_on(&mut self, journal: &Journal, mut expected: Vec<Value>, storage: &ImageStorage) {
        let at = self.rng.below(UNITS);
        let value = u64::MAX;
        let data = bytes_of(value, 1);
        match journal.append(&[Change::Write { offset: at * UNIT_BYTES, data }]) {
            Ok(()) => expected[usize::try_from(at).unwrap()] = value,
            Err(AppendError::NeedsReclaim) => {}
            Err(error) => panic!("{error}"),
        }
        journal.sync().unwrap();
        let after = ImageStorage::over(storage.image().crashed(&mut || false));
        assert_eq!(shown(&open(&after), &self.model.medium), expected, "what came after a crash");
    }
}

/// It can be opened, and opening it again finds the same.
fn open_unchanged(image: &Image) {
    let storage = ImageStorage::over(image.clone());
    let nothing = vec![0; usize::try_from(UNITS).unwrap()];
    let first = shown(&open(&storage), &nothing);
    assert_eq!(shown(&open(&storage), &nothing), first);
}

trait Choose {
    fn below(&mut self, end: u64) -> u64;
    /// How many of 16 things to keep.
    fn odds(&mut self) -> u64 {
        [1, 8, 15][usize::try_from(self.below(3)).unwrap()]
    }
}

impl Choose for TestRng {
    fn below(&mut self, end: u64) -> u64 {
        Rng::next_u64(self) % end
    }
}

#[test]
fn every_crash_leaves_what_was_flushed() {
    let wanted = std::env::var(HISTORIES_VARIABLE).ok().and_then(|count| count.parse().ok());
    let config = Config { cases: wanted.unwrap_or(HISTORIES), ..Config::default() };
    let mut runner = TestRunner::new(config);
    let history = (prop::collection::vec(act(), 1..30), any::<[u8; 32]>());
    runner
        .run(&history, |(history, seed)| {
            let mut run = Run::new(TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
            history.iter().for_each(|act| run.act(act));
            Ok(())
        })
        .unwrap();
}
