//! A medium going, politely or not: what was acknowledged is there afterwards.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use hotbay_block::{ErrorKind, Request};
use hotbay_drive::{AutoInsert, EventKind, State};
use support::*;

#[tokio::test(start_paused = true)]
async fn acknowledged_writes_survive_a_pull_that_loses_the_cache() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    device.execute(zeroing(1024, 1024)).answer().await.unwrap();

    disk.yank();
    drive.pull("a").await.unwrap();

    assert_filled(&disk.durable(), 0, "nothing was synced");
    assert_filled(&read(&device, 0, 1024).await, 1, "what was written");
    assert_filled(&read(&device, 1024, 1024).await, 0, "what was zeroed");

    disk.plug();
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[..1024], 1, "on the platter");
    assert_filled(&disk.durable()[2048..4096], 1, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn the_write_that_finds_the_loss_is_carried_out_elsewhere() {
    for fault in [Fault::Gone, Fault::GoneTorn] {
        let world = World::one();
        let drive = world.started().await;
        let device = device(&drive);
        write(&device, 0, 4096, 1).await;
        world.disk("disk-a").script(Op::Change, 0, fault);
        write(&device, 2048, 4096, 2).await;
        assert_eq!(volume(&drive).state(), State::Absent);
        assert_filled(&read(&device, 0, 2048).await, 1, "the write before");
        assert_filled(&read(&device, 2048, 4096).await, 2, "the write that failed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_without_any_io_is_noticed() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    world.disk("disk-a").yank();
    until(&volume(&drive), State::Absent).await;
    assert_filled(&read(&device, 0, 512).await, 1, "what was written");
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_is_a_loss_and_the_journal_answers_the_flush() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    disk.script(Op::Flush, 0, Fault::Error);
    flush(&device).await;
    assert_eq!(volume(&drive).state(), State::Absent);
    assert_eq!(volume(&drive).status().journal.live_bytes, 4096);
    assert_eq!(disk.flushes_after_failure(), 0);
    assert_filled(&disk.durable(), 0, "the medium that lost it");

    disk.lose_unsynced();
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[..4096], 1, "on the platter");
}

/// Whoever asks may go at any moment, a library's user by dropping the future. From then on nobody else has what was retained.
#[tokio::test(start_paused = true)]
async fn a_pull_or_an_eject_that_nobody_waits_for_is_carried_out() {
    for (moments, ejects) in (0..40).flat_map(|moments| [(moments, false), (moments, true)]) {
        let world = World::one();
        let (drive, disk) = (world.started().await, world.disk("disk-a"));
        let device = device(&drive);
        write(&device, 0, 4096, 1).await;
        let leaving = async {
            match ejects {
                false => drive.pull("a").await,
                true => drive.eject("a").await,
            }
        };
        let a_moment = async {
            for _ in 0..moments {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            left = leaving => left.unwrap(),
            () = a_moment => {}
        }
        // It may not have begun.
        drive.pull("a").await.ok();
        until(&volume(&drive), State::Absent).await;
        disk.lose_unsynced();
        insert(&drive, "a").await;
        assert_filled(&disk.durable()[..4096], 1, &format!("after {moments}, {ejects}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_after_a_failed_sync_fails_where_the_journal_cannot_be_synced() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    world.disk("disk-a").script(Op::Flush, 0, Fault::Error);
    *world.mood("a").lock() = Refuses::Syncs;
    assert_eq!(kind_of(device.execute(Request::Flush).answer().await), ErrorKind::PreviousFailure);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_behind_a_failed_sync_do_not_try_the_handle_again() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    disk.script(Op::Flush, 0, Fault::Error);
    let held = disk.hold(Op::Flush);
    let flushes: Vec<_> = (0..5).map(|_| begin(&device, Request::Flush)).collect();
    let stable = begin(&device, writing_through(8192, 512, 3));
    held.until_stuck(1).await;
    held.release();
    for flush in flushes {
        flush.await.unwrap().unwrap();
    }
    stable.await.unwrap().unwrap();
    assert_eq!(disk.flushes_after_failure(), 0);
    assert_eq!(volume(&drive).state(), State::Absent);
    disk.lose_unsynced();
    assert_filled(&read(&device, 0, 4096).await, 1, "what the failed sync should have covered");
    assert_filled(&read(&device, 8192, 512).await, 3, "the write that waited for a sync");
}

#[tokio::test(start_paused = true)]
async fn a_medium_whose_sync_failed_is_opened_again_and_gets_what_it_lost() {
    let world = World::one_with(|settings| settings.auto_insert = AutoInsert::WhenItReturns);
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    disk.script(Op::Flush, 0, Fault::Error);
    flush(&device).await;
    until(&volume(&drive), State::Present).await;
    assert_filled(&disk.durable()[..4096], 1, "on the platter");
    assert_eq!(disk.flushes_after_failure(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_loss_during_a_flush_leaves_the_flush_to_the_journal() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 1024, 1).await;
    disk.script(Op::Flush, 0, Fault::GoneTorn);
    flush(&device).await;
    assert_filled(&disk.durable()[..512], 1, "the half that was synced");
    assert_filled(&disk.durable()[512..1024], 0, "the half that was not");
    assert_filled(&read(&device, 0, 1024).await, 1, "what was flushed");
    assert!(volume(&drive).status().journal.live_bytes >= 512);
}

#[tokio::test(start_paused = true)]
async fn after_an_eject_the_medium_has_everything_and_nobody_has_it_open() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    drive.eject("a").await.unwrap();
    assert_filled(&disk.durable()[..4096], 1, "on the platter");
    assert_eq!(disk.open_handles(), 0);
    assert!(has_event(&drive, EventKind::Ejected));
    assert_eq!(volume(&drive).status().journal.live_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn an_eject_whose_sync_fails_is_a_loss() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    disk.script(Op::Flush, 0, Fault::Error);
    drive.eject("a").await.unwrap_err();
    assert_eq!(volume(&drive).state(), State::Absent);
    assert_filled(&read(&device, 0, 4096).await, 1, "what was written");
}

/// Promise 4, with the write that hangs answered at once and landing on the medium much later.
#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_on_a_pulled_medium_is_not_lost_and_lands_on_nothing_newer() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    let held = disk.hold(Op::Change);
    let hung = begin(&device, writing(0, 4096, 7));
    held.until_stuck(1).await;
    drive.pull("a").await.unwrap();
    hung.await.unwrap().unwrap();
    assert_filled(&read(&device, 0, 4096).await, 7, "the write that hung");
    write(&device, 0, 4096, 8).await;

    let refused = drive.insert("a", None, hotbay_drive::WhenOccupied::Refuse).await.unwrap_err();
    assert!(refused.message().contains("still hangs"), "{refused}");
    assert_eq!(volume(&drive).state(), State::Absent);

    held.release();
    let_others_run().await;
    assert_filled(&disk.cached()[..4096], 7, "the write landed");
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[..4096], 8, "on the platter");
    assert_eq!(disk.double_opens(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_insert_waits_for_a_write_that_hangs() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    let held = disk.hold(Op::Change);
    let hung = begin(&device, writing(0, 4096, 7));
    held.until_stuck(1).await;
    drive.pull("a").await.unwrap();
    hung.await.unwrap().unwrap();
    write(&device, 0, 4096, 8).await;
    let release = async {
        let_others_run().await;
        assert_eq!(volume(&drive).state(), State::Absent);
        held.release();
    };
    tokio::join!(insert(&drive, "a"), release);
    assert_filled(&disk.durable()[..4096], 8, "on the platter");
}

/// The client's own end of a session must not make a write forgotten that still hangs.
#[tokio::test(start_paused = true)]
async fn a_write_whose_client_is_gone_still_keeps_the_medium() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    let held = disk.hold(Op::Change);
    let hung = begin(&device, writing(0, 4096, 7));
    held.until_stuck(1).await;
    hung.abort();
    let_others_run().await;
    drive.pull("a").await.unwrap();
    write(&device, 0, 4096, 8).await;
    drive.insert("a", None, hotbay_drive::WhenOccupied::Refuse).await.unwrap_err();
    held.release();
    let_others_run().await;
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[..4096], 8, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn an_eject_that_cannot_drain_is_refused_and_nobody_notices() {
    let world = World::one();
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    let device = device(&drive);
    let held = disk.hold(Op::Change);
    let hung = begin(&device, writing(0, 512, 1));
    held.until_stuck(1).await;
    let ejecting = tokio::spawn({
        let drive = Arc::clone(&drive);
        async move { drive.eject("a").await }
    });
    let_others_run().await;
    let late = begin(&device, writing(512, 512, 2));
    let refused = ejecting.await.unwrap();
    assert!(refused.unwrap_err().next_step().unwrap().contains("hotbay pull a"));
    assert_eq!(volume(&drive).state(), State::Present);
    held.release();
    hung.await.unwrap().unwrap();
    late.await.unwrap().unwrap();
    assert_filled(&read(&device, 0, 512).await, 1, "the write that hung");
    assert_filled(&read(&device, 512, 512).await, 2, "the write that met the eject");
}

#[tokio::test(start_paused = true)]
async fn clients_go_on_while_an_eject_syncs() {
    let world = World::one();
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    let held = disk.hold(Op::Flush);
    let ejecting = tokio::spawn({
        let drive = Arc::clone(&drive);
        async move { drive.eject("a").await }
    });
    held.until_stuck(1).await;
    let before = tokio::time::Instant::now();
    write(&device, 512, 512, 2).await;
    assert!(before.elapsed().is_zero(), "it did not wait for the sync");
    held.release();
    ejecting.await.unwrap().unwrap();
    assert_filled(&disk.durable()[..512], 1, "on the platter");
    assert_filled(&disk.durable()[512..1024], 2, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn an_eject_whose_sync_hangs_ends_as_a_loss() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    let held = disk.hold(Op::Flush);
    drive.eject("a").await.unwrap_err();
    assert_eq!(volume(&drive).state(), State::Absent);
    assert_filled(&read(&device, 0, 512).await, 1, "what was written");
    held.release();
    let_others_run().await;
    assert_eq!(disk.open_handles(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pull_does_not_wait_for_a_sync_that_hangs() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    let held = disk.hold(Op::Flush);
    let flushes: Vec<_> = (0..3).map(|_| begin(&device, Request::Flush)).collect();
    held.until_stuck(1).await;
    let before = tokio::time::Instant::now();
    drive.pull("a").await.unwrap();
    for flush in flushes {
        flush.await.unwrap().unwrap();
    }
    assert!(before.elapsed().is_zero(), "nobody waited for the clock");
    assert_filled(&read(&device, 0, 512).await, 1, "what was written");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_of_a_medium_that_was_pulled() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    disk.script(Op::Flush, 0, Fault::Error);
    let held = disk.hold_answers(Op::Flush);
    let flushes: Vec<_> = (0..3).map(|_| begin(&device, Request::Flush)).collect();
    held.until_stuck(1).await;
    drive.pull("a").await.unwrap();
    for flush in flushes {
        flush.await.unwrap().unwrap();
    }
    assert_eq!(disk.flushes_after_failure(), 0);
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_of_retained_writes_the_volume_syncs_by_itself() {
    let world = World::one_with(|settings| settings.retained_limit_bytes = 8 << 10);
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    for number in 0..60 {
        write(&device, number * 1024, 1024, 1).await;
        assert!(volume(&drive).status().retained_bytes <= 8 << 10);
    }
    let_others_run().await;
    assert_filled(&disk.durable()[..40 << 10], 1, "nobody asked for it, but it is synced");
    disk.yank();
    drive.pull("a").await.unwrap();
    disk.plug();
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[..60 << 10], 1, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn a_write_larger_than_the_bound_is_synced_before_it_is_answered() {
    let world = World::one_with(|settings| settings.retained_limit_bytes = 8 << 10);
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 32 << 10, 1).await;
    assert_filled(&disk.durable()[..32 << 10], 1, "on the platter");
    assert_eq!(volume(&drive).status().retained_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stable_write_is_on_the_platter_when_it_is_answered() {
    let world = World::one();
    let drive = world.started().await;
    device(&drive).execute(writing_through(512, 512, 1)).answer().await.unwrap();
    assert_filled(&world.disk("disk-a").durable()[512..1024], 1, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn a_flush_covers_what_other_sessions_wrote() {
    let world = World::one();
    let drive = world.started().await;
    let (one, other) = (device(&drive), device(&drive));
    write(&one, 0, 512, 1).await;
    flush(&other).await;
    assert_filled(&world.disk("disk-a").durable()[..512], 1, "on the platter");
    assert_eq!(volume(&drive).status().retained_bytes, 0);
}

/// The medium and what is retained must agree on which of two overlapping writes came last.
#[tokio::test(start_paused = true)]
async fn what_was_read_once_is_read_after_a_loss_too() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    let held = disk.hold_answers(Op::Change);
    let first = begin(&device, writing(0, 1024, 1));
    held.until_stuck(1).await;
    held.let_new_ones_pass();
    let second = begin(&device, writing(512, 1024, 2));
    let_others_run().await;
    held.release();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    let before = read(&device, 0, 2048).await;
    disk.yank();
    drive.pull("a").await.unwrap();
    assert_eq!(read(&device, 0, 1536).await, before[..1536]);
}

/// A bad sector is the client's to know of; the medium stays.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_medium_that_is_still_there_is_no_loss() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    disk.script(Op::Read, 0, Fault::Error);
    assert_eq!(try_read(&device, 0, 512).await.unwrap_err().kind(), ErrorKind::Medium);
    disk.script(Op::Change, 0, Fault::Error);
    assert_eq!(kind_of(device.execute(writing(0, 512, 1)).answer().await), ErrorKind::Medium);
    assert_eq!(volume(&drive).state(), State::Present);
}
