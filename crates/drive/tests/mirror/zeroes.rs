//! Zeroes that must be quick, where copies differ in what is quick.

use hotbay_block::{Durability, ErrorKind, Hole, Request, Speed};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn quick_zeroes_leave_both_copies_equal_whoever_refuses_them() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let device = as_dyn(&mirror);
    let quick = || {
        let (hole, speed, durability) = (Hole::Allowed, Speed::Fast, Durability::Deferred);
        device.execute(Request::Zero { extent: extent(5, MIB), hole, speed, durability }).answer()
    };
    let in_sync = |copy| mirror.copy(copy).unwrap().in_sync;
    write(&device, 0, 4 * MIB, 7).await;

    // One has to write them, the other not.
    pair.world.disk("disk-b").refuse_quick_zeroes();
    quick().await.unwrap();
    flush(&device).await;
    assert!(pair.durable("a") == pair.durable("b") && in_sync("a") && in_sync("b"));
    assert_filled(&read(&device, 5, MIB).await, 0, "they are zeroes");

    // Both would have to: that is an answer, and no reason to fall behind.
    pair.world.disk("disk-a").refuse_quick_zeroes();
    write(&device, 0, 4 * MIB, 7).await;
    assert_eq!(kind_of(quick().await), ErrorKind::Slow);
    assert!(in_sync("a") && in_sync("b"));
    assert_filled(&read(&device, 0, 4 * MIB).await, 7, "nothing is changed");

    // The journal is quick.
    drive.pull("a").await.unwrap();
    drive.pull("b").await.unwrap();
    quick().await.unwrap();
    assert_filled(&read(&device, 5, MIB).await, 0, "they are zeroes in the journal");
}
