//! A journal of a million extents: looking up, and taking in more.
//!
//! `cargo bench -p hotbay-journal --bench index`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::cell::Cell;
use std::sync::Arc;

use divan::Bencher;
use hotbay_block::Extent;
use hotbay_journal::testing::ImageStorage;
use hotbay_journal::{Change, Journal, Settings};

const BLOCK_BYTES: u64 = 4096;
/// Every other block of the volume is in an extent of its own.
const EXTENTS: u64 = 1_000_000;
const SETTINGS: Settings =
    Settings { volume: [0; 16], size_bytes: 2 * EXTENTS * BLOCK_BYTES, limit_bytes: 4 << 30 };
const GROUP: u64 = 1000;

fn main() {
    divan::main();
}

/// An extent far away from the ones before it. Has no bytes, so that nothing but the index grows.
fn change(number: u64) -> Change {
    Change::Zeroes(block(number * 382_861 % EXTENTS))
}

fn block(number: u64) -> Extent {
    Extent::new(number * 2 * BLOCK_BYTES, BLOCK_BYTES).unwrap()
}

fn million() -> Journal {
    let (journal, _) = Journal::open(Arc::new(ImageStorage::default()), SETTINGS).unwrap();
    for group in 0..EXTENTS / GROUP {
        let changes: Vec<Change> = (0..GROUP).map(|n| change(group * GROUP + n)).collect();
        journal.append(&changes).unwrap();
    }
    assert_eq!(journal.usage().extents, EXTENTS);
    journal
}

#[divan::bench(sample_size = 1000)]
fn pieces_of_one_block(bencher: Bencher<'_, '_>) {
    let (journal, next) = (million(), Cell::new(0));
    bencher.bench_local(|| {
        let number = next.replace(next.get() + 1);
        journal.pieces(block(number * 6_700_417 % EXTENTS))
    });
}

/// Each takes the place of an extent that was there.
#[divan::bench(sample_size = 10)]
fn append_1000_without_bytes(bencher: Bencher<'_, '_>) {
    let (journal, next) = (million(), Cell::new(0));
    bencher
        .with_inputs(|| {
            let first = next.replace(next.get() + GROUP);
            (first..first + GROUP).map(change).collect::<Vec<_>>()
        })
        .bench_local_refs(|changes| journal.append(changes).unwrap());
}
