//! Reads of the copies, and their comparison.

use std::time::Duration;

use hotbay_block::Request;
use hotbay_drive::Scrub;

use super::support::*;

#[tokio::test(start_paused = true)]
async fn a_read_fails_over_without_an_error_and_without_a_wait() {
    let pair = Pair::new();
    pair.world.disk("disk-a").fill(3);
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    pair.world.disk("disk-a").script(Op::Read, 0, Fault::Error);
    let started = tokio::time::Instant::now();
    assert_filled(&read(&as_dyn(&mirror), 0, 4096).await, 3, "from the other copy");
    let held = pair.world.disk("disk-a").hold(Op::Read);
    let reading = begin(&as_dyn(&mirror), Request::read(extent(0, 4096)));
    held.until_stuck(1).await;
    pair.world.disk("disk-a").yank();
    let bytes = reading.await.unwrap().unwrap().into_payload().into_bytes();
    assert_filled(&bytes, 3, "from the other copy");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn reads_are_spread_over_the_copies() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    // All of it is one turn here, so it is one copy that is read; without that one the other is.
    let read_of = |copy: &str| pair.world.disk(copy).hold(Op::Read);
    let (a, b) = (read_of("disk-a"), read_of("disk-b"));
    let reading = begin(&as_dyn(&mirror), Request::read(extent(0, 4096)));
    let_others_run().await;
    assert_eq!(a.stuck() + b.stuck(), 1, "one copy is read");
    a.release();
    b.release();
    reading.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_scrub_finds_a_difference_and_repairs_it() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    write(&as_dyn(&mirror), 0, 4 * MIB, 8).await;
    flush(&as_dyn(&mirror)).await;
    let clean = mirror.scrub("a", Scrub::Report, |_, _| ()).await.unwrap();
    assert_eq!((clean.compared_bytes, clean.differing_bytes), (4 * MIB, 0));
    pair.world.disk("disk-b").fill(1);
    let found = mirror.scrub("a", Scrub::Repair, |_, _| ()).await.unwrap();
    assert_eq!(found.differing_bytes, 4 * MIB);
    assert_eq!(mirror.scrub("a", Scrub::Report, |_, _| ()).await.unwrap().differing_bytes, 0);
    flush(&as_dyn(&mirror)).await;
    assert_filled(&pair.durable("b"), 8, "as the first copy");
}
