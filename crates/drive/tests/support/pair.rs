//! Two volumes that are copies of a mirror.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::Device;
use hotbay_drive::{Drive, Mirror};
use tokio::time::sleep;

use super::storage::MemoryMirrorRecords;
use super::world::World;

pub const MIB: u64 = 1 << 20;

/// The size of each copy.
pub const SIZE_BYTES: usize = 4 << 20;

/// Two copies, mostly.
pub struct Pair {
    pub world: World,
    pub records: Arc<MemoryMirrorRecords>,
}

impl Pair {
    pub fn new() -> Self {
        Self::of(&["a", "b"])
    }

    /// Of so many copies as there are names.
    pub fn of(copies: &[&str]) -> Self {
        let large = |settings: &mut hotbay_drive::VolumeSettings| {
            settings.journal_limit_bytes = 256 << 20;
            settings.spill_batch_bytes = 1 << 20;
        };
        let empty = World::empty(copies.len());
        let world = copies.iter().fold(empty, |world, copy| world.with(copy, SIZE_BYTES, large));
        Self { world, records: Arc::default() }
    }

    pub async fn start(&self) -> (Drive, Mirror) {
        let drive = self.world.started().await;
        let mirror = Mirror::start(&drive, Arc::clone(&self.records) as _).await.unwrap();
        (drive, mirror)
    }

    pub fn durable(&self, copy: &str) -> Vec<u8> {
        self.world.disk(&format!("disk-{copy}")).durable()
    }
}

pub async fn until_in_sync(mirror: &Mirror, copy: &str, in_sync: bool) {
    for _ in 0..10_000 {
        if mirror.copy(copy).unwrap().in_sync == in_sync {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the copy on {copy} stays {:?}", mirror.copy(copy));
}

pub async fn both_in_sync(mirror: &Mirror) {
    until_in_sync(mirror, "a", true).await;
    until_in_sync(mirror, "b", true).await;
}

pub fn as_dyn(mirror: &Mirror) -> Arc<dyn Device> {
    mirror.open()
}
