//! What is let go of while others append, after a sync that failed, and where the disk is full.

use std::io::{self, IoSlice};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use super::*;
use crate::reclaim::has_dead;
use crate::storage::{Access, Storage};
use crate::testing::{ImageStorage, Step};
use crate::{Change, Settings};

const SEGMENT: usize = 1 << 20;
const SETTINGS: Settings = Settings { volume: [3; 16], size_bytes: 1 << 30, limit_bytes: 16 << 20 };

fn write(mib: u64, length: usize) -> Change {
    Change::Write { offset: mib << 20, data: Bytes::from(vec![1; length]) }
}

/// Storage that has something done before each write.
struct Interrupted {
    storage: ImageStorage,
    before_write: Arc<Mutex<dyn FnMut() + Send>>,
}

struct InterruptedFile {
    file: Box<dyn SegmentFile>,
    before_write: Arc<Mutex<dyn FnMut() + Send>>,
}

impl Interrupted {
    fn wrap(&self, file: Box<dyn SegmentFile>) -> Box<dyn SegmentFile> {
        Box::new(InterruptedFile { file, before_write: Arc::clone(&self.before_write) })
    }
}

impl Storage for Interrupted {
    fn settle(&self) -> io::Result<()> {
        self.storage.settle()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.storage.list()
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Box<dyn SegmentFile>> {
        self.storage.create(name, length).map(|file| self.wrap(file))
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn SegmentFile>> {
        self.storage.open(name, access).map(|file| self.wrap(file))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.storage.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.storage.sync_directory()
    }
}

impl SegmentFile for InterruptedFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        (self.before_write.lock())();
        self.file.write_at(slices, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn erase_from(&self, position: u64) -> io::Result<()> {
        self.file.erase_from(position)
    }

    fn view(&self, position: u64, length: u64) -> Bytes {
        self.file.view(position, length)
    }
}

/// A sync that looks then would have the segment deleted with the next sync, and what is in it with it.
#[test]
fn a_segment_that_an_append_under_way_has_filled_is_not_taken_for_dead() {
    let opened: Arc<OnceLock<Arc<Journal>>> = Arc::default();
    let looks = Arc::new(Mutex::new(0));
    let before_write = {
        let (opened, looks) = (Arc::clone(&opened), Arc::clone(&looks));
        Arc::new(Mutex::new(move || {
            if let Some(journal) = opened.get() {
                assert!(!has_dead(&journal.index.read()), "before write {}", *looks.lock());
                *looks.lock() += 1;
            }
        }))
    };
    let storage = Interrupted { storage: ImageStorage::default(), before_write };
    let (journal, _) = Journal::open(Arc::new(storage), SETTINGS).unwrap();
    let journal = Arc::new(journal);
    assert!(opened.set(Arc::clone(&journal)).is_ok());
    journal.append(&[write(0, SEGMENT / 2), write(8, 3 * SEGMENT)]).unwrap();
    assert!(*looks.lock() >= 4, "one write for each segment");
    assert!(!has_dead(&journal.index.read()));
    journal.append(&[write(0, SEGMENT / 2), write(8, 3 * SEGMENT)]).unwrap();
    assert!(has_dead(&journal.index.read()), "what was overwritten is");
}

fn fill_active_but_for(journal: &Journal, records: usize) {
    let mut writer = journal.writer.lock();
    let surplus = writer.control_records_that_fit() - records;
    let drafts = vec![Draft::plain(Kind::Barrier, 0, 0); surplus];
    writer.append(&journal.ground, &journal.index, drafts, Purpose::Control).unwrap();
}

#[test]
fn on_a_full_disk_a_sync_is_made_and_as_many_segments_go_as_there_is_room_to_say_so() {
    for (fitting, going) in [(0, 0), (2, 2)] {
        let storage = ImageStorage::default();
        let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
        for _ in 0..2 {
            journal.append(&[write(0, 4 * SEGMENT)]).unwrap();
        }
        fill_active_but_for(&journal, fitting);
        let retired = || {
            let index = journal.index.read();
            index.segments.iter().filter(|(_, state)| state.is_left_over()).count()
        };
        storage.fail(Step::Create, 0, io::ErrorKind::StorageFull);
        let before = journal.usage().disk_bytes;
        journal.sync().unwrap();
        let gone = usize::try_from(before - journal.usage().disk_bytes).unwrap() / SEGMENT;
        assert_eq!(gone + retired(), going, "with room for {fitting}");
        // There is room again.
        while journal.reclaim_step().unwrap() != crate::ReclaimProgress::Nothing {}
        assert!(!has_dead(&journal.index.read()));
    }
}

#[test]
fn a_change_that_finds_a_full_disk_has_what_is_dead_let_go_of() {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    for _ in 0..2 {
        journal.append(&[write(0, 2 * SEGMENT)]).unwrap();
    }
    assert!(!journal.wants_reclaim(), "far below the limit");
    storage.fail(Step::Create, 0, io::ErrorKind::StorageFull);
    journal.append(&[write(4, SEGMENT)]).unwrap_err();
    assert!(journal.wants_reclaim());
    assert!(matches!(journal.reclaim_step(), Ok(crate::ReclaimProgress::Freed { .. })));
}

/// Whoever waited for the turn meanwhile finds segments that are retired, and not durably.
#[test]
fn no_segment_goes_after_a_sync_that_was_to_retire_it_and_failed() {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    for _ in 0..4 {
        journal.append(&[write(0, SEGMENT / 4 * 3)]).unwrap();
    }
    storage.fail(Step::Sync, 0, io::ErrorKind::Other);
    journal.sync_in_turn().unwrap_err();
    assert!(journal.index.read().segments.iter().any(|(_, state)| state.is_left_over()));
    assert_eq!(journal.delete_one_known().unwrap(), 0);
    assert!(!storage.take_steps().contains(&Step::Remove));
}
