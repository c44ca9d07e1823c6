//! A volume: its route, its journal, and what its transitions share.
//!
//! Requests only read `route`. Transitions are made one at a time, by whoever holds `stay`, and end by setting a
//! new route; requests that met a closed gate wait for that and go again. The order in every transition is: close
//! the gate, drain it (not on a loss: there the fence does it), do what must be true in the next state, set the route.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use arc_swap::{ArcSwap, ArcSwapOption};
use hotbay_journal::Storage;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::attachment::{Attachment, Departure};
use crate::bay::Bays;
use crate::conflict::Dispute;
use crate::event::{EventKind, EventLog};
use crate::failure::Refusal;
use crate::insertion::being_stopped;
use crate::journal_log::{JournalLog, blocking};
use crate::reclaim::Reclaiming;
use crate::record::{Records, VolumeRecord};
use crate::room::RoomQueue;
use crate::route::{Path, Route, Under};
use crate::settings::VolumeSettings;
use crate::source::MediumSource;
use crate::state::{Answer, State, Trigger, answer};
use crate::status::{JournalStatus, Progress, VolumeStatus};
use crate::told::Told;
use crate::under_way::{Doing, UnderWay};

/// What all volumes of a drive share.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) source: Arc<dyn MediumSource>,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) bays: Bays,
    pub(crate) events: EventLog,
    /// Counts how often the volumes were told to look at their media now.
    pub(crate) looks: Arc<Told<u64>>,
    /// Where the tasks of the drive run, whoever starts them.
    pub(crate) runtime: Handle,
}

/// A logical disk that lives on while its medium is away.
pub struct Volume {
    pub(crate) name: String,
    pub(crate) settings: ArcSwap<VolumeSettings>,
    /// As in the record.
    pub(crate) id: [u8; 16],
    pub(crate) around: Surroundings,
    /// `None` where the journal could not be opened; the volume is then `Failed` from the start.
    pub(crate) log: ArcSwapOption<JournalLog>,
    pub(crate) journal_storage: Arc<dyn Storage>,
    pub(crate) route: ArcSwap<Route>,
    /// Counts the changes of route.
    pub(crate) routes: Told<u64>,
    /// Changed with it; carries the state.
    pub(crate) states: watch::Sender<State>,
    /// Counts the contents; sessions of an earlier one are closed.
    pub(crate) contents: Told<u64>,
    /// Held for a transition.
    pub(crate) stay: tokio::sync::Mutex<Stay>,
    /// The medium that is in its bay in conflict. Only set and taken by whoever holds `stay`.
    pub(crate) dispute: Mutex<Option<Dispute>>,
    /// What is on stable storage about the volume. Its holder waits for nothing but its being saved.
    pub(crate) record: tokio::sync::Mutex<VolumeRecord>,
    /// Whether the record is newer than what is on stable storage, because it could not be saved.
    pub(crate) record_is_unsaved: AtomicBool,
    pub(crate) reclaiming: Reclaiming,
    /// Whether it has been told that the journal is above its watermark, and that a change found no room.
    pub(crate) watermark_told: AtomicBool,
    pub(crate) full_told: AtomicBool,
    /// Whether it is being stopped, so that nothing is put in any more.
    pub(crate) stopping: Told<bool>,
    /// How many have it open.
    pub(crate) handles: AtomicU64,
    pub(crate) waiting: AtomicU64,
    pub(crate) waiting_for_medium: AtomicU64,
    pub(crate) room_queue: RoomQueue,
    pub(crate) notes: Mutex<Notes>,
}

/// What only transitions touch.
#[derive(Default)]
pub(crate) struct Stay {
    /// The number of the last attachment.
    pub(crate) attachments: u64,
    /// Earlier attachments, and media that were not put in, whose I/O may still be under way; each ends when it is let go
    /// by all.
    left_behind: Vec<LeftBehind>,
}

/// Something that may still reach a medium.
#[derive(Debug)]
struct LeftBehind {
    reaches: Reach,
    departure: Departure,
}

/// What may still be reached by something that was left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The volume's own medium, by whatever name it comes back.
    Own,
    /// A medium that was to be put in, or that the volume was to be swapped to.
    Named(String),
}

impl Stay {
    /// Whether all that was written to the medium and not synced is known, because it was written by this daemon: its first
    /// medium may have more.
    pub(crate) fn knows_what_is_synced(&self) -> bool {
        self.attachments > 0
    }

    /// Remembers that something may still reach a medium.
    pub(crate) fn leave_behind(&mut self, reaches: Reach, departure: Departure) {
        self.left_behind.retain(|left| !left.departure.is_over());
        self.left_behind.push(LeftBehind { reaches, departure });
    }

    /// What may still reach a medium of this name.
    pub(crate) fn left_behind_on(&mut self, medium: &str) -> Option<&mut Departure> {
        self.left_behind.retain(|left| !left.departure.is_over());
        let mut left = self.left_behind.iter_mut();
        left.find(|left| match &left.reaches {
            Reach::Own => true,
            Reach::Named(name) => name == medium,
        })
        .map(|left| &mut left.departure)
    }
}

/// What is only shown.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) medium: Option<String>,
    pub(crate) progress: Option<Progress>,
    pub(crate) last_loss: Option<String>,
    /// What waits for media that were left behind.
    pub(crate) left_behind: Vec<Arc<UnderWay>>,
    pub(crate) may_return: MayReturn,
    /// Losses that followed each other closely.
    pub(crate) losses_in_a_row: u32,
}

impl Notes {
    /// Remembers what waits for a medium that is left behind.
    pub(crate) fn leave_behind(&mut self, under_way: Arc<UnderWay>) {
        self.left_behind.retain(|left| left.oldest().is_some());
        self.left_behind.push(under_way);
    }

    /// What has been waiting longest for a medium that was left behind, in words.
    fn hung(&self) -> Option<String> {
        let left = self.left_behind.iter().filter_map(|left| left.oldest());
        let (doing, time) = left.max_by_key(|(_, time)| *time)?;
        Some(format!("{doing}, for {} s", time.as_secs()))
    }
}

/// When the watch may put the medium back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MayReturn {
    /// It was taken away on purpose: only after it has been seen to be away.
    #[default]
    OnceSeenAway,
    /// It was lost: as soon as it is there, but not before this.
    NotBefore(Instant),
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume")
            .field("name", &self.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Volume {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its own identity, chosen at random once, and the number of the content that it holds now. Together they are
    /// the same after a restart, and differ where what a client has in its cache must not be written here.
    #[must_use]
    pub fn content(&self) -> ([u8; 16], u64) {
        (self.id, self.route.load().content)
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.route.load().state
    }

    /// Follows its state.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<State> {
        self.states.subscribe()
    }

    /// What the operator has chosen for it, as it is now.
    pub(crate) fn settings(&self) -> Arc<VolumeSettings> {
        self.settings.load_full()
    }

    /// Takes other settings, but for what the journal and the record rely on.
    pub(crate) fn set_settings(&self, settings: VolumeSettings) {
        let now = self.settings();
        let settings = VolumeSettings {
            name: now.name.clone(),
            medium: now.medium.clone(),
            journal_limit_bytes: now.journal_limit_bytes,
            ..settings
        };
        let limit = settings.retained_bound_bytes();
        self.settings.store(Arc::new(settings));
        // After it, so that an attachment that comes in between has the new limit as well.
        if let Some(attachment) = self.current_attachment() {
            attachment.set_retained_limit(limit);
        }
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> VolumeStatus {
        let route = self.route.load_full();
        let attachment = route.attachment();
        let log = self.log.load_full();
        let backlog_bytes = log.as_ref().map_or(0, |log| log.backlog.bytes());
        let journal = log.map(|log| {
            let usage = log.usage();
            JournalStatus {
                live_bytes: usage.live_bytes,
                disk_bytes: usage.disk_bytes,
                limit_bytes: usage.limit_bytes,
                extents: usage.extents,
            }
        });
        let dispute = self.dispute.lock();
        let disputed_bay = dispute.as_ref().map(|dispute| dispute.place.number());
        let notes = self.notes.lock();
        VolumeStatus {
            name: self.name.clone(),
            state: route.state,
            medium: match &*dispute {
                Some(dispute) => Some(dispute.medium.clone()),
                None => notes.medium.clone(),
            },
            bay: attachment.and_then(|attachment| attachment.bay_number()).or(disputed_bay),
            attachment: attachment.map(|attachment| attachment.number),
            size_bytes: route.size_bytes,
            waiting_requests: self.waiting.load(SeqCst),
            waiting_for_medium: self.waiting_for_medium.load(SeqCst) > 0,
            waiting_for_room: self.room_queue.status(backlog_bytes),
            retained_bytes: attachment.map_or(0, |attachment| attachment.retained_bytes())
                + backlog_bytes,
            oldest_retained_age: attachment.and_then(|attachment| attachment.oldest_retained_age()),
            journal: journal.unwrap_or_default(),
            progress: notes.progress,
            hung: notes.hung(),
            last_loss: notes.last_loss.clone(),
            conflict: dispute.as_ref().map(|dispute| dispute.why.clone()),
        }
    }

    /// The journal; only called where a route leads to it or a medium is in, and then there is one.
    pub(crate) fn log(&self) -> Arc<JournalLog> {
        self.log.load_full().expect("a volume without a journal is failed and routes nowhere")
    }

    /// Takes its turn at a transition of an attachment, or gives up as soon as the attachment is left: whoever holds
    /// `stay` may be waiting for it to be let go by all.
    pub(crate) async fn turn_at(
        &self,
        attachment: &Attachment,
    ) -> Option<tokio::sync::MutexGuard<'_, Stay>> {
        tokio::select! {
            biased;
            () = attachment.left() => None,
            stay = self.stay.lock() => Some(stay),
        }
    }

    /// Asks the transition table; a refusal names the volume.
    pub(crate) fn next_state(&self, trigger: Trigger) -> Result<Option<State>, Refusal> {
        match answer(self.state(), trigger) {
            Answer::Go(next) => Ok(Some(next)),
            Answer::Ignore => Ok(None),
            Answer::Refuse(why, hint) => {
                let (name, state) = (self.name(), self.state());
                Err(Refusal::new(format!("volume {name} is {state}: {why}"))
                    .hint(hint.replace("VOLUME", name)))
            }
        }
    }

    /// Sends requests elsewhere from now on. Only called by whoever holds `stay`.
    pub(crate) fn set_route(&self, state: State, path: Path) {
        let now = self.route.load();
        let (content, size_bytes) = (now.content, now.size_bytes);
        self.replace_route(Route { state, content, size_bytes, path });
    }

    /// The same where the content or its size changes. What was closed stays closed: who waited for a stop to end would
    /// let changes into a journal that nobody syncs any more.
    pub(crate) fn replace_route(&self, mut route: Route) {
        if self.is_closed() {
            route.path = Path::Closed;
        }
        let state = route.state;
        self.route.store(Arc::new(route));
        self.states.send_replace(state);
        self.routes.change(|routes| *routes += 1);
    }

    /// The path to the journal. Its gate stays the same as long as the journal is in use, so that draining it drains
    /// whatever is on its way to the journal, whichever route it came by.
    pub(crate) fn journal_path(&self, under: Option<Under>) -> Path {
        let gate = match &self.route.load().path {
            Path::Journal { gate, .. } => Arc::clone(gate),
            Path::Medium(_) | Path::Closed => Arc::default(),
        };
        Path::Journal { gate, under }
    }

    /// Whether the attachment is the one that requests go to now.
    pub(crate) fn is_current(&self, attachment: &Arc<Attachment>) -> bool {
        self.route.load().attachment().is_some_and(|current| Arc::ptr_eq(current, attachment))
    }

    /// Goes to `Failed`: the journal is broken, and nothing may pretend otherwise. The medium is let go.
    pub(crate) fn fail(self: &Arc<Self>, why: &str) {
        let (volume, why) = (Arc::clone(self), why.to_owned());
        self.around.runtime.spawn(async move {
            let mut stay = volume.stay.lock().await;
            volume.fail_now(&mut stay, &why);
        });
    }

    /// Takes a journal whose disk does not answer for a broken one. Nothing is acknowledged from now on: neither by the
    /// journal, whatever its disk still says, nor by the medium, whose loss nothing could be saved from.
    pub(crate) fn give_up_journal(self: &Arc<Self>, log: &JournalLog, why: &str) {
        if log.give_up(why) {
            if let Some(attachment) = self.current_attachment() {
                attachment.report_loss();
            }
            self.fail(why);
        }
    }

    /// Whether I/O of an earlier stay may still reach a medium of this name; also where somebody is about to find out.
    pub(crate) fn is_something_left_behind(&self, medium: &str) -> bool {
        self.stay.try_lock().map_or(true, |mut stay| stay.left_behind_on(medium).is_some())
    }

    /// Whether nobody is let in any more, for good.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.route.load().path, Path::Closed)
    }

    /// Whether it is being stopped.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Waits until it is being stopped.
    pub(crate) async fn stopped(&self) {
        self.stopping.until(|stopping| stopping).await;
    }

    /// The same for whoever holds `stay`.
    pub(crate) fn fail_now(&self, stay: &mut Stay, why: &str) {
        if !matches!(self.next_state(Trigger::JournalFailed), Ok(Some(State::Failed))) {
            return;
        }
        let route = self.route.load_full();
        if let Some(attachment) = route.attachment() {
            drop(attachment.fence());
            attachment.leave_bay();
            stay.leave_behind(Reach::Own, attachment.departure());
        }
        drop(self.dispute.lock().take());
        // Before the state, so that nobody sees that it has failed and not why.
        self.notes.lock().last_loss = Some(why.to_owned());
        self.set_route(State::Failed, Path::Closed);
        self.event(
            EventKind::Failed,
            format!("the journal is broken, every request fails now: {why}"),
        );
    }

    pub(crate) fn event(&self, kind: EventKind, text: impl Into<String>) {
        self.around.events.record(self.name(), kind, text);
    }

    pub(crate) fn set_progress(&self, progress: Option<Progress>) {
        self.notes.lock().progress = progress;
    }

    /// Carries out what changes the volume to its end, also where whoever asked for it does not wait any more: what was
    /// taken out of an attachment and is not in the journal yet would be lost.
    pub(crate) async fn to_its_end<F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<(), Refusal>
    where
        F: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        let working = self.around.runtime.spawn(work(Arc::clone(self)));
        working.await.unwrap_or_else(|_| Err(being_stopped()))
    }

    /// Changes what is on stable storage about the volume.
    pub(crate) async fn update_record(
        &self,
        change: impl FnOnce(&mut VolumeRecord),
    ) -> Result<(), Refusal> {
        let mut record = self.record.lock().await;
        let mut next = record.clone();
        change(&mut next);
        if next == *record && !self.record_is_unsaved.load(SeqCst) {
            return Ok(());
        }
        self.save_in_time(&next).await?;
        self.record_is_unsaved.store(false, SeqCst);
        *record = next;
        Ok(())
    }

    /// The same where going on is better than stopping: where it cannot be saved, a restart finds the earlier state,
    /// which is safe, since the journal is replayed in any case.
    pub(crate) async fn update_record_or_warn(&self, change: impl FnOnce(&mut VolumeRecord)) {
        let mut record = self.record.lock().await;
        let before = record.clone();
        change(&mut record);
        if *record == before && !self.record_is_unsaved.load(SeqCst) {
            return;
        }
        let saved = self.save_in_time(&record).await;
        self.record_is_unsaved.store(saved.is_err(), SeqCst);
        if let Err(refusal) = saved {
            self.event(EventKind::Warning, refusal.to_string());
        }
    }

    /// Where the disk does not answer, the journal on it is given up, and the volume with it: what was to be saved may
    /// land at any later time.
    async fn save_in_time(&self, record: &VolumeRecord) -> Result<(), Refusal> {
        let Some(log) = self.log.load_full() else { return save(&self.around, record).await };
        let _entered = log.under_way.enter(Doing::Other("a save of the volume's record"));
        tokio::select! {
            biased;
            saved = save(&self.around, record) => saved,
            why = log.given_up() => Err(Refusal::new(why)),
        }
    }

    /// Waits until requests go elsewhere than by `seen`.
    pub(crate) async fn routed_elsewhere(&self, seen: &Arc<Route>) {
        self.routes.until(|_| !Arc::ptr_eq(&self.route.load(), seen)).await;
    }
}

/// Brings a record to stable storage.
pub(crate) async fn save(around: &Surroundings, record: &VolumeRecord) -> Result<(), Refusal> {
    let (records, copy) = (Arc::clone(&around.records), record.clone());
    blocking(move || records.save(&copy)).await.map_err(|error| {
        Refusal::new(format!("cannot record the state of volume {}: {error}", record.name))
            .hint("make room in the state directory, or make it writable")
    })
}
