//! The first start, when nobody knows whether the volumes are equal.

use hotbay_drive::{EventKind, Mirror};

use super::support::*;

#[tokio::test(start_paused = true)]
async fn a_new_mirror_has_the_first_volumes_content() {
    let pair = Pair::new();
    pair.world.disk("disk-a").fill(7);
    pair.world.disk("disk-b").fill(9);
    let (drive, mirror) = pair.start().await;
    let device = as_dyn(&mirror);
    assert_filled(&read(&device, 0, 4 * MIB).await, 7, "also while it is copied");
    both_in_sync(&mirror).await;
    assert_filled(&pair.durable("b"), 7, "all of it is there");
    assert!(has_event(&drive, EventKind::CaughtUp));
}

#[tokio::test(start_paused = true)]
async fn holes_are_not_read_for_a_copy_and_are_there_all_the_same() {
    let pair = Pair::new();
    let (source, target) = (pair.world.disk("disk-a"), pair.world.disk("disk-b"));
    source.tell_holes();
    target.fill(9);
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    assert!(source.read_bytes() < MIB, "{} bytes were read", source.read_bytes());
    assert_filled(&pair.durable("b"), 0, "all of it is there");
}

#[tokio::test(start_paused = true)]
async fn copies_that_were_served_on_their_own_are_not_taken_for_equal() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let [a, b] = ["a", "b"].map(|copy| drive.volume(copy).unwrap().content().0);
    mirror.stop().await;
    drop(mirror);
    stop(drive).await;

    let drive = pair.world.started().await;
    let mut record = pair.records.saved();
    assert!(!record.serve_apart([[0; 16]]), "no copy");
    assert!(record.serve_apart([b, [0; 16]]) && !record.serve_apart([b]));
    pair.records.put_back(record.clone());
    let refusal = Mirror::start(&drive, pair.records.clone()).await.unwrap_err();
    assert!(refusal.to_string().contains("volume b was served on its own"), "{refusal}");
    assert_eq!(pair.records.saved(), record, "as long as nobody has decided");

    record.apart = vec![[9; 16]];
    pair.records.put_back(record);
    let mirror = Mirror::start(&drive, pair.records.clone()).await.expect("another one was");
    both_in_sync(&mirror).await;
    assert!(pair.records.saved().copies.iter().any(|copy| copy.volume == a));
}
