//! A machine with bays, disks and a state directory, on which drives live and die.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hotbay_drive::{
    AutoInsert, Drive, DriveSettings, State, VolumeRecord, VolumeSettings, VolumeSetup,
};
use hotbay_journal::FileStorage;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

use super::disk::Disk;
use super::medium::Cabinet;
use super::storage::{MemoryRecords, Mood, MoodyStorage};

/// What outlives a drive: disks, journals, records, and what was configured.
pub struct World {
    pub cabinet: Arc<Cabinet>,
    pub records: Arc<MemoryRecords>,
    pub bays: usize,
    pub volumes: Vec<VolumeSettings>,
    moods: Mutex<BTreeMap<String, Mood>>,
    state: TempDir,
}

/// The size of the volumes that need no other.
pub const SIZE: usize = 64 << 10;

impl World {
    pub fn empty(bays: usize) -> Self {
        // In memory where that is possible: nothing here is to survive a loss of power.
        let memory = PathBuf::from("/dev/shm");
        let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
        Self {
            cabinet: Arc::default(),
            records: Arc::default(),
            bays,
            volumes: Vec::new(),
            moods: Mutex::default(),
            state: tempfile::tempdir_in(place).unwrap(),
        }
    }

    /// One bay, and a volume `a` of the usual size on disk `disk-a`.
    pub fn one() -> Self {
        Self::empty(1).with("a", SIZE, |_| {})
    }

    /// The same with other settings.
    pub fn one_with(change: impl FnOnce(&mut VolumeSettings)) -> Self {
        Self::empty(1).with("a", SIZE, change)
    }

    /// One more volume, on a disk named after it.
    pub fn with(
        mut self,
        name: &str,
        size_bytes: usize,
        change: impl FnOnce(&mut VolumeSettings),
    ) -> Self {
        let disk = format!("disk-{name}");
        self.cabinet.make(&disk, size_bytes);
        let mut settings = VolumeSettings::new(name, disk);
        settings.journal_limit_bytes = 16 << 20;
        settings.auto_insert = AutoInsert::Never;
        // So small that every loss needs several turns.
        settings.spill_batch_bytes = 1000;
        change(&mut settings);
        self.volumes.push(settings);
        self
    }

    pub fn disk(&self, name: &str) -> Arc<Disk> {
        self.cabinet.disk(name)
    }

    /// The mood of a volume's journal's disk.
    pub fn mood(&self, volume: &str) -> Mood {
        Arc::clone(self.moods.lock().entry(volume.to_owned()).or_default())
    }

    pub fn journal_directory(&self, volume: &str) -> PathBuf {
        self.state.path().join(volume)
    }

    /// Starts a drive and waits until no volume is being replayed.
    pub async fn started(&self) -> Drive {
        let drive = self.start().await;
        for volume in drive.volumes() {
            volume.states().wait_for(|state| *state != State::Replaying).await.unwrap();
        }
        drive
    }

    pub async fn start(&self) -> Drive {
        let mut setups = Vec::new();
        for (number, settings) in (1u8..).zip(&self.volumes) {
            setups.push(self.setup(settings, number).await);
        }
        let settings = DriveSettings {
            name: "test".to_owned(),
            bays: self.bays,
            source: Arc::clone(&self.cabinet) as _,
            records: Arc::clone(&self.records) as _,
        };
        Drive::start(settings, setups).await.unwrap()
    }

    /// What a volume is started from; `number` is its identity where it was never seen.
    pub async fn setup(&self, settings: &VolumeSettings, number: u8) -> VolumeSetup {
        let name = &settings.name;
        let known = self.records.of(name);
        let record = known.unwrap_or_else(|| VolumeRecord::new(name, [number; 16]));
        let files = self.open_journal(name).await;
        let journal = Arc::new(MoodyStorage { files, mood: self.mood(name) });
        VolumeSetup { settings: settings.clone(), record, journal }
    }

    /// A drive that was stopped lets go of its journals when its last task has been dropped.
    async fn open_journal(&self, volume: &str) -> FileStorage {
        for _ in 0..10_000 {
            if let Ok(files) = FileStorage::open(self.journal_directory(volume)) {
                return files;
            }
            yield_now().await;
        }
        panic!("somebody still has the journal of volume {volume}")
    }
}

/// One life of a process: it starts, runs until `work` is done, and is killed.
pub fn life<T>(world: &World, work: impl AsyncFnOnce(Arc<Drive>) -> T) -> T {
    let process = Process::start(world);
    let done = process.run(work);
    process.kill();
    done
}

/// A process in which a drive runs, and which can be killed.
pub struct Process {
    drive: Option<Arc<Drive>>,
    runtime: Option<Runtime>,
}

impl Process {
    /// With a clock of its own that runs ahead whenever everybody waits.
    pub fn start(world: &World) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        Self::start_on(world, runtime.unwrap())
    }

    pub fn start_on(world: &World, runtime: Runtime) -> Self {
        let drive = runtime.block_on(world.start());
        Self { drive: Some(Arc::new(drive)), runtime: Some(runtime) }
    }

    /// Lets the process run until `work` is done. Nothing goes on in between.
    pub fn run<T>(&self, work: impl AsyncFnOnce(Arc<Drive>) -> T) -> T {
        let drive = Arc::clone(self.drive.as_ref().unwrap());
        self.runtime.as_ref().unwrap().block_on(work(drive))
    }

    /// Kills it, as with `kill -9`: nothing is told, nothing is finished.
    pub fn kill(mut self) {
        drop(self.runtime.take());
        drop(self.drive.take());
    }
}
