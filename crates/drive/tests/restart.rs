//! A restart is not a removal: after a stop or a kill everything is as it was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use hotbay_block::ErrorKind;
use hotbay_drive::{Drive, EventKind, Refusal, State, WhenOccupied};
use support::*;
use tokio::task::{JoinHandle, yield_now};

#[tokio::test(start_paused = true)]
async fn after_a_stop_everything_acknowledged_is_durable() {
    let world = World::empty(1).with("a", SIZE, |_| {}).with("b", SIZE, |_| {});
    let drive = world.started().await;
    write(&drive.volumes()[0].open(), 0, 512, 1).await;
    write(&drive.volumes()[1].open(), 0, 512, 2).await;
    stop(drive).await;
    assert_filled(&world.disk("disk-a").durable()[..512], 1, "on the platter");
    world.disk("disk-a").lose_unsynced();

    let drive = world.started().await;
    assert_eq!(drive.volumes()[0].state(), State::Present);
    assert_eq!(drive.volumes()[1].state(), State::Absent);
    assert_filled(&read(&drive.volumes()[0].open(), 0, 512).await, 1, "from the medium");
    assert_filled(&read(&drive.volumes()[1].open(), 0, 512).await, 2, "from the journal");
}

#[tokio::test(start_paused = true)]
async fn a_stop_whose_sync_fails_leaves_everything_in_the_journal() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    write(&device(&drive), 0, 512, 1).await;
    disk.script(Op::Flush, 0, Fault::Error);
    stop(drive).await;
    disk.lose_unsynced();
    let drive = world.started().await;
    assert_filled(&read(&device(&drive), 0, 512).await, 1, "from the journal");
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[..512], 1, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_though_a_write_hangs() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    let held = disk.hold(Op::Change);
    let hung = begin(&device, writing(512, 512, 2));
    held.until_stuck(1).await;
    drive.stop().await.unwrap();
    // Whether it came into the journal before that was closed is open; if it is answered, then durably.
    let answered = hung.await.unwrap().is_ok();
    drop((held, device, drive));
    let_others_run().await;
    world.disk("disk-a").lose_unsynced();
    let drive = world.started().await;
    let device = support::device(&drive);
    assert_filled(&read(&device, 0, 512).await, 1, "the one before");
    if answered {
        assert_filled(&read(&device, 512, 512).await, 2, "the one that hung");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_drive_answers_that_it_is_being_stopped() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    drive.stop().await.unwrap();
    let answer = device.execute(writing(0, 512, 1)).answer().await;
    assert_eq!(kind_of(answer), ErrorKind::ShuttingDown);
    assert_eq!(try_read(&device, 0, 512).await.unwrap_err().kind(), ErrorKind::ShuttingDown);
}

#[test]
fn an_absent_volume_stays_absent_after_a_kill() {
    let world = World::one();
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        drive.eject("a").await.unwrap();
        write(&device(&drive), 0, 512, 1).await;
    });
    life(&world, async |drive| {
        assert_eq!(volume(&drive).state(), State::Absent);
        assert_filled(&read(&device(&drive), 0, 512).await, 1, "from the journal");
        insert(&drive, "a").await;
        assert_filled(&world.disk("disk-a").durable()[..512], 1, "on the platter");
    });
}

/// What the killed process had acknowledged is in the page cache alone; it is synced before it could be lost.
#[test]
fn what_was_written_before_a_kill_is_synced_after_it() {
    let world = World::one();
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        write(&device(&drive), 0, 512, 1).await;
    });
    assert_filled(&world.disk("disk-a").durable(), 0, "not synced yet");
    let process = Process::start(&world);
    process.run(async |drive| {
        until(&volume(&drive), State::Present).await;
        world.disk("disk-a").yank();
        drive.pull("a").await.unwrap();
    });
    assert_filled(&world.disk("disk-a").durable()[..512], 1, "on the platter");
    process.kill();
}

#[test]
fn a_replay_goes_on_after_a_kill() {
    let world = World::one();
    let disk = world.disk("disk-a");
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        drive.eject("a").await.unwrap();
        write(&device(&drive), 0, 512, 1).await;
        let held = disk.hold(Op::Change);
        let inserting = begin_insert(&drive);
        held.until_stuck(1).await;
        assert_eq!(volume(&drive).state(), State::Replaying);
        std::mem::forget((held, inserting));
    });
    disk.lift_hold();
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        assert_filled(&disk.durable()[..512], 1, "on the platter");
    });
}

/// The medium tells a name then that no sync has covered, and the journal may have what it belongs to.
#[test]
fn a_kill_at_any_point_of_a_pull_does_not_make_the_medium_a_stranger() {
    for point in 0..60 {
        let world = World::one();
        let disk = world.disk("disk-a");
        disk.content_tells_identity();
        life(&world, async |drive| {
            let device = device(&drive);
            until(&volume(&drive), State::Present).await;
            write(&device, 0, 512, 1).await;
            flush(&device).await;
            write(&device, 0, 512, 2).await;
            let puller = Arc::clone(&drive);
            let _pulling = tokio::spawn(async move { puller.pull("a").await });
            let _late = begin(&device, writing(4096, 512, 3));
            for _ in 0..point {
                yield_now().await;
            }
        });
        life(&world, async |drive| {
            // Where the pull was not recorded it has been put in already.
            let _ = drive.insert("a", None, WhenOccupied::Refuse).await;
            until(&volume(&drive), State::Present).await;
            assert_filled(&read(&device(&drive), 0, 512).await, 2, "what was acknowledged");
        });
    }
}

fn begin_insert(drive: &Arc<Drive>) -> JoinHandle<Result<(), Refusal>> {
    let drive = Arc::clone(drive);
    tokio::spawn(async move { drive.insert("a", None, WhenOccupied::Refuse).await })
}

#[test]
fn a_medium_that_is_not_there_at_the_start_is_no_reason_not_to_serve() {
    let world = World::one();
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        write(&device(&drive), 0, 512, 1).await;
        flush(&device(&drive)).await;
    });
    world.disk("disk-a").yank();
    life(&world, async |drive| {
        assert_eq!(volume(&drive).state(), State::Absent);
        write(&device(&drive), 512, 512, 2).await;
        world.disk("disk-a").plug();
        insert(&drive, "a").await;
        let durable = world.disk("disk-a").durable();
        assert_filled(&durable[..512], 1, "as it was");
        assert_filled(&durable[512..1024], 2, "from the journal");
    });
}

#[tokio::test(start_paused = true)]
async fn with_nothing_to_replay_the_first_change_goes_to_the_medium() {
    let world = World::empty(2).with("a", SIZE, |_| {}).with("b", SIZE, |_| {});
    for _ in 0..2 {
        let drive = world.start().await;
        for volume in drive.volumes() {
            assert_eq!(volume.state(), State::Present);
            write(&volume.open(), 0, 512, 1).await;
            assert_eq!(volume.status().journal.live_bytes, 0, "nothing is in the journal");
        }
        drive.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_hangs_at_the_start_keeps_nobody_waiting_for_long() {
    let world = World::empty(2).with("a", SIZE, |_| {}).with("b", SIZE, |_| {});
    // The second one is the replay's.
    world.disk("disk-a").hang(Op::Flush, 1);
    let drive = world.start().await;
    let states = drive.volumes().iter().map(|volume| volume.state()).collect::<Vec<_>>();
    assert_eq!(states, [State::Replaying, State::Present]);
    write(&device(&drive), 0, 512, 1).await;
    world.disk("disk-a").heal();
    until(&volume(&drive), State::Present).await;
    assert_filled(&world.disk("disk-a").durable()[..512], 1, "replayed");
}

#[test]
fn a_damaged_journal_fails_its_volume_and_no_other() {
    let world = World::empty(2).with("a", SIZE, |_| {}).with("b", SIZE, |_| {});
    life(&world, async |drive| {
        drive.volumes()[0].states().wait_for(|s| *s == State::Present).await.unwrap();
        drive.eject("a").await.unwrap();
        let device = drive.volumes()[0].open();
        write(&device, 0, 16 << 10, 1).await;
        flush(&device).await;
        write(&device, 0, 512, 2).await;
        flush(&device).await;
        drive.stop().await.unwrap();
    });
    spoil(&world.journal_directory("a"));
    life(&world, async |drive| {
        let (a, b) = (&drive.volumes()[0], &drive.volumes()[1]);
        assert_eq!(a.state(), State::Failed);
        let answer = try_read(&a.open(), 0, 512).await;
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::PreviousFailure);
        assert!(has_event(&drive, EventKind::Failed));
        until(b, State::Present).await;
        write(&b.open(), 0, 512, 3).await;
        assert_filled(&read(&b.open(), 0, 512).await, 3, "the other volume");
    });
}

/// Flips a bit in the middle of the first payload of a journal.
fn spoil(journal: &std::path::Path) {
    let mut files: Vec<_> =
        std::fs::read_dir(journal).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let mut bytes = std::fs::read(&files[0]).unwrap();
    let payload = bytes.windows(4096).position(|bytes| bytes.iter().all(|&byte| byte == 1));
    bytes[payload.unwrap() + 2048] ^= 0x10;
    std::fs::write(&files[0], bytes).unwrap();
}

#[tokio::test(start_paused = true)]
async fn another_disk_in_place_after_a_restart_is_another_content() {
    let world = World::one();
    let drive = world.started().await;
    write(&device(&drive), 0, 512, 1).await;
    stop(drive).await;
    let drive = world.started().await;
    assert_eq!(volume(&drive).content(), ([1; 16], 0), "a restart alone changes nothing");
    stop(drive).await;

    world.disk("disk-a").set_hardware("serial:another");
    let drive = world.start().await;
    until(&volume(&drive), State::Present).await;
    assert_eq!(volume(&drive).content(), ([1; 16], 1));
    write(&device(&drive), 0, 512, 2).await;
    stop(drive).await;
    assert_eq!(volume(&world.started().await).content(), ([1; 16], 1), "and stays");
}

/// What the first daemon acknowledged is in the page cache of the medium alone. The journal, which answers a flush while the medium
/// is being replayed, does not have it.
#[test]
fn the_first_flush_after_a_kill_covers_what_was_acknowledged_before() {
    let world = World::one();
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        write(&device(&drive), 0, 512, 1).await;
    });
    assert_filled(&world.disk("disk-a").durable()[..512], 0, "it was not synced");
    // The second one is the replay's.
    world.disk("disk-a").hang(Op::Flush, 1);
    let process = Process::start(&world);
    process.run(async |drive| {
        assert_eq!(volume(&drive).state(), State::Replaying);
        flush(&device(&drive)).await;
        world.disk("disk-a").yank();
        assert_filled(&world.disk("disk-a").durable()[..512], 1, "it was flushed");
    });
}

#[test]
fn a_journal_that_is_gone_is_told_where_the_medium_was_away() {
    let world = World::one();
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        drive.eject("a").await.unwrap();
        write(&device(&drive), 0, 512, 1).await;
        flush(&device(&drive)).await;
    });
    life(&world, async |drive| assert!(!has_event(&drive, EventKind::Warning)));
    for file in std::fs::read_dir(world.journal_directory("a")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let process = Process::start(&world);
    let text = process.run(async |drive| until_event(&drive, EventKind::Warning).await);
    assert!(text.contains("there was no journal"), "{text}");
}
