//! Everything at once: appends, syncs, reads, replay and reclaiming from several threads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hotbay_block::Extent;
use hotbay_journal::testing::ImageStorage;
use hotbay_journal::{AppendError, Change, Content, Journal, Settings};

const SETTINGS: Settings = Settings { volume: [6; 16], size_bytes: 4 << 20, limit_bytes: 16 << 20 };
/// What the mark takes beside the segments, which the limit is for.
const MARK: u64 = 512;
const BLOCK: u64 = 4096;
const WRITERS: u64 = 3;
const BLOCKS_EACH: u64 = 256;
const WRITES_EACH: u64 = 4000;

fn write(journal: &Journal, block: u64, value: u64) {
    let data = value.to_le_bytes().repeat(usize::try_from(BLOCK / 8).unwrap()).into();
    let change = [Change::Write { offset: block * BLOCK, data }];
    loop {
        match journal.append(&change) {
            Ok(()) => return,
            Err(AppendError::NeedsReclaim) => drop(journal.reclaim_step().unwrap()),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The value of a block, or `None` where the journal does not hold it.
fn read(journal: &Journal, block: u64) -> Option<u64> {
    let pieces = journal.pieces(Extent::new(block * BLOCK, BLOCK).unwrap());
    match pieces.first().unwrap().content.as_ref()? {
        Content::Data(bytes) => {
            let value = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            assert!(bytes.chunks(8).all(|chunk| chunk == value.to_le_bytes()), "a torn read");
            Some(value)
        }
        other => panic!("{other:?}"),
    }
}

/// Writes to its own blocks, and sees in each what it wrote last, or nothing where that was replayed meanwhile.
fn keep_writing(journal: &Journal, writer: u64) {
    for value in 0..WRITES_EACH {
        let block = writer * BLOCKS_EACH + value * 7 % BLOCKS_EACH;
        write(journal, block, value);
        assert!(read(journal, block).is_none_or(|found| found == value));
        if value % 32 == writer {
            journal.sync().unwrap();
        }
    }
}

fn keep_going(running: &AtomicBool, step: impl Fn()) {
    while running.load(Ordering::Acquire) {
        step();
        std::thread::yield_now();
    }
}

#[test]
fn threads_do_not_get_in_each_others_way() {
    let storage = ImageStorage::default();
    let journal = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap().0;
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| keep_going(&running, || assert!(journal.reclaim_step().is_ok())));
        scope.spawn(|| {
            keep_going(&running, || {
                let up_to = journal.head();
                drop(journal.live_after(0, up_to, 1 << 20).unwrap());
                journal.mark_replayed(up_to).unwrap();
                assert_eq!(journal.live_bytes_up_to(up_to), 0);
            });
        });
        let journal = &journal;
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || keep_writing(journal, writer))).collect();
        let ends: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        running.store(false, Ordering::Release);
        ends.into_iter().for_each(|end| end.unwrap());
    });
    assert!(storage.most_disk_bytes() <= SETTINGS.limit_bytes + MARK);
    journal.sync().unwrap();
    let after = ImageStorage::over(storage.image().crashed(&mut || false));
    let recovered = Journal::open(Arc::new(after), SETTINGS).unwrap().0;
    let all = Extent::new(0, SETTINGS.size_bytes).unwrap();
    assert_eq!(recovered.pieces(all), journal.pieces(all));
}
