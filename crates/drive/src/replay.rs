//! Replay: bringing the journal's live extents to the medium that has come back, with clients going on.
//!
//! It works in passes. A pass brings everything up to the journal's newest record at its start, in ascending order and
//! in large writes (`bring.rs`); then the medium is synced; then the journal durably records that it may let go of that much. What
//! clients write meanwhile goes to the journal and is the next pass's. When little is left the way to the
//! journal is closed and drained, the rest is brought over in the same three steps, and requests go to the medium.
//!
//! A crash or a removal at any point finds in the journal whatever the medium has not synced. Bringing
//! an extent twice does no harm, because while it is in the journal the medium under it is not written by anyone else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use hotbay_block::{Error, ErrorKind, with_sources};
use hotbay_journal::JournalError;
use tokio::time::{Instant, sleep, timeout_at};

use crate::attachment::{Attachment, IDENTIFYING};
use crate::bring::{self, Bringer};
use crate::buffers::Buffers;
use crate::event::EventKind;
use crate::failure::Refusal;
use crate::gate::Gate;
use crate::journal_log::is_broken;
use crate::record::VolumeRecord;
use crate::route::{Path, Under};
use crate::state::{State, Trigger};
use crate::status::Progress;
use crate::volume::Volume;
use crate::witness::Witness;

/// What may be left for the last pass, during which changes wait.
const LAST_PASS_BYTES: u64 = 128 << 10;

/// How long after finding no room on the journal's disk a replay tries again.
const ROOM_RETRY: Duration = Duration::from_secs(1);

/// After so many passes the last one comes, whatever is left, since the clients write faster than the medium.
const PASSES: u32 = 12;

/// The passes after which clients are slowed down, since they write as fast as the medium takes it.
const PASSES_AT_FULL_SPEED: u32 = 3;

/// The longest that a change is held back for that.
const HOLD_BACK_MAX: Duration = Duration::from_millis(64);

/// Why a replay ended early.
#[derive(Debug)]
pub(crate) enum Interrupted {
    /// The journal failed.
    Journal(JournalError),
    /// The record could not be saved, without which nothing that identifies the medium may be changed on it.
    Record(Refusal),
    /// The medium failed, which is reported, or was taken away; or somebody had to be let in to see whether it can be.
    Left,
}

impl From<JournalError> for Interrupted {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// Begins a replay in a task of its own. It ends by itself when the attachment is left.
pub(crate) fn begin(volume: &Arc<Volume>, Under { attachment, pace }: Under) {
    let runtime = volume.around.runtime.clone();
    let volume = Arc::clone(volume);
    runtime.spawn(async move {
        let buffers = bring::buffers();
        let replay =
            Replay { volume: &volume, attachment: &attachment, pace: &pace, buffers: &buffers };
        let ended = loop {
            match replay.run().await {
                Err(Interrupted::Left) if replay.was_only_held_up().await => {}
                ended => break ended,
            }
        };
        if let Err(interrupted) = ended {
            replay.give_up(interrupted);
        }
    });
}

/// How far a replay is, for those who write meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    passes: AtomicU32,
}

impl Pace {
    /// How long a change is to be held back on its way to the journal, so that the replay comes to its end: not at all
    /// in the first passes, then twice as long with each.
    pub(crate) fn hold_back(&self) -> Duration {
        held_back_after(self.passes.load(Relaxed))
    }
}

fn held_back_after(passes: u32) -> Duration {
    match passes.saturating_sub(PASSES_AT_FULL_SPEED) {
        0 => Duration::ZERO,
        slow => HOLD_BACK_MAX.min(Duration::from_millis(1 << slow.min(10))),
    }
}

struct Replay<'a> {
    volume: &'a Arc<Volume>,
    attachment: &'a Arc<Attachment>,
    pace: &'a Pace,
    buffers: &'a Buffers,
}

/// Whether requests go to the medium now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Switched {
    Yes,
    NotYet,
}

impl Replay<'_> {
    /// At least one pass comes before the switch, also where the journal is empty: it syncs what was written before a
    /// kill and is retained by nobody.
    async fn run(&self) -> Result<(), Interrupted> {
        let log = self.volume.log();
        let mut passes = 0;
        loop {
            self.pace.passes.store(passes, Relaxed);
            let is_behind = passes < PASSES && log.usage().live_bytes > LAST_PASS_BYTES;
            let step = match passes == 0 || is_behind {
                true => self.pass().await.map(|()| Switched::NotYet),
                false => self.switch().await,
            };
            match step {
                Ok(Switched::Yes) => return self.tidy_up().await,
                Ok(Switched::NotYet) => passes += 1,
                // The journal's disk has no room to note that it may let go; what is in it stays.
                Err(Interrupted::Journal(error)) if !is_broken(&error) => {
                    self.volume.journal_is_full(&with_sources(&error));
                    sleep(ROOM_RETRY).await;
                }
                Err(interrupted) => return Err(interrupted),
            }
        }
    }

    /// Deletes what the journal does not need any more, now that nobody waits for it. One file at a time, so that nobody
    /// who wants to change the state waits long; and with `stay` held, since the files of another journal, begun by a
    /// swap, may have the same names.
    async fn tidy_up(&self) -> Result<(), Interrupted> {
        while let Some(_stay) = self.volume.turn_at(self.attachment).await {
            if !self.volume.log().delete_retired().await? {
                break;
            }
        }
        Ok(())
    }

    /// Whether what interrupted the replay, an eject for example, did not come about, so that it has to go on.
    async fn was_only_held_up(&self) -> bool {
        self.volume.turn_at(self.attachment).await.is_some_and(|_stay| self.is_at_work())
    }

    /// Whether the attachment is still the one to bring everything to. Only meaningful while `stay` is held.
    fn is_at_work(&self) -> bool {
        self.volume.state() == State::Replaying
            && self.volume.is_current(self.attachment)
            && !self.attachment.loss_is_reported()
    }

    /// Brings over all that is in the journal now, and lets the journal go of it.
    async fn pass(&self) -> Result<(), Interrupted> {
        let log = self.volume.log();
        let up_to = log.head();
        let identity_changes = log.touches(IDENTIFYING);
        let progress = Progress { done_bytes: 0, total_bytes: log.usage().live_bytes };
        // From here on the medium may tell either identity, until it is recorded after the sync; and what is brought over
        // bears no witness.
        let before_it_changes = |record: &mut VolumeRecord| {
            record.identity_unsettled |= identity_changes;
            let witness = std::mem::take(&mut record.witness);
            record.witness = witness.without(|block| log.touches(block));
        };
        self.volume.update_record(before_it_changes).await.map_err(Interrupted::Record)?;
        self.bringer().bring_all(up_to, progress).await?;
        self.sync_medium(identity_changes).await?;
        log.mark_replayed(up_to).await?;
        Ok(())
    }

    fn bringer(&self) -> Bringer<'_> {
        Bringer { volume: self.volume, attachment: self.attachment, buffers: self.buffers }
    }

    async fn sync_medium(&self, identity_changes: bool) -> Result<(), Interrupted> {
        let _visit = self.attachment.visit().ok_or(Interrupted::Left)?;
        self.bringer().sync().await?;
        if identity_changes {
            self.volume.identity_may_have_changed(self.attachment).await;
        }
        Ok(())
    }

    /// The last pass, with the way to the journal closed; then requests go to the medium. Where that takes longer than
    /// clients can be kept waiting, the way is opened again and it was a pass like any other.
    ///
    /// `stay` is not held meanwhile: a medium that hangs must not keep anybody from pulling it.
    async fn switch(&self) -> Result<Switched, Interrupted> {
        // Clients are going to write to the medium: what is recorded of it could not keep up. Recorded now, so that they do
        // not wait for it.
        let no_witness = |record: &mut VolumeRecord| record.witness = Witness::default();
        self.volume.update_record(no_witness).await.map_err(Interrupted::Record)?;
        let deadline = Instant::now() + self.volume.settings().pause_max();
        let gate = self.close_the_way().await?;
        tokio::select! {
            biased;
            () = gate.drained() => {}
            // Who took the medium has opened the gate, and nobody tells whether an open gate is empty.
            () = self.attachment.left() => return Err(Interrupted::Left),
        }
        // More than one pass only where space was gained meanwhile: that gives what it moves a newer sequence.
        while !self.volume.log().is_empty() {
            let mut pass = std::pin::pin!(self.pass());
            match timeout_at(deadline, &mut pass).await {
                Ok(Ok(())) => {}
                Ok(Err(interrupted)) => {
                    self.open_the_way().await;
                    return Err(interrupted);
                }
                Err(_) => {
                    self.open_the_way().await;
                    return pass.await.map(|()| Switched::NotYet);
                }
            }
        }
        self.send_requests_to_the_medium().await
    }

    async fn close_the_way(&self) -> Result<Arc<Gate>, Interrupted> {
        let turn = self.volume.turn_at(self.attachment).await;
        let _stay = turn.ok_or(Interrupted::Left)?;
        match &self.volume.route.load().path {
            Path::Journal { gate, .. } if self.is_at_work() => {
                gate.close();
                Ok(Arc::clone(gate))
            }
            _ => Err(Interrupted::Left),
        }
    }

    /// Where the attachment was left, whoever did that has opened it, and may have closed it again.
    async fn open_the_way(&self) {
        let Some(_stay) = self.volume.turn_at(self.attachment).await else { return };
        let route = self.volume.route.load_full();
        if let Path::Journal { gate, .. } = &route.path
            && self.volume.is_current(self.attachment)
        {
            gate.open();
            self.volume.set_route(route.state, route.path.clone());
        }
    }

    async fn send_requests_to_the_medium(&self) -> Result<Switched, Interrupted> {
        let turn = self.volume.turn_at(self.attachment).await;
        let _stay = turn.ok_or(Interrupted::Left)?;
        if !self.is_at_work()
            || !matches!(self.volume.next_state(Trigger::ReplayDone), Ok(Some(State::Present)))
        {
            return Err(Interrupted::Left);
        }
        self.volume.set_progress(None);
        self.volume.set_route(State::Present, Path::Medium(Arc::clone(self.attachment)));
        self.volume.observe_soon(self.attachment);
        self.volume.update_record_or_warn(|record| record.identity_unsettled = false).await;
        self.volume.event(
            EventKind::Present,
            format!("{} has everything that was written", self.attachment.medium.name()),
        );
        Ok(Switched::Yes)
    }

    fn give_up(&self, interrupted: Interrupted) {
        match interrupted {
            Interrupted::Journal(error) => self.volume.fail(&with_sources(&error)),
            Interrupted::Record(refusal) => {
                let error = Error::new(ErrorKind::Medium, refusal.to_string());
                self.volume.lose(self.attachment, error);
            }
            Interrupted::Left => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_faster_than_the_medium_is_held_back_more_with_each_pass() {
        let pauses = [0, 1, 3, 4, 5, 8, 9, 12].map(|passes| held_back_after(passes).as_millis());
        assert_eq!(pauses, [0, 0, 0, 2, 4, 32, 64, 64]);
    }
}
