//! The seam between the journal and whatever stores its segments.

use std::io::{self, IoSlice};

use bytes::Bytes;
use hotbay_block::Pipe;

/// Whether a file is opened to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read only; nothing of it changes, not even what the file system notes about it.
    Read,
    /// To be appended to as well.
    Write,
}

/// A place that holds segments by name: a directory. Used from any number of threads.
pub trait Storage: Send + Sync {
    /// Brings every segment and name to stable storage, then lets go of cached copies, so that what is read from now on
    /// is what a power cut would leave. After a kill, what is read may be in the page cache alone; after a sync that
    /// failed, it may be there, clean, and never reach the disk. Called once, before anything else is read.
    ///
    /// # Errors
    /// Those of the storage.
    fn settle(&self) -> io::Result<()>;

    /// The names of all files, in any order. Names that are not a segment's are not the journal's business.
    ///
    /// # Errors
    /// Those of the storage.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates a file of `length` bytes that read as zeroes, with all its blocks allocated. Not durable before
    /// [`SegmentFile::sync_data`] of it and [`Storage::sync_directory`].
    ///
    /// # Errors
    /// `StorageFull` or `QuotaExceeded` where there is no room; nothing is left behind then. `AlreadyExists`.
    fn create(&self, name: &str, length: u64) -> io::Result<Box<dyn SegmentFile>>;

    /// Opens a file that exists.
    ///
    /// # Errors
    /// Those of the storage.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn SegmentFile>>;

    /// Removes a file. Views of it stay readable. Not durable before [`Storage::sync_directory`].
    ///
    /// # Errors
    /// Those of the storage.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes each creation and removal that returned before durable. Never retried after a failure.
    ///
    /// # Errors
    /// Those of the storage; what is durable is unknown then.
    fn sync_directory(&self) -> io::Result<()>;
}

/// One segment's file. Used from any number of threads, but only one of them writes at a time.
pub trait SegmentFile: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads all of it once, so that what is viewed next is in memory, and what cannot be read is an error and not the end of
    /// the process. Waits. Does nothing where views are of memory anyway.
    ///
    /// # Errors
    /// Those of the storage.
    fn fetch(&self) -> io::Result<()> {
        Ok(())
    }

    /// Writes all the slices, one after the other, at `position`. Never past the end, and never where bytes
    /// that a view may show have been written before.
    ///
    /// # Errors
    /// Those of the storage; any part of the bytes may have been written then.
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()>;

    /// Says that these bytes, which read as zeroes and go on doing so, are going to be written and synced in small
    /// steps. Storage may write zeroes over them where that makes such syncs cheaper, or do nothing. Nobody
    /// relies on it: what fails here is met by the write or the sync that follows.
    fn prepare(&self, _position: u64, _length: u64) {}

    /// Makes each write that returned before durable. Never retried after a failure.
    ///
    /// # Errors
    /// Those of the storage; what is durable is unknown then.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes all bytes from `position` on read as zeroes, durably when it returns, and keeps room for them.
    /// Where there is no room for that any more the file ends at `position`.
    ///
    /// # Errors
    /// Those of the storage; the bytes may be as before or zeroes then.
    fn erase_from(&self, position: u64) -> io::Result<()>;

    /// `length` bytes at `position`, not copied where the storage can do so. The caller asks only for bytes
    /// that are not going to be changed while it holds the view.
    ///
    /// # Panics
    /// Where they pass the end.
    fn view(&self, position: u64, length: u64) -> Bytes;

    /// Puts bytes into a pipe by reference: from `position` on, `length` at most, as many as there is room for. How many
    /// that were; none where the storage cannot. May wait for what is not in memory. Asked for what may be viewed.
    fn lend(&self, _position: u64, _length: usize, _pipe: &Pipe) -> usize {
        0
    }
}
