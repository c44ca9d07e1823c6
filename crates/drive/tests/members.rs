//! Volumes that come, go and grow while the drive runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use hotbay_block::ErrorKind;
use hotbay_drive::{
    Drive, EventKind, Leavings, Records as _, Refusal, Resolution, State, VolumeSettings, WhenHeld,
    WhenOccupied, WhenOpen,
};
use support::*;

const LARGER: u64 = 2 * SIZE as u64;

fn settings(name: &str) -> VolumeSettings {
    let mut settings = VolumeSettings::new(name, format!("disk-{name}"));
    settings.journal_limit_bytes = 16 << 20;
    settings.auto_insert = hotbay_drive::AutoInsert::Never;
    settings
}

async fn add(world: &World, drive: &Drive, name: &str) -> Result<(), Refusal> {
    let setup = world.setup(&settings(name), 9).await;
    drive.add(setup, Box::pin(async { Ok(()) })).await
}

async fn remove(drive: &Drive, name: &str) -> Result<Leavings, Refusal> {
    remove_so(drive, name, WhenOpen::Refuse, WhenHeld::Refuse).await
}

async fn remove_so(
    drive: &Drive,
    name: &str,
    open: WhenOpen,
    held: WhenHeld,
) -> Result<Leavings, Refusal> {
    drive.remove(name, open, held, Box::pin(async { Ok(()) })).await
}

fn cannot_record() -> Refusal {
    Refusal::new("the state directory is full")
}

fn names(drive: &Drive) -> Vec<String> {
    drive.volumes().iter().map(|volume| volume.name().to_owned()).collect()
}

/// A drive with the volume `a`, and a disk for another one.
async fn one_of_two() -> (World, Drive) {
    let world = World::empty(2).with("a", SIZE, |_| {});
    world.cabinet.make("disk-b", SIZE);
    let drive = world.started().await;
    (world, drive)
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_added_is_one_like_the_others() {
    let (world, drive) = one_of_two().await;
    add(&world, &drive, "b").await.unwrap();
    assert_eq!(names(&drive), ["a", "b"]);
    let b = drive.volume("b").unwrap();
    until(&b, State::Present).await;
    write(&b.open(), 0, 512, 5).await;
    world.disk("disk-b").yank();
    drive.pull("b").await.unwrap();
    assert_filled(&read(&b.open(), 0, 512).await, 5, "from its journal");
    world.disk("disk-b").plug();
    insert(&drive, "b").await;
    flush(&b.open()).await;
    assert_filled(&world.disk("disk-b").durable()[..512], 5, "replayed");
    let twice = drive.add(world.setup(&settings("c"), 1).await, Box::pin(async { Ok(()) })).await;
    assert!(twice.unwrap_err().to_string().contains("no disk disk-c"));
    assert_eq!(names(&drive), ["a", "b"]);
}

/// The watch of a volume that was added notices a loss that no request meets.
#[tokio::test(start_paused = true)]
async fn a_volume_that_is_added_is_watched() {
    let (world, drive) = one_of_two().await;
    add(&world, &drive, "b").await.unwrap();
    let b = drive.volume("b").unwrap();
    until(&b, State::Present).await;
    world.disk("disk-b").yank();
    until(&b, State::Absent).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_added_or_removed_that_cannot_be_recorded() {
    let (world, drive) = one_of_two().await;
    let setup = world.setup(&settings("b"), 9).await;
    drive.add(setup, Box::pin(async { Err(cannot_record()) })).await.unwrap_err();
    assert_eq!((names(&drive).len(), world.disk("disk-b").open_handles()), (1, 0));

    let failing = Box::pin(async { Err(cannot_record()) });
    let removed = drive.remove("a", WhenOpen::Refuse, WhenHeld::Refuse, failing).await;
    assert_eq!(removed.unwrap_err(), cannot_record());
    assert_eq!(volume(&drive).state(), State::Present);
    write(&device(&drive), 0, 512, 3).await;
    assert_filled(&read(&device(&drive), 0, 512).await, 3, "it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_removed_leaves_everything_on_its_medium() {
    let (world, drive) = one_of_two().await;
    add(&world, &drive, "b").await.unwrap();
    write(&device(&drive), 0, 512, 4).await;
    let gone = volume(&drive);
    assert_eq!(remove(&drive, "a").await.unwrap(), Leavings::Nothing);
    assert_filled(&world.disk("disk-a").durable()[..512], 4, "synced");
    assert_eq!((names(&drive), world.disk("disk-a").open_handles()), (vec!["b".to_owned()], 0));
    assert!(has_event(&drive, EventKind::Removed));
    drive.volume("a").unwrap_err();

    // Whoever has kept it finds nothing to do with it.
    let error = gone.open().execute(writing(0, 512, 6)).answer().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ShuttingDown);
    drop(gone);
    add(&world, &drive, "a").await.unwrap();
    assert_eq!(names(&drive), ["b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_open_is_removed_only_with_its_sessions() {
    let (world, drive) = one_of_two().await;
    let session = device(&drive);
    write(&session, 0, 512, 4).await;
    let refused = remove(&drive, "a").await.unwrap_err();
    assert!(refused.message().contains("is open in a session"), "{refused}");
    assert!(refused.next_step().unwrap().contains("--close-sessions"));
    write(&session, 512, 512, 5).await;

    let closed = session.exchanged();
    remove_so(&drive, "a", WhenOpen::Close, WhenHeld::Refuse).await.unwrap();
    closed.await;
    assert_filled(&world.disk("disk-a").durable()[..512], 4, "what it was told is safe");
    assert_filled(&world.disk("disk-a").durable()[512..1024], 5, "what it was told is safe");
    let late = session.execute(writing(0, 512, 9)).answer().await;
    assert_eq!(kind_of(late), ErrorKind::ShuttingDown);
    assert_filled(&world.disk("disk-a").cached()[..512], 4, "nothing lands late");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_holds_something_is_kept_or_the_volume_is() {
    let (world, drive) = one_of_two().await;
    drive.eject("a").await.unwrap();
    write(&device(&drive), 0, 512, 4).await;
    let refused = remove(&drive, "a").await.unwrap_err();
    assert!(refused.message().contains("holds 512 bytes"), "{refused}");
    assert!(refused.next_step().unwrap().contains("--keep-journal"));
    write(&device(&drive), 512, 512, 5).await;

    let removed = remove_so(&drive, "a", WhenOpen::Refuse, WhenHeld::Keep).await;
    assert_eq!((removed.unwrap(), names(&drive).len()), (Leavings::Journal, 0));
    add(&world, &drive, "a").await.unwrap();
    assert_eq!(volume(&drive).state(), State::Absent, "where it was");
    assert_filled(&read(&device(&drive), 0, 512).await, 4, "from the journal that was kept");
    insert(&drive, "a").await;
    assert_filled(&world.disk("disk-a").durable()[512..1024], 5, "replayed");
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_has_failed_is_removed_with_its_journal_kept() {
    let (world, drive) = one_of_two().await;
    drive.eject("a").await.unwrap();
    *world.mood("a").lock() = Refuses::Writes;
    let answer = device(&drive).execute(writing(0, 512, 4)).answer().await;
    answer.unwrap_err();
    until(&volume(&drive), State::Failed).await;
    remove(&drive, "a").await.unwrap_err();
    remove_so(&drive, "a", WhenOpen::Refuse, WhenHeld::Keep).await.unwrap();
    *world.mood("a").lock() = Refuses::Nothing;
    add(&world, &drive, "a").await.unwrap();
    assert_eq!(volume(&drive).state(), State::Absent, "its disk is well again");
}

/// It loses its medium, and its sessions, at the same time.
#[tokio::test(start_paused = true)]
async fn a_medium_that_cannot_be_synced_keeps_its_volume() {
    let (world, drive) = one_of_two().await;
    write(&device(&drive), 0, 512, 4).await;
    world.disk("disk-a").script(Op::Flush, 0, Fault::Gone);
    let refused = remove(&drive, "a").await.unwrap_err();
    assert!(refused.next_step().is_some(), "{refused}");
    until(&volume(&drive), State::Absent).await;
    assert_filled(&read(&device(&drive), 0, 512).await, 4, "from its journal");
}

#[tokio::test(start_paused = true)]
async fn bays_may_become_more_and_fewer() {
    let (world, drive) = one_of_two().await;
    drive.set_bays(1);
    add(&world, &drive, "b").await.unwrap();
    assert_eq!(drive.volume("b").unwrap().state(), State::Absent, "no bay is free for it");
    drive.set_bays(2);
    insert(&drive, "b").await;
    assert_eq!(drive.status().bays, 2);
}

#[tokio::test(start_paused = true)]
async fn a_volume_grows_while_it_is_in_use() {
    let world = World::one();
    world.disk("disk-a").fill(7);
    let drive = world.started().await;
    let early = device(&drive);
    write(&early, 0, 512, 1).await;
    drive.grow("a", LARGER).await.unwrap();
    assert_eq!(early.info().size_bytes, LARGER, "who hears of it goes on in the same session");
    write(&early, 512, 512, 2).await;
    let late = device(&drive);
    assert_eq!(late.info().size_bytes, LARGER);
    assert_filled(&read(&late, SIZE as u64, SIZE as u64).await, 0, "zeroes behind the end");
    write(&early, LARGER - 2048, 512, 5).await;
    write(&late, LARGER - 512, 512, 3).await;
    assert_filled(&read(&late, 0, 512).await, 1, "what was there");

    // Its journal takes what lies behind the earlier end as well, and so does its medium when it is back.
    drive.eject("a").await.unwrap();
    write(&late, LARGER - 1024, 512, 4).await;
    flush(&late).await;
    insert(&drive, "a").await;
    let platter = world.disk("disk-a").durable();
    let end = platter.len();
    assert_filled(&platter[end - 512..], 3, "on the medium");
    assert_filled(&platter[end - 1024..end - 512], 4, "replayed");
    assert_filled(&platter[end - 2048..end - 1536], 5, "by a session from before");
    assert_filled(&platter[1024..SIZE], 7, "not touched");
    assert!(has_event(&drive, EventKind::Grown));
}

#[test]
fn a_volume_keeps_its_size_through_a_kill() {
    let world = World::one();
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        drive.grow("a", LARGER).await.unwrap();
        write(&device(&drive), LARGER - 512, 512, 3).await;
    });
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        assert_eq!(device(&drive).info().size_bytes, LARGER);
        assert_filled(&read(&device(&drive), LARGER - 512, 512).await, 3, "behind its first end");
    });
}

/// After the medium had grown the daemon was killed, before the volume had.
fn grow_the_medium_alone(world: &World) {
    let mut record = world.records.of("a").unwrap();
    record.grows_to = Some(LARGER);
    world.records.save(&record).unwrap();
    world.disk("disk-a").grow(2 * SIZE);
}

/// Then it was taken out, and changed elsewhere.
#[test]
fn a_medium_in_conflict_that_has_grown_is_resolved() {
    for (resolution, from_journal) in [(Resolution::Replay, 4), (Resolution::Discard, 0)] {
        let world = World::one();
        life(&world, async |drive| {
            until(&volume(&drive), State::Present).await;
            drive.eject("a").await.unwrap();
            write(&device(&drive), 512, 512, 4).await;
        });
        grow_the_medium_alone(&world);
        world.disk("disk-a").overwrite(4096, &[7; 512]);
        life(&world, async |drive| {
            drive.insert("a", None, WhenOccupied::Refuse).await.unwrap_err();
            assert_eq!(volume(&drive).state(), State::Conflict);
            drive.resolve("a", resolution).await.unwrap();
            assert_eq!(volume(&drive).state(), State::Present);
            assert_eq!(device(&drive).info().size_bytes, SIZE as u64, "as before");
            let told = drive.events().after(0).into_iter().map(|event| event.text);
            assert!(told.into_iter().any(|text| text.contains("hotbay volume grow a 131072")));
            drive.grow("a", LARGER).await.unwrap();
            let device = device(&drive);
            assert_eq!(device.info().size_bytes, LARGER);
            assert_filled(&read(&device, 4096, 512).await, 7, "the medium");
            assert_filled(&read(&device, 512, 512).await, from_journal, "the journal");
        });
    }
}

/// The daemon was killed after the medium had grown and before the volume had.
#[test]
fn growing_that_was_interrupted_is_completed() {
    let world = World::one();
    life(&world, async |drive| write(&device(&drive), 0, 512, 3).await);
    grow_the_medium_alone(&world);
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        assert_eq!(device(&drive).info().size_bytes, SIZE as u64, "as before");
        assert_filled(&read(&device(&drive), 0, 512).await, 3, "as before");
        let told = until_event(&drive, EventKind::Warning).await;
        assert!(told.contains("hotbay volume grow a 131072"), "{told}");
        drive.eject("a").await.unwrap();
        write(&device(&drive), 512, 512, 4).await;
        insert(&drive, "a").await;
        drive.grow("a", LARGER).await.unwrap();
        assert_eq!(device(&drive).info().size_bytes, LARGER);
        assert_filled(&read(&device(&drive), 512, 512).await, 4, "replayed");
    });
    let record = world.records.of("a").unwrap();
    assert_eq!((record.size_bytes, record.grows_to), (LARGER, None));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_grow_stays_as_it_is() {
    let world = World::one();
    let drive = world.started().await;
    write(&device(&drive), 0, 512, 1).await;
    let smaller = drive.grow("a", 512).await.unwrap_err();
    assert!(smaller.message().contains("has 65536 bytes, more than 512"), "{smaller}");
    let too_large = drive.grow("a", MOST_BYTES + 512).await.unwrap_err();
    assert!(too_large.message().contains("no room"), "{too_large}");
    write(&device(&drive), 0, 512, 2).await;
    assert_eq!(device(&drive).info().size_bytes, SIZE as u64);
    assert_eq!(world.records.of("a").unwrap().grows_to, None);
    drive.eject("a").await.unwrap();
    drive.grow("a", LARGER).await.unwrap_err();
    insert(&drive, "a").await;
    assert_filled(&read(&device(&drive), 0, 512).await, 2, "as it was");
}

/// What waits at the gate meanwhile goes on by the journal.
#[tokio::test(start_paused = true)]
async fn a_medium_that_hangs_as_it_grows_is_lost() {
    let world = World::one();
    let drive = Arc::new(world.started().await);
    let disk = world.disk("disk-a");
    let held = disk.hold(Op::Grow);
    let growing = {
        let drive = Arc::clone(&drive);
        tokio::spawn(async move { drive.grow("a", LARGER).await })
    };
    held.until_stuck(1).await;
    let writing = begin(&device(&drive), writing(0, 512, 8));
    growing.await.unwrap().unwrap_err();
    writing.await.unwrap().unwrap();
    assert_eq!(volume(&drive).state(), State::Absent);
    held.release();
}

/// It is known before the medium grows, so that a crash in between leaves a medium that is the volume's own.
#[tokio::test(start_paused = true)]
async fn that_a_volume_grows_is_recorded_before_its_medium_does() {
    let world = World::one();
    let drive = Arc::new(world.started().await);
    let held = world.disk("disk-a").hold(Op::Grow);
    let growing = {
        let drive = Arc::clone(&drive);
        tokio::spawn(async move { drive.grow("a", LARGER).await })
    };
    held.until_stuck(1).await;
    assert_eq!(world.records.of("a").unwrap().grows_to, Some(LARGER));
    held.release();
    growing.await.unwrap().unwrap();
    // And afterwards it is that size by which the medium is known.
    drive.eject("a").await.unwrap();
    insert(&drive, "a").await;
    assert_eq!(world.records.of("a").unwrap().identity.unwrap().size_bytes, LARGER);
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_being_replayed_is_not_removed() {
    let (world, drive) = one_of_two().await;
    add(&world, &drive, "b").await.unwrap();
    let (b, drive) = (drive.volume("b").unwrap(), Arc::new(drive));
    drive.eject("b").await.unwrap();
    write(&b.open(), 0, 512, 5).await;
    let held = world.disk("disk-b").hold(Op::Change);
    let inserting = {
        let drive = Arc::clone(&drive);
        tokio::spawn(async move { insert(&drive, "b").await })
    };
    held.until_stuck(1).await;
    let refused = remove(&drive, "b").await.unwrap_err();
    assert!(refused.message().contains("volume b is replaying"), "{refused}");
    held.release();
    inserting.await.unwrap();
    assert_eq!(remove(&drive, "b").await.unwrap(), Leavings::Nothing);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_second_volume_of_a_name() {
    let (world, drive) = one_of_two().await;
    let other = World::one();
    let twin = drive.add(other.setup(&settings("a"), 9).await, Box::pin(async { Ok(()) })).await;
    assert_eq!(twin.unwrap_err().message(), "there is a volume a already");
    assert_eq!(names(&drive), ["a"]);
    drop(world);
}
