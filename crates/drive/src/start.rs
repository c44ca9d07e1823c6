//! Starting a volume where it was left, by a clean stop or by a crash.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::future::join_all;
use hotbay_block::{Error, ErrorKind, Identity, with_sources};
use hotbay_journal::{Journal, OpenError, Recovery, RecoveryOutcome, Settings, Storage};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use crate::event::EventKind;
use crate::failure::Refusal;
use crate::insertion::{NOT_WRITABLE, Recognition};
use crate::journal_log::{JournalLog, blocking};
use crate::reclaim::Reclaiming;
use crate::record::VolumeRecord;
use crate::room::RoomQueue;
use crate::route::{Path, Route};
use crate::settings::VolumeSettings;
use crate::state::State;
use crate::told::Told;
use crate::volume::{MayReturn, Notes, Stay, Surroundings, Volume, save};

/// What a volume is made from.
pub struct VolumeSetup {
    /// What the operator chose.
    pub settings: VolumeSettings,
    /// What is remembered; [`VolumeRecord::new`] for one that was never seen.
    pub record: VolumeRecord,
    /// Where its journal is.
    pub journal: Arc<dyn Storage>,
}

impl std::fmt::Debug for VolumeSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VolumeSetup").field("record", &self.record).finish_non_exhaustive()
    }
}

impl Volume {
    /// Opens the journal and stands by as `absent`, or as `failed` where the journal is damaged.
    pub(crate) async fn start(
        setup: VolumeSetup,
        around: Surroundings,
    ) -> Result<Arc<Self>, Refusal> {
        let VolumeSetup { settings, mut record, journal } = setup;
        if record.size_bytes == 0 {
            let identity = first_look(&settings, &around).await?;
            record.size_bytes = identity.size_bytes;
            record.identity = Some(identity);
        }
        // Before the journal is begun, which carries the identity of the volume and its size.
        save(&around, &record).await?;
        let was_gone = is_gone(&record, &journal).await;
        let opened = open_journal(&settings, &record, Arc::clone(&journal)).await;
        let (state, path) = match &opened {
            Ok(_) => (State::Absent, Path::Journal { gate: Arc::default(), under: None }),
            Err(_) => (State::Failed, Path::Closed),
        };
        let VolumeRecord { id, content, size_bytes, discards_journal: discards, .. } = record;
        let route = Route { state, content, size_bytes, path };
        let medium = record.medium.clone().unwrap_or_else(|| settings.medium.clone());
        let mut notes = Notes { medium: Some(medium), ..Notes::default() };
        let (log, news) = match opened {
            Ok((journal, recovery)) => {
                (Some(Arc::new(JournalLog::new(journal))), news_of(&recovery))
            }
            Err(error) => {
                let why = with_sources(&error);
                let text = format!(
                    "the volume has failed: its journal cannot be used and is left as it is: {why}"
                );
                notes.last_loss = Some(why);
                (None, Some((EventKind::Failed, text)))
            }
        };
        let volume = Arc::new(Self {
            name: settings.name.clone(),
            settings: ArcSwap::from_pointee(settings),
            id,
            around,
            log: ArcSwapOption::new(log),
            journal_storage: journal,
            route: ArcSwap::from_pointee(route),
            routes: Told::new(0),
            states: watch::Sender::new(state),
            contents: Told::new(content),
            stay: Mutex::new(Stay::default()),
            dispute: parking_lot::Mutex::new(None),
            record: Mutex::new(record),
            record_is_unsaved: false.into(),
            reclaiming: Reclaiming::default(),
            watermark_told: false.into(),
            full_told: false.into(),
            stopping: Told::new(false),
            handles: 0.into(),
            waiting: 0.into(),
            waiting_for_medium: 0.into(),
            room_queue: RoomQueue::default(),
            notes: parking_lot::Mutex::new(notes),
        });
        if let Some((kind, text)) = news {
            volume.event(kind, text);
        }
        if discards && volume.state() != State::Failed {
            volume.go_on_discarding().await;
        }
        if was_gone {
            volume.event(EventKind::Warning, NEW_JOURNAL);
        }
        Ok(volume)
    }

    /// Puts the medium in that was in when the daemon ended, or at the first start the configured one.
    pub(crate) async fn resume(self: &Arc<Self>) {
        let record = self.record.lock().await.clone();
        let wanted = record.in_bay || record.medium.is_none();
        if !wanted || self.state() != State::Absent {
            return;
        }
        let Some(place) = self.around.bays.take(self.name()) else { return };
        let is_disputed = record.conflict.is_some() || record.parted.is_some();
        let recognition = match self.log().is_empty() && !is_disputed {
            true => Recognition::AsFound,
            false => Recognition::TheSame,
        };
        if let Err(refusal) = self.insert(record.conflict.as_deref(), place, recognition).await {
            let text = format!("the medium could not be put in: {refusal}");
            self.event(EventKind::Warning, text);
            self.notes.lock().may_return = MayReturn::NotBefore(Instant::now());
        }
    }
}

/// How long a start waits for media that get nothing.
const SETTLING: Duration = Duration::from_secs(1);

/// Waits a moment for media that get nothing, because their journal is empty: else the first changes after a start would go to the
/// journal. Nobody is let in later for one that is slow or hangs.
pub(crate) async fn let_settle(volumes: &[Arc<Volume>]) {
    let gets_nothing =
        |volume: &&Arc<Volume>| volume.state() == State::Replaying && volume.log().is_empty();
    let settled = volumes
        .iter()
        .filter(gets_nothing)
        .map(|volume| volume.routes.until(|_| volume.state() != State::Replaying));
    // What takes longer goes on by itself.
    let _ = timeout(SETTLING, join_all(settled)).await;
}

/// The size of a volume that was never seen is that of its medium, which is only looked at. Who it is is remembered as well:
/// where it finds no bay, what the journal takes until then belongs to this medium and to no other.
async fn first_look(settings: &VolumeSettings, around: &Surroundings) -> Result<Identity, Refusal> {
    let (name, medium) = (&settings.name, &settings.medium);
    let wait = settings.io_deadline;
    let look = async { around.source.open(medium, name).await?.identify().await };
    let looked = timeout(wait, look).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::TimedOut, format!("{medium} has not been opened for {wait:?}")))
    });
    let identity = looked.map_err(|error| {
        let refusal = Refusal::new(format!("volume {name}: {}", error.with_sources()));
        match error.kind() {
            ErrorKind::ReadOnly => refusal.hint(NOT_WRITABLE),
            _ => refusal.hint("a volume's first medium tells its size, so it must be there once; '?create=64MiB' behind a file's path makes a file"),
        }
    })?;
    match identity.size_bytes {
        0 => Err(Refusal::new(format!("{medium}, the medium of volume {name}, is empty"))
            .hint("a volume's first medium tells its size; give it one with 'truncate -s 64M'")),
        _ => Ok(identity),
    }
}

/// Told where a journal was begun though the medium was away.
const NEW_JOURNAL: &str = "there was no journal, and an empty one was begun: if anything was written while the medium was away, it is in the files that are gone";

/// Whether there is no journal though the medium was taken away. That may be as it should be: somebody has moved a damaged one
/// away, or nothing was flushed before a loss of power. But nobody should find it out by surprise.
async fn is_gone(record: &VolumeRecord, storage: &Arc<dyn Storage>) -> bool {
    let was_taken_away = record.medium.is_some() && !record.in_bay;
    let storage = Arc::clone(storage);
    was_taken_away && blocking(move || storage.list()).await.is_ok_and(|files| files.is_empty())
}

pub(crate) async fn open_journal(
    settings: &VolumeSettings,
    record: &VolumeRecord,
    storage: Arc<dyn Storage>,
) -> Result<(Journal, Recovery), OpenError> {
    let settings = Settings {
        volume: record.id,
        size_bytes: record.size_bytes,
        limit_bytes: settings.journal_limit_bytes,
    };
    blocking(move || Journal::open(storage, settings)).await
}

/// What an operator should know of a recovery.
fn news_of(recovery: &Recovery) -> Option<(EventKind, String)> {
    let RecoveryOutcome::TornTail { segment, position, .. } = recovery.outcome else { return None };
    let text = format!(
        "the journal ended in changes that were never flushed; it is cut at byte {position} of segment {segment}"
    );
    Some((EventKind::JournalCut, text))
}
