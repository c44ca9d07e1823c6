//! What an operator may choose for a volume.

use std::time::Duration;

/// What a read does that needs the medium while it is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentReads {
    /// Waits for the medium, at most [`VolumeSettings::absent_wait`], then fails.
    Wait,
    /// Fails at once.
    Error,
}

/// What a change does that finds the journal full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalFull {
    /// Waits for room (a replay makes some), at most [`VolumeSettings::absent_wait`], then fails with "no space".
    Wait,
    /// Fails with "no space" at once.
    Error,
}

/// Whether a lost medium is put back by itself when it can be found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoInsert {
    /// After a loss, as soon as it is there; after an eject or a pull, once it has been away and come back.
    WhenItReturns,
    /// Only `insert` puts it back.
    Never,
}

/// Whether acknowledged writes are kept until the medium's next successful sync.
///
/// `Off` exists so that a test can show that without it writes are lost; no configuration leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// They are kept.
    On,
    /// They are not, and a loss loses what was not synced.
    Off,
}

/// The spill's batch where nothing else is said: appended in a fraction of a millisecond.
const SPILL_BATCH_BYTES: u64 = 512 << 10;

/// Not even an impatient client makes a transition take a medium for hanging before this.
const PAUSE_LEAST: Duration = Duration::from_secs(1);

/// The settings of one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSettings {
    /// Its name, which is also its export's.
    pub name: String,
    /// The medium put in when nothing is known of an earlier one.
    pub medium: String,
    /// What a read does that needs the absent medium.
    pub absent_reads: AbsentReads,
    /// The longest time any request waits for a medium, for room, or for a change of state to end.
    pub absent_wait: Duration,
    /// The longest that the medium, or the disk of the journal, may take to answer one I/O. A medium that takes longer
    /// counts as lost; a journal that does, as broken.
    pub io_deadline: Duration,
    /// The bytes that the journal may take on its disk.
    pub journal_limit_bytes: u64,
    /// What a change does that finds the journal full.
    pub journal_full: JournalFull,
    /// The bytes of retained writes, allowances included, at which the volume syncs by itself. At most a
    /// quarter of the journal's limit counts, since a loss must find room for them.
    pub retained_limit_bytes: u64,
    /// The bytes of retained writes that go to the journal at a time once the medium is away; clients take turns with
    /// them, so that they wait the less the smaller it is.
    pub spill_batch_bytes: u64,
    /// Whether a lost medium is put back by itself.
    pub auto_insert: AutoInsert,
    /// Whether writes are retained at all.
    pub retention: Retention,
}

impl VolumeSettings {
    /// The settings a volume has where nothing else is said.
    #[must_use]
    pub fn new(name: impl Into<String>, medium: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            medium: medium.into(),
            absent_reads: AbsentReads::Wait,
            absent_wait: Duration::from_secs(30),
            io_deadline: Duration::from_secs(30),
            journal_limit_bytes: 1 << 30,
            journal_full: JournalFull::Wait,
            retained_limit_bytes: 64 << 20,
            spill_batch_bytes: SPILL_BATCH_BYTES,
            auto_insert: AutoInsert::WhenItReturns,
            retention: Retention::On,
        }
    }

    /// The longest that a transition keeps clients waiting for a medium: they are to be answered within their own bound.
    pub(crate) fn pause_max(&self) -> Duration {
        (self.absent_wait / 2).max(PAUSE_LEAST)
    }

    /// The retained bytes that are really allowed: a loss must find room for them in the journal.
    pub(crate) fn retained_bound_bytes(&self) -> u64 {
        self.retained_limit_bytes.min(self.journal_limit_bytes / 4)
    }
}
