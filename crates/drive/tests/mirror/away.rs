//! A copy that goes, and comes back.

use std::time::Duration;

use hotbay_drive::{CopyRecord, EventKind};
use tokio::time::sleep;

use super::support::*;

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_away_gets_what_was_changed_and_no_more() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let device = as_dyn(&mirror);
    sleep(Duration::from_secs(30)).await;
    drive.pull("a").await.unwrap();
    until_in_sync(&mirror, "a", false).await;
    write(&device, 2 * MIB, 4096, 5).await;
    assert_eq!(mirror.copy("a").unwrap().behind_bytes, MIB, "one granule");
    let journal = drive.volume("a").unwrap().status().journal;
    assert_eq!(journal.live_bytes, 0, "the data are not kept twice");
    let changes = pair.world.disk("disk-a").changes();
    insert(&drive, "a").await;
    both_in_sync(&mirror).await;
    assert!(pair.world.disk("disk-a").changes() - changes < 8, "little was written");
    let saved = pair.records.saved();
    let is_newest = |copy: &CopyRecord| copy.generation == saved.generation;
    assert!(saved.copies.iter().all(is_newest), "that it is back is recorded: {saved:?}");
    assert_filled(&pair.durable("a")[2 << 20..(2 << 20) + 4096], 5, "it has the change");
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_loses_the_cache_loses_nothing() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let device = as_dyn(&mirror);
    write(&device, 0, MIB, 1).await;
    pair.world.disk("disk-a").yank();
    write(&device, MIB, MIB, 2).await;
    until_in_sync(&mirror, "a", false).await;
    write(&device, 2 * MIB, MIB, 3).await;
    pair.world.disk("disk-a").plug();
    insert(&drive, "a").await;
    both_in_sync(&mirror).await;
    flush(&device).await;
    for copy in ["a", "b"] {
        for (place, fill) in [(0, 1), (1, 2), (2, 3)] {
            assert_filled(&pair.durable(copy)[place << 20..(place + 1) << 20], fill, copy);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_journal_is_broken_falls_behind_before_the_answer() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    *pair.world.mood("a").lock() = Refuses::Writes;
    pair.world.disk("disk-a").yank();
    write(&as_dyn(&mirror), 0, 4096, 6).await;
    flush(&as_dyn(&mirror)).await;
    until_in_sync(&mirror, "a", false).await;
    assert_filled(&read(&as_dyn(&mirror), 0, 4096).await, 6, "from the other copy");
    assert!(has_event(&drive, EventKind::FellBehind));
}

/// A change of a granule that is being copied waits, or the copy would be taken for one that has it.
#[tokio::test(start_paused = true)]
async fn a_change_of_what_is_being_copied_is_on_both() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let device = as_dyn(&mirror);
    drive.pull("a").await.unwrap();
    until_in_sync(&mirror, "a", false).await;
    write(&device, 0, 4096, 1).await;
    let held = pair.world.disk("disk-a").hold(Op::Change);
    insert(&drive, "a").await;
    held.until_stuck(1).await;
    let changing = begin(&device, writing(0, 4096, 2));
    let_others_run().await;
    held.release();
    changing.await.unwrap().unwrap();
    both_in_sync(&mirror).await;
    flush(&device).await;
    for copy in ["a", "b"] {
        assert_filled(&pair.durable(copy)[..4096], 2, copy);
    }
}

/// With all media away the last copies in sync stay so: what they take goes to each of their journals.
#[tokio::test(start_paused = true)]
async fn copies_that_leave_together_stay_in_sync() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let (_, _) = tokio::join!(drive.pull("a"), drive.pull("b"));
    let device = as_dyn(&mirror);
    write(&device, 0, 4096, 1).await;
    sleep(Duration::from_secs(5)).await;
    write(&device, MIB, 4096, 2).await;
    assert!(mirror.copy("a").unwrap().in_sync && mirror.copy("b").unwrap().in_sync);
    // Whichever comes back first has everything.
    insert(&drive, "b").await;
    assert_filled(&read(&device, 0, 4096).await, 1, "from b");
    assert_filled(&read(&device, MIB, 4096).await, 2, "from b");
}
