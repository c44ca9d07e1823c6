//! Kills of the daemon.

use std::sync::Arc;
use std::time::Duration;

use hotbay_drive::Mirror;
use tokio::time::sleep;

use super::support::*;

/// With both media away the last one in sync takes the changes, and only with it is the other one brought up to date.
#[test]
fn the_newest_copy_is_known_after_a_kill() {
    let pair = Pair::new();
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
        both_in_sync(&mirror).await;
        drive.eject("a").await.unwrap();
        until_in_sync(&mirror, "a", false).await;
        write(&as_dyn(&mirror), 0, 4096, 4).await;
        drive.eject("b").await.unwrap();
        write(&as_dyn(&mirror), 4096, 4096, 5).await;
        flush(&as_dyn(&mirror)).await;
    });
    process.kill();
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
        assert!(!mirror.copy("a").unwrap().in_sync);
        insert(&drive, "a").await;
        sleep(Duration::from_secs(10)).await;
        assert!(!mirror.copy("a").unwrap().in_sync, "the newest is not there to catch up with");
        assert_filled(
            &read(&as_dyn(&mirror), 4096, 4096).await,
            5,
            "from the newest one's journal",
        );
        insert(&drive, "b").await;
        both_in_sync(&mirror).await;
        assert_filled(&pair.durable("a")[..4096], 4, "what the other one had");
        assert_filled(&pair.durable("a")[4096..8192], 5, "and what its journal had");
    });
}

/// After a kill copies in sync may differ in what was under way: one of them tells, and the other gets that.
#[test]
fn what_was_under_way_in_a_kill_is_the_same_on_both() {
    let pair = Pair::new();
    let process = Process::start(&pair.world);
    let held = process.run(async |drive| {
        let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
        both_in_sync(&mirror).await;
        let held = pair.world.disk("disk-b").hold(Op::Change);
        let device = as_dyn(&mirror);
        let writing = begin(&device, writing(0, 4096, 9));
        held.until_stuck(1).await;
        drop(writing);
        held
    });
    process.kill();
    drop(held);
    assert_filled(&pair.world.disk("disk-a").cached()[..4096], 9, "only one has it");
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
        both_in_sync(&mirror).await;
        flush(&as_dyn(&mirror)).await;
        assert!(pair.durable("a") == pair.durable("b"), "they differ after a kill");
    });
}
