//! The memory and the descriptors that io_uring has in hand: the one place where the kernel writes into
//! memory behind the compiler's back.
//!
//! What makes that sound:
//! * A read that was pushed belongs to the ring, in `under_way`: its buffer and the open file. Nobody else
//!   can reach either, and the heap memory of a buffer does not move when the buffer itself does.
//! * It leaves `under_way` only when its completion has come, which is the kernel's last word about it, or
//!   before the kernel was told about it, after which the ring is never submitted to again.
//! * Whatever is still under way when the ring is dropped is leaked. Closing a ring does not stop its reads.
#![expect(unsafe_code, reason = "the kernel reads into buffers while nobody looks at them")]

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use hotbay_block::Extent;
use io_uring::{IoUring, Probe, opcode, types};
use rustix::io::Errno;
use slab::Slab;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::open_file::{Fault, OpenFile};

/// A read of what is missing of `extent` behind the bytes in `buffer`.
#[derive(Debug)]
pub(super) struct Read<A> {
    pub(super) file: Arc<OpenFile>,
    pub(super) extent: Extent,
    /// Has the capacity for the whole extent.
    pub(super) buffer: BytesMut,
    /// Where the answer goes.
    pub(super) asker: A,
}

/// How far a read came.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The buffer holds the extent.
    Whole(BytesMut),
    /// The medium did not give its bytes.
    Failed(Fault),
    /// The ring could not do it, which says nothing about the medium: the rest is to be read in another way.
    Unfinished(BytesMut),
}

/// An io_uring and the reads that it carries out.
pub(super) struct Ring<A> {
    uring: IoUring,
    under_way: Slab<Read<A>>,
    /// What the kernel has not been told about, in the order in which it will be.
    unsubmitted: VecDeque<usize>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Usable,
    /// The kernel took no submission. It must not see what is left in the submission queue.
    Broken,
}

impl<A> Ring<A> {
    /// The most reads under way at once.
    pub(super) const READS_MAX: usize = 128;

    /// Asks the kernel for a ring.
    ///
    /// # Errors
    /// Those of `io_uring_setup(2)`: the kernel is too old, or does not let this process.
    pub(super) fn new() -> io::Result<Self> {
        let entries = u32::try_from(Self::READS_MAX).expect("it is small");
        // A completion does not interrupt a thread that runs; it waits for its next system call or tick.
        let uring = IoUring::builder().setup_coop_taskrun().setup_submit_all().build(entries);
        let uring = match uring {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                IoUring::new(entries)?
            }
            other => other?,
        };
        let mut probe = Probe::new();
        uring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Read::CODE) {
            return Err(Errno::OPNOTSUPP.into());
        }
        Ok(Self {
            uring,
            under_way: Slab::with_capacity(Self::READS_MAX),
            unsubmitted: VecDeque::with_capacity(Self::READS_MAX),
            state: State::Usable,
        })
    }

    /// The ring with what the runtime needs to wait for ends of reads.
    ///
    /// # Errors
    /// Where the runtime cannot watch its descriptor.
    ///
    /// # Panics
    /// Outside a runtime with I/O.
    pub(super) fn watched(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is that of `uring`, which is neither replaced nor closed before the ring
        // is dropped, and the `AsyncFd` owns the ring.
        Ok(unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) }?)
    }

    /// How many reads can be pushed.
    pub(super) fn room(&self) -> usize {
        Self::READS_MAX - self.under_way.len()
    }

    /// Whether no read is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Takes a read, to be submitted with the next [`submit`](Self::submit).
    ///
    /// # Errors
    /// Gives it back where the ring takes none any more.
    ///
    /// # Panics
    /// Where there is no room for it.
    pub(super) fn push(&mut self, read: Read<A>) -> Result<(), Read<A>> {
        assert!(self.room() > 0, "more reads than the ring has room for");
        if self.state == State::Broken {
            return Err(read);
        }
        let key = self.under_way.insert(read);
        self.queue(key);
        Ok(())
    }

    /// Puts what is missing of a read into the submission queue.
    fn queue(&mut self, key: usize) {
        let read = &mut self.under_way[key];
        let missing = read.extent.len_in_memory() - read.buffer.len();
        let place = read.extent.offset() + read.buffer.len() as u64;
        let memory = &mut read.buffer.spare_capacity_mut()[..missing];
        // What does not fit 32 bits is read in parts.
        let length = u32::try_from(missing).unwrap_or(u32::MAX);
        let file = types::Fd(read.file.file().as_raw_fd());
        let entry = opcode::Read::new(file, memory.as_mut_ptr().cast(), length)
            .offset(place)
            .build()
            .user_data(key as u64);
        // SAFETY: the memory has room for `length` bytes and belongs, like the open descriptor, to a read
        // in `under_way`, where both stay untouched until its completion: see the top of this file.
        let pushed = unsafe { self.uring.submission().push(&entry) };
        pushed.expect("each read has one entry at most, and there is room for all");
        self.unsubmitted.push_back(key);
    }

    /// Tells the kernel about all that was pushed, with one system call as a rule. Gives what it did not
    /// take, after which the ring is only good for what is under way.
    pub(super) fn submit(&mut self) -> Vec<Read<A>> {
        while !self.unsubmitted.is_empty() && self.state == State::Usable {
            match self.uring.submit() {
                Ok(taken) if taken > 0 => drop(self.unsubmitted.drain(..taken)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                refusal => {
                    tracing::warn!(?refusal, "io_uring takes no reads any more; threads will read");
                    self.state = State::Broken;
                }
            }
        }
        let left = self.unsubmitted.drain(..);
        left.map(|key| self.under_way.remove(key)).collect()
    }

    /// The next read that has ended. Continues those that came to a part only.
    pub(super) fn next_ended(&mut self) -> Option<(A, Ended)> {
        loop {
            let completion = self.uring.completion().next()?;
            let key = usize::try_from(completion.user_data()).expect("a key that was given");
            let read = &mut self.under_way[key];
            let fault = match completion.result() {
                0 => Some(Fault::EndedEarly),
                length if length > 0 => {
                    let length = length.unsigned_abs() as usize;
                    let missing = read.extent.len_in_memory() - read.buffer.len();
                    assert!(length <= missing, "the kernel reads no more than it is asked for");
                    // SAFETY: the kernel has initialised these bytes, at the beginning of the spare
                    // capacity.
                    unsafe { read.buffer.advance_mut(length) };
                    None
                }
                error => Some(Fault::Os(Errno::from_raw_os_error(-error))),
            };
            let is_part = fault.is_none() && read.buffer.len() < read.extent.len_in_memory();
            if is_part && self.state == State::Usable {
                self.queue(key);
                continue;
            }
            // The file is let go before the answer: who is answered may want to open it anew.
            let Read { buffer, asker, .. } = self.under_way.remove(key);
            return Some((asker, ended(buffer, is_part, fault)));
        }
    }
}

fn ended(buffer: BytesMut, is_part: bool, fault: Option<Fault>) -> Ended {
    match fault {
        None if is_part => Ended::Unfinished(buffer),
        None => Ended::Whole(buffer),
        // What a read by a thread would not have met with, or would have repeated.
        Some(Fault::Os(
            Errno::AGAIN
            | Errno::INTR
            | Errno::CANCELED
            | Errno::NOMEM
            | Errno::INVAL
            | Errno::OPNOTSUPP,
        )) => Ended::Unfinished(buffer),
        Some(fault) => Ended::Failed(fault),
    }
}

impl<A> AsRawFd for Ring<A> {
    fn as_raw_fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }
}

impl<A> Drop for Ring<A> {
    fn drop(&mut self) {
        std::mem::forget(std::mem::take(&mut self.under_way));
    }
}

#[cfg(test)]
mod tests;
