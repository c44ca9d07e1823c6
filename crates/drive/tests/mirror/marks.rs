//! Marks: where copies may differ is recorded before they do.

use std::time::Duration;

use hotbay_block::ErrorKind;
use tokio::time::sleep;

use super::support::*;

#[tokio::test(start_paused = true)]
async fn marks_are_taken_away_when_it_is_quiet_and_at_a_stop() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let device = as_dyn(&mirror);
    write(&device, 0, 4096, 1).await;
    assert!(pair.records.saved().marked.contains(&0));
    sleep(Duration::from_secs(11)).await;
    assert_eq!(pair.records.saved().marked, []);
    write(&device, MIB, 4096, 1).await;
    assert_eq!(pair.records.saved().marked, [1]);
    mirror.stop().await;
    assert_eq!(pair.records.saved().marked, []);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_marked_fails_and_is_not_made() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    sleep(Duration::from_secs(30)).await;
    pair.records.refuse(true);
    let answer = mirror.open().execute(writing(0, 4096, 1)).answer().await;
    assert_eq!(kind_of(answer), ErrorKind::PreviousFailure);
    for copy in ["disk-a", "disk-b"] {
        assert_filled(&pair.world.disk(copy).cached()[..4096], 0, copy);
    }
    pair.records.refuse(false);
    write(&as_dyn(&mirror), 0, 4096, 1).await;
}

/// What is on no platter yet may differ after a loss of power.
#[tokio::test(start_paused = true)]
async fn a_mark_goes_only_after_its_change_is_on_each_platter() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    sleep(Duration::from_secs(11)).await;
    write(&as_dyn(&mirror), 0, 4096, 1).await;
    assert_filled(&pair.durable("a")[..4096], 0, "not synced by itself");
    sleep(Duration::from_secs(11)).await;
    assert_eq!(pair.records.saved().marked, []);
    for copy in ["a", "b"] {
        assert_filled(&pair.durable(copy)[..4096], 1, copy);
    }
}

/// A change that comes while the copies are flushed for it keeps the mark that it found.
#[tokio::test(start_paused = true)]
async fn a_mark_that_is_needed_again_is_not_taken_away() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    sleep(Duration::from_secs(11)).await;
    let device = as_dyn(&mirror);
    write(&device, 0, 4096, 1).await;
    let held = pair.world.disk("disk-a").hold(Op::Flush);
    held.until_stuck(1).await;
    write(&device, 4096, 4096, 2).await;
    held.release();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(pair.records.saved().marked, [0], "it has just been changed");
    sleep(Duration::from_secs(11)).await;
    assert_eq!(pair.records.saved().marked, []);
}

/// A change that takes long is not over, however long ago it began.
#[tokio::test(start_paused = true)]
async fn a_mark_stays_for_as_long_as_its_change_is_under_way() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    sleep(Duration::from_secs(11)).await;
    let held = pair.world.disk("disk-b").hold(Op::Change);
    let changing = begin(&as_dyn(&mirror), writing(0, 4096, 1));
    held.until_stuck(1).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(pair.records.saved().marked, [0], "it is under way");
    held.release();
    changing.await.unwrap().unwrap();
}

/// The marks are also what is recorded of a copy that is behind.
#[tokio::test(start_paused = true)]
async fn marks_stay_while_a_copy_is_behind() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    sleep(Duration::from_secs(11)).await;
    drive.eject("a").await.unwrap();
    until_in_sync(&mirror, "a", false).await;
    write(&as_dyn(&mirror), 2 * MIB, 4096, 1).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(pair.records.saved().marked, [2], "what a has missed");
    insert(&drive, "a").await;
    both_in_sync(&mirror).await;
    sleep(Duration::from_secs(11)).await;
    assert_eq!(pair.records.saved().marked, []);
}
