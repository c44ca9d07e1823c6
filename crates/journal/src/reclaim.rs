//! Which segment to empty next, and what of it is still live.

use crate::error::JournalError;
use crate::format::{PAYLOAD_MAX, narrow};
use crate::index::{Holds, Index};
use crate::record::{Kind, Record, stored_bytes};
use crate::segment::{Segment, Slot, Stage};
use crate::writer::{Draft, Ground, Relocation};

/// The most bytes that one step copies, but for what one record has beyond it.
const STEP_BYTES: u64 = PAYLOAD_MAX;
/// The most records that one step looks at.
const STEP_RECORDS: usize = 16384;
/// A segment is worth emptying where that frees at least this part of it.
const GAIN_DIVISOR: u64 = 16;

/// How far one step of reclaiming has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReclaimProgress {
    /// There is nothing worth reclaiming.
    Nothing,
    /// Live extents were copied; the segment is not yet empty.
    Moved {
        /// The bytes that the copies take.
        bytes: u64,
    },
    /// Segments were deleted.
    Freed {
        /// Their length.
        bytes: u64,
    },
}

/// The least that emptying a segment has to free.
pub(crate) fn least_gain(ground: &Ground) -> u64 {
    ground.segment_bytes / GAIN_DIVISOR
}

/// Whether a sync would free segments.
pub(crate) fn has_dead(index: &Index) -> bool {
    index.segments.iter().any(|(_, state)| state.is_dead())
}

/// The full segment that frees most, of those whose live extents take at most `room` bytes elsewhere.
pub(crate) fn choose_victim(ground: &Ground, index: &Index, room: u64) -> Option<Slot> {
    let worthwhile = index.segments.iter().filter(|(_, state)| {
        state.stage == Stage::Sealed
            && state.gain() >= least_gain(ground)
            && state.live_cost <= room
    });
    worthwhile.max_by_key(|(_, state)| state.gain()).map(|(slot, _)| slot)
}

/// What a step copies, and where the next one goes on; `None` at the end of the segment.
pub(crate) struct Gathered {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) bytes: u64,
    pub(crate) position: Option<u64>,
}

/// Collects live extents of a segment. Each record's bytes are checked before they get a new checksum.
pub(crate) fn gather(
    index: &Index,
    segment: &Segment,
    relocation: Relocation,
) -> Result<Gathered, JournalError> {
    let mut gathered = Gathered { drafts: Vec::new(), bytes: 0, position: None };
    let mut position = relocation.position;
    for _ in 0..STEP_RECORDS {
        let holder = index.segments.holder(relocation.slot);
        if holder.live_extents == 0 || gathered.bytes >= STEP_BYTES {
            break;
        }
        let Some(record) = segment.record_at(position) else {
            return Ok(gathered);
        };
        gather_record(index, segment, relocation.slot, (position, &record), &mut gathered)?;
        position += record.stored_bytes();
    }
    gathered.position = Some(position);
    Ok(gathered)
}

fn gather_record(
    index: &Index,
    segment: &Segment,
    slot: Slot,
    (position, record): (u64, &Record),
    gathered: &mut Gathered,
) -> Result<(), JournalError> {
    let mut live = index
        .overlapping(record.extent())
        .filter(|(_, entry)| entry.slot == slot && entry.record() == position)
        .peekable();
    if live.peek().is_none() {
        return Ok(());
    }
    let payload = checked_payload(segment, record, position)?;
    for (extent, entry) in live {
        let draft = match entry.holds() {
            Holds::Data => {
                let start = narrow(extent.offset() - record.offset);
                Draft::write(extent.offset(), payload.slice(start..start + extent.len_in_memory()))
            }
            holds => Draft::plain(holds.kind(), extent.offset(), extent.length()),
        };
        gathered.bytes += stored_bytes(entry.data_bytes());
        gathered.drafts.push(draft);
    }
    Ok(())
}

/// The payload of a record, which is given out only where it is what was written.
pub(crate) fn checked_payload(
    segment: &Segment,
    record: &Record,
    position: u64,
) -> Result<bytes::Bytes, JournalError> {
    let payload = segment.payload_of(record, position);
    if record.kind == Kind::Write && !record.has_payload(&payload) {
        return Err(corrupt(segment, position, record.sequence));
    }
    Ok(payload)
}

pub(crate) fn corrupt(segment: &Segment, position: u64, sequence: crate::Sequence) -> JournalError {
    JournalError::Corrupt { segment: segment.number, position, sequence }
}
