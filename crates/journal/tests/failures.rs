//! Storage that fails: what is latched, what is not, and what is left.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use hotbay_block::Extent;
use hotbay_journal::testing::{ImageStorage, Step};
use hotbay_journal::{
    AppendError, Change, Journal, JournalError, OpenError, ScanError, Sequence, Settings,
};

const SETTINGS: Settings = Settings { volume: [1; 16], size_bytes: 1 << 30, limit_bytes: 16 << 20 };

fn begin() -> (ImageStorage, Journal) {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    (storage, journal)
}

fn write(offset: u64, length: usize, value: u8) -> Change {
    Change::Write { offset, data: vec![value; length].into() }
}

fn check_latched(storage: &ImageStorage, journal: &Journal) {
    let _ = storage.take_steps();
    let refused = |result: Result<(), JournalError>| {
        assert!(matches!(result, Err(JournalError::PreviousFailure(_))), "{result:?}");
    };
    for _ in 0..2 {
        refused(journal.sync());
        refused(journal.close());
        refused(journal.mark_replayed(journal.head()));
        refused(journal.delete_retired().map(drop));
        refused(journal.reclaim_step().map(drop));
        let append = journal.append(&[write(0, 1, 1)]);
        assert!(
            matches!(append, Err(AppendError::Failed(JournalError::PreviousFailure(_)))),
            "{append:?}"
        );
    }
    assert_eq!(storage.take_steps(), [], "nothing is tried again");
}

#[test]
fn a_journal_that_cannot_be_read_is_refused_and_left_as_it_is() {
    let (storage, journal) = begin();
    journal.append(&[write(0, 512, 1)]).unwrap();
    journal.close().unwrap();
    drop(journal);
    let before = storage.image().contents();
    storage.fail(Step::Fetch, 0, ErrorKind::Other);
    let refused = Journal::open(Arc::new(storage.clone()), SETTINGS).map(drop).unwrap_err();
    let OpenError::Scan(ScanError::Io { name, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(name, "0000000000000001.segment");
    assert_eq!(storage.image().contents(), before);
    let (journal, _) = Journal::open(Arc::new(storage), SETTINGS).unwrap();
    assert!(journal.touches(Extent::new(0, 512).unwrap()));
}

#[test]
fn a_failed_sync_is_latched_and_never_tried_again() {
    for step in [Step::Sync, Step::SyncDirectory] {
        let (storage, journal) = begin();
        journal.append(&[write(0, 512, 1)]).unwrap();
        storage.fail(step, 0, ErrorKind::Other);
        assert!(matches!(journal.sync(), Err(JournalError::Failed { .. })));
        check_latched(&storage, &journal);
        // The kernel would let a second sync succeed without the data being there.
        let crashed = ImageStorage::over(storage.image().crashed(&mut || false));
        let (journal, _) = Journal::open(Arc::new(crashed), SETTINGS).unwrap();
        assert!(journal.is_empty());
    }
}

#[test]
fn a_restart_after_a_failed_sync_believes_the_disk_and_not_the_page_cache() {
    let (storage, journal) = begin();
    journal.append(&[write(0, 512, 1)]).unwrap();
    journal.sync().unwrap();
    journal.append(&[write(512, 512, 2)]).unwrap();
    storage.fail(Step::Sync, 0, ErrorKind::Other);
    journal.sync().unwrap_err();
    drop(journal);
    // The second write is still seen in the page cache, clean, so that no sync will ever write it.
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    journal.append(&[write(2048, 512, 3)]).unwrap();
    journal.sync().unwrap();
    let shown = journal.pieces(Extent::new(0, 4096).unwrap());
    let crashed = ImageStorage::over(storage.image().crashed(&mut || false));
    let (journal, _) = Journal::open(Arc::new(crashed), SETTINGS).unwrap();
    assert_eq!(journal.pieces(Extent::new(0, 4096).unwrap()), shown);
    assert!(journal.covers(Extent::new(2048, 512).unwrap()));
    assert!(!journal.covers(Extent::new(512, 512).unwrap()));
}

#[test]
fn a_failed_write_is_latched() {
    let (storage, journal) = begin();
    storage.fail(Step::Write, 0, ErrorKind::Other);
    let append = journal.append(&[write(0, 512, 1)]);
    assert!(matches!(append, Err(AppendError::Failed(JournalError::Failed { .. }))));
    check_latched(&storage, &journal);
}

#[test]
fn a_failure_at_the_end_of_a_replay_is_latched() {
    for step in [Step::Write, Step::Sync, Step::Remove] {
        let (storage, journal) = begin();
        journal.append(&[write(0, 3 << 20, 1)]).unwrap();
        journal.sync().unwrap();
        storage.fail(step, 0, ErrorKind::Other);
        let marked = journal.mark_replayed(journal.head()).and_then(|()| journal.delete_retired());
        assert!(matches!(marked, Err(JournalError::Failed { .. })), "{step:?}: {marked:?}");
        check_latched(&storage, &journal);
    }
}

#[test]
fn a_full_file_system_leaves_all_as_it_was() {
    let (storage, journal) = begin();
    journal.append(&[write(0, 4096, 1)]).unwrap();
    let (head, usage) = (journal.head(), journal.usage());
    let files = storage.image().contents().len();
    // The third of the segments that this needs cannot be created.
    storage.fail(Step::Create, 2, ErrorKind::StorageFull);
    let append = journal.append(&[write(4096, 4 << 20, 2)]);
    assert!(matches!(append, Err(AppendError::StorageFull(_))), "{append:?}");
    assert_eq!((journal.head(), journal.usage()), (head, usage));
    assert_eq!(storage.image().contents().len(), files);

    journal.append(&[write(4096, 4 << 20, 3)]).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let crashed = ImageStorage::over(storage.image().crashed(&mut || false));
    let (journal, _) = Journal::open(Arc::new(crashed), SETTINGS).unwrap();
    assert!(journal.covers(Extent::new(0, 4096 + (4 << 20)).unwrap()));
}

#[test]
fn no_room_for_the_first_segment_is_said_so() {
    let storage = ImageStorage::default();
    storage.fail(Step::Create, 0, ErrorKind::QuotaExceeded);
    let opened = Journal::open(Arc::new(storage), SETTINGS);
    assert!(matches!(opened, Err(OpenError::StorageFull(_))));
}

#[test]
fn a_change_past_the_end_changes_nothing() {
    let (storage, journal) = begin();
    let _ = storage.take_steps();
    let end = SETTINGS.size_bytes;
    let beyond = [
        Change::Write { offset: end - 1, data: Bytes::from_static(b"ab") },
        Change::Write { offset: u64::MAX, data: Bytes::from_static(b"ab") },
        Change::Zeroes(Extent::new(end, 1).unwrap()),
        Change::Trim(Extent::new(0, end + 1).unwrap()),
    ];
    for change in beyond {
        let append = journal.append(&[write(0, 1, 1), change]);
        assert!(matches!(append, Err(AppendError::OutOfRange { .. })), "{append:?}");
    }
    assert_eq!((storage.take_steps(), journal.head()), (vec![], Sequence::ZERO));
}

#[test]
fn a_group_is_one_write_and_a_covered_flush_costs_nothing() {
    let (storage, journal) = begin();
    let _ = storage.take_steps();
    let changes: Vec<Change> = (0..100).map(|n| write(n * 4096, 4096, 1)).collect();
    journal.append(&changes).unwrap();
    assert_eq!(storage.take_steps(), [Step::Write]);
    journal.sync().unwrap();
    assert_eq!(
        storage.take_steps(),
        [Step::Sync, Step::Create, Step::SyncDirectory, Step::Write, Step::Sync, Step::Write]
    );
    journal.sync().unwrap();
    journal.append(&[]).unwrap();
    journal.append(&[write(7, 0, 0)]).unwrap();
    journal.sync().unwrap();
    assert_eq!(storage.take_steps(), []);
}

/// How often zeroes are written ahead of appends of `length` bytes, each synced, that fill several segments.
fn prepared(length: usize) -> usize {
    let (storage, journal) = begin();
    for number in 0..(3u64 << 20) / length as u64 {
        journal.append(&[write(number * length as u64, length, 1)]).unwrap();
        journal.sync().unwrap();
    }
    let is_prepared =
        storage.take_steps().into_iter().filter(|&step| step == Step::Prepare).count();
    let crashed = ImageStorage::over(storage.image().crashed(&mut || false));
    let (recovered, _) = Journal::open(Arc::new(crashed), SETTINGS).unwrap();
    let all = Extent::new(0, 4 << 20).unwrap();
    assert!(recovered.pieces(all) == journal.pieces(all));
    is_prepared
}

#[test]
fn blocks_are_written_ahead_of_small_syncs_now_and_then_and_never_of_large_ones() {
    let often = prepared(4096);
    assert!((3 * 4..4 * 4).contains(&often), "once for a quarter of a segment, not {often} times");
    assert_eq!(prepared(64 << 10), 0);
}
