//! Appending: which segment a record goes to, and one vectored write for all that go to the same.
//!
//! Space is handed out by purpose, so that freeing space never fails for want of it:
//!
//! * The last `CONTROL_BYTES` of each segment are for control records alone (`replayed`, `retired`).
//! * A change leaves room below the limit for one whole further segment. Relocation may take it: what it moves fits
//!   in there, and its end gives back more than it took.

use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::Sequence;
use crate::draft::{Draft, part_that_fits};
use crate::error::is_storage_full;
use crate::format::{
    ALIGNMENT, CONTROL_BYTES, RECORD_BYTES, SPLIT_BYTES, SegmentHeader, VolumeStamp, narrow,
    record, wide,
};
use crate::index::{Entry, Holds, Index};
use crate::record::{Kind, Record, Seed};
use crate::segment::{Segment, SegmentState, Slot, Stage, name_of};
use crate::storage::{SegmentFile, Storage};

/// How far zeroes are written ahead of small records.
const AHEAD_BYTES: u64 = 256 << 10;
/// What is appended between two syncs is small up to this.
const AHEAD_OF_MAX: u64 = 32 << 10;

/// What a journal stands on; never changes while it is open.
pub(crate) struct Ground {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) volume: VolumeStamp,
    pub(crate) limit_bytes: u64,
    pub(crate) segment_bytes: u64,
}

/// What records are appended for: which room they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A change to the volume.
    Change,
    /// A copy of what is live, to free the place where it was.
    Relocation,
    /// What frees space.
    Control,
}

impl Purpose {
    /// The bytes at the end of a segment that stay free.
    fn kept_free(self) -> u64 {
        match self {
            Self::Change | Self::Relocation => CONTROL_BYTES,
            Self::Control => 0,
        }
    }

    /// The whole segments below the limit that stay free.
    fn segments_kept_free(self) -> u64 {
        match self {
            Self::Change => 1,
            Self::Relocation | Self::Control => 0,
        }
    }
}

/// Why records were not appended.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// They would pass the limit. Nothing was written.
    Full,
    /// There is no room for a new segment. Nothing was written.
    StorageFull(io::Error),
    /// A write failed; anything may have been written.
    Io { action: String, source: io::Error },
}

/// Records for one segment.
struct Run {
    target: Target,
    drafts: Vec<Draft>,
    room: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Active,
    New,
}

/// The file of a segment that is not begun yet, and its number.
type CreatedFile = (u64, Box<dyn SegmentFile>);

/// Copying the live extents out of a segment, as far as it has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relocation {
    pub(crate) slot: Slot,
    /// Its number, since a slot may hold another segment later.
    pub(crate) segment: u64,
    /// The next record to look at.
    pub(crate) position: u64,
}

/// The end of the log. One at a time appends.
pub(crate) struct Writer {
    slot: Slot,
    active: Arc<Segment>,
    position: u64,
    /// How much of the active segment's file has been written, be it with zeroes.
    written_to: u64,
    /// The bytes of records since the last sync began.
    appended_bytes: u64,
    pub(crate) next_sequence: Sequence,
    next_number: u64,
    /// Segments with bytes that no sync has covered.
    unsynced: Vec<Arc<Segment>>,
    directory_unsynced: bool,
    /// Whether a segment was begun since the last sync.
    segment_begun: bool,
    /// All changes up to this one are on the medium.
    pub(crate) replayed: Sequence,
    /// What the newest barrier says.
    barrier: Sequence,
    /// All records up to this one are known to be synced.
    pub(crate) synced: Sequence,
    /// The newest record that is not a barrier.
    pub(crate) newest_to_sync: Sequence,
    /// The segment before the active one, and where it ends, until a barrier in it says that the active one was synced.
    predecessor: Option<(Arc<Segment>, u64)>,
    pub(crate) relocation: Option<Relocation>,
    /// A change was refused that reclaiming may make room for.
    pub(crate) is_wanting: bool,
}

/// What a sync has to bring to stable storage.
pub(crate) struct Unsynced {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) directory: bool,
    /// Whether one of the segments is new.
    pub(crate) segment_begun: bool,
    /// The newest segment.
    pub(crate) newest: u64,
    /// The newest record that it covers.
    pub(crate) covered: Sequence,
}

/// Where the log goes on.
pub(crate) struct LogEnd {
    pub(crate) next_sequence: Sequence,
    pub(crate) next_number: u64,
    pub(crate) replayed: Sequence,
}

impl Writer {
    /// Goes on in a segment that recovery has found, all of which is synced.
    pub(crate) fn resume(end: LogEnd, slot: Slot, active: Arc<Segment>, position: u64) -> Self {
        let newest = end.next_sequence.previous();
        Self {
            slot,
            active,
            position,
            written_to: position,
            appended_bytes: 0,
            next_sequence: end.next_sequence,
            next_number: end.next_number,
            unsynced: Vec::new(),
            directory_unsynced: false,
            segment_begun: false,
            replayed: end.replayed,
            barrier: Sequence::ZERO,
            synced: newest,
            newest_to_sync: newest,
            predecessor: None,
            relocation: None,
            is_wanting: false,
        }
    }

    /// Begins a log with its first segment.
    pub(crate) fn begin(
        ground: &Ground,
        index: &mut Index,
        end: LogEnd,
    ) -> Result<Self, WriteError> {
        let file = create_file(ground, end.next_number)?;
        let header = header_of(ground, index, &end, Sequence::ZERO);
        let active = segment_of(&header, file);
        write(&active, &[IoSlice::new(&header.encode())], 0)?;
        let slot = index.segments.add(fresh_state(&active));
        let position = active.records_at;
        let next_number = end.next_number.saturating_add(1);
        let mut writer = Self::resume(LogEnd { next_number, ..end }, slot, active, position);
        writer.note_unsynced(&Arc::clone(&writer.active));
        writer.directory_unsynced = true;
        writer.segment_begun = true;
        Ok(writer)
    }

    /// Appends all drafts, or none unless the error is `Io`. The index has them when it returns.
    pub(crate) fn append(
        &mut self,
        ground: &Ground,
        index: &RwLock<Index>,
        drafts: Vec<Draft>,
        purpose: Purpose,
    ) -> Result<(), WriteError> {
        let runs = self.plan(ground, &index.read(), drafts, purpose);
        let created = runs.iter().filter(|run| run.target == Target::New).count();
        self.check_room(ground, &index.read(), wide(created), purpose)?;
        let mut files = self.create_files(ground, created)?.into_iter();
        let (mut entries, mut full) = (Vec::new(), Vec::new());
        for run in runs {
            let header = match run.target {
                Target::Active => Vec::new(),
                Target::New => {
                    let (number, file) = files.next().expect("a file was created for each");
                    full.push(self.slot);
                    self.begin_segment(ground, &mut index.write(), number, file)
                }
            };
            self.write_run(&header, &run.drafts, &mut entries)?;
        }
        self.newest_to_sync = self.next_sequence.previous();
        let mut index = index.write();
        entries.into_iter().for_each(|(offset, entry)| index.insert(offset, entry));
        // Together with what is in them: a full segment in which nothing is live is taken for dead.
        full.into_iter().for_each(|slot| index.segments.holder_mut(slot).stage = Stage::Sealed);
        Ok(())
    }

    /// Notes that all up to `covered` is synced, for a later scan to know it. Skipped where the segment has no room.
    pub(crate) fn append_barrier(&mut self, covered: Sequence) -> Result<(), WriteError> {
        if covered >= self.active.first
            && let Some((segment, end)) = self.predecessor.take()
        {
            self.leave_barrier(&segment, end, covered)?;
        }
        let end = self.position + RECORD_BYTES + CONTROL_BYTES / 2;
        if covered <= self.barrier || end > self.active.length {
            return Ok(());
        }
        let draft = Draft::plain(Kind::Barrier, covered.get(), 0);
        self.write_run(&[], &[draft], &mut Vec::new())?;
        self.barrier = covered;
        Ok(())
    }

    /// Writes a barrier behind the last record of a full segment, which is how a scan finds that the one after it is
    /// missing. It has no place in the history, so its sequence is that of no record.
    fn leave_barrier(
        &mut self,
        segment: &Arc<Segment>,
        end: u64,
        covered: Sequence,
    ) -> Result<(), WriteError> {
        if end + RECORD_BYTES > segment.length {
            return Ok(());
        }
        let record = Record {
            kind: Kind::Barrier,
            sequence: Sequence::ZERO,
            offset: covered.get(),
            length: 0,
            payload_crc: 0,
        };
        write(segment, &[IoSlice::new(&record.encode(segment.seed, end))], end)?;
        self.note_unsynced(segment);
        Ok(())
    }

    /// Hands over what is to be synced. Where that then fails the journal has failed: it is not handed out again.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        self.write_ahead();
        Unsynced {
            segments: std::mem::take(&mut self.unsynced),
            directory: std::mem::take(&mut self.directory_unsynced),
            segment_begun: std::mem::take(&mut self.segment_begun),
            newest: self.active.number,
            covered: self.next_sequence.previous(),
        }
    }

    /// Has zeroes written over what comes next, to be synced along with what was appended, so that the syncs after
    /// it find blocks that are written already. Only where little was appended since the last sync, since the
    /// same appended again would reach what was never written; of large appends the sync is the lesser part.
    fn write_ahead(&mut self) {
        let appended = std::mem::take(&mut self.appended_bytes);
        let is_ahead = self.position + appended <= self.written_to;
        if appended == 0 || appended > AHEAD_OF_MAX || is_ahead {
            return;
        }
        let from = self.position.max(self.written_to);
        let to =
            (self.position + AHEAD_BYTES).next_multiple_of(SPLIT_BYTES).min(self.active.length);
        if from < to {
            self.active.file.prepare(from, to - from);
            self.written_to = to;
        }
    }

    /// The number of the segment that is appended to.
    pub(crate) fn newest_number(&self) -> u64 {
        self.active.number
    }

    /// Notes that a segment's file was deleted. Its space is free once nobody has it open.
    pub(crate) fn note_removal(&mut self, number: u64) {
        self.directory_unsynced = true;
        self.unsynced.retain(|segment| segment.number != number);
        self.predecessor.take_if(|(segment, _)| segment.number == number);
    }

    /// The bytes that relocated records may still take.
    pub(crate) fn room_for_relocation(&self, ground: &Ground, index: &Index) -> u64 {
        let count = index.segments.inventory_len().saturating_add(1);
        let fresh = room_in(ground.segment_bytes, SegmentHeader::bytes_with(count), CONTROL_BYTES);
        let active = room_in(self.active.length, self.position, CONTROL_BYTES);
        active.saturating_add(fresh.saturating_mul(segments_below_limit(ground, index)))
    }

    fn plan(
        &self,
        ground: &Ground,
        index: &Index,
        drafts: Vec<Draft>,
        purpose: Purpose,
    ) -> Vec<Run> {
        let kept_free = purpose.kept_free();
        let mut inventory = None;
        let room = room_in(self.active.length, self.position, kept_free);
        let mut run = Run { target: Target::Active, drafts: Vec::new(), room };
        let mut runs = Vec::new();
        for mut draft in drafts {
            while draft.stored_bytes() > run.room {
                if let Some(part) = part_that_fits(&draft, run.room) {
                    let (first, rest) = draft.split(part);
                    run.drafts.push(first);
                    draft = rest;
                }
                let before = inventory.unwrap_or_else(|| index.segments.inventory_len());
                inventory = Some(before.saturating_add(1));
                let begin = SegmentHeader::bytes_with(before);
                let room = room_in(ground.segment_bytes, begin, kept_free);
                let next = Run { target: Target::New, drafts: Vec::new(), room };
                runs.push(std::mem::replace(&mut run, next));
            }
            run.room -= draft.stored_bytes();
            run.drafts.push(draft);
        }
        runs.push(run);
        runs
    }

    fn check_room(
        &self,
        ground: &Ground,
        index: &Index,
        created: u64,
        purpose: Purpose,
    ) -> Result<(), WriteError> {
        let needed = created.saturating_add(purpose.segments_kept_free());
        if needed > segments_below_limit(ground, index) { Err(WriteError::Full) } else { Ok(()) }
    }

    /// Creates files before anything is written, so that a full file system leaves nothing half done.
    fn create_files(
        &mut self,
        ground: &Ground,
        count: usize,
    ) -> Result<Vec<CreatedFile>, WriteError> {
        let mut files = Vec::new();
        for _ in 0..count {
            let number = self.next_number;
            self.next_number = number.saturating_add(1);
            match create_file(ground, number) {
                Ok(file) => files.push((number, file)),
                Err(error) => {
                    // What stays behind has no header and is deleted by the next recovery.
                    for (number, _) in &files {
                        let _ = ground.storage.remove(&name_of(*number));
                    }
                    return Err(error);
                }
            }
        }
        Ok(files)
    }

    /// How many records without bytes fit in the active segment, to its very end.
    pub(crate) fn control_records_that_fit(&self) -> usize {
        narrow(room_in(self.active.length, self.position, 0) / RECORD_BYTES)
    }

    /// Makes a new segment the active one; the one before it is full, which is to be noted when what is in it is in the index.
    /// Gives its header, to be written with its first records.
    fn begin_segment(
        &mut self,
        ground: &Ground,
        index: &mut Index,
        number: u64,
        file: Box<dyn SegmentFile>,
    ) -> Vec<u8> {
        index.segments.holder_mut(self.slot).next = self.next_sequence;
        let end = LogEnd {
            next_sequence: self.next_sequence,
            next_number: number,
            replayed: self.replayed,
        };
        let header = header_of(ground, index, &end, self.synced);
        let active = segment_of(&header, file);
        self.predecessor = Some((std::mem::replace(&mut self.active, active), self.position));
        self.slot = index.segments.add(fresh_state(&self.active));
        (self.position, self.written_to) = (0, 0);
        self.directory_unsynced = true;
        self.segment_begun = true;
        header.encode()
    }

    /// Writes records at the end of the active segment, behind its header where that is new.
    fn write_run(
        &mut self,
        header: &[u8],
        drafts: &[Draft],
        entries: &mut Vec<(u64, Entry)>,
    ) -> Result<(), WriteError> {
        let begin = self.position;
        let mut position = begin + wide(header.len());
        let mut headers = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let record = Record {
                kind: draft.kind,
                sequence: self.next_sequence,
                offset: draft.offset,
                length: draft.length,
                payload_crc: draft.payload_crc,
            };
            headers.push(record.encode(self.active.seed, position));
            if let Some(holds) = Holds::after(draft.kind) {
                let place = (position, position + RECORD_BYTES);
                let entry = Entry::new(holds, record.sequence, draft.length, self.slot, place);
                entries.push((draft.offset, entry));
            }
            self.next_sequence = self.next_sequence.next();
            position += draft.stored_bytes();
        }
        self.note_unsynced(&Arc::clone(&self.active));
        self.position = position;
        self.appended_bytes += position - begin;
        self.written_to = self.written_to.max(position);
        write(&self.active, &slices_of(header, &headers, drafts), begin)
    }

    fn note_unsynced(&mut self, segment: &Arc<Segment>) {
        if !self.unsynced.iter().any(|noted| noted.number == segment.number) {
            self.unsynced.push(Arc::clone(segment));
        }
    }
}

/// The bytes of a segment that records may take from `position` on.
fn room_in(length: u64, position: u64, kept_free: u64) -> u64 {
    length.saturating_sub(position).saturating_sub(kept_free)
}

/// How many more segments the limit allows.
pub(crate) fn segments_below_limit(ground: &Ground, index: &Index) -> u64 {
    ground.limit_bytes.saturating_sub(index.segments.disk_bytes()) / ground.segment_bytes
}

fn create_file(ground: &Ground, number: u64) -> Result<Box<dyn SegmentFile>, WriteError> {
    ground.storage.create(&name_of(number), ground.segment_bytes).map_err(|source| {
        if is_storage_full(&source) {
            return WriteError::StorageFull(source);
        }
        WriteError::Io { action: format!("create segment {number}"), source }
    })
}

fn header_of(ground: &Ground, index: &Index, end: &LogEnd, synced: Sequence) -> SegmentHeader {
    SegmentHeader {
        volume: ground.volume,
        number: end.next_number,
        length: ground.segment_bytes,
        first: end.next_sequence,
        synced,
        replayed: end.replayed,
        inventory: index.segments.inventory(),
    }
}

fn segment_of(header: &SegmentHeader, file: Box<dyn SegmentFile>) -> Arc<Segment> {
    Arc::new(Segment {
        number: header.number,
        length: header.length,
        first: header.first,
        records_at: header.bytes(),
        seed: Seed::of(&header.volume.id, header.number),
        file,
    })
}

fn fresh_state(segment: &Arc<Segment>) -> SegmentState {
    SegmentState {
        segment: Arc::clone(segment),
        next: segment.first,
        stage: Stage::Active,
        live_extents: 0,
        live_cost: 0,
    }
}

/// Header and records as slices, each record filled up to the alignment.
fn slices_of<'a>(
    header: &'a [u8],
    headers: &'a [[u8; record::BYTES]],
    drafts: &'a [Draft],
) -> Vec<IoSlice<'a>> {
    const FILLING: &[u8] = &[0; narrow_alignment()];
    let mut slices = Vec::with_capacity(1 + drafts.len() * 3);
    slices.push(IoSlice::new(header));
    for (header, draft) in headers.iter().zip(drafts) {
        let filling = draft.stored_bytes() - RECORD_BYTES - wide(draft.payload.len());
        slices.push(IoSlice::new(header));
        slices.push(IoSlice::new(&draft.payload));
        slices.push(IoSlice::new(FILLING.get(..narrow(filling)).unwrap_or_default()));
    }
    slices.retain(|slice| !slice.is_empty());
    slices
}

#[expect(clippy::as_conversions, reason = "8 fits in any usize; TryFrom is not const")]
const fn narrow_alignment() -> usize {
    ALIGNMENT as usize
}

fn write(segment: &Segment, slices: &[IoSlice<'_>], position: u64) -> Result<(), WriteError> {
    segment.file.write_at(slices, position).map_err(|source| WriteError::Io {
        action: format!("append to segment {}", segment.number),
        source,
    })
}
