//! Each layout is a device like any other, in whatever state its volumes are: volumes one after the other, as partitions, as
//! copies of a mirror, and mirrors in the place of volumes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;

use hotbay_block::{Checked, Device, conformance};
use hotbay_drive::{Drive, JoinedDisk, Joining, Mirror, Part, State, WhenOccupied};
use support::*;

const LARGE: usize = 4 << 20;

/// Volumes of 4 MiB, whose journals have room for the suite.
fn world(volumes: &[&str]) -> World {
    volumes.iter().fold(World::empty(volumes.len()), |world, name| {
        world.with(name, LARGE, |settings| {
            settings.journal_limit_bytes = 256 << 20;
            settings.spill_batch_bytes = 1 << 20;
        })
    })
}

fn parts(drive: &Drive) -> Vec<Part> {
    drive.volumes().into_iter().map(Part::Volume).collect()
}

fn joined(joining: Joining, parts: Vec<Part>) -> Arc<dyn Device> {
    JoinedDisk::new("disk", joining, parts).unwrap().open().unwrap()
}

/// With the seam in its middle, one of the volumes on its journal.
#[tokio::test(start_paused = true)]
async fn one_after_the_other() {
    let world = world(&["a", "b"]);
    let drive = world.started().await;
    let disk = joined(Joining::Linear, parts(&drive));
    assert_eq!(disk.info().size_bytes, 2 * LARGE as u64);
    drive.eject("b").await.unwrap();
    write(&disk, LARGE as u64, LARGE as u64, 0).await;
    conformance::check(&Checked::new(Arc::clone(&disk))).await;
    let before = read(&disk, 0, 2 * LARGE as u64).await;
    drive.insert("b", None, WhenOccupied::Refuse).await.unwrap();
    flush(&disk).await;
    let media = [world.disk("disk-a").durable(), world.disk("disk-b").durable()].concat();
    assert!(media == before, "the media have what the suite left");
}

/// One on its medium, the other one on its journal.
#[tokio::test(start_paused = true)]
async fn partitions() {
    let world = world(&["a", "b"]);
    let drive = world.started().await;
    let disk = joined(Joining::Partitions, parts(&drive));
    let table = read(&disk, 0, 34 * 512).await;
    drive.eject("b").await.unwrap();
    for (place, volume) in [(1, "a"), (5, "b")] {
        let partition = Partition::at(&disk, place * MIB, LARGE as u64);
        write(&partition, 0, LARGE as u64, 0).await;
        conformance::check(&partition).await;
        let before = read(&partition, 0, LARGE as u64).await;
        if volume == "b" {
            insert(&drive, "b").await;
        }
        flush(&disk).await;
        let medium = world.disk(&format!("disk-{volume}")).durable();
        assert!(medium == before, "the medium of {volume} has what the suite left");
    }
    assert_eq!(read(&disk, 0, 34 * 512).await, table, "the table is as it was");
}

/// With both copies, with one and with none.
#[tokio::test(start_paused = true)]
async fn a_mirror() {
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

/// A volume, and beside it a mirror of two more.
struct Beside {
    world: World,
    records: Arc<MemoryMirrorRecords>,
}

impl Beside {
    fn new() -> Self {
        Self { world: world(&["system", "a", "b"]), records: Arc::default() }
    }

    async fn disk(&self, drive: &Drive, joining: Joining) -> (Arc<Mirror>, JoinedDisk) {
        let volumes = drive.volumes();
        let records = Arc::clone(&self.records) as _;
        let mirror = Mirror::start_of(drive, "data", &volumes[1..], records).await.unwrap();
        let mirror = Arc::new(mirror);
        let parts = vec![Part::Volume(Arc::clone(&volumes[0])), Part::Mirror(Arc::clone(&mirror))];
        (mirror, JoinedDisk::new("disk", joining, parts).unwrap())
    }

    fn durable(&self, volume: &str) -> Vec<u8> {
        self.world.disk(&format!("disk-{volume}")).durable()
    }
}

#[tokio::test(start_paused = true)]
async fn a_mirror_as_a_partition() {
    let beside = Beside::new();
    let drive = beside.world.started().await;
    let (mirror, disk) = beside.disk(&drive, Joining::Partitions).await;
    let disk = disk.open().unwrap();
    assert_eq!(disk.info().size_bytes, 10 * MIB, "a table, two parts, a table");
    let partition = Partition::at(&disk, 5 * MIB, LARGE as u64);
    write(&Partition::at(&disk, MIB, LARGE as u64), 0, LARGE as u64, 7).await;
    both_in_sync(&mirror).await;
    conformance::check(&partition).await;
    flush(&disk).await;
    let last = read(&partition, 0, LARGE as u64).await;
    assert!(beside.durable("a") == last && beside.durable("b") == last, "both copies have it");
    assert_filled(&beside.durable("system"), 7, "the partition beside it");
}

#[tokio::test(start_paused = true)]
async fn a_volume_and_a_mirror_one_after_the_other() {
    let beside = Beside::new();
    let drive = beside.world.started().await;
    let (mirror, disk) = beside.disk(&drive, Joining::Linear).await;
    let disk = disk.open().unwrap();
    both_in_sync(&mirror).await;
    drive.eject("b").await.unwrap();
    until_in_sync(&mirror, "b", false).await;
    conformance::check(&Checked::new(Arc::clone(&disk))).await;
    insert(&drive, "b").await;
    both_in_sync(&mirror).await;
    flush(&disk).await;
    let last = read(&disk, 0, 2 * LARGE as u64).await;
    for copy in ["a", "b"] {
        assert!([beside.durable("system"), beside.durable(copy)].concat() == last, "{copy}");
    }
}

/// Whether a mirror's copies come and go is nothing to the disk; another content of the mirror is one of the disk.
#[tokio::test(start_paused = true)]
async fn a_disk_keeps_its_identity_and_is_closed_where_an_older_copy_counts() {
    let beside = Beside::new();
    let drive = beside.world.started().await;
    let (mirror, joined) = beside.disk(&drive, Joining::Partitions).await;
    both_in_sync(&mirror).await;
    let (id, content) = joined.content();
    let disk = joined.open().unwrap();
    drive.eject("b").await.unwrap();
    until_in_sync(&mirror, "b", false).await;
    write(&disk, 5 * MIB, 4096, 3).await;
    drive.eject("a").await.unwrap();
    insert(&drive, "b").await;
    assert_eq!(joined.content(), (id, content));
    let closed = tokio::spawn(disk.exchanged());
    mirror.take_for_newest("b").await.unwrap();
    closed.await.unwrap();
    assert!(try_read(&disk, 5 * MIB, 512).await.is_err(), "of the earlier content");
    assert_eq!(joined.content(), (id, content + 1));
    let disk = joined.open().unwrap();
    assert_filled(&read(&disk, 5 * MIB, 4096).await, 0, "what b has");
    assert_eq!(drive.volume("system").unwrap().state(), State::Present);
}
