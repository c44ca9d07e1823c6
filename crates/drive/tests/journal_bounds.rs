//! The journal at its limit, and broken.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Device, ErrorKind, Request};
use hotbay_drive::testing::reclaim_step_at_work;
use hotbay_drive::{EventKind, JournalFull, State, VolumeSettings, WaitingForRoom, WhatIsFull};
use support::*;

const MIB: u64 = 1 << 20;

/// A volume that is larger than its journal may become.
fn larger_than_its_journal(policy: JournalFull) -> World {
    World::empty(1).with("a", 32 << 20, |settings: &mut VolumeSettings| {
        settings.journal_full = policy;
        settings.absent_wait = Duration::from_secs(10);
    })
}

/// Writes until there is no room any more; gives how many MiB were taken.
async fn fill(device: &Arc<dyn Device>) -> (u64, ErrorKind) {
    for mib in 0..32 {
        for part in 0..4 {
            let request = writing(mib * MIB + part * (MIB / 4), MIB / 4, 1);
            if let Err(error) = device.execute(request).answer().await {
                return (mib, error.kind());
            }
        }
    }
    panic!("the journal took more than its limit")
}

#[tokio::test(start_paused = true)]
async fn a_full_journal_refuses_changes_at_once_where_that_is_the_policy() {
    let world = larger_than_its_journal(JournalFull::Error);
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    let before = tokio::time::Instant::now();
    let (mib, kind) = fill(&device).await;
    assert_eq!(kind, ErrorKind::NoSpace);
    assert!(before.elapsed().is_zero());
    assert!(mib >= 8, "only {mib} MiB of a limit of 16 MiB were of use");
    let journal = volume(&drive).status().journal;
    assert!(journal.disk_bytes <= journal.limit_bytes, "{journal:?}");
    assert!(has_event(&drive, EventKind::JournalWatermark));
    assert!(has_event(&drive, EventKind::JournalFull));
    assert_filled(&read(&device, 0, MIB).await, 1, "what was taken is there");
    flush(&device).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_journal_lets_changes_wait_and_a_replay_makes_room() {
    let world = larger_than_its_journal(JournalFull::Wait);
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    let before = tokio::time::Instant::now();
    let (_, kind) = fill(&device).await;
    assert_eq!(kind, ErrorKind::NoSpace);
    assert_eq!(before.elapsed().as_secs(), 10);

    assert_eq!(volume(&drive).status().waiting_for_room, None, "whoever waited has given up");
    let late = begin(&device, writing(30 * MIB, MIB, 2));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!late.is_finished());
    let waiting = volume(&drive).status().waiting_for_room.unwrap();
    let expected = (WhatIsFull::Journal, 1, Duration::from_secs(3), 0);
    let WaitingForRoom { full, requests, age, only_in_memory_bytes } = waiting;
    assert_eq!((full, requests, age, only_in_memory_bytes), expected);
    insert(&drive, "a").await;
    late.await.unwrap().unwrap();
    drive.eject("a").await.unwrap();
    let durable = world.disk("disk-a").durable();
    assert_filled(&durable[30 << 20..31 << 20], 2, "the one that waited");
    assert_filled(&durable[..8 << 20], 1, "those before");
}

#[tokio::test(start_paused = true)]
async fn overwriting_never_fills_the_journal() {
    for policy in [JournalFull::Wait, JournalFull::Error] {
        let world = larger_than_its_journal(policy);
        let drive = world.started().await;
        let device = device(&drive);
        drive.eject("a").await.unwrap();
        for round in 0..100u8 {
            write(&device, u64::from(round % 4) * MIB, MIB, round).await;
        }
        let journal = volume(&drive).status().journal;
        assert!(journal.disk_bytes <= journal.limit_bytes, "{journal:?}");
        assert_eq!(journal.live_bytes, 4 * MIB);
        for place in 0..4u8 {
            let bytes = read(&device, u64::from(place) * MIB, MIB).await;
            assert_filled(&bytes, 96 + place, "written last");
        }
    }
}

/// The bound on retained writes is such that the journal has room for them, also for the smallest.
#[tokio::test(start_paused = true)]
async fn a_loss_finds_room_for_the_smallest_retained_writes() {
    let world = World::empty(1).with("a", 4 << 20, |_| {});
    let drive = world.started().await;
    let (device, disk) = (device(&drive), world.disk("disk-a"));
    let held = disk.hold(Op::Flush);
    for place in 0..15_000 {
        write(&device, place * 3, 1, 1).await;
    }
    disk.yank();
    drive.pull("a").await.unwrap();
    drop(held);
    assert_filled(&read(&device, 14_999 * 3, 1).await, 1, "the last one");
    assert_filled(&read(&device, 0, 1).await, 1, "the first one");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_synced_fails_the_volume() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    write(&device, 0, 512, 1).await;
    *world.mood("a").lock() = Refuses::Syncs;
    assert_eq!(kind_of(device.execute(Request::Flush).answer().await), ErrorKind::PreviousFailure);
    *world.mood("a").lock() = Refuses::Nothing;
    until(&volume(&drive), State::Failed).await;
    for request in [Request::Flush, writing(0, 512, 1), Request::read(extent(0, 512))] {
        assert_eq!(kind_of(device.execute(request).answer().await), ErrorKind::PreviousFailure);
    }
    drive.insert("a", None, hotbay_drive::WhenOccupied::Refuse).await.unwrap_err();
    drive.stop().await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_fails_the_volume() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    *world.mood("a").lock() = Refuses::Writes;
    let answer = device.execute(writing(0, 512, 1)).answer().await;
    assert_eq!(kind_of(answer), ErrorKind::PreviousFailure);
    until(&volume(&drive), State::Failed).await;
}

/// What was acknowledged is only in memory then, and nothing may be acknowledged after it.
#[tokio::test(start_paused = true)]
async fn a_loss_that_finds_the_journal_broken_fails_the_volume() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    *world.mood("a").lock() = Refuses::Writes;
    world.disk("disk-a").script(Op::Change, 0, Fault::Gone);
    let answer = device.execute(writing(512, 512, 2)).answer().await;
    assert_eq!(kind_of(answer), ErrorKind::PreviousFailure);
    assert_eq!(volume(&drive).state(), State::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_replay_whose_journal_breaks_fails_the_volume() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    drive.eject("a").await.unwrap();
    write(&device(&drive), 0, 512, 1).await;
    *world.mood("a").lock() = Refuses::Syncs;
    drive.insert("a", None, hotbay_drive::WhenOccupied::Refuse).await.unwrap_err();
    assert_eq!(volume(&drive).state(), State::Failed);
    let_others_run().await;
    assert_eq!(disk.open_handles(), 0);
}

/// A full disk under the journal is not a broken journal.
#[tokio::test(start_paused = true)]
async fn a_full_disk_under_the_journal_is_waited_out() {
    let world = larger_than_its_journal(JournalFull::Wait);
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    *world.mood("a").lock() = Refuses::NewFiles;
    let (mib, kind) = fill(&device).await;
    assert_eq!((kind, volume(&drive).state()), (ErrorKind::NoSpace, State::Absent));
    let waiting = begin(&device, writing(mib * MIB, MIB, 2));
    let_others_run().await;
    *world.mood("a").lock() = Refuses::Nothing;
    // Nobody tells that there is room again.
    waiting.await.unwrap().unwrap();
    insert(&drive, "a").await;
    assert_filled(&read(&device, mib * MIB, MIB).await, 2, "written in the end");
}

/// Space is gained by copying, for which a full disk has no room either. That is tried again now and then, and not for as
/// long as somebody waits: a clock that stands still while anything is done would never show the end of the wait.
#[tokio::test(start_paused = true)]
async fn space_that_a_full_disk_lets_nobody_gain_is_waited_for_at_rest() {
    let world = larger_than_its_journal(JournalFull::Wait);
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    // Of each MiB three quarters are there twice, so that there is much to gain.
    let mut mib = 0;
    let usage = || volume(&drive).status().journal;
    while usage().disk_bytes + 2 * MIB < usage().limit_bytes {
        write(&device, mib * MIB, MIB, 1).await;
        write(&device, mib * MIB, MIB / 4 * 3, 2).await;
        mib += 1;
    }
    *world.mood("a").lock() = Refuses::NewFiles;
    let before = tokio::time::Instant::now();
    let refused = loop {
        match device.execute(writing(mib * MIB, MIB, 3)).answer().await {
            Ok(_) => mib += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused.kind(), before.elapsed().as_secs()), (ErrorKind::NoSpace, 10));
    let waiting = begin(&device, writing(mib * MIB, MIB, 3));
    let_others_run().await;
    *world.mood("a").lock() = Refuses::Nothing;
    waiting.await.unwrap().unwrap();
    assert_filled(&read(&device, mib * MIB, MIB).await, 3, "written in the end");
    assert_filled(&read(&device, 0, MIB / 4 * 3).await, 2, "as before");
}

/// A step deletes files by name: whoever closes a journal, or puts another one in its place, waits for it and keeps the next one
/// away.
#[tokio::test(start_paused = true)]
async fn a_step_of_reclaiming_and_a_stop_wait_for_the_step_at_work() {
    let world = World::one();
    let drive = Arc::new(world.started().await);
    let (device, held) = (device(&drive), volume(&drive));
    let usage = || held.status().journal;
    drive.pull("a").await.unwrap();
    let step = reclaim_step_at_work(&held).await;
    while usage().disk_bytes + 3 * MIB < usage().limit_bytes {
        write(&device, 0, SIZE as u64, 1).await;
    }
    let before = usage().disk_bytes;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(usage().disk_bytes, before, "there is much to gain, and nobody does");
    drop(step);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(usage().disk_bytes < before / 2);

    let step = reclaim_step_at_work(&held).await;
    let mut stopping = {
        let drive = Arc::clone(&drive);
        tokio::spawn(async move { drive.stop().await })
    };
    tokio::time::timeout(Duration::from_secs(1), &mut stopping).await.expect_err("it waits");
    drop(step);
    stopping.await.unwrap().unwrap();
}
