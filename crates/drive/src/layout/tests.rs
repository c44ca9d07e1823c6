use bytes::Bytes;
use futures_util::FutureExt as _;
use gpt::GptConfig;
use hotbay_block::{Checked, Durability, ErrorKind, Hole, MemoryDevice, Request, Speed};
use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn members(sizes: &[u64]) -> Vec<Member> {
    let member = |(number, size): (usize, &u64)| Member {
        name: format!("volume-{number}"),
        id: Uuid::from_u128(number as u128 + 1),
        device: Arc::new(MemoryDevice::new(*size)),
        length: *size,
    };
    sizes.iter().enumerate().map(member).collect()
}

fn linear_disk(sizes: &[u64]) -> Joined {
    Joined::new("disk", linear(members(sizes)).unwrap())
}

fn partitioned(sizes: &[u64]) -> Joined {
    Joined::new("disk", partitions([7; 16], members(sizes)).unwrap())
}

fn ask(disk: &Joined, request: Request) -> hotbay_block::Result<Bytes> {
    let answer = disk.execute(request).answer().now_or_never().expect("memory answers at once");
    answer.map(|reply| match reply {
        hotbay_block::Reply::Data(data) => data.into_bytes(),
        hotbay_block::Reply::Done => Bytes::new(),
    })
}

fn read(disk: &Joined, offset: u64, length: u64) -> Bytes {
    ask(disk, Request::read(Extent::between(offset, offset + length))).unwrap()
}

fn write(disk: &Joined, offset: u64, data: Bytes) -> hotbay_block::Result<Bytes> {
    let extent = Extent::between(offset, offset + data.len() as u64);
    ask(disk, Request::Write { extent, data, durability: Durability::Deferred })
}

/// The table's bytes as a disk that another reader of such tables opens.
fn image(disk: &Joined) -> std::io::Cursor<Vec<u8>> {
    std::io::Cursor::new(read(disk, 0, disk.info().size_bytes).to_vec())
}

#[test]
fn a_table_is_read_as_it_was_meant() {
    let disk = partitioned(&[3 * MIB, MIB + 512, 5 * MIB]);
    assert_eq!(disk.info().size_bytes, (1 + 3 + 2 + 5 + 1) * MIB);
    let table = GptConfig::new().only_valid_headers(true).open_from_device(image(&disk)).unwrap();
    assert_eq!(*table.guid(), Uuid::from_bytes([7; 16]));
    let found: Vec<_> = table.partitions().values().collect();
    let places: Vec<_> =
        found.iter().map(|p| (p.first_lba * 512, (p.last_lba + 1) * 512)).collect();
    assert_eq!(places, [(MIB, 4 * MIB), (4 * MIB, 5 * MIB + 512), (6 * MIB, 11 * MIB)]);
    assert_eq!(found[1].name, "volume-1");
    assert_eq!(found[1].part_guid, Uuid::from_u128(2));
}

#[test]
fn a_table_cannot_be_changed_but_written_back() {
    let disk = partitioned(&[MIB + 512]);
    let (before, last) = (read(&disk, 0, 64 << 10), disk.info().size_bytes - 512);
    write(&disk, 0, before.clone()).unwrap();
    write(&disk, last, read(&disk, last, 512)).unwrap();
    let refused = |offset, byte| {
        let answer = write(&disk, offset, Bytes::from(vec![byte; 512]));
        answer.expect_err("it is refused").kind()
    };
    for offset in [0, 512, 1024, last, 2 * MIB + 512] {
        assert_eq!(refused(offset, 0xEE), ErrorKind::ReadOnly, "at {offset}");
    }
    let zero = |offset, length| {
        let extent = Extent::between(offset, offset + length);
        let (hole, durability) = (Hole::Allowed, Durability::Stable);
        ask(&disk, Request::zero(extent, hole, durability))
    };
    assert_eq!(zero(512, 512).unwrap_err().kind(), ErrorKind::ReadOnly);
    zero(FIRST_GAP, 512).unwrap();
    let extent = Extent::between(0, disk.info().size_bytes);
    ask(&disk, Request::Trim { extent, durability: Durability::Deferred }).unwrap();
    assert_eq!(read(&disk, 0, 64 << 10), before);
}

#[test]
fn zeroes_that_must_be_quick_are_of_one_volume() {
    let disk = linear_disk(&[MIB, MIB]);
    let ones = Bytes::from(vec![1; 2 << 20]);
    write(&disk, 0, ones.clone()).unwrap();
    let quick = |from, to| {
        let (hole, speed, durability) = (Hole::Allowed, Speed::Fast, Durability::Deferred);
        ask(&disk, Request::Zero { extent: Extent::between(from, to), hole, speed, durability })
    };
    assert_eq!(quick(MIB - 512, MIB + 512).unwrap_err().kind(), ErrorKind::Slow);
    assert_eq!(read(&disk, 0, 2 * MIB), ones, "nothing is changed");
    quick(0, MIB).unwrap();
    quick(MIB, 2 * MIB).unwrap();
    assert_eq!(read(&disk, 0, 2 * MIB), vec![0; 2 << 20]);
}

/// Behind the first table.
const FIRST_GAP: u64 = 34 * 512;

#[test]
fn a_change_that_touches_the_table_changes_nothing_else() {
    let disk = partitioned(&[MIB]);
    let across = write(&disk, 2 * MIB - 512, Bytes::from(vec![0xEE; 1024]));
    assert_eq!(across.unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(read(&disk, 2 * MIB - 512, 512), vec![0; 512]);
}

#[test]
fn more_volumes_than_partitions_are_refused() {
    assert!(partitions([7; 16], members(&[512; PARTITIONS_MAX])).is_ok());
    let refused = partitions([7; 16], members(&[512; PARTITIONS_MAX + 1])).unwrap_err();
    assert!(refused.message().contains("129 volumes are too many"), "{refused}");
}

#[test]
fn a_disk_that_is_too_large_is_refused() {
    let mut huge = members(&[4096, 4096]);
    huge.iter_mut().for_each(|member| member.length = 1 << 62);
    for areas in [linear(huge.clone()), partitions([7; 16], huge)] {
        assert!(areas.unwrap_err().message().contains("larger than one disk may be"));
    }
}

#[tokio::test]
async fn joined_disks_pass_the_suite() {
    let disk = linear_disk(&[4096, 2 * MIB, 3 * MIB]);
    hotbay_block::conformance::check(&Checked::new(disk)).await;
}

proptest! {
    /// A linear disk is one array of bytes, wherever its seams are.
    #[test]
    fn a_linear_disk_is_like_one_array(
        blocks in prop::collection::vec(1u64..5, 1..5),
        writes in prop::collection::vec((0u64..80_000, 1u64..20_000, any::<u8>()), 1..40),
    ) {
        let sizes: Vec<u64> = blocks.iter().map(|count| count * 4096).collect();
        let disk = linear_disk(&sizes);
        let size = disk.info().size_bytes;
        let mut model = vec![0; usize::try_from(size).unwrap()];
        for (offset, length, byte) in writes {
            let (offset, end) = (offset.min(size - 1), (offset + length).min(size));
            if offset >= end { continue; }
            let extent = Extent::between(offset, end);
            write(&disk, offset, Bytes::from(vec![byte; extent.len_in_memory()])).unwrap();
            model[Extent::between(0, size).range_of(extent)].fill(byte);
            prop_assert_eq!(&read(&disk, offset, end - offset)[..], &model[Extent::between(0, size).range_of(extent)]);
        }
        prop_assert_eq!(&read(&disk, 0, size)[..], &model[..]);
    }
}
