//! How long things take; run by hand: `cargo test --release -p hotbay-journal --test speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use hotbay_journal::{Change, FileStorage, Journal, Settings, scan};

#[test]
#[ignore = "prints figures and asserts nothing about time"]
fn figures() {
    let place = tempfile::tempdir().unwrap();
    let settings = Settings { volume: [0; 16], size_bytes: 1 << 31, limit_bytes: 3 << 30 };
    let storage = Arc::new(FileStorage::open(place.path()).unwrap());
    let (journal, _) = Journal::open(storage, settings).unwrap();
    let data: bytes::Bytes = vec![7; 4096].into();
    let began = Instant::now();
    for group in 0..(1u64 << 30) / 4096 / 32 {
        // Scattered, so that the index has one extent for each.
        let changes: Vec<Change> = (0..32)
            .map(|n| (group * 32 + n) * 2_654_435_761 % (1 << 18))
            .map(|block| Change::Write { offset: block * 8192, data: data.clone() })
            .collect();
        journal.append(&changes).unwrap();
    }
    println!("append 1 GiB in groups of 32 x 4 KiB: {:?}", began.elapsed());
    let began = Instant::now();
    journal.close().unwrap();
    println!("close: {:?}, {:?}", began.elapsed(), journal.usage());
    drop(journal);
    for _ in 0..2 {
        let began = Instant::now();
        let storage = FileStorage::open_to_read(place.path()).unwrap();
        let records: usize =
            scan(&storage, None).unwrap().segments.iter().map(|s| s.records.len()).sum();
        println!("scan, {records} records, cached: {:?}", began.elapsed());
    }
    let began = Instant::now();
    let storage = Arc::new(FileStorage::open(place.path()).unwrap());
    let (journal, _) = Journal::open(storage, settings).unwrap();
    println!("open, not cached: {:?}", began.elapsed());
    let began = Instant::now();
    journal.mark_replayed(journal.head()).unwrap();
    println!("mark_replayed: {:?}, {:?}", began.elapsed(), journal.usage());
}
