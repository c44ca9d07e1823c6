//! Clients at work while what was retained is on its way into the journal.
//!
//! The way is held up by a full disk under the journal: a batch finds no room, while the small changes of
//! clients find some in the segment that is there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Device, ErrorKind, Request};
use hotbay_drive::{Drive, EventKind, JournalFull, Refusal, State, WhatIsFull, WhenOccupied};
use support::*;
use tokio::task::JoinHandle;

const PAGE: u64 = 4096;
/// More than a segment of the journal takes.
const PAGES: u64 = 400;
const MIB: u64 = 1 << 20;

/// A volume whose medium was pulled and whose retained writes do not get into the journal.
struct HeldUp {
    world: World,
    drive: Arc<Drive>,
    device: Arc<dyn Device>,
    pulling: JoinHandle<Result<(), Refusal>>,
}

impl HeldUp {
    async fn new() -> Self {
        let world = World::empty(1).with("a", 32 * MIB as usize, |settings| {
            settings.spill_batch_bytes = 16 * MIB;
            settings.absent_wait = Duration::from_secs(20);
            settings.journal_full = JournalFull::Error;
        });
        let drive = Arc::new(world.started().await);
        let device = device(&drive);
        for page in 0..PAGES {
            write(&device, page * PAGE, PAGE, 1).await;
        }
        *world.mood("a").lock() = Refuses::NewFiles;
        world.disk("disk-a").yank();
        let pulling = tokio::spawn({
            let drive = Arc::clone(&drive);
            async move { drive.pull("a").await }
        });
        until(&volume(&drive), State::Absent).await;
        until_event(&drive, EventKind::JournalFull).await;
        let held_up = Self { world, drive, device, pulling };
        assert!(held_up.retained_bytes() >= PAGES * PAGE);
        let waiting = volume(&held_up.drive).status().waiting_for_room.unwrap();
        assert_eq!(waiting.full, WhatIsFull::Disk);
        assert_eq!(waiting.only_in_memory_bytes, held_up.retained_bytes());
        held_up
    }

    fn retained_bytes(&self) -> u64 {
        volume(&self.drive).status().retained_bytes
    }

    fn journals_disk(&self, refuses: Refuses) {
        *self.world.mood("a").lock() = refuses;
    }

    fn begin(
        &self,
        request: Request,
    ) -> JoinHandle<Result<hotbay_block::Reply, hotbay_block::Error>> {
        begin(&self.device, request)
    }

    async fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        read(&self.device, offset, length).await
    }

    async fn until_all_is_in(&mut self) {
        self.journals_disk(Refuses::Nothing);
        (&mut self.pulling).await.unwrap().unwrap();
        assert_eq!(self.retained_bytes(), 0);
        assert_eq!(volume(&self.drive).status().waiting_for_room, None);
    }

    /// Puts the medium back and gives what is on its platter.
    async fn durable(&self) -> Vec<u8> {
        self.world.disk("disk-a").plug();
        insert(&self.drive, "a").await;
        until(&volume(&self.drive), State::Present).await;
        self.world.disk("disk-a").durable()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_in_yet_is_read() {
    let held_up = HeldUp::new().await;
    assert_filled(&held_up.read(0, PAGES * PAGE).await, 1, "all of it");
    assert_filled(&held_up.read(100, 5000).await, 1, "a part of it");
    let beyond = held_up.begin(Request::read(extent((PAGES - 1) * PAGE, 2 * PAGE)));
    let_others_run().await;
    assert!(!beyond.is_finished(), "the other half is on the medium alone");
}

#[tokio::test(start_paused = true)]
async fn a_newer_change_stays_newer() {
    let mut held_up = HeldUp::new().await;
    let device = Arc::clone(&held_up.device);
    write(&device, 512, 512, 2).await;
    write(&device, 3 * PAGE - 512, 1024, 3).await;
    write(&device, 5 * PAGE, 2 * PAGE, 4).await;
    device.execute(zeroing(8 * PAGE, 100)).answer().await.unwrap();
    write(&device, (PAGES + 3) * PAGE, PAGE, 5).await;
    // Over what is newer already.
    write(&device, 600, 100, 6).await;
    let check = |bytes: &[u8], what: &str| {
        let at = |from: u64, to: u64| &bytes[from as usize..to as usize];
        assert_filled(at(0, 512), 1, what);
        assert_filled(at(512, 600), 2, what);
        assert_filled(at(600, 700), 6, what);
        assert_filled(at(700, 1024), 2, what);
        assert_filled(at(1024, 3 * PAGE - 512), 1, what);
        assert_filled(at(3 * PAGE - 512, 3 * PAGE + 512), 3, what);
        assert_filled(at(3 * PAGE + 512, 5 * PAGE), 1, what);
        assert_filled(at(5 * PAGE, 7 * PAGE), 4, what);
        assert_filled(at(7 * PAGE, 8 * PAGE), 1, what);
        assert_filled(at(8 * PAGE, 8 * PAGE + 100), 0, what);
        assert_filled(at(8 * PAGE + 100, PAGES * PAGE), 1, what);
    };
    check(&held_up.read(0, PAGES * PAGE).await, "while it is held up");
    assert!(held_up.retained_bytes() > 0);
    held_up.until_all_is_in().await;
    check(&held_up.read(0, PAGES * PAGE).await, "when all is in");
    let durable = held_up.durable().await;
    check(&durable, "on the platter");
    let beyond = ((PAGES + 3) * PAGE) as usize;
    assert_filled(&durable[beyond..beyond + PAGE as usize], 5, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_until_all_is_in() {
    let mut held_up = HeldUp::new().await;
    let flush = held_up.begin(Request::Flush);
    let stable = held_up.begin(writing_through(PAGES * PAGE, 512, 2));
    let_others_run().await;
    assert!(!flush.is_finished() && !stable.is_finished());
    let waiting = volume(&held_up.drive).status().waiting_requests;
    assert_eq!(waiting, 2);
    held_up.until_all_is_in().await;
    flush.await.unwrap().unwrap();
    stable.await.unwrap().unwrap();
    assert_filled(&held_up.read(PAGES * PAGE, 512).await, 2, "the stable write");
}

/// Whatever the room is needed for, the policy for a full journal is not asked: there may be enough in a moment.
#[tokio::test(start_paused = true)]
async fn a_change_that_would_take_the_room_waits() {
    let mut held_up = HeldUp::new().await;
    let large = held_up.begin(writing(8 * MIB, 7 * MIB, 2));
    let_others_run().await;
    assert!(!large.is_finished());
    held_up.until_all_is_in().await;
    large.await.unwrap().unwrap();
    assert_filled(&held_up.durable().await[8 << 20..15 << 20], 2, "the change that waited");
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_answered_and_nothing_is_dropped() {
    let mut held_up = HeldUp::new().await;
    let before = tokio::time::Instant::now();
    assert_eq!(kind_of(held_up.begin(Request::Flush).await.unwrap()), ErrorKind::TimedOut);
    assert_eq!(before.elapsed().as_secs(), 20);
    held_up.until_all_is_in().await;
    flush(&held_up.device).await;
    assert_filled(&held_up.durable().await[..(PAGES * PAGE) as usize], 1, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_put_in_before_all_is_in() {
    let mut held_up = HeldUp::new().await;
    held_up.world.disk("disk-a").plug();
    let inserting = tokio::spawn({
        let drive = Arc::clone(&held_up.drive);
        async move { drive.insert("a", None, WhenOccupied::Refuse).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!inserting.is_finished());
    assert_eq!(volume(&held_up.drive).state(), State::Absent);
    held_up.until_all_is_in().await;
    inserting.await.unwrap().unwrap();
    until(&volume(&held_up.drive), State::Present).await;
    let durable = held_up.world.disk("disk-a").durable();
    assert_filled(&durable[..(PAGES * PAGE) as usize], 1, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_until_all_is_in() {
    let mut held_up = HeldUp::new().await;
    write(&held_up.device, 0, 512, 2).await;
    let stopping = tokio::spawn({
        let drive = Arc::clone(&held_up.drive);
        async move { drive.stop().await }
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!stopping.is_finished());
    held_up.until_all_is_in().await;
    stopping.await.unwrap().unwrap();
    let HeldUp { world, drive, device, .. } = held_up;
    drop((drive, device));
    let drive = world.started().await;
    let bytes = read(&support::device(&drive), 0, PAGES * PAGE).await;
    assert_filled(&bytes[..512], 2, "written while it was held up");
    assert_filled(&bytes[512..], 1, "what was retained");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_breaks_meanwhile_fails_the_volume() {
    let held_up = HeldUp::new().await;
    let flush = held_up.begin(Request::Flush);
    let_others_run().await;
    held_up.journals_disk(Refuses::Writes);
    assert_eq!(kind_of(flush.await.unwrap()), ErrorKind::PreviousFailure);
    until(&volume(&held_up.drive), State::Failed).await;
    held_up.pulling.await.unwrap().unwrap();
    for request in [Request::Flush, writing(0, 512, 1), Request::read(extent(0, 512))] {
        let answer = held_up.device.execute(request).answer().await;
        assert_eq!(kind_of(answer), ErrorKind::PreviousFailure);
    }
    assert_eq!(volume(&held_up.drive).status().retained_bytes, 0);
}
