//! A journal's disk that neither answers nor fails: the volume fails at the deadline, and what comes late changes nothing.
//!
//! In real time, because a thread that hangs holds up a clock of its own; so the deadline is short.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use hotbay_block::{ErrorKind, Request};
use hotbay_drive::{Drive, State};
use support::*;

const DEADLINE: Duration = Duration::from_millis(300);

fn impatient() -> World {
    World::one_with(|settings| settings.io_deadline = DEADLINE)
}

/// What must hold of a volume whose journal's disk has hung, also when that has ended.
async fn must_have_failed(drive: &Drive, world: &World) {
    let volume = volume(drive);
    until(&volume, State::Failed).await;
    let why = volume.status().last_loss.unwrap();
    assert!(why.contains("has not been answered for 300ms"), "{why}");
    let device = volume.open();
    for _ in 0..2 {
        for request in [Request::Flush, writing(0, 512, 9), Request::read(extent(0, 512))] {
            assert_eq!(kind_of(device.execute(request).answer().await), ErrorKind::PreviousFailure);
        }
        // What hung ends now.
        *world.mood("a").lock() = Refuses::Nothing;
        world.records.hang(false);
        tokio::time::sleep(DEADLINE).await;
    }
    assert_eq!(volume.state(), State::Failed);
    drive.stop().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_of_the_journal_that_hangs_fails_the_volume_and_is_never_acknowledged() {
    let world = impatient();
    let drive = world.started().await;
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    write(&device, 0, 4096, 1).await;
    *world.mood("a").lock() = Refuses::ToAnswerSyncs;
    // The first syncs, the others wait for their turn.
    let flushes: Vec<_> = (0..3).map(|_| begin(&device, Request::Flush)).collect();
    for flush in flushes {
        assert_eq!(kind_of(flush.await.unwrap()), ErrorKind::PreviousFailure);
    }
    must_have_failed(&drive, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_append_that_hangs_fails_the_volume_and_whoever_waits_behind_it_is_told() {
    let world = impatient();
    let drive = world.started().await;
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    write(&device, 0, 4096, 1).await;
    *world.mood("a").lock() = Refuses::ToAnswerWrites;
    // It has a thread for itself until its disk answers.
    let first = begin(&device, writing(0, 512, 2));
    tokio::time::sleep(DEADLINE / 3).await;
    let second = begin(&device, writing(512, 512, 3));
    assert_eq!(kind_of(second.await.unwrap()), ErrorKind::PreviousFailure);
    until(&volume(&drive), State::Failed).await;
    assert!(!first.is_finished());
    *world.mood("a").lock() = Refuses::Nothing;
    assert_eq!(kind_of(first.await.unwrap()), ErrorKind::PreviousFailure, "it came too late");
    must_have_failed(&drive, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_retained_and_cannot_enter_a_journal_that_hangs_fails_the_volume() {
    let world = impatient();
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    *world.mood("a").lock() = Refuses::ToAnswerWrites;
    drive.pull("a").await.unwrap();
    must_have_failed(&drive, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_whose_journal_hangs_fails_the_volume() {
    let world = impatient();
    let drive = world.started().await;
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    write(&device, 0, 4096, 1).await;
    *world.mood("a").lock() = Refuses::ToAnswerSyncs;
    drive.insert("a", None, hotbay_drive::WhenOccupied::Refuse).await.unwrap_err();
    must_have_failed(&drive, &world).await;
    assert_eq!(world.disk("disk-a").open_handles(), 0);
}

/// What was to be saved may land at any later time, so nothing may be done that it would not be true of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_saved_in_time_fails_the_volume() {
    let world = impatient();
    world.cabinet.make("other", SIZE);
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    world.records.hang(true);
    drive.swap("a", "other").await.unwrap_err();
    // Not even for a moment: the record may name the other medium by now.
    let late = device.execute(writing(0, 4096, 2)).answer().await;
    assert_eq!(kind_of(late), ErrorKind::PreviousFailure);
    must_have_failed(&drive, &world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_no_journal_that_hangs() {
    let world = impatient();
    let drive = world.started().await;
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    write(&device, 0, 4096, 1).await;
    *world.mood("a").lock() = Refuses::ToAnswerSyncs;
    let why = drive.stop().await.unwrap_err().to_string();
    assert!(why.contains("has not been answered for 300ms"), "{why}");
    *world.mood("a").lock() = Refuses::Nothing;
}
