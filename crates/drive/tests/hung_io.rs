//! A medium that neither answers nor fails: what hangs is bounded, and its late end changes nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{ErrorKind, Request};
use hotbay_drive::{AutoInsert, Drive, EventKind, State, WhenOccupied};
use support::disk::{Disk, NEVER};
use support::*;
use tokio::time::{Instant, sleep, timeout};

/// As `VolumeSettings::new` has it.
const DEADLINE: Duration = Duration::from_secs(30);

/// More often than that nobody looks for what hangs.
const LATER: Duration = Duration::from_secs(1);

async fn until_hanging(disk: &Disk, count: usize) {
    let all = async {
        while disk.hanging() < count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(NEVER, all).await.expect("so much hangs");
}

async fn try_insert(drive: &Drive) -> Result<(), String> {
    let inserted = drive.insert("a", None, WhenOccupied::Refuse).await;
    inserted.map_err(|refusal| refusal.to_string())
}

#[tokio::test(start_paused = true)]
async fn what_has_not_been_answered_in_time_is_a_loss_and_answered_by_the_journal() {
    for (op, words) in [
        (Op::Change, "a write of 4096+4096"),
        (Op::Read, "a read of 0+4096"),
        (Op::Flush, "a sync"),
        (Op::Presence, "a look whether it is there"),
    ] {
        let world = World::one();
        let (drive, disk) = (world.started().await, world.disk("disk-a"));
        let device = device(&drive);
        write(&device, 0, 4096, 1).await;
        disk.hang(op, 0);
        let request = match op {
            Op::Change => writing(4096, 4096, 2),
            Op::Flush => Request::Flush,
            _ => Request::read(extent(0, 4096)),
        };
        let begun = Instant::now();
        let asked = begin(&device, request);
        if op != Op::Presence {
            until_hanging(&disk, 1).await;
            sleep(DEADLINE - LATER).await;
            assert!(!asked.is_finished(), "{op:?}: it has more time");
            assert_eq!(volume(&drive).state(), State::Present);
        }
        asked.await.unwrap().unwrap();
        until(&volume(&drive), State::Absent).await;
        assert!(begun.elapsed() <= DEADLINE + LATER, "{op:?}: {:?}", begun.elapsed());
        let told = until_event(&drive, EventKind::Lost).await;
        assert!(told.contains(&format!("disk-a: {words} has not been answered for 30s")), "{told}");
        // What hung is over: nothing was told that it waited for.
        assert_filled(&read(&device, 0, 4096).await, 1, "what was acknowledged before");
        disk.yank();
        disk.plug();
        disk.heal();
        let_others_run().await;
        insert(&drive, "a").await;
        assert_filled(&disk.durable()[..4096], 1, "on the platter");
        if op == Op::Change {
            assert_filled(&disk.durable()[4096..8192], 2, "what hung, on the platter");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_is_slow_but_answers_in_time_is_never_given_up() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    for round in 1..20 {
        for request in [writing(0, 4096, round), Request::read(extent(0, 512)), Request::Flush] {
            disk.hang(Op::of(&request), 0);
            disk.hang(Op::Presence, 0);
            // As many as a client has under way: each has its own time, and the first of them nearly all of it.
            let asked = begin(&device, request);
            until_hanging(&disk, 1).await;
            sleep(DEADLINE - LATER).await;
            disk.let_hung_land();
            asked.await.unwrap().unwrap();
        }
    }
    assert_eq!(volume(&drive).state(), State::Present);
    assert!(!has_event(&drive, EventKind::Lost));
}

/// The stale write lands at each of the moments that are left to it.
#[tokio::test(start_paused = true)]
async fn a_stale_write_never_lands_on_newer_data() {
    for lands in ["before the insert", "while the insert waits", "after an insert was refused"] {
        let world = World::one();
        let (drive, disk) = (world.started().await, world.disk("disk-a"));
        let drive = Arc::new(drive);
        let device = device(&drive);
        disk.hang(Op::Change, 0);
        let stale = begin(&device, writing(0, 4096, 1));
        stale.await.unwrap().unwrap();
        assert_eq!(volume(&drive).state(), State::Absent);
        write(&device, 0, 4096, 2).await;
        flush(&device).await;
        match lands {
            "before the insert" => {
                disk.heal();
                let_others_run().await;
                insert(&drive, "a").await;
            }
            "while the insert waits" => {
                let shared = Arc::clone(&drive);
                let inserted = tokio::spawn(async move { try_insert(&shared).await });
                sleep(LATER).await;
                assert_eq!(volume(&drive).state(), State::Absent, "nothing is put in yet");
                disk.heal();
                inserted.await.unwrap().unwrap();
            }
            _ => {
                let why = try_insert(&drive).await.unwrap_err();
                assert!(why.contains("still hangs"), "{why}");
                assert_eq!(disk.open_handles(), 1, "that of the write");
                let hung = volume(&drive).status().hung.expect("the state says why it waits");
                assert!(hung.starts_with("a write of 0+4096, for 4"), "{hung}");
                disk.heal();
                let_others_run().await;
                assert_eq!(volume(&drive).status().hung, None);
                assert_filled(&disk.cached()[..4096], 1, "it has landed");
                insert(&drive, "a").await;
            }
        }
        assert_filled(&disk.durable()[..4096], 2, lands);
        assert_filled(&read(&device, 0, 4096).await, 2, lands);
        assert_eq!(disk.double_opens(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_medium_comes_back_by_itself_once_nothing_hangs_on_it() {
    let world = World::one_with(|settings| settings.auto_insert = AutoInsert::WhenItReturns);
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    disk.hang(Op::Change, 0);
    write(&device, 0, 4096, 1).await;
    write(&device, 0, 4096, 2).await;
    sleep(DEADLINE * 3).await;
    assert_eq!(volume(&drive).state(), State::Absent, "it could still be reached");
    disk.heal();
    until(&volume(&drive), State::Present).await;
    assert_filled(&disk.durable()[..4096], 2, "on the platter");
    assert_eq!(disk.double_opens(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_hangs_is_a_loss_and_is_made_again() {
    for op in [Op::Change, Op::Flush, Op::Identify] {
        let world = World::one();
        let (drive, disk) = (world.started().await, world.disk("disk-a"));
        let device = device(&drive);
        drive.pull("a").await.unwrap();
        write(&device, 0, 4096, 1).await;
        // The first look who it is comes before the replay, the second in it.
        disk.hang(op, usize::from(op == Op::Identify));
        try_insert(&drive).await.unwrap_err();
        assert_eq!(volume(&drive).state(), State::Absent, "{op:?}");
        write(&device, 0, 4096, 2).await;
        disk.heal();
        let_others_run().await;
        insert(&drive, "a").await;
        assert_filled(&disk.durable()[..4096], 2, "on the platter");
    }
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_cannot_be_opened_or_examined_in_time_is_refused() {
    for op in [Op::Open, Op::Identify] {
        let world = World::one();
        let (drive, disk) = (world.started().await, world.disk("disk-a"));
        drive.pull("a").await.unwrap();
        let_others_run().await;
        disk.hang(op, 0);
        let begun = Instant::now();
        let why = try_insert(&drive).await.unwrap_err();
        assert!(why.contains("has not answered") && why.contains("30s"), "{why}");
        assert!(volume(&drive).status().hung.is_some(), "{op:?}");
        assert!(begun.elapsed() <= DEADLINE + LATER);
        let why = try_insert(&drive).await.unwrap_err();
        assert!(why.contains("still hangs"), "{why}");
        assert_eq!(disk.hanging(), 1, "no second one, while the first hangs");
        disk.heal();
        let_others_run().await;
        insert(&drive, "a").await;
    }
}

#[tokio::test(start_paused = true)]
async fn looks_that_hang_do_not_pile_up_and_the_watch_goes_on() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    let held = disk.hold(Op::Presence);
    held.until_stuck(1).await;
    sleep(DEADLINE / 2).await;
    held.until_stuck(1).await;
    assert_eq!(held.stuck(), 1, "one look at a time");
    // The watch notices other things meanwhile.
    disk.hang(Op::Change, 0);
    let asked = begin(&device, writing(0, 4096, 1));
    held.release();
    asked.await.unwrap().unwrap();
    assert!(until_event(&drive, EventKind::Lost).await.contains("a write of 0+4096"));
}

#[tokio::test(start_paused = true)]
async fn a_swap_whose_target_hangs_is_given_up() {
    for op in [Op::Change, Op::Flush, Op::Open, Op::Identify] {
        let world = World::one();
        let target = world.cabinet.make("other", SIZE);
        let (drive, disk) = (world.started().await, world.disk("disk-a"));
        let device = device(&drive);
        write(&device, 0, 4096, 1).await;
        target.hang(op, 0);
        let begun = Instant::now();
        drive.swap("a", "other").await.unwrap_err();
        assert!(begun.elapsed() <= DEADLINE + LATER, "{op:?}");
        assert_eq!(volume(&drive).state(), State::Present);
        write(&device, 0, 4096, 2).await;
        let refused = drive.swap("a", "other").await.unwrap_err().to_string();
        assert!(refused.contains("still hangs"), "{op:?}: {refused}");
        target.heal();
        let_others_run().await;
        drive.swap("a", "other").await.unwrap();
        assert_filled(&target.durable()[..4096], 2, "on the target's platter");
        assert_eq!((disk.double_opens(), target.double_opens()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_swap_whose_source_hangs_is_a_loss() {
    let world = World::one();
    let target = world.cabinet.make("other", SIZE);
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    write(&device, 0, 4096, 1).await;
    disk.hang(Op::Read, 0);
    drive.swap("a", "other").await.unwrap_err();
    until(&volume(&drive), State::Absent).await;
    assert_filled(&read(&device, 0, 4096).await, 1, "from the journal");
    assert_eq!(target.open_handles(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_eject_from_a_medium_that_hangs_ends_and_so_does_what_hung() {
    for op in [Op::Change, Op::Flush] {
        let world = World::one();
        let (drive, disk) = (world.started().await, world.disk("disk-a"));
        let device = device(&drive);
        write(&device, 0, 4096, 1).await;
        disk.hang(op, 0);
        let asked = begin(&device, writing_through(4096, 4096, 2));
        until_hanging(&disk, 1).await;
        let begun = Instant::now();
        drive.eject("a").await.unwrap_err();
        assert!(begun.elapsed() <= DEADLINE * 2, "{op:?}: {:?}", begun.elapsed());
        asked.await.unwrap().unwrap();
        assert_eq!(volume(&drive).state(), State::Absent);
        assert_filled(&read(&device, 4096, 4096).await, 2, "what hung");
    }
}

/// After the sync it is asked who the medium is now. Whoever stops keeps everybody else from the volume meanwhile, so that
/// nobody could pull it.
#[tokio::test(start_paused = true)]
async fn a_medium_that_does_not_say_who_it_is_holds_up_no_stop() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    write(&device(&drive), 0, 4096, 1).await;
    disk.hang(Op::Identify, 0);
    timeout(NEVER, drive.stop()).await.expect("it ends").unwrap();
    assert_filled(&disk.durable()[..4096], 1, "synced");
    assert!(world.records.of("a").unwrap().identity_unsettled, "it may be either");
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_no_medium_that_hangs_and_nothing_is_lost() {
    let comes_back = AutoInsert::WhenItReturns;
    let world = World::empty(2).with("a", SIZE, |settings| settings.auto_insert = comes_back).with(
        "b",
        SIZE,
        |_| {},
    );
    for op in [Op::Change, Op::Flush] {
        let drive = world.started().await;
        let (disk, other) = (world.disk("disk-a"), world.disk("disk-b"));
        let devices = [0, 1].map(|place: usize| drive.volumes()[place].open());
        write(&devices[0], 0, 4096, 1).await;
        write(&devices[1], 0, 4096, 3).await;
        disk.hang(op, 0);
        let hung = begin(&devices[0], writing_through(4096, 4096, 2));
        until_hanging(&disk, 1).await;
        let begun = Instant::now();
        drive.stop().await.unwrap();
        assert!(begun.elapsed() <= DEADLINE, "{op:?}: {:?}", begun.elapsed());
        let acknowledged = hung.await.unwrap().is_ok();
        drop((drive, devices));
        disk.heal();
        let_others_run().await;
        disk.lose_unsynced();
        other.lose_unsynced();
        let drive = world.started().await;
        let devices = [0, 1].map(|place: usize| drive.volumes()[place].open());
        assert_eq!(drive.volumes()[0].state(), State::Present, "a restart is not a removal");
        assert_filled(&read(&devices[0], 0, 4096).await, 1, "behind the medium that hung");
        if acknowledged {
            assert_filled(&read(&devices[0], 4096, 4096).await, 2, "what hung");
        }
        assert_filled(&read(&devices[1], 0, 4096).await, 3, "on the other one");
        drive.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_insert_that_hangs_holds_up_no_stop() {
    let world = World::one();
    let (drive, disk) = (Arc::new(world.started().await), world.disk("disk-a"));
    drive.pull("a").await.unwrap();
    let_others_run().await;
    disk.hang(Op::Open, 0);
    let shared = Arc::clone(&drive);
    let inserted = tokio::spawn(async move { try_insert(&shared).await });
    until_hanging(&disk, 1).await;
    let begun = Instant::now();
    drive.stop().await.unwrap();
    assert!(begun.elapsed() < LATER);
    inserted.await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_hangs_keeps_no_other_volume_from_anything() {
    let world = World::empty(2).with("a", SIZE, |_| {}).with("b", SIZE, |_| {});
    let drive = world.started().await;
    let disk = world.disk("disk-a");
    let devices = [0, 1].map(|place: usize| drive.volumes()[place].open());
    for op in [Op::Presence, Op::Change, Op::Flush, Op::Read] {
        disk.hang(op, 0);
    }
    let _asked = [writing(0, 4096, 1), Request::Flush, Request::read(extent(0, 512))]
        .map(|request| begin(&devices[0], request));
    until_hanging(&disk, 4).await;
    let begun = Instant::now();
    write(&devices[1], 0, 4096, 2).await;
    flush(&devices[1]).await;
    drive.eject("b").await.unwrap();
    drive.insert("b", None, WhenOccupied::Refuse).await.unwrap();
    assert_eq!(drive.status().volumes.len(), 2);
    assert!(begun.elapsed() < LATER);
    drive.pull("a").await.unwrap();
    assert!(begun.elapsed() < LATER, "a pull waits for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hung_waits_for_the_medium_then_as_any_other_does() {
    let world = World::one();
    let (drive, disk) = (world.started().await, world.disk("disk-a"));
    let device = device(&drive);
    disk.hang(Op::Read, 0);
    let begun = Instant::now();
    assert_eq!(
        kind_of(device.execute(Request::read(extent(0, 512))).answer().await),
        ErrorKind::TimedOut
    );
    let absent_wait = Duration::from_secs(30);
    assert!(begun.elapsed() <= DEADLINE + absent_wait + LATER, "{:?}", begun.elapsed());
}
