//! A fresh medium in place of one that is lost for ever: only where all is known without that, and then all of it is there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use hotbay_block::{Device, Request};
use hotbay_drive::{Drive, Mirror, State, VolumeSettings, WhenOccupied};
use support::*;

const WHOLE: u64 = SIZE as u64;

async fn adopt(drive: &Drive, medium: &str) -> Result<(), hotbay_drive::Refusal> {
    drive.adopt("a", medium, WhenOccupied::Refuse, None).await
}

fn roomy(settings: &mut VolumeSettings) {
    settings.journal_limit_bytes = 64 << 20;
}

/// A volume whose medium is lost, with all but the first sector in the journal: as data, zeroes and trimmed.
async fn nearly_known(world: &World) -> (Drive, Arc<dyn Device>) {
    world.disk("disk-a").content_tells_identity();
    let drive = world.started().await;
    let device = device(&drive);
    write(&device, 0, WHOLE, 1).await;
    drive.eject("a").await.unwrap();
    world.disk("disk-a").yank();
    write(&device, 512, WHOLE - 512, 2).await;
    device.execute(zeroing(8192, 4096)).answer().await.unwrap();
    let trim = Request::Trim {
        extent: extent(WHOLE - 4096, 4096),
        durability: hotbay_block::Durability::Deferred,
    };
    device.execute(trim).answer().await.unwrap();
    (drive, device)
}

#[tokio::test(start_paused = true)]
async fn what_is_wholly_in_the_journal_is_brought_to_a_fresh_medium() {
    let world = World::one_with(roomy);
    let (drive, device) = nearly_known(&world).await;
    write(&device, 0, 512, 3).await;
    let before = read(&device, 0, WHOLE).await;
    let fresh = world.cabinet.make("fresh", SIZE);
    fresh.content_tells_identity();
    adopt(&drive, "fresh").await.unwrap();
    assert_eq!(volume(&drive).state(), State::Present);
    assert!(fresh.durable() == before, "all of it is there");
    assert!(read(&device, 0, WHOLE).await == before, "the same to clients, who stayed");

    // The lost one turns up. It has what tells who the volume's medium is.
    world.disk("disk-a").plug();
    world.disk("disk-a").overwrite(0, &before);
    drive.eject("a").await.unwrap();
    let refusal = drive.insert("a", Some("disk-a"), WhenOccupied::Refuse).await.unwrap_err();
    assert!(refusal.message().contains("given up for serial:fresh"), "{refusal}");
    insert(&drive, "a").await;
    assert_eq!(volume(&drive).status().medium.as_deref(), Some("fresh"));
}

#[tokio::test(start_paused = true)]
async fn what_only_the_lost_medium_has_is_told_and_nothing_is_adopted() {
    let world = World::one_with(roomy);
    let (drive, device) = nearly_known(&world).await;
    let fresh = world.cabinet.make("fresh", SIZE);
    let refusal = adopt(&drive, "fresh").await.unwrap_err();
    assert!(refusal.message().contains("512 of its 65536 bytes"), "{refusal}");
    assert!(refusal.message().ends_with("at 0+512"), "{refusal}");
    assert_eq!((volume(&drive).state(), fresh.changes()), (State::Absent, 0));
    world.disk("disk-a").plug();
    insert(&drive, "a").await;
    assert_filled(&read(&device, 0, 512).await, 1, "nothing was given up");
}

/// What is in the journal only until a crash would be lost together with an older version on the lost medium.
#[tokio::test(start_paused = true)]
async fn what_the_journal_has_not_synced_is_not_relied_on() {
    let world = World::one_with(roomy);
    let (drive, device) = nearly_known(&world).await;
    write(&device, 0, 512, 3).await;
    let fresh = world.cabinet.make("fresh", SIZE);
    *world.mood("a").lock() = Refuses::Syncs;
    adopt(&drive, "fresh").await.unwrap_err();
    assert_eq!(world.records.of("a").unwrap().medium.as_deref(), Some("disk-a"));
    assert_eq!(fresh.changes(), 0, "nothing was written to it");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_the_record_names_the_fresh_medium() {
    let world = World::one_with(roomy);
    let (drive, device) = nearly_known(&world).await;
    write(&device, 0, 512, 3).await;
    let fresh = world.cabinet.make("fresh", SIZE);
    world.records.refuse(true);
    adopt(&drive, "fresh").await.unwrap_err();
    assert_eq!((volume(&drive).state(), fresh.changes()), (State::Absent, 0));
    world.records.refuse(false);
    adopt(&drive, "fresh").await.unwrap();
}

#[test]
fn a_crash_in_the_replay_goes_on_with_the_fresh_medium() {
    let world = World::one_with(roomy);
    let fresh = world.cabinet.make("fresh", SIZE);
    fresh.content_tells_identity();
    let before = life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        write(&device(&drive), 0, WHOLE, 1).await;
        drive.pull("a").await.unwrap();
        world.disk("disk-a").yank();
        write(&device(&drive), 0, WHOLE / 2, 2).await;
        write(&device(&drive), WHOLE / 2, WHOLE / 2, 3).await;
        let before = read(&device(&drive), 0, WHOLE).await;
        let held = fresh.hold(Op::Flush);
        let adopting = tokio::spawn(async move { adopt(&drive, "fresh").await });
        held.until_stuck(1).await;
        drop(adopting);
        before
    });
    fresh.lift_hold();
    fresh.lose_unsynced();
    world.disk("disk-a").plug();
    life(&world, async |drive| {
        until(&volume(&drive), State::Present).await;
        assert_eq!(volume(&drive).status().medium.as_deref(), Some("fresh"));
        assert!(fresh.durable() == before, "all of it is there");
    });
}

/// The fresh medium is torn out while it is being replayed, and its system forgets what was not synced.
#[tokio::test(start_paused = true)]
async fn a_fresh_medium_that_is_torn_out_goes_on_when_it_is_back() {
    let world = World::one_with(roomy);
    let (drive, device) = nearly_known(&world).await;
    write(&device, 0, 512, 3).await;
    let before = read(&device, 0, WHOLE).await;
    let fresh = world.cabinet.make("fresh", SIZE);
    fresh.content_tells_identity();
    fresh.script(Op::Change, 1, Fault::GoneTorn);
    let refusal = adopt(&drive, "fresh").await.unwrap_err();
    assert!(refusal.message().contains("lost its medium again"), "{refusal}");
    assert_eq!(volume(&drive).state(), State::Absent);
    assert!(read(&device, 0, WHOLE).await == before, "the journal has all of it");
    write(&device, 1024, 512, 4).await;
    let before = read(&device, 0, WHOLE).await;
    fresh.lose_unsynced();
    world.disk("disk-a").plug();
    let refusal = drive.insert("a", Some("disk-a"), WhenOccupied::Refuse).await.unwrap_err();
    assert!(refusal.message().contains("given up"), "{refusal}");
    fresh.plug();
    insert(&drive, "a").await;
    assert!(fresh.durable() == before, "all of it is there");
}

/// The first fresh medium breaks as well before the journal has let go of anything: another one gets all of it.
#[tokio::test(start_paused = true)]
async fn a_fresh_medium_that_breaks_is_replaced_by_another() {
    let world = World::one_with(roomy);
    let (drive, device) = nearly_known(&world).await;
    write(&device, 0, 512, 3).await;
    let before = read(&device, 0, WHOLE).await;
    let broken = world.cabinet.make("broken", SIZE);
    broken.script(Op::Flush, 0, Fault::Gone);
    adopt(&drive, "broken").await.unwrap_err();
    let fresh = world.cabinet.make("fresh", SIZE);
    fresh.content_tells_identity();
    adopt(&drive, "fresh").await.unwrap();
    assert!(fresh.durable() == before, "all of it is there");
    drive.eject("a").await.unwrap();
    world.disk("disk-a").plug();
    broken.plug();
    for lost in ["disk-a", "broken"] {
        let refusal = drive.insert("a", Some(lost), WhenOccupied::Refuse).await.unwrap_err();
        assert!(refusal.message().contains("given up for serial:fresh"), "{lost}: {refusal}");
    }
    insert(&drive, "a").await;
}

#[tokio::test(start_paused = true)]
async fn only_a_fresh_medium_is_adopted() {
    let world = World::empty(2).with("a", SIZE, roomy).with("b", SIZE, |_| {});
    let (drive, device) = nearly_known(&world).await;
    write(&device, 0, 512, 3).await;
    drive.eject("b").await.unwrap();
    world.cabinet.make("large", 2 * SIZE);
    let used = world.cabinet.make("used", SIZE);
    used.content_tells_identity();
    used.fill(9);
    for (medium, why) in [
        ("large", "has 131072 bytes"),
        ("disk-b", "is the medium of volume b"),
        ("used", "is not empty: it holds test:[09, 09"),
    ] {
        let refusal = adopt(&drive, medium).await.unwrap_err();
        assert!(refusal.message().contains(why), "{refusal}");
        assert_eq!(volume(&drive).state(), State::Absent);
    }
    let own = world.disk("disk-a");
    own.plug();
    let refusal = adopt(&drive, "disk-a").await.unwrap_err();
    assert!(refusal.next_step().unwrap().ends_with("without --new"), "{refusal}");
    assert_filled(&used.cached(), 9, "not touched");
}

struct Pair {
    world: World,
    records: Arc<MemoryMirrorRecords>,
}

impl Pair {
    async fn start(&self) -> (Drive, Mirror) {
        let drive = self.world.started().await;
        let mirror = self.mirror_of(&drive).await;
        in_sync(&mirror, "a").await;
        in_sync(&mirror, "b").await;
        (drive, mirror)
    }

    async fn mirror_of(&self, drive: &Drive) -> Mirror {
        Mirror::start(drive, Arc::clone(&self.records) as _).await.unwrap()
    }
}

const LARGE: usize = 4 << 20;

fn pair() -> Pair {
    let world = World::empty(2).with("a", LARGE, roomy).with("b", LARGE, roomy);
    for copy in ["disk-a", "disk-b"] {
        world.disk(copy).content_tells_identity();
    }
    Pair { world, records: Arc::default() }
}

/// What both copies hold, equal for so long that no granule is marked any more: nothing but the standings tells that a fresh disk lacks it.
async fn settled(device: &Arc<dyn Device>) {
    write(device, 0, LARGE as u64, 1).await;
    flush(device).await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
}

async fn in_sync(mirror: &Mirror, copy: &str) {
    stands(mirror, copy, true).await;
}

async fn stands(mirror: &Mirror, copy: &str, is_in_sync: bool) {
    for _ in 0..10_000 {
        if mirror.copy(copy).unwrap().in_sync == is_in_sync {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the copy on {copy} stays {:?}", mirror.copy(copy));
}

#[tokio::test(start_paused = true)]
async fn a_broken_disk_of_a_mirror_is_replaced() {
    let pair = pair();
    let (drive, mirror) = pair.start().await;
    let device = mirror.open();
    settled(&device).await;
    pair.world.disk("disk-a").yank();
    write(&device, 1 << 20, 1 << 20, 2).await;
    stands(&mirror, "a", false).await;
    let fresh = pair.world.cabinet.make("fresh", LARGE);
    fresh.content_tells_identity();
    drive.adopt("a", "fresh", WhenOccupied::Refuse, Some(&mirror)).await.unwrap();
    in_sync(&mirror, "a").await;
    flush(&device).await;
    assert!(fresh.durable() == pair.world.disk("disk-b").durable(), "both hold the same");
    assert_filled(&fresh.durable()[..1 << 20], 1, "also what was written before it came");

    pair.world.disk("disk-a").plug();
    drive.eject("a").await.unwrap();
    let refusal = drive.insert("a", Some("disk-a"), WhenOccupied::Refuse).await.unwrap_err();
    assert!(refusal.message().contains("given up"), "{refusal}");
    insert(&drive, "a").await;
    in_sync(&mirror, "a").await;
}

/// The fresh disk is torn out, or the daemon killed, in the middle of the copy: what it has not got is still known to be missing.
#[test]
fn a_copy_that_is_cut_short_goes_on_with_the_fresh_disk() {
    let pair = pair();
    let fresh = pair.world.cabinet.make("fresh", LARGE);
    fresh.content_tells_identity();
    life(&pair.world, async |drive| {
        let mirror = pair.mirror_of(&drive).await;
        in_sync(&mirror, "b").await;
        let device = mirror.open();
        settled(&device).await;
        pair.world.disk("disk-a").yank();
        drive.pull("a").await.unwrap();
        stands(&mirror, "a", false).await;
        // Torn out between two granules, the first of which tells who it is.
        fresh.script(Op::Change, 2, Fault::GoneTorn);
        drive.adopt("a", "fresh", WhenOccupied::Refuse, Some(&mirror)).await.unwrap();
        until(&drive.volume("a").unwrap(), State::Absent).await;
        write(&device, 1 << 20, 1 << 20, 2).await;
        fresh.lose_unsynced();
        fresh.plug();
        insert(&drive, "a").await;
        assert!(!mirror.copy("a").unwrap().in_sync, "it lacks what it had not got");
        let held = fresh.hold(Op::Change);
        held.until_stuck(1).await;
        std::mem::forget(held);
    });
    fresh.lift_hold();
    fresh.lose_unsynced();
    life(&pair.world, async |drive| {
        let mirror = pair.mirror_of(&drive).await;
        in_sync(&mirror, "a").await;
        assert!(fresh.durable() == pair.world.disk("disk-b").durable(), "both hold the same");
        assert_filled(&fresh.durable()[..1 << 20], 1, "what was written before it came");
        assert_filled(&fresh.durable()[1 << 20..2 << 20], 2, "what was written while it was out");
    });
}

/// That all of it is behind is recorded before the fresh medium is in.
#[tokio::test(start_paused = true)]
async fn a_copy_that_cannot_be_recorded_as_behind_gets_no_fresh_medium() {
    let pair = pair();
    let (drive, mirror) = pair.start().await;
    drive.eject("a").await.unwrap();
    stands(&mirror, "a", false).await;
    let fresh = pair.world.cabinet.make("fresh", LARGE);
    pair.records.refuse(true);
    drive.adopt("a", "fresh", WhenOccupied::Refuse, Some(&mirror)).await.unwrap_err();
    assert_eq!((drive.volume("a").unwrap().state(), fresh.changes()), (State::Absent, 0));
}

#[tokio::test(start_paused = true)]
async fn the_last_copy_of_a_mirror_is_not_given_up() {
    let pair = pair();
    let (drive, mirror) = pair.start().await;
    let device = mirror.open();
    write(&device, 0, LARGE as u64, 1).await;
    drive.eject("b").await.unwrap();
    stands(&mirror, "b", false).await;
    write(&device, 0, 512, 2).await;
    drive.eject("a").await.unwrap();
    let fresh = pair.world.cabinet.make("fresh", LARGE);
    let refusal = drive.adopt("a", "fresh", WhenOccupied::Refuse, Some(&mirror)).await.unwrap_err();
    assert!(refusal.message().contains("the only one that has everything"), "{refusal}");
    assert!(refusal.next_step().unwrap().contains("resolve OTHER newest"), "{refusal}");
    assert!(mirror.copy("a").unwrap().in_sync, "as before");
    assert_eq!(fresh.changes(), 0, "nothing was written to it");
}

/// It has failed a change that the lost copy has, and is not recorded to be behind yet.
#[tokio::test(start_paused = true)]
async fn a_copy_in_doubt_is_none_to_rely_on() {
    let pair = pair();
    let (drive, mirror) = pair.start().await;
    let device = mirror.open();
    write(&device, 0, 512, 1).await;
    pair.records.refuse(true);
    drive.eject("a").await.unwrap();
    pair.world.disk("disk-b").script(Op::Change, 0, Fault::Error);
    device.execute(writing(0, 512, 2)).answer().await.unwrap_err();
    let fresh = pair.world.cabinet.make("fresh", LARGE);
    pair.records.refuse(false);
    let refusal = drive.adopt("a", "fresh", WhenOccupied::Refuse, Some(&mirror)).await.unwrap_err();
    assert!(refusal.message().contains("the only one that has everything"), "{refusal}");
    assert_eq!(fresh.changes(), 0, "nothing was written to it");
    insert(&drive, "a").await;
    in_sync(&mirror, "b").await;
    assert_filled(&read(&device, 0, 512).await, 2, "the copy that has it counts");
}
