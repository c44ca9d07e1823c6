//! Passing the gate: what each request pays, alone and beside another thread that passes it.
//!
//! `cargo bench -p hotbay-drive --bench gate`

use divan::Bencher;
use hotbay_drive::testing::parts::LoneGate;

fn main() {
    divan::main();
}

#[divan::bench(threads = [1, 2], sample_size = 10_000)]
fn enter_and_leave(bencher: Bencher<'_, '_>) {
    let gate = LoneGate::default();
    bencher.bench(|| gate.pass());
}
