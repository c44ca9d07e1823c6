//! An open journal: what a volume calls.
//!
//! Locks, in the order in which they are taken:
//! 1. `upkeep`: relocation and the end of a replay exclude each other, so that nothing that has been replayed comes
//!    to life again as a copy.
//! 2. `syncing`: one sync at a time; those that wait are then usually covered by the one before.
//! 3. `writer`: one appends at a time. Held over writes into the page cache and the creation of a segment, never over a
//!    sync.
//! 4. `index`: held over memory alone.

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use crate::Change;
use crate::draft::{Draft, drafts_of_extent, drafts_of_write};
use crate::error::{AppendError, JournalError, OpenError};
use crate::format::{LIMIT_MIN, VolumeStamp, segment_bytes};
use crate::index::Index;
use crate::reclaim::has_dead;
use crate::record::{Kind, stored_bytes};
use crate::recover::{Recovery, recover};
use crate::scan::{ScanReport, scan};
use crate::storage::Storage;
use crate::writer::{Ground, LogEnd, Purpose, WriteError, Writer};

/// What a journal is for and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The identifier of the volume whose journal it is.
    pub volume: [u8; 16],
    /// The volume's size in bytes.
    pub size_bytes: u64,
    /// The most bytes that all segments of the journal take together; at least 16 MiB.
    pub limit_bytes: u64,
}

/// The log that takes a volume's changes while its medium is away. Used from any number of threads.
///
/// Changes are durable once a [`sync`](Self::sync) that began after their [`append`](Self::append) returned succeeds.
/// Nothing is written when it is dropped; see [`close`](Self::close).
pub struct Journal {
    pub(crate) ground: Ground,
    pub(crate) upkeep: Mutex<()>,
    pub(crate) syncing: Mutex<()>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) index: RwLock<Index>,
    pub(crate) failure: OnceLock<String>,
}

impl Journal {
    /// Opens the journal in `storage`, or creates it where there is none.
    ///
    /// What is there is made durable and read anew from the disk, scanned, and then recovered: a tail that was never
    /// flushed is cut off.
    ///
    /// # Errors
    /// Where it is another volume's, damaged, of a newer format, or cannot be read or written.
    pub fn open(
        storage: Arc<dyn Storage>,
        settings: Settings,
    ) -> Result<(Self, Recovery), OpenError> {
        let Settings { volume, size_bytes, limit_bytes } = settings;
        if limit_bytes < LIMIT_MIN {
            return Err(OpenError::LimitTooSmall { limit_bytes, least_bytes: LIMIT_MIN });
        }
        let volume = VolumeStamp { id: volume, size_bytes };
        let segment_bytes = segment_bytes(limit_bytes);
        let ground = Ground { storage, volume, limit_bytes, segment_bytes };
        ground
            .storage
            .settle()
            .map_err(|source| OpenError::Io { action: "settle the files".into(), source })?;
        let report = scan(&*ground.storage, Some(volume.id))?;
        check_volume(&report, volume)?;
        Self::recovered(ground, &report)
    }

    fn recovered(ground: Ground, report: &ScanReport) -> Result<(Self, Recovery), OpenError> {
        let recovered = recover(&*ground.storage, report)?;
        let mut index = recovered.index;
        let end = LogEnd {
            next_sequence: recovered.next_sequence,
            next_number: recovered.next_number,
            replayed: recovered.replayed,
        };
        let writer = match recovered.active {
            Some((slot, segment, position)) => Writer::resume(end, slot, segment, position),
            None => Writer::begin(&ground, &mut index, end).map_err(begin_error)?,
        };
        let journal = Self {
            ground,
            upkeep: Mutex::new(()),
            syncing: Mutex::new(()),
            writer: Mutex::new(writer),
            index: RwLock::new(index),
            failure: OnceLock::new(),
        };
        let recovery = Recovery {
            outcome: recovered.outcome,
            segments_removed: recovered.segments_removed,
            records: recovered.records,
            usage: journal.usage(),
        };
        Ok((journal, recovery))
    }

    /// Appends changes in this order, with one vectored write for each segment that they go to. Reads see them when it
    /// returns; they are not durable yet. Blocks for a write into the page cache, and where a segment is full for
    /// the creation of a file.
    ///
    /// # Errors
    /// All but [`AppendError::Failed`] leave the journal as it was.
    pub fn append(&self, changes: &[Change]) -> Result<(), AppendError> {
        self.check_failure()?;
        let drafts = self.drafts_of(changes)?;
        if drafts.is_empty() {
            return Ok(());
        }
        let needed: u64 = drafts.iter().map(|draft| stored_bytes(draft.payload_bytes())).sum();
        let mut writer = self.writer.lock();
        self.check_failure()?;
        match writer.append(&self.ground, &self.index, drafts, Purpose::Change) {
            Ok(()) => {
                writer.is_wanting = false;
                Ok(())
            }
            Err(WriteError::Full) => {
                let can_help = self.can_reclaim_for(&writer, needed);
                writer.is_wanting = can_help;
                Err(if can_help { AppendError::NeedsReclaim } else { AppendError::Full })
            }
            Err(error) => {
                // Also where the disk is full below the limit there may be something to let go.
                writer.is_wanting =
                    matches!(error, WriteError::StorageFull(_)) && has_dead(&self.index.read());
                Err(self.fail(error).into())
            }
        }
    }

    fn drafts_of(&self, changes: &[Change]) -> Result<Vec<Draft>, AppendError> {
        let size_bytes = self.ground.volume.size_bytes;
        let mut drafts = Vec::with_capacity(changes.len());
        for change in changes {
            if change.end().is_none_or(|end| end > size_bytes) {
                return Err(AppendError::OutOfRange { extent: change.extent(), size_bytes });
            }
            match change {
                Change::Write { offset, data } => drafts_of_write(*offset, data, &mut drafts),
                Change::Zeroes(extent) => drafts_of_extent(Kind::Zeroes, *extent, &mut drafts),
                Change::Trim(extent) => drafts_of_extent(Kind::Trim, *extent, &mut drafts),
            }
        }
        Ok(drafts)
    }

    pub(crate) fn check_failure(&self) -> Result<(), JournalError> {
        match self.failure.get() {
            Some(failure) => Err(JournalError::PreviousFailure(failure.clone())),
            None => Ok(()),
        }
    }

    pub(crate) fn fail(&self, error: WriteError) -> JournalError {
        match error {
            WriteError::Full => JournalError::Full,
            WriteError::StorageFull(source) => JournalError::StorageFull(source),
            WriteError::Io { action, source } => self.fail_io(action, source),
        }
    }

    /// Latches a failure.
    pub(crate) fn fail_io(&self, action: String, source: std::io::Error) -> JournalError {
        // Only the first failure is kept: later ones follow from it.
        let _ = self.failure.set(format!("cannot {action}: {source}"));
        JournalError::Failed { action, source }
    }
}

fn check_volume(report: &ScanReport, volume: VolumeStamp) -> Result<(), OpenError> {
    match report.volume {
        Some(found) if found.id != volume.id => Err(OpenError::OtherVolume { found: found.id }),
        Some(found) if found.size_bytes != volume.size_bytes => {
            Err(OpenError::OtherSize { found: found.size_bytes, expected: volume.size_bytes })
        }
        _ => Ok(()),
    }
}

fn begin_error(error: WriteError) -> OpenError {
    match error {
        WriteError::Full => unreachable!("the limit allows the first segment"),
        WriteError::StorageFull(source) => OpenError::StorageFull(source),
        WriteError::Io { action, source } => OpenError::Io { action, source },
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let failure = self.failure.get();
        f.debug_struct("Journal").field("usage", &self.usage()).field("failure", &failure).finish()
    }
}
