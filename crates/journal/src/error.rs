//! Errors, one family for each operation that fails in its own way.

use std::io;

use hotbay_block::Extent;

use crate::Sequence;

/// Where flushed data is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment} is {}, where record {sequence} is flushed data", how(*position))]
pub struct Damage {
    /// The number of the segment.
    pub segment: u64,
    /// The byte of the segment from which on it cannot be read; 0 where the segment is missing as a whole.
    pub position: u64,
    /// The first record that is lost.
    pub sequence: Sequence,
}

fn how(position: u64) -> String {
    match position {
        0 => "missing or damaged from its first byte on".to_owned(),
        _ => format!("damaged at byte {position}"),
    }
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// The storage reports an error.
    #[error("cannot read {name} of the journal")]
    Io {
        /// The file, or the directory.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A segment was written by a newer program. Use that one.
    #[error("segment {segment} has format version {version}, newer than any known here")]
    NewerVersion {
        /// The number of the segment.
        segment: u64,
        /// Its version.
        version: u32,
    },
    /// Two segments belong to different volumes.
    #[error("segment {segment} belongs to another volume than the segments before it")]
    MixedVolumes {
        /// The number of the later segment.
        segment: u64,
    },
}

/// Why a journal cannot be opened. Nothing has been changed, but for [`OpenError::Io`] during recovery, which
/// a later attempt takes up again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be read.
    #[error("cannot scan the journal")]
    Scan(#[from] ScanError),
    /// It belongs to another volume.
    #[error("the journal belongs to another volume")]
    OtherVolume {
        /// The identifier that the journal has.
        found: [u8; 16],
    },
    /// It belongs to the volume when that had another size.
    #[error("the journal is of a volume of {found} bytes, not {expected}")]
    OtherSize {
        /// The size that the journal has.
        found: u64,
        /// The size that was asked for.
        expected: u64,
    },
    /// The limit is below the least one, 16 MiB.
    #[error("a journal of at most {limit_bytes} bytes is too small; the least is {least_bytes}")]
    LimitTooSmall {
        /// The limit that was asked for.
        limit_bytes: u64,
        /// The least one.
        least_bytes: u64,
    },
    /// Flushed data is damaged.
    #[error("the journal is damaged")]
    Damaged(#[from] Damage),
    /// There is no room for the first segment.
    #[error("no room in the file system for a journal segment")]
    StorageFull(#[source] io::Error),
    /// The storage reports an error.
    #[error("cannot {action} of the journal")]
    Io {
        /// What was being done, and to what.
        action: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Why an operation on an open journal failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The storage reports an error. It is latched: what was appended before may be lost, and nothing is tried
    /// again.
    #[error("cannot {action} of the journal")]
    Failed {
        /// What was being done, and to what.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier failure is latched; only a new open of the journal helps.
    #[error("the journal has failed before: {0}")]
    PreviousFailure(String),
    /// A record's payload is not what was written.
    #[error("record {sequence} at byte {position} of segment {segment} is damaged")]
    Corrupt {
        /// The number of the segment.
        segment: u64,
        /// Where the record begins.
        position: u64,
        /// Which record.
        sequence: Sequence,
    },
    /// The limit leaves no room even for a record that frees space. Raise the limit.
    #[error("the journal is full")]
    Full,
    /// The file system has no room for another segment. Not latched.
    #[error("no room in the file system for a journal segment")]
    StorageFull(#[source] io::Error),
}

/// Why changes were not appended. But for [`AppendError::Failed`], none of them was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// They would pass the limit, and reclaiming does not free enough. Replay, or refuse the write.
    #[error("the journal is full")]
    Full,
    /// They fit once [`reclaim_step`](crate::Journal::reclaim_step) has freed space;
    /// [`wants_reclaim`](crate::Journal::wants_reclaim) is true.
    #[error("the journal is full until it has been reclaimed")]
    NeedsReclaim,
    /// The file system has no room for another segment. Not latched: it may be tried again.
    #[error("no room in the file system for a journal segment")]
    StorageFull(#[source] io::Error),
    /// A change passes the end of the volume.
    #[error("{extent} passes the end of a volume of {size_bytes} bytes")]
    OutOfRange {
        /// What was to be changed.
        extent: Extent,
        /// The volume's size.
        size_bytes: u64,
    },
    /// The journal fails, now or since before.
    #[error("the journal fails")]
    Failed(#[source] JournalError),
}

impl From<JournalError> for AppendError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Full => Self::Full,
            JournalError::StorageFull(source) => Self::StorageFull(source),
            other => Self::Failed(other),
        }
    }
}

/// Whether the file system has no room, as opposed to being broken.
pub(crate) fn is_storage_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
