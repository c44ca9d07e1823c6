//! A live copy of a volume's medium to another one.
//!
//! From before the first byte is read, each change is noted as dirty when the source has carried it out. The
//! whole volume is copied once; then what became dirty, again and again, until little is left. A change that is under
//! way while its range is read is noted after it was carried out, so its range is copied again: it cannot slip through.
//!
//! First in passes, each of which ends with a sync of the target, so that the last sync has little to bring to the platter.
//! A client writes on during a sync; so then in dashes without one, each of which leaves less than the one before.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hotbay_block::{Durability, Error, Extent, Hole, Medium, Request};

use crate::attachment::Attachment;
use crate::driven::Driven;
use crate::status::Progress;
use crate::volume::Volume;

/// The bytes read and written at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// Chunks under way at once.
const CHUNKS_AT_ONCE: usize = 4;

/// What may be left of a pass, for the target's last sync: requests wait for that.
const LAST_SYNC_BYTES: u64 = 1 << 20;

/// What may be left of a dash: requests wait while it is copied.
const LAST_COPY_BYTES: u64 = 64 << 10;

/// After so many passes the dashes come, whatever is left.
const PASSES: usize = 12;

/// After so many dashes the end comes, whatever is left.
const DASHES: usize = 8;

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

/// A copy under way.
#[derive(Debug)]
pub(crate) struct Copier {
    pub(crate) volume: Arc<Volume>,
    pub(crate) source: Arc<Attachment>,
    pub(crate) target: Arc<dyn Medium>,
}

impl Copier {
    /// Copies the whole and then what changed meanwhile, and syncs that, until little is left: neither to copy nor to sync.
    /// Gives what is left for [`copy_the_rest`](Self::copy_the_rest).
    pub(crate) async fn copy_while_clients_go_on(&self) -> Result<Vec<Extent>, CopyError> {
        let whole = Extent::between(0, self.target.info().size_bytes);
        let mut progress = Progress { done_bytes: 0, total_bytes: whole.length() };
        let mut extents = vec![whole];
        for _ in 0..PASSES {
            self.copy_extents(&extents, Some(&mut progress)).await?;
            self.sync_target().await?;
            let before = bytes_of(&extents);
            extents = self.source.take_dirty();
            let left = bytes_of(&extents);
            progress.total_bytes = progress.done_bytes + left;
            if left <= LAST_SYNC_BYTES || left > before / 2 {
                break;
            }
        }
        self.dash(extents).await
    }

    /// Copies without a sync until hardly anything is left, or not less than before.
    async fn dash(&self, mut extents: Vec<Extent>) -> Result<Vec<Extent>, CopyError> {
        for _ in 0..DASHES {
            let before = bytes_of(&extents);
            if before <= LAST_COPY_BYTES {
                break;
            }
            self.copy_extents(&extents, None).await?;
            extents = self.source.take_dirty();
            if bytes_of(&extents) > before / 2 {
                break;
            }
        }
        Ok(extents)
    }

    /// Copies what was left and what has become dirty since, and syncs the target; for when the source's gate is closed
    /// and drained.
    pub(crate) async fn copy_the_rest(&self, mut left: Vec<Extent>) -> Result<(), CopyError> {
        left.extend(self.source.take_dirty());
        self.copy_extents(&left, None).await?;
        self.sync_target().await
    }

    async fn copy_extents(
        &self,
        extents: &[Extent],
        mut progress: Option<&mut Progress>,
    ) -> Result<(), CopyError> {
        let chunks = extents.iter().copied().flat_map(|extent| extent.pieces(CHUNK_BYTES));
        let mut copied =
            stream::iter(chunks).map(|chunk| self.copy_chunk(chunk)).buffered(CHUNKS_AT_ONCE);
        while let Some(chunk) = copied.try_next().await? {
            if let Some(progress) = &mut progress {
                progress.done_bytes += chunk.length();
                progress.total_bytes = progress.total_bytes.max(progress.done_bytes);
                self.volume.set_progress(Some(**progress));
            }
        }
        Ok(())
    }

    async fn copy_chunk(&self, extent: Extent) -> Result<Extent, CopyError> {
        if self.source.is_fenced() {
            return Err(CopyError::Left);
        }
        let answer = self.source.execute(Request::read(extent)).await.ok_or(CopyError::Left)?;
        let data = answer.map_err(CopyError::Source)?.into_payload().into_bytes();
        self.tell_target(as_change(extent, data)).await?;
        // What is cached is copied without waiting; others want to run in between.
        tokio::task::yield_now().await;
        Ok(extent)
    }

    async fn sync_target(&self) -> Result<(), CopyError> {
        self.tell_target(Request::Flush).await
    }

    /// Where the copy is given up, what is under way keeps the target's handle, so that the target cannot be opened again
    /// as long as something old may land on it.
    async fn tell_target(&self, request: Request) -> Result<(), CopyError> {
        let execution = self.target.execute(request);
        let answer = Driven::answer(execution, Arc::clone(&self.target)).await;
        answer.map(drop).map_err(CopyError::Target)
    }
}

fn bytes_of(extents: &[Extent]) -> u64 {
    extents.iter().map(|extent| extent.length()).sum()
}

/// Zeroes are not written where the target can do with a hole.
fn as_change(extent: Extent, data: Bytes) -> Request {
    let durability = Durability::Deferred;
    match data.iter().all(|&byte| byte == 0) {
        true => Request::Zero { extent, hole: Hole::Allowed, durability },
        false => Request::Write { extent, data, durability },
    }
}
