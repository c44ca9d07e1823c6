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
