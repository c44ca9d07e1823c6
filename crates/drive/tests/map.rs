//! What is known of a volume's bytes without reading them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use hotbay_block::{Allocation, Device, ErrorKind, Place, Status};
use hotbay_drive::State;
use support::*;
use tokio::time::Instant;

use Allocation::{Data, Hole};

/// The pieces, each as where it ends.
async fn map(device: &Arc<dyn Device>, offset: u64, length: u64, most: usize) -> Vec<Piece> {
    let pieces = device.status(extent(offset, length), most).await.unwrap();
    let mut at = offset;
    for piece in &pieces {
        assert_eq!(piece.extent.offset(), at, "pieces follow each other");
        at = piece.extent.end();
    }
    let short = |Status { extent, allocation, place }: Status| (extent.end(), allocation, place);
    pieces.into_iter().map(short).collect()
}

type Piece = (u64, Allocation, Place);

#[tokio::test(start_paused = true)]
async fn it_follows_a_medium_that_goes_and_comes() {
    let world = World::one();
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    let device = device(&drive);
    assert_eq!(map(&device, 0, 16384, 9).await, [(16384, Data, Place::Medium)]);

    drive.eject("a").await.unwrap();
    write(&device, 4096, 1024, 1).await;
    write(&device, 5120, 1024, 2).await;
    device.execute(zeroing(6144, 2048)).answer().await.unwrap();
    let before = Instant::now();
    let away = [
        (4096, Data, Place::Away),
        (6144, Data, Place::Journal),
        (8192, Hole, Place::Journal),
        (16384, Data, Place::Away),
    ];
    assert_eq!(map(&device, 0, 16384, 100).await, away);
    assert_eq!(map(&device, 5000, 1000, 100).await, [(6000, Data, Place::Journal)]);
    assert_eq!(before.elapsed(), std::time::Duration::ZERO, "nobody waits for a medium");

    let held = disk.hold(Op::Change);
    let inserting = tokio::spawn({
        let drive = Arc::clone(&drive);
        async move { insert(&drive, "a").await }
    });
    held.until_stuck(1).await;
    assert_eq!(volume(&drive).state(), State::Replaying);
    let replaying = away.map(|(end, allocation, place)| match place {
        Place::Away => (end, allocation, Place::Medium),
        place => (end, allocation, place),
    });
    assert_eq!(map(&device, 0, 16384, 100).await, replaying);
    held.release();
    inserting.await.unwrap();
    until(&volume(&drive), State::Present).await;
    assert_eq!(map(&device, 0, 16384, 100).await, [(16384, Data, Place::Medium)]);
}

#[tokio::test(start_paused = true)]
async fn it_has_no_more_pieces_than_wanted() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    drive.pull("a").await.unwrap();
    for at in 0..20 {
        write(&device, 512 + at * 1024, 512, 1).await;
    }
    let all = map(&device, 0, 20 * 1024, 1000).await;
    assert_eq!(all.len(), 40);
    for most in [1, 2, 3, 7, 39, 40, 41] {
        let some = map(&device, 0, 20 * 1024, most).await;
        assert!((1..=most).contains(&some.len()), "{} of {most}", some.len());
        assert_eq!(some, all[..some.len()]);
    }
}

#[tokio::test(start_paused = true)]
async fn another_content_is_not_told_of() {
    let world = World::one();
    let drive = world.started().await;
    let device = device(&drive);
    world.cabinet.make("other", 1 << 20);
    drive.exchange("a", "other").await.unwrap();
    let refused = device.status(extent(0, 512), 1).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ShuttingDown);
}
