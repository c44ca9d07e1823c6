//! Two volumes and one bay.

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
    life(&world, async |drive| write(&drive.volumes()[1].open(), 0, 512, 2).await);
    world.disk("disk-b").yank();
    life(&world, async |drive| {
        let b = &drive.volumes()[1];
        assert_eq!(b.state(), State::Absent);
        assert_filled(&read(&b.open(), 0, 512).await, 2, "from its journal");
    });
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
