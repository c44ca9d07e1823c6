//! System calls that the safe bindings do not offer; with `cold_reads::ring` the only place for `unsafe`.
//!
//! Reads fill the spare capacity of a buffer, because zeroing memory that is overwritten at once costs about
//! a tenth of a large cached read.
#![expect(
    unsafe_code,
    reason = "reads into memory that is not initialised; a discard of a block device; a descriptor that tokio watches"
)]

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use bytes::{BufMut, BytesMut};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Reads at most `length` bytes at `offset` behind those in `buffer`; gives their number, 0 at the end of
/// the file.
///
/// # Errors
/// Those of `preadv2(2)`; [`Errno::AGAIN`] where [`ReadWriteFlags::NOWAIT`] is given and it would wait.
///
/// # Panics
/// Where `buffer` has not the capacity.
pub(crate) fn read_spare(
    fd: impl AsFd,
    buffer: &mut BytesMut,
    length: usize,
    offset: u64,
    flags: ReadWriteFlags,
) -> Result<usize, Errno> {
    let spare = &mut buffer.spare_capacity_mut()[..length];
    let read = rustix::io::preadv2(fd, &mut [uninitialised_slice(spare)], offset, flags)?;
    assert!(read <= length, "the kernel reads no more than it is asked for");
    // SAFETY: the kernel has initialised the first `read` bytes of the spare capacity, which has `length`
    // at least.
    unsafe { buffer.advance_mut(read) };
    Ok(read)
}

/// The I/O vector of memory that only the kernel will touch, and only by writing.
fn uninitialised_slice(memory: &mut [MaybeUninit<u8>]) -> IoSliceMut<'_> {
    /// `struct iovec` of `readv(2)`.
    #[repr(C)]
    struct IoVector {
        base: *mut MaybeUninit<u8>,
        length: usize,
    }
    let vector = IoVector { base: memory.as_mut_ptr(), length: memory.len() };
    // SAFETY: `IoSliceMut` is documented to be ABI compatible with `iovec`. The lifetime is that of
    // `memory`, which stays mutably borrowed. The bytes are not initialised, so no `&[u8]` to them may be
    // made: the one caller gives the vector to a system call and drops it, and neither dereferences it.
    unsafe { std::mem::transmute::<IoVector, IoSliceMut<'_>>(vector) }
}

/// Tells a block device that a range, whole logical blocks, is not needed any more.
///
/// # Errors
/// Those of the `BLKDISCARD` request of `ioctl(2)`; [`Errno::OPNOTSUPP`] where the device cannot.
pub(crate) fn discard(fd: impl AsFd, offset: u64, length: u64) -> Result<(), Errno> {
    const BLKDISCARD: rustix::ioctl::Opcode = rustix::ioctl::opcode::none(0x12, 119);
    // SAFETY: `BLKDISCARD` takes a pointer to two `u64`, start and length in bytes, and only reads them.
    unsafe {
        let range = rustix::ioctl::Setter::<BLKDISCARD, [u64; 2]>::new([offset, length]);
        rustix::ioctl::ioctl(fd, range)
    }
}

/// A descriptor with which tokio waits until there is something to read.
///
/// # Errors
/// Where it is of a kind that cannot be waited for.
///
/// # Panics
/// Outside of a tokio runtime with its I/O driver.
pub(crate) fn readable(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is the same open descriptor until it is dropped, and the `AsyncFd` owns it.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_read_fills_spare_capacity_behind_what_is_there() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let mut buffer = BytesMut::with_capacity(64);
        buffer.extend_from_slice(b"ab");
        let plain = ReadWriteFlags::empty();
        assert_eq!(read_spare(&file, &mut buffer, 4, 3, plain), Ok(4));
        assert_eq!(read_spare(&file, &mut buffer, 20, 8, plain), Ok(2));
        assert_eq!(read_spare(&file, &mut buffer, 20, 10, plain), Ok(0));
        assert_eq!(&buffer[..], b"ab345689");
    }

    #[test]
    fn a_regular_file_has_nothing_to_discard() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(discard(&file, 0, 4096), Err(Errno::NOTTY));
    }
}
