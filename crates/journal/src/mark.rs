//! The mark: a small file beside the segments that says up to which record the journal was synced, at least.
//!
//! Segments witness for each other what was flushed, but nothing in them tells of one that was cut off, or of the only one that
//! is missing. The mark does. It is written with the first sync of each segment and at a clean close, always behind the sync of
//! which it speaks, so that what it says is true whatever else a crash leaves of it. Nobody relies on its being there: one
//! that is missing, damaged or another volume's says nothing.

use std::io::{self, IoSlice};

use bytes::Bytes;

use crate::Sequence;
use crate::error::ScanError;
use crate::format::{MARK_BYTES, mark};
use crate::storage::{Access, SegmentFile, Storage};

/// Its name in the journal's directory.
pub(crate) const MARK_NAME: &str = "synced.mark";

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) volume: [u8; 16],
    /// The newest segment then.
    pub(crate) segment: u64,
    /// Every record up to this one was synced.
    pub(crate) synced: Sequence,
}

/// Reads it, where there is one that is whole.
///
/// # Errors
/// Where the storage cannot be read.
pub(crate) fn read_mark(storage: &dyn Storage) -> Result<Option<Mark>, ScanError> {
    match storage.open(MARK_NAME, Access::Read) {
        // A copy: it may be written meanwhile.
        Ok(file) => {
            let shown = file.view(0, file.len().min(MARK_BYTES));
            Ok(Mark::decode(&Bytes::copy_from_slice(&shown)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ScanError::Io { name: MARK_NAME.into(), source }),
    }
}

/// Opens it to be written, and makes one where there is none. To be made durable with the directory. `None` where there is no
/// room for one.
pub(crate) fn open_mark(storage: &dyn Storage) -> io::Result<Option<Box<dyn SegmentFile>>> {
    match storage.open(MARK_NAME, Access::Write) {
        Ok(file) if file.len() >= MARK_BYTES => return Ok(Some(file)),
        Ok(_) => storage.remove(MARK_NAME)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match storage.create(MARK_NAME, MARK_BYTES) {
        Ok(file) => Ok(Some(file)),
        Err(error) if crate::error::is_storage_full(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Mark {
    /// Writes it, durably.
    pub(crate) fn write(&self, file: &dyn SegmentFile) -> io::Result<()> {
        match file.write_at(&[IoSlice::new(&self.encode())], 0) {
            Ok(()) => file.sync_data(),
            Err(error) if crate::error::is_storage_full(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Removes a journal: the mark first, and durably, since segments that are missing beside it are damage.
///
/// # Errors
/// Those of the storage; a part of it may be removed then.
pub fn remove(storage: &dyn Storage) -> io::Result<()> {
    let (marks, others): (Vec<_>, Vec<_>) =
        storage.list()?.into_iter().partition(|name| name == MARK_NAME);
    for names in [marks, others] {
        names.iter().try_for_each(|name| storage.remove(name))?;
        storage.sync_directory()?;
    }
    Ok(())
}

const _: () = assert!(mark::BYTES <= 512, "a disk writes it whole or not at all");
