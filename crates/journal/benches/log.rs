//! Appending, syncing and scanning, on the disk that holds the temporary directory (`TMPDIR`).
//!
//! `cargo bench -p hotbay-journal --bench log`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::cell::Cell;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use hotbay_journal::{Change, FileStorage, Journal, Settings, scan};
use rustix::fs::{FallocateFlags, fallocate};
use tempfile::TempDir;

const VOLUME_BYTES: u64 = 1 << 30;
/// When a journal has grown to this it is emptied, between what is timed.
const EMPTIED_AT_BYTES: u64 = 256 << 20;
const SETTINGS: Settings =
    Settings { volume: [0; 16], size_bytes: VOLUME_BYTES, limit_bytes: 2 << 30 };

fn main() {
    divan::main();
}

/// A journal in a directory that goes with it.
struct Log {
    journal: Journal,
    appended: Cell<u64>,
    place: TempDir,
}

impl Log {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let storage = FileStorage::open(place.path()).unwrap();
        let (journal, _) = Journal::open(Arc::new(storage), SETTINGS).unwrap();
        Self { journal, appended: Cell::new(0), place }
    }

    /// Writes of `data` to scattered places.
    fn changes(&self, count: u64, data: &Bytes) -> Vec<Change> {
        if self.journal.usage().disk_bytes > EMPTIED_AT_BYTES {
            self.journal.mark_replayed(self.journal.head()).unwrap();
            while self.journal.delete_retired().unwrap() {}
        }
        let length = u64::try_from(data.len()).unwrap();
        let next = || self.appended.replace(self.appended.get() + 1);
        let units = (0..count).map(|_| next() * 2_654_435_761 % (VOLUME_BYTES / length));
        units.map(|unit| Change::Write { offset: unit * length, data: data.clone() }).collect()
    }
}

fn bench_changes(
    bencher: Bencher<'_, '_>,
    (count, bytes): (u64, u64),
    act: impl Fn(&Journal, &[Change]),
) {
    let (log, data) = (Log::new(), Bytes::from(vec![7; usize::try_from(bytes).unwrap()]));
    bencher
        .counter(BytesCount::new(count * bytes))
        .with_inputs(|| log.changes(count, &data))
        .bench_local_refs(|changes| act(&log.journal, changes));
}

#[divan::bench(sample_size = 256)]
fn append_4k(bencher: Bencher<'_, '_>) {
    bench_changes(bencher, (1, 4096), |journal, changes| journal.append(changes).unwrap());
}

#[divan::bench(sample_size = 64)]
fn append_32_times_4k(bencher: Bencher<'_, '_>) {
    bench_changes(bencher, (32, 4096), |journal, changes| journal.append(changes).unwrap());
}

#[divan::bench(sample_size = 16)]
fn append_1m(bencher: Bencher<'_, '_>) {
    bench_changes(bencher, (1, 1 << 20), |journal, changes| journal.append(changes).unwrap());
}

#[divan::bench(sample_size = 32)]
fn append_4k_and_sync(bencher: Bencher<'_, '_>) {
    bench_changes(bencher, (1, 4096), |journal, changes| {
        journal.append(changes).unwrap();
        journal.sync().unwrap();
    });
}

/// What the one above comes down to where nothing is promised beyond the bytes.
#[divan::bench(sample_size = 32)]
fn bare_append_4k_and_sync(bencher: Bencher<'_, '_>) {
    let file = tempfile::tempfile().unwrap();
    fallocate(&file, FallocateFlags::empty(), 0, 256 << 20).unwrap();
    let (data, end) = (vec![7; 4096], Cell::new(0));
    bencher.counter(BytesCount::new(data.len())).bench_local(|| {
        file.write_all_at(&data, end.replace(end.get() + 4096)).unwrap();
        file.sync_data().unwrap();
    });
}

/// A journal full of 4 KiB records, all of them in the page cache.
fn full_log() -> Log {
    let (log, data) = (Log::new(), Bytes::from(vec![7; 4096]));
    while log.journal.usage().disk_bytes < EMPTIED_AT_BYTES {
        log.journal.append(&log.changes(256, &data)).unwrap();
    }
    log.journal.close().unwrap();
    log
}

fn live_bytes(log: &Log) -> BytesCount {
    BytesCount::new(log.journal.usage().live_bytes)
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn scan_256m(bencher: Bencher<'_, '_>) {
    let log = full_log();
    let storage = FileStorage::open_to_read(log.place.path()).unwrap();
    bencher.counter(live_bytes(&log)).bench_local(|| scan(&storage, None).unwrap());
}

/// What a replay asks for, in its batches.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn live_256m(bencher: Bencher<'_, '_>) {
    let log = full_log();
    bencher.counter(live_bytes(&log)).bench_local(|| {
        let mut from = 0;
        while let Some(last) =
            log.journal.live_after(from, log.journal.head(), 8 << 20).unwrap().last()
        {
            from = last.extent.end();
        }
    });
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn mark_replayed_256m(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(full_log)
        .bench_local_refs(|log| log.journal.mark_replayed(log.journal.head()).unwrap());
}
