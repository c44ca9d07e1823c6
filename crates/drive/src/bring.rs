//! What a pass of a replay brings to the medium.
//!
//! The journal's disk, the medium's and the processors are kept at work at the same time. While one batch is written the
//! next one is fetched: read, checked, and its neighbours joined to large writes. Both happen on threads that may wait,
//! since a copy of megabytes would keep clients from the threads that serve them. And the medium is synced along
//! the way (`sync_along.rs`); where that fails it is lost. What the journal may let go of is decided by the sync at the end of the
//! pass.
//!
//! No more than two batches are in memory at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _, TryStreamExt as _};
use hotbay_block::{Durability, Error, Extent, Hole, Reply, Request};
use hotbay_journal::{Content, LiveExtent, Sequence};
use tokio::sync::watch;

use crate::attachment::{Attachment, MediumIo, Visit};
use crate::buffers::Buffers;
use crate::journal_log::blocking;
use crate::on_medium::{Unsynced, sync};
use crate::replay::Interrupted;
use crate::status::Progress;
use crate::sync_along::sync_along;
use crate::under_way::Doing;
use crate::volume::Volume;

/// The bytes taken from the journal at a time.
const BATCH_BYTES: u64 = 8 << 20;

/// The longest write that neighbouring extents are joined to.
const WRITE_BYTES: u64 = 1 << 20;

/// What is as long as this is written by itself: to copy it costs more than the write that is spared.
const JOINED_BELOW_BYTES: u64 = 256 << 10;

/// As many as the batches in memory have joined writes, unless what is joined is scattered.
const BUFFERS: usize = 16;

/// Writes under way at once.
const WRITES_AT_ONCE: usize = 4;

/// Brings what is in the journal to a medium.
#[derive(Clone, Copy)]
pub(crate) struct Bringer<'a> {
    pub(crate) volume: &'a Arc<Volume>,
    pub(crate) attachment: &'a Arc<Attachment>,
    /// For what is joined.
    pub(crate) buffers: &'a Buffers,
}

/// The memory for all passes of a replay.
pub(crate) fn buffers() -> Buffers {
    Buffers::for_pieces(BUFFERS, Extent::between(0, WRITE_BYTES))
}

/// What is carried out in one go.
struct Batch {
    changes: VecDeque<Request>,
    bytes: u64,
    /// Of those, what has to be written.
    written_bytes: u64,
    /// Where the next one begins.
    end: u64,
}

impl Batch {
    /// `None` where there is nothing.
    fn of(live: &[LiveExtent], buffers: &Buffers) -> Option<Self> {
        let end = live.last()?.extent.end();
        let bytes = live.iter().map(|live| live.extent.length()).sum();
        let with_data = live.iter().filter(|live| matches!(live.content, Content::Data(_)));
        let written_bytes = with_data.map(|live| live.extent.length()).sum();
        Some(Self { changes: joined(live, buffers).collect(), bytes, written_bytes, end })
    }
}

/// How far a batch came without waiting for the medium.
struct Begun {
    rest: VecDeque<Request>,
    /// The change that has to wait.
    waiting: Option<(Visit, MediumIo)>,
}

impl Bringer<'_> {
    /// Brings over whatever is not newer than `up_to`. Written when it returns, but not synced.
    pub(crate) async fn bring_all(
        self,
        up_to: Sequence,
        progress: Progress,
    ) -> Result<(), Interrupted> {
        let (written, seen) = watch::channel(0);
        // Neither is dropped when the other one fails: a sync under way keeps its turn until it has ended.
        let (brought, synced) = tokio::join!(
            self.write_all(up_to, progress, written),
            sync_along(seen, || self.sync())
        );
        brought.and(synced)
    }

    async fn write_all(
        self,
        up_to: Sequence,
        mut progress: Progress,
        written: watch::Sender<u64>,
    ) -> Result<(), Interrupted> {
        let mut fetched = self.fetch(0, up_to).await?;
        while let Some(batch) = fetched {
            let (end, bytes, written_bytes) = (batch.end, batch.bytes, batch.written_bytes);
            (fetched, ()) = tokio::try_join!(self.fetch(end, up_to), self.write(batch))?;
            progress.done_bytes += bytes;
            progress.total_bytes = progress.total_bytes.max(progress.done_bytes);
            self.volume.set_progress(Some(progress));
            written.send_modify(|written| *written += written_bytes);
        }
        Ok(())
    }

    async fn fetch(self, from: u64, up_to: Sequence) -> Result<Option<Batch>, Interrupted> {
        let (log, buffers) = (self.volume.log(), self.buffers.clone());
        let arrange = move |live: Vec<LiveExtent>| Batch::of(&live, &buffers);
        Ok(log.batch(from, up_to, BATCH_BYTES, arrange).await?)
    }

    /// Writes a batch. Also where that is interrupted, nothing of it is under way at the end, unless the medium was left with it:
    /// who drains the medium syncs it then, and what was written has to be covered by that.
    async fn write(self, batch: Batch) -> Result<(), Interrupted> {
        let mut under_way = FuturesUnordered::new();
        let mut rest = batch.changes;
        let begun: Result<(), Interrupted> = async {
            while !rest.is_empty() {
                let begun = self.begin_some(std::mem::take(&mut rest)).await?;
                rest = begun.rest;
                if let Some((visit, driven)) = begun.waiting {
                    under_way.push(self.wait_for(visit, driven));
                }
                while under_way.len() >= WRITES_AT_ONCE {
                    under_way.try_next().await?;
                }
            }
            Ok(())
        }
        .await;
        let mut ended = Ok(());
        while let Some(one) = under_way.next().await {
            ended = ended.and(one);
        }
        begun.and(ended)
    }

    /// Begins changes on a thread that may wait, until one has to wait for the medium.
    async fn begin_some(self, changes: VecDeque<Request>) -> Result<Begun, Interrupted> {
        let (volume, attachment) = (Arc::clone(self.volume), Arc::clone(self.attachment));
        tokio::select! {
            biased;
            begun = blocking(move || begin(&volume, &attachment, changes)) => begun,
            () = self.attachment.left() => Err(Interrupted::Left),
        }
    }

    async fn wait_for(self, visit: Visit, driven: MediumIo) -> Result<(), Interrupted> {
        let answer = tokio::select! {
            biased;
            answer = driven => answer,
            () = self.attachment.left() => return Err(Interrupted::Left),
        };
        must_succeed(self.volume, self.attachment, answer)?;
        drop(visit);
        Ok(())
    }

    /// Syncs the medium, in turn with every other sync: of two at the same time only one may be told that something was
    /// lost.
    pub(crate) async fn sync(self) -> Result<(), Interrupted> {
        let _visit = self.attachment.visit().ok_or(Interrupted::Left)?;
        sync(self.volume, self.attachment).await.map_err(|Unsynced| Interrupted::Left)
    }
}

/// Carries out changes one after the other until one has to wait. The gate is asked before each, so that whoever drains
/// the medium waits for one change only.
fn begin(
    volume: &Arc<Volume>,
    attachment: &Arc<Attachment>,
    mut changes: VecDeque<Request>,
) -> Result<Begun, Interrupted> {
    while let Some(change) = changes.pop_front() {
        let visit = attachment.visit().ok_or(Interrupted::Left)?;
        // Also while it is begun: this thread may be held by the medium.
        let _entered = attachment.enter(Doing::of(&change));
        if !attachment.is_brought(&change) {
            return Err(Interrupted::Left);
        }
        match attachment.begin(change) {
            Ok(answer) => must_succeed(volume, attachment, answer)?,
            Err(driven) => return Ok(Begun { rest: changes, waiting: Some((visit, driven)) }),
        }
    }
    Ok(Begun { rest: changes, waiting: None })
}

/// Takes an error for a loss. Called during a visit, so that nobody who waits for the medium to be drained trusts it
/// afterwards.
fn must_succeed(
    volume: &Arc<Volume>,
    attachment: &Arc<Attachment>,
    answer: Result<Reply, Error>,
) -> Result<(), Interrupted> {
    answer.map(drop).map_err(|error| {
        volume.lose(attachment, error);
        Interrupted::Left
    })
}

/// Requests that bring the extents, neighbours joined.
fn joined(batch: &[LiveExtent], buffers: &Buffers) -> impl Iterator<Item = Request> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let Content::Data(data) = &first.content else {
            rest = &rest[1..];
            return Some(without_data(first));
        };
        let run = data_run(rest);
        let (now, later) = rest.split_at(run);
        rest = later;
        let data = if run == 1 { data.clone() } else { concatenated(now, buffers) };
        let extent =
            Extent::between(first.extent.offset(), first.extent.offset() + data.len() as u64);
        Some(Request::Write { extent, data, durability: Durability::Deferred })
    })
}

fn without_data(live: &LiveExtent) -> Request {
    let (extent, durability) = (live.extent, Durability::Deferred);
    match live.content {
        Content::Trimmed => Request::Trim { extent, durability },
        _ => Request::zero(extent, Hole::Allowed, durability),
    }
}

/// How many of the first extents hold data, are short, follow each other without a gap and fit in one write; at least one.
fn data_run(extents: &[LiveExtent]) -> usize {
    let start = extents[0].extent.offset();
    let is_short = |live: &LiveExtent| live.extent.length() < JOINED_BELOW_BYTES;
    let follows = |pair: &&[LiveExtent]| {
        let (before, live) = (&pair[0], &pair[1]);
        before.extent.end() == live.extent.offset()
            && is_short(before)
            && is_short(live)
            && live.extent.end() - start <= WRITE_BYTES
            && matches!(live.content, Content::Data(_))
    };
    1 + extents.windows(2).take_while(follows).count()
}

fn concatenated(run: &[LiveExtent], buffers: &Buffers) -> Bytes {
    let length: u64 = run.iter().map(|live| live.extent.length()).sum();
    let mut whole = buffers.take();
    whole.reserve(Extent::between(0, length).len_in_memory());
    for live in run {
        if let Content::Data(data) = &live.content {
            whole.extend_from_slice(data);
        }
    }
    buffers.lend(whole)
}

#[cfg(test)]
mod tests {
    use hotbay_journal::Sequence;

    use super::*;

    fn live(offset: u64, content: Content, length: u64) -> LiveExtent {
        LiveExtent {
            extent: Extent::new(offset, length).unwrap(),
            content,
            sequence: Sequence::ZERO,
        }
    }

    fn data(offset: u64, length: usize) -> LiveExtent {
        live(offset, Content::Data(Bytes::from(vec![7; length])), length as u64)
    }

    #[test]
    fn short_neighbours_with_data_are_joined_and_nothing_else() {
        let batch = [
            data(0, 512),
            data(512, 512),
            data(2048, 512),
            live(2560, Content::Zeroes, 512),
            live(3072, Content::Trimmed, 512),
            data(3584, 512),
            data(4096, 1 << 20),
            data((1 << 20) + 4096, 512),
        ];
        let buffers = buffers();
        let extents: Vec<Extent> =
            joined(&batch, &buffers).filter_map(|request| request.extent()).collect();
        let expected = [
            (0, 1024),
            (2048, 512),
            (2560, 512),
            (3072, 512),
            (3584, 512),
            (4096, 1 << 20),
            ((1 << 20) + 4096, 512),
        ];
        assert_eq!(extents, expected.map(|(offset, length)| Extent::new(offset, length).unwrap()));
        for request in joined(&batch, &buffers) {
            if let Request::Write { extent, data, .. } = request {
                assert_eq!(data.len() as u64, extent.length());
            }
        }
    }
}
