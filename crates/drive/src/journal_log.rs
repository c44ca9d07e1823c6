//! A volume's journal as its requests use it: appends in groups, syncs in groups, neither in the other's way.
//!
//! Appends that come together are written with one vectored append. Whoever comes queues its change and yields
//! once; by then the other requests of the same batch have queued theirs, and the first to come back takes all.
//! Appending is a write to the page cache of our own stable storage, so it is done in line. Where a sync is done is the
//! matter of `sync_place.rs`.
//!
//! What a medium left behind comes in between the groups, a bounded batch at a time (`backlog`).
//!
//! What hangs on the journal's disk is noticed by the volume's watch, which gives the journal up. From then on nothing is
//! acknowledged: those who wait are told at once, and what the disk says later is not heard any more.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hotbay_block::{Extent, Pipe, with_sources};
use hotbay_journal::{
    AppendError, Change, Journal, JournalError, LiveExtent, PartlyLent, Piece, Sequence, Usage,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::backlog::{Backlog, cost_bytes};
use crate::group::GroupSync;
use crate::room::{NoRoom, WhatIsFull};
use crate::sync_place::{Company, SyncPlace};
use crate::under_way::{Calls, Doing, Hung, UnderWay};

/// Why a change is not in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotAppended {
    /// The journal is at its limit, or its disk is full; there may be room later.
    Full(NoRoom),
    /// The backlog has to be in first: what room there is may be needed for it.
    Behind,
    /// The journal is broken.
    Broken(String),
}

impl From<JournalError> for NotAppended {
    fn from(error: JournalError) -> Self {
        Self::Broken(with_sources(&error))
    }
}

impl From<AppendError> for NotAppended {
    fn from(error: AppendError) -> Self {
        match &error {
            AppendError::Full | AppendError::NeedsReclaim => {
                Self::Full(NoRoom { full: WhatIsFull::Journal, why: with_sources(&error) })
            }
            AppendError::StorageFull(_) => {
                Self::Full(NoRoom { full: WhatIsFull::Disk, why: with_sources(&error) })
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
    /// What waits for the disk, but for appends.
    pub(crate) under_way: Arc<UnderWay>,
    /// Appends, which are carried out on the caller's thread.
    appends: Calls,
    /// Why it was given up.
    given_up: OnceLock<String>,
    /// Told when it is.
    gave_up: Notify,
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
            under_way: Arc::default(),
            appends: Calls::default(),
            given_up: OnceLock::new(),
            gave_up: Notify::new(),
        }
    }

    /// What its disk has not answered in time. To be asked a few times a second, by one who watches.
    pub(crate) fn hung(&self, deadline: Duration) -> Option<Hung> {
        let append = self.appends.under_way_for(deadline);
        append
            .then_some(Hung { doing: Doing::Other("an append to the journal"), deadline })
            .or_else(|| self.under_way.hung(deadline))
    }

    /// Takes it for broken from now on. True to the first who says so.
    pub(crate) fn give_up(&self, why: &str) -> bool {
        let is_first = self.given_up.set(why.to_owned()).is_ok();
        self.gave_up.notify_waiters();
        is_first
    }

    /// Waits until it is given up; gives the reason.
    pub(crate) async fn given_up(&self) -> String {
        let mut gave_up = std::pin::pin!(self.gave_up.notified());
        gave_up.as_mut().enable();
        if self.given_up.get().is_none() {
            gave_up.await;
        }
        self.given_up.get().cloned().unwrap_or_default()
    }

    /// Fails where it has been given up: what its disk says from then on does not count.
    fn check(&self) -> Result<(), JournalError> {
        match self.given_up.get() {
            None => Ok(()),
            Some(why) => Err(JournalError::PreviousFailure(why.clone())),
        }
    }

    /// Does what waits for the journal's disk on a thread that may wait, and waits no longer than until the journal is
    /// given up.
    pub(crate) async fn beside<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JournalError> {
        self.check()?;
        let entered = self.under_way.enter(Doing::Other(doing));
        let done = blocking(move || {
            let done = work();
            drop(entered);
            done
        });
        let done = tokio::select! {
            biased;
            done = done => done,
            why = self.given_up() => return Err(JournalError::PreviousFailure(why)),
        };
        self.check().map(|()| done)
    }

    /// The same for something that the journal does.
    async fn journal_beside<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = Arc::clone(&self.journal);
        self.beside(doing, move || work(&journal)).await?
    }

    /// Appends a change, together with those that come at the same time. Readable, but not yet durable, when it
    /// returns. If this is dropped the change may still be appended.
    pub(crate) async fn append(&self, change: Change) -> Result<(), NotAppended> {
        let (answer, mut answered) = oneshot::channel();
        self.queue.lock().push(Queued { change, answer });
        tokio::task::yield_now().await;
        let turn = self.take_turn().await?;
        if let Ok(result) = answered.try_recv() {
            return result;
        }
        self.check()?;
        let group = std::mem::take(&mut *self.queue.lock());
        let call = self.appends.begin();
        self.append_group(group);
        drop(call);
        drop(turn);
        self.check()?;
        answered
            .try_recv()
            .unwrap_or_else(|_| Err(NotAppended::Broken("its turn was missed".to_owned())))
    }

    /// Takes the turn to append, or fails as soon as the journal is given up: who has the turn may hang.
    async fn take_turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, NotAppended> {
        if let Ok(turn) = self.turn.try_lock() {
            return Ok(turn);
        }
        tokio::select! {
            biased;
            turn = self.turn.lock() => Ok(turn),
            why = self.given_up() => Err(NotAppended::Broken(why)),
        }
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
        let turn = tokio::select! {
            biased;
            turn = Arc::clone(&self.turn).lock_owned() => turn,
            why = self.given_up() => return Err(NotAppended::Broken(why)),
        };
        let (journal, batch) = (Arc::clone(&self.journal), self.backlog.batch(max_bytes));
        if batch.is_empty() {
            return Ok(false);
        }
        let appending = self.beside("an append of what was retained", move || {
            let appended = journal.append(&batch);
            (batch, appended, turn)
        });
        let (batch, appended, _turn) = appending.await?;
        self.look_at_watermark();
        appended?;
        self.backlog.are_in(&batch);
        Ok(true)
    }

    /// Makes durable all that was appended before this began; the backlog only where it was in. One sync serves all who wait.
    pub(crate) async fn sync(&self, company: Company) -> Result<(), JournalError> {
        let synced = tokio::select! {
            biased;
            synced = self.syncs.sync(self.sync_in_turn(company)) => synced,
            why = self.given_up() => return Err(JournalError::PreviousFailure(why)),
        };
        self.check()?;
        synced
    }

    async fn sync_in_turn(&self, company: Company) -> Result<(), JournalError> {
        let entered = self.under_way.enter(Doing::Other("a sync of the journal"));
        self.sync_place.run(company, &self.journal, entered).await
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
        self.journal_beside("a last sync of the journal", Journal::close).await
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

    /// The same, some of it lent where there is a pipe; see [`Journal::lend`]. Nothing is as long as something is on its way into the
    /// journal.
    pub(crate) fn lend(&self, extent: Extent, pipe: &mut Option<Pipe>) -> PartlyLent {
        if pipe.is_some() && self.backlog.is_empty() {
            return self.journal.lend(extent, pipe);
        }
        PartlyLent::nothing_of(self.pieces(extent))
    }

    /// The first of them, about as many as `most`.
    pub(crate) fn first_pieces(&self, extent: Extent, most: usize) -> Vec<Piece> {
        if self.backlog.is_empty() {
            return self.journal.first_pieces(extent, most);
        }
        let mut first = Vec::new();
        for piece in self.backlog.first_pieces(extent, most) {
            match piece.content {
                Some(_) => first.push(piece),
                None => {
                    let left = most.saturating_sub(first.len());
                    first.extend(self.journal.first_pieces(piece.extent, left));
                }
            }
            if first.len() >= most {
                break;
            }
        }
        first
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
        let read = move |journal: &Journal| journal.live_after(from, up_to, max_bytes).map(arrange);
        self.journal_beside("a read of the journal", read).await
    }

    /// Records durably that all up to `up_to` is synced on the medium, and lets go of it.
    pub(crate) async fn mark_replayed(&self, up_to: Sequence) -> Result<(), JournalError> {
        let note = move |journal: &Journal| journal.mark_replayed(up_to);
        let marked = self.journal_beside("a note in the journal", note).await;
        self.room.notify_waiters();
        marked
    }

    /// Deletes one segment of what a replay has left; whether there was one.
    pub(crate) async fn delete_retired(&self) -> Result<bool, JournalError> {
        let deleted = self.journal_beside("a removal of a segment", Journal::delete_retired).await;
        self.room.notify_waiters();
        deleted
    }

    /// The same without waiting for one who appends; false where somebody does.
    pub(crate) fn may_want_reclaim(&self) -> bool {
        self.given_up.get().is_none() && self.journal.may_want_reclaim()
    }

    /// Whether space of overwritten records should be gained now.
    pub(crate) fn wants_reclaim(&self) -> bool {
        self.journal.wants_reclaim()
    }

    /// Gains space of overwritten records, one bounded step. Where that fails nobody is told that there may be room: those who
    /// wait would ask for the same step at once.
    pub(crate) async fn reclaim_step(&self) -> Result<(), JournalError> {
        self.journal_beside("a step of reclaiming space", Journal::reclaim_step).await?;
        self.room.notify_waiters();
        Ok(())
    }
}

/// Runs what may wait for a disk away from the tasks that serve clients. If this is dropped it goes on.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match beside_clients(work).await {
        Ok(result) => result,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down and nobody will look at an answer.
            Err(_) => std::future::pending().await,
        },
    }
}

fn beside_clients<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[cfg(feature = "testing")]
    let work = match crate::testing::in_line(work) {
        Ok(task) => return task,
        Err(work) => work,
    };
    spawn_blocking(work)
}
