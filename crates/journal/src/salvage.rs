//! Getting out of a journal what is whole, even where it is damaged.

use crate::LiveExtent;
use crate::error::ScanError;
use crate::index::Index;
use crate::read::content_of;
use crate::recover::{open_segment, replayed_up_to, take_in};
use crate::scan::{ScanReport, SegmentReport, SegmentStatus};
use crate::storage::{Access, Storage};

/// What the whole records of a scanned journal hold, in ascending order of offsets; changes nothing.
///
/// For a journal that is not damaged it is what opening it would give. For a damaged one it is what can be had: records that
/// are lost leave the data of older ones, or nothing, in their place, so it is no state that the volume ever had.
///
/// # Errors
/// Where the storage cannot be read.
pub fn salvage(storage: &dyn Storage, report: &ScanReport) -> Result<Vec<LiveExtent>, ScanError> {
    let is_damaged = matches!(report.verdict, crate::Verdict::Damaged(_));
    let counts = |segment: &&SegmentReport| match segment.status {
        SegmentStatus::Needed => true,
        SegmentStatus::BehindTheEnd => is_damaged && segment.header.is_some(),
        SegmentStatus::Retired => false,
    };
    let chosen: Vec<&SegmentReport> = report.segments.iter().filter(counts).collect();
    let replayed = replayed_up_to(&chosen);
    let mut index = Index::default();
    for report in chosen {
        let segment = open_segment(storage, report, Access::Read)?;
        take_in(&mut index, report, segment, replayed);
    }
    let live = index.iter().filter_map(|(offset, entry)| {
        let extent = hotbay_block::Extent::new(offset, entry.length())?;
        let content = content_of(&index.segments.holder(entry.slot).segment, entry);
        Some(LiveExtent { extent, content, sequence: entry.sequence })
    });
    Ok(live.collect())
}
