//! Zeroes and trims: the quick ways of the file system or the device, and what to do where there is none.
//!
//! | asked for | regular file | block device |
//! |---|---|---|
//! | zeroes, hole allowed | punch a hole, else zero the range, else write | the same: the kernel unmaps |
//! | zeroes, no hole | zero the range, else write | the same: the kernel keeps the blocks |
//! | trim | punch a hole, else nothing | discard, else nothing |
//!
//! Zeroes that must be quick are refused where there is nothing left but to write, and no hole on a block device: the kernel may
//! write every block for it, and does not tell.
//!
//! A way that is refused once is not tried again on this medium.

use std::sync::atomic::{AtomicBool, Ordering};

use hotbay_block::{Extent, Hole, Speed};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::open_file::{Fault, FileKind, OpenFile};
use crate::{sys, transfer};

const PUNCH: FallocateFlags = FallocateFlags::PUNCH_HOLE.union(FallocateFlags::KEEP_SIZE);
const ZERO: FallocateFlags = FallocateFlags::ZERO_RANGE.union(FallocateFlags::KEEP_SIZE);

/// The most zeroes that are written by one system call.
const PIECE_BYTES: usize = 128 << 10;
static ZEROES: [u8; PIECE_BYTES] = [0; PIECE_BYTES];

/// The ways that a medium has refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    punch: AtomicBool,
    zero: AtomicBool,
    discard: AtomicBool,
}

#[cfg(test)]
impl Refusals {
    /// Those of a medium that has no quick way at all.
    pub(crate) fn all() -> Self {
        Self { punch: true.into(), zero: true.into(), discard: true.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tried {
    Done,
    Refused,
}

/// Tries a way that has not been refused yet.
fn attempt(refused: &AtomicBool, way: impl FnOnce() -> Result<(), Errno>) -> Result<Tried, Errno> {
    if refused.load(Ordering::Relaxed) {
        return Ok(Tried::Refused);
    }
    match way() {
        Ok(()) => Ok(Tried::Done),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY) => {
            refused.store(true, Ordering::Relaxed);
            Ok(Tried::Refused)
        }
        // The granule may be larger than the device says. The kernel has changed nothing.
        Err(Errno::INVAL) => Ok(Tried::Refused),
        Err(errno) => Err(errno),
    }
}

/// Makes `extent` read as zeroes. May wait. What is refused as slow has changed nothing.
pub(crate) fn zero(
    file: &OpenFile,
    refusals: &Refusals,
    extent: Extent,
    hole: Hole,
    speed: Speed,
) -> Result<(), Fault> {
    let whole = file.whole_granules(extent);
    let quickly = !whole.is_empty() && zero_quickly(file, refusals, whole, hole, speed)?;
    match (quickly, speed) {
        (true, _) => {
            write_zeroes(file, Extent::between(extent.offset(), whole.offset()))?;
            write_zeroes(file, Extent::between(whole.end(), extent.end()))
        }
        (false, Speed::Any) => write_zeroes(file, extent),
        (false, Speed::Fast) => Err(Fault::Slow),
    }
}

/// Makes whole granules read as zeroes where there is a quick way.
fn zero_quickly(
    file: &OpenFile,
    refusals: &Refusals,
    whole: Extent,
    hole: Hole,
    speed: Speed,
) -> Result<bool, Errno> {
    let allocate = |flags| {
        retrying(|| rustix::fs::fallocate(file.file(), flags, whole.offset(), whole.length()))
    };
    if hole == Hole::Allowed && attempt(&refusals.punch, || allocate(PUNCH))? == Tried::Done {
        return Ok(true);
    }
    if speed == Speed::Fast && matches!(file.kind(), FileKind::BlockDevice { .. }) {
        return Ok(false);
    }
    Ok(attempt(&refusals.zero, || allocate(ZERO))? == Tried::Done)
}

/// Lets go of the storage behind `extent`, where that can be done. May wait.
pub(crate) fn trim(file: &OpenFile, refusals: &Refusals, extent: Extent) -> Result<(), Fault> {
    let whole = file.whole_granules(extent);
    if whole.is_empty() {
        return Ok(());
    }
    let (offset, length) = (whole.offset(), whole.length());
    match file.kind() {
        FileKind::Regular { .. } => attempt(&refusals.punch, || {
            retrying(|| rustix::fs::fallocate(file.file(), PUNCH, offset, length))
        })?,
        FileKind::BlockDevice { .. } => {
            attempt(&refusals.discard, || retrying(|| sys::discard(file.file(), offset, length)))?
        }
    };
    Ok(())
}

fn retrying(call: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    rustix::io::retry_on_intr(call)
}

fn write_zeroes(file: &OpenFile, extent: Extent) -> Result<(), Fault> {
    for piece in extent.pieces(PIECE_BYTES as u64) {
        transfer::write_all(file.file(), &ZEROES[..piece.len_in_memory()], piece.offset())?;
    }
    Ok(())
}
