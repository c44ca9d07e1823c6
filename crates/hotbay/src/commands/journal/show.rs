//! `hotbay journal show`.

use std::fmt::Write as _;
use std::path::Path;

use hotbay_journal::{Kind, RecordReport, SegmentReport, SegmentStatus};
use serde::Serialize;

use super::kept::{KeptJournal, content_name};
use super::list::Summary;
use crate::cli::JournalShowArgs;
use crate::commands::output::{self, Colours, human_size};
use crate::commands::table::{Cell, table};
use crate::failure::Failure;

/// A journal in full, for scripts.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    summary: Summary,
    segments: Vec<Segment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Vec<Live>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<Record>>,
}

#[derive(Serialize)]
struct Segment {
    number: u64,
    status: &'static str,
    records: usize,
    first_sequence: Option<u64>,
    next_sequence: Option<u64>,
    used_bytes: u64,
    file_bytes: u64,
}

#[derive(Serialize)]
struct Live {
    offset_bytes: u64,
    length_bytes: u64,
    content: &'static str,
    sequence: u64,
}

#[derive(Serialize)]
struct Record {
    segment: u64,
    position_bytes: u64,
    sequence: u64,
    kind: &'static str,
    /// For a change where on the volume, in bytes; else the sequence or segment that it speaks of.
    offset: u64,
    length_bytes: u64,
}

/// Shows the segments of a journal, and what was asked for besides.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn run(state: &Path, arguments: &JournalShowArgs) -> Result<(), Failure> {
    let journal = KeptJournal::read(state, &arguments.volume.to_string())?;
    let shown = Shown {
        summary: Summary::from(&journal),
        segments: journal.report.segments.iter().map(segment).collect(),
        live: arguments.extents.then(|| live(&journal)),
        records: arguments.records.then(|| records(&journal)),
    };
    match arguments.json {
        true => output::print_json(&shown),
        false => output::print(&describe(&journal, &shown, Colours::of_output())),
    }
}

fn segment(report: &SegmentReport) -> Segment {
    Segment {
        number: report.number,
        status: match report.status {
            SegmentStatus::Needed => "needed",
            SegmentStatus::Retired => "retired",
            SegmentStatus::BehindTheEnd => "behind the end",
        },
        records: report.records.len(),
        first_sequence: report.first_sequence().map(|sequence| sequence.get()),
        next_sequence: report.next_sequence().map(|sequence| sequence.get()),
        used_bytes: report.end,
        file_bytes: report.file_bytes,
    }
}

fn live(journal: &KeptJournal) -> Vec<Live> {
    let live = journal.extents.iter().map(|live| Live {
        offset_bytes: live.extent.offset(),
        length_bytes: live.extent.length(),
        content: content_name(&live.content),
        sequence: live.sequence.get(),
    });
    live.collect()
}

fn records(journal: &KeptJournal) -> Vec<Record> {
    let of_segment = |segment: &SegmentReport| {
        let number = segment.number;
        segment.records.iter().map(move |record| shown_record(number, record)).collect::<Vec<_>>()
    };
    journal.report.segments.iter().flat_map(of_segment).collect()
}

fn shown_record(segment: u64, record: &RecordReport) -> Record {
    Record {
        segment,
        position_bytes: record.position,
        sequence: record.sequence.get(),
        kind: match record.kind {
            Kind::Write => "write",
            Kind::Zeroes => "zeroes",
            Kind::Trim => "trim",
            Kind::Barrier => "barrier",
            Kind::Replayed => "replayed",
            Kind::Retired => "retired",
        },
        offset: record.offset,
        length_bytes: record.length,
    }
}

fn describe(journal: &KeptJournal, shown: &Shown, colours: Colours) -> String {
    let mut text = format!(
        "the journal of volume {} is {}: {} in {} extents, {} on disk\n",
        journal.volume,
        journal.condition().name(),
        human_size(shown.summary.live_bytes),
        shown.summary.extents,
        human_size(shown.summary.disk_bytes),
    );
    if let Some(damage) = journal.damage() {
        let _ = writeln!(text, "{damage}");
    }
    if !shown.segments.is_empty() {
        let _ = write!(text, "\n{}", segments_table(&shown.segments, colours));
    }
    if let Some(live) = &shown.live {
        let _ = write!(text, "\n{}", live_table(live, colours));
    }
    if let Some(records) = &shown.records {
        let _ = write!(text, "\n{}", records_table(records, colours));
    }
    text
}

fn segments_table(segments: &[Segment], colours: Colours) -> String {
    let rows = segments.iter().map(|segment| {
        [
            segment.number.to_string().into(),
            segment.status.into(),
            segment.records.to_string().into(),
            Cell::or_dash(segment.first_sequence),
            Cell::or_dash(segment.next_sequence),
            human_size(segment.used_bytes).into(),
            human_size(segment.file_bytes).into(),
        ]
    });
    let headings = ["SEGMENT", "STATUS", "RECORDS", "FROM", "UP TO", "USED", "FILE"];
    table(headings, rows.collect(), colours)
}

fn live_table(live: &[Live], colours: Colours) -> String {
    let rows = live.iter().map(|live| {
        [
            live.offset_bytes.to_string().into(),
            live.length_bytes.to_string().into(),
            live.content.into(),
            live.sequence.to_string().into(),
        ]
    });
    table(["OFFSET", "BYTES", "CONTENT", "RECORD"], rows.collect(), colours)
}

fn records_table(records: &[Record], colours: Colours) -> String {
    let rows = records.iter().map(|record| {
        [
            record.sequence.to_string().into(),
            record.segment.to_string().into(),
            record.position_bytes.to_string().into(),
            record.kind.into(),
            record.offset.to_string().into(),
            record.length_bytes.to_string().into(),
        ]
    });
    table(["RECORD", "SEGMENT", "AT BYTE", "KIND", "OFFSET", "BYTES"], rows.collect(), colours)
}
