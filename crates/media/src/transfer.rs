//! Whole reads and writes at a place in a file: short transfers are continued, and what would wait is told
//! apart.
//!
//! The page cache answers most requests at once, and then a hand-over to another thread costs more than the
//! request. `RWF_NOWAIT` asks for just that: the bytes, or EAGAIN. Not every file system knows it. The
//! first refusal is remembered, because each costs as much as a small read. Then the choice is by what is
//! known of the file: one in memory never waits; of any other, a read may wait for a disk, so all reads go
//! to a thread that may.
//!
//! A buffered write waits for the disk only where it fills a page in part and the rest is not in the cache,
//! or where there are so many dirty pages that the kernel slows the writer down. The first is asked for
//! with a read of one byte; the second is rare here, because a volume syncs long before.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use hotbay_block::Extent;
use rustix::fd::AsFd;
use rustix::io::{Errno, ReadWriteFlags};

use crate::open_file::Fault;
use crate::sys;

const PAGE_BYTES: u64 = 4096;

/// How far a transfer came without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All of it is done.
    Whole,
    /// The rest has to wait for the medium.
    WouldWait,
}

/// What a file can do without waiting.
#[derive(Debug)]
pub(crate) struct Patience {
    in_memory: bool,
    read_refused: AtomicBool,
    write_refused: AtomicBool,
}

impl Patience {
    /// Of this file, before anything was tried.
    pub(crate) fn of(file: impl AsFd) -> Self {
        const TMPFS: u64 = 0x0102_1994;
        const RAMFS: u64 = 0x8584_58f6;
        let magic = rustix::fs::fstatfs(file).map(|system| system.f_type.cast_unsigned());
        Self {
            in_memory: matches!(magic, Ok(TMPFS | RAMFS)),
            read_refused: AtomicBool::new(false),
            write_refused: AtomicBool::new(false),
        }
    }

    /// Whether a read that would wait says so, instead of waiting.
    pub(crate) fn can_refuse_reads(&self) -> bool {
        !self.read_refused.load(Ordering::Relaxed)
    }

    /// Whether nothing that is done with the file waits for a disk.
    pub(crate) const fn never_waits(&self) -> bool {
        self.in_memory
    }

    /// Whether an extent is probably in the page cache: its first and its last byte are.
    pub(crate) fn seems_cached(&self, file: impl AsFd, extent: Extent) -> bool {
        self.is_cached(&file, extent.offset()) && self.is_cached(&file, extent.end() - 1)
    }

    /// Reads what is missing of `extent` behind the bytes in `buffer`, as far as that does not wait.
    pub(crate) fn read(
        &self,
        file: impl AsFd,
        buffer: &mut BytesMut,
        extent: Extent,
    ) -> Result<Progress, Fault> {
        if !self.read_refused.load(Ordering::Relaxed) {
            match read_until(&file, buffer, extent, ReadWriteFlags::NOWAIT) {
                Ok(()) => return Ok(Progress::Whole),
                Err(Fault::Os(Errno::AGAIN)) => return Ok(Progress::WouldWait),
                Err(Fault::Os(Errno::OPNOTSUPP)) => {
                    self.read_refused.store(true, Ordering::Relaxed)
                }
                Err(fault) => return Err(fault),
            }
        }
        if !self.in_memory {
            return Ok(Progress::WouldWait);
        }
        read_all(file, buffer, extent)?;
        Ok(Progress::Whole)
    }

    /// Writes `data` at `offset`, as far as that is not expected to wait; gives how many bytes are written.
    pub(crate) fn write(&self, file: impl AsFd, data: &[u8], offset: u64) -> Result<usize, Fault> {
        if !self.write_refused.load(Ordering::Relaxed) {
            let mut done = 0;
            match write_until(&file, data, &mut done, offset, ReadWriteFlags::NOWAIT) {
                Ok(()) | Err(Fault::Os(Errno::AGAIN)) => return Ok(done),
                Err(Fault::Os(Errno::OPNOTSUPP)) => {
                    self.write_refused.store(true, Ordering::Relaxed)
                }
                Err(fault) => return Err(fault),
            }
        }
        if !self.in_memory && self.has_edge_on_disk(&file, offset, offset + data.len() as u64) {
            return Ok(0);
        }
        write_all(file, data, offset)?;
        Ok(data.len())
    }

    /// Whether a page that a write fills in part has to be read first.
    fn has_edge_on_disk(&self, file: impl AsFd, start: u64, end: u64) -> bool {
        let in_part = |place: u64| !place.is_multiple_of(PAGE_BYTES);
        (in_part(start) && !self.is_cached(&file, start))
            || (in_part(end) && !self.is_cached(&file, end - 1))
    }

    fn is_cached(&self, file: impl AsFd, place: u64) -> bool {
        let mut byte = [0];
        let mut vectors = [std::io::IoSliceMut::new(&mut byte)];
        !self.read_refused.load(Ordering::Relaxed)
            && rustix::io::preadv2(file, &mut vectors, place, ReadWriteFlags::NOWAIT).is_ok()
    }
}

/// Reads what is missing of `extent` behind the bytes in `buffer`. May wait.
pub(crate) fn read_all(
    file: impl AsFd,
    buffer: &mut BytesMut,
    extent: Extent,
) -> Result<(), Fault> {
    read_until(file, buffer, extent, ReadWriteFlags::empty())
}

/// Writes all of `data` at `offset`. May wait.
pub(crate) fn write_all(file: impl AsFd, data: &[u8], offset: u64) -> Result<(), Fault> {
    write_until(file, data, &mut 0, offset, ReadWriteFlags::empty())
}

fn read_until(
    file: impl AsFd,
    buffer: &mut BytesMut,
    extent: Extent,
    flags: ReadWriteFlags,
) -> Result<(), Fault> {
    let length = extent.len_in_memory();
    while buffer.len() < length {
        let place = extent.offset() + buffer.len() as u64;
        match sys::read_spare(&file, buffer, length - buffer.len(), place, flags) {
            Ok(0) => return Err(Fault::EndedEarly),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Counts in `done` what is written, also where it fails.
fn write_until(
    file: impl AsFd,
    data: &[u8],
    done: &mut usize,
    offset: u64,
    flags: ReadWriteFlags,
) -> Result<(), Fault> {
    while *done < data.len() {
        let rest = [std::io::IoSlice::new(&data[*done..])];
        match rustix::io::pwritev2(&file, &rest, offset + *done as u64, flags) {
            // A medium that takes nothing and gives no reason is not asked again for ever.
            Ok(0) => return Err(Fault::Os(Errno::IO)),
            Ok(written) => *done += written,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
