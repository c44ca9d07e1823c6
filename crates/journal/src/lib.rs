//! The on-disk log that takes a volume's writes while its medium is away.
//!
//! This crate knows no NBD, no medium and no state of a volume; it has no task, no clock and nothing asynchronous, and
//! it decides nothing by itself: when to sync, replay or reclaim is up to its caller. Calls that do I/O block.
//!
//! * [`Journal`]: an open journal. Appends changes, syncs them, answers what it holds, gives it out for replay.
//! * [`scan`]: reads a journal and reports; reading never writes. Opening applies the report.
//! * [`salvage`]: gets out of a damaged journal what is whole.
//! * [`Storage`]: the seam to whatever holds the segments; [`FileStorage`] is a directory.
//!
//! `docs/journal-format.md` describes the bytes.
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use hotbay_block::Extent;
//! use hotbay_journal::{Change, Content, FileStorage, Journal, Settings};
//!
//! let directory = tempfile::tempdir().unwrap();
//! let open = || {
//!     let storage = Arc::new(FileStorage::open(directory.path().join("journal")).unwrap());
//!     let settings = Settings { volume: [7; 16], size_bytes: 1 << 30, limit_bytes: 64 << 20 };
//!     Journal::open(storage, settings).unwrap().0
//! };
//!
//! let journal = open();
//! journal.append(&[Change::Write { offset: 4096, data: Bytes::from_static(b"while it was away") }]).unwrap();
//! journal.sync().unwrap();                    // from here on it survives anything
//! drop(journal);
//!
//! let pieces = open().pieces(Extent::new(4096, 5).unwrap());
//! assert_eq!(pieces[0].content, Some(Content::Data(Bytes::from_static(b"while"))));
//! ```

#![warn(clippy::as_conversions, clippy::indexing_slicing)]

mod checksum;
mod content;
mod draft;
mod error;
mod file_storage;
mod format;
mod index;
mod journal;
mod lending;
mod mark;
mod read;
mod reclaim;
mod record;
mod recover;
mod salvage;
mod scan;
mod segment;
mod sequence;
mod storage;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod writer;

pub use checksum::checksum;
pub use content::{Change, Content, LiveExtent, Piece, Usage};
pub use error::{AppendError, Damage, JournalError, OpenError, ScanError};
pub use file_storage::FileStorage;
pub use format::VolumeStamp;
pub use journal::{Journal, Settings};
pub use lending::PartlyLent;
pub use mark::remove;
pub use reclaim::ReclaimProgress;
pub use record::Kind;
pub use recover::{Recovery, RecoveryOutcome};
pub use salvage::{is_still_there, salvage};
pub use scan::{RecordReport, ScanReport, SegmentReport, SegmentStatus, Verdict, scan};
pub use sequence::Sequence;
pub use storage::{Access, SegmentFile, Storage};
