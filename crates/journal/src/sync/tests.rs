//! What is let go of while others append, after a sync that failed, and where the disk is full.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::reclaim::has_dead;
use crate::testing::{ImageStorage, Step};
use crate::{Change, Settings};

const SEGMENT: usize = 1 << 20;
const SETTINGS: Settings = Settings { volume: [3; 16], size_bytes: 1 << 30, limit_bytes: 16 << 20 };

fn write(mib: u64, length: usize) -> Change {
    Change::Write { offset: mib << 20, data: Bytes::from(vec![1; length]) }
}

/// A sync that looks then would have the segment deleted with the next sync, and what is in it with it.
#[test]
fn a_segment_that_an_append_under_way_has_filled_is_not_taken_for_dead() {
    let changes = [write(0, SEGMENT / 2), write(8, 3 * SEGMENT)];
    // One write for each segment; each time it ends before another one, and leaves what there is before that.
    for written in 0..4 {
        let storage = ImageStorage::default();
        let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
        storage.fail(Step::Write, written, io::ErrorKind::Other);
        journal.append(&changes).unwrap_err();
        assert!(!has_dead(&journal.index.read()), "before write {written}");
    }
    let (journal, _) = Journal::open(Arc::new(ImageStorage::default()), SETTINGS).unwrap();
    journal.append(&changes).unwrap();
    assert!(!has_dead(&journal.index.read()));
    journal.append(&changes).unwrap();
    assert!(has_dead(&journal.index.read()), "what was overwritten is");
}

fn fill_active_but_for(journal: &Journal, records: usize) {
    let mut writer = journal.writer.lock();
    let surplus = writer.control_records_that_fit() - records;
    let drafts = vec![Draft::plain(Kind::Barrier, 0, 0); surplus];
    writer.append(&journal.ground, &journal.index, drafts, Purpose::Control).unwrap();
}

#[test]
fn on_a_full_disk_a_sync_is_made_and_as_many_segments_go_as_there_is_room_to_say_so() {
    for (fitting, going) in [(0, 0), (2, 2)] {
        let storage = ImageStorage::default();
        let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
        for _ in 0..2 {
            journal.append(&[write(0, 4 * SEGMENT)]).unwrap();
        }
        fill_active_but_for(&journal, fitting);
        let retired = || {
            let index = journal.index.read();
            index.segments.iter().filter(|(_, state)| state.is_left_over()).count()
        };
        storage.fail(Step::Create, 0, io::ErrorKind::StorageFull);
        let before = journal.usage().disk_bytes;
        journal.sync().unwrap();
        let gone = usize::try_from(before - journal.usage().disk_bytes).unwrap() / SEGMENT;
        assert_eq!(gone + retired(), going, "with room for {fitting}");
        // There is room again.
        while journal.reclaim_step().unwrap() != crate::ReclaimProgress::Nothing {}
        assert!(!has_dead(&journal.index.read()));
    }
}

#[test]
fn a_change_that_finds_a_full_disk_has_what_is_dead_let_go_of() {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    for _ in 0..2 {
        journal.append(&[write(0, 2 * SEGMENT)]).unwrap();
    }
    assert!(!journal.wants_reclaim(), "far below the limit");
    storage.fail(Step::Create, 0, io::ErrorKind::StorageFull);
    journal.append(&[write(4, SEGMENT)]).unwrap_err();
    assert!(journal.wants_reclaim());
    assert!(matches!(journal.reclaim_step(), Ok(crate::ReclaimProgress::Freed { .. })));
}

/// Whoever waited for the turn meanwhile finds segments that are retired, and not durably.
#[test]
fn no_segment_goes_after_a_sync_that_was_to_retire_it_and_failed() {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    for _ in 0..4 {
        journal.append(&[write(0, SEGMENT / 4 * 3)]).unwrap();
    }
    storage.fail(Step::Sync, 0, io::ErrorKind::Other);
    journal.sync_in_turn().unwrap_err();
    assert!(journal.index.read().segments.iter().any(|(_, state)| state.is_left_over()));
    assert_eq!(journal.delete_one_known().unwrap(), 0);
    assert!(!storage.take_steps().contains(&Step::Remove));
}
