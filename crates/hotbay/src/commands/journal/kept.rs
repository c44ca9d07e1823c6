//! A volume's journal as it lies in the state directory, read without a daemon or beside one.
//!
//! Nothing is changed and nothing is locked, so a daemon may go on with the journal meanwhile. What was read counts
//! only if every segment that it came from is still there afterwards: a segment is only appended to as long as it has
//! its name, so what was read of it is what it holds. Damage counts once it is seen at the same place a second time:
//! to a reader, a record that is being written can look like one.

use std::path::Path;

use hotbay_journal::{
    Content, Damage, FileStorage, LiveExtent, ScanError, ScanReport, Verdict, is_still_there,
    salvage, scan,
};
use serde::Serialize;
use uuid::Uuid;

use crate::failure::Failure;
use crate::records;

/// How often a journal is read that changes meanwhile.
const ATTEMPTS: usize = 20;

/// A journal that was read.
pub(in crate::commands) struct KeptJournal {
    pub(super) volume: String,
    pub(super) report: ScanReport,
    /// What it holds, ascending; of a damaged one what is whole. They keep the files that they come from.
    pub(super) extents: Vec<LiveExtent>,
    /// The identity of the volume that it lies beside; `None` where its record cannot be read.
    owner: Option<Uuid>,
    storage: Option<FileStorage>,
}

/// In what condition a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum Condition {
    /// It holds no record.
    Empty,
    /// Every record is there.
    Whole,
    /// Records at its end are incomplete that were never flushed; they do not count.
    TornTail,
    /// Flushed data is damaged.
    Damaged,
    /// It belongs to another volume than the one that it lies beside.
    AnotherVolumes,
}

impl Condition {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Whole => "whole",
            Self::TornTail => "torn tail",
            Self::Damaged => "damaged",
            Self::AnotherVolumes => "another volume's",
        }
    }
}

impl KeptJournal {
    /// Reads the journal of a volume; of one that was never away from its medium it is empty.
    ///
    /// # Errors
    /// Where the state directory knows no such volume, where the journal cannot be read, or where a daemon changes it
    /// faster than it is read.
    pub(in crate::commands) fn read(state: &Path, volume: &str) -> Result<Self, Failure> {
        records::check_volume(state, volume)?;
        let mut damage = None;
        for _ in 0..ATTEMPTS {
            let journal = match Self::attempt(state, volume) {
                Ok(journal) => journal,
                Err(error) if is_missing(&error) => continue,
                Err(error) => return Err(cannot_read(volume, &error)),
            };
            let before = std::mem::replace(&mut damage, journal.damage());
            let is_certain = damage.is_none() || damage == before;
            if is_certain && journal.is_as_read()? {
                return Ok(journal);
            }
        }
        Err(Failure::new(format!("the journal of volume {volume} changes faster than it is read"))
            .with_hint("try again when there is less to do, or stop the daemon first"))
    }

    fn attempt(state: &Path, volume: &str) -> Result<Self, ScanError> {
        let path = records::journal_directory(state, volume);
        let owner = records::identity(state, volume);
        let volume = volume.to_owned();
        let storage = match FileStorage::open_to_read(path) {
            Ok(storage) => storage,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let report =
                    ScanReport { volume: None, segments: Vec::new(), verdict: Verdict::Empty };
                return Ok(Self { volume, report, extents: Vec::new(), owner, storage: None });
            }
            Err(source) => return Err(ScanError::Io { name: "the directory".into(), source }),
        };
        let report = scan(&storage, owner.map(Uuid::into_bytes))?;
        let extents = salvage(&storage, &report)?;
        Ok(Self { volume, report, extents, owner, storage: Some(storage) })
    }

    /// Refuses a journal that belongs to another volume, and says to which.
    ///
    /// # Errors
    /// Where it does.
    pub(in crate::commands) fn must_be_its_own(&self, state: &Path) -> Result<(), Failure> {
        let Some(other) = self.another_owner() else { return Ok(()) };
        let volume = &self.volume;
        let failure = |whose: &str| {
            let what = format!("the journal of volume {volume} belongs to another volume");
            Failure::new(format!("{what}: {whose}"))
        };
        Err(match records::volume_of(state, other) {
            Some(whose) => failure(&whose).with_hint(format!(
                "nothing was changed; with the daemon stopped, put the files of {} back where they were, and volume \
                 {volume}'s own here",
                records::journal_directory(state, volume).display()
            )),
            None => failure(&format!("one with the id {other}")).with_hint(format!(
                "nothing was changed; this state directory does not know that volume; keep {} for the one that does",
                records::journal_directory(state, volume).display()
            )),
        })
    }

    /// Whose it is, where that is another volume.
    fn another_owner(&self) -> Option<Uuid> {
        let found = Uuid::from_bytes(self.report.volume?.id);
        (Some(found) != self.owner).then_some(found).filter(|_| self.owner.is_some())
    }

    /// Whether every segment that it was read from is still there, so that it is what the journal held.
    ///
    /// # Errors
    /// Where that cannot be told.
    pub(super) fn is_as_read(&self) -> Result<bool, Failure> {
        let Some(storage) = &self.storage else { return Ok(true) };
        is_still_there(storage, &self.report).map_err(|error| cannot_read(&self.volume, &error))
    }

    pub(in crate::commands) fn condition(&self) -> Condition {
        if self.another_owner().is_some() {
            return Condition::AnotherVolumes;
        }
        match self.report.verdict {
            Verdict::Empty => Condition::Empty,
            Verdict::Whole => Condition::Whole,
            Verdict::TornTail { .. } => Condition::TornTail,
            Verdict::Damaged(_) => Condition::Damaged,
        }
    }

    pub(super) fn damage(&self) -> Option<Damage> {
        match self.report.verdict {
            Verdict::Damaged(damage) => Some(damage),
            _ => None,
        }
    }

    /// The volume's size; `None` where no segment tells it.
    pub(super) fn size_bytes(&self) -> Option<u64> {
        self.report.volume.map(|volume| volume.size_bytes)
    }

    /// The bytes of data that it holds.
    pub(in crate::commands) fn live_bytes(&self) -> u64 {
        let data = self.extents.iter().filter(|live| matches!(live.content, Content::Data(_)));
        data.map(|live| live.extent.length()).sum()
    }

    /// The length of its files.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.report.segments.iter().map(|segment| segment.file_bytes).sum()
    }
}

/// The name of what a live extent holds.
pub(super) const fn content_name(content: &Content) -> &'static str {
    match content {
        Content::Data(_) => "data",
        Content::Zeroes => "zeroes",
        Content::Trimmed => "trimmed",
    }
}

fn is_missing(error: &ScanError) -> bool {
    matches!(error, ScanError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

fn cannot_read(volume: &str, error: &ScanError) -> Failure {
    let failure =
        Failure::from_error(&format!("cannot read the journal of volume {volume}"), error);
    match error {
        ScanError::NewerVersion { .. } => {
            failure.with_hint("a newer hotbay wrote it; use that one")
        }
        _ => failure,
    }
}
