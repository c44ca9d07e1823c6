//! A medium going: asked for (eject), dropped as it stands (pull), or found to be gone (loss).
//!
//! On a loss or a pull nothing is waited for that the medium would have to do. The fence takes out what was acknowledged
//! and not synced; it becomes the journal's backlog; then the next route opens, and the backlog enters the journal in
//! batches while clients go on. New changes, and the ones that failed, come after what they overlap of it, and a flush after
//! all of it. `stay` is held until all is in, so nothing is put in, exchanged or stopped before. Until then a kill of the
//! daemon loses what is left of it, as a loss of power would: no flush has covered it. An I/O that still hangs on the
//! old attachment is left behind: its result no longer counts, and no medium is put in before it has ended.
//!
//! Whoever keeps clients waiting for a medium does so for a bounded time, so that they are answered within their own bound
//! and a pull can always follow.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Error, ErrorKind, Request, with_sources};
use tokio::time::{Instant, sleep, timeout};

use crate::attachment::{Attachment, Fenced};
use crate::backlog::Pieces;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::insertion::DEPARTURE_WAIT;
use crate::journal_log::{JournalLog, NotAppended, blocking};
use crate::observing::read_at_rest;
use crate::on_medium::sync;
use crate::room::{NoRoom, RoomWait, Waiter};
use crate::route::Path;
use crate::state::{State, Trigger};
use crate::under_way::Doing;
use crate::volume::{MayReturn, Reach, Stay, Volume};
use crate::witness::Witness;

/// How long an eject waits for a sync while clients go on.
const SYNC_BEFOREHAND_WAIT: Duration = Duration::from_secs(60);

/// The first pause before a lost medium is tried again; doubled for each loss that follows closely.
pub(crate) const RETURN_PAUSE: Duration = Duration::from_millis(500);

/// The last doubling of that pause.
const RETURN_PAUSE_DOUBLINGS: u32 = 6;

/// How often a spill is tried again while the journal's disk is full.
const SPILL_RETRY: Duration = Duration::from_secs(1);

/// How a medium goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    /// Drained and synced: what it holds is known to the last byte.
    Synced,
    /// As it stands.
    AsItStands,
}

impl Volume {
    /// Reports that an attachment's medium is gone. Requests stop going there at once; the removal follows.
    pub(crate) fn lose(self: &Arc<Self>, attachment: &Arc<Attachment>, error: Error) {
        if !attachment.report_loss() {
            return;
        }
        let (volume, attachment) = (Arc::clone(self), Arc::clone(attachment));
        self.around.runtime.spawn(async move {
            if let Some(mut stay) = volume.turn_at(&attachment).await {
                volume.lost(&mut stay, Arc::clone(&attachment), &error).await;
            }
        });
    }

    /// Carries out a loss; does nothing where the attachment has been left already.
    pub(crate) async fn lost(&self, stay: &mut Stay, attachment: Arc<Attachment>, error: &Error) {
        if !self.is_current(&attachment) || !matches!(self.next_state(Trigger::Loss), Ok(Some(_))) {
            return;
        }
        let medium = attachment.medium.name().to_owned();
        let why = format!("{medium}: {}", error.with_sources());
        {
            let mut notes = self.notes.lock();
            notes.last_loss = Some(why.clone());
            let doublings = notes.losses_in_a_row.min(RETURN_PAUSE_DOUBLINGS);
            notes.losses_in_a_row += 1;
            notes.may_return =
                MayReturn::NotBefore(Instant::now() + RETURN_PAUSE * (1 << doublings));
        }
        let kept = self.take_away(stay, attachment, Going::AsItStands).await;
        self.event(
            EventKind::Lost,
            format!("the medium is lost, {kept} unsynced changes went to the journal: {why}"),
        );
    }

    /// Drops the medium as it stands: no drain, no sync.
    ///
    /// # Errors
    /// Where no medium is in.
    pub(crate) async fn pull(&self) -> Result<(), Refusal> {
        let mut stay = self.stay.lock().await;
        self.next_state(Trigger::Pull)?;
        if self.state() == State::Conflict {
            self.give_back(EventKind::Pulled).await;
            return Ok(());
        }
        let Some(attachment) = self.current_attachment() else { return Ok(()) };
        self.notes.lock().may_return = MayReturn::OnceSeenAway;
        let medium = attachment.medium.name().to_owned();
        let kept = self.take_away(&mut stay, attachment, Going::AsItStands).await;
        self.event(
            EventKind::Pulled,
            format!("{medium} was pulled, {kept} unsynced changes went to the journal"),
        );
        Ok(())
    }

    /// Lets the medium go: drains what is under way, syncs, closes. When it returns the medium may be taken away.
    ///
    /// # Errors
    /// Where no medium is in, where I/O hangs (the medium then stays in), or where the sync fails: then the medium
    /// counts as lost, and what it may not have is in the journal.
    pub(crate) async fn eject(self: &Arc<Self>) -> Result<(), Refusal> {
        self.next_state(Trigger::Eject)?;
        self.sync_beforehand().await;
        let mut stay = self.stay.lock().await;
        self.next_state(Trigger::Eject)?;
        if self.state() == State::Conflict {
            self.give_back(EventKind::Ejected).await;
            return Ok(());
        }
        let Some(attachment) = self.current_attachment() else { return Ok(()) };
        self.drain(&attachment).await?;
        if let Err(error) = self.settle(&attachment).await {
            let medium = attachment.medium.name().to_owned();
            self.lost(&mut stay, attachment, &error).await;
            return Err(Refusal::new(format!(
                "{medium} could not be synced: {}",
                error.with_sources()
            ))
            .hint("it counts as lost; what it may not have is kept in the journal"));
        }
        self.notes.lock().may_return = MayReturn::OnceSeenAway;
        let medium = attachment.medium.name().to_owned();
        let mut departure = attachment.departure();
        self.take_away(&mut stay, attachment, Going::Synced).await;
        drop(stay);
        // A replay or a copy that was under way lets go of the handle a moment later. It is synced in any case.
        let _ = departure.within(DEPARTURE_WAIT).await;
        self.event(EventKind::Ejected, format!("{medium} may be taken away"));
        Ok(())
    }

    /// Syncs the medium while clients go on, so that there is little to sync once they have to wait.
    pub(crate) async fn sync_beforehand(self: &Arc<Self>) {
        if let Some(attachment) = self.current_attachment()
            && let Some(_visit) = attachment.visit()
        {
            // What it says is of no interest: a failure has begun a removal, and the eject finds out.
            let _ = timeout(SYNC_BEFOREHAND_WAIT, sync(self, &attachment)).await;
        }
    }

    pub(crate) fn current_attachment(&self) -> Option<Arc<Attachment>> {
        self.route.load().attachment().cloned()
    }

    /// Closes the gate and waits until nobody is at the medium. Where that takes too long it is open again.
    pub(crate) async fn drain(&self, attachment: &Attachment) -> Result<(), Refusal> {
        attachment.gate.close();
        let wait = self.settings().pause_max();
        let drained = async {
            tokio::select! {
                biased;
                () = attachment.gate.drained() => true,
                () = attachment.lost() => false,
            }
        };
        let drained = timeout(wait, drained).await.unwrap_or(false);
        drained.then_some(()).ok_or_else(|| {
            self.stay_after_all(attachment);
            let (name, medium) = (self.name(), attachment.medium.name());
            if attachment.loss_is_reported() {
                return Refusal::new(format!("{medium} is lost"))
                    .hint("what it may not have is kept in the journal");
            }
            Refusal::new(format!("{medium} still has I/O under way after {wait:?}"))
                .hint(format!("'hotbay pull {name}' drops it as it stands; nothing is lost"))
        })
    }

    /// Opens the gate again; those who met it closed are sent the same way once more.
    pub(crate) fn stay_after_all(&self, attachment: &Attachment) {
        attachment.reopen();
        let route = self.route.load_full();
        self.set_route(route.state, route.path.clone());
    }

    /// Syncs a drained medium and lets go of what that covers. An error is a loss: the sync is never tried again, and
    /// one that hangs may still fail.
    pub(crate) async fn settle(&self, attachment: &Arc<Attachment>) -> Result<(), Error> {
        if attachment.loss_is_reported() {
            return Err(Error::new(ErrorKind::Gone, "it was lost meanwhile"));
        }
        let mark = attachment.mark();
        let wait = self.settings().pause_max();
        let synced = attachment.execute_until(Request::Flush, sleep(wait)).await;
        synced.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Gone, format!("its sync takes more than {wait:?}")))
        })?;
        if attachment.release(mark) {
            let identified = self.identity_may_have_changed(attachment);
            // With `stay` held nobody could carry out its loss.
            if timeout(wait, identified).await.is_err() {
                self.identity_is_unsettled("it does not answer").await;
            }
        }
        Ok(())
    }

    /// Takes the medium out and goes on with the journal. Returns how many changes the journal got.
    async fn take_away(&self, stay: &mut Stay, attachment: Arc<Attachment>, going: Going) -> usize {
        let Fenced { mut retained, identity_touched, mut observed, under_way } = attachment.fence();
        let spare = retained.take_spare();
        stay.leave_behind(Reach::Own, attachment.departure());
        self.notes.lock().leave_behind(Arc::clone(&attachment.under_way));
        attachment.leave_bay();
        let to_read = (going == Going::Synced).then(|| Arc::clone(&attachment));
        drop(attachment);
        self.set_progress(None);
        // Before the journal has anything: a restart in between must know that the medium may tell either. Nothing is in
        // the backlog, and no change is let in, until both have ended.
        let unsettled =
            self.update_record_or_warn(|record| record.identity_unsettled |= identity_touched);
        let laid_out = blocking(move || {
            let changes = retained.into_changes();
            let changed = changes.iter().map(|change| change.extent()).chain(under_way);
            changed.for_each(|extent| observed.changed(extent));
            (changes.len(), Pieces::lay_out(&changes), observed)
        });
        let ((kept, pieces, observed), ()) = tokio::join!(laid_out, unsettled);
        let log = self.log();
        log.backlog.install(pieces);
        let path = self.journal_path(None);
        if let Path::Journal { gate, .. } = &path {
            gate.open();
        }
        self.set_route(State::Absent, path);
        if let Err(why) = self.spill(&log).await {
            self.fail_now(stay, &why);
            log.backlog.give_up();
            return 0;
        }
        blocking(move || drop(spare)).await;
        // While clients go on with the journal, and nobody but this is at the medium.
        let read = match to_read {
            Some(attachment) => read_at_rest(attachment, observed.unknown(), &log).await,
            None => Witness::default(),
        };
        let witness = observed.witness(&read);
        self.update_record_or_warn(|record| {
            record.in_bay = false;
            record.witness = witness;
        })
        .await;
        kept
    }

    /// Brings the backlog to the journal while clients go on. While the journal's disk is full it waits for room, since the
    /// only copy is in memory; whoever needs all of it waits too, within the client's bound.
    async fn spill(&self, log: &JournalLog) -> Result<(), String> {
        let mut waiting: Option<RoomWait<'_>> = None;
        loop {
            match log.append_backlog(self.settings().spill_batch_bytes).await {
                Ok(true) => {}
                Ok(false) => {
                    log.room.notify_waiters();
                    return Ok(());
                }
                Err(NotAppended::Broken(why)) => return Err(why),
                Err(NotAppended::Behind) => unreachable!("nothing comes before the backlog"),
                Err(NotAppended::Full(NoRoom { full, why })) => {
                    match &waiting {
                        Some(waiting) => waiting.still(full),
                        None => {
                            let text = format!(
                                "unsynced changes are only in memory, make room at once: {why}"
                            );
                            self.event(EventKind::JournalFull, text);
                            waiting = Some(self.room_queue.enter(Waiter::Backlog, full));
                        }
                    }
                    sleep(SPILL_RETRY).await;
                }
            }
        }
    }

    /// After a sync that may have covered the identifying blocks: looks who the medium is now, and remembers it before
    /// anything that relies on it is acknowledged. Waits for the medium until it is lost.
    pub(crate) async fn identity_may_have_changed(&self, attachment: &Arc<Attachment>) {
        let asked = attachment.ask(Doing::Identify, |medium| medium.identify());
        match asked.await {
            Some(Ok(identity)) => {
                self.update_record_or_warn(|record| record.identity = Some(identity)).await;
            }
            Some(Err(error)) => self.identity_is_unsettled(&with_sources(&error)).await,
            None => self.identity_is_unsettled("it has left").await,
        }
    }

    /// A medium that does not say who it is now may be known by either identity.
    async fn identity_is_unsettled(&self, why: &str) {
        tracing::warn!(volume = self.name(), "cannot identify the medium: {why}");
        self.update_record_or_warn(|record| record.identity_unsettled = true).await;
    }
}
