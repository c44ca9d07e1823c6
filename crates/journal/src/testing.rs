//! Storage in memory that knows what a crash would leave of it.
//!
//! Each file and the directory have a live image, which is what a running program sees, and a durable one, which is what
//! was synced. What lies between them, sector by sector, may or may not survive a crash, in any combination: that is
//! for the test to choose.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::format::narrow;
use crate::storage::{Access, SegmentFile, Storage};

/// A disk writes this much or nothing.
const SECTOR_BYTES: usize = 512;

/// What the storage is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To make all durable and read it anew.
    Settle,
    /// To read a file. It can be made to fail, but is not among the steps that are told: it changes nothing.
    Fetch,
    /// To create a file.
    Create,
    /// To write.
    Write,
    /// To write zeroes over what is going to be written.
    Prepare,
    /// To sync a file.
    Sync,
    /// To remove a file.
    Remove,
    /// To sync the directory.
    SyncDirectory,
    /// To erase the end of a file.
    Erase,
}

/// The state of all files at one moment. Cloning it is cheap.
#[derive(Clone, Debug, Default)]
pub struct Image {
    files: BTreeMap<u64, Arc<FileImage>>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// Changes of names that were not synced, in order; `None` removes.
    pending_names: Vec<(String, Option<u64>)>,
    next_file: u64,
}

#[derive(Clone, Debug, Default)]
struct FileImage {
    live: Shared,
    durable: Shared,
    /// What was written since the last sync.
    pending: Vec<Range<usize>>,
}

/// Bytes that are copied only when they are changed while someone else has them too.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::ops::Deref for Shared {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl std::ops::DerefMut for Shared {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.0)
    }
}

impl From<Vec<u8>> for Shared {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(bytes))
    }
}

impl FileImage {
    fn sync(&mut self) {
        // A file's length never changes, but is not durable before its first sync.
        if self.durable.is_empty() {
            self.durable = vec![0; self.live.len()].into();
        }
        for range in std::mem::take(&mut self.pending) {
            if let (Some(to), Some(from)) =
                (self.durable.get_mut(range.clone()), self.live.get(range))
            {
                to.copy_from_slice(from);
            }
        }
    }

    /// The file after a crash that kept those unsynced sectors that `keep` chooses.
    fn crashed(&self, keep: &mut dyn FnMut() -> bool) -> Self {
        let mut durable = self.durable.clone();
        if durable.is_empty() && keep() {
            durable = vec![0; self.live.len()].into();
        }
        for range in &self.pending {
            let mut at = range.start;
            while at < range.end {
                let end = range.end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
                if keep()
                    && let (Some(to), Some(from)) =
                        (durable.get_mut(at..end), self.live.get(at..end))
                {
                    to.copy_from_slice(from);
                }
                at = end;
            }
        }
        Self { live: durable.clone(), durable, pending: Vec::new() }
    }
}

impl Image {
    /// What is found after a power cut, where `keep` chooses for each unsynced sector and name whether it survived.
    #[must_use]
    pub fn crashed(&self, keep: &mut dyn FnMut() -> bool) -> Self {
        let mut names = self.durable_names.clone();
        for (name, file) in &self.pending_names {
            if keep() {
                match file {
                    Some(file) => names.insert(name.clone(), *file),
                    None => names.remove(name),
                };
            }
        }
        let kept = names.values().filter_map(|id| Some((*id, self.files.get(id)?)));
        let files = kept.map(|(id, file)| (id, Arc::new(file.crashed(keep)))).collect();
        Self {
            files,
            durable_names: names.clone(),
            names,
            pending_names: Vec::new(),
            next_file: self.next_file,
        }
    }

    /// The names and bytes that a running program sees.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let named = self.names.iter().filter_map(|(name, id)| Some((name, self.files.get(id)?)));
        named.map(|(name, file)| (name.clone(), file.live.to_vec())).collect()
    }

    /// Changes bytes behind the journal's back, durably: damage.
    ///
    /// # Panics
    /// Where there is no such file.
    pub fn damage(&mut self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.names.get(name).and_then(|id| self.files.get_mut(id));
        let file = Arc::make_mut(file.expect("the file to damage exists"));
        change(&mut file.live);
        file.durable = file.live.clone();
        file.pending.clear();
    }

    /// Adds a file behind the journal's back, durably.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) {
        let id = self.next_file;
        self.next_file += 1;
        let bytes = Shared::from(bytes);
        *self.file_mut(id) = FileImage { live: bytes.clone(), durable: bytes, pending: Vec::new() };
        self.names.insert(name.to_owned(), id);
        self.durable_names.insert(name.to_owned(), id);
    }

    /// Removes a file behind the journal's back, durably.
    pub fn lose(&mut self, name: &str) {
        self.names.remove(name);
        self.durable_names.remove(name);
        self.pending_names.retain(|(other, _)| other != name);
    }

    /// The length of all files that a running program sees.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let files = self.names.values().filter_map(|id| self.files.get(id));
        files.map(|file| crate::format::wide(file.live.len())).sum()
    }

    fn file_mut(&mut self, id: u64) -> &mut FileImage {
        Arc::make_mut(self.files.entry(id).or_default())
    }
}

#[derive(Debug, Default)]
struct State {
    image: Image,
    record: bool,
    recorded: Vec<(Step, Image)>,
    fault: Option<(Step, u32, io::ErrorKind)>,
    steps: Vec<Step>,
    most_disk_bytes: u64,
}

impl State {
    /// Fails where a fault is due.
    fn begin(&mut self, step: Step) -> io::Result<()> {
        match &mut self.fault {
            Some((at, 0, kind)) if *at == step => {
                let kind = *kind;
                self.fault = None;
                Err(kind.into())
            }
            Some((at, left, _)) if *at == step => {
                *left -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, step: Step) {
        self.steps.push(step);
        self.most_disk_bytes = self.most_disk_bytes.max(self.image.disk_bytes());
        if self.record {
            self.recorded.push((step, self.image.clone()));
        }
    }
}

/// Segments in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ImageStorage(Arc<Mutex<State>>);

impl ImageStorage {
    /// Storage with these files.
    #[must_use]
    pub fn over(image: Image) -> Self {
        Self(Arc::new(Mutex::new(State { image, ..State::default() })))
    }

    /// What there is now.
    #[must_use]
    pub fn image(&self) -> Image {
        self.0.lock().image.clone()
    }

    /// Keeps an image of the state after each step from now on.
    pub fn record(&self) {
        self.0.lock().record = true;
    }

    /// The images kept since the last call.
    #[must_use]
    pub fn take_recorded(&self) -> Vec<(Step, Image)> {
        std::mem::take(&mut self.0.lock().recorded)
    }

    /// The steps that succeeded since the last call.
    #[must_use]
    pub fn take_steps(&self) -> Vec<Step> {
        std::mem::take(&mut self.0.lock().steps)
    }

    /// Changes bytes of a file behind the journal's back, while that is open.
    ///
    /// # Panics
    /// Where there is no such file.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        self.0.lock().image.damage(name, change);
    }

    /// The most bytes that all files together have had after any step.
    #[must_use]
    pub fn most_disk_bytes(&self) -> u64 {
        self.0.lock().most_disk_bytes
    }

    /// Makes one step of this kind fail, after `after` of them that succeed. What it should have made durable stays
    /// in the live image and never becomes durable by a later sync, as with Linux's page cache.
    pub fn fail(&self, step: Step, after: u32, kind: io::ErrorKind) {
        self.0.lock().fault = Some((step, after, kind));
    }
}

impl Storage for ImageStorage {
    fn settle(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin(Step::Settle)?;
        let ids: Vec<u64> = state.image.names.values().copied().collect();
        for id in ids {
            let file = state.image.file_mut(id);
            file.sync();
            file.live = file.durable.clone();
        }
        state.image.pending_names.clear();
        state.image.durable_names = state.image.names.clone();
        state.end(Step::Settle);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().image.names.keys().cloned().collect())
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Box<dyn SegmentFile>> {
        let mut state = self.0.lock();
        state.begin(Step::Create)?;
        if state.image.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = state.image.next_file;
        state.image.next_file += 1;
        state.image.file_mut(id).live = vec![0; narrow(length)].into();
        state.image.names.insert(name.to_owned(), id);
        state.image.pending_names.push((name.to_owned(), Some(id)));
        state.end(Step::Create);
        Ok(Box::new(ImageFile { storage: self.clone(), id }))
    }

    fn open(&self, name: &str, _: Access) -> io::Result<Box<dyn SegmentFile>> {
        let id = self.0.lock().image.names.get(name).copied();
        let id = id.ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(ImageFile { storage: self.clone(), id }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin(Step::Remove)?;
        state.image.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.image.pending_names.push((name.to_owned(), None));
        state.end(Step::Remove);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        state.image.pending_names.clear();
        state.begin(Step::SyncDirectory)?;
        state.image.durable_names = state.image.names.clone();
        state.end(Step::SyncDirectory);
        Ok(())
    }
}

struct ImageFile {
    storage: ImageStorage,
    id: u64,
}

impl SegmentFile for ImageFile {
    fn len(&self) -> u64 {
        let state = self.storage.0.lock();
        state.image.files.get(&self.id).map_or(0, |file| crate::format::wide(file.live.len()))
    }

    fn fetch(&self) -> io::Result<()> {
        self.storage.0.lock().begin(Step::Fetch)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut state = self.storage.0.lock();
        state.begin(Step::Write)?;
        let file = state.image.file_mut(self.id);
        let start = narrow(position);
        let mut at = start;
        for slice in slices {
            let place = file.live.get_mut(at..at + slice.len());
            place.expect("a write stays within the file").copy_from_slice(slice);
            at += slice.len();
        }
        file.pending.push(start..at);
        state.end(Step::Write);
        Ok(())
    }

    fn prepare(&self, position: u64, length: u64) {
        let mut state = self.storage.0.lock();
        let range = narrow(position)..narrow(position + length);
        let file = state.image.file_mut(self.id);
        file.live.get_mut(range.clone()).expect("it stays within the file").fill(0);
        file.pending.push(range);
        state.end(Step::Prepare);
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.storage.0.lock();
        if let Err(error) = state.begin(Step::Sync) {
            state.image.file_mut(self.id).pending.clear();
            return Err(error);
        }
        state.image.file_mut(self.id).sync();
        state.end(Step::Sync);
        Ok(())
    }

    fn erase_from(&self, position: u64) -> io::Result<()> {
        let mut state = self.storage.0.lock();
        state.begin(Step::Erase)?;
        let file = state.image.file_mut(self.id);
        let position = narrow(position);
        for image in [&mut file.live, &mut file.durable] {
            image.get_mut(position..).unwrap_or_default().fill(0);
        }
        state.end(Step::Erase);
        Ok(())
    }

    fn view(&self, position: u64, length: u64) -> Bytes {
        let state = self.storage.0.lock();
        let file = state.image.files.get(&self.id).expect("an open file exists");
        Bytes::from_owner(file.live.clone()).slice(narrow(position)..narrow(position + length))
    }
}
