//! Reads of what is not in the page cache: many under way at once, and no thread for each.
//!
//! A ring of io_uring belongs to one medium, and one task to the ring. The task alone touches it:
//!
//! 1. it takes a few of the reads that wait in a channel, and submits them with one system call;
//! 2. it answers those that have ended;
//! 3. when there are none of either, it sleeps until a read comes, or the kernel makes the ring's descriptor
//!    readable.
//!
//! The first read of a session's batch wakes the task, which runs when the session has nothing more to do:
//! so a batch wakes it once. So do the ends of many reads.
//!
//! * **A ring for each medium**, so that one that hangs keeps nothing but its own reads, and so that what is
//!   under way is bounded for each: [`Ring::READS_MAX`] in the kernel and as many in the channel. Who comes
//!   then waits for room.
//! * **Nobody's future owns what the kernel writes to**: see `ring`. A future that is dropped leaves its
//!   read to end by itself.
//! * **The task ends** when the medium is dropped and nothing is under way. Where the runtime ends before,
//!   the memory of the reads under way is leaked, and their files stay open: the process ends too.
//! * **The file is not registered with the ring.** The kernel lets go of registered files some time after
//!   the ring was closed, and a medium that was ejected must be free at once.

mod ring;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hotbay_block::Extent;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use self::ring::Ring;
use crate::open_file::OpenFile;

pub(crate) use self::ring::Ended;

type Read = ring::Read<oneshot::Sender<Ended>>;

/// The most reads submitted at once. With one system call for 32 the disk has nothing to do until the last of
/// them is prepared, and then the client until the first is done: a sixth of the rate.
const BATCH_READS: usize = 8;

/// The way into the ring of one medium.
#[derive(Debug)]
pub(crate) struct ColdReads {
    reads: mpsc::Sender<Read>,
}

impl ColdReads {
    /// Sets up a ring and spawns its task on the current runtime.
    ///
    /// # Errors
    /// Where the kernel gives no ring, or the runtime cannot wait for one.
    pub(crate) fn start() -> io::Result<Self> {
        let ring = Ring::new()?.watched()?;
        let (reads, waiting) = mpsc::channel(Ring::<()>::READS_MAX);
        let mut task = Task { ring, waiting, batch: Vec::new(), intake: Intake::Open };
        tokio::spawn(std::future::poll_fn(move |context| task.poll(context)));
        Ok(Self { reads })
    }

    /// One that takes nothing.
    #[cfg(test)]
    pub(crate) fn closed() -> Self {
        Self { reads: mpsc::channel(1).0 }
    }

    /// Reads what is missing of `extent` behind the bytes in `buffer`, which has the capacity. Dropping the
    /// future does not stop a read that has begun.
    pub(crate) async fn read(
        &self,
        file: Arc<OpenFile>,
        extent: Extent,
        buffer: BytesMut,
    ) -> Ended {
        let (asker, ended) = oneshot::channel();
        match self.reads.send(Read { file, extent, buffer, asker }).await {
            Ok(()) => ended.await.unwrap_or_else(|_| {
                // The runtime ends; what is asked next will notice too.
                Ended::Unfinished(BytesMut::with_capacity(extent.len_in_memory()))
            }),
            Err(mpsc::error::SendError(read)) => Ended::Unfinished(read.buffer),
        }
    }
}

/// Carries out the reads of one medium.
struct Task {
    ring: AsyncFd<Ring<oneshot::Sender<Ended>>>,
    waiting: mpsc::Receiver<Read>,
    batch: Vec<Read>,
    intake: Intake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intake {
    Open,
    /// The medium was dropped.
    Closed,
}

impl Task {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut any = self.take_reads(context);
            self.submit();
            any |= self.answer_ended();
            if self.intake == Intake::Closed && self.ring.get_ref().is_idle() {
                return Poll::Ready(());
            }
            if !any {
                ready!(self.poll_kernel(context));
            }
        }
    }

    /// Pushes the reads that wait, as far as there is room; whether there was one.
    fn take_reads(&mut self, context: &mut Context<'_>) -> bool {
        let ring = self.ring.get_mut();
        if self.intake == Intake::Closed || ring.room() == 0 {
            return false;
        }
        let most = ring.room().min(BATCH_READS);
        let Poll::Ready(count) = self.waiting.poll_recv_many(context, &mut self.batch, most) else {
            return false;
        };
        if count == 0 {
            self.intake = Intake::Closed;
        }
        for read in self.batch.drain(..) {
            // Nobody waits for it any more.
            if read.asker.is_closed() {
                continue;
            }
            if let Err(read) = ring.push(read) {
                give_back(read);
            }
        }
        count > 0
    }

    fn submit(&mut self) {
        self.ring.get_mut().submit().into_iter().for_each(give_back);
    }

    /// Answers the reads that have ended; whether there was one.
    fn answer_ended(&mut self) -> bool {
        let mut any = false;
        while let Some((asker, ended)) = self.ring.get_mut().next_ended() {
            // An error means that the asker has gone away, as it may.
            let _ = asker.send(ended);
            any = true;
        }
        any
    }

    /// Ready when reads may have ended since they were last looked for.
    fn poll_kernel(&self, context: &mut Context<'_>) -> Poll<()> {
        // An error means that the runtime ends, and nothing will be polled again.
        if let Ok(mut readable) = ready!(self.ring.poll_read_ready(context)) {
            readable.clear_ready();
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

fn give_back(read: Read) {
    let Read { buffer, asker, .. } = read;
    // An error means that the asker has gone away, as it may.
    let _ = asker.send(Ended::Unfinished(buffer));
}

#[cfg(test)]
mod tests;
