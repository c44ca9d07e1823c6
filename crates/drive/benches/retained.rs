//! Retaining writes, letting go of them after a sync, and taking them over at a loss.
//!
//! `cargo bench -p hotbay-drive --bench retained`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::cell::RefCell;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use hotbay_block::{Durability, Extent, Request};
use hotbay_drive::testing::parts::LoneRetained;

const BLOCK_BYTES: u64 = 4096;
/// The size of the medium that is written to.
const SIZE_BYTES: u64 = 1 << 30;
/// What a volume retains where nothing else is said.
const LIMIT_BYTES: u64 = 64 << 20;
/// As many as a session has in one receive.
const BATCH: u64 = 32;

fn main() {
    divan::main();
}

/// Scattered writes of one block each.
struct Writes {
    data: Bytes,
    number: u64,
}

impl Iterator for Writes {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        self.number += 1;
        let block = self.number * 2_654_435_761 % (SIZE_BYTES / BLOCK_BYTES);
        let extent = Extent::new(block * BLOCK_BYTES, BLOCK_BYTES).unwrap();
        Some(Request::Write { extent, data: self.data.clone(), durability: Durability::Deferred })
    }
}

fn writes() -> Writes {
    Writes { data: Bytes::from(vec![7; usize::try_from(BLOCK_BYTES).unwrap()]), number: 0 }
}

/// Keeps writes until there is no room any more. How many.
fn fill(retained: &mut LoneRetained, writes: &mut Writes) -> u64 {
    let refused = writes.position(|write| !retained.keep(&write));
    u64::try_from(refused.unwrap()).unwrap()
}

/// Empty, with all its memory in use before.
fn warm() -> LoneRetained {
    let mut retained = LoneRetained::new(LIMIT_BYTES, SIZE_BYTES);
    fill(&mut retained, &mut writes());
    retained.release_all();
    retained
}

#[divan::bench(args = [1, BATCH], sample_size = 64)]
fn keep_4k(bencher: Bencher<'_, '_>, batch: u64) {
    let (retained, mut writes) = (RefCell::new(warm()), writes());
    bencher
        .counter(ItemsCount::new(batch))
        .counter(BytesCount::new(batch * BLOCK_BYTES))
        .with_inputs(|| {
            let mut retained = retained.borrow_mut();
            if retained.bytes() > LIMIT_BYTES / 2 {
                retained.release_all();
            }
            writes.by_ref().take(usize::try_from(batch).unwrap()).collect::<Vec<_>>()
        })
        .bench_local_refs(|writes| {
            let mut retained = retained.borrow_mut();
            assert!(writes.iter().all(|write| retained.keep(write)));
        });
}

/// Keeping writes until it is full, and the sync that makes room: a whole turn.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn fill_and_release_64m_of_4k(bencher: Bencher<'_, '_>) {
    let (mut retained, mut writes) = (warm(), writes());
    let count = fill(&mut warm(), &mut writes);
    bencher.counter(ItemsCount::new(count)).bench_local(|| {
        fill(&mut retained, &mut writes);
        retained.release_all()
    });
}

/// What the sync alone has to do there, with all that completes waiting for it.
#[divan::bench(sample_count = 50, sample_size = 1)]
fn release_64m_of_4k(bencher: Bencher<'_, '_>) {
    let (retained, mut writes) = (RefCell::new(warm()), writes());
    let count = fill(&mut warm(), &mut writes);
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| fill(&mut retained.borrow_mut(), &mut writes))
        .bench_local_values(|_| retained.borrow_mut().release_all());
}

/// What a loss finds, until clients go on with the journal.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn take_over_64m_of_4k(bencher: Bencher<'_, '_>) {
    let mut writes = writes();
    let count = fill(&mut warm(), &mut writes);
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(|| {
            let mut retained = LoneRetained::new(LIMIT_BYTES, SIZE_BYTES);
            fill(&mut retained, &mut writes);
            retained
        })
        .bench_local_values(LoneRetained::take_over);
}
