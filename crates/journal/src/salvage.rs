//! Getting out of a journal what is whole, even where it is damaged.

use std::collections::BTreeSet;

use crate::LiveExtent;
use crate::error::ScanError;
use crate::index::Index;
use crate::read::content_of;
use crate::recover::{open_segment, replayed_up_to, take_in};
use crate::scan::{ScanReport, SegmentReport, SegmentStatus, Verdict, records_from};
use crate::segment::number_of;
use crate::storage::{Access, Storage};

/// What the whole records of a scanned journal hold, in ascending order of offsets; changes nothing.
///
/// For a journal that is not damaged it is what opening it would give. For a damaged one it is what can be had: records that
/// are lost leave the data of older ones, or nothing, in their place, so it is no state that the volume ever had.
///
/// # Errors
/// Where the storage cannot be read.
pub fn salvage(storage: &dyn Storage, report: &ScanReport) -> Result<Vec<LiveExtent>, ScanError> {
    let is_damaged = matches!(report.verdict, Verdict::Damaged(_));
    let chosen: Vec<&SegmentReport> = salvaged(report).collect();
    let replayed = replayed_up_to(&chosen);
    let mut index = Index::default();
    for report in chosen {
        let segment = open_segment(storage, report, Access::Read)?;
        let mut report = report.clone();
        if let Some(header) = report.header.as_ref().filter(|_| is_damaged) {
            let bytes = segment.file.view(0, segment.file.len());
            report.records.extend(records_from(&bytes, report.end, header));
        }
        take_in(&mut index, &report, segment, replayed);
    }
    let live = index.iter().filter_map(|(offset, entry)| {
        let extent = hotbay_block::Extent::new(offset, entry.length())?;
        let content = content_of(&index.segments.holder(entry.slot).segment, entry);
        Some(LiveExtent { extent, content, sequence: entry.sequence })
    });
    Ok(live.collect())
}

/// Whether every segment that [`salvage`] reads is still there. As long as it is, what a reader beside the journal's
/// writer has seen of it is what it holds: a segment is only appended to until it loses its name.
///
/// # Errors
/// Where the storage cannot be read.
pub fn is_still_there(storage: &dyn Storage, report: &ScanReport) -> Result<bool, ScanError> {
    let names = storage.list();
    let names = names.map_err(|source| ScanError::Io { name: "the directory".into(), source })?;
    let there: BTreeSet<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    Ok(salvaged(report).all(|segment| there.contains(&segment.number)))
}

/// The segments whose whole records count. Where flushed data is damaged that is every one which says how to read it: one that
/// was retired, or has lost its inventory with its header, may be all that is left of what was written.
fn salvaged(report: &ScanReport) -> impl Iterator<Item = &SegmentReport> {
    let is_damaged = matches!(report.verdict, Verdict::Damaged(_));
    let with_header = report.segments.iter().filter(|segment| segment.header.is_some());
    with_header.filter(move |segment| is_damaged || segment.status == SegmentStatus::Needed)
}
