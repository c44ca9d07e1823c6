//! Requests that have to wait, and how long.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use hotbay_block::{ErrorKind, Request};
use hotbay_drive::{AbsentReads, EventKind};
use support::*;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_the_medium_and_is_then_answered() {
    let world = World::one();
    world.disk("disk-a").fill(7);
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    let reading = begin(&device, Request::read(extent(0, 512)));
    until_event(&drive, EventKind::PleaseInsert).await;
    assert_eq!(volume(&drive).status().waiting_requests, 1);
    insert(&drive, "a").await;
    let bytes = reading.await.unwrap().unwrap().into_payload().into_bytes();
    assert_filled(&bytes, 7, "read in the end");
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_no_longer_than_it_may() {
    let world = World::one_with(|settings| settings.absent_wait = Duration::from_secs(7));
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    let before = Instant::now();
    assert_eq!(try_read(&device, 0, 512).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(before.elapsed().as_secs(), 7);
    assert_eq!(volume(&drive).status().waiting_requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_read_fails_at_once_where_that_is_the_policy() {
    let world = World::one_with(|settings| settings.absent_reads = AbsentReads::Error);
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    let before = Instant::now();
    assert_eq!(try_read(&device, 0, 512).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(before.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_read_of_what_the_journal_has_does_not_wait() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    write(&device, 0, 1024, 1).await;
    device.execute(zeroing(1024, 1024)).answer().await.unwrap();
    let before = Instant::now();
    assert_filled(&read(&device, 0, 1024).await, 1, "written");
    assert_filled(&read(&device, 512, 1536).await[512..], 0, "zeroed");
    assert!(before.elapsed().is_zero());
    assert!(!has_event(&drive, EventKind::PleaseInsert));
}

#[tokio::test(start_paused = true)]
async fn one_event_asks_for_the_medium_however_many_wait() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    let reads: Vec<_> =
        (0..5).map(|place| begin(&device, Request::read(extent(place * 512, 512)))).collect();
    let_others_run().await;
    let asked = drive.events().after(0).into_iter();
    assert_eq!(asked.filter(|event| event.kind == EventKind::PleaseInsert).count(), 1);
    insert(&drive, "a").await;
    for read in reads {
        read.await.unwrap().unwrap();
    }
}
