//! What has been replayed stays so; what relocation moves meanwhile is replayed again, never forgotten.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hotbay_block::Extent;
use hotbay_journal::testing::{ImageStorage, Step};
use hotbay_journal::{Change, Journal, Kind, ReclaimProgress, Settings, scan};

const SETTINGS: Settings = Settings { volume: [4; 16], size_bytes: 1 << 30, limit_bytes: 16 << 20 };
const MIB: u64 = 1 << 20;

fn open(storage: &ImageStorage) -> Journal {
    Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap().0
}

fn write(journal: &Journal, offset: u64, length: u64, value: u8) {
    let data = vec![value; usize::try_from(length).unwrap()].into();
    journal.append(&[Change::Write { offset, data }]).unwrap();
}

fn extent(offset: u64, length: u64) -> Extent {
    Extent::new(offset, length).unwrap()
}

#[test]
fn replayed_data_stays_gone_when_the_record_that_says_so_is_deleted() {
    let storage = ImageStorage::default();
    let journal = open(&storage);
    write(&journal, 0, 4096, 1);
    let replayed = journal.head();
    // The first segment stays, for what is live behind the replayed write.
    write(&journal, 4096, 4096, 2);
    write(&journal, 8 * MIB, MIB + 4096, 3);
    journal.mark_replayed(replayed).unwrap();
    let has_record = |storage: &ImageStorage| {
        let report = scan(storage, None).unwrap();
        report.segments.iter().flat_map(|s| &s.records).any(|r| r.kind == Kind::Replayed)
    };
    assert!(has_record(&storage));
    // The segment with the record is full, then dead, then deleted.
    for value in 4..6 {
        write(&journal, 8 * MIB, 3 * MIB, value);
    }
    journal.sync().unwrap();
    assert!(!has_record(&storage));
    for journal in [journal, open(&storage)] {
        assert!(!journal.covers(extent(0, 1)), "old data is back");
        assert!(journal.covers(extent(4096, 4096)));
    }
}

/// At each step of `work`, with all or none of what is unsynced: the journal is as before it or as after it.
fn check_crashes_during(storage: &ImageStorage, journal: &Journal, work: impl FnOnce(&Journal)) {
    let all = extent(0, 16 * MIB);
    let before = journal.pieces(all);
    storage.record();
    work(journal);
    let after = journal.pieces(all);
    let recorded = storage.take_recorded();
    assert!(recorded.iter().any(|(step, _)| *step == Step::Remove));
    for (step, image) in recorded {
        for keep in [false, true] {
            let crashed = ImageStorage::over(image.crashed(&mut || keep));
            let found = open(&crashed).pieces(all);
            assert!(found == before || found == after, "after {step:?}, kept: {keep}");
        }
        // Deletions may become durable before anything else does.
        let mut is_name = true;
        let crashed = ImageStorage::over(image.crashed(&mut || std::mem::take(&mut is_name)));
        let found = open(&crashed).pieces(all);
        assert!(found == before || found == after, "after {step:?}, the name alone");
    }
}

#[test]
fn a_crash_at_the_end_of_a_replay_leaves_the_state_before_or_after() {
    let storage = ImageStorage::default();
    let journal = open(&storage);
    write(&journal, 0, 5 * MIB, 1);
    journal.sync().unwrap();
    let up_to = journal.head();
    check_crashes_during(&storage, &journal, |journal| {
        journal.mark_replayed(up_to).unwrap();
        while journal.delete_retired().unwrap() {}
    });
    assert!(journal.is_empty());
}

#[test]
fn a_crash_while_overwritten_segments_go_loses_nothing() {
    let storage = ImageStorage::default();
    let journal = open(&storage);
    write(&journal, 0, 3 * MIB, 1);
    journal.sync().unwrap();
    // Relocation shows the same before and after, however far it has come.
    write(&journal, 4096, 3 * MIB - 4096, 2);
    journal.close().unwrap();
    check_crashes_during(&storage, &journal, |journal| {
        while journal.reclaim_step().unwrap() != ReclaimProgress::Nothing {}
    });
}

#[test]
fn what_is_moved_during_a_replay_is_replayed_again() {
    let storage = ImageStorage::default();
    let journal = open(&storage);
    write(&journal, 0, 4096, 1);
    write(&journal, 4096, 2 * MIB, 2);
    write(&journal, 4096, 2 * MIB, 3);
    journal.sync().unwrap();
    let up_to = journal.head();
    assert_eq!(journal.live_after(0, up_to, u64::MAX).unwrap()[0].extent, extent(0, 4096));
    while journal.reclaim_step().unwrap() != ReclaimProgress::Nothing {}
    assert!(journal.head() > up_to, "the first write was moved");
    journal.mark_replayed(up_to).unwrap();
    for journal in [&journal, &open(&storage)] {
        assert!(journal.covers(extent(0, 4096)) && !journal.is_empty());
        let live = journal.live_after(0, journal.head(), u64::MAX).unwrap();
        assert!(live.iter().all(|extent| extent.sequence > up_to));
    }
}

#[test]
fn a_batch_is_bounded_and_the_next_goes_on_behind_it() {
    let storage = ImageStorage::default();
    let journal = open(&storage);
    for block in 0..100 {
        write(&journal, block * 8192, 4096, 1);
        journal.append(&[Change::Trim(extent(block * 8192 + 4096, 1024))]).unwrap();
    }
    let up_to = journal.head();
    write(&journal, 0, 512, 2);
    let (mut from, mut seen) = (0, 0);
    loop {
        let batch = journal.live_after(from, up_to, 16 << 10).unwrap();
        let Some(last) = batch.last() else { break };
        assert!(batch.len() <= 8);
        assert!(batch.iter().all(|it| it.extent.offset() >= from && it.sequence <= up_to));
        from = last.extent.end();
        seen += batch.iter().map(|it| it.extent.length()).sum::<u64>();
    }
    assert_eq!(seen, 100 * (4096 + 1024) - 512);
    assert_eq!(journal.live_bytes_up_to(up_to), 100 * 4096 - 512);
}
