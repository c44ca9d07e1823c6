//! Kills of the daemon.

use std::sync::Arc;
use std::time::Duration;

use hotbay_drive::{Mirror, State};
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

/// A mirror that was in sync and quiet, and whose daemon was killed.
fn quiet_and_killed(pair: &Pair) {
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
        both_in_sync(&mirror).await;
        write(&as_dyn(&mirror), 0, 4 * MIB, 1).await;
        sleep(Duration::from_secs(11)).await;
        assert_eq!(pair.records.saved().marked, []);
    });
    process.kill();
}

/// What nobody knows as a copy gets everything: here the volume has another content by now, which no mark tells of.
#[test]
fn a_volume_with_another_content_gets_everything() {
    let pair = Pair::new();
    quiet_and_killed(&pair);
    pair.world.cabinet.make("other", SIZE_BYTES).fill(9);
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        // As no copy, but a volume alone.
        until(&drive.volume("b").unwrap(), State::Present).await;
        drive.exchange("b", "other").await.unwrap();
    });
    process.kill();
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
        assert!(!mirror.copy("b").unwrap().in_sync);
        both_in_sync(&mirror).await;
        flush(&as_dyn(&mirror)).await;
        assert_filled(&pair.world.disk("other").durable(), 1, "all of it");
    });
}

#[test]
fn a_mirror_of_another_size_is_refused() {
    let pair = Pair::new();
    quiet_and_killed(&pair);
    let mut larger = pair.records.saved();
    larger.size_bytes *= 2;
    pair.records.put_back(larger);
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        let refused = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap_err();
        assert!(refused.to_string().contains("has 8388608 bytes"), "{refused}");
        assert!(refused.next_step().unwrap().contains("the record away"), "{refused}");
    });
}
