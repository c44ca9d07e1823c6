//! The space of a journal is bounded by its limit, not by its history.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hotbay_journal::testing::{ImageStorage, Step};
use hotbay_journal::{AppendError, Change, Content, Journal, ReclaimProgress, Settings};

/// What the mark takes beside the segments.
const MARK: u64 = 512;
const LIMIT: u64 = 16 << 20;
const SETTINGS: Settings = Settings { volume: [2; 16], size_bytes: 1 << 30, limit_bytes: LIMIT };
const BLOCK: u64 = 16 << 10;

fn begin() -> (ImageStorage, Journal) {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    (storage, journal)
}

fn block(number: u64, value: u64) -> Change {
    let data = value.to_le_bytes().repeat(usize::try_from(BLOCK / 8).unwrap());
    Change::Write { offset: number * BLOCK, data: data.into() }
}

/// Appends, reclaiming where that is needed; whether there was room.
fn append(journal: &Journal, change: &Change) -> bool {
    loop {
        match journal.append(std::slice::from_ref(change)) {
            Ok(()) => return true,
            Err(AppendError::Full) => return false,
            Err(AppendError::NeedsReclaim) => {
                assert!(journal.wants_reclaim());
                assert_ne!(journal.reclaim_step().unwrap(), ReclaimProgress::Nothing);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A fixed sequence of numbers that looks random.
fn scattered(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |n| {
        Some(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
    .map(|n| n >> 33)
}

#[test]
fn overwriting_fifty_times_the_limit_stays_within_it() {
    let (storage, journal) = begin();
    // A working set of five eighths of the limit, so that most segments are relocated.
    let blocks = LIMIT * 5 / 8 / BLOCK;
    let mut newest = vec![0; usize::try_from(blocks).unwrap()];
    for (value, number) in (1..=50 * LIMIT / BLOCK).zip(scattered(1)) {
        let number = number % blocks;
        assert!(append(&journal, &block(number, value)), "there is room for what is live");
        newest[usize::try_from(number).unwrap()] = value;
        if value % 64 == 0 {
            journal.sync().unwrap();
        }
    }
    assert!(storage.most_disk_bytes() <= LIMIT + MARK);
    assert_eq!(journal.usage().disk_bytes + MARK, storage.image().disk_bytes());
    let mut live_bytes = 0;
    for live in journal.live_after(0, journal.head(), u64::MAX).unwrap() {
        let Content::Data(bytes) = live.content else { panic!("all is data") };
        let value: u64 = newest[usize::try_from(live.extent.offset() / BLOCK).unwrap()];
        assert!(bytes == value.to_le_bytes().repeat(bytes.len() / 8), "{}", live.extent);
        live_bytes += live.extent.length();
    }
    assert_eq!(live_bytes, blocks * BLOCK, "every block is live");
}

#[test]
fn full_comes_not_before_four_fifths_are_live_and_replay_ends_it() {
    let (storage, journal) = begin();
    // Every other block is overwritten once, so that what is live has to be moved together.
    for number in 0..LIMIT * 4 / 5 / BLOCK {
        assert!(append(&journal, &block(number, 1)), "block {number}");
        if number % 2 == 0 {
            assert!(append(&journal, &block(number, 2)), "block {number} again");
        }
    }
    let mut number = LIMIT;
    while append(&journal, &block(number / BLOCK, 3)) {
        number += BLOCK;
    }
    assert!(journal.usage().live_bytes >= LIMIT * 4 / 5);
    assert!(!journal.wants_reclaim(), "nothing helps");
    // Overwriting needs room as well, and so is refused; a flush and the end of a replay never are.
    assert!(!append(&journal, &block(0, 4)));
    journal.sync().unwrap();
    journal.mark_replayed(journal.head()).unwrap();
    assert!(journal.is_empty());
    while journal.delete_retired().unwrap() {}
    assert!(journal.usage().disk_bytes <= LIMIT / 16);
    assert!(append(&journal, &block(0, 5)));
    assert!(storage.most_disk_bytes() <= LIMIT + MARK);
}

#[test]
fn what_can_never_fit_is_full_at_once() {
    let (storage, journal) = begin();
    let _ = storage.take_steps();
    let data = vec![0; usize::try_from(LIMIT).unwrap()].into();
    let refused = journal.append(&[Change::Write { offset: 0, data }]);
    assert!(matches!(refused, Err(AppendError::Full)), "{refused:?}");
    assert_eq!(storage.take_steps(), []);
    assert!(!journal.wants_reclaim());
}

#[test]
fn reclaiming_ends() {
    let (_, journal) = begin();
    for (value, number) in (0..600).zip(scattered(2)) {
        assert!(append(&journal, &block(number % 300, value)));
    }
    let mut steps = 0;
    while journal.reclaim_step().unwrap() != ReclaimProgress::Nothing {
        steps += 1;
        assert!(steps < 200, "each round of reclaiming frees something");
    }
    assert!(!journal.wants_reclaim());
}

#[test]
fn what_a_replay_leaves_behind_makes_room_when_it_is_needed() {
    let (storage, journal) = begin();
    for round in 1..4 {
        for number in 0..LIMIT * 3 / 4 / BLOCK {
            assert!(append(&journal, &block(number, round)), "block {number} of round {round}");
        }
        journal.mark_replayed(journal.head()).unwrap();
    }
    assert!(storage.most_disk_bytes() <= LIMIT + MARK);
    while journal.reclaim_step().unwrap() != ReclaimProgress::Nothing {}
    assert!(journal.usage().disk_bytes <= LIMIT / 16);
    assert!(!journal.delete_retired().unwrap());
}

#[test]
fn who_waits_for_room_waits_for_one_file_to_go_and_for_no_sync_where_that_is_known() {
    let (storage, journal) = begin();
    for number in 0..LIMIT * 3 / 4 / BLOCK {
        assert!(append(&journal, &block(number, 1)), "block {number}");
    }
    journal.mark_replayed(journal.head()).unwrap();
    let mut number = 0;
    while journal.append(&[block(number, 2)]).is_ok() {
        number += 1;
    }
    let _ = storage.take_steps();
    let freed = ReclaimProgress::Freed { bytes: LIMIT / 16 };
    assert_eq!(journal.reclaim_step().unwrap(), freed);
    assert_eq!(storage.take_steps(), [Step::Remove]);
    journal.append(&[block(number, 2)]).unwrap();
}

#[test]
fn what_is_overwritten_goes_before_space_is_low_but_not_by_a_sync_for_each_segment() {
    let (storage, journal) = begin();
    let mut number = 0;
    // The newest hold what is live.
    while !journal.wants_reclaim() {
        journal.append(&[block(number % 64, number)]).unwrap();
        number += 1;
    }
    let free = LIMIT - journal.usage().disk_bytes;
    assert!((LIMIT / 4 - LIMIT / 16..LIMIT / 4).contains(&free), "{free}");
    let _ = storage.take_steps();
    while journal.wants_reclaim() {
        assert_ne!(journal.reclaim_step().unwrap(), ReclaimProgress::Nothing);
    }
    let steps = storage.take_steps();
    let syncs = steps.iter().filter(|step| **step == Step::SyncDirectory).count();
    assert_eq!(syncs, 1, "{steps:?}");
    assert!(LIMIT - journal.usage().disk_bytes >= LIMIT / 4);
}
