//! Making what a scan found the state of an open journal.
//!
//! The order is what makes it safe to be interrupted anywhere: everything that is going to be relied upon is durable
//! before the scan ([`Storage::settle`]), then bytes behind the end are erased, then files that are not needed are
//! deleted. Each state in between is scanned to the same end.
//!
//! Stale bytes behind the end must never be read again. They are not stepped over with a new segment but erased, and
//! the segment is used on: so a crash loop costs no space, and the limit holds without room kept for it.

use std::io;
use std::sync::Arc;

use crate::error::{OpenError, ScanError};
use crate::format::RECORD_BYTES;
use crate::index::{Entry, Holds, Index};
use crate::record::{Kind, Seed};
use crate::scan::{ScanReport, SegmentReport, SegmentStatus, Verdict};
use crate::segment::{Segment, SegmentState, Slot, Stage, name_of};
use crate::storage::{Access, Storage};
use crate::{Sequence, Usage};

/// What opening a journal found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How the log ended.
    pub outcome: RecoveryOutcome,
    /// Segment files deleted: those behind the end and those retired before.
    pub segments_removed: u64,
    /// Whole records read.
    pub records: u64,
    /// What the journal holds.
    pub usage: Usage,
}

/// How the log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryOutcome {
    /// There was none; it has been begun.
    Created,
    /// As it was left.
    Whole,
    /// In records that were never flushed and were cut off.
    TornTail {
        /// The segment in which the log ended.
        segment: u64,
        /// The byte at which it was cut.
        position: u64,
        /// The sequence that the first lost record had.
        sequence: Sequence,
    },
}

/// The log as recovered, ready to be appended to.
pub(crate) struct Recovered {
    pub(crate) outcome: RecoveryOutcome,
    pub(crate) index: Index,
    /// The newest segment; `None` where the log is still to be begun.
    pub(crate) active: Option<(Slot, Arc<Segment>, u64)>,
    pub(crate) next_sequence: Sequence,
    pub(crate) next_number: u64,
    pub(crate) replayed: Sequence,
    pub(crate) segments_removed: u64,
    pub(crate) records: u64,
}

/// Applies the report of a scan whose volume was right.
pub(crate) fn recover(storage: &dyn Storage, report: &ScanReport) -> Result<Recovered, OpenError> {
    let outcome = match report.verdict {
        Verdict::Damaged(damage) => return Err(damage.into()),
        Verdict::Empty => RecoveryOutcome::Created,
        Verdict::Whole => RecoveryOutcome::Whole,
        Verdict::TornTail { segment, position, sequence } => {
            RecoveryOutcome::TornTail { segment, position, sequence }
        }
    };
    let needed: Vec<&SegmentReport> =
        report.segments.iter().filter(|s| s.status == SegmentStatus::Needed).collect();
    let segments = open_needed(storage, &needed)?;
    erase_tail(&needed, &segments)?;
    let segments_removed = remove_others(storage, report)?;

    let replayed = replayed_up_to(&needed);
    let mut index = Index::default();
    let mut active = None;
    for (report, segment) in needed.iter().zip(segments) {
        active = Some(take_in(&mut index, report, segment, replayed));
    }
    if let Some((slot, ..)) = active {
        index.segments.holder_mut(slot).stage = Stage::Active;
    }
    let last = needed.last();
    Ok(Recovered {
        outcome,
        index,
        active,
        next_sequence: last.and_then(|s| s.next_sequence()).unwrap_or(Sequence::FIRST),
        next_number: report.segments.last().map_or(1, |newest| newest.number.saturating_add(1)),
        replayed,
        segments_removed,
        records: needed.iter().map(|s| crate::format::wide(s.records.len())).sum(),
    })
}

fn io_error(action: &'static str, number: u64) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Io { action: format!("{action} segment {number}"), source }
}

fn directory_error(source: io::Error) -> OpenError {
    OpenError::Io { action: "sync the directory".into(), source }
}

fn open_needed(
    storage: &dyn Storage,
    needed: &[&SegmentReport],
) -> Result<Vec<Segment>, ScanError> {
    needed.iter().map(|report| open_segment(storage, report, Access::Write)).collect()
}

/// Opens a segment whose header is whole.
pub(crate) fn open_segment(
    storage: &dyn Storage,
    report: &SegmentReport,
    access: Access,
) -> Result<Segment, ScanError> {
    let (number, name) = (report.number, name_of(report.number));
    let file = match storage.open(&name, access) {
        Ok(file) => file,
        Err(source) => return Err(ScanError::Io { name, source }),
    };
    let header = report.header.as_ref().expect("a segment that counts has a header");
    Ok(Segment {
        number,
        length: file.len().min(header.length),
        first: header.first,
        records_at: header.bytes(),
        seed: Seed::of(&header.volume.id, number),
        file,
    })
}

fn erase_tail(needed: &[&SegmentReport], segments: &[Segment]) -> Result<(), OpenError> {
    match (needed.last(), segments.last()) {
        (Some(report), Some(segment)) if report.has_stale_tail => {
            segment.file.erase_from(report.end).map_err(io_error("cut", segment.number))
        }
        _ => Ok(()),
    }
}

fn remove_others(storage: &dyn Storage, report: &ScanReport) -> Result<u64, OpenError> {
    let mut removed = 0;
    for other in report.segments.iter().filter(|s| s.status != SegmentStatus::Needed) {
        let number = other.number;
        storage.remove(&name_of(number)).map_err(io_error("delete", number))?;
        removed += 1;
    }
    if removed > 0 {
        storage.sync_directory().map_err(directory_error)?;
    }
    Ok(removed)
}

pub(crate) fn replayed_up_to(needed: &[&SegmentReport]) -> Sequence {
    let headers = needed.iter().filter_map(|s| s.header.as_ref()).map(|header| header.replayed);
    let records = needed.iter().flat_map(|s| &s.records).filter(|r| r.kind == Kind::Replayed);
    headers.chain(records.map(|r| Sequence::new(r.offset))).max().unwrap_or_default()
}

/// Notes a segment and all of its changes that are still to be replayed.
pub(crate) fn take_in(
    index: &mut Index,
    report: &SegmentReport,
    segment: Segment,
    replayed: Sequence,
) -> (Slot, Arc<Segment>, u64) {
    let segment = Arc::new(Segment { length: segment.length.min(segment.file.len()), ..segment });
    let slot = index.segments.add(SegmentState {
        segment: Arc::clone(&segment),
        next: report.next_sequence().unwrap_or(segment.first),
        stage: Stage::Sealed,
        live_extents: 0,
        live_cost: 0,
    });
    let mut newest = Sequence::ZERO;
    for record in &report.records {
        let Some(holds) = Holds::after(record.kind) else { continue };
        newest = record.sequence;
        if record.sequence > replayed && record.length > 0 {
            let place = (record.position, record.position + RECORD_BYTES);
            let entry = Entry::new(holds, record.sequence, record.length, slot, place);
            index.insert(record.offset, entry);
        }
    }
    index.head = index.head.max(newest);
    (slot, segment, report.end)
}
