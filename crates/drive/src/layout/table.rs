//! The partition table of a joined disk: a protective MBR, and a GPT at both ends (UEFI specification, section 5).
//!
//! Its sectors have 512 bytes, as those of NBD devices have.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use gpt::GptConfig;
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use gpt::partition_types;
use hotbay_block::Extent;
use uuid::Uuid;

/// A sector of the table's addresses.
pub(super) const SECTOR_BYTES: u64 = 512;

/// Partitions begin at multiples of this, as partitioning tools make them.
pub(super) const ALIGNMENT_BYTES: u64 = 1 << 20;

/// So many entries a table has that every tool reads.
pub(super) const PARTITIONS_MAX: usize = 128;

/// The entries, 128 bytes each.
const ENTRIES_BYTES: usize = PARTITIONS_MAX * 128;

/// MBR, header, entries.
const FIRST_BYTES: usize = 2 * SECTOR_BYTES as usize + ENTRIES_BYTES;

/// Entries, header.
const LAST_BYTES: usize = ENTRIES_BYTES + SECTOR_BYTES as usize;

/// A table that is being made.
pub(super) struct Table {
    disk: Uuid,
    partitions: BTreeMap<u32, Partition>,
}

impl Table {
    /// The empty table of the disk with this identity.
    pub(super) fn new(disk: Uuid) -> Self {
        Self { disk, partitions: BTreeMap::new() }
    }

    /// Adds a partition, whose extent is made of whole sectors. Of a long name the table keeps the first 36 characters.
    pub(super) fn add(&mut self, name: &str, id: Uuid, extent: Extent) {
        let number = u32::try_from(self.partitions.len() + 1).expect("a table has few partitions");
        let partition = Partition {
            part_type_guid: partition_types::LINUX_FS,
            part_guid: id,
            first_lba: extent.offset() / SECTOR_BYTES,
            last_lba: extent.end() / SECTOR_BYTES - 1,
            flags: 0,
            name: name.to_owned(),
        };
        self.partitions.insert(number, partition);
    }

    /// The first and the last bytes of a disk of `size_bytes` with this table on it.
    pub(super) fn written(self, size_bytes: u64) -> (Bytes, Bytes) {
        let ends = Ends::of(size_bytes);
        let Ends { first, last, .. } =
            self.write_to(ends).expect("a table fits at the ends of a disk of at least 2 MiB");
        (first.into(), last.into())
    }

    fn write_to(self, mut ends: Ends) -> Result<Ends, gpt::GptError> {
        let sectors = ends.size / SECTOR_BYTES;
        // Where 32 bits do not tell the length, all of them are set.
        let mbr = ProtectiveMBR::with_lb_size(u32::try_from(sectors - 1).unwrap_or(u32::MAX));
        mbr.overwrite_lba0(&mut ends).map_err(io::Error::other)?;
        let config = GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512);
        let mut table = config.create_from_device(ends, Some(self.disk))?;
        table.update_partitions(self.partitions)?;
        table.write()
    }
}

/// A disk of which only both ends can be written.
#[derive(Debug)]
struct Ends {
    size: u64,
    first: Vec<u8>,
    last: Vec<u8>,
    at: u64,
}

impl Ends {
    fn of(size: u64) -> Self {
        Self { size, first: vec![0; FIRST_BYTES], last: vec![0; LAST_BYTES], at: 0 }
    }

    /// The bytes from where it stands on, up to the end of the end that it stands in.
    fn here(&mut self) -> io::Result<&mut [u8]> {
        let last_from = self.size - self.last.len() as u64;
        let (bytes, from) = match self.at < last_from {
            true => (&mut self.first, 0),
            false => (&mut self.last, last_from),
        };
        usize::try_from(self.at - from)
            .ok()
            .and_then(|from| bytes.get_mut(from..))
            .ok_or_else(|| io::Error::other(format!("no part of the table is at {}", self.at)))
    }
}

impl Read for Ends {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = (&*self.here()?).read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.here()?.write(bytes)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(distance) => self.size.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.at.checked_add_signed(distance),
        };
        self.at = at.ok_or_else(|| io::Error::other("a place before the start of the disk"))?;
        Ok(self.at)
    }
}
