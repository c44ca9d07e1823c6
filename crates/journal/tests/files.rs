//! A journal in a directory of the file system.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use bytes::Bytes;
use hotbay_block::Extent;
use hotbay_journal::{
    Change, Content, FileStorage, Journal, OpenError, Piece, RecoveryOutcome, Sequence, Settings,
};

const SETTINGS: Settings =
    Settings { volume: [7; 16], size_bytes: 1 << 30, limit_bytes: 256 << 20 };

fn open(path: &std::path::Path) -> (Journal, RecoveryOutcome) {
    let storage = Arc::new(FileStorage::open(path).unwrap());
    let (journal, recovery) = Journal::open(storage, SETTINGS).unwrap();
    (journal, recovery.outcome)
}

fn extent(offset: u64, length: u64) -> Extent {
    Extent::new(offset, length).unwrap()
}

fn piece(extent: Extent, content: Content) -> Piece {
    Piece { extent, content: Some(content) }
}

#[test]
fn what_was_appended_is_there_after_a_reopen() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("journal");
    let (journal, outcome) = open(&path);
    assert_eq!(outcome, RecoveryOutcome::Created);
    let data = Bytes::from_static(b"twelve bytes");
    journal
        .append(&[
            Change::Write { offset: 100, data: data.clone() },
            Change::Zeroes(extent(106, 2)),
            Change::Trim(extent(500, 1000)),
        ])
        .unwrap();
    let expected = vec![
        Piece { extent: extent(99, 1), content: None },
        piece(extent(100, 6), Content::Data(data.slice(..6))),
        piece(extent(106, 2), Content::Zeroes),
        piece(extent(108, 4), Content::Data(data.slice(8..))),
        Piece { extent: extent(112, 388), content: None },
        piece(extent(500, 10), Content::Trimmed),
    ];
    assert_eq!(journal.pieces(extent(99, 411)), expected);
    assert!(journal.covers(extent(100, 12)) && !journal.covers(extent(100, 13)));
    assert!(journal.touches(extent(0, 101)) && journal.touches(extent(509, 1)));
    assert!(!journal.touches(extent(0, 100)) && !journal.touches(extent(112, 388)));
    journal.close().unwrap();
    drop(journal);

    let (journal, outcome) = open(&path);
    assert_eq!(outcome, RecoveryOutcome::Whole);
    assert_eq!(journal.pieces(extent(99, 411)), expected);
    assert_eq!(journal.head(), Sequence::new(3));
    assert_eq!(journal.live_bytes_up_to(Sequence::new(1)), 10);
    assert_eq!(journal.live_after(0, journal.head(), 1 << 20).unwrap().len(), 4);
    journal.mark_replayed(journal.head()).unwrap();
    assert!(journal.is_empty());
    drop(journal);
    assert!(open(&path).0.is_empty());
}

#[test]
fn a_write_longer_than_a_segment_goes_into_several() {
    let place = tempfile::tempdir().unwrap();
    let (journal, _) = open(place.path());
    let data: Bytes = (0u32..16 << 20).flat_map(u32::to_le_bytes).collect();
    journal.append(&[Change::Write { offset: 4097, data: data.clone() }]).unwrap();
    journal.sync().unwrap();
    let read: Vec<u8> = journal
        .pieces(extent(4097, 64 << 20))
        .into_iter()
        .flat_map(|piece| match piece.content {
            Some(Content::Data(bytes)) => bytes,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(read == data);
    let live = journal.live_after(4097 + (1 << 20) + 5, journal.head(), 3 << 20).unwrap();
    let first = live.first().unwrap();
    assert_eq!(first.extent.offset(), 4097 + (1 << 20) + 5);
    assert!(live.iter().map(|it| it.extent.length()).sum::<u64>() >= 3 << 20);
}

#[test]
fn a_view_outlives_the_segment_and_the_journal() {
    let place = tempfile::tempdir().unwrap();
    let (journal, _) = open(place.path());
    journal.append(&[Change::Write { offset: 0, data: Bytes::from_static(b"kept") }]).unwrap();
    let pieces = journal.pieces(extent(0, 4));
    let filling = Bytes::from(vec![1; 17 << 20]);
    journal.append(&[Change::Write { offset: 4, data: filling }]).unwrap();
    journal.mark_replayed(journal.head()).unwrap();
    assert!(journal.delete_retired().unwrap());
    drop(journal);
    assert_eq!(pieces, [piece(extent(0, 4), Content::Data(Bytes::from_static(b"kept")))]);
}

#[test]
fn nobody_else_gets_at_the_files() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("journal");
    let (journal, _) = open(&path);
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in path.read_dir().unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    let second = FileStorage::open(&path).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock);
    drop(journal);
    FileStorage::open(&path).unwrap();
}

#[test]
fn another_volumes_journal_is_refused() {
    let place = tempfile::tempdir().unwrap();
    drop(open(place.path()));
    let attempt = |settings| {
        Journal::open(Arc::new(FileStorage::open(place.path()).unwrap()), settings).unwrap_err()
    };
    let other = attempt(Settings { volume: [8; 16], ..SETTINGS });
    assert!(matches!(other, OpenError::OtherVolume { found } if found == [7; 16]));
    let resized = attempt(Settings { size_bytes: 5, ..SETTINGS });
    assert!(matches!(resized, OpenError::OtherSize { found, expected: 5 } if found == 1 << 30));
    let small = attempt(Settings { limit_bytes: (16 << 20) - 1, ..SETTINGS });
    assert!(matches!(small, OpenError::LimitTooSmall { .. }));
}
