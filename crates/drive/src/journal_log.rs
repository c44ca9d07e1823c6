//! A volume's journal as its requests use it: appends in groups, syncs in groups, neither in the other's way.
//!
//! Appends that come together are written with one vectored append. Whoever comes queues its change and yields
//! once; by then the other requests of the same batch have queued theirs, and the first to come back takes all.
//! Appending is a write to the page cache of our own stable storage, so it is done in line. Where a sync is done is the
//! matter of `sync_place.rs`.
//!
//! What a medium left behind comes in between the groups, a bounded batch at a time (`backlog`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use hotbay_block::{Extent, with_sources};
use hotbay_journal::{
    AppendError, Change, Journal, JournalError, LiveExtent, Piece, Sequence, Usage,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;

use crate::backlog::{Backlog, cost_bytes};
use crate::group::GroupSync;
use crate::sync_place::{Company, SyncPlace};

/// Why a change is not in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotAppended {
    /// The journal is at its limit, or its disk is full; there may be room later.
    Full(String),
    /// The backlog has to be in first: what room there is may be needed for it.
    Behind,
    /// The journal is broken.
    Broken(String),
}

impl From<AppendError> for NotAppended {
    fn from(error: AppendError) -> Self {
        match &error {
            AppendError::Full | AppendError::NeedsReclaim | AppendError::StorageFull(_) => {
                Self::Full(with_sources(&error))
            }
            _ => Self::Broken(with_sources(&error)),
        }
    }
}

/// Whether a journal cannot be trusted any more, as opposed to having no room now.
pub(crate) const fn is_broken(error: &JournalError) -> bool {
    !matches!(error, JournalError::Full | JournalError::StorageFull(_))
}

/// A journal with its queues.
pub(crate) struct JournalLog {
    journal: Arc<Journal>,
    queue: Mutex<Vec<Queued>>,
    /// Held by whoever appends.
    turn: Arc<tokio::sync::Mutex<()>>,
    syncs: GroupSync,
    pub(crate) backlog: Backlog,
    sync_place: SyncPlace,
    /// Whether so much is in the journal that somebody should be told.
    is_above_watermark: AtomicBool,
    /// Told when there may be room again.
    pub(crate) room: Notify,
}

struct Queued {
    change: Change,
    answer: oneshot::Sender<Result<(), NotAppended>>,
}

impl std::fmt::Debug for JournalLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalLog").finish_non_exhaustive()
    }
}

impl JournalLog {
    pub(crate) fn new(journal: Journal) -> Self {
        Self {
            journal: Arc::new(journal),
            queue: Mutex::default(),
            turn: Arc::default(),
            syncs: GroupSync::default(),
            backlog: Backlog::default(),
            sync_place: SyncPlace::default(),
            is_above_watermark: AtomicBool::new(false),
            room: Notify::new(),
        }
    }

    /// Appends a change, together with those that come at the same time. Readable, but not yet durable, when it
    /// returns. If this is dropped the change may still be appended.
    pub(crate) async fn append(&self, change: Change) -> Result<(), NotAppended> {
        let (answer, mut answered) = oneshot::channel();
        self.queue.lock().push(Queued { change, answer });
        tokio::task::yield_now().await;
        let turn = self.turn.lock().await;
        if let Ok(result) = answered.try_recv() {
            return result;
        }
        let group = std::mem::take(&mut *self.queue.lock());
        self.append_group(group);
        drop(turn);
        answered
            .try_recv()
            .unwrap_or_else(|_| Err(NotAppended::Broken("its turn was missed".to_owned())))
    }

    fn append_group(&self, group: Vec<Queued>) {
        let (changes, answers): (Vec<Change>, Vec<_>) =
            group.into_iter().map(|queued| (queued.change, queued.answer)).unzip();
        let whole = self.append_after_backlog(&changes);
        self.look_at_watermark();
        let retry_singly = matches!(whole, Err(NotAppended::Full(_))) && changes.len() > 1;
        for (change, answer) in changes.iter().zip(answers) {
            // To append a change twice is harmless: it is the same change.
            let result = match retry_singly {
                true => self.append_after_backlog(std::slice::from_ref(change)),
                false => whole.clone(),
            };
            // Whoever asked may have been dropped; the change is in all the same.
            let _ = answer.send(result);
        }
    }

    /// Appends changes, and before them what they leave of the backlog's pieces that they cut. To be called in turn.
    fn append_after_backlog(&self, changes: &[Change]) -> Result<(), NotAppended> {
        if self.backlog.is_empty() {
            return self.journal.append(changes).map_err(NotAppended::from);
        }
        if !self.has_room_beside_backlog(changes) {
            return Err(NotAppended::Behind);
        }
        let mut all = self.backlog.cut_by(changes);
        all.extend_from_slice(changes);
        self.journal.append(&all).map_err(NotAppended::from)?;
        self.backlog.are_in(changes);
        Ok(())
    }

    /// Whether the backlog finds room in any case after these changes: until it is in, all together take at most half of the
    /// journal.
    fn has_room_beside_backlog(&self, changes: &[Change]) -> bool {
        let usage = self.journal.usage();
        let coming: u64 = changes.iter().map(cost_bytes).sum();
        usage.disk_bytes + self.backlog.bytes() + coming <= usage.limit_bytes / 2
    }

    /// Appends the next of the backlog, at most so many bytes, off the caller's thread. False where nothing was left.
    pub(crate) async fn append_backlog(&self, max_bytes: u64) -> Result<bool, NotAppended> {
        // It goes along, so that nobody appends anything newer in between, also where this is dropped.
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let (journal, batch) = (Arc::clone(&self.journal), self.backlog.batch(max_bytes));
        if batch.is_empty() {
            return Ok(false);
        }
        let (batch, appended, _turn) = blocking(move || {
            let appended = journal.append(&batch);
            (batch, appended, turn)
        })
        .await;
        self.look_at_watermark();
        appended?;
        self.backlog.are_in(&batch);
        Ok(true)
    }

    /// Makes durable all that was appended before this began; the backlog only where it was in. One sync serves all who wait.
    pub(crate) async fn sync(&self, company: Company) -> Result<(), JournalError> {
        self.syncs.sync(self.sync_place.run(company, &self.journal)).await
    }

    /// Whether, when it was last appended to, four fifths of what it may take were live.
    pub(crate) fn is_above_watermark(&self) -> bool {
        self.is_above_watermark.load(Relaxed)
    }

    fn look_at_watermark(&self) {
        let usage = self.journal.usage();
        self.is_above_watermark.store(usage.live_bytes >= usage.limit_bytes / 5 * 4, Relaxed);
    }

    /// Closes it in an orderly way; all that was appended is durable.
    pub(crate) async fn close(&self) -> Result<(), JournalError> {
        let journal = Arc::clone(&self.journal);
        blocking(move || journal.close()).await
    }

    /// The extent in pieces, with what the journal has of each.
    pub(crate) fn pieces(&self, extent: Extent) -> Vec<Piece> {
        if self.backlog.is_empty() {
            return self.journal.pieces(extent);
        }
        let pieces = self.backlog.pieces(extent).into_iter();
        let with_journal = |piece: Piece| match piece.content {
            Some(_) => vec![piece],
            None => self.journal.pieces(piece.extent),
        };
        pieces.flat_map(with_journal).collect()
    }

    /// Whether the journal has something of the extent.
    pub(crate) fn touches(&self, extent: Extent) -> bool {
        if self.backlog.is_empty() {
            return self.journal.touches(extent);
        }
        self.pieces(extent).iter().any(|piece| piece.content.is_some())
    }

    pub(crate) fn head(&self) -> Sequence {
        self.journal.head()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.journal.is_empty()
    }

    pub(crate) fn usage(&self) -> Usage {
        self.journal.usage()
    }

    /// A batch of what a replay has to bring to the medium, in ascending order from `from`, and what `arrange` makes of
    /// it. Both on a thread that may wait.
    pub(crate) async fn batch<T: Send + 'static>(
        &self,
        from: u64,
        up_to: Sequence,
        max_bytes: u64,
        arrange: impl FnOnce(Vec<LiveExtent>) -> T + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = Arc::clone(&self.journal);
        blocking(move || journal.live_after(from, up_to, max_bytes).map(arrange)).await
    }

    /// Records durably that all up to `up_to` is synced on the medium, and lets go of it.
    pub(crate) async fn mark_replayed(&self, up_to: Sequence) -> Result<(), JournalError> {
        let journal = Arc::clone(&self.journal);
        let marked = blocking(move || journal.mark_replayed(up_to)).await;
        self.room.notify_waiters();
        marked
    }

    /// Deletes one segment of what a replay has left; whether there was one.
    pub(crate) async fn delete_retired(&self) -> Result<bool, JournalError> {
        let journal = Arc::clone(&self.journal);
        let deleted = blocking(move || journal.delete_retired()).await;
        self.room.notify_waiters();
        deleted
    }

    /// Whether space of overwritten records should be gained now.
    pub(crate) fn wants_reclaim(&self) -> bool {
        self.journal.wants_reclaim()
    }

    /// Gains space of overwritten records, one bounded step.
    pub(crate) async fn reclaim_step(&self) -> Result<(), JournalError> {
        let journal = Arc::clone(&self.journal);
        let step = blocking(move || journal.reclaim_step()).await;
        self.room.notify_waiters();
        step.map(drop)
    }
}

/// Runs what may wait for a disk away from the tasks that serve clients.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down and nobody will look at an answer.
            Err(_) => std::future::pending().await,
        },
    }
}
