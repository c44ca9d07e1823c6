//! Looks that somebody asks for, who knows that media have come or gone; and when a medium may return.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::time::Duration;

use hotbay_drive::{AutoInsert, EventKind, State};
use support::*;
use tokio::time::{Instant, sleep, timeout};

fn comes_back() -> World {
    World::one_with(|settings| settings.auto_insert = AutoInsert::WhenItReturns)
}

/// Far less than the time between two of the regular looks.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Waits so long that no regular look is due soon.
async fn just_after_a_look() {
    sleep(Duration::from_millis(10_010)).await;
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_somebody_knows_of_is_a_loss_at_once() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    just_after_a_look().await;
    disk.yank();
    drive.look_now();
    timeout(AT_ONCE, until(&volume(&drive), State::Absent)).await.unwrap();
    let told = until_event(&drive, EventKind::Lost).await;
    assert!(told.contains("devices have changed: "), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_return_that_somebody_knows_of_is_an_insert_at_once() {
    let world = comes_back();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    disk.yank();
    just_after_a_look().await;
    disk.plug();
    drive.look_now();
    timeout(AT_ONCE, until(&volume(&drive), State::Present)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn looking_at_what_is_there_changes_nothing() {
    let world = comes_back();
    let drive = world.started().await;
    for _ in 0..1000 {
        drive.look_now();
        tokio::task::yield_now().await;
    }
    just_after_a_look().await;
    assert_eq!(volume(&drive).state(), State::Present);
    drive.eject("a").await.unwrap();
    drive.look_now();
    just_after_a_look().await;
    assert_eq!(
        volume(&drive).state(),
        State::Absent,
        "it is out on purpose, and has not been away"
    );
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_does_not_keep_a_later_one_from_being_made() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let held = disk.hold(Op::Presence);
    held.until_stuck(1).await;
    held.let_new_ones_pass();
    disk.yank();
    drive.look_now();
    timeout(AT_ONCE, until(&volume(&drive), State::Absent)).await.unwrap();
}

/// How long each of several losses that follow closely keeps the medium out.
async fn pauses(away: Option<Duration>) -> Vec<Duration> {
    let world = comes_back();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let (volume, device) = (volume(&drive), device(&drive));
    let mut pauses = Vec::new();
    for _ in 0..8 {
        until(&volume, State::Present).await;
        match away {
            Some(away) => {
                disk.yank();
                until(&volume, State::Absent).await;
                sleep(away).await;
                disk.plug();
            }
            None => {
                write(&device, 0, 512, 1).await;
                disk.script(Op::Flush, 0, Fault::Error);
                flush(&device).await;
                until(&volume, State::Absent).await;
            }
        }
        let since = Instant::now();
        until(&volume, State::Present).await;
        pauses.push(since.elapsed());
    }
    pauses
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_and_again_waits_ever_longer() {
    let pauses = pauses(None).await;
    assert!(pauses[7] > Duration::from_secs(30), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_pulled_out_and_is_back_does_not_wait_for_having_been_pulled_before() {
    let pauses = pauses(Some(Duration::from_secs(1))).await;
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(300)), "{pauses:?}");
}
