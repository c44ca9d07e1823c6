//! A live copy of more than what is copied, and synced, at a time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hotbay_drive::Drive;
use support::*;
use tokio::task::yield_now;
use tokio::time::timeout;

/// A volume on a disk with something else in each MiB, and a disk to swap to.
async fn with_mibs(count: u64) -> (World, Arc<Drive>, Arc<Disk>, Arc<Disk>) {
    let size = usize::try_from(count * MIB).unwrap();
    let world = World::empty(1).with("a", size, |_| {});
    let drive = Arc::new(world.started().await);
    let device = device(&drive);
    for place in 0..count {
        write(&device, place * MIB, MIB, fill_of(place)).await;
    }
    flush(&device).await;
    let (source, target) = (world.disk("disk-a"), world.cabinet.make("other", size));
    (world, drive, source, target)
}

fn fill_of(place: u64) -> u8 {
    u8::try_from(place + 1).unwrap()
}

fn assert_has_mibs(bytes: &[u8]) {
    for (place, mib) in (0..).zip(bytes.chunks(1 << 20)) {
        assert_filled(mib, fill_of(place), "on the target's platter");
    }
}

/// The one at the end of the pass would not say again what was lost by it.
#[tokio::test(start_paused = true)]
async fn a_sync_of_the_target_that_fails_along_the_way_ends_the_swap() {
    // More than is copied between two of them, less than twice that.
    let (_world, drive, source, target) = with_mibs(40).await;
    target.script(Op::Flush, 0, Fault::Error);
    let held = target.hold(Op::Flush);
    // What was written before it is enough for a sync, and what comes after it keeps the copy from its end.
    target.hang(Op::Change, 35);
    let swapping = begin_swap(&drive);
    held.until_stuck(1).await;
    assert!(target.changes() < 40, "along the way");
    target.heal();
    while target.changes() < 40 {
        yield_now().await;
    }
    held.release();
    swapping.await.unwrap().unwrap_err();
    assert_eq!(volume(&drive).status().medium.as_deref(), Some("disk-a"));
    assert_eq!((target.flushes_after_failure(), source.flushes_after_failure()), (0, 0));
    // What was under way to it when the swap was given up.
    let ended = async {
        while target.open_handles() > 0 {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(3600), ended).await.unwrap();
    target.lose_unsynced();
    drive.swap("a", "other").await.unwrap();
    assert_has_mibs(&target.durable());
}

/// What is read next must not come to lie where it is.
#[tokio::test(start_paused = true)]
async fn what_is_being_written_stays_what_was_read() {
    let (_world, drive, _source, target) = with_mibs(9).await;
    let swapping = begin_swap(&drive);
    for _ in 0..2 {
        let held = target.hold(Op::Change);
        held.until_stuck(4).await;
        let_others_run().await;
        held.release();
    }
    swapping.await.unwrap().unwrap();
    assert_has_mibs(&target.durable());
}
