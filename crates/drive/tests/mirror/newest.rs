//! Somebody decides which copy counts.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{ErrorKind, Request};
use hotbay_drive::{Drive, EventKind, Mirror, Refusal, Resolution, State, WhenOccupied};
use tokio::time::sleep;

use super::support::*;

/// `b` misses what was written last, and is in; `a` has it, half of that in its journal, and is away.
async fn newest_is_away(pair: &Pair) -> (Drive, Mirror) {
    let (drive, mirror) = pair.start().await;
    newest_leaves(&drive, &mirror).await;
    (drive, mirror)
}

async fn newest_leaves(drive: &Drive, mirror: &Mirror) {
    both_in_sync(mirror).await;
    let device = as_dyn(mirror);
    write(&device, 0, 4096, 1).await;
    flush(&device).await;
    drive.eject("b").await.unwrap();
    until_in_sync(mirror, "b", false).await;
    write(&device, 0, 4096, 2).await;
    drive.pull("a").await.unwrap();
    write(&device, MIB, 4096, 2).await;
    insert(drive, "b").await;
}

async fn refused(drive: &Drive, copy: &str) -> Refusal {
    let refusal = drive.insert(copy, None, WhenOccupied::Refuse).await.unwrap_err();
    assert_eq!(drive.volume(copy).unwrap().state(), State::Conflict);
    refusal
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_behind_counts_when_somebody_says_so() {
    let pair = Pair::new();
    let (drive, mirror) = newest_is_away(&pair).await;
    let (before, generation) = (as_dyn(&mirror), pair.records.saved().generation);
    let closed = tokio::spawn(before.exchanged());
    mirror.take_for_newest("b").await.unwrap();
    closed.await.unwrap();
    let recorded = pair.records.saved();
    assert!(recorded.generation > generation, "a new generation");
    assert_eq!((recorded.content, mirror.content()), (1, 1));
    for request in [Request::read(extent(0, 512)), writing(0, 512, 9), Request::Flush] {
        let answer = before.execute(request).answer().await;
        assert_eq!(kind_of(answer), ErrorKind::ShuttingDown, "an earlier content is closed");
    }
    let device = as_dyn(&mirror);
    assert_filled(&read(&device, 0, 4096).await, 1, "what b has");
    assert_filled(&read(&device, MIB, 4096).await, 0, "what b has");
    write(&device, 2 * MIB, 4096, 3).await;
    assert!(has_event(&drive, EventKind::Resolved));

    let durable = pair.durable("a");
    let refused = refused(&drive, "a").await;
    assert!(refused.to_string().contains("before the copy on b was taken"), "{refused}");
    sleep(Duration::from_secs(30)).await;
    assert_eq!(drive.volume("a").unwrap().state(), State::Conflict);
    assert!(!mirror.copy("a").unwrap().in_sync);
    assert!(pair.durable("a") == durable, "it was overwritten without a word");
}

#[tokio::test(start_paused = true)]
async fn a_read_across_the_decision_fails() {
    let pair = Pair::new();
    let (_drive, mirror) = newest_is_away(&pair).await;
    let reading = begin(&as_dyn(&mirror), Request::read(extent(MIB, 8192)));
    let_others_run().await;
    mirror.take_for_newest("b").await.unwrap();
    assert_eq!(kind_of(reading.await.unwrap()), ErrorKind::ShuttingDown, "of the earlier content");
}

async fn parted(pair: &Pair) -> (Drive, Mirror) {
    let (drive, mirror) = newest_is_away(pair).await;
    mirror.take_for_newest("b").await.unwrap();
    write(&as_dyn(&mirror), 2 * MIB, 4096, 3).await;
    refused(&drive, "a").await;
    (drive, mirror)
}

async fn both_hold(pair: &Pair, mirror: &Mirror, fills: [u8; 3]) {
    both_in_sync(mirror).await;
    flush(&as_dyn(mirror)).await;
    for copy in ["a", "b"] {
        for (place, fill) in fills.into_iter().enumerate() {
            assert_filled(&pair.durable(copy)[place << 20..(place << 20) + 4096], fill, copy);
        }
    }
    assert!(pair.durable("a") == pair.durable("b"), "the copies differ");
}

#[tokio::test(start_paused = true)]
async fn the_one_that_returned_becomes_a_copy_again() {
    let pair = Pair::new();
    let (drive, mirror) = parted(&pair).await;
    let refused = mirror.may_replay("a").unwrap_err();
    assert!(refused.to_string().contains("the copy on b has everything"), "{refused}");
    mirror.take_for_old("a").await.unwrap();
    drive.resolve("a", Resolution::Replay).await.unwrap();
    both_hold(&pair, &mirror, [1, 0, 3]).await;
    drive.pull("a").await.unwrap();
    insert(&drive, "a").await;
    both_in_sync(&mirror).await;
}

#[tokio::test(start_paused = true)]
async fn the_one_that_returned_counts() {
    let pair = Pair::new();
    let (drive, mirror) = parted(&pair).await;
    mirror.take_for_newest("a").await.unwrap();
    assert_eq!(mirror.content(), 2, "another content again");
    sleep(Duration::from_secs(10)).await;
    assert!(!mirror.copy("b").unwrap().in_sync, "it has nothing to catch up with yet");
    drive.resolve("a", Resolution::Replay).await.unwrap();
    both_hold(&pair, &mirror, [2, 2, 0]).await;
}

#[tokio::test(start_paused = true)]
async fn two_that_were_each_written_alone_stay_so_until_one_is_chosen() {
    let pair = Pair::new();
    let (drive, mirror) = parted(&pair).await;
    drive.eject("b").await.unwrap();
    mirror.take_for_newest("a").await.unwrap();
    drive.resolve("a", Resolution::Replay).await.unwrap();
    let back = refused(&drive, "b").await;
    assert!(back.next_step().unwrap().contains("resolve b discard|newest"), "{back}");
    assert_filled(&read(&as_dyn(&mirror), MIB, 4096).await, 2, "what a has");
    mirror.take_for_newest("b").await.unwrap();
    drive.resolve("b", Resolution::Replay).await.unwrap();
    both_hold(&pair, &mirror, [1, 0, 3]).await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_taken_for_the_newest_without_need() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let refused = async |copy: &str, why: &str| {
        let saved = pair.records.saved();
        let refusal = mirror.take_for_newest(copy).await.unwrap_err();
        assert!(refusal.to_string().contains(why) && refusal.next_step().is_some(), "{refusal}");
        assert_eq!((pair.records.saved(), mirror.content()), (saved, 0), "nothing has changed");
    };
    refused("a", "has everything already").await;
    refused("c", "no copy on a volume c").await;
    drive.eject("b").await.unwrap();
    until_in_sync(&mirror, "b", false).await;
    write(&as_dyn(&mirror), 0, 4096, 2).await;
    refused("b", "volume b is absent").await;
    insert(&drive, "b").await;
    refused("b", "the copy on a has everything, and its medium is in").await;
    mirror.take_for_old("a").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recorded_is_not_decided() {
    let pair = Pair::new();
    let (drive, mirror) = newest_is_away(&pair).await;
    let device = as_dyn(&mirror);
    pair.records.refuse(true);
    let refused = mirror.take_for_newest("b").await.unwrap_err();
    assert!(refused.to_string().contains("cannot be written"), "{refused}");
    pair.records.refuse(false);
    assert!(mirror.copy("a").unwrap().in_sync);
    insert(&drive, "a").await;
    assert_filled(&read(&device, MIB, 4096).await, 2, "the newest, in no conflict");
    both_hold(&pair, &mirror, [2, 2, 0]).await;
}

/// Killed after each step of it: a restart finds it undone, or done.
#[test]
fn a_decision_outlives_a_kill_and_one_that_was_not_recorded_loses_nothing() {
    for is_recorded in [true, false] {
        let pair = Pair::new();
        let process = Process::start(&pair.world);
        let undecided = process.run(async |drive| {
            let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
            newest_leaves(&drive, &mirror).await;
            let undecided = pair.records.saved();
            mirror.take_for_newest("b").await.unwrap();
            undecided
        });
        process.kill();
        if !is_recorded {
            pair.records.put_back(undecided);
        }
        let process = Process::start(&pair.world);
        process.run(async |drive| {
            let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
            assert_eq!(mirror.content(), u64::from(is_recorded));
            assert_eq!(mirror.copy("b").unwrap().in_sync, is_recorded);
            refused(&drive, "a").await;
            match is_recorded {
                true => mirror.take_for_old("a").await.unwrap(),
                false => mirror.may_replay("a").unwrap(),
            }
            drive.resolve("a", Resolution::Replay).await.unwrap();
            let fills = if is_recorded { [1, 0, 0] } else { [2, 2, 0] };
            both_hold(&pair, &mirror, fills).await;
        });
    }
}

/// What is taken for old is so after a restart too, or the rest of it would count as equal.
#[test]
fn a_copy_that_is_taken_for_old_gets_everything_also_after_a_kill() {
    let pair = Pair::new();
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
        both_in_sync(&mirror).await;
        sleep(Duration::from_secs(11)).await;
        assert_eq!(pair.records.saved().marked, []);
        drive.eject("b").await.unwrap();
        until_in_sync(&mirror, "b", false).await;
        pair.world.disk("disk-b").fill(9);
        refused(&drive, "b").await;
        mirror.take_for_old("b").await.unwrap();
        // Marked like any other change, and nothing that was marked is so no more.
        write(&as_dyn(&mirror), 2 * MIB, 4096, 3).await;
    });
    process.kill();
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
        drive.resolve("b", Resolution::Replay).await.unwrap();
        both_hold(&pair, &mirror, [0, 0, 3]).await;
    });
}

/// Of several that are behind the one that was in sync last loses least, and where it is there it has to be that one.
#[tokio::test(start_paused = true)]
async fn an_older_copy_does_not_count_where_a_newer_one_is_there() {
    let pair = Pair::of(&["a", "b", "c"]);
    let (drive, mirror) = pair.start().await;
    for copy in ["a", "b", "c"] {
        until_in_sync(&mirror, copy, true).await;
    }
    for (place, leaving) in [(0, "c"), (1, "b")] {
        drive.eject(leaving).await.unwrap();
        until_in_sync(&mirror, leaving, false).await;
        write(&as_dyn(&mirror), place * MIB, 4096, 1).await;
    }
    drive.eject("a").await.unwrap();
    insert(&drive, "b").await;
    insert(&drive, "c").await;
    let refusal = mirror.take_for_newest("c").await.unwrap_err();
    assert!(refusal.to_string().contains("the copy on b is newer"), "{refusal}");
    assert!(refusal.next_step().unwrap().contains("resolve b newest"), "{refusal}");
    mirror.take_for_newest("b").await.unwrap();
    until_in_sync(&mirror, "c", true).await;
    assert_filled(&read(&as_dyn(&mirror), 0, 4096).await, 1, "what b has");
    assert_filled(&read(&as_dyn(&mirror), MIB, 4096).await, 0, "what b has not");
}

/// The volume does not know where the medium was changed: so it gets all of it, and not what was marked.
#[tokio::test(start_paused = true)]
async fn a_copy_that_is_taken_for_old_gets_everything() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    sleep(Duration::from_secs(11)).await;
    drive.eject("b").await.unwrap();
    until_in_sync(&mirror, "b", false).await;
    pair.world.disk("disk-b").fill(9);
    refused(&drive, "b").await;
    mirror.take_for_old("b").await.unwrap();
    drive.resolve("b", Resolution::Replay).await.unwrap();
    both_hold(&pair, &mirror, [0, 0, 0]).await;
}
