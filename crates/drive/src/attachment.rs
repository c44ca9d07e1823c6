//! An attachment: one stay of a medium in a bay. Every I/O to a medium belongs to one.
//!
//! What completes on the medium is entered here under one lock, which is held for no I/O: it is retained, and
//! where a copy runs, noted as dirty. `fence` takes the retained writes out under the same lock: from then on a
//! completion is answered [`Completion::Fenced`], so that a late result of an old attachment is never acknowledged,
//! and what was acknowledged before is in what the fence took. There is no third case.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU32,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use bytes::Bytes;
use hotbay_block::{BoxFuture, Extent, Medium, Reply, Request, Result};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::bay::BayPlace;
use crate::claims::Claims;
use crate::dirty::DirtyRanges;
use crate::driven::Driven;
use crate::gate::Gate;
use crate::group::GroupSync;
use crate::observed::Observed;
use crate::retained::{Mark, Released, ReleasedContent, RetainedWrites};
use crate::settings::Retention;
use crate::under_way::{Doing, Entered, UnderWay};
use crate::witness::Witness;

/// The first bytes of a medium, in which what identifies its content lies.
pub(crate) const IDENTIFYING: Extent = Extent::between(0, 1 << 20);

/// The blocks that are read at once to bear witness.
const OBSERVED_AT_ONCE: usize = 8;

/// With more unsynced changes than this, none is read.
const OBSERVED_BESIDE: usize = 256;

/// What became of a change that was carried out on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// It is retained and may be acknowledged.
    Retained,
    /// The same, and so much is retained now that a sync should begin.
    RetainedSyncSoon,
    /// There is no room to retain it: it may be acknowledged after a sync that begins now.
    SyncFirst,
    /// The medium was lost meanwhile: it must be carried out again, elsewhere.
    Fenced,
}

/// One stay of a medium in a bay.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) number: u64,
    pub(crate) medium: Arc<dyn Medium>,
    /// Counts client I/O and replay's and the copier's.
    pub(crate) gate: Gate,
    pub(crate) claims: Claims,
    pub(crate) syncs: GroupSync,
    /// What waits for the medium.
    pub(crate) under_way: Arc<UnderWay>,
    /// Whether a sync that nobody waits for is on its way.
    pub(crate) sync_is_coming: AtomicBool,
    completed: Mutex<Completed>,
    fenced: AtomicBool,
    /// Told when it is fenced.
    left: Notify,
    /// Told when its loss is reported.
    lost: Notify,
    bay: Mutex<Option<BayPlace>>,
    /// How long each change is held back, for a copier.
    hold_back_ms: AtomicU32,
    retention: Retention,
    /// Whether its loss has been reported.
    loss_reported: AtomicBool,
    /// Dropped with the attachment, and so with the medium's handle.
    here: Here,
}

#[derive(Debug)]
struct Completed {
    retained: RetainedWrites,
    dirty: Option<DirtyRanges>,
    observed: Observed,
    fenced: bool,
    /// Whether the identifying blocks were changed since the last sync began.
    identity_touched: bool,
    /// Whether they were before that, and the sync has not succeeded yet.
    identity_syncing: bool,
    busy: bool,
}

/// What a stay leaves behind.
#[derive(Debug)]
pub(crate) struct Fenced {
    /// What must go to the journal.
    pub(crate) retained: RetainedWrites,
    /// Whether what identifies the medium is among what was not synced.
    pub(crate) identity_touched: bool,
    /// What was known of the medium, but for what was not synced.
    pub(crate) observed: Observed,
    /// The extents of clients' changes of which nobody knows how much of them is on the medium.
    pub(crate) under_way: Vec<Extent>,
}

/// A released change is on the platter: the last ones bear witness.
pub(crate) fn see_released(observed: &mut Observed, released: Released<'_>) {
    let Released { extent, content, followed_by } = released;
    observed.changed(extent);
    match content {
        ReleasedContent::Trimmed => observed.trimmed(extent),
        _ if !Observed::is_recent(followed_by) => {}
        ReleasedContent::Data(data) => observed.synced(extent, Some(data)),
        ReleasedContent::Zeroes => observed.synced(extent, None),
    }
}

/// Is held by whatever can reach a medium: an attachment, or somebody who opens or examines one.
#[derive(Debug)]
pub(crate) struct Here(watch::Sender<()>);

/// Ends when nobody is here any more: when an attachment, for one, and with it the medium's handle, has been let go by all.
#[derive(Debug)]
pub(crate) struct Departure(watch::Receiver<()>);

impl Here {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// What ends with this.
    pub(crate) fn departure(&self) -> Departure {
        Departure(self.0.subscribe())
    }
}

impl Departure {
    /// Whether nobody is here any more.
    pub(crate) fn is_over(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Waits for the end, at most so long. May be called again.
    pub(crate) async fn within(&mut self, wait: Duration) -> Result<(), Elapsed> {
        // Nothing is sent, so what it waits for is that nobody can.
        timeout(wait, self.0.changed()).await.map(drop)
    }
}

/// I/O of an attachment that waits for the medium.
pub(crate) type MediumIo = Driven<(Entered, Arc<Attachment>)>;

/// A visit to the medium; while one is open, the gate does not drain.
#[derive(Debug)]
pub(crate) struct Visit(Arc<Attachment>);

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.gate.leave();
    }
}

impl Attachment {
    pub(crate) fn new(
        number: u64,
        medium: Arc<dyn Medium>,
        bay: BayPlace,
        observed: Observed,
        retained_limit_bytes: u64,
        retention: Retention,
    ) -> Self {
        let completed = Completed {
            observed,
            retained: RetainedWrites::new(retained_limit_bytes),
            dirty: None,
            fenced: false,
            identity_touched: false,
            identity_syncing: false,
            busy: false,
        };
        Self {
            number,
            medium,
            gate: Gate::default(),
            claims: Claims::default(),
            syncs: GroupSync::default(),
            under_way: Arc::default(),
            sync_is_coming: AtomicBool::new(false),
            completed: Mutex::new(completed),
            fenced: AtomicBool::new(false),
            left: Notify::new(),
            lost: Notify::new(),
            bay: Mutex::new(Some(bay)),
            hold_back_ms: AtomicU32::new(0),
            retention,
            loss_reported: AtomicBool::new(false),
            here: Here::new(),
        }
    }

    /// Retains at most so much from now on.
    pub(crate) fn set_retained_limit(&self, limit_bytes: u64) {
        self.completed.lock().retained.set_limit(limit_bytes);
    }

    /// Goes to the medium, unless the gate is closed.
    pub(crate) fn visit(self: &Arc<Self>) -> Option<Visit> {
        self.gate.enter().then(|| Visit(Arc::clone(self)))
    }

    /// Whether the medium is lost, so that what comes from it now does not count.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(SeqCst)
    }

    /// Waits until it is fenced.
    pub(crate) async fn left(&self) {
        let mut left = std::pin::pin!(self.left.notified());
        left.as_mut().enable();
        if !self.is_fenced() {
            left.await;
        }
    }

    /// Waits until its loss is reported.
    pub(crate) async fn lost(&self) {
        let mut lost = std::pin::pin!(self.lost.notified());
        lost.as_mut().enable();
        if !self.loss_is_reported() {
            lost.await;
        }
    }

    /// Carries out a request on the medium. `None` where the attachment is left before the medium has answered: nobody
    /// need wait for an I/O that hangs. It goes on by itself then, as it does when this is dropped, and keeps the
    /// attachment, so that no medium is put in that it could still reach.
    pub(crate) async fn execute(self: &Arc<Self>, request: Request) -> Option<Result<Reply>> {
        self.execute_until(request, std::future::pending()).await
    }

    /// The same, and `None` where `too_late` comes first.
    pub(crate) async fn execute_until(
        self: &Arc<Self>,
        request: Request,
        too_late: impl Future<Output = ()>,
    ) -> Option<Result<Reply>> {
        if self.is_fenced() {
            return None;
        }
        match self.begin(request) {
            Ok(answer) => Some(answer),
            Err(io) => self.answer_to(io, too_late).await,
        }
    }

    /// The answer to I/O that is under way. `None` where the attachment is left before it is there, or `too_late` comes
    /// first; it goes on by itself then.
    pub(crate) async fn answer_to(
        &self,
        io: MediumIo,
        too_late: impl Future<Output = ()>,
    ) -> Option<Result<Reply>> {
        tokio::select! {
            biased;
            answer = io => Some(answer),
            () = self.left() => None,
            () = too_late => None,
        }
    }

    /// Gives a request to the medium: the answer where it is there at once, else the I/O under way.
    pub(crate) fn begin(
        self: &Arc<Self>,
        request: Request,
    ) -> std::result::Result<Result<Reply>, MediumIo> {
        let doing = Doing::of(&request);
        Driven::begin(self.medium.execute(request), || self.enter(doing))
    }

    /// Asks the medium something else than a request. `None` where the attachment is left before it has answered. A
    /// question that hangs keeps the attachment, as I/O does.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        doing: Doing,
        question: impl for<'a> FnOnce(&'a dyn Medium) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Option<T> {
        let (entered, attachment) = self.enter(doing);
        let asked = tokio::spawn(async move {
            let answer = question(attachment.medium.as_ref()).await;
            drop((entered, attachment));
            answer
        });
        tokio::select! {
            biased;
            // An error means that the daemon is at its end.
            answer = asked => answer.ok(),
            () = self.left() => None,
        }
    }

    /// Notes that something waits for the medium. While it is held no other medium is put in.
    pub(crate) fn enter(self: &Arc<Self>, doing: Doing) -> (Entered, Arc<Self>) {
        (self.under_way.enter(doing), Arc::clone(self))
    }

    /// Enters a change that the medium has carried out.
    pub(crate) fn complete(&self, change: &Request) -> Completion {
        let extent = change.extent().expect("a change has an extent");
        let mut completed = self.completed.lock();
        if completed.fenced {
            return Completion::Fenced;
        }
        completed.busy = true;
        completed.identity_touched |= extent.overlaps(IDENTIFYING);
        if let Some(dirty) = &mut completed.dirty {
            dirty.insert(extent);
        }
        if self.retention == Retention::Off {
            completed.observed.spoiled(extent);
            return Completion::Retained;
        }
        if !completed.retained.keep(change) {
            completed.observed.changed(extent);
            return Completion::SyncFirst;
        }
        match completed.retained.is_half_full() {
            true => Completion::RetainedSyncSoon,
            false => Completion::Retained,
        }
    }

    /// The point up to which a sync that begins after this covers what was completed.
    pub(crate) fn mark(&self) -> Mark {
        let mut completed = self.completed.lock();
        completed.identity_syncing |= std::mem::take(&mut completed.identity_touched);
        completed.retained.mark()
    }

    /// Lets go of what a successful sync covers. Says whether the identifying blocks may have been among it.
    pub(crate) fn release(&self, mark: Mark) -> bool {
        let mut completed = self.completed.lock();
        let Completed { retained, observed, .. } = &mut *completed;
        retained.release(mark, |released| see_released(observed, released));
        std::mem::take(&mut completed.identity_syncing)
    }

    /// Takes note of a change by the replay, before it is made. False where it must not be made, because the attachment was
    /// left, with what was known of it.
    #[must_use]
    pub(crate) fn is_brought(&self, change: &Request) -> bool {
        let mut completed = self.completed.lock();
        if let Some(extent) = change.extent() {
            completed.observed.changed(extent);
            match change {
                Request::Write { .. } => completed.observed.synced(extent, None),
                Request::Trim { .. } => completed.observed.trimmed(extent),
                _ => {}
            }
        }
        !completed.fenced
    }

    /// Takes note of a change that is synced and was not retained.
    pub(crate) fn is_changed(&self, extent: Extent) {
        self.completed.lock().observed.changed(extent);
    }

    /// Takes note of a change of which nobody knows how much of it is on the medium.
    pub(crate) fn is_spoiled(&self, extent: Extent) {
        self.completed.lock().observed.spoiled(extent);
    }

    /// Whether there are blocks that are to be read to bear witness.
    pub(crate) fn wants_observing(&self) -> bool {
        self.completed.lock().observed.wants_reading()
    }

    /// Blocks that are to be read to bear witness, a few at a time; none where there is much to sync.
    pub(crate) fn blocks_to_observe(&self) -> Vec<Extent> {
        let mut completed = self.completed.lock();
        let Completed { retained, observed, .. } = &mut *completed;
        if retained.count() > OBSERVED_BESIDE {
            return Vec::new();
        }
        observed.begin_reading(OBSERVED_AT_ONCE, |extent| retained.touches(extent))
    }

    /// Takes note of what such blocks hold.
    pub(crate) fn observe(&self, blocks: &[Extent], sampled: &[Option<Bytes>]) {
        let mut completed = self.completed.lock();
        let Completed { retained, observed, .. } = &mut *completed;
        observed.read(blocks, sampled, |extent| retained.touches(extent));
    }

    /// The blocks of which nothing is known, for whoever reads them with nobody else at work.
    pub(crate) fn unknown_blocks(&self) -> Vec<Extent> {
        self.completed.lock().observed.unknown()
    }

    /// What is certain where nothing is retained, with what was read.
    pub(crate) fn witness_with(&self, read: &Witness) -> Witness {
        self.completed.lock().observed.witness(read)
    }

    /// Which blocks are observed, for the medium that takes this one's place with the same content.
    pub(crate) fn observed_places(&self) -> Observed {
        self.completed.lock().observed.places_alone()
    }

    /// Ends the stay as a loss: takes out what must go to the journal. Nothing is acknowledged from this attachment any more.
    ///
    /// Clients may be waiting, so what it gives is to be dropped where nobody does: to give tens of megabytes back
    /// takes the system milliseconds.
    pub(crate) fn fence(&self) -> Fenced {
        self.gate.close();
        let mut completed = self.completed.lock();
        completed.fenced = true;
        self.fenced.store(true, SeqCst);
        let touched = completed.identity_touched
            || completed.identity_syncing
            || completed.retained.touches(IDENTIFYING);
        let retained = std::mem::replace(&mut completed.retained, RetainedWrites::new(0));
        let observed = std::mem::take(&mut completed.observed);
        let under_way = self.claims.held();
        drop(completed);
        self.left.notify_waiters();
        Fenced { retained, identity_touched: touched, observed, under_way }
    }

    /// The bytes retained now.
    pub(crate) fn retained_bytes(&self) -> u64 {
        self.completed.lock().retained.bytes()
    }

    /// How long the oldest change has been retained, or a little less than what this says.
    pub(crate) fn oldest_retained_age(&self) -> Option<Duration> {
        Some(self.completed.lock().retained.since()?.elapsed())
    }

    /// Says true to the first who reports its loss.
    pub(crate) fn report_loss(&self) -> bool {
        let is_first = !self.loss_reported.swap(true, SeqCst);
        self.gate.close();
        self.lost.notify_waiters();
        is_first
    }

    /// Whether its loss has been reported; the removal comes as soon as the transition before it has ended. Until then
    /// nothing that the medium says counts: above all not that a sync succeeded.
    pub(crate) fn loss_is_reported(&self) -> bool {
        self.loss_reported.load(SeqCst)
    }

    /// Lets requests in again after a transition that did not come about, unless the medium was lost meanwhile.
    pub(crate) fn reopen(&self) {
        self.gate.open();
        if self.loss_is_reported() {
            self.gate.close();
        }
    }

    /// What ends when nothing can reach the medium through this attachment any more.
    pub(crate) fn departure(&self) -> Departure {
        self.here.departure()
    }

    /// Gives spare memory back where nothing has been written since the last call, and says whether that is so.
    pub(crate) fn rest(&self) -> bool {
        let mut completed = self.completed.lock();
        let rests = !std::mem::take(&mut completed.busy);
        if rests {
            completed.retained.give_back_spare_memory();
        }
        rests
    }

    /// Begins to note what changes, for a copier: also changes that are under way now will be noted.
    pub(crate) fn note_dirty(&self) {
        self.completed.lock().dirty = Some(DirtyRanges::default());
    }

    /// Ends the noting, and holds no change back any more.
    pub(crate) fn forget_dirty(&self) {
        self.hold_changes_back(Duration::ZERO);
        self.completed.lock().dirty = None;
    }

    /// Holds each change back from now on, by whole milliseconds, so that a copier comes to its end.
    pub(crate) fn hold_changes_back(&self, pause: Duration) {
        self.hold_back_ms.store(u32::try_from(pause.as_millis()).unwrap_or(u32::MAX), Relaxed);
    }

    /// How long a change is to be held back before it goes to the medium.
    pub(crate) fn hold_back(&self) -> Duration {
        Duration::from_millis(self.hold_back_ms.load(Relaxed).into())
    }

    /// Takes the extents that changed since the noting began or since the last call.
    pub(crate) fn take_dirty(&self) -> Vec<Extent> {
        let mut completed = self.completed.lock();
        let Some(dirty) = &mut completed.dirty else { return Vec::new() };
        let taken = std::mem::take(dirty);
        drop(completed);
        taken.into_extents(self.medium.info().size_bytes)
    }

    /// The number of the bay it is in.
    pub(crate) fn bay_number(&self) -> Option<usize> {
        self.bay.lock().as_ref().map(BayPlace::number)
    }

    /// Takes the bay again that it has just left.
    pub(crate) fn return_to_bay(&self, place: BayPlace) {
        *self.bay.lock() = Some(place);
    }

    /// Leaves the bay; for its next medium the place is given back to the caller.
    pub(crate) fn leave_bay(&self) -> Option<BayPlace> {
        self.bay.lock().take()
    }
}

#[cfg(test)]
mod tests;
