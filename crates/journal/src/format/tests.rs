//! `docs/journal-format.md` and the code say the same, and headers survive the way to disk and back.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::record::Kind;

const DOCUMENT: &str = include_str!("../../../../docs/journal-format.md");

/// The rows of the table whose heading has `title` among its cells.
fn table(title: &str) -> Vec<Vec<&'static str>> {
    let rows = DOCUMENT
        .lines()
        .map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).collect::<Vec<_>>());
    let mut rows = rows.skip_while(|row| !row.contains(&title)).skip(2);
    let body: Vec<_> = rows.by_ref().take_while(|row| row.len() > 2).collect();
    assert!(!body.is_empty(), "the document has a table of {title}");
    body
}

fn documented_fields(title: &str) -> Vec<(&'static str, Field)> {
    let number = |cell: &str| cell.parse().unwrap();
    let rows = table(title).into_iter();
    rows.map(|row| (row[3], Field { offset: number(row[1]), length: number(row[2]) })).collect()
}

macro_rules! fields {
    ($module:ident: $($name:ident)*) => {
        ([$((stringify!($name), $module::$name)),*], $module::BYTES)
    };
}

fn check_fields<const N: usize>(title: &str, (fields, bytes): ([(&'static str, Field); N], usize)) {
    assert_eq!(documented_fields(title), fields);
    let mut end = 0;
    for (name, field) in fields {
        assert_eq!(field.offset, end, "{name} follows the field before it");
        end = field.end();
    }
    assert_eq!(end, bytes);
}

#[test]
fn the_document_has_every_field_in_its_place() {
    check_fields(
        "segment field",
        fields!(segment: MAGIC VERSION INVENTORY_COUNT VOLUME VOLUME_BYTES NUMBER LENGTH FIRST_SEQUENCE
            SYNCED REPLAYED INVENTORY_CRC HEADER_CRC),
    );
    check_fields("inventory field", fields!(inventory: NUMBER FIRST_SEQUENCE NEXT_SEQUENCE));
    check_fields("mark field", fields!(mark: MAGIC VOLUME SEGMENT SYNCED CRC));
    check_fields(
        "record field",
        fields!(record: MAGIC KIND SEQUENCE OFFSET LENGTH PAYLOAD_CRC HEADER_CRC),
    );
}

#[test]
fn the_document_has_every_constant_and_kind() {
    let documented: BTreeMap<&str, u64> =
        table("constant").into_iter().map(|row| (row[1], row[2].parse().unwrap())).collect();
    let constants = [
        ("ALIGNMENT", ALIGNMENT),
        ("PAYLOAD_MAX", PAYLOAD_MAX),
        ("EXTENT_MAX", EXTENT_MAX),
        ("SPLIT_BYTES", SPLIT_BYTES),
        ("MARK_BYTES", MARK_BYTES),
        ("CONTROL_BYTES", CONTROL_BYTES),
        ("LIMIT_MIN", LIMIT_MIN),
        ("SEGMENTS_MAX", SEGMENTS_MAX),
    ];
    assert_eq!(documented, BTreeMap::from(constants));
    let kinds: Vec<(String, u32)> =
        Kind::ALL.iter().map(|kind| (format!("{kind:?}").to_lowercase(), kind.code())).collect();
    let documented: Vec<(String, u32)> =
        table("kind").into_iter().map(|row| (row[2].to_owned(), row[1].parse().unwrap())).collect();
    assert_eq!(documented, kinds);
    assert!(DOCUMENT.contains(&format!("format version {FORMAT_VERSION}")));
    assert!(DOCUMENT.contains(std::str::from_utf8(&SEGMENT_MAGIC).unwrap()));
    assert!(DOCUMENT.contains(std::str::from_utf8(&MARK_MAGIC).unwrap()));
    assert!(DOCUMENT.contains(crate::mark::MARK_NAME));
}

#[test]
fn segments_are_a_sixteenth_of_the_limit_within_bounds() {
    assert_eq!(segment_bytes(LIMIT_MIN), 1 << 20);
    assert_eq!(segment_bytes(64 << 20), 4 << 20);
    assert_eq!(segment_bytes(1 << 30), 16 << 20);
    assert_eq!(segment_bytes(1 << 40), 64 << 20);
    for limit in [LIMIT_MIN + 12345, (100 << 20) + 1, (1 << 41) + 77, u64::MAX] {
        let length = segment_bytes(limit);
        assert!(length.is_multiple_of(SPLIT_BYTES) && length <= SEGMENT_MAX, "{limit}");
        assert!(length * SEGMENTS_TYPICAL <= limit, "{limit}");
    }
}

fn sequence() -> impl Strategy<Value = Sequence> {
    any::<u64>().prop_map(Sequence::new)
}

fn header() -> impl Strategy<Value = SegmentHeader> {
    let entry = (any::<u64>(), sequence(), sequence())
        .prop_map(|(number, first, next)| InventoryEntry { number, first, next });
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    let sequences = (sequence(), sequence(), sequence());
    (any::<[u8; 16]>(), numbers, sequences, prop::collection::vec(entry, 0..5)).prop_map(
        |(id, (size_bytes, number, length), (first, synced, replayed), inventory)| SegmentHeader {
            volume: VolumeStamp { id, size_bytes },
            number,
            length,
            first,
            synced,
            replayed,
            inventory,
        },
    )
}

proptest! {
    #[test]
    fn a_segment_header_survives_and_no_flipped_bit_does(header in header(), place: usize, bit in 0u32..8) {
        let mut bytes = header.encode();
        prop_assert_eq!(wide(bytes.len()), header.bytes());
        prop_assert_eq!(SegmentHeader::decode(&bytes, header.number), Ok(header.clone()));
        for end in 0..bytes.len() {
            prop_assert!(SegmentHeader::decode(&bytes[..end], header.number).is_err());
        }
        let place = place % bytes.len();
        bytes[place] ^= 1u8 << bit;
        prop_assert!(SegmentHeader::decode(&bytes, header.number).is_err());
    }

    #[test]
    fn a_mark_survives_and_no_flipped_bit_does(volume: [u8; 16], segment: u64, synced in sequence(), place: usize, bit in 0u32..8) {
        let mark = Mark { volume, segment, synced };
        let mut bytes = mark.encode();
        prop_assert_eq!(Mark::decode(&bytes), Some(mark));
        for end in 0..bytes.len() {
            prop_assert_eq!(Mark::decode(&bytes[..end]), None);
        }
        let place = place % bytes.len();
        bytes[place] ^= 1u8 << bit;
        prop_assert_eq!(Mark::decode(&bytes), None);
    }

    #[test]
    fn bytes_from_anywhere_are_no_header(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(SegmentHeader::decode(&bytes, 1), Err(HeaderFault::Invalid));
        prop_assert_eq!(RawRecord::decode(&bytes, 1, || 0), None);
    }

    #[test]
    fn a_count_that_is_too_high_is_no_header(header in header(), count: u32) {
        let mut bytes = header.encode();
        put(&mut bytes, segment::INVENTORY_COUNT, &count.to_le_bytes());
        let crc = header_crc(&bytes, segment::HEADER_CRC, 0);
        put(&mut bytes, segment::HEADER_CRC, &crc.to_le_bytes());
        let is_same = wide(header.inventory.len()) == u64::from(count);
        prop_assert_eq!(SegmentHeader::decode(&bytes, header.number).is_ok(), is_same);
    }
}
