//! What happened, for people, scripts and hooks: a bounded history and whoever follows it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;

/// The events that are remembered; older ones are let go.
const HISTORY_EVENTS: usize = 4096;

/// What kind of thing happened; its name is part of the contract with scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A medium was put into a bay.
    Inserted,
    /// Everything is on the medium; the volume is present.
    Present,
    /// The medium may be taken away.
    Ejected,
    /// The medium was dropped as it stood.
    Pulled,
    /// The medium was found to be gone, or a sync of it failed.
    Lost,
    /// A request waits for the medium.
    PleaseInsert,
    /// A medium was refused at the bay.
    Refused,
    /// The medium in the bay was changed while it was away, or is an older copy of itself.
    Conflict,
    /// Somebody has decided what counts.
    Resolved,
    /// A live copy to another medium began.
    CopyStarted,
    /// The volume is on the other medium.
    Switched,
    /// The copy was given up; the volume is where it was.
    CopyFailed,
    /// Another content is in place of the earlier one.
    Exchanged,
    /// The journal has passed four fifths of its limit.
    JournalWatermark,
    /// The journal has no room for a change.
    JournalFull,
    /// The journal was cut at a torn end: nothing that had been flushed.
    JournalCut,
    /// The journal is broken; the volume fails every request.
    Failed,
    /// A copy of a mirror does not get changes any more.
    FellBehind,
    /// A copy of a mirror has everything again.
    CaughtUp,
    /// The volume is one of the drive from now on.
    Added,
    /// The volume is none of the drive any more.
    Removed,
    /// The volume is larger.
    Grown,
    /// The changer could not load or unload the volume's medium.
    BayCommandFailed,
    /// Something an operator should know that changes no state.
    Warning,
}

impl EventKind {
    /// Every kind, for tables and counters.
    pub const ALL: [Self; 24] = [
        Self::Inserted,
        Self::Present,
        Self::Ejected,
        Self::Pulled,
        Self::Lost,
        Self::PleaseInsert,
        Self::Refused,
        Self::Conflict,
        Self::Resolved,
        Self::CopyStarted,
        Self::Switched,
        Self::CopyFailed,
        Self::Exchanged,
        Self::JournalWatermark,
        Self::JournalFull,
        Self::JournalCut,
        Self::Failed,
        Self::FellBehind,
        Self::CaughtUp,
        Self::Added,
        Self::Removed,
        Self::Grown,
        Self::BayCommandFailed,
        Self::Warning,
    ];

    /// The word for it in `hotbay events --json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Present => "present",
            Self::Ejected => "ejected",
            Self::Pulled => "pulled",
            Self::Lost => "lost",
            Self::PleaseInsert => "please-insert",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Resolved => "resolved",
            Self::CopyStarted => "copy-started",
            Self::Switched => "switched",
            Self::CopyFailed => "copy-failed",
            Self::Exchanged => "exchanged",
            Self::JournalWatermark => "journal-watermark",
            Self::JournalFull => "journal-full",
            Self::JournalCut => "journal-cut",
            Self::Failed => "failed",
            Self::FellBehind => "fell-behind",
            Self::CaughtUp => "caught-up",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Grown => "grown",
            Self::BayCommandFailed => "bay-command-failed",
            Self::Warning => "warning",
        }
    }
}

impl EventKind {
    /// Writes it to the log, as loud as it deserves.
    fn log(self, volume: &str, text: &str) {
        let kind = self.name();
        match self {
            Self::Failed | Self::Conflict => tracing::error!(volume, kind, "{text}"),
            Self::Lost
            | Self::CopyFailed
            | Self::FellBehind
            | Self::JournalWatermark
            | Self::JournalFull
            | Self::JournalCut
            | Self::BayCommandFailed
            | Self::Warning => tracing::warn!(volume, kind, "{text}"),
            _ => tracing::info!(volume, kind, "{text}"),
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counts up from 1 while the daemon runs.
    pub sequence: u64,
    /// When, in milliseconds since 1970.
    pub time_unix_ms: u64,
    /// To which volume.
    pub volume: String,
    /// What.
    pub kind: EventKind,
    /// A sentence for a person.
    pub text: String,
}

/// The history of a drive. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct EventLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    history: Mutex<VecDeque<Event>>,
    /// How often each kind of thing has happened to each volume.
    counts: Mutex<BTreeMap<(String, &'static str), u64>>,
    newest: watch::Sender<u64>,
}

impl Default for EventLog {
    fn default() -> Self {
        let history = Mutex::new(VecDeque::new());
        let counts = Mutex::new(BTreeMap::new());
        Self(Arc::new(Shared { history, counts, newest: watch::Sender::new(0) }))
    }
}

impl EventLog {
    pub(crate) fn record(&self, volume: &str, kind: EventKind, text: impl Into<String>) {
        let text = text.into();
        kind.log(volume, &text);
        debug_assert!(EventKind::ALL.contains(&kind), "a kind that nobody would count");
        *self.0.counts.lock().entry((volume.to_owned(), kind.name())).or_default() += 1;
        let mut history = self.0.history.lock();
        let sequence = *self.0.newest.borrow() + 1;
        let event =
            Event { sequence, time_unix_ms: unix_ms(), volume: volume.to_owned(), kind, text };
        history.push_back(event);
        if history.len() > HISTORY_EVENTS {
            history.pop_front();
        }
        self.0.newest.send_replace(sequence);
    }

    /// How often something of this kind has happened to a volume since the daemon started.
    #[must_use]
    pub fn count(&self, volume: &str, kind: EventKind) -> u64 {
        self.0.counts.lock().get(&(volume.to_owned(), kind.name())).copied().unwrap_or_default()
    }

    /// Forgets how often anything has happened to a volume that is no more. Its events are remembered.
    pub(crate) fn forget_counts(&self, volume: &str) {
        self.0.counts.lock().retain(|(name, _), _| name != volume);
    }

    /// The events after `sequence` that are remembered, oldest first.
    #[must_use]
    pub fn after(&self, sequence: u64) -> Vec<Event> {
        let history = self.0.history.lock();
        history.iter().filter(|event| event.sequence > sequence).cloned().collect()
    }

    /// The number of the last event; 0 where none has happened yet.
    #[must_use]
    pub fn newest(&self) -> u64 {
        *self.0.newest.borrow()
    }

    /// Follows the events after `sequence`.
    #[must_use]
    pub fn follow(&self, sequence: u64) -> Events {
        Events { log: self.clone(), newest: self.0.newest.subscribe(), seen: sequence }
    }
}

/// Follows a drive's events. A reader that is slower than the history is long misses the oldest ones, and sees
/// so by the gap in their sequence.
#[derive(Debug)]
pub struct Events {
    log: EventLog,
    newest: watch::Receiver<u64>,
    seen: u64,
}

impl Events {
    /// Waits for events not seen before, at least one. May be dropped and called again; nothing is missed.
    pub async fn next(&mut self) -> Vec<Event> {
        loop {
            self.newest.borrow_and_update();
            let events = self.log.after(self.seen);
            if let Some(last) = events.last() {
                self.seen = last.sequence;
                return events;
            }
            // The sender lives in the log that is held here, so this only ends by a change.
            let _ = self.newest.changed().await;
        }
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
