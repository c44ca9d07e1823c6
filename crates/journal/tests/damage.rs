//! Damage of flushed data is reported and never served; a tail that nobody relied on is cut; scanning changes nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use hotbay_block::Extent;
use hotbay_journal::testing::{Image, ImageStorage, Step};
use hotbay_journal::{
    Change, Damage, Journal, JournalError, Kind, OpenError, Piece, Recovery, RecoveryOutcome,
    ScanError, SegmentStatus, Sequence, Settings, Verdict, is_still_there, salvage, scan,
};

const SETTINGS: Settings = Settings { volume: [9; 16], size_bytes: 8 << 20, limit_bytes: 16 << 20 };
const BLOCK: u64 = 4096;

fn open(image: &Image) -> Result<(Journal, Recovery), OpenError> {
    Journal::open(Arc::new(ImageStorage::over(image.clone())), SETTINGS)
}

fn shown(journal: &Journal) -> Vec<Piece> {
    journal.pieces(Extent::new(0, SETTINGS.size_bytes).unwrap())
}

fn write(journal: &Journal, block: u64, blocks: u64, value: u8) {
    let data = Bytes::from(vec![value; usize::try_from(blocks * BLOCK).unwrap()]);
    journal.append(&[Change::Write { offset: block * BLOCK, data }]).unwrap();
}

/// A journal of several segments, one of them reclaimed, in which all is flushed.
fn flushed() -> ImageStorage {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    for value in 1..=6 {
        write(&journal, u64::from(value) * 7, 150, value);
        journal.append(&[Change::Zeroes(Extent::new(5, 900).unwrap())]).unwrap();
        journal.sync().unwrap();
    }
    write(&journal, 1000, 100, 7);
    journal.close().unwrap();
    storage
}

fn segment_names(image: &Image) -> Vec<String> {
    image.contents().into_keys().filter(|name| name.ends_with(".segment")).collect()
}

/// Whether what is there can be told from what was: either it is refused, or all of it is right.
fn check_flip(image: &Image, expected: &[Piece], name: &str, position: usize, bit: u8) -> bool {
    let mut flipped = image.clone();
    flipped.damage(name, |bytes| bytes[position] ^= 1 << bit);
    match open(&flipped) {
        Ok((journal, _)) => {
            assert!(shown(&journal) == expected, "bit {bit} of byte {position} of {name}");
            false
        }
        Err(OpenError::Damaged(_) | OpenError::Scan(ScanError::NewerVersion { .. })) => true,
        Err(error) => panic!("bit {bit} of byte {position} of {name}: {error}"),
    }
}

#[test]
fn no_flipped_bit_of_flushed_data_goes_unnoticed() {
    let image = flushed().image();
    let expected = shown(&open(&image).unwrap().0);
    let report = scan(&ImageStorage::over(image.clone()), None).unwrap();
    assert!(report.segments.len() > 2);
    for (name, segment) in segment_names(&image).iter().zip(&report.segments) {
        // All of the headers, and some of every payload; but for the very last barrier, which says nothing of itself.
        let header_end = segment.records.first().unwrap().position;
        let headers = segment.records.iter().map(|record| record.position..record.position + 40);
        let payloads = segment.records.iter().filter(|r| r.kind == Kind::Write).flat_map(|r| {
            [
                r.position + 40..r.position + 41,
                r.position + 40 + r.length - 1..r.position + 40 + r.length,
            ]
        });
        let mut places: Vec<u64> =
            headers.chain(payloads).chain(std::iter::once(0..header_end)).flatten().collect();
        let last = report.segments.last().unwrap().records.last().unwrap().position;
        if segment.number == report.segments.last().unwrap().number {
            places.retain(|&place| place < last);
        }
        // Each open reads the whole journal, so only every so many are tried, of each segment others.
        let first = usize::try_from(segment.number % 17).unwrap();
        for place in places.into_iter().skip(first).step_by(17) {
            let position = usize::try_from(place).unwrap();
            let bit = u8::try_from(place % 8).unwrap();
            assert!(
                check_flip(&image, &expected, name, position, bit),
                "bit {bit} of byte {place} of {name} goes unnoticed"
            );
        }
        // Where nothing is stored a flip may pass, but changes nothing.
        let slack = usize::try_from(segment.end).unwrap() + 100;
        check_flip(&image, &expected, name, slack, 0);
    }
    let last = report.segments.last().unwrap();
    let barrier = usize::try_from(last.records.last().unwrap().position).unwrap();
    check_flip(&image, &expected, segment_names(&image).last().unwrap(), barrier + 17, 3);
}

#[test]
fn damage_says_where_and_changes_nothing() {
    let storage = flushed();
    let mut image = storage.image();
    let name = segment_names(&image).remove(1);
    let report = scan(&storage, None).unwrap();
    let segment = &report.segments[1];
    let record = *segment.records.iter().rfind(|record| record.kind == Kind::Write).unwrap();
    image.damage(&name, |bytes| bytes[usize::try_from(record.position).unwrap() + 41] ^= 1);
    let expected =
        Damage { segment: segment.number, position: record.position, sequence: record.sequence };
    let storage = ImageStorage::over(image.clone());
    let refused = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged(damage) if damage == expected), "{refused:?}");
    assert_eq!(scan(&storage, None).unwrap().verdict, Verdict::Damaged(expected));
    assert_eq!(storage.take_steps(), [Step::Settle]);
    assert!(storage.image().contents() == image.contents());
}

#[test]
fn a_segment_that_went_missing_is_damage() {
    let image = flushed().image();
    let names = segment_names(&image);
    for name in &names {
        let mut without = image.clone();
        without.lose(name);
        assert!(matches!(open(&without), Err(OpenError::Damaged(_))), "{name}");
    }
}

/// A journal of one segment, with its mark, that was never closed.
fn killed() -> Image {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    for value in 1..=3 {
        write(&journal, u64::from(value) * 7, 20, value);
        journal.sync().unwrap();
    }
    storage.image()
}

fn cut_off(image: &Image, name: &str, length: u64) -> Image {
    let mut cut = image.clone();
    cut.damage(name, |bytes| bytes.truncate(usize::try_from(length).unwrap()));
    cut
}

#[test]
fn a_segment_that_was_cut_off_is_damage() {
    let image = flushed().image();
    let report = scan(&ImageStorage::over(image.clone()), None).unwrap();
    for (name, segment) in segment_names(&image).iter().zip(&report.segments) {
        let ends = segment.records.iter().map(|record| record.position);
        for length in ends.flat_map(|end| [end, end + 100]).chain([0, 20, 100]) {
            if length < segment.records.last().unwrap().position {
                let opened = open(&cut_off(&image, name, length));
                assert!(matches!(opened, Err(OpenError::Damaged(_))), "{name} at {length}");
            }
        }
    }
}

#[test]
fn the_only_segment_is_missed_after_a_kill_and_known_to_be_cut_off() {
    let image = killed();
    let name = segment_names(&image).remove(0);
    let report = scan(&ImageStorage::over(image.clone()), None).unwrap();
    let written = report.segments[0].records.iter().filter(|record| record.kind == Kind::Write);
    for record in written {
        let opened = open(&cut_off(&image, &name, record.position + 4096));
        assert!(matches!(opened, Err(OpenError::Damaged(_))), "{record:?}");
    }
    let mut without = image.clone();
    without.lose(&name);
    let lost = Damage { segment: 1, position: 0, sequence: Sequence::new(1) };
    assert!(matches!(open(&without), Err(OpenError::Damaged(damage)) if damage == lost));
    assert!(lost.to_string().contains("missing"), "{lost}");
    // All of it moved away, the mark too, is how a journal is given up.
    assert_eq!(open(&Image::default()).unwrap().1.outcome, RecoveryOutcome::Created);
}

#[test]
fn a_mark_that_is_damaged_or_of_another_volume_says_nothing() {
    for byte in [0, 10, 30, 36, 43] {
        let mut image = killed();
        image.damage("synced.mark", |bytes| bytes[byte] ^= 1);
        assert_eq!(open(&image).unwrap().1.outcome, RecoveryOutcome::Whole, "byte {byte}");
    }
    let mut image = killed();
    let others = image.contents().remove("synced.mark").unwrap();
    image = Image::default();
    image.add("synced.mark", others);
    let settings = Settings { volume: [8; 16], ..SETTINGS };
    let storage = Arc::new(ImageStorage::over(image));
    assert_eq!(Journal::open(storage, settings).unwrap().1.outcome, RecoveryOutcome::Created);
}

#[test]
fn the_removal_of_an_empty_journal_is_no_damage_wherever_it_ends() {
    let storage = ImageStorage::over(killed());
    let journal = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap().0;
    journal.mark_replayed(journal.head()).unwrap();
    assert!(journal.is_empty());
    storage.record();
    hotbay_journal::remove(&storage).unwrap();
    assert!(storage.image().contents().is_empty());
    let ends = storage.take_recorded();
    assert!(ends.len() > 3);
    for (step, image) in ends {
        for keeps in [true, false] {
            let opened = open(&image.crashed(&mut || keeps));
            assert!(opened.is_ok_and(|(journal, _)| journal.is_empty()), "{step:?} {keeps}");
        }
    }
}

#[test]
fn a_record_of_another_place_is_no_record() {
    let image = flushed().image();
    let names = segment_names(&image);
    let mut copied = image.clone();
    let other = image.contents().remove(&names[0]).unwrap();
    copied.damage(&names[1], |bytes| *bytes = other);
    assert!(matches!(open(&copied), Err(OpenError::Damaged(_))));
}

/// A journal with flushed data and then records that were not flushed.
fn with_unflushed() -> (ImageStorage, Sequence) {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    write(&journal, 0, 4, 1);
    journal.sync().unwrap();
    let flushed = journal.head();
    for value in 2..5 {
        write(&journal, u64::from(value), 1, value);
    }
    (storage, flushed)
}

#[test]
fn a_torn_tail_is_cut_and_never_read_again() {
    let (storage, flushed) = with_unflushed();
    let mut image = storage.image();
    let name = segment_names(&image).remove(0);
    let report = scan(&storage, None).unwrap();
    let records = &report.segments[0].records;
    let torn = records.iter().find(|r| r.kind == Kind::Write && r.sequence > flushed).unwrap();
    image.damage(&name, |bytes| bytes[usize::try_from(torn.position).unwrap() + 40] ^= 1);

    let storage = ImageStorage::over(image);
    let (journal, recovery) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    let expected = RecoveryOutcome::TornTail {
        segment: report.segments[0].number,
        position: torn.position,
        sequence: torn.sequence,
    };
    assert_eq!((recovery.outcome, journal.head()), (expected, flushed));
    // The same bytes again in the place of the torn record: what follows it must not come to life.
    write(&journal, 2, 1, 2);
    drop(journal);
    let (journal, _) = Journal::open(Arc::new(storage), SETTINGS).unwrap();
    assert_eq!(journal.head(), torn.sequence);
    assert_eq!(journal.live_after(0, journal.head(), u64::MAX).unwrap().len(), 3);
}

#[test]
fn rot_after_the_scan_is_not_replayed_nor_moved() {
    let storage = flushed();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    let report = scan(&storage, None).unwrap();
    let last = report.segments.last().unwrap();
    let record = last.records.iter().rfind(|r| r.kind == Kind::Write).unwrap();
    let name = segment_names(&storage.image()).pop().unwrap();
    storage.damage(&name, |bytes| {
        bytes[usize::try_from(record.position + 40 + record.length).unwrap() - 1] ^= 1;
    });
    let found = journal.live_after(record.offset, journal.head(), 1).unwrap_err();
    assert!(
        matches!(found, JournalError::Corrupt { position, sequence, .. }
            if (position, sequence) == (record.position, record.sequence)),
        "{found:?}"
    );
    // One record's damage is no failure of the journal.
    write(&journal, 0, 1, 1);
    journal.sync().unwrap();
}

#[test]
fn rot_is_not_given_a_new_checksum_by_relocation() {
    let storage = ImageStorage::default();
    let (journal, _) = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap();
    write(&journal, 0, 2, 1);
    // The second block stays live, in a segment that is dead but for it.
    write(&journal, 0, 1, 2);
    write(&journal, 2, 600, 3);
    write(&journal, 2, 600, 4);
    journal.sync().unwrap();
    let report = scan(&storage, None).unwrap();
    let first = &report.segments[0].records[0];
    let name = segment_names(&storage.image()).remove(0);
    let second_block = usize::try_from(first.position + 40 + BLOCK).unwrap();
    storage.damage(&name, |bytes| bytes[second_block + 7] ^= 1);
    for _ in 0..2 {
        let found = journal.reclaim_step().unwrap_err();
        assert!(
            matches!(found, JournalError::Corrupt { sequence, .. } if sequence == first.sequence),
            "{found:?}"
        );
    }
}

#[test]
fn a_newer_format_is_refused_as_such() {
    let mut image = flushed().image();
    let name = segment_names(&image).pop().unwrap();
    image.damage(&name, |bytes| bytes[8] = 2);
    let refused = open(&image).unwrap_err();
    assert!(
        matches!(refused, OpenError::Scan(ScanError::NewerVersion { version: 2, .. })),
        "{refused:?}"
    );
}

#[test]
fn scanning_changes_nothing() {
    let (unflushed, _) = with_unflushed();
    let torn = unflushed.image().crashed(&mut alternately());
    for image in [flushed().image(), unflushed.image(), torn, Image::default()] {
        let storage = ImageStorage::over(image.clone());
        scan(&storage, Some(SETTINGS.volume)).unwrap();
        assert_eq!(storage.take_steps(), Vec::<Step>::new());
        assert!(storage.image().contents() == image.contents());
    }
}

fn alternately() -> impl FnMut() -> bool {
    let mut keep = false;
    move || {
        keep = !keep;
        keep
    }
}

#[test]
fn files_that_are_not_segments_are_left_alone() {
    let mut image = flushed().image();
    image.add("notes.txt", b"mine".to_vec());
    let (journal, _) = open(&image).unwrap();
    drop(journal);
    let storage = ImageStorage::over(image);
    drop(Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap());
    assert_eq!(storage.image().contents().get("notes.txt").map(Vec::as_slice), Some(&b"mine"[..]));
}

#[test]
fn what_is_whole_can_be_salvaged() {
    let storage = flushed();
    let journal = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap().0;
    let live = journal.live_after(0, journal.head(), u64::MAX).unwrap();
    let report = scan(&storage, None).unwrap();
    assert_eq!(salvage(&storage, &report).unwrap(), live);

    let newest = live.iter().max_by_key(|extent| extent.sequence).unwrap();
    let first = report.segments.first().unwrap();
    let torn = *first.records.iter().rfind(|record| record.kind == Kind::Write).unwrap();
    let name = segment_names(&storage.image()).remove(0);
    storage.damage(&name, |bytes| bytes[usize::try_from(torn.position).unwrap() + 50] ^= 1);
    let report = scan(&storage, None).unwrap();
    assert!(matches!(report.verdict, Verdict::Damaged(_)));
    let _ = storage.take_steps();
    let salvaged = salvage(&storage, &report).unwrap();
    assert!(salvaged.contains(newest), "what lies behind the damage is there");
    assert!(salvaged.iter().all(|extent| extent.sequence != torn.sequence));
    assert_eq!(storage.take_steps(), []);
}

#[test]
fn what_lies_behind_damage_in_the_same_segment_is_salvaged() {
    let storage = flushed();
    let journal = Journal::open(Arc::new(storage.clone()), SETTINGS).unwrap().0;
    let live = journal.live_after(0, journal.head(), u64::MAX).unwrap();
    let report = scan(&storage, None).unwrap();
    let first = report.segments.first().unwrap();
    let torn = *first.records.iter().find(|record| record.kind == Kind::Write).unwrap();
    let name = segment_names(&storage.image()).remove(0);
    storage.damage(&name, |bytes| bytes[usize::try_from(torn.position).unwrap() + 50] ^= 1);
    let salvaged = salvage(&storage, &scan(&storage, None).unwrap()).unwrap();
    let mut others = live.iter().filter(|extent| extent.sequence != torn.sequence);
    assert!(others.all(|extent| salvaged.contains(extent)), "one record is lost, and no other");
    assert!(salvaged.iter().all(|extent| extent.sequence != torn.sequence));
}

/// With its header a segment loses what it says of the older ones as well.
#[test]
fn a_lost_header_costs_the_records_of_its_segment_alone() {
    let whole = flushed();
    let journal = Journal::open(Arc::new(whole.clone()), SETTINGS).unwrap().0;
    let live = journal.live_after(0, journal.head(), u64::MAX).unwrap();
    let segments = scan(&whole, None).unwrap().segments;
    for (segment, name) in segments.iter().zip(segment_names(&whole.image())) {
        let storage = ImageStorage::over(whole.image());
        storage.damage(&name, |bytes| bytes[20] ^= 1);
        let report = scan(&storage, Some(SETTINGS.volume)).unwrap();
        assert!(matches!(report.verdict, Verdict::Damaged(_)), "{name}");
        let salvaged = salvage(&storage, &report).unwrap();
        let is_lost = |s: Sequence| segment.records.iter().any(|record| record.sequence == s);
        for other in live.iter().filter(|extent| !is_lost(extent.sequence)) {
            // Without what was lost beside it, its record may reach further.
            let of_it = salvaged.iter().filter(|found| found.sequence == other.sequence);
            let found: u64 = of_it
                .filter_map(|found| found.extent.intersection(other.extent))
                .map(Extent::length)
                .sum();
            assert_eq!(found, other.extent.length(), "{name}: {}", other.extent);
        }
    }
}

#[test]
fn a_reader_knows_whether_what_it_has_read_is_still_there() {
    let storage = flushed();
    let report = scan(&storage, None).unwrap();
    assert!(is_still_there(&storage, &report).unwrap());
    let mut image = storage.image();
    image.add("notes.txt", b"mine".to_vec());
    let oldest = segment_names(&image).remove(0);
    image.lose(&oldest);
    assert!(!is_still_there(&ImageStorage::over(image), &report).unwrap());
}

#[test]
fn a_report_tells_which_segments_count() {
    let report = scan(&flushed(), None).unwrap();
    assert_eq!(report.verdict, Verdict::Whole);
    assert_eq!(report.volume.unwrap().size_bytes, SETTINGS.size_bytes);
    assert!(report.segments.iter().all(|s| s.status == SegmentStatus::Needed));
    assert!(
        report.segments.windows(2).all(|pair| pair[0].next_sequence() <= pair[1].first_sequence())
    );
}
