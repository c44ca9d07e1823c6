//! A live copy of a volume's medium to another one.
//!
//! From before the first byte is read, each change is noted as dirty when the source has carried it out. The
//! whole volume is copied once; then what became dirty, again and again, until little is left. A change that is under
//! way while its range is read is noted after it was carried out, so its range is copied again: it cannot slip through.
//! The same holds of holes, which are not read: a source tells of them at once, and what is changed there later is noted.
//!
//! This goes in passes, each of which ends with a sync of the target (`sync_along.rs` has some in between), so that the last sync,
//! for which clients wait, has little to bring to the platter. A sync takes as long as what was scattered since the one before it, and clients
//! that write at full speed scatter as much again meanwhile. So towards the end each of their changes is held back for
//! a few milliseconds, longer with each pass: less in all than the one long wait that they are spared.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hotbay_block::{
    Allocation, Durability, Error, ErrorKind, Extent, Hole, Medium, Request, Status,
};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::attachment::{Attachment, Here};
use crate::buffers::Buffers;
use crate::driven::Driven;
use crate::journal_log::blocking;
use crate::status::Progress;
use crate::sync_along::sync_along;
use crate::under_way::{Doing, Hung};
use crate::volume::Volume;

/// The bytes read and written at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// The bytes of a hole made at a time: a target may have to write them.
const HOLE_BYTES: u64 = 64 << 20;

/// Of less than this it is not asked whether it is a hole: reading it takes no longer.
const ASKED_BYTES: u64 = 64 << 10;

/// How many pieces are asked for where the source knows what it has stored.
const KNOWN_AT_ONCE: usize = 1024;

/// Chunks under way at once.
const CHUNKS_AT_ONCE: usize = 4;

/// What may be left for the end: requests wait while it is copied and synced.
const LAST_BYTES: u64 = 64 << 10;

/// Where less is left of a pass, clients are slowed down.
const NEARLY_DONE_BYTES: u64 = 8 << 20;

/// After so many passes the end comes, whatever is left.
const PASSES: u32 = 16;

/// After so many passes with clients slowed down the end comes, whatever is left.
const SLOW_PASSES: u32 = 6;

/// The longest that a change is held back.
const HOLD_BACK_MAX: Duration = Duration::from_millis(4);

/// Why a copy cannot go on.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// The source cannot be read.
    Source(Error),
    /// The target cannot take it.
    Target(Error),
    /// The source was taken away, or lost.
    Left,
}

/// A piece that the target has, though it may not be synced.
struct Copied {
    bytes: u64,
    /// What had to be written of it: nothing of a hole.
    written_bytes: u64,
}

/// A copy under way.
#[derive(Debug)]
pub(crate) struct Copier {
    pub(crate) volume: Arc<Volume>,
    pub(crate) source: Arc<Attachment>,
    pub(crate) target: Arc<dyn Medium>,
    /// Held by whatever may still reach the target.
    pub(crate) here: Arc<Here>,
    buffers: Buffers,
}

impl Copier {
    pub(crate) fn new(
        volume: &Arc<Volume>,
        source: Arc<Attachment>,
        target: Arc<dyn Medium>,
        here: Here,
    ) -> Self {
        let buffers = Buffers::for_pieces(CHUNKS_AT_ONCE, Extent::between(0, CHUNK_BYTES));
        Self { volume: Arc::clone(volume), source, target, here: Arc::new(here), buffers }
    }

    /// Copies the whole and then what changed meanwhile, and syncs that, until little is left: neither to copy nor to sync.
    /// Gives what is left for [`copy_the_rest`](Self::copy_the_rest).
    pub(crate) async fn copy_while_clients_go_on(&self) -> Result<Vec<Extent>, CopyError> {
        let whole = Extent::between(0, self.target.info().size_bytes);
        let mut progress = Progress { done_bytes: 0, total_bytes: whole.length() };
        let (mut extents, mut slow_passes) = (vec![whole], 0);
        for _ in 0..PASSES {
            self.copy_and_sync_along(&extents, &mut progress).await?;
            self.sync_target().await?;
            let before = bytes_of(&extents);
            extents = self.source.take_dirty();
            let left = bytes_of(&extents);
            progress.total_bytes = progress.done_bytes + left;
            if left <= LAST_BYTES || slow_passes == SLOW_PASSES {
                break;
            }
            if slow_passes > 0 || left <= NEARLY_DONE_BYTES || left > before / 2 {
                self.source.hold_changes_back(pause_in(slow_passes));
                slow_passes += 1;
            }
        }
        Ok(extents)
    }

    /// Copies what was left and what has become dirty since; for when the source's gate is closed and drained.
    pub(crate) async fn copy_the_rest(&self, mut left: Vec<Extent>) -> Result<(), CopyError> {
        left.extend(self.source.take_dirty());
        self.copy_extents(&left, &mut |_| ()).await
    }

    async fn copy_and_sync_along(
        &self,
        extents: &[Extent],
        progress: &mut Progress,
    ) -> Result<(), CopyError> {
        let (written, seen) = watch::channel(0);
        let copying = async {
            let mut tell = |Copied { bytes, written_bytes }: Copied| {
                progress.done_bytes += bytes;
                progress.total_bytes = progress.total_bytes.max(progress.done_bytes);
                self.volume.set_progress(Some(*progress));
                written.send_modify(|written| *written += written_bytes);
            };
            let copied = self.copy_extents(extents, &mut tell).await;
            drop(written);
            copied
        };
        // Whichever fails, the copy is given up, and the next one to this target begins anew: so what the other one still had
        // to say may be lost.
        tokio::try_join!(copying, sync_along(seen, || self.sync_target())).map(|((), ())| ())
    }

    /// Copies extents, and tells of each piece that is done.
    async fn copy_extents(
        &self,
        extents: &[Extent],
        tell: &mut (impl FnMut(Copied) + Send),
    ) -> Result<(), CopyError> {
        let mut known = Vec::new();
        for extent in extents {
            let mut left = *extent;
            while !left.is_empty() {
                known.extend(self.known_of(left).await);
                let end = known.last().map_or(left.end(), |piece| piece.extent.end());
                left = Extent::between(end, left.end());
                if known.len() >= KNOWN_AT_ONCE {
                    let known = std::mem::take(&mut known);
                    self.copy_known(known, tell).await?;
                }
            }
        }
        self.copy_known(known, tell).await
    }

    /// What the source knows of the beginning of an extent without reading it. Of what is short nothing is asked.
    async fn known_of(&self, extent: Extent) -> Vec<Status> {
        if extent.length() < ASKED_BYTES {
            return vec![Status::unknown(extent)];
        }
        let asked =
            self.source.ask(Doing::Map(extent), move |medium| medium.status(extent, KNOWN_AT_ONCE));
        match asked.await {
            Some(Ok(known)) if !known.is_empty() => known,
            _ => vec![Status::unknown(extent)],
        }
    }

    async fn copy_known(
        &self,
        known: Vec<Status>,
        tell: &mut (impl FnMut(Copied) + Send),
    ) -> Result<(), CopyError> {
        let chunks = known.into_iter().flat_map(chunks_of);
        let mut copied =
            stream::iter(chunks).map(|chunk| self.copy_chunk(chunk)).buffered(CHUNKS_AT_ONCE);
        while let Some(chunk) = copied.try_next().await? {
            tell(chunk);
        }
        Ok(())
    }

    async fn copy_chunk(&self, known: Status) -> Result<Copied, CopyError> {
        let extent = known.extent;
        if self.source.is_fenced() {
            return Err(CopyError::Left);
        }
        let change = if is_hole(&known) {
            no_bytes(extent)
        } else {
            let read = Request::Read { extent, buffer: self.buffers.take(), pipe: None };
            let answer = self.source.execute(read).await.ok_or(CopyError::Left)?;
            let data = answer.map_err(CopyError::Source)?.into_payload().into_bytes();
            as_change(extent, self.buffers.lend_again(data))
        };
        let written_bytes = match &change {
            Request::Write { extent, .. } => extent.length(),
            _ => 0,
        };
        self.tell_target(change).await?;
        // What is cached is copied without waiting; others want to run in between.
        tokio::task::yield_now().await;
        Ok(Copied { bytes: extent.length(), written_bytes })
    }

    pub(crate) async fn sync_target(&self) -> Result<(), CopyError> {
        self.tell_target(Request::Flush).await
    }

    /// Where the copy is given up, what is under way keeps the target's handle, so that the target cannot be opened again
    /// as long as something old may land on it.
    async fn tell_target(&self, request: Request) -> Result<(), CopyError> {
        let (target, here) = (Arc::clone(&self.target), Arc::clone(&self.here));
        let doing = Doing::of(&request);
        let told = async {
            // On a thread that may wait: also what is expected to be done at once may be held by a target that hangs.
            let begun = blocking(move || {
                let execution = target.execute(request);
                Driven::begin(execution, || (target, here))
            });
            match begun.await {
                Ok(answer) => answer,
                Err(driven) => driven.await,
            }
        };
        let deadline = self.volume.settings().io_deadline;
        let answer = timeout(deadline, told).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::TimedOut, Hung { doing, deadline }.to_string()))
        });
        answer.map(drop).map_err(CopyError::Target)
    }
}

/// How long a change is held back in the slow pass of this number, counted from 0.
fn pause_in(slow_pass: u32) -> Duration {
    HOLD_BACK_MAX.min(Duration::from_millis(1 << slow_pass.min(10)))
}

fn bytes_of(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.length()).sum()
}

/// What is copied at a time of a piece that is alike.
fn chunks_of(known: Status) -> impl Iterator<Item = Status> {
    let step = if is_hole(&known) { HOLE_BYTES } else { CHUNK_BYTES };
    known.extent.pieces(step).map(move |extent| Status { extent, ..known })
}

/// Whether it is known to be zeroes, so that it need not be read.
pub(crate) fn is_hole(known: &Status) -> bool {
    known.allocation == Allocation::Hole
}

/// The change that makes a range hold these bytes. Zeroes are not written where the target can do with a hole.
pub(crate) fn as_change(extent: Extent, data: Bytes) -> Request {
    match data.iter().all(|&byte| byte == 0) {
        true => no_bytes(extent),
        false => Request::Write { extent, data, durability: Durability::Deferred },
    }
}

/// The change that makes a range read as zeroes.
pub(crate) const fn no_bytes(extent: Extent) -> Request {
    Request::zero(extent, Hole::Allowed, Durability::Deferred)
}
