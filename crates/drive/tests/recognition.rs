//! Which medium is the volume's own, and what becomes of one that was changed while it was away: each row of the table in
//! `docs/states.md`, and `resolve`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotbay_block::{Device, ErrorKind};
use hotbay_drive::{Drive, EventKind, Records as _, Resolution, State, WhenOccupied};

use support::*;

#[test]
fn each_row_of_a_table_of_tests_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let mut tests = Vec::new();
    tests_in(&root.join("crates"), &mut tests);
    let is_there = |name: &str| match name.rsplit_once('.') {
        Some((_, "sh")) => root.join("tests").join(name).exists(),
        Some((_, "rs")) => tests.iter().any(|(path, _)| path.ends_with(name)),
        _ => tests.iter().any(|(_, text)| text.contains(&format!("fn {name}("))),
    };
    let mut rows = 0;
    for table in include_str!("../../../docs/states.md").split("| test |\n|---|---|---|\n").skip(1)
    {
        for row in table.lines().take_while(|line| line.starts_with('|')) {
            let named = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            let names: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "no test in: {row}");
            for name in names {
                assert!(is_there(name), "there is no test {name}");
            }
            rows += 1;
        }
    }
    assert!(rows > 38, "only {rows} rows were found");
}

/// The files below a directory in which tests are, and what is in them.
fn tests_in(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            if text.contains("#[test]") || text.contains("#[tokio::test") {
                found.push((path, text));
            }
        }
    }
}

/// What became of a medium at the bay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Replayed,
    Refused,
    Conflict,
}

async fn meet(drive: &Drive, medium: Option<&str>) -> Met {
    let inserted = drive.insert("a", medium, WhenOccupied::Refuse).await;
    match (inserted, volume(drive).state()) {
        (Ok(()), State::Present) => Met::Replayed,
        (Err(_), State::Absent) => Met::Refused,
        (Err(_), State::Conflict) => Met::Conflict,
        other => panic!("{other:?}"),
    }
}

/// A volume whose content tells who it is, ejected, with a change in its journal.
async fn ejected(world: &World) -> (Drive, Arc<dyn Device>) {
    world.disk("disk-a").content_tells_identity();
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    write(&device, 8192, 512, 2).await;
    drive.eject("a").await.unwrap();
    write(&device, 16384, 512, 3).await;
    (drive, device)
}

#[tokio::test(start_paused = true)]
async fn another_size() {
    let world = World::one();
    let (drive, _device) = ejected(&world).await;
    let large = world.cabinet.make("large", 2 * SIZE);
    assert_eq!(meet(&drive, Some("large")).await, Met::Refused);
    assert_eq!((large.changes(), large.open_handles()), (0, 0), "not touched");
    assert!(has_event(&drive, EventKind::Refused));
}

#[tokio::test(start_paused = true)]
async fn its_own() {
    let world = World::one();
    let (drive, _device) = ejected(&world).await;
    assert_eq!(meet(&drive, None).await, Met::Replayed);
    assert_filled(&world.disk("disk-a").durable()[16384..16896], 3, "replayed");
}

#[tokio::test(start_paused = true)]
async fn a_true_copy() {
    let world = World::one();
    let (drive, _device) = ejected(&world).await;
    let copy = world.cabinet.make("copy", SIZE);
    copy.content_tells_identity();
    copy.overwrite(0, &world.disk("disk-a").durable());
    assert_eq!(meet(&drive, Some("copy")).await, Met::Replayed);
}

#[tokio::test(start_paused = true)]
async fn its_own_without_identifiers() {
    let world = World::one();
    let drive = world.started().await;
    drive.eject("a").await.unwrap();
    write(&device(&drive), 512, 512, 3).await;
    assert_eq!(meet(&drive, None).await, Met::Replayed);
}

#[tokio::test(start_paused = true)]
async fn another_without_identifiers() {
    let world = World::one();
    let drive = world.started().await;
    drive.eject("a").await.unwrap();
    write(&device(&drive), 0, 512, 1).await;
    let other = world.cabinet.make("other", SIZE);
    let refusal = drive.insert("a", Some("other"), WhenOccupied::Refuse).await.unwrap_err();
    assert!(refusal.message().contains("not the medium of volume a"), "{refusal}");
    assert_eq!((other.changes(), other.open_handles()), (0, 0), "not touched");
    assert_eq!(meet(&drive, None).await, Met::Replayed);
    assert_filled(&world.disk("disk-a").durable()[..512], 1, "its own gets it");
}

#[tokio::test(start_paused = true)]
async fn another() {
    let world = World::one();
    let (drive, _device) = ejected(&world).await;
    let other = world.cabinet.make("other", SIZE);
    other.content_tells_identity();
    other.fill(9);
    let refusal = drive.insert("a", Some("other"), WhenOccupied::Refuse).await.unwrap_err();
    let message = refusal.message();
    assert!(message.contains("[09, 09") && message.contains("[01, 01"), "both: {message}");
    assert_eq!(volume(&drive).state(), State::Absent);
    assert_filled(&other.cached(), 9, "not touched");
}

#[tokio::test(start_paused = true)]
async fn made_anew() {
    let world = World::one();
    let (drive, _device) = ejected(&world).await;
    world.disk("disk-a").overwrite(0, &[9; 512]);
    assert_eq!(meet(&drive, None).await, Met::Conflict);
}

#[tokio::test(start_paused = true)]
async fn changed_elsewhere() {
    let world = World::one();
    let (drive, device) = ejected(&world).await;
    let disk = world.disk("disk-a");
    disk.overwrite(4096, &[7; 512]);
    let before = (disk.changes(), disk.durable());
    assert_eq!(meet(&drive, None).await, Met::Conflict);
    let status = volume(&drive).status();
    assert_eq!((status.bay, disk.open_handles()), (Some(0), 0));
    assert!(status.conflict.unwrap().contains("1 of "), "it says what shows it");
    // As absent: the journal answers, and takes changes.
    write(&device, 20480, 512, 4).await;
    flush(&device).await;
    assert_filled(&read(&device, 16384, 512).await, 3, "from the journal");
    assert_eq!((disk.changes(), disk.durable()), before, "nothing was written to it");
    drive.eject("a").await.unwrap();
    let status = volume(&drive).status();
    assert_eq!((status.state, status.bay, status.conflict), (State::Absent, None, None));
    assert_eq!((disk.changes(), disk.durable()), before, "it is given back as it was");
}

/// Puts an image back that was taken before the last synced write.
async fn put_older_copy_back(world: &World, in_journal: bool) -> Met {
    let disk = world.disk("disk-a");
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 8192, 512, 1).await;
    flush(&device).await;
    let older = disk.durable();
    write(&device, 8192, 512, 2).await;
    flush(&device).await;
    drive.eject("a").await.unwrap();
    if in_journal {
        write(&device, 0, 512, 3).await;
    }
    disk.overwrite(0, &older);
    let met = meet(&drive, None).await;
    assert_eq!(disk.durable(), older, "nothing was written to it");
    met
}

#[tokio::test(start_paused = true)]
async fn an_older_copy() {
    assert_eq!(put_older_copy_back(&World::one(), true).await, Met::Conflict);
}

#[tokio::test(start_paused = true)]
async fn an_older_copy_with_nothing_in_the_journal() {
    assert_eq!(put_older_copy_back(&World::one(), false).await, Met::Conflict);
}

#[tokio::test(start_paused = true)]
async fn torn_while_it_was_made() {
    let world = World::one();
    let disk = world.disk("disk-a");
    disk.content_tells_identity();
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, 512, 1).await;
    flush(&device).await;
    write(&device, 0, 512, 2).await;
    disk.yank();
    drive.pull("a").await.unwrap();
    disk.plug();
    assert_eq!(meet(&drive, None).await, Met::Replayed);
    assert_filled(&disk.durable()[..512], 2, "on the platter");
}

#[tokio::test(start_paused = true)]
async fn torn_writes_are_no_change() {
    let world = World::one();
    let disk = world.disk("disk-a");
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 8192, 4096, 1).await;
    flush(&device).await;
    let_others_run().await;
    write(&device, 8192, 4096, 2).await;
    disk.yank();
    drive.pull("a").await.unwrap();
    disk.overwrite(8192, &[2; 1024]);
    disk.plug();
    assert_eq!(meet(&drive, None).await, Met::Replayed);
    assert_filled(&disk.durable()[8192..12288], 2, "replayed");
}

/// After a pull, too, what was synced bears witness.
#[tokio::test(start_paused = true)]
async fn changed_elsewhere_after_a_pull() {
    let world = World::one();
    let disk = world.disk("disk-a");
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 8192, 4096, 1).await;
    flush(&device).await;
    drive.pull("a").await.unwrap();
    disk.overwrite(8192, &[9; 16]);
    assert_eq!(meet(&drive, None).await, Met::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_replay_cut_short() {
    let world = World::one();
    let (drive, device) = ejected(&world).await;
    let disk = world.disk("disk-a");
    write(&device, 8192, 512, 4).await;
    write(&device, 32768, 4096, 5).await;
    disk.script(Op::Change, 1, Fault::GoneTorn);
    drive.insert("a", None, WhenOccupied::Refuse).await.unwrap_err();
    disk.plug();
    assert_eq!(meet(&drive, None).await, Met::Replayed);
    assert_filled(&disk.durable()[32768..36864], 5, "replayed");
}

/// A sync that fails leaves the system showing what the platter does not have, until a replay has written it again. One that
/// is cut short takes none of it for certain.
#[tokio::test(start_paused = true)]
async fn a_replay_cut_short_after_a_sync_that_failed() {
    for stops in [true, false] {
        let world = World::one();
        let (drive, device) = ejected(&world).await;
        let disk = world.disk("disk-a");
        for place in 8..64 {
            write(&device, place * 1024, 512, 5).await;
        }
        disk.script(Op::Flush, 0, Fault::Error);
        drive.insert("a", None, WhenOccupied::Refuse).await.unwrap_err();
        let (drive, held) = (Arc::new(drive), disk.hold(Op::Change));
        let again = Arc::clone(&drive);
        let inserting =
            tokio::spawn(async move { again.insert("a", None, WhenOccupied::Refuse).await });
        held.until_stuck(1).await;
        let leaving = Arc::clone(&drive);
        let leaving = tokio::spawn(async move {
            match stops {
                true => leaving.stop().await,
                false => leaving.eject("a").await,
            }
        });
        let_others_run().await;
        held.release();
        leaving.await.unwrap().unwrap();
        inserting.abort();
        drop(inserting.await);
        assert!(disk.durable() != disk.cached(), "not all of it was written again");
        drop((device, drive));
        disk.lose_unsynced();
        let drive = world.start().await;
        match stops {
            true => until(&volume(&drive), State::Present).await,
            false => assert_eq!(meet(&drive, None).await, Met::Replayed),
        }
        assert_filled(&disk.durable()[63 * 1024..][..512], 5, "replayed");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_while_the_daemon_was_stopped() {
    let world = World::one();
    let drive = world.started().await;
    write(&device(&drive), 8192, 512, 1).await;
    let (_, content) = volume(&drive).content();
    stop(drive).await;
    let unchanged = world.started().await;
    assert_eq!(volume(&unchanged).content().1, content);
    unchanged.stop().await.unwrap();
    drop(unchanged);
    world.disk("disk-a").overwrite(8192, &[9; 16]);
    let drive = world.started().await;
    assert_eq!(volume(&drive).content().1, content + 1, "another content");
}

#[tokio::test(start_paused = true)]
async fn changed_while_the_daemon_was_stopped_with_a_journal() {
    let world = World::one();
    let (drive, device) = ejected(&world).await;
    stop(drive).await;
    drop(device);
    world.disk("disk-a").overwrite(4096, &[9; 16]);
    let drive = world.start().await;
    assert_eq!(meet(&drive, None).await, Met::Conflict);
}

/// Nothing that is recorded could keep up with clients: the identity alone tells.
#[test]
fn changed_after_a_kill() {
    let world = World::one();
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        write(&device(&drive), 8192, 512, 1).await;
    });
    assert!(world.records.of("a").unwrap().witness.is_empty());
    world.disk("disk-a").overwrite(8192, &[9; 16]);
    life(&world, async |drive| until(&volume(&drive), State::Present).await);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_outlives_the_daemon() {
    let world = World::one();
    assert_eq!(put_older_copy_back(&world, false).await, Met::Conflict);
    let drive = world.start().await;
    assert_eq!(volume(&drive).state(), State::Conflict);
}

async fn in_conflict(world: &World) -> (Drive, Arc<dyn Device>) {
    let (drive, device) = ejected(world).await;
    world.disk("disk-a").overwrite(4096, &[7; 512]);
    assert_eq!(meet(&drive, None).await, Met::Conflict);
    (drive, device)
}

/// When a stop has ended, all that was acknowledged is durable: nothing may be acknowledged any more.
#[tokio::test(start_paused = true)]
async fn a_medium_in_conflict_that_goes_after_a_stop_opens_nothing() {
    let world = World::one();
    let (drive, device) = in_conflict(&world).await;
    drive.stop().await.unwrap();
    drive.eject("a").await.unwrap();
    assert_eq!(volume(&drive).state(), State::Absent);
    let refused = device.execute(writing(0, 512, 1)).answer().await;
    assert_eq!(kind_of(refused), ErrorKind::ShuttingDown);
}

#[tokio::test(start_paused = true)]
async fn a_replay_lays_the_journal_over_the_medium_as_it_is() {
    let world = World::one();
    let (drive, device) = in_conflict(&world).await;
    drive.resolve("a", Resolution::Replay).await.unwrap();
    assert_eq!(volume(&drive).state(), State::Present);
    assert_filled(&read(&device, 16384, 512).await, 3, "the journal");
    assert_filled(&read(&device, 4096, 512).await, 7, "the medium");
}

#[tokio::test(start_paused = true)]
async fn a_discard_takes_the_medium_as_another_content() {
    let world = World::one();
    let (drive, before) = in_conflict(&world).await;
    drive.resolve("a", Resolution::Discard).await.unwrap();
    let status = volume(&drive).status();
    assert_eq!((status.state, status.journal.live_bytes), (State::Present, 0));
    try_read(&before, 4096, 512).await.unwrap_err();
    let after = device(&drive);
    assert_filled(&read(&after, 4096, 512).await, 7, "the medium");
    assert_filled(&read(&after, 16384, 512).await, 0, "not the journal");
    assert!(!world.records.of("a").unwrap().discards_journal);
}

/// The daemon ended between the decision and its end.
#[tokio::test(start_paused = true)]
async fn a_discard_is_completed_at_the_next_start() {
    let world = World::one();
    let (drive, device) = in_conflict(&world).await;
    stop(drive).await;
    drop(device);
    let mut record = world.records.of("a").unwrap();
    (record.discards_journal, record.conflict) = (true, None);
    record.content += 1;
    record.witness = hotbay_drive::Witness::default();
    world.records.save(&record).unwrap();
    let drive = world.started().await;
    assert_filled(&read(&self::device(&drive), 16384, 512).await, 0, "not the journal");
    assert!(!world.records.of("a").unwrap().discards_journal);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_in_conflict_is_resolved() {
    let world = World::one();
    let drive = world.started().await;
    for resolution in [Resolution::Replay, Resolution::Discard] {
        let refusal = drive.resolve("a", resolution).await.unwrap_err();
        assert!(refusal.message().contains("nothing to resolve"), "{refusal}");
    }
    let refusal = drive.insert("a", None, WhenOccupied::Refuse).await.unwrap_err();
    assert!(refusal.message().contains("in a bay already"), "{refusal}");
}

/// Who takes it out tells nobody.
#[tokio::test(start_paused = true)]
async fn a_medium_in_conflict_that_goes_frees_its_bay() {
    let world = World::one();
    let (drive, _device) = in_conflict(&world).await;
    world.disk("disk-a").yank();
    until(&volume(&drive), State::Absent).await;
    assert_eq!(volume(&drive).status().bay, None);
}
