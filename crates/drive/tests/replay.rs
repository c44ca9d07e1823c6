//! The medium comes back: it gets what the journal has, whatever comes in between.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use hotbay_block::Device;
use hotbay_drive::{Drive, Refusal, State, WhenOccupied};
use support::*;
use tokio::task::{JoinHandle, yield_now};

/// Six extents in the journal, apart from each other so that each is a write of its own, filled with 1 to 6.
async fn fill_the_journal(device: &Arc<dyn Device>) {
    for number in 0..6u8 {
        write(device, u64::from(number) * 8192, 4096, number + 1).await;
    }
}

fn assert_has_all(bytes: &[u8], what: &str) {
    assert!(bytes.len() >= 48 << 10);
    for number in 0..6u8 {
        let start = usize::from(number) * 8192;
        assert_filled(&bytes[start..start + 4096], number + 1, what);
        assert_filled(&bytes[start + 4096..start + 8192], 0, what);
    }
}

/// A drive whose volume is absent and has six extents in its journal.
async fn absent(world: &World) -> (Arc<Drive>, Arc<dyn Device>, Arc<Disk>) {
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    fill_the_journal(&device).await;
    (drive, device, disk)
}

type Inserting = JoinHandle<Result<(), Refusal>>;

fn begin_insert(drive: &Arc<Drive>) -> Inserting {
    let drive = Arc::clone(drive);
    tokio::spawn(async move { drive.insert("a", None, WhenOccupied::Refuse).await })
}

#[tokio::test(start_paused = true)]
async fn a_loss_at_any_write_or_flush_of_a_replay_loses_nothing() {
    let faults = (0..6).map(|nth| (Op::Change, nth)).chain([(Op::Flush, 0)]);
    for (op, nth) in faults {
        for fault in [Fault::Gone, Fault::GoneTorn, Fault::Error] {
            let world = World::one();
            let (drive, device, disk) = absent(&world).await;
            disk.script(op, nth, fault);
            drive.insert("a", None, WhenOccupied::Refuse).await.unwrap_err();
            assert_eq!(volume(&drive).state(), State::Absent, "{op:?} {nth} {fault:?}");
            disk.lose_unsynced();
            for number in 0..6u8 {
                let bytes = read(&device, u64::from(number) * 8192, 4096).await;
                assert_filled(&bytes, number + 1, "in the journal still");
            }
            disk.plug();
            insert(&drive, "a").await;
            assert_has_all(&disk.durable(), "on the platter");
            assert_eq!((disk.double_opens(), disk.flushes_after_failure()), (0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pull_during_a_replay_leaves_everything_in_the_journal() {
    for op in [Op::Change, Op::Flush] {
        let world = World::one();
        let (drive, device, disk) = absent(&world).await;
        let held = disk.hold(op);
        let inserting = begin_insert(&drive);
        held.until_stuck(1).await;
        assert_eq!(volume(&drive).state(), State::Replaying);
        disk.yank();
        drive.pull("a").await.unwrap();
        inserting.await.unwrap().unwrap_err();
        assert_filled(&read(&device, 0, 4096).await, 1, "in the journal still");
        held.release();
        let_others_run().await;
        disk.plug();
        insert(&drive, "a").await;
        assert_has_all(&disk.durable(), "on the platter");
    }
}

#[tokio::test(start_paused = true)]
async fn an_eject_during_a_replay_lets_the_medium_go() {
    let world = World::one();
    let (drive, _device, disk) = absent(&world).await;
    let held = disk.hold(Op::Change);
    let inserting = begin_insert(&drive);
    held.until_stuck(1).await;
    let ((), ejected) = tokio::join!(
        async {
            let_others_run().await;
            held.release();
        },
        drive.eject("a")
    );
    ejected.unwrap();
    inserting.await.unwrap().unwrap_err();
    assert_eq!((volume(&drive).state(), disk.open_handles()), (State::Absent, 0));
    disk.lose_unsynced();
    insert(&drive, "a").await;
    assert_has_all(&disk.durable(), "on the platter");
}

#[tokio::test(start_paused = true)]
async fn an_eject_that_cannot_drain_does_not_end_the_replay() {
    let world = World::one();
    let (drive, _device, disk) = absent(&world).await;
    let held = disk.hold(Op::Change);
    let inserting = begin_insert(&drive);
    held.until_stuck(1).await;
    drive.eject("a").await.unwrap_err();
    held.release();
    inserting.await.unwrap().unwrap();
    assert_eq!(volume(&drive).state(), State::Present);
    assert_has_all(&disk.durable(), "on the platter");
}

#[test]
fn a_kill_at_any_point_of_a_replay_loses_nothing() {
    for point in 0..60 {
        let world = World::one();
        world.disk("disk-a").set_pace(point | 1);
        let process = Process::start(&world);
        process.run(async |drive| {
            until(&volume(&drive), State::Present).await;
            drive.pull("a").await.unwrap();
            fill_the_journal(&device(&drive)).await;
            let _inserting = begin_insert(&drive);
            for _ in 0..point {
                yield_now().await;
            }
        });
        process.kill();
        let process = Process::start(&world);
        process.run(async |drive| {
            if volume(&drive).state() == State::Absent {
                insert(&drive, "a").await;
            }
            until(&volume(&drive), State::Present).await;
            assert_has_all(&read(&device(&drive), 0, 48 << 10).await, "after the kill");
        });
        assert_has_all(&world.disk("disk-a").durable(), "on the platter");
        process.kill();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_written_during_a_replay_wins() {
    for op in [Op::Change, Op::Flush] {
        let world = World::one();
        let (drive, device, disk) = absent(&world).await;
        let held = disk.hold(op);
        let inserting = begin_insert(&drive);
        held.until_stuck(1).await;
        write(&device, 2048, 4096, 9).await;
        device.execute(zeroing(8192, 1024)).answer().await.unwrap();
        assert_filled(&read(&device, 2048, 4096).await, 9, "while it is replayed");
        held.release();
        inserting.await.unwrap().unwrap();
        assert_filled(&read(&device, 2048, 4096).await, 9, "from the medium");
        let durable = disk.durable();
        assert_filled(&durable[..2048], 1, "on the platter");
        assert_filled(&durable[2048..6144], 9, "on the platter");
        assert_filled(&durable[8192..9216], 0, "on the platter");
        assert_filled(&durable[9216..12288], 2, "on the platter");
    }
}

/// Holds a replay in its last pass, when changes wait: it has to bring one more write, which hangs.
async fn in_the_last_pass(
    world: &World,
) -> (Arc<Drive>, Arc<dyn Device>, Arc<Disk>, disk::Held, Inserting) {
    let (drive, device, disk) = absent(world).await;
    let first = disk.hold(Op::Flush);
    let inserting = begin_insert(&drive);
    first.until_stuck(1).await;
    write(&device, 60 << 10, 512, 9).await;
    first.release();
    let held = disk.hold(Op::Change);
    held.until_stuck(1).await;
    (drive, device, disk, held, inserting)
}

#[tokio::test(start_paused = true)]
async fn a_write_that_meets_the_switch_is_there_after_it() {
    let world = World::one();
    let (drive, device, disk, held, inserting) = in_the_last_pass(&world).await;
    let late = begin(&device, writing(60 << 10, 256, 10));
    let_others_run().await;
    assert!(!late.is_finished(), "it waits for the switch");
    assert_eq!(volume(&drive).status().waiting_requests, 1);
    held.release();
    late.await.unwrap().unwrap();
    inserting.await.unwrap().unwrap();
    drive.eject("a").await.unwrap();
    assert_has_all(&disk.durable()[..48 << 10], "on the platter");
    assert_filled(&disk.durable()[60 << 10..(60 << 10) + 256], 10, "the late one");
    assert_filled(&disk.durable()[(60 << 10) + 256..(60 << 10) + 512], 9, "the one before");
}

/// Changes wait for the last pass for a bounded time; then the journal takes them and the pass is one like any other.
#[tokio::test(start_paused = true)]
async fn a_medium_that_hangs_in_the_last_pass_costs_no_client_an_error() {
    let world = World::one();
    let (drive, device, disk, held, inserting) = in_the_last_pass(&world).await;
    write(&device, 61 << 10, 512, 10).await;
    flush(&device).await;
    assert_eq!(volume(&drive).state(), State::Replaying);
    held.release();
    inserting.await.unwrap().unwrap();
    assert_filled(&disk.durable()[61 << 10..(61 << 10) + 512], 10, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_hangs_in_the_last_pass_can_be_pulled() {
    let world = World::one();
    let (drive, device, disk, held, inserting) = in_the_last_pass(&world).await;
    let late = begin(&device, writing(61 << 10, 512, 10));
    let_others_run().await;
    let before = tokio::time::Instant::now();
    drive.pull("a").await.unwrap();
    late.await.unwrap().unwrap();
    assert!(before.elapsed().is_zero(), "nobody waited for the clock");
    inserting.await.unwrap().unwrap_err();
    held.release();
    let_others_run().await;
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[61 << 10..(61 << 10) + 512], 10, "on the platter");
    assert_filled(&disk.durable()[60 << 10..(60 << 10) + 512], 9, "on the platter");
}

/// Promise 2 where an eject waits for the replay whose sync fails: it must not sync the same handle again.
#[tokio::test(start_paused = true)]
async fn an_eject_behind_a_sync_that_failed_in_the_last_pass_is_a_loss() {
    let world = World::one();
    let (drive, device, disk) = absent(&world).await;
    let first = disk.hold(Op::Flush);
    let inserting = begin_insert(&drive);
    first.until_stuck(1).await;
    write(&device, 60 << 10, 512, 9).await;
    disk.script(Op::Flush, 1, Fault::Error);
    first.release();
    let held = disk.hold(Op::Flush);
    held.until_stuck(1).await;
    let ((), ejected) = tokio::join!(
        async {
            let_others_run().await;
            held.release();
        },
        drive.eject("a")
    );
    ejected.unwrap_err();
    inserting.await.unwrap().unwrap_err();
    assert_eq!(disk.flushes_after_failure(), 0);
    disk.lose_unsynced();
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[60 << 10..(60 << 10) + 512], 9, "on the platter");
}

/// Writers write all the time, so that one is on its way to the journal when that is closed for the switch; at every
/// other point the medium is pulled then.
#[tokio::test(start_paused = true)]
async fn a_switch_among_writers_misses_none_and_a_pull_lets_the_medium_go() {
    for point in 0..120 {
        let world = World::one();
        let (drive, device, disk) = absent(&world).await;
        let inserting = begin_insert(&drive);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..4).map(|place| busy_writer(&device, place, &stop)).collect();
        if point % 2 == 0 {
            for _ in 0..point {
                yield_now().await;
            }
            drop(drive.pull("a").await);
        }
        drop(inserting.await.unwrap());
        stop.store(true, SeqCst);
        let mut last = Vec::new();
        for writer in writers {
            last.push(writer.await.unwrap());
        }
        if volume(&drive).state() == State::Absent {
            insert(&drive, "a").await;
        }
        drive.eject("a").await.unwrap();
        assert_eq!(volume(&drive).status().journal.extents, 0, "nothing came after the switch");
        let durable = disk.durable();
        assert_has_all(&durable[..48 << 10], "on the platter");
        for (place, last) in (0usize..).zip(last) {
            assert_filled(&durable[(52 << 10) + place * 512..][..512], last, "a writer's last");
        }
    }
}

/// Writes one place until it is to stop; gives the last byte that it wrote.
fn busy_writer(device: &Arc<dyn Device>, place: u64, stop: &Arc<AtomicBool>) -> JoinHandle<u8> {
    let (device, stop) = (Arc::clone(device), Arc::clone(stop));
    tokio::spawn(async move {
        let mut fill = 0u8;
        while !stop.load(SeqCst) {
            fill = fill.wrapping_add(1);
            let offset = (52 << 10) + place * 512;
            // A stable one is on its way for as long as the journal syncs.
            let request = match place % 2 {
                0 => writing(offset, 512, fill),
                _ => writing_through(offset, 512, fill),
            };
            device.execute(request).answer().await.unwrap();
            yield_now().await;
        }
        fill
    })
}

/// A replay of more than the last pass may bring: the way to the journal stays open meanwhile.
#[tokio::test(start_paused = true)]
async fn clients_write_while_a_large_journal_is_replayed() {
    let world = World::empty(1).with("a", 8 << 20, |settings| {
        settings.journal_limit_bytes = 32 << 20;
    });
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    disk.set_pace(77);
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    for place in 0..14 {
        write(&device, place << 19, 400 << 10, 1).await;
    }
    let inserting = begin_insert(&drive);
    for round in 0..200u64 {
        write(&device, round * 4096, 4096, 2).await;
    }
    inserting.await.unwrap().unwrap();
    drive.eject("a").await.unwrap();
    let durable = disk.durable();
    assert_filled(&durable[..200 * 4096], 2, "what was written last");
    for place in 2..14usize {
        assert_filled(&durable[place << 19..][..400 << 10], 1, "what was replayed");
    }
}

/// The blocks that tell who the medium is reach it before the volume has been told that they are synced.
#[test]
fn a_kill_while_a_new_identity_is_replayed_does_not_make_the_medium_a_stranger() {
    // Larger than the part in which anything identifies a medium.
    let world = World::empty(1).with("a", 2 << 20, |_| {});
    let disk = world.disk("disk-a");
    disk.content_tells_identity();
    let process = Process::start(&world);
    process.run(async |drive| {
        let device = device(&drive);
        until(&volume(&drive), State::Present).await;
        write(&device, 0, 512, 1).await;
        flush(&device).await;
        drive.eject("a").await.unwrap();
        write(&device, 3 << 19, 512, 5).await;
        let held = disk.hold(Op::Flush);
        let _inserting = begin_insert(&drive);
        held.until_stuck(1).await;
        write(&device, 0, 512, 2).await;
        held.release();
        let held = disk.hold(Op::Flush);
        held.until_stuck(1).await;
        assert_filled(&disk.cached()[..512], 2, "the new identity is on the medium");
        std::mem::forget(held);
    });
    process.kill();
    disk.lift_hold();
    let process = Process::start(&world);
    process.run(async |drive| {
        until(&volume(&drive), State::Present).await;
        assert_filled(&disk.durable()[..512], 2, "on the platter");
    });
    process.kill();
}

/// An eject in the middle of a replay syncs the medium once nothing is being written to it any more.
#[tokio::test(start_paused = true)]
async fn an_eject_in_a_replay_waits_for_what_is_being_written() {
    let world = World::one();
    let (drive, _, disk) = absent(&world).await;
    disk.hang(Op::Change, 0);
    let held = disk.hold(Op::Change);
    let inserting = begin_insert(&drive);
    held.until_stuck(3).await;
    let ejecting = tokio::spawn({
        let drive = Arc::clone(&drive);
        async move { drive.eject("a").await }
    });
    let_others_run().await;
    held.release();
    let_others_run().await;
    assert!(!ejecting.is_finished(), "a write is under way");
    disk.let_hung_land();
    ejecting.await.unwrap().unwrap();
    assert_filled(&disk.durable()[..512], 1, "it was synced");
    drop(inserting.await);
}
