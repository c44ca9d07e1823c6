//! A replay of much, and among clients that write: syncs along the way, writers that are held back, the switch.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use hotbay_block::{Device, Error, Execution, Reply, Request};
use hotbay_drive::{Drive, Refusal, State, WhenOccupied};
use support::*;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::Instant;

const MIB: u64 = 1 << 20;

/// More than is written between two syncs along the way, less than twice that.
const MUCH_MIB: u64 = 40;

/// A volume that holds much, absent, with all of it in the journal.
async fn with_much() -> (World, Arc<Drive>, Arc<dyn Device>, Arc<Disk>) {
    let size = usize::try_from(MUCH_MIB * MIB).unwrap();
    let world = World::empty(1).with("a", size, |settings| {
        settings.journal_limit_bytes = 128 << 20;
    });
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    for place in 0..MUCH_MIB {
        write(&device, place * MIB, MIB, 1).await;
    }
    (world, drive, device, disk)
}

fn begin_insert(drive: &Arc<Drive>) -> JoinHandle<Result<(), Refusal>> {
    let drive = Arc::clone(drive);
    tokio::spawn(async move { drive.insert("a", None, WhenOccupied::Refuse).await })
}

#[tokio::test(start_paused = true)]
async fn the_medium_is_written_while_it_is_synced_along_the_way() {
    let (_world, drive, _device, disk) = with_much().await;
    let before = disk.changes();
    let held = disk.hold(Op::Flush);
    let inserting = begin_insert(&drive);
    held.until_stuck(1).await;
    while disk.changes() < before + MUCH_MIB {
        yield_now().await;
    }
    assert_eq!(volume(&drive).state(), State::Replaying);
    held.release();
    inserting.await.unwrap().unwrap();
    assert_filled(&disk.durable(), 1, "on the platter");
}

/// The first flush comes along the way, the second at the end of the pass: that one alone lets the journal go.
#[tokio::test(start_paused = true)]
async fn a_sync_that_fails_along_the_way_or_at_the_end_is_a_loss_and_loses_nothing() {
    for nth in [0, 1] {
        for fault in [Fault::Error, Fault::Gone] {
            let (_world, drive, device, disk) = with_much().await;
            disk.script(Op::Flush, nth, fault);
            drive.insert("a", None, WhenOccupied::Refuse).await.unwrap_err();
            assert_eq!(volume(&drive).state(), State::Absent, "{nth} {fault:?}");
            disk.lose_unsynced();
            assert_eq!(volume(&drive).status().journal.live_bytes, MUCH_MIB * MIB);
            assert_filled(&read(&device, 39 * MIB, MIB).await, 1, "in the journal still");
            disk.plug();
            insert(&drive, "a").await;
            assert_filled(&disk.durable(), 1, "on the platter");
            assert_eq!((disk.double_opens(), disk.flushes_after_failure()), (0, 0));
        }
    }
}

/// Promise 2: an eject that comes while a sync along the way is about to fail does not sync the same handle again.
#[tokio::test(start_paused = true)]
async fn an_eject_behind_a_sync_that_fails_along_the_way_is_a_loss() {
    let (_world, drive, _device, disk) = with_much().await;
    disk.script(Op::Flush, 0, Fault::Error);
    let held = disk.hold(Op::Flush);
    let inserting = begin_insert(&drive);
    held.until_stuck(1).await;
    let ejecting = {
        let drive = Arc::clone(&drive);
        tokio::spawn(async move { drive.eject("a").await })
    };
    let_others_run().await;
    held.release();
    // Either it meets the loss on its way, or it finds the volume absent.
    drop(ejecting.await.unwrap());
    inserting.await.unwrap().unwrap_err();
    assert_eq!((volume(&drive).state(), disk.flushes_after_failure()), (State::Absent, 0));
    disk.lose_unsynced();
    insert(&drive, "a").await;
    assert_filled(&disk.durable(), 1, "on the platter");
}

/// A change that is inside the journal's gate when that is closed for the switch: requests go to the medium only after
/// it is in the journal and has been brought over.
#[tokio::test(start_paused = true)]
async fn the_switch_waits_for_a_change_on_its_way_to_the_journal() {
    let world = World::one();
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    write(&device, 0, 512, 1).await;
    let held = disk.hold(Op::Flush);
    let inserting = begin_insert(&drive);
    held.until_stuck(1).await;
    let Execution::Later(late) = device.execute(writing(512, 512, 2)) else {
        panic!("a change waits for those that come with it");
    };
    held.release();
    let meets_the_closed_gate = until_a_flush_waits(&drive, &device).await;
    let_others_run().await;
    assert_eq!(volume(&drive).state(), State::Replaying, "one is on its way still");
    late.await.unwrap();
    meets_the_closed_gate.await.unwrap().unwrap();
    inserting.await.unwrap().unwrap();
    drive.eject("a").await.unwrap();
    assert_eq!(volume(&drive).status().journal.extents, 0, "nothing came after the switch");
    assert_filled(&disk.durable()[512..1024], 2, "the late one");
}

/// Flushes, which leaves nothing behind, until one finds the way to the journal closed.
async fn until_a_flush_waits(
    drive: &Drive,
    device: &Arc<dyn Device>,
) -> JoinHandle<Result<Reply, Error>> {
    loop {
        let flush = begin(device, Request::Flush);
        while !flush.is_finished() {
            if volume(drive).status().waiting_requests == 1 {
                return flush;
            }
            yield_now().await;
        }
        assert_eq!(volume(drive).state(), State::Replaying, "one is on its way still");
    }
}

/// Where each pass leaves more than the last one may bring, writers wait a little, from the fourth on.
#[tokio::test(start_paused = true)]
async fn writers_are_held_back_in_late_passes_and_not_before_or_after() {
    let world = World::empty(1).with("a", 4 << 20, |settings| {
        settings.journal_limit_bytes = 64 << 20;
    });
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    write(&device, 0, 2 * MIB, 1).await;
    let mut held = disk.hold(Op::Flush);
    let inserting = begin_insert(&drive);
    for pass in 0..7 {
        held.until_stuck(1).await;
        let before = Instant::now();
        write(&device, 0, 2 * MIB, pass).await;
        assert_eq!(before.elapsed().is_zero(), pass <= 3, "pass {pass}: {:?}", before.elapsed());
        held.release();
        held = disk.hold(Op::Flush);
    }
    drive.pull("a").await.unwrap();
    inserting.await.unwrap().unwrap_err();
    let before = Instant::now();
    write(&device, 0, 512, 9).await;
    assert!(before.elapsed().is_zero(), "the replay has ended");
    held.release();
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[..512], 9, "on the platter");
}
