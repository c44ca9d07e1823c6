//! The index against an array that knows, for each byte, the newest change to it.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::record::Seed;
use crate::segment::{Segment, SegmentState, Stage};
use crate::storage::SegmentFile;

const VOLUME_BYTES: u64 = 64;

struct NoFile;

impl SegmentFile for NoFile {
    fn len(&self) -> u64 {
        0
    }
    fn write_at(&self, _: &[std::io::IoSlice<'_>], _: u64) -> std::io::Result<()> {
        unreachable!("the index does no I/O")
    }
    fn sync_data(&self) -> std::io::Result<()> {
        unreachable!("the index does no I/O")
    }
    fn erase_from(&self, _: u64) -> std::io::Result<()> {
        unreachable!("the index does no I/O")
    }
    fn view(&self, _: u64, _: u64) -> bytes::Bytes {
        unreachable!("the index does no I/O")
    }
}

fn index_with_segments(count: u64) -> Index {
    let mut index = Index::default();
    for number in 0..count {
        let segment = Segment {
            number,
            length: 1 << 20,
            first: Sequence::FIRST,
            records_at: 0,
            seed: Seed::of(&[0; 16], number),
            file: Box::new(NoFile),
        };
        index.segments.add(SegmentState {
            segment: Arc::new(segment),
            next: Sequence::FIRST,
            stage: Stage::Sealed,
            live_extents: 0,
            live_cost: 0,
        });
    }
    index
}

/// What a byte holds: the sequence, and for data the place of this very byte in the segment.
type Byte = Option<(Sequence, Holds, Option<u64>)>;

fn bytes_of(index: &Index, within: Extent) -> Vec<Byte> {
    let mut bytes = vec![None; usize::try_from(within.length()).unwrap()];
    for (extent, entry) in index.overlapping(within) {
        for (byte, place) in within.range_of(extent).zip(entry.payload()..) {
            assert!(bytes[byte].is_none(), "extents do not overlap");
            let place = (entry.holds() == Holds::Data).then_some(place);
            bytes[byte] = Some((entry.sequence, entry.holds(), place));
        }
    }
    bytes
}

fn counted_again(index: &Index) -> (u64, Vec<(u64, u64)>) {
    let mut segments = vec![(0, 0); index.segments.iter().count()];
    let mut live_bytes = 0;
    for (_, entry) in index.iter() {
        let at = &mut segments[usize::try_from(entry.slot.0).unwrap()];
        at.0 += 1;
        at.1 += stored_bytes(entry.data_bytes());
        live_bytes += entry.data_bytes();
    }
    (live_bytes, segments)
}

proptest! {
    #[test]
    fn agrees_with_an_array(
        changes in prop::collection::vec((0..VOLUME_BYTES, 1u64..24, 0u32..3, 0u32..3), 1..60),
        dropped in 0u64..40,
        step in 1usize..5,
        (from, length) in (0..VOLUME_BYTES, 0..VOLUME_BYTES),
    ) {
        let mut index = index_with_segments(3);
        let mut model: Vec<Byte> = vec![None; usize::try_from(VOLUME_BYTES).unwrap()];
        for (number, (offset, length, kind, slot)) in (1u64..).zip(changes) {
            let length = length.min(VOLUME_BYTES - offset);
            let holds = [Holds::Data, Holds::Zeroes, Holds::Trimmed][usize::try_from(kind).unwrap()];
            let (sequence, payload) = (Sequence::new(number), number * 1000);
            let entry = Entry::new(holds, sequence, length, Slot(slot), (number * 8, payload));
            prop_assert_eq!((entry.record(), entry.holds()), (number * 8, holds));
            index.insert(offset, entry);
            for (byte, place) in (offset..offset + length).zip(payload..) {
                let place = (holds == Holds::Data).then_some(place);
                model[usize::try_from(byte).unwrap()] = Some((sequence, holds, place));
            }
        }
        prop_assert_eq!(&bytes_of(&index, Extent::between(0, VOLUME_BYTES)), &model);

        let mut next = Some(0);
        while let Some(at) = next {
            next = index.drop_up_to(Sequence::new(dropped), at, step);
        }
        for byte in &mut model {
            *byte = byte.filter(|(sequence, ..)| sequence.get() > dropped);
        }
        let window = Extent::between(from, (from + length).min(VOLUME_BYTES));
        let whole = Extent::between(0, VOLUME_BYTES);
        prop_assert_eq!(&bytes_of(&index, whole), &model);
        prop_assert_eq!(&bytes_of(&index, window)[..], &model[whole.range_of(window)]);
        let kept: Vec<(u64, u64)> =
            index.segments.iter().map(|(_, s)| (s.live_extents, s.live_cost)).collect();
        prop_assert_eq!(counted_again(&index), (index.live_bytes(), kept));
    }
}

#[test]
fn an_extent_takes_32_bytes() {
    assert_eq!(size_of::<u64>() + size_of::<Entry>(), 32);
}
