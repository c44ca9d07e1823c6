//! Reading a journal without changing anything: which segments are needed, where the log ends, and whether what is
//! missing behind that end was ever flushed.
//!
//! The records of a journal have consecutive sequences, but segments in which nothing is live are deleted, so a gap
//! alone means nothing. What must be there is said by the newest segment: its header has an **inventory** of all
//! segments that were needed when it was begun, each with its first sequence and the one after its last; a `retired`
//! record in it takes one off the list. A segment on the list that is missing, or ends early, is a **break**.
//!
//! Besides there is the **mark** (`mark.rs`), which says up to which record of which segment the journal was synced at least; and
//! a segment's header tells the length of its file, so that one that was cut off in the middle of a record shows.
//!
//! A break is a torn tail (its records never reached the disk, nor did anyone rely on it) or damage of flushed data. A
//! **witness** tells which: a barrier record or a segment's header that is whole and says "all up to N was synced". If
//! any witness, even behind the break, reaches the first lost record, it is damage. Otherwise the log is taken to end
//! at the break, and the rule is applied again to the segment that is the newest then.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{self, available_parallelism};

use parking_lot::Mutex;

use crate::Sequence;
use crate::error::{Damage, ScanError};
use crate::format::{
    ALIGNMENT, HeaderFault, InventoryEntry, RECORD_BYTES, SegmentHeader, VolumeStamp, narrow, wide,
};
use crate::mark::{Mark, read_mark};
use crate::record::{Kind, Record, Seed};
use crate::segment::{name_of, number_of};
use crate::storage::{Access, SegmentFile, Storage};

/// More threads than this only wait for each other's disk.
const THREADS_MAX: usize = 4;

/// What a scan found out. Nothing was changed.
#[derive(Clone, Debug)]
pub struct ScanReport {
    /// Whose journal it is; `None` where no segment says so.
    pub volume: Option<VolumeStamp>,
    /// All segment files, in ascending order of their numbers.
    pub segments: Vec<SegmentReport>,
    /// Where the log ends and what that means.
    pub verdict: Verdict,
}

/// Where the log ends and what that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is no record, and none was ever known to be synced.
    Empty,
    /// The log ends as it was left.
    Whole,
    /// Behind the end are bytes of records that were never flushed. Recovery cuts them off.
    TornTail {
        /// The segment in which the log ends.
        segment: u64,
        /// The byte behind its last record.
        position: u64,
        /// The sequence after the last record.
        sequence: Sequence,
    },
    /// Flushed data is damaged. Recovery refuses.
    Damaged(Damage),
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentStatus {
    /// Its records count.
    Needed,
    /// It was retired, and its file not yet deleted.
    Retired,
    /// It is behind the end of the log.
    BehindTheEnd,
}

/// One segment file.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// Its number, from its name.
    pub number: u64,
    /// The length of the file in bytes.
    pub file_bytes: u64,
    /// What becomes of it.
    pub status: SegmentStatus,
    /// The whole records from its start on, up to the first that is not.
    pub records: Vec<RecordReport>,
    /// The byte behind the last of them.
    pub end: u64,
    /// Whether there are bytes other than zeroes behind that.
    pub has_stale_tail: bool,
    pub(crate) header: Option<SegmentHeader>,
    /// The newest record that anything in it says was synced.
    witnessed: Sequence,
}

/// One whole record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordReport {
    /// The byte of the segment at which it begins.
    pub position: u64,
    /// What it says.
    pub kind: Kind,
    /// Its place in the history.
    pub sequence: Sequence,
    /// For a change, where on the volume; else the sequence or the segment's number that it speaks of.
    pub offset: u64,
    /// For a change, its bytes; else 0.
    pub length: u64,
}

impl RecordReport {
    fn of(record: &Record, position: u64) -> Self {
        let &Record { kind, sequence, offset, length, .. } = record;
        Self { position, kind, sequence, offset, length }
    }
}

impl SegmentReport {
    /// The sequence of its first record, or `None` where its header is not whole.
    #[must_use]
    pub fn first_sequence(&self) -> Option<Sequence> {
        self.header.as_ref().map(|header| header.first)
    }

    /// The sequence after its last whole record, or `None` where its header is not whole.
    #[must_use]
    pub fn next_sequence(&self) -> Option<Sequence> {
        let last = self.records.last().map(|record| record.sequence.next());
        last.or_else(|| self.first_sequence())
    }

    /// Whether its file ends in the middle of a record, and before the length that it was made with. The length is durable before
    /// anything is in the file, and recovery shortens one only to the end of a record: so somebody else did that.
    fn is_cut_off(&self) -> bool {
        let made = self.header.as_ref().map_or(0, |header| header.length);
        self.file_bytes < made && self.has_stale_tail
    }

    /// What this segment says must be there beside itself.
    fn required(&self) -> impl Iterator<Item = &InventoryEntry> {
        let inventory = self.header.as_ref().map_or(&[][..], |header| &header.inventory);
        let is_retired =
            |number| self.records.iter().any(|r| r.kind == Kind::Retired && r.offset == number);
        inventory.iter().filter(move |entry| !is_retired(entry.number))
    }
}

/// Reads a journal. `volume` is whose it should be; it only serves to recognise records in a segment whose header is
/// lost, and may be `None`.
///
/// # Errors
/// Where the storage cannot be read, or holds what is not one journal of this format. Damage is not an error here but
/// a verdict.
pub fn scan(storage: &dyn Storage, volume: Option<[u8; 16]>) -> Result<ScanReport, ScanError> {
    // First, so that it is no newer than the segments that are read beside their writer.
    let mark = read_mark(storage)?;
    let files = open_files(storage)?;
    let mut segments = read_all(&files)?;
    let stamp = common_volume(&segments)?;
    let owner = stamp.map(|stamp| stamp.id).or(volume);
    for report in segments.iter_mut().filter(|report| report.header.is_none()) {
        if let Some(file) = files.get(&report.number) {
            *report = parse(report.number, &file.view(0, file.len()), None, owner);
        }
    }
    let mark = mark.filter(|mark| owner.is_none_or(|owner| mark.volume == owner));
    Ok(judge(stamp, segments, mark))
}

fn open_files(storage: &dyn Storage) -> Result<BTreeMap<u64, Box<dyn SegmentFile>>, ScanError> {
    let io = |name: &str| {
        let name = name.to_owned();
        move |source| ScanError::Io { name, source }
    };
    let mut files = BTreeMap::new();
    for name in storage.list().map_err(io("the directory"))? {
        let Some(number) = number_of(&name) else { continue };
        let file = storage.open(&name, Access::Read).map_err(io(&name))?;
        files.insert(number, file);
    }
    Ok(files)
}

fn decode_header(number: u64, bytes: &[u8]) -> Result<Option<SegmentHeader>, ScanError> {
    match SegmentHeader::decode(bytes, number) {
        Ok(header) => Ok(Some(header)),
        Err(HeaderFault::Invalid) => Ok(None),
        Err(HeaderFault::NewerVersion(version)) => {
            Err(ScanError::NewerVersion { segment: number, version })
        }
    }
}

fn common_volume(segments: &[SegmentReport]) -> Result<Option<VolumeStamp>, ScanError> {
    let mut common = None;
    for header in segments.iter().filter_map(|segment| segment.header.as_ref()) {
        if *common.get_or_insert(header.volume) != header.volume {
            return Err(ScanError::MixedVolumes { segment: header.number });
        }
    }
    Ok(common)
}

/// Reads all segments, each by what its own header says: on as many threads as there are processors, so that one takes
/// checksums while another waits for the disk.
fn read_all(files: &BTreeMap<u64, Box<dyn SegmentFile>>) -> Result<Vec<SegmentReport>, ScanError> {
    let threads = available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX).min(files.len());
    let next = Mutex::new(files.iter());
    let read_some = || {
        let mut read = Vec::new();
        loop {
            let Some((&number, file)) = next.lock().next() else { break read };
            read.push((number, read_segment(number, &**file)));
        }
    };
    let mut read = thread::scope(|scope| {
        // With a thread less it takes longer.
        let begin = |_| thread::Builder::new().spawn_scoped(scope, read_some).ok();
        let others: Vec<_> = (1..threads).filter_map(begin).collect();
        let mut read = read_some();
        for other in others {
            read.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        read
    });
    read.sort_unstable_by_key(|(number, _)| *number);
    read.into_iter().map(|(_, segment)| segment).collect()
}

fn read_segment(number: u64, file: &dyn SegmentFile) -> Result<SegmentReport, ScanError> {
    file.fetch().map_err(|source| ScanError::Io { name: name_of(number), source })?;
    let bytes = file.view(0, file.len());
    let header = decode_header(number, &bytes)?;
    let owner = header.as_ref().map(|header| header.volume.id);
    Ok(parse(number, &bytes, header, owner))
}

/// Reads one segment from its start to the first record that is not whole, and looks behind that for witnesses.
fn parse(
    number: u64,
    bytes: &[u8],
    header: Option<SegmentHeader>,
    owner: Option<[u8; 16]>,
) -> SegmentReport {
    let mut report = SegmentReport {
        number,
        file_bytes: wide(bytes.len()),
        status: SegmentStatus::BehindTheEnd,
        records: Vec::new(),
        end: 0,
        has_stale_tail: false,
        witnessed: Sequence::ZERO,
        header,
    };
    let seed = owner.map(|volume| Seed::of(&volume, number));
    if let (Some(header), Some(seed)) = (&report.header, seed) {
        report.witnessed = header.synced;
        (report.records, report.end) = read_records(bytes, header, seed);
        let barriers = report.records.iter().filter(|record| record.kind == Kind::Barrier);
        let newest = barriers.map(|record| Sequence::new(record.offset)).max();
        report.witnessed = report.witnessed.max(newest.unwrap_or_default());
    }
    let tail = bytes.get(narrow(report.end)..).unwrap_or_default();
    report.has_stale_tail = !is_zero(tail);
    if let Some(seed) = seed.filter(|_| report.has_stale_tail) {
        report.witnessed = report.witnessed.max(witness_in_tail(tail, report.end, seed));
    }
    report
}

fn read_records(bytes: &[u8], header: &SegmentHeader, seed: Seed) -> (Vec<RecordReport>, u64) {
    let (mut position, mut sequence) = (header.bytes(), header.first);
    let mut records = Vec::new();
    while let Some(record) = whole_record(bytes, position, seed, header.volume.size_bytes)
        && record.sequence == sequence
    {
        records.push(RecordReport::of(&record, position));
        position += record.stored_bytes();
        sequence = sequence.next();
    }
    (records, position)
}

/// The whole records anywhere in a segment from `position` on, wherever they begin.
pub(crate) fn records_from(
    bytes: &[u8],
    mut position: u64,
    header: &SegmentHeader,
) -> Vec<RecordReport> {
    let seed = Seed::of(&header.volume.id, header.number);
    let mut records: Vec<RecordReport> = Vec::new();
    while position < wide(bytes.len()) {
        let found = whole_record(bytes, position, seed, header.volume.size_bytes);
        position += found.map_or(ALIGNMENT, |record| {
            records.push(RecordReport::of(&record, position));
            record.stored_bytes()
        });
    }
    records
}

fn whole_record(bytes: &[u8], position: u64, seed: Seed, volume_bytes: u64) -> Option<Record> {
    let stored = bytes.get(narrow(position)..)?;
    let record = Record::decode(stored, seed, position)?;
    let stored = stored.get(..narrow(record.stored_bytes()))?;
    let payload = stored.get(narrow(RECORD_BYTES)..)?.get(..narrow(record.payload_bytes()))?;
    (record.extent().end() <= volume_bytes && record.has_payload(payload)).then_some(record)
}

/// The newest record that a barrier anywhere in `tail`, which begins at `position`, says was synced.
fn witness_in_tail(tail: &[u8], position: u64, seed: Seed) -> Sequence {
    let step = narrow(ALIGNMENT);
    let places = (0..tail.len()).step_by(step).zip((position..).step_by(step));
    places
        .filter_map(|(at, position)| Record::decode(tail.get(at..)?, seed, position))
        .filter(|record| record.kind == Kind::Barrier)
        .map(|record| Sequence::new(record.offset))
        .max()
        .unwrap_or_default()
}

fn is_zero(bytes: &[u8]) -> bool {
    const ZEROES: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROES.len()).all(|chunk| ZEROES.starts_with(chunk))
}

/// Where a segment that must be whole is not.
#[derive(Clone, Copy)]
struct Break {
    damage: Damage,
    /// Whether a crash cannot have led to it.
    is_certain_damage: bool,
}

fn judge(
    volume: Option<VolumeStamp>,
    mut segments: Vec<SegmentReport>,
    mark: Option<Mark>,
) -> ScanReport {
    let verdict = find_end(&segments, mark);
    tell_apart(&mut segments, &verdict);
    ScanReport { volume, segments, verdict }
}

fn find_end(segments: &[SegmentReport], mark: Option<Mark>) -> Verdict {
    let marked = mark.map_or(Sequence::ZERO, |mark| mark.synced);
    let witnessed = segments.iter().map(|segment| segment.witnessed).max();
    let witnessed = witnessed.unwrap_or_default().max(marked);
    let newest_below =
        |number: u64| segments.iter().rev().find(|s| s.number < number && s.header.is_some());
    let mut last = segments.iter().rev().find(|segment| segment.header.is_some());
    while let Some(candidate) = last {
        let Some(first_break) = find_break(candidate, segments) else { break };
        if first_break.is_certain_damage || witnessed >= first_break.damage.sequence {
            return Verdict::Damaged(first_break.damage);
        }
        last = newest_below(first_break.damage.segment.saturating_add(1));
    }
    let Some(last) = last else { return end_of_nothing(segments, witnessed, mark) };
    let sequence = last.next_sequence().unwrap_or_default();
    if witnessed >= sequence || last.is_cut_off() {
        let newer = mark.filter(|mark| mark.segment > last.number && mark.synced >= sequence);
        let missing = newer.map(|mark| Damage { segment: mark.segment, position: 0, sequence });
        let here = Damage { segment: last.number, position: last.end, sequence };
        return Verdict::Damaged(missing.unwrap_or(here));
    }
    let is_newest = segments.last().is_some_and(|newest| newest.number == last.number);
    if is_newest && !last.has_stale_tail {
        return Verdict::Whole;
    }
    Verdict::TornTail { segment: last.number, position: last.end, sequence }
}

fn end_of_nothing(segments: &[SegmentReport], witnessed: Sequence, mark: Option<Mark>) -> Verdict {
    let first = segments.first().map(|segment| segment.number);
    match first.or(mark.map(|mark| mark.segment)) {
        Some(segment) if witnessed >= Sequence::FIRST => {
            Verdict::Damaged(Damage { segment, position: 0, sequence: Sequence::FIRST })
        }
        _ => Verdict::Empty,
    }
}

/// The first place at which what `last` requires is not there.
fn find_break(last: &SegmentReport, segments: &[SegmentReport]) -> Option<Break> {
    let breaks = last.required().filter_map(|entry| {
        let found = segments.binary_search_by_key(&entry.number, |segment| segment.number);
        break_of(entry, found.ok().and_then(|at| segments.get(at)))
    });
    breaks.min_by_key(|found| found.damage.sequence)
}

fn break_of(entry: &InventoryEntry, found: Option<&SegmentReport>) -> Option<Break> {
    let next = found.and_then(SegmentReport::next_sequence);
    let first = found.and_then(SegmentReport::first_sequence);
    if next == Some(entry.next) && first == Some(entry.first) {
        return None;
    }
    let sequence = next.unwrap_or(entry.first);
    let position = found.map_or(0, |segment| segment.end);
    Some(Break {
        damage: Damage { segment: entry.number, position, sequence },
        is_certain_damage: sequence > entry.next || first.is_some_and(|it| it != entry.first),
    })
}

fn tell_apart(segments: &mut [SegmentReport], verdict: &Verdict) {
    let last = match verdict {
        Verdict::Empty => return,
        Verdict::Whole => segments.last().map_or(0, |last| last.number),
        Verdict::TornTail { segment, .. } | Verdict::Damaged(Damage { segment, .. }) => *segment,
    };
    let newest = segments.iter().find(|segment| segment.number == last);
    let mut needed: Vec<u64> = newest
        .map(|newest| newest.required().map(|entry| entry.number).collect())
        .unwrap_or_default();
    needed.push(last);
    for segment in segments.iter_mut().filter(|segment| segment.number <= last) {
        let is_needed = needed.contains(&segment.number);
        segment.status = if is_needed { SegmentStatus::Needed } else { SegmentStatus::Retired };
    }
}
