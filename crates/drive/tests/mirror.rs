//! A mirror: both copies have everything, or it is known which one does not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Checked, Device, ErrorKind, Request, conformance};
use hotbay_drive::{Drive, EventKind, Mirror, Refusal, Resolution, Scrub, State, WhenOccupied};
use support::*;
use tokio::time::sleep;

const MIB: u64 = 1 << 20;
const SIZE_BYTES: usize = 4 << 20;

struct Pair {
    world: World,
    records: Arc<MemoryMirrorRecords>,
}

impl Pair {
    fn new() -> Self {
        let large = |settings: &mut hotbay_drive::VolumeSettings| {
            settings.journal_limit_bytes = 256 << 20;
            settings.spill_batch_bytes = 1 << 20;
        };
        let world = World::empty(2).with("a", SIZE_BYTES, large).with("b", SIZE_BYTES, large);
        Self { world, records: Arc::default() }
    }

    async fn start(&self) -> (Drive, Mirror) {
        let drive = self.world.started().await;
        let mirror = Mirror::start(&drive, Arc::clone(&self.records) as _).await.unwrap();
        (drive, mirror)
    }

    fn durable(&self, copy: &str) -> Vec<u8> {
        self.world.disk(&format!("disk-{copy}")).durable()
    }
}

async fn until_in_sync(mirror: &Mirror, copy: &str, in_sync: bool) {
    for _ in 0..10_000 {
        if mirror.copy(copy).unwrap().in_sync == in_sync {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the copy on {copy} stays {:?}", mirror.copy(copy));
}

async fn both_in_sync(mirror: &Mirror) {
    until_in_sync(mirror, "a", true).await;
    until_in_sync(mirror, "b", true).await;
}

fn as_dyn(mirror: &Mirror) -> Arc<dyn Device> {
    mirror.open()
}

#[tokio::test(start_paused = true)]
async fn a_new_mirror_has_the_first_volumes_content() {
    let pair = Pair::new();
    pair.world.disk("disk-a").fill(7);
    pair.world.disk("disk-b").fill(9);
    let (drive, mirror) = pair.start().await;
    let device = as_dyn(&mirror);
    assert_filled(&read(&device, 0, 4 * MIB).await, 7, "also while it is copied");
    both_in_sync(&mirror).await;
    assert_filled(&pair.durable("b"), 7, "all of it is there");
    assert!(has_event(&drive, EventKind::CaughtUp));
}

#[tokio::test(start_paused = true)]
async fn holes_are_not_read_for_a_copy_and_are_there_all_the_same() {
    let pair = Pair::new();
    let (source, target) = (pair.world.disk("disk-a"), pair.world.disk("disk-b"));
    source.tell_holes();
    target.fill(9);
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    assert!(source.read_bytes() < MIB, "{} bytes were read", source.read_bytes());
    assert_filled(&pair.durable("b"), 0, "all of it is there");
}

#[tokio::test(start_paused = true)]
async fn it_passes_the_suite_with_both_copies_with_one_and_with_none() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    conformance::check(&Checked::new(mirror.open())).await;

    drive.eject("a").await.unwrap();
    until_in_sync(&mirror, "a", false).await;
    conformance::check(&Checked::new(mirror.open())).await;

    write(&as_dyn(&mirror), 0, 4 * MIB, 1).await;
    drive.eject("b").await.unwrap();
    write(&as_dyn(&mirror), 0, 4 * MIB, 2).await;
    conformance::check(&Checked::new(mirror.open())).await;
    let last = read(&as_dyn(&mirror), 0, 4 * MIB).await;

    insert(&drive, "a").await;
    insert(&drive, "b").await;
    both_in_sync(&mirror).await;
    flush(&as_dyn(&mirror)).await;
    assert!(pair.durable("a") == last && pair.durable("b") == last, "both have the last content");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_away_gets_what_was_changed_and_no_more() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let device = as_dyn(&mirror);
    sleep(Duration::from_secs(30)).await;
    drive.pull("a").await.unwrap();
    until_in_sync(&mirror, "a", false).await;
    write(&device, 2 * MIB, 4096, 5).await;
    assert_eq!(mirror.copy("a").unwrap().behind_bytes, MIB, "one granule");
    let journal = drive.volume("a").unwrap().status().journal;
    assert_eq!(journal.live_bytes, 0, "the data are not kept twice");
    let changes = pair.world.disk("disk-a").changes();
    insert(&drive, "a").await;
    both_in_sync(&mirror).await;
    assert!(pair.world.disk("disk-a").changes() - changes < 8, "little was written");
    assert_filled(&pair.durable("a")[2 << 20..(2 << 20) + 4096], 5, "it has the change");
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_loses_the_cache_loses_nothing() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let device = as_dyn(&mirror);
    write(&device, 0, MIB, 1).await;
    pair.world.disk("disk-a").yank();
    write(&device, MIB, MIB, 2).await;
    until_in_sync(&mirror, "a", false).await;
    write(&device, 2 * MIB, MIB, 3).await;
    pair.world.disk("disk-a").plug();
    insert(&drive, "a").await;
    both_in_sync(&mirror).await;
    flush(&device).await;
    for copy in ["a", "b"] {
        for (place, fill) in [(0, 1), (1, 2), (2, 3)] {
            assert_filled(&pair.durable(copy)[place << 20..(place + 1) << 20], fill, copy);
        }
    }
}

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

#[tokio::test(start_paused = true)]
async fn marks_are_taken_away_when_it_is_quiet_and_at_a_stop() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let device = as_dyn(&mirror);
    write(&device, 0, 4096, 1).await;
    assert!(pair.records.saved().marked.contains(&0));
    sleep(Duration::from_secs(11)).await;
    assert_eq!(pair.records.saved().marked, []);
    write(&device, MIB, 4096, 1).await;
    assert_eq!(pair.records.saved().marked, [1]);
    mirror.stop().await;
    assert_eq!(pair.records.saved().marked, []);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_marked_fails_and_is_not_made() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    sleep(Duration::from_secs(30)).await;
    pair.records.refuse(true);
    let answer = mirror.open().execute(writing(0, 4096, 1)).answer().await;
    assert_eq!(kind_of(answer), ErrorKind::PreviousFailure);
    for copy in ["disk-a", "disk-b"] {
        assert_filled(&pair.world.disk(copy).cached()[..4096], 0, copy);
    }
    pair.records.refuse(false);
    write(&as_dyn(&mirror), 0, 4096, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_whose_journal_is_broken_falls_behind_before_the_answer() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    *pair.world.mood("a").lock() = Refuses::Writes;
    pair.world.disk("disk-a").yank();
    write(&as_dyn(&mirror), 0, 4096, 6).await;
    flush(&as_dyn(&mirror)).await;
    until_in_sync(&mirror, "a", false).await;
    assert_filled(&read(&as_dyn(&mirror), 0, 4096).await, 6, "from the other copy");
    assert!(has_event(&drive, EventKind::FellBehind));
}

#[tokio::test(start_paused = true)]
async fn a_read_fails_over_without_an_error_and_without_a_wait() {
    let pair = Pair::new();
    pair.world.disk("disk-a").fill(3);
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    pair.world.disk("disk-a").script(Op::Read, 0, Fault::Error);
    let started = tokio::time::Instant::now();
    assert_filled(&read(&as_dyn(&mirror), 0, 4096).await, 3, "from the other copy");
    let held = pair.world.disk("disk-a").hold(Op::Read);
    let reading = begin(&as_dyn(&mirror), Request::read(extent(0, 4096)));
    held.until_stuck(1).await;
    pair.world.disk("disk-a").yank();
    let bytes = reading.await.unwrap().unwrap().into_payload().into_bytes();
    assert_filled(&bytes, 3, "from the other copy");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn reads_are_spread_over_the_copies() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    // All of it is one turn here, so it is one copy that is read; without that one the other is.
    let read_of = |copy: &str| pair.world.disk(copy).hold(Op::Read);
    let (a, b) = (read_of("disk-a"), read_of("disk-b"));
    let reading = begin(&as_dyn(&mirror), Request::read(extent(0, 4096)));
    let_others_run().await;
    assert_eq!(a.stuck() + b.stuck(), 1, "one copy is read");
    a.release();
    b.release();
    reading.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_scrub_finds_a_difference_and_repairs_it() {
    let pair = Pair::new();
    let (_drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    write(&as_dyn(&mirror), 0, 4 * MIB, 8).await;
    flush(&as_dyn(&mirror)).await;
    let clean = mirror.scrub("a", Scrub::Report, |_, _| ()).await.unwrap();
    assert_eq!((clean.compared_bytes, clean.differing_bytes), (4 * MIB, 0));
    pair.world.disk("disk-b").fill(1);
    let found = mirror.scrub("a", Scrub::Repair, |_, _| ()).await.unwrap();
    assert_eq!(found.differing_bytes, 4 * MIB);
    assert_eq!(mirror.scrub("a", Scrub::Report, |_, _| ()).await.unwrap().differing_bytes, 0);
    flush(&as_dyn(&mirror)).await;
    assert_filled(&pair.durable("b"), 8, "as the first copy");
}

/// A change of a granule that is being copied waits, or the copy would be taken for one that has it.
#[tokio::test(start_paused = true)]
async fn a_change_of_what_is_being_copied_is_on_both() {
    let pair = Pair::new();
    let (drive, mirror) = pair.start().await;
    both_in_sync(&mirror).await;
    let device = as_dyn(&mirror);
    drive.pull("a").await.unwrap();
    until_in_sync(&mirror, "a", false).await;
    write(&device, 0, 4096, 1).await;
    let held = pair.world.disk("disk-a").hold(Op::Change);
    insert(&drive, "a").await;
    held.until_stuck(1).await;
    let changing = begin(&device, writing(0, 4096, 2));
    let_others_run().await;
    held.release();
    changing.await.unwrap().unwrap();
    both_in_sync(&mirror).await;
    flush(&device).await;
    for copy in ["a", "b"] {
        assert_filled(&pair.durable(copy)[..4096], 2, copy);
    }
}

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
    });
    process.kill();
    let process = Process::start(&pair.world);
    process.run(async |drive| {
        let mirror = Mirror::start(&drive, Arc::clone(&pair.records) as _).await.unwrap();
        drive.resolve("b", Resolution::Replay).await.unwrap();
        both_hold(&pair, &mirror, [0, 0, 0]).await;
    });
}
