//! Emptying segments that hold little that is live.

use std::sync::Arc;

use crate::Journal;
use crate::draft::Draft;
use crate::error::JournalError;
use crate::format::{PAYLOAD_MAX, narrow};
use crate::index::{Holds, Index};
use crate::record::{Kind, Record, stored_bytes};
use crate::segment::{Segment, Slot, Stage};
use crate::writer::{Ground, Purpose, Relocation, Writer, segments_below_limit};

/// The most bytes that one step copies, but for what one record has beyond it.
const STEP_BYTES: u64 = PAYLOAD_MAX;
/// The most records that one step looks at.
const STEP_RECORDS: usize = 16384;
/// When free space is so low that live extents should be moved: fewer whole segments below the limit than this.
const LOW_SEGMENTS: u64 = 3;
/// Where less than this part of the limit is free, segments that nobody needs should go: in time, so that nobody waits for the
/// sync that this takes.
const SPARE_DIVISOR: u64 = 4;
/// So large a part of the limit has to be gained by one sync.
const WORTH_A_SYNC_DIVISOR: u64 = 16;
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
    /// A segment was deleted, or is known now not to be needed.
    Freed {
        /// The length of what was deleted; 0 where that is still to come.
        bytes: u64,
    },
}

/// The least that emptying a segment has to free.
fn least_gain(ground: &Ground) -> u64 {
    ground.segment_bytes / GAIN_DIVISOR
}

/// The bytes of segments that nobody needs, or will after a sync.
fn dead_bytes(index: &Index) -> u64 {
    let dead = index.segments.iter().filter(|(_, state)| state.is_dead() || state.is_left_over());
    dead.map(|(_, state)| state.segment.length).sum()
}

/// Whether a sync frees segments.
pub(crate) fn has_dead(index: &Index) -> bool {
    dead_bytes(index) > 0
}

/// Whether so many segments have become free to go that it is time for them.
fn has_many_dead(ground: &Ground, index: &Index) -> bool {
    let limit = ground.limit_bytes;
    let free = limit.saturating_sub(index.segments.disk_bytes());
    free < limit / SPARE_DIVISOR && dead_bytes(index) >= limit / WORTH_A_SYNC_DIVISOR
}

/// The full segment that frees most, of those whose live extents take at most `room` bytes elsewhere.
fn choose_victim(ground: &Ground, index: &Index, room: u64) -> Option<Slot> {
    let worthwhile = index.segments.iter().filter(|(_, state)| {
        state.stage == Stage::Sealed
            && state.gain() >= least_gain(ground)
            && state.live_cost <= room
    });
    worthwhile.max_by_key(|(_, state)| state.gain()).map(|(slot, _)| slot)
}

impl Journal {
    /// Frees some space: deletes one segment that is durably known not to be needed, or makes that durable of those in which nothing is
    /// live, or copies about 1 MiB of live extents out of the one that frees most. Copies are durable before the segment that
    /// held them is deleted. Blocks for the deletion of one file, and where there is none to delete for a copy or for a sync.
    ///
    /// # Errors
    /// As [`sync`](Self::sync); [`JournalError::Corrupt`] where what would be copied is damaged.
    pub fn reclaim_step(&self) -> Result<ReclaimProgress, JournalError> {
        self.check_failure()?;
        let bytes = self.delete_one_known()?;
        if bytes > 0 {
            return Ok(ReclaimProgress::Freed { bytes });
        }
        let _upkeep = self.upkeep.lock();
        if !has_dead(&self.index.read()) {
            match self.relocate_some()? {
                ReclaimProgress::Freed { .. } => {}
                other => return Ok(other),
            }
        }
        let _turn = self.syncing.lock();
        let bytes = self.sync_in_turn()?;
        Ok(ReclaimProgress::Freed { bytes })
    }

    /// Whether [`reclaim_step`](Self::reclaim_step) should be called: space is low, or an append needs it, and
    /// there is something to free; or much is free to go before space is that low; or it is durably known of some
    /// segment that it is not needed.
    #[must_use]
    pub fn wants_reclaim(&self) -> bool {
        self.would_reclaim(&self.writer.lock())
    }

    /// The same for one who asks now and then and cannot wait: false while somebody appends, who may be waiting for the
    /// storage.
    #[must_use]
    pub fn may_want_reclaim(&self) -> bool {
        self.writer.try_lock().is_some_and(|writer| self.would_reclaim(&writer))
    }

    fn would_reclaim(&self, writer: &Writer) -> bool {
        let (is_low, has_many_dead) = {
            let index = self.index.read();
            let left = segments_below_limit(&self.ground, &index);
            (left < LOW_SEGMENTS, has_many_dead(&self.ground, &index))
        };
        has_many_dead
            || self.next_to_delete(writer.synced).is_some()
            || (is_low || writer.is_wanting) && self.can_reclaim(writer)
    }

    fn can_reclaim(&self, writer: &Writer) -> bool {
        let index = self.index.read();
        let room = writer.room_for_relocation(&self.ground, &index);
        writer.relocation.is_some()
            || has_dead(&index)
            || choose_victim(&self.ground, &index, room).is_some()
    }

    /// Whether reclaiming may make room for records of `needed` bytes.
    pub(crate) fn can_reclaim_for(&self, writer: &Writer, needed: u64) -> bool {
        let live_cost: u64 = {
            let index = self.index.read();
            index.segments.iter().map(|(_, state)| state.live_cost).sum()
        };
        let most = self.ground.limit_bytes.saturating_sub(self.ground.segment_bytes);
        live_cost.saturating_add(needed) <= most && self.can_reclaim(writer)
    }

    /// Copies what one step may; `Freed` says that the segment is empty now, to be deleted by a sync.
    fn relocate_some(&self) -> Result<ReclaimProgress, JournalError> {
        let mut writer = self.writer.lock();
        let Some(relocation) = self.current_relocation(&writer) else {
            writer.relocation = None;
            return Ok(ReclaimProgress::Nothing);
        };
        let gathered = {
            let index = self.index.read();
            let segment = Arc::clone(&index.segments.holder(relocation.slot).segment);
            gather(&index, &segment, relocation)?
        };
        let (drafts, bytes) = (gathered.drafts, gathered.bytes);
        writer
            .append(&self.ground, &self.index, drafts, Purpose::Relocation)
            .map_err(|error| self.fail(error))?;
        let is_empty = self.index.read().segments.holder(relocation.slot).is_dead();
        writer.relocation = match gathered.position {
            Some(position) if !is_empty => Some(Relocation { position, ..relocation }),
            _ => None,
        };
        Ok(if is_empty {
            ReclaimProgress::Freed { bytes: 0 }
        } else {
            ReclaimProgress::Moved { bytes }
        })
    }

    /// The relocation under way, unless its segment went meanwhile, or a new one.
    fn current_relocation(&self, writer: &Writer) -> Option<Relocation> {
        let index = self.index.read();
        let room = writer.room_for_relocation(&self.ground, &index);
        let under_way = writer.relocation.filter(|relocation| {
            let state = index.segments.get(relocation.slot);
            state.is_some_and(|state| {
                state.segment.number == relocation.segment
                    && state.stage == Stage::Sealed
                    && state.live_cost <= room
            })
        });
        under_way.or_else(|| {
            let slot = choose_victim(&self.ground, &index, room)?;
            let segment = &index.segments.holder(slot).segment;
            Some(Relocation { slot, segment: segment.number, position: segment.records_at })
        })
    }
}

/// What a step copies, and where the next one goes on; `None` at the end of the segment.
struct Gathered {
    drafts: Vec<Draft>,
    bytes: u64,
    position: Option<u64>,
}

/// Collects live extents of a segment. Each record's bytes are checked before they get a new checksum.
fn gather(
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
