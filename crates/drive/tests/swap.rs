//! A live copy to another medium, and another content put in place.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Device, ErrorKind};
use hotbay_drive::testing::reclaim_step_at_work;
use hotbay_drive::{Drive, EventKind, State};
use support::*;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

/// A volume with something on each page, and a disk with something else on it to swap to.
async fn with_target(world: &World) -> (Arc<Drive>, Arc<dyn Device>, Arc<Disk>, Arc<Disk>) {
    let drive = Arc::new(world.started().await);
    let device = device(&drive);
    for page in 0..12u8 {
        write(&device, u64::from(page) * 4096, 4096, page + 1).await;
    }
    let target = world.cabinet.make("other", SIZE);
    target.fill(0xEE);
    (drive, device, world.disk("disk-a"), target)
}

fn assert_has_all(bytes: &[u8], what: &str) {
    for page in 0..12usize {
        let fill = u8::try_from(page + 1).unwrap();
        assert_filled(&bytes[page * 4096..(page + 1) * 4096], fill, what);
    }
    assert_filled(&bytes[12 * 4096..SIZE], 0, what);
}

#[tokio::test(start_paused = true)]
async fn the_target_has_everything_and_the_source_is_let_go() {
    let world = World::one();
    let (drive, device, source, target) = with_target(&world).await;
    drive.swap("a", "other").await.unwrap();
    assert_eq!(volume(&drive).state(), State::Present);
    assert_eq!(volume(&drive).status().medium.as_deref(), Some("other"));
    assert_has_all(&target.durable(), "on the target's platter");
    let_others_run().await;
    assert_eq!(source.open_handles(), 0);
    source.fill(0xDD);
    assert_has_all(&read(&device, 0, SIZE as u64).await, "through the old handle");
    assert_eq!(world.records.of("a").unwrap().medium.as_deref(), Some("other"));
}

#[tokio::test(start_paused = true)]
async fn holes_are_not_read_and_what_was_there_on_the_target_is_gone() {
    let world = World::one();
    let (drive, _, source, target) = with_target(&world).await;
    source.tell_holes();
    let before = source.read_bytes();
    drive.swap("a", "other").await.unwrap();
    assert_eq!(source.read_bytes() - before, 12 * 4096);
    assert_has_all(&target.durable(), "on the target's platter");
}

#[tokio::test(start_paused = true)]
async fn what_clients_write_during_a_swap_is_on_the_target() {
    for pace in 1..40 {
        let world = World::one();
        let (drive, device, source, target) = with_target(&world).await;
        if pace % 2 == 0 {
            source.tell_holes();
        }
        source.set_pace(pace);
        target.set_pace(pace << 7 | 1);
        let swapping = begin_swap(&drive);
        for round in 0..96u64 {
            write(&device, round % 16 * 4096 + 512, 512, 100 + (round / 16) as u8).await;
        }
        swapping.await.unwrap().unwrap();
        source.fill(0xDD);
        for page in 0..16u64 {
            assert_filled(&read(&device, page * 4096 + 512, 512).await, 105, "written last");
        }
        assert_filled(&read(&device, 4096, 512).await, 2, "only copied");
        drive.eject("a").await.unwrap();
        for page in 0..16usize {
            let durable = target.durable();
            assert_filled(&durable[page * 4096 + 512..][..512], 105, "on the target's platter");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_anywhere_leaves_the_source_in_place() {
    let faults = [(Op::Change, 0), (Op::Flush, 0), (Op::Flush, 1)];
    for (op, nth) in faults {
        for fault in [Fault::Gone, Fault::Error] {
            let world = World::one();
            let (drive, device, source, target) = with_target(&world).await;
            target.script(op, nth, fault);
            drive.swap("a", "other").await.unwrap_err();
            assert_eq!(volume(&drive).state(), State::Present);
            assert_eq!(volume(&drive).status().medium.as_deref(), Some("disk-a"));
            assert!(has_event(&drive, EventKind::CopyFailed));
            write(&device, 0, 4096, 1).await;
            flush(&device).await;
            assert_has_all(&source.durable(), "on the source's platter");
            assert_has_all(&read(&device, 0, SIZE as u64).await, "through the volume");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_saved_leaves_the_source_in_place() {
    let world = World::one();
    let (drive, device, _source, _target) = with_target(&world).await;
    world.records.refuse(true);
    drive.swap("a", "other").await.unwrap_err();
    assert_eq!(volume(&drive).status().medium.as_deref(), Some("disk-a"));
    assert_has_all(&read(&device, 0, SIZE as u64).await, "through the volume");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_lost_during_the_copy_is_a_removal_like_any_other() {
    for (op, nth) in [(Op::Read, 0), (Op::Change, 0), (Op::Flush, 0)] {
        let world = World::one();
        let (drive, device, source, target) = with_target(&world).await;
        let held = target.hold(Op::Change);
        let swapping = begin_swap(&drive);
        if op == Op::Read {
            source.script(op, nth, Fault::Gone);
        } else {
            held.until_stuck(1).await;
            source.script(op, nth, Fault::Gone);
            write(&device, 0, 512, 1).await;
            flush(&device).await;
        }
        held.release();
        swapping.await.unwrap().unwrap_err();
        until(&volume(&drive), State::Absent).await;
        source.plug();
        insert(&drive, "a").await;
        assert_has_all(&source.durable(), "on the source's platter");
    }
}

/// After a sync that failed, what the source reads as may be old or new: nothing is to be copied from it.
#[tokio::test(start_paused = true)]
async fn a_sync_that_fails_while_the_copy_ends_is_a_loss_and_no_switch() {
    let world = World::one();
    let (drive, device, source, target) = with_target(&world).await;
    let target_is_held = target.hold(Op::Flush);
    let swapping = begin_swap(&drive);
    target_is_held.until_stuck(1).await;
    source.script(Op::Flush, 0, Fault::Error);
    let source_is_held = source.hold(Op::Flush);
    let flushing = begin(&device, hotbay_block::Request::Flush);
    source_is_held.until_stuck(1).await;
    // The copier closes the gate and waits for the sync, which then fails and takes the cache with it.
    target_is_held.release();
    let_others_run().await;
    source_is_held.release();
    source.lose_unsynced();
    flushing.await.unwrap().unwrap();
    swapping.await.unwrap().unwrap_err();
    until(&volume(&drive), State::Absent).await;
    source.lose_unsynced();
    insert(&drive, "a").await;
    assert_has_all(&source.durable(), "on the source's platter");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_keeps_neither_clients_nor_the_source() {
    let world = World::one();
    let (drive, device, source, target) = with_target(&world).await;
    let held = target.hold(Op::Change);
    let swapping = begin_swap(&drive);
    held.until_stuck(1).await;
    write(&device, 0, 4096, 1).await;
    flush(&device).await;
    drive.eject("a").await.unwrap();
    swapping.await.unwrap().unwrap_err();
    assert_eq!(source.open_handles(), 0);
    insert(&drive, "a").await;
    assert_eq!(target.open_handles(), 1, "as long as something may land on it");
    drive.swap("a", "other").await.unwrap_err();
    held.release();
    let_others_run().await;
    drive.swap("a", "other").await.unwrap();
    assert_has_all(&target.durable(), "on the target's platter");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_hangs_at_the_end_costs_no_client_an_error() {
    let world = World::one();
    let (drive, device, _source, target) = with_target(&world).await;
    let first = target.hold(Op::Flush);
    let swapping = begin_swap(&drive);
    first.until_stuck(1).await;
    write(&device, 0, 4096, 1).await;
    first.release();
    let held = target.hold(Op::Change);
    held.until_stuck(1).await;
    let late = begin(&device, writing(4096, 4096, 2));
    swapping.await.unwrap().unwrap_err();
    late.await.unwrap().unwrap();
    assert_eq!(volume(&drive).status().medium.as_deref(), Some("disk-a"));
    assert_has_all(&read(&device, 0, SIZE as u64).await, "through the volume");
}

/// Else a copy would come to no end; but whoever stays on the source must not pay for a swap that is over.
#[tokio::test(start_paused = true)]
async fn changes_are_held_back_near_the_end_and_not_after_a_swap_that_was_given_up() {
    let world = World::one();
    let drive = Arc::new(world.started().await);
    world.cabinet.make("large", 2 * SIZE);
    let target = world.cabinet.make("other", 2 * SIZE);
    drive.exchange("a", "large").await.unwrap();
    let device = device(&drive);
    let first = target.hold(Op::Flush);
    let swapping = begin_swap(&drive);
    first.until_stuck(1).await;
    assert!(wait_of_a_write(&device).await.is_zero(), "in the first pass");
    write(&device, 0, 2 * SIZE as u64, 1).await;
    first.release();
    let held = target.hold(Op::Flush);
    held.until_stuck(1).await;
    assert!(!wait_of_a_write(&device).await.is_zero(), "near the end");
    target.script(Op::Flush, 0, Fault::Error);
    held.release();
    swapping.await.unwrap().unwrap_err();
    assert!(wait_of_a_write(&device).await.is_zero(), "after the end");
}

/// By the clock of the test, which only moves where everybody waits for it.
async fn wait_of_a_write(device: &Arc<dyn Device>) -> Duration {
    let begin = Instant::now();
    write(device, 0, 4096, 1).await;
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_target_of_another_size_is_refused_and_not_touched() {
    let world = World::one();
    let (drive, _device, _source, _target) = with_target(&world).await;
    let large = world.cabinet.make("large", 2 * SIZE);
    large.fill(0xEE);
    drive.swap("a", "large").await.unwrap_err();
    assert_eq!(volume(&drive).state(), State::Present);
    assert_filled(&large.cached(), 0xEE, "not touched");
}

#[test]
fn a_kill_at_any_point_of_a_swap_leaves_one_whole_medium() {
    for point in 0..80u64 {
        let world = World::one();
        let process = Process::start(&world);
        process.run(async |drive| {
            until(&volume(&drive), State::Present).await;
            let device = device(&drive);
            for page in 0..12u8 {
                write(&device, u64::from(page) * 4096, 4096, page + 1).await;
            }
            world.cabinet.make("other", SIZE).fill(0xEE);
            world.disk("other").set_pace(point | 1);
            let _swapping = begin_swap(&drive);
            for _ in 0..point {
                yield_now().await;
            }
        });
        process.kill();
        let process = Process::start(&world);
        process.run(async |drive| {
            until(&volume(&drive), State::Present).await;
            let bytes = read(&device(&drive), 0, SIZE as u64).await;
            assert_has_all(&bytes, &format!("after a kill at {point}"));
        });
        process.kill();
    }
}

#[tokio::test(start_paused = true)]
async fn another_content_closes_the_sessions_and_may_have_another_size() {
    let world = World::one();
    let (drive, old, source, _target) = with_target(&world).await;
    let large = world.cabinet.make("large", 2 * SIZE);
    large.fill(0xEE);
    let exchanged = old.exchanged();
    drive.exchange("a", "large").await.unwrap();
    exchanged.await;
    assert_eq!(kind_of(old.execute(writing(0, 512, 1)).answer().await), ErrorKind::ShuttingDown);
    assert_filled(&large.cached(), 0xEE, "nothing of the earlier content");
    assert_has_all(&source.durable(), "on the platter of the earlier medium");

    let new = device(&drive);
    assert_eq!(new.info().size_bytes, 2 * SIZE as u64);
    assert_filled(&read(&new, 0, 512).await, 0xEE, "the other content");
    write(&new, 2 * SIZE as u64 - 512, 512, 3).await;
    drive.pull("a").await.unwrap();
    write(&new, 2 * SIZE as u64 - 1024, 512, 4).await;
    insert(&drive, "a").await;
    let end = &large.durable()[2 * SIZE - 1024..];
    assert_filled(&end[..512], 4, "at the new end, by way of the journal");
    assert_filled(&end[512..], 3, "at the new end");
}

#[test]
fn another_size_is_as_before_after_a_restart() {
    let world = World::one();
    let large = world.cabinet.make("large", 2 * SIZE);
    let process = Process::start(&world);
    process.run(async |drive| {
        until(&volume(&drive), State::Present).await;
        drive.exchange("a", "large").await.unwrap();
        drive.pull("a").await.unwrap();
        write(&device(&drive), 2 * SIZE as u64 - 512, 512, 4).await;
    });
    process.kill();
    let process = Process::start(&world);
    process.run(async |drive| {
        assert_eq!(volume(&drive).state(), State::Absent);
        assert_eq!(volume(&drive).content().1, 1, "clients of the earlier content are told apart");
        insert(&drive, "a").await;
        assert_filled(&large.durable()[2 * SIZE - 512..], 4, "at the new end");
    });
    process.kill();
}

#[tokio::test(start_paused = true)]
async fn another_content_is_refused_while_the_journal_has_something() {
    let world = World::one();
    let (drive, device, _source, target) = with_target(&world).await;
    drive.pull("a").await.unwrap();
    write(&device, 0, 512, 1).await;
    drive.exchange("a", "other").await.unwrap_err();
    assert_filled(&target.cached(), 0xEE, "not touched");
    write(&device, 512, 512, 1).await;
    insert(&drive, "a").await;
    drive.exchange("a", "other").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_is_refused_changes_nothing() {
    let world = World::one();
    let (drive, device, _source, _target) = with_target(&world).await;
    for state in [State::Present, State::Absent] {
        if state == State::Absent {
            drive.eject("a").await.unwrap();
        }
        drive.exchange("a", "no such disk").await.unwrap_err();
        assert_eq!(volume(&drive).state(), state);
        write(&device, 0, 512, 1).await;
        flush(&device).await;
        if state == State::Absent {
            insert(&drive, "a").await;
        }
    }
}

/// A step deletes files by name, and those of the other size's journal have the same names.
#[tokio::test(start_paused = true)]
async fn another_size_waits_for_a_step_of_reclaiming_to_end() {
    let world = World::one();
    let drive = Arc::new(world.started().await);
    let large = world.cabinet.make("large", 2 * SIZE);
    let held = volume(&drive);
    let step = reclaim_step_at_work(&held).await;
    let mut exchanging = {
        let drive = Arc::clone(&drive);
        tokio::spawn(async move { drive.exchange("a", "large").await })
    };
    let early = timeout(Duration::from_secs(1), &mut exchanging).await;
    assert!(early.is_err(), "it waits");
    assert_eq!(world.records.of("a").unwrap().size_bytes, SIZE as u64);
    drop(step);
    exchanging.await.unwrap().unwrap();
    assert_eq!(device(&drive).info().size_bytes, large.size_bytes());
}

/// The journal of the other size must not take the place of the present one before the record names the other medium.
#[test]
fn an_exchange_whose_record_cannot_be_saved_leaves_a_journal_that_works() {
    let world = World::one();
    world.cabinet.make("large", 2 * SIZE);
    let process = Process::start(&world);
    process.run(async |drive| {
        until(&volume(&drive), State::Present).await;
        let device = device(&drive);
        world.records.refuse(true);
        drive.exchange("a", "large").await.unwrap_err();
        world.records.refuse(false);
        write(&device, 0, 512, 1).await;
        drive.pull("a").await.unwrap();
        write(&device, 512, 512, 2).await;
        flush(&device).await;
        world.disk("disk-a").lose_unsynced();
    });
    process.kill();
    let process = Process::start(&world);
    process.run(async |drive| {
        insert(&drive, "a").await;
        let durable = world.disk("disk-a").durable();
        assert_filled(&durable[..512], 1, "on the platter");
        assert_filled(&durable[512..1024], 2, "on the platter");
    });
    process.kill();
}
