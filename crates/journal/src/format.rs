//! The bytes of a segment: fields, sizes and limits. `docs/journal-format.md` explains them; a test ties the two.
//!
//! Each offset follows from the field before it. All integers are little-endian.

use crate::Sequence;
use crate::checksum::{checksum, checksum_after};
use crate::mark::Mark;

/// What a segment file begins with.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"hotbayJL";
/// What a mark begins with.
pub(crate) const MARK_MAGIC: [u8; 8] = *b"hotbayJM";
/// The length of a mark's file.
pub(crate) const MARK_BYTES: u64 = 512;
/// The version that this code writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// Records and their payloads begin at multiples of this.
pub(crate) const ALIGNMENT: u64 = 8;
/// The most payload bytes of one record. It bounds what has to be read to check a single block of it.
pub(crate) const PAYLOAD_MAX: u64 = 1 << 20;
/// The longest extent of one record that carries no payload.
pub(crate) const EXTENT_MAX: u64 = 1 << 30;
/// A write is split at the end of a segment only where at least this much of it goes in, and at multiples of it.
pub(crate) const SPLIT_BYTES: u64 = 4096;
/// Kept free at the end of each segment for records that free space: `retired` and `replayed`.
pub(crate) const CONTROL_BYTES: u64 = 4096;
/// The least limit of a journal.
pub(crate) const LIMIT_MIN: u64 = SEGMENTS_TYPICAL * SEGMENT_MIN;
const SEGMENT_MIN: u64 = 1 << 20;
const SEGMENT_TYPICAL: u64 = 16 << 20;
const SEGMENTS_TYPICAL: u64 = 16;
/// More segments than this are avoided by making them longer: each has a memory map and an inventory entry.
pub(crate) const SEGMENTS_MAX: u64 = 16384;
/// The longest segment: places in it are kept in 32 bits.
const SEGMENT_MAX: u64 = 1 << 31;

/// The length of a segment of a journal with this limit.
pub(crate) fn segment_bytes(limit_bytes: u64) -> u64 {
    let usual = (limit_bytes / SEGMENTS_TYPICAL).clamp(SEGMENT_MIN, SEGMENT_TYPICAL);
    let length = usual.max(limit_bytes / SEGMENTS_MAX).min(SEGMENT_MAX);
    length - length % SPLIT_BYTES
}

/// Where a field lies in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) offset: usize,
    pub(crate) length: usize,
}

impl Field {
    const fn first(length: usize) -> Self {
        Self { offset: 0, length }
    }

    const fn then(self, length: usize) -> Self {
        Self { offset: self.offset + self.length, length }
    }

    const fn end(self) -> usize {
        self.offset + self.length
    }
}

/// The fields of a segment's header.
pub(crate) mod segment {
    use super::Field;

    pub(crate) const MAGIC: Field = Field::first(8);
    pub(crate) const VERSION: Field = MAGIC.then(4);
    pub(crate) const INVENTORY_COUNT: Field = VERSION.then(4);
    pub(crate) const VOLUME: Field = INVENTORY_COUNT.then(16);
    pub(crate) const VOLUME_BYTES: Field = VOLUME.then(8);
    pub(crate) const NUMBER: Field = VOLUME_BYTES.then(8);
    pub(crate) const LENGTH: Field = NUMBER.then(8);
    pub(crate) const FIRST_SEQUENCE: Field = LENGTH.then(8);
    pub(crate) const SYNCED: Field = FIRST_SEQUENCE.then(8);
    pub(crate) const REPLAYED: Field = SYNCED.then(8);
    pub(crate) const INVENTORY_CRC: Field = REPLAYED.then(4);
    pub(crate) const HEADER_CRC: Field = INVENTORY_CRC.then(4);
    pub(crate) const BYTES: usize = HEADER_CRC.end();
}

/// The fields of an entry of a segment's inventory.
pub(crate) mod inventory {
    use super::Field;

    pub(crate) const NUMBER: Field = Field::first(8);
    pub(crate) const FIRST_SEQUENCE: Field = NUMBER.then(8);
    pub(crate) const NEXT_SEQUENCE: Field = FIRST_SEQUENCE.then(8);
    pub(crate) const BYTES: usize = NEXT_SEQUENCE.end();
}

/// The fields of a record's header.
pub(crate) mod record {
    use super::Field;

    pub(crate) const MAGIC: Field = Field::first(4);
    pub(crate) const KIND: Field = MAGIC.then(4);
    pub(crate) const SEQUENCE: Field = KIND.then(8);
    pub(crate) const OFFSET: Field = SEQUENCE.then(8);
    pub(crate) const LENGTH: Field = OFFSET.then(8);
    pub(crate) const PAYLOAD_CRC: Field = LENGTH.then(4);
    pub(crate) const HEADER_CRC: Field = PAYLOAD_CRC.then(4);
    pub(crate) const BYTES: usize = HEADER_CRC.end();
}

/// The fields of a mark.
pub(crate) mod mark {
    use super::Field;

    pub(crate) const MAGIC: Field = Field::first(8);
    pub(crate) const VOLUME: Field = MAGIC.then(16);
    pub(crate) const SEGMENT: Field = VOLUME.then(8);
    pub(crate) const SYNCED: Field = SEGMENT.then(8);
    pub(crate) const CRC: Field = SYNCED.then(4);
    pub(crate) const BYTES: usize = CRC.end();
}

/// The bytes of a record's header, as a distance.
pub(crate) const RECORD_BYTES: u64 = wide(record::BYTES);

/// A size in memory as a distance in a file.
pub(crate) const fn wide(length: usize) -> u64 {
    #[expect(clippy::as_conversions, reason = "usize has at most 64 bits; TryFrom is not const")]
    {
        length as u64
    }
}

/// A distance in a segment as a size in memory.
pub(crate) fn narrow(length: u64) -> usize {
    usize::try_from(length).expect("a segment fits in memory, where it is mapped")
}

/// The next multiple of the alignment.
pub(crate) const fn aligned(length: u64) -> u64 {
    length.next_multiple_of(ALIGNMENT)
}

/// Fields of a header that may have been written by anyone; `None` where it is too short.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(self, field: Field) -> Option<[u8; N]> {
        self.0.get(field.offset..field.end())?.try_into().ok()
    }

    fn u32(self, field: Field) -> Option<u32> {
        self.array(field).map(u32::from_le_bytes)
    }

    fn u64(self, field: Field) -> Option<u64> {
        self.array(field).map(u64::from_le_bytes)
    }

    fn sequence(self, field: Field) -> Option<Sequence> {
        self.u64(field).map(Sequence::new)
    }
}

/// Puts a field in its place.
fn put(header: &mut [u8], field: Field, value: &[u8]) {
    header
        .get_mut(field.offset..field.end())
        .expect("a field lies within its header")
        .copy_from_slice(value);
}

/// The volume that a journal belongs to, as its segments say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeStamp {
    /// The volume's identifier.
    pub id: [u8; 16],
    /// The volume's size in bytes.
    pub size_bytes: u64,
}

/// What a segment's inventory says of an older segment that was still needed when it was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InventoryEntry {
    pub(crate) number: u64,
    pub(crate) first: Sequence,
    /// The sequence after its last record.
    pub(crate) next: Sequence,
}

/// The header of a segment whose checksums were right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) volume: VolumeStamp,
    pub(crate) number: u64,
    pub(crate) length: u64,
    pub(crate) first: Sequence,
    /// All records up to this one were synced before the segment was begun.
    pub(crate) synced: Sequence,
    /// All changes up to this one had been replayed before the segment was begun.
    pub(crate) replayed: Sequence,
    pub(crate) inventory: Vec<InventoryEntry>,
}

/// Why bytes are not a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Not written, torn or damaged.
    Invalid,
    /// Written by a newer program.
    NewerVersion(u32),
}

impl SegmentHeader {
    /// The bytes that a header with an inventory of `count` entries takes.
    pub(crate) fn bytes_with(count: usize) -> u64 {
        aligned(wide(segment::BYTES + count * inventory::BYTES))
    }

    /// The bytes that it takes; the first record follows.
    pub(crate) fn bytes(&self) -> u64 {
        Self::bytes_with(self.inventory.len())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let list = self.encode_inventory();
        let count = u32::try_from(self.inventory.len()).expect("segments are far fewer than 2^32");
        let mut header = vec![0; segment::BYTES];
        put(&mut header, segment::MAGIC, &SEGMENT_MAGIC);
        put(&mut header, segment::VERSION, &FORMAT_VERSION.to_le_bytes());
        put(&mut header, segment::INVENTORY_COUNT, &count.to_le_bytes());
        put(&mut header, segment::VOLUME, &self.volume.id);
        put(&mut header, segment::VOLUME_BYTES, &self.volume.size_bytes.to_le_bytes());
        put(&mut header, segment::NUMBER, &self.number.to_le_bytes());
        put(&mut header, segment::LENGTH, &self.length.to_le_bytes());
        put(&mut header, segment::FIRST_SEQUENCE, &self.first.get().to_le_bytes());
        put(&mut header, segment::SYNCED, &self.synced.get().to_le_bytes());
        put(&mut header, segment::REPLAYED, &self.replayed.get().to_le_bytes());
        put(&mut header, segment::INVENTORY_CRC, &checksum(&list).to_le_bytes());
        let crc = header_crc(&header, segment::HEADER_CRC, 0);
        put(&mut header, segment::HEADER_CRC, &crc.to_le_bytes());
        header.extend_from_slice(&list);
        header.resize(narrow(self.bytes()), 0);
        header
    }

    fn encode_inventory(&self) -> Vec<u8> {
        let mut list = Vec::with_capacity(self.inventory.len() * inventory::BYTES);
        for entry in &self.inventory {
            let mut bytes = [0; inventory::BYTES];
            put(&mut bytes, inventory::NUMBER, &entry.number.to_le_bytes());
            put(&mut bytes, inventory::FIRST_SEQUENCE, &entry.first.get().to_le_bytes());
            put(&mut bytes, inventory::NEXT_SEQUENCE, &entry.next.get().to_le_bytes());
            list.extend_from_slice(&bytes);
        }
        list
    }

    /// Reads the header at the start of a segment file named `number`.
    pub(crate) fn decode(file: &[u8], number: u64) -> Result<Self, HeaderFault> {
        let fields = Fields(file);
        if fields.array(segment::MAGIC) != Some(SEGMENT_MAGIC) {
            return Err(HeaderFault::Invalid);
        }
        // The version comes before the checksum, whose place a newer version may have changed.
        match fields.u32(segment::VERSION) {
            Some(FORMAT_VERSION) => {}
            Some(newer) if newer > FORMAT_VERSION => return Err(HeaderFault::NewerVersion(newer)),
            _ => return Err(HeaderFault::Invalid),
        }
        Self::decode_fields(fields, number).ok_or(HeaderFault::Invalid)
    }

    fn decode_fields(fields: Fields<'_>, number: u64) -> Option<Self> {
        let header = fields.0.get(..segment::BYTES)?;
        if fields.u32(segment::HEADER_CRC)? != header_crc(header, segment::HEADER_CRC, 0) {
            return None;
        }
        let count = usize::try_from(fields.u32(segment::INVENTORY_COUNT)?).ok()?;
        let end = count.checked_mul(inventory::BYTES)?.checked_add(segment::BYTES)?;
        let list = fields.0.get(segment::BYTES..end)?;
        if fields.u32(segment::INVENTORY_CRC)? != checksum(list) {
            return None;
        }
        let inventory =
            list.chunks_exact(inventory::BYTES).map(decode_entry).collect::<Option<_>>()?;
        let header = Self {
            volume: VolumeStamp {
                id: fields.array(segment::VOLUME)?,
                size_bytes: fields.u64(segment::VOLUME_BYTES)?,
            },
            number: fields.u64(segment::NUMBER)?,
            length: fields.u64(segment::LENGTH)?,
            first: fields.sequence(segment::FIRST_SEQUENCE)?,
            synced: fields.sequence(segment::SYNCED)?,
            replayed: fields.sequence(segment::REPLAYED)?,
            inventory,
        };
        (header.number == number).then_some(header)
    }
}

fn decode_entry(bytes: &[u8]) -> Option<InventoryEntry> {
    let fields = Fields(bytes);
    Some(InventoryEntry {
        number: fields.u64(inventory::NUMBER)?,
        first: fields.sequence(inventory::FIRST_SEQUENCE)?,
        next: fields.sequence(inventory::NEXT_SEQUENCE)?,
    })
}

impl Mark {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; mark::BYTES];
        put(&mut bytes, mark::MAGIC, &MARK_MAGIC);
        put(&mut bytes, mark::VOLUME, &self.volume);
        put(&mut bytes, mark::SEGMENT, &self.segment.to_le_bytes());
        put(&mut bytes, mark::SYNCED, &self.synced.get().to_le_bytes());
        let crc = header_crc(&bytes, mark::CRC, 0);
        put(&mut bytes, mark::CRC, &crc.to_le_bytes());
        bytes
    }

    /// `None` unless the file holds a mark that is whole.
    pub(crate) fn decode(file: &[u8]) -> Option<Self> {
        let bytes = file.get(..mark::BYTES)?;
        let fields = Fields(bytes);
        let is_whole = fields.array(mark::MAGIC)? == MARK_MAGIC
            && fields.u32(mark::CRC)? == header_crc(bytes, mark::CRC, 0);
        let mark = Self {
            volume: fields.array(mark::VOLUME)?,
            segment: fields.u64(mark::SEGMENT)?,
            synced: fields.sequence(mark::SYNCED)?,
        };
        is_whole.then_some(mark)
    }
}

/// The checksum of all that comes before the field that holds it.
fn header_crc(header: &[u8], crc: Field, seed: u32) -> u32 {
    let covered = header.get(..crc.offset).expect("the checksum is the last field");
    checksum_after(seed, covered)
}

/// The header of a record, as written and as read once its checksum was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawRecord {
    pub(crate) magic: u32,
    pub(crate) kind: u32,
    pub(crate) sequence: Sequence,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) payload_crc: u32,
}

impl RawRecord {
    /// `seed` is the checksum of what is not stored: whose record it is, and where.
    pub(crate) fn encode(&self, seed: u32) -> [u8; record::BYTES] {
        let mut header = [0; record::BYTES];
        put(&mut header, record::MAGIC, &self.magic.to_le_bytes());
        put(&mut header, record::KIND, &self.kind.to_le_bytes());
        put(&mut header, record::SEQUENCE, &self.sequence.get().to_le_bytes());
        put(&mut header, record::OFFSET, &self.offset.to_le_bytes());
        put(&mut header, record::LENGTH, &self.length.to_le_bytes());
        put(&mut header, record::PAYLOAD_CRC, &self.payload_crc.to_le_bytes());
        let crc = header_crc(&header, record::HEADER_CRC, seed);
        put(&mut header, record::HEADER_CRC, &crc.to_le_bytes());
        header
    }

    /// `None` unless the bytes begin with a header that was written with this magic and seed. The seed is
    /// only asked for where the magic is right.
    pub(crate) fn decode(bytes: &[u8], magic: u32, seed: impl FnOnce() -> u32) -> Option<Self> {
        let fields = Fields(bytes);
        if fields.u32(record::MAGIC)? != magic {
            return None;
        }
        let header = bytes.get(..record::BYTES)?;
        if fields.u32(record::HEADER_CRC)? != header_crc(header, record::HEADER_CRC, seed()) {
            return None;
        }
        Some(Self {
            magic,
            kind: fields.u32(record::KIND)?,
            sequence: fields.sequence(record::SEQUENCE)?,
            offset: fields.u64(record::OFFSET)?,
            length: fields.u64(record::LENGTH)?,
            payload_crc: fields.u32(record::PAYLOAD_CRC)?,
        })
    }
}

#[cfg(test)]
mod tests;
