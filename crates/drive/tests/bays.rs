//! Two volumes and one bay; and what may be put into it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use hotbay_drive::{EventKind, State, WhenOccupied};
use support::*;

fn two_volumes() -> World {
    World::empty(1).with("a", SIZE, |_| {}).with("b", SIZE, |_| {})
}

#[tokio::test(start_paused = true)]
async fn the_volume_without_a_bay_runs_on_its_journal() {
    let world = two_volumes();
    let drive = world.started().await;
    let (a, b) = (&drive.volumes()[0], &drive.volumes()[1]);
    assert_eq!((a.state(), b.state()), (State::Present, State::Absent));
    write(&a.open(), 0, 512, 1).await;
    write(&b.open(), 0, 512, 2).await;
    flush(&b.open()).await;

    let refused = drive.insert("b", None, WhenOccupied::Refuse).await.unwrap_err();
    assert!(refused.message().contains("volume a"), "{refused}");
    assert!(refused.next_step().unwrap().contains("hotbay eject a"));

    drive.insert("b", None, WhenOccupied::Replace).await.unwrap();
    assert_eq!((a.state(), b.state()), (State::Absent, State::Present));
    assert_filled(&world.disk("disk-a").durable()[..512], 1, "synced before it went");
    assert_filled(&world.disk("disk-b").durable()[..512], 2, "replayed");
    write(&a.open(), 512, 512, 3).await;
    assert_filled(&read(&a.open(), 512, 512).await, 3, "from its journal");
}

/// Its journal belongs to the medium that told its size, though that has not been in yet.
#[tokio::test(start_paused = true)]
async fn a_volume_that_never_had_a_bay_knows_its_medium_all_the_same() {
    let world = two_volumes();
    let drive = world.started().await;
    let b = &drive.volumes()[1];
    write(&b.open(), 0, 512, 2).await;
    drive.eject("a").await.unwrap();

    world.disk("disk-b").set_hardware("serial:of-another");
    let refused = drive.insert("b", None, WhenOccupied::Refuse).await.unwrap_err();
    assert!(refused.message().contains("not the medium of volume b"), "{refused}");
    assert_eq!(world.disk("disk-b").changes(), 0, "nothing was written to it");

    world.disk("disk-b").set_hardware("serial:disk-b");
    insert(&drive, "b").await;
    assert_filled(&world.disk("disk-b").durable()[..512], 2, "replayed");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_needs_the_other_medium_asks_for_it_and_waits() {
    let world = two_volumes();
    world.disk("disk-b").fill(7);
    let drive = world.started().await;
    let b = drive.volumes()[1].open();
    let reading = begin(&b, hotbay_block::Request::read(extent(0, 512)));
    let text = until_event(&drive, EventKind::PleaseInsert).await;
    assert_eq!(text, "please insert volume b");
    assert!(drive.volumes()[1].status().waiting_for_medium);
    drive.insert("b", None, WhenOccupied::Replace).await.unwrap();
    let bytes = reading.await.unwrap().unwrap().into_payload().into_bytes();
    assert_filled(&bytes, 7, "read in the end");
    assert_eq!(drive.volumes()[1].status().waiting_requests, 0);
}

/// A volume that never had a bay has a journal and no medium's record; both are known again after a kill.
#[test]
fn a_volume_that_was_never_in_a_bay_survives_a_kill() {
    let world = two_volumes();
    let process = Process::start(&world);
    process.run(async |drive| write(&drive.volumes()[1].open(), 0, 512, 2).await);
    process.kill();
    world.disk("disk-b").yank();
    let process = Process::start(&world);
    process.run(async |drive| {
        let b = &drive.volumes()[1];
        assert_eq!(b.state(), State::Absent);
        assert_filled(&read(&b.open(), 0, 512).await, 2, "from its journal");
    });
    process.kill();
}

#[tokio::test(start_paused = true)]
async fn a_medium_of_another_size_is_refused_and_not_touched() {
    let world = World::one();
    let drive = world.started().await;
    drive.eject("a").await.unwrap();
    write(&device(&drive), 0, 512, 1).await;
    let large = world.cabinet.make("large", 2 * SIZE);
    large.fill(0xEE);
    drive.insert("a", Some("large"), WhenOccupied::Refuse).await.unwrap_err();
    assert_filled(&large.cached(), 0xEE, "not touched");
    assert!(has_event(&drive, EventKind::Refused));
    insert(&drive, "a").await;
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_is_another_one_is_refused_and_not_touched() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    write(&device, 0, 512, 1).await;
    let other = world.cabinet.make("other", SIZE);
    other.fill(0xEE);
    let refused = drive.insert("a", Some("other"), WhenOccupied::Refuse).await.unwrap_err();
    assert!(refused.message().contains("not the medium of volume a"), "{refused}");
    assert_filled(&other.cached(), 0xEE, "not touched");
    assert_eq!(other.changes(), 0);
    assert_eq!((volume(&drive).state(), other.open_handles()), (State::Absent, 0));
    insert(&drive, "a").await;
    assert_filled(&world.disk("disk-a").durable()[..512], 1, "its own gets it");
}

/// The disk in the same place is another one by what its content says.
#[tokio::test(start_paused = true)]
async fn a_medium_whose_content_says_another_name_is_refused() {
    let world = World::one();
    let disk = world.disk("disk-a");
    disk.content_tells_identity();
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    drive.eject("a").await.unwrap();
    write(&device, 4096, 512, 5).await;
    disk.fill(9);
    drive.insert("a", None, WhenOccupied::Refuse).await.unwrap_err();
    assert_filled(&disk.cached(), 9, "not touched");
}

/// Blocks that identify the medium were written, not synced, and half of them lost.
#[tokio::test(start_paused = true)]
async fn a_medium_that_lost_its_new_name_is_known_all_the_same() {
    let world = World::one();
    let disk = world.disk("disk-a");
    disk.content_tells_identity();
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    flush(&device).await;
    write(&device, 0, 512, 2).await;
    disk.yank();
    drive.pull("a").await.unwrap();
    disk.plug();
    insert(&drive, "a").await;
    assert_filled(&disk.durable()[..512], 2, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn an_ejected_medium_stays_out_until_it_has_been_away() {
    let always = hotbay_drive::AutoInsert::WhenItReturns;
    let world = World::one_with(|settings| settings.auto_insert = always);
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    drive.eject("a").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(volume(&drive).state(), State::Absent);
    disk.yank();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    disk.plug();
    until(&volume(&drive), State::Present).await;
}
