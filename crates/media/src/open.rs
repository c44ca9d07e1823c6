//! Where media are found: the one place that knows every kind of medium.

use std::collections::HashMap;
use std::sync::Arc;

use hotbay_block::{BoxFuture, Medium, Result};
use parking_lot::Mutex;

use crate::fault::FaultPlan;
use crate::file::create_unless_there;
use crate::memory::MemoryStore;
use crate::pool::blocking;
use crate::remote::Places;
use crate::{ByteSize, FileMedium, MediumSpec, MemoryMedium, open_file};

/// Finds and opens media. Memory media lie on it while no bay holds them.
#[derive(Debug, Default)]
pub struct Shelf {
    memory: Mutex<HashMap<(String, ByteSize), Arc<MemoryStore>>>,
    remote: Arc<Places>,
    faults: Mutex<HashMap<String, Arc<FaultPlan>>>,
}

impl Shelf {
    /// A shelf with no memory on it yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the medium that `spec` names, for the volume `owner`.
    ///
    /// A file that has `create` and is not there is created, sparse and for its owner's eyes only; one that
    /// is there is opened as it is, whatever its size. A memory medium belongs to its owner: the same owner
    /// and size give the same bytes as long as the shelf lives.
    ///
    /// An export of another server is connected to; whoever had it open before in this process must have let go of it.
    /// That takes at most some 25 s.
    ///
    /// The future opens files on tokio's blocking pool, and needs the shelf no longer. If it is dropped the
    /// file is opened and closed again, and may have been created; a connection is closed.
    ///
    /// # Errors
    /// As [`FileMedium::open`]; with `create`, [`ErrorKind::Gone`](hotbay_block::ErrorKind::Gone) where
    /// there is no directory for the file. Where [faults](Self::faults) are armed, what they bring about.
    pub fn open(
        &self,
        spec: &MediumSpec,
        owner: &str,
    ) -> BoxFuture<'static, Result<Arc<dyn Medium>>> {
        self.faults(owner).open(self.open_itself(spec, owner))
    }

    /// The faults of the volume `owner`: they happen to every medium that is opened for it.
    #[must_use]
    pub fn faults(&self, owner: &str) -> Arc<FaultPlan> {
        Arc::clone(self.faults.lock().entry(owner.to_owned()).or_default())
    }

    /// Forgets the volume `owner`, which is no more: its memory media, and its faults.
    pub fn forget(&self, owner: &str) {
        self.memory.lock().retain(|(volume, _), _| volume != owner);
        self.faults.lock().remove(owner);
    }

    fn open_itself(
        &self,
        spec: &MediumSpec,
        owner: &str,
    ) -> BoxFuture<'static, Result<Arc<dyn Medium>>> {
        match spec {
            MediumSpec::Memory { size } => {
                let medium: Arc<dyn Medium> = Arc::new(MemoryMedium::of(self.memory(*size, owner)));
                Box::pin(std::future::ready(Ok(medium)))
            }
            MediumSpec::File { path, create } => {
                let (path, create) = (path.clone(), *create);
                Box::pin(blocking(move || {
                    if let Some(ByteSize(bytes)) = create {
                        create_unless_there(&path, bytes)?;
                    }
                    Ok(Arc::new(FileMedium::open(&path)?) as Arc<dyn Medium>)
                }))
            }
            MediumSpec::Disk(name) => {
                let name = name.clone();
                Box::pin(blocking(move || {
                    Ok(Arc::new(FileMedium::open_disk(&name)?) as Arc<dyn Medium>)
                }))
            }
            MediumSpec::Remote(uri) => {
                let (places, uri, owner) =
                    (Arc::clone(&self.remote), uri.clone(), owner.to_owned());
                Box::pin(async move { places.open(&uri, &owner).await })
            }
        }
    }

    /// Whether the medium can be found now, without opening it or waiting for a disk: a file or device is
    /// there, or the owner's memory is on the shelf. What [`open`](Self::open) would only create is not
    /// there, nor what a fault keeps away. A server is asked beside, now and then, and the answer is what it said last; within a tokio runtime.
    ///
    /// It may be gone, or in use, by the time it is opened.
    #[must_use]
    pub fn contains(&self, spec: &MediumSpec, owner: &str) -> bool {
        if self.faults(owner).is_away() {
            return false;
        }
        match spec {
            MediumSpec::Memory { size } => {
                self.memory.lock().contains_key(&(owner.to_owned(), *size))
            }
            MediumSpec::File { path, .. } => open_file::is_there(path),
            MediumSpec::Disk(name) => open_file::is_disk_there(name),
            MediumSpec::Remote(uri) => self.remote.contains(uri),
        }
    }

    fn memory(&self, size: ByteSize, owner: &str) -> Arc<MemoryStore> {
        let mut memory = self.memory.lock();
        let store =
            memory.entry((owner.to_owned(), size)).or_insert_with(|| MemoryStore::new(size));
        Arc::clone(store)
    }
}

#[cfg(test)]
mod tests;
