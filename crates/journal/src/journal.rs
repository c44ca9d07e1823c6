//! An open journal: what a volume calls.
//!
//! Locks, in the order in which they are taken:
//! 1. `upkeep`: relocation and the end of a replay exclude each other, so that nothing that has been replayed comes
//!    to life again as a copy.
//! 2. `syncing`: one sync at a time; those that wait are then usually covered by the one before.
//! 3. `writer`: one appends at a time. Held over writes into the page cache and the creation of a segment, never over a
//!    sync.
//! 4. `index`: held over memory alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::OnceLock;

use bytes::Bytes;
use hotbay_block::Extent;
use parking_lot::{Mutex, RwLock};

use crate::Sequence;
use crate::error::{AppendError, JournalError, OpenError};
use crate::format::{LIMIT_MIN, VolumeStamp, segment_bytes};
use crate::index::{Entry, Holds, Index};
use crate::reclaim::{ReclaimProgress, checked_payload, choose_victim, corrupt, gather, has_dead};
use crate::record::{Kind, stored_bytes};
use crate::recover::{Recovery, recover};
use crate::scan::{ScanReport, scan};
use crate::segment::{Segment, Slot, Stage, name_of};
use crate::storage::Storage;
use crate::writer::{
    Draft, Ground, LogEnd, Purpose, Relocation, WriteError, Writer, drafts_of_extent,
    drafts_of_write, segments_below_limit,
};

/// What a journal is for and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The identifier of the volume whose journal it is.
    pub volume: [u8; 16],
    /// The volume's size in bytes.
    pub size_bytes: u64,
    /// The most bytes that all files of the journal take together; at least 16 MiB.
    pub limit_bytes: u64,
}

/// One change to the volume.
#[derive(Clone, Debug)]
pub enum Change {
    /// New bytes.
    Write {
        /// Where they begin.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// The extent reads as zeroes.
    Zeroes(Extent),
    /// The extent is not needed any more; it reads as zeroes while the journal holds it.
    Trim(Extent),
}

impl Change {
    fn end(&self) -> Option<u64> {
        match self {
            Self::Write { offset, data } => offset.checked_add(crate::format::wide(data.len())),
            Self::Zeroes(extent) | Self::Trim(extent) => Some(extent.end()),
        }
    }

    fn extent(&self) -> Extent {
        match self {
            Self::Write { offset, data } => {
                Extent::between(*offset, offset.saturating_add(crate::format::wide(data.len())))
            }
            Self::Zeroes(extent) | Self::Trim(extent) => *extent,
        }
    }
}

/// What a live extent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Data(Bytes),
    /// Zeroes.
    Zeroes,
    /// Nothing that is needed; reads as zeroes.
    Trimmed,
}

/// A part of an extent that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which part.
    pub extent: Extent,
    /// What the journal holds for it; `None` where that is nothing.
    pub content: Option<Content>,
}

/// An extent that is to be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveExtent {
    /// Which.
    pub extent: Extent,
    /// What it holds.
    pub content: Content,
    /// Of the record that it comes from.
    pub sequence: Sequence,
}

/// How much a journal holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The bytes of data in all live extents. Zeroes and trims count nothing.
    pub live_bytes: u64,
    /// The length of all files.
    pub disk_bytes: u64,
    /// What `disk_bytes` never exceeds, unless the journal was opened with a lower limit than it had before.
    pub limit_bytes: u64,
    /// The number of live extents.
    pub extents: u64,
}

/// When free space is so low that reclaiming should begin: fewer whole segments below the limit than this.
const LOW_SEGMENTS: u64 = 3;
/// How many index entries are dropped in one hold of the index lock.
const DROP_STEP: usize = 4096;
/// What an extent without bytes counts in a batch, so that a batch of them has an end.
const BATCH_WEIGHT_MIN: u64 = 512;

/// The log that takes a volume's changes while its medium is away. Used from any number of threads.
///
/// Changes are durable once a [`sync`](Self::sync) that began after their [`append`](Self::append) returned succeeds.
/// Nothing is written when it is dropped; see [`close`](Self::close).
pub struct Journal {
    ground: Ground,
    upkeep: Mutex<()>,
    syncing: Mutex<()>,
    writer: Mutex<Writer>,
    index: RwLock<Index>,
    failure: OnceLock<String>,
}

impl Journal {
    /// Opens the journal in `storage`, or creates it where there is none.
    ///
    /// What is there is made durable and read anew from the disk, scanned, and then recovered: a tail that was never
    /// flushed is cut off.
    ///
    /// # Errors
    /// Where it is another volume's, damaged, of a newer format, or cannot be read or written.
    pub fn open(
        storage: Arc<dyn Storage>,
        settings: Settings,
    ) -> Result<(Self, Recovery), OpenError> {
        let Settings { volume, size_bytes, limit_bytes } = settings;
        if limit_bytes < LIMIT_MIN {
            return Err(OpenError::LimitTooSmall { limit_bytes, least_bytes: LIMIT_MIN });
        }
        let volume = VolumeStamp { id: volume, size_bytes };
        let segment_bytes = segment_bytes(limit_bytes);
        let ground = Ground { storage, volume, limit_bytes, segment_bytes };
        ground
            .storage
            .settle()
            .map_err(|source| OpenError::Io { action: "settle the files".into(), source })?;
        let report = scan(&*ground.storage, Some(volume.id))?;
        check_volume(&report, volume)?;
        Self::recovered(ground, &report)
    }

    fn recovered(ground: Ground, report: &ScanReport) -> Result<(Self, Recovery), OpenError> {
        let recovered = recover(&*ground.storage, report)?;
        let mut index = recovered.index;
        let end = LogEnd {
            next_sequence: recovered.next_sequence,
            next_number: recovered.next_number,
            replayed: recovered.replayed,
        };
        let writer = match recovered.active {
            Some((slot, segment, position)) => Writer::resume(end, slot, segment, position),
            None => Writer::begin(&ground, &mut index, end).map_err(begin_error)?,
        };
        let journal = Self {
            ground,
            upkeep: Mutex::new(()),
            syncing: Mutex::new(()),
            writer: Mutex::new(writer),
            index: RwLock::new(index),
            failure: OnceLock::new(),
        };
        let recovery = Recovery {
            outcome: recovered.outcome,
            segments_removed: recovered.segments_removed,
            records: recovered.records,
            usage: journal.usage(),
        };
        Ok((journal, recovery))
    }

    /// Appends changes in this order, with one vectored write for each segment that they go to. Reads see them when it
    /// returns; they are not durable yet. Blocks for a write into the page cache, and where a segment is full for
    /// the creation of a file.
    ///
    /// # Errors
    /// All but [`AppendError::Failed`] leave the journal as it was.
    pub fn append(&self, changes: &[Change]) -> Result<(), AppendError> {
        self.check_failure()?;
        let drafts = self.drafts_of(changes)?;
        if drafts.is_empty() {
            return Ok(());
        }
        let needed: u64 = drafts.iter().map(|draft| stored_bytes(draft.payload_bytes())).sum();
        let mut writer = self.writer.lock();
        self.check_failure()?;
        match writer.append(&self.ground, &self.index, drafts, Purpose::Change) {
            Ok(()) => {
                writer.is_wanting = false;
                Ok(())
            }
            Err(WriteError::Full) => {
                let can_help = self.can_reclaim_for(&writer, needed);
                writer.is_wanting = can_help;
                Err(if can_help { AppendError::NeedsReclaim } else { AppendError::Full })
            }
            Err(error) => Err(self.fail(error).into()),
        }
    }

    fn drafts_of(&self, changes: &[Change]) -> Result<Vec<Draft>, AppendError> {
        let size_bytes = self.ground.volume.size_bytes;
        let mut drafts = Vec::with_capacity(changes.len());
        for change in changes {
            if change.end().is_none_or(|end| end > size_bytes) {
                return Err(AppendError::OutOfRange { extent: change.extent(), size_bytes });
            }
            match change {
                Change::Write { offset, data } => drafts_of_write(*offset, data, &mut drafts),
                Change::Zeroes(extent) => drafts_of_extent(Kind::Zeroes, *extent, &mut drafts),
                Change::Trim(extent) => drafts_of_extent(Kind::Trim, *extent, &mut drafts),
            }
        }
        Ok(drafts)
    }

    /// Makes every change durable whose append returned before this call. Blocks for `fdatasync`; appends go on
    /// meanwhile. Segments in which nothing is live are deleted with it.
    ///
    /// # Errors
    /// A failure is latched and never tried again: every later append and sync fails with
    /// [`JournalError::PreviousFailure`].
    pub fn sync(&self) -> Result<(), JournalError> {
        self.check_failure()?;
        let wanted = self.writer.lock().newest_to_sync;
        let _turn = self.syncing.lock();
        self.check_failure()?;
        if self.writer.lock().synced >= wanted {
            return Ok(());
        }
        self.sync_in_turn().map(drop)
    }

    /// Syncs, with a last record that says so, so that the next open can tell damage from a torn tail throughout.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn close(&self) -> Result<(), JournalError> {
        self.check_failure()?;
        let _turn = self.syncing.lock();
        self.sync_in_turn()?;
        self.sync_unsynced().map(drop)
    }

    /// What the journal holds for an extent: pieces in ascending order that cover it exactly. Data is not copied; it
    /// stays readable for as long as it is held, and then keeps the space of its segment. It is not checked here: it
    /// was when the journal was opened, and is again for replay and relocation.
    #[must_use]
    pub fn pieces(&self, extent: Extent) -> Vec<Piece> {
        let index = self.index.read();
        let mut pieces = Vec::new();
        let mut at = extent.offset();
        for (held, entry) in index.overlapping(extent) {
            push_gap(&mut pieces, at, held.offset());
            let content = Some(content_of(&index.segments.holder(entry.slot).segment, &entry));
            pieces.push(Piece { extent: held, content });
            at = held.end();
        }
        push_gap(&mut pieces, at, extent.end());
        pieces
    }

    /// Whether the journal holds every byte of an extent.
    #[must_use]
    pub fn covers(&self, extent: Extent) -> bool {
        let index = self.index.read();
        let mut at = extent.offset();
        for (held, _) in index.overlapping(extent) {
            if held.offset() > at {
                return false;
            }
            at = held.end();
        }
        at >= extent.end()
    }

    /// The sequence of the newest change; [`Sequence::ZERO`] where there was none. Records that change nothing of the
    /// volume do not move it.
    #[must_use]
    pub fn head(&self) -> Sequence {
        self.index.read().head
    }

    /// Live extents for replay: from `from_offset` on, not newer than `up_to`, ascending, cut to begin at
    /// `from_offset`, and as many as have about `max_bytes` of data, but at least one where there is any. Each
    /// record's bytes are checked before they are given out.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] where a record is not what was written. Not latched.
    pub fn live_after(
        &self,
        from_offset: u64,
        up_to: Sequence,
        max_bytes: u64,
    ) -> Result<Vec<LiveExtent>, JournalError> {
        let chosen = self.choose_live(from_offset, up_to, max_bytes);
        let mut checked = BTreeSet::new();
        let mut live = Vec::with_capacity(chosen.len());
        for (extent, entry, segment) in chosen {
            if checked.insert((entry.slot, entry.record())) {
                check_record(&segment, &entry)?;
            }
            let content = content_of(&segment, &entry);
            live.push(LiveExtent { extent, content, sequence: entry.sequence });
        }
        Ok(live)
    }

    fn choose_live(
        &self,
        from_offset: u64,
        up_to: Sequence,
        max_bytes: u64,
    ) -> Vec<(Extent, Entry, Arc<Segment>)> {
        let index = self.index.read();
        let mut chosen = Vec::new();
        let mut weight = 0;
        for (extent, entry) in index.overlapping(Extent::between(from_offset, u64::MAX)) {
            if entry.sequence > up_to {
                continue;
            }
            if weight >= max_bytes && !chosen.is_empty() {
                break;
            }
            weight += entry.data_bytes().max(BATCH_WEIGHT_MIN);
            chosen.push((extent, entry, Arc::clone(&index.segments.holder(entry.slot).segment)));
        }
        chosen
    }

    /// The bytes of data in live extents that are not newer than `up_to`. Looks at every extent.
    #[must_use]
    pub fn live_bytes_up_to(&self, up_to: Sequence) -> u64 {
        let index = self.index.read();
        let old = index.iter().filter(|(_, entry)| entry.sequence <= up_to);
        old.map(|(_, entry)| entry.data_bytes()).sum()
    }

    /// Notes, durably, that every change up to `up_to` is on the medium and was synced there. Then they are dropped,
    /// and segments without live extents are deleted. A crash leaves the state before or after.
    ///
    /// Afterwards nothing live is as old as `up_to`. A copy that relocation made of a replayed extent is newer, and is
    /// to be replayed once more: the journal is done with when [`is_empty`](Self::is_empty) says so.
    ///
    /// # Errors
    /// As [`sync`](Self::sync); and where there is no room for the record.
    pub fn mark_replayed(&self, up_to: Sequence) -> Result<(), JournalError> {
        self.check_failure()?;
        let _upkeep = self.upkeep.lock();
        let up_to = up_to.min(self.head());
        if up_to <= self.writer.lock().replayed {
            return Ok(());
        }
        let _turn = self.syncing.lock();
        let emptied = self.emptied_by_dropping(up_to);
        self.note_replayed(up_to, &emptied)?;
        let covered = self.sync_unsynced()?;
        self.drop_up_to(up_to);
        self.delete_retired()?;
        self.note_synced(covered)
    }

    /// Whether the journal holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.read().is_empty()
    }

    /// How much it holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let index = self.index.read();
        Usage {
            live_bytes: index.live_bytes(),
            disk_bytes: index.segments.disk_bytes(),
            limit_bytes: self.ground.limit_bytes,
            extents: crate::format::wide(index.len()),
        }
    }

    /// Frees some space: deletes segments in which nothing is live, or copies about 1 MiB of live extents out of the
    /// one that frees most. Copies are durable before the segment that held them is deleted. Blocks for the copy, and
    /// at the end of a segment for a sync.
    ///
    /// # Errors
    /// As [`sync`](Self::sync); [`JournalError::Corrupt`] where what would be copied is damaged.
    pub fn reclaim_step(&self) -> Result<ReclaimProgress, JournalError> {
        self.check_failure()?;
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
    /// there is something to free.
    #[must_use]
    pub fn wants_reclaim(&self) -> bool {
        let writer = self.writer.lock();
        let is_low = segments_below_limit(&self.ground, &self.index.read()) < LOW_SEGMENTS;
        (is_low || writer.is_wanting) && self.can_reclaim(&writer)
    }

    fn can_reclaim(&self, writer: &Writer) -> bool {
        let index = self.index.read();
        let room = writer.room_for_relocation(&self.ground, &index);
        writer.relocation.is_some()
            || has_dead(&index)
            || choose_victim(&self.ground, &index, room).is_some()
    }

    /// Whether reclaiming may make room for records of `needed` bytes.
    fn can_reclaim_for(&self, writer: &Writer, needed: u64) -> bool {
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

    /// One whole sync, in this thread's turn: retires what is dead, syncs, deletes, and notes that it was done.
    /// Gives the bytes of the deleted files.
    fn sync_in_turn(&self) -> Result<u64, JournalError> {
        let dead: Vec<Slot> = {
            let index = self.index.read();
            index.segments.iter().filter(|(_, s)| s.is_dead()).map(|(slot, _)| slot).collect()
        };
        self.retire(&mut self.writer.lock(), Vec::new(), &dead)?;
        let covered = self.sync_unsynced()?;
        let bytes = self.delete_retired()?;
        self.note_synced(covered)?;
        Ok(bytes)
    }

    /// Appends that these segments are not needed, behind the records by which that came about.
    fn retire(
        &self,
        writer: &mut Writer,
        mut drafts: Vec<Draft>,
        slots: &[Slot],
    ) -> Result<(), JournalError> {
        let mut retiring = Vec::new();
        {
            let index = self.index.read();
            for &slot in slots {
                let state = index.segments.get(slot).filter(|s| s.stage == Stage::Sealed);
                if let Some(state) = state {
                    drafts.push(Draft::plain(Kind::Retired, state.segment.number, 0));
                    retiring.push(slot);
                }
            }
        }
        if drafts.is_empty() {
            return Ok(());
        }
        writer
            .append(&self.ground, &self.index, drafts, Purpose::Control)
            .map_err(|error| self.fail(error))?;
        let by = writer.newest_to_sync;
        let mut index = self.index.write();
        for slot in retiring {
            index.segments.holder_mut(slot).stage = Stage::Retired(by);
        }
        Ok(())
    }

    /// Brings to stable storage what was appended before. Gives the newest record that this covers.
    fn sync_unsynced(&self) -> Result<Sequence, JournalError> {
        let unsynced = self.writer.lock().take_unsynced();
        for segment in &unsynced.segments {
            segment.file.sync_data().map_err(|source| {
                self.fail_io(format!("sync segment {}", segment.number), source)
            })?;
        }
        if unsynced.directory {
            self.ground
                .storage
                .sync_directory()
                .map_err(|source| self.fail_io("sync the directory".into(), source))?;
        }
        self.check_failure()?;
        self.writer.lock().synced = unsynced.covered;
        Ok(unsynced.covered)
    }

    /// Deletes segments whose retirement is durable and to which nothing refers. Gives their bytes.
    fn delete_retired(&self) -> Result<u64, JournalError> {
        let synced = self.writer.lock().synced;
        let mut freed = 0;
        while let Some((slot, number)) = self.next_to_delete(synced) {
            self.ground
                .storage
                .remove(&name_of(number))
                .map_err(|source| self.fail_io(format!("delete segment {number}"), source))?;
            // Only now, so that the files never take more than the limit.
            let removed = self.index.write().segments.remove(slot);
            freed += removed.map_or(0, |state| state.segment.length);
            self.writer.lock().note_removal(number);
        }
        Ok(freed)
    }

    fn next_to_delete(&self, synced: Sequence) -> Option<(Slot, u64)> {
        let index = self.index.read();
        let mut retired = index.segments.iter().filter(|(_, state)| {
            state.live_extents == 0 && matches!(state.stage, Stage::Retired(by) if by <= synced)
        });
        retired.next().map(|(slot, state)| (slot, state.segment.number))
    }

    fn note_synced(&self, covered: Sequence) -> Result<(), JournalError> {
        let mut writer = self.writer.lock();
        writer.append_barrier(covered).map_err(|error| self.fail(error))
    }

    /// The full segments in which nothing is newer than `up_to`.
    fn emptied_by_dropping(&self, up_to: Sequence) -> Vec<Slot> {
        let index = self.index.read();
        let kept: BTreeSet<Slot> = if index.head <= up_to {
            BTreeSet::new()
        } else {
            let newer = index.iter().filter(|(_, entry)| entry.sequence > up_to);
            newer.map(|(_, entry)| entry.slot).collect()
        };
        let sealed = index.segments.iter().filter(|(_, state)| state.stage == Stage::Sealed);
        sealed.map(|(slot, _)| slot).filter(|slot| !kept.contains(slot)).collect()
    }

    fn note_replayed(&self, up_to: Sequence, emptied: &[Slot]) -> Result<(), JournalError> {
        let mut writer = self.writer.lock();
        self.check_failure()?;
        let draft = Draft::plain(Kind::Replayed, up_to.get(), 0);
        // Before the record, so that a segment that has to be begun for it says the same in its header.
        let before = std::mem::replace(&mut writer.replayed, up_to);
        let noted = self.retire(&mut writer, vec![draft], emptied);
        if noted.is_err() {
            writer.replayed = before;
        }
        noted
    }

    fn drop_up_to(&self, up_to: Sequence) {
        let mut next = Some(0);
        while let Some(from) = next {
            next = self.index.write().drop_up_to(up_to, from, DROP_STEP);
        }
    }

    fn check_failure(&self) -> Result<(), JournalError> {
        match self.failure.get() {
            Some(failure) => Err(JournalError::PreviousFailure(failure.clone())),
            None => Ok(()),
        }
    }

    fn fail(&self, error: WriteError) -> JournalError {
        match error {
            WriteError::Full => JournalError::Full,
            WriteError::StorageFull(source) => JournalError::StorageFull(source),
            WriteError::Io { action, source } => self.fail_io(action, source),
        }
    }

    /// Latches a failure.
    fn fail_io(&self, action: String, source: std::io::Error) -> JournalError {
        // Only the first failure is kept: later ones follow from it.
        let _ = self.failure.set(format!("cannot {action}: {source}"));
        JournalError::Failed { action, source }
    }
}

fn check_volume(report: &ScanReport, volume: VolumeStamp) -> Result<(), OpenError> {
    match report.volume {
        Some(found) if found.id != volume.id => Err(OpenError::OtherVolume { found: found.id }),
        Some(found) if found.size_bytes != volume.size_bytes => {
            Err(OpenError::OtherSize { found: found.size_bytes, expected: volume.size_bytes })
        }
        _ => Ok(()),
    }
}

fn begin_error(error: WriteError) -> OpenError {
    match error {
        WriteError::Full => unreachable!("the limit allows the first segment"),
        WriteError::StorageFull(source) => OpenError::StorageFull(source),
        WriteError::Io { action, source } => OpenError::Io { action, source },
    }
}

fn push_gap(pieces: &mut Vec<Piece>, from: u64, to: u64) {
    if from < to {
        pieces.push(Piece { extent: Extent::between(from, to), content: None });
    }
}

pub(crate) fn content_of(segment: &Segment, entry: &Entry) -> Content {
    match entry.holds() {
        Holds::Data => Content::Data(segment.file.view(entry.payload(), entry.length())),
        Holds::Zeroes => Content::Zeroes,
        Holds::Trimmed => Content::Trimmed,
    }
}

/// Checks the record that an extent comes from.
fn check_record(segment: &Segment, entry: &Entry) -> Result<(), JournalError> {
    let position = entry.record();
    match segment.record_at(position) {
        Some(record) if record.sequence == entry.sequence => {
            checked_payload(segment, &record, position).map(drop)
        }
        _ => Err(corrupt(segment, position, entry.sequence)),
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let failure = self.failure.get();
        f.debug_struct("Journal").field("usage", &self.usage()).field("failure", &failure).finish()
    }
}
