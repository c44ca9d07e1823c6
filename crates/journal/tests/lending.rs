//! What is lent of a journal, with what comes behind it, is what the journal holds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use hotbay_block::{Extent, Lent, Payload, Pipe};
use hotbay_journal::{Change, Content, FileStorage, Journal, PartlyLent, Piece, Settings};
use proptest::prelude::*;
use tempfile::TempDir;

const KIB: u64 = 1 << 10;
const SETTINGS: Settings = Settings { volume: [3; 16], size_bytes: 1 << 30, limit_bytes: 64 << 20 };

fn journal() -> (TempDir, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let storage = FileStorage::open(directory.path().join("a")).unwrap();
    let (journal, _) = Journal::open(Arc::new(storage), SETTINGS).unwrap();
    (directory, journal)
}

/// A byte for each place that tells it from its neighbours.
fn write(offset: u64, length: u64) -> Change {
    let byte_at = |place: u64| (place / 251 + place) as u8;
    Change::Write { offset, data: (offset..offset + length).map(byte_at).collect() }
}

fn pipe(room_bytes: usize) -> Option<Pipe> {
    let (reader, writer) = std::io::pipe().unwrap();
    let room_bytes = rustix::pipe::fcntl_setpipe_size(&writer, room_bytes).unwrap();
    Some(Pipe::new(reader, writer, room_bytes))
}

fn whole(PartlyLent { before, lent, after }: PartlyLent) -> Vec<u8> {
    let mut payload = Payload::default();
    add(&mut payload, before);
    lent.into_iter().for_each(|lent| payload.extend(lent.into()));
    add(&mut payload, after);
    payload.into_bytes().to_vec()
}

fn add(payload: &mut Payload, pieces: Vec<Piece>) {
    for piece in pieces {
        match piece.content.unwrap() {
            Content::Data(data) => {
                assert_eq!(data.len() as u64, piece.extent.length());
                payload.push(data);
            }
            Content::Zeroes | Content::Trimmed => payload.push_zeroes(piece.extent.len_in_memory()),
        }
    }
}

#[test]
fn what_is_lent_and_what_follows_are_what_the_journal_holds() {
    let (_directory, journal) = journal();
    let changes = [
        // Records that follow each other, and do not begin with a page.
        write(0, 200 * KIB),
        write(200 * KIB, 256 * KIB),
        write(456 * KIB, 1000 * KIB),
        // Long data, cut in its middle by what is short, and by zeroes.
        write(2048 * KIB, 512 * KIB),
        write(2348 * KIB, 4 * KIB),
        Change::Zeroes(Extent::between(2448 * KIB, 2452 * KIB)),
    ];
    for change in changes {
        journal.append(&[change]).unwrap();
    }
    for (offset, length, room, at_least) in [
        (0, 1024 * KIB, 1 << 20, 1000 * KIB),
        (0, 1024 * KIB, 64 << 10, 48 * KIB),
        (4 * KIB, 700 * KIB, 1 << 20, 700 * KIB),
        (100 * KIB, 256 * KIB, 1 << 20, 256 * KIB),
        (2048 * KIB, 512 * KIB, 1 << 20, 400 * KIB),
        // What is short comes before it.
        (190 * KIB, 200 * KIB, 1 << 20, 190 * KIB),
        (2448 * KIB, 100 * KIB, 1 << 20, 96 * KIB),
    ] {
        let extent = Extent::between(offset, offset + length);
        let (mut pipe, expected) =
            (pipe(room), whole(PartlyLent::nothing_of(journal.pieces(extent))));
        let read = journal.lend(extent, &mut pipe);
        let lent_bytes = read.lent.as_ref().map_or(0, Lent::len) as u64;
        assert!(lent_bytes >= at_least, "{extent:?}: {lent_bytes} bytes are lent");
        assert!(whole(read) == expected, "{extent:?}");
    }
}

#[test]
fn nothing_is_lent_of_what_is_short_or_not_held_in_full() {
    let (_directory, journal) = journal();
    journal.append(&[write(0, 500 * KIB)]).unwrap();
    for at in 0..64 {
        journal.append(&[write((512 + at * 16) * KIB, 16 * KIB)]).unwrap();
    }
    let (not_in_full, short) =
        (Extent::between(0, 512 * KIB), Extent::between(512 * KIB, 1536 * KIB));
    for extent in [not_in_full, short] {
        let mut pipe = pipe(1 << 20);
        let PartlyLent { before, lent, after } = journal.lend(extent, &mut pipe);
        assert!(lent.is_none() && pipe.is_some() && after.is_empty(), "{extent:?}");
        assert_eq!(before, journal.pieces(extent));
    }
}

#[test]
fn what_is_lent_stays_whatever_becomes_of_the_journal() {
    let (directory, journal) = journal();
    let change = write(0, 512 * KIB);
    let extent = change.extent();
    journal.append(&[change]).unwrap();
    let expected = whole(PartlyLent::nothing_of(journal.pieces(extent)));
    let read = journal.lend(extent, &mut pipe(1 << 20));
    journal.append(&[Change::Write { offset: 0, data: vec![9; 512 << 10].into() }]).unwrap();
    drop((journal, directory));
    assert!(read.lent.is_some() && whole(read) == expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_over_what_the_bytes_are_the_same(
        changes in prop::collection::vec((0u64..2048, 1u64..200, 0u8..6), 20..60),
        reads in prop::collection::vec((0u64..2048, 1u64..1024, 12usize..21), 30),
    ) {
        let (_directory, journal) = journal();
        journal.append(&[write(0, 1024 * KIB), write(1024 * KIB, 2048 * KIB)]).unwrap();
        for (at, length, kind) in changes {
            let extent = Extent::between(at * KIB + 512, (at + length) * KIB);
            let change = match kind {
                0 => Change::Zeroes(extent),
                1 => Change::Trim(extent),
                _ => Change::Write {
                    offset: extent.offset(),
                    data: vec![kind + length as u8; extent.len_in_memory()].into(),
                },
            };
            journal.append(&[change]).unwrap();
        }
        for (at, length, room) in reads {
            let extent = Extent::between(at * KIB, (at + length) * KIB);
            let read = journal.lend(extent, &mut pipe(1 << room));
            prop_assert!(whole(read) == whole(PartlyLent::nothing_of(journal.pieces(extent))));
        }
    }
}
