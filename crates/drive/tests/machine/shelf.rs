//! Where media are found by name. Somebody may put another disk in a disk's place.

use std::collections::BTreeMap;
use std::sync::Arc;

use hotbay_block::{BoxFuture, Error, ErrorKind, Medium, Result};
use hotbay_drive::MediumSource;
use parking_lot::Mutex;

use super::disk::Disk;
use super::medium::Handle;

#[derive(Debug, Default)]
pub struct Shelf(Mutex<BTreeMap<String, Arc<Disk>>>);

impl Shelf {
    /// Puts a disk in a place; gives the one that was there.
    pub fn put(&self, name: &str, disk: Arc<Disk>) -> Option<Arc<Disk>> {
        self.0.lock().insert(name.to_owned(), disk)
    }

    pub fn disk(&self, name: &str) -> Arc<Disk> {
        Arc::clone(&self.0.lock()[name])
    }

    pub fn disks(&self) -> Vec<(String, Arc<Disk>)> {
        let disks = self.0.lock();
        disks.iter().map(|(name, disk)| (name.clone(), Arc::clone(disk))).collect()
    }
}

impl MediumSource for Shelf {
    fn open<'a>(
        &'a self,
        medium: &'a str,
        _volume: &'a str,
    ) -> BoxFuture<'a, Result<Arc<dyn Medium>>> {
        Box::pin(async move {
            let disk = self.0.lock().get(medium).cloned();
            let missing = || Error::new(ErrorKind::Gone, format!("there is no disk {medium}"));
            let handle = Handle::open(medium, disk.ok_or_else(missing)?).await?;
            Ok(Arc::new(handle) as Arc<dyn Medium>)
        })
    }

    fn is_there(&self, medium: &str, _volume: &str) -> bool {
        self.0.lock().get(medium).is_some_and(|disk| disk.is_there())
    }
}
