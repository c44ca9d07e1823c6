//! A volume is a device like any other, in each of its states.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use hotbay_block::{Checked, conformance};
use hotbay_drive::{State, WhenOccupied};
use support::*;

const LARGE: usize = 4 << 20;

fn world() -> World {
    World::empty(1).with("a", LARGE, |settings| settings.journal_limit_bytes = 256 << 20)
}

#[tokio::test(start_paused = true)]
async fn present() {
    let world = world();
    world.disk("disk-a").set_pace(1);
    let drive = world.started().await;
    conformance::check(&Checked::new(device(&drive))).await;
    assert_eq!(volume(&drive).state(), State::Present);
}

/// With so little retained that nearly every write waits for a sync.
#[tokio::test(start_paused = true)]
async fn present_with_little_retained() {
    let world = World::empty(1).with("a", LARGE, |settings| {
        settings.retained_limit_bytes = 64 << 10;
    });
    let drive = world.started().await;
    conformance::check(&Checked::new(device(&drive))).await;
    assert_eq!(volume(&drive).state(), State::Present);
}

#[tokio::test(start_paused = true)]
async fn absent_with_everything_in_the_journal() {
    let world = world();
    let drive = world.started().await;
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    write(&device, 0, LARGE as u64, 0).await;
    conformance::check(&Checked::new(device)).await;
    assert_eq!(volume(&drive).state(), State::Absent);
    assert_filled(&world.disk("disk-a").cached(), 0, "the medium was away");
}

#[tokio::test(start_paused = true)]
async fn replaying_to_a_medium_that_hangs() {
    let world = world();
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    let device = device(&drive);
    drive.eject("a").await.unwrap();
    write(&device, 4096, 4096, 5).await;
    let held = disk.hold(Op::Change);
    let inserting = tokio::spawn({
        let drive = Arc::clone(&drive);
        async move { drive.insert("a", None, WhenOccupied::Refuse).await }
    });
    held.until_stuck(1).await;
    conformance::check(&Checked::new(Arc::clone(&device))).await;
    assert_eq!(volume(&drive).state(), State::Replaying);
    let before = read(&device, 0, LARGE as u64).await;
    held.release();
    inserting.await.unwrap().unwrap();
    assert!(disk.durable() == before, "the medium has what the suite left");
}

#[tokio::test(start_paused = true)]
async fn copying_to_a_medium_that_hangs() {
    let world = world();
    let drive = Arc::new(world.started().await);
    let device = device(&drive);
    let target = world.cabinet.make("other", LARGE);
    target.fill(0xEE);
    let held = target.hold(Op::Change);
    let swapping = tokio::spawn({
        let drive = Arc::clone(&drive);
        async move { drive.swap("a", "other").await }
    });
    held.until_stuck(1).await;
    conformance::check(&Checked::new(Arc::clone(&device))).await;
    assert_eq!(volume(&drive).state(), State::Copying);
    let before = read(&device, 0, LARGE as u64).await;
    held.release();
    swapping.await.unwrap().unwrap();
    assert!(target.durable() == before, "the target has what the suite left");
}
