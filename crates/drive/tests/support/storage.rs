//! A journal's directory that can be made to fail, and records in memory.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotbay_drive::{MirrorRecord, MirrorRecords, Records, VolumeRecord};
use hotbay_journal::{Access, FileStorage, SegmentFile, Storage};
use parking_lot::Mutex;

/// What a journal's disk refuses from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refuses {
    #[default]
    Nothing,
    Syncs,
    Writes,
    NewFiles,
    /// Syncs are not answered, until it is in another mood.
    ToAnswerSyncs,
    /// Nor are writes.
    ToAnswerWrites,
}

/// The switch of a journal's disk.
pub type Mood = Arc<Mutex<Refuses>>;

/// A directory on a disk with moods.
pub struct MoodyStorage {
    pub files: FileStorage,
    pub mood: Mood,
}

struct MoodyFile {
    file: Box<dyn SegmentFile>,
    mood: Mood,
}

/// Keeps the thread for as long as the disk does not answer, but not for ever: a test that has failed waits for its threads.
fn hang(hangs: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while hangs() && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn refuse(mood: &Mood, what: Refuses, error: io::ErrorKind) -> io::Result<()> {
    match *mood.lock() == what {
        true => Err(io::Error::new(error, "the journal's disk refuses")),
        false => Ok(()),
    }
}

impl MoodyStorage {
    fn wrap(&self, file: Box<dyn SegmentFile>) -> Box<dyn SegmentFile> {
        Box::new(MoodyFile { file, mood: Arc::clone(&self.mood) })
    }
}

impl Storage for MoodyStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Box<dyn SegmentFile>> {
        refuse(&self.mood, Refuses::NewFiles, io::ErrorKind::StorageFull)?;
        self.files.create(name, length).map(|file| self.wrap(file))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn SegmentFile>> {
        self.files.open(name, access).map(|file| self.wrap(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }

    fn settle(&self) -> io::Result<()> {
        self.files.settle()
    }

    fn sync_directory(&self) -> io::Result<()> {
        refuse(&self.mood, Refuses::Syncs, io::ErrorKind::Other)?;
        self.files.sync_directory()
    }
}

impl SegmentFile for MoodyFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        hang(|| *self.mood.lock() == Refuses::ToAnswerWrites);
        refuse(&self.mood, Refuses::Writes, io::ErrorKind::Other)?;
        self.file.write_at(slices, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        hang(|| *self.mood.lock() == Refuses::ToAnswerSyncs);
        refuse(&self.mood, Refuses::Syncs, io::ErrorKind::Other)?;
        self.file.sync_data()
    }

    fn erase_from(&self, position: u64) -> io::Result<()> {
        self.file.erase_from(position)
    }

    fn view(&self, position: u64, length: u64) -> bytes::Bytes {
        self.file.view(position, length)
    }
}

/// Records that outlive a drive, but not the test.
#[derive(Debug, Default)]
pub struct MemoryRecords {
    saved: Mutex<BTreeMap<String, VolumeRecord>>,
    refuses: Mutex<bool>,
    hangs: Mutex<bool>,
}

impl MemoryRecords {
    pub fn of(&self, volume: &str) -> Option<VolumeRecord> {
        self.saved.lock().get(volume).cloned()
    }

    /// From now on nothing that is saved is answered, or everything again.
    pub fn hang(&self, hangs: bool) {
        *self.hangs.lock() = hangs;
    }

    /// From now on nothing can be saved, or everything again.
    pub fn refuse(&self, refuses: bool) {
        *self.refuses.lock() = refuses;
    }
}

impl Records for MemoryRecords {
    fn save(&self, record: &VolumeRecord) -> io::Result<()> {
        hang(|| *self.hangs.lock());
        if *self.refuses.lock() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no room for a record"));
        }
        self.saved.lock().insert(record.name.clone(), record.clone());
        Ok(())
    }
}

/// A mirror's record that outlives a drive, but not the test.
#[derive(Debug, Default)]
pub struct MemoryMirrorRecords {
    saved: Mutex<Option<MirrorRecord>>,
    refuses: Mutex<bool>,
}

impl MemoryMirrorRecords {
    pub fn saved(&self) -> MirrorRecord {
        self.saved.lock().clone().expect("a mirror was started")
    }

    /// What was saved after this one never was.
    pub fn put_back(&self, record: MirrorRecord) {
        *self.saved.lock() = Some(record);
    }

    /// From now on nothing can be saved, or everything again.
    pub fn refuse(&self, refuses: bool) {
        *self.refuses.lock() = refuses;
    }
}

impl MirrorRecords for MemoryMirrorRecords {
    fn place(&self) -> String {
        "the record".to_owned()
    }

    fn load(&self) -> io::Result<Option<MirrorRecord>> {
        Ok(self.saved.lock().clone())
    }

    fn save(&self, record: &MirrorRecord) -> io::Result<()> {
        if *self.refuses.lock() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no room for a record"));
        }
        *self.saved.lock() = Some(record.clone());
        Ok(())
    }
}
