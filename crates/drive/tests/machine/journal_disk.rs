//! The disk of journals and records, on the tape.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};

use bytes::Bytes;
use hotbay_drive::{Records, VolumeRecord};
use hotbay_journal::testing::ImageStorage;
use hotbay_journal::{Access, SegmentFile, Storage};
use parking_lot::Mutex;

use super::tape::Tape;

/// A journal's directory.
pub struct TapedStorage {
    pub files: ImageStorage,
    pub tape: Tape,
}

struct TapedFile {
    file: Box<dyn SegmentFile>,
    tape: Tape,
}

impl TapedStorage {
    fn wrap(&self, file: Box<dyn SegmentFile>) -> Box<dyn SegmentFile> {
        Box::new(TapedFile { file, tape: self.tape.clone() })
    }
}

impl Storage for TapedStorage {
    fn settle(&self) -> io::Result<()> {
        self.tape.note("a journal is settled");
        self.files.settle()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Box<dyn SegmentFile>> {
        self.tape.note("a segment is created");
        self.files.create(name, length).map(|file| self.wrap(file))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn SegmentFile>> {
        self.files.open(name, access).map(|file| self.wrap(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.tape.note("a segment is removed");
        self.files.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.tape.note("a directory is synced");
        self.files.sync_directory()
    }
}

impl SegmentFile for TapedFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.tape.note("a segment is written");
        self.file.write_at(slices, position)
    }

    fn prepare(&self, position: u64, length: u64) {
        self.tape.note("a segment is prepared");
        self.file.prepare(position, length);
    }

    fn sync_data(&self) -> io::Result<()> {
        self.tape.note("a segment is synced");
        self.file.sync_data()
    }

    fn erase_from(&self, position: u64) -> io::Result<()> {
        self.tape.note("a segment is erased");
        self.file.erase_from(position)
    }

    fn view(&self, position: u64, length: u64) -> Bytes {
        self.file.view(position, length)
    }
}

/// The records of the volumes. Saving one is atomic and durable, as the contract demands.
#[derive(Debug)]
pub struct TapedRecords {
    saved: Mutex<BTreeMap<String, VolumeRecord>>,
    tape: Tape,
}

impl TapedRecords {
    pub fn new(saved: BTreeMap<String, VolumeRecord>, tape: Tape) -> Self {
        Self { saved: Mutex::new(saved), tape }
    }

    pub fn all(&self) -> BTreeMap<String, VolumeRecord> {
        self.saved.lock().clone()
    }
}

impl Records for TapedRecords {
    fn save(&self, record: &VolumeRecord) -> io::Result<()> {
        self.tape.note("a record is saved");
        self.saved.lock().insert(record.name.clone(), record.clone());
        Ok(())
    }
}
