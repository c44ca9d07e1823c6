//! Volumes joined into one disk.
//!
//! ```text
//! partitions   │ table │ volume a   ┊ │ volume b ┊ │ table │     each volume begins at a multiple of 1 MiB;
//!              0      1 MiB                              end     the rest up to the next one (┊) is zeroes
//!
//! linear       │ volume a │ volume b │                           one after the other, in blocks of 4096 bytes
//! ```
//! A joined disk is a list of areas that lie side by side, and nothing more: each request goes to the areas that it
//! touches, each volume under it keeps its own medium, journal and state. In place of a volume there may be a mirror of
//! several. What the disk is made of follows from the identities, order and sizes of its parts alone, so that it is the
//! same after each start, with or without media.

mod area;
mod joined;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hotbay_block::{Device, Extent};
use uuid::Uuid;

use crate::failure::Refusal;
use crate::mirror::Mirror;
use crate::volume::Volume;

use area::{Area, Holds};
use joined::Joined;
use table::{ALIGNMENT_BYTES, PARTITIONS_MAX, SECTOR_BYTES, Table};

/// Of a linear disk no block lies on two media: file systems take one of this size to be written as a whole.
const LINEAR_BLOCK_BYTES: u64 = 4096;

/// The longest disk in bytes: what file systems and tools take for a size.
const DISK_BYTES_MAX: u64 = i64::MAX as u64 & !(ALIGNMENT_BYTES - 1);

/// How volumes are joined into one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// Each is a partition of it, in a table that cannot be written.
    Partitions,
    /// One after the other.
    Linear,
}

impl Joining {
    /// What a volume takes of the disk is a multiple of this. Bytes of a volume behind the last multiple are not on it.
    const fn unit_bytes(self) -> u64 {
        match self {
            Self::Partitions => SECTOR_BYTES,
            Self::Linear => LINEAR_BLOCK_BYTES,
        }
    }

    const fn tag(self) -> &'static [u8] {
        match self {
            Self::Partitions => b"partitions",
            Self::Linear => b"linear",
        }
    }
}

/// What lies on a joined disk in one piece.
#[derive(Clone, Debug)]
pub enum Part {
    /// A volume.
    Volume(Arc<Volume>),
    /// The one content of several volumes.
    Mirror(Arc<Mirror>),
}

impl Part {
    fn name(&self) -> &str {
        match self {
            Self::Volume(volume) => volume.name(),
            Self::Mirror(mirror) => mirror.name(),
        }
    }

    /// What identifies its content: an identity that it keeps, and a number that grows when the content is exchanged.
    fn content(&self) -> ([u8; 16], u64) {
        match self {
            Self::Volume(volume) => volume.content(),
            Self::Mirror(mirror) => (mirror.id(), mirror.content()),
        }
    }

    fn open(&self) -> Arc<dyn Device> {
        match self {
            Self::Volume(volume) => volume.open(),
            Self::Mirror(mirror) => mirror.open(),
        }
    }

    fn member(&self, joining: Joining) -> Result<Member, Refusal> {
        let (device, name) = (self.open(), self.name().to_owned());
        let (size, unit) = (device.info().size_bytes, joining.unit_bytes());
        let length = size - size % unit;
        if length == 0 {
            let what = match self {
                Self::Volume(_) => "volume",
                Self::Mirror(_) => "mirror",
            };
            return Err(Refusal::new(format!(
                "{what} {name} has {size} bytes, which is too small to be part of a disk"
            ))
            .hint(format!("each part of a joined disk has at least {unit} bytes")));
        }
        Ok(Member { name, id: Uuid::from_bytes(self.content().0), device, length })
    }
}

/// A part as one session sees it, and how much of it is on the disk.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    id: Uuid,
    device: Arc<dyn Device>,
    length: u64,
}

/// Volumes, and mirrors of volumes, as one disk.
#[derive(Debug)]
pub struct JoinedDisk {
    name: String,
    joining: Joining,
    parts: Vec<Part>,
}

impl JoinedDisk {
    /// The disk `name` of these parts in their order, at least one.
    ///
    /// # Errors
    /// Where there are more parts than a table has partitions, one of them is too small to be part of a disk, or all
    /// together are too large.
    pub fn new(name: &str, joining: Joining, parts: Vec<Part>) -> Result<Self, Refusal> {
        let disk = Self { name: name.to_owned(), joining, parts };
        disk.open()?;
        Ok(disk)
    }

    /// The disk for one session. Like a volume's own device it ends when the content of one of the parts is exchanged.
    ///
    /// # Errors
    /// Where a part has another size by now, with which it is none.
    pub fn open(&self) -> Result<Arc<dyn Device>, Refusal> {
        let members = self.parts.iter().map(|part| part.member(self.joining));
        let members = members.collect::<Result<_, _>>()?;
        let areas = match self.joining {
            Joining::Partitions => partitions(self.content().0, members)?,
            Joining::Linear => linear(members)?,
        };
        Ok(Arc::new(Joined::new(&self.name, areas)))
    }

    /// What identifies its content: an identity that it keeps, and a number that grows when that of a part is exchanged.
    #[must_use]
    pub fn content(&self) -> ([u8; 16], u64) {
        let (ids, numbers): (Vec<[u8; 16]>, Vec<u64>) =
            self.parts.iter().map(Part::content).unzip();
        let name = [self.joining.tag(), &ids.concat()].concat();
        // Numbers of contents only grow, so that no two combinations of one disk have the same sum.
        (Uuid::new_v5(&Uuid::nil(), &name).into_bytes(), numbers.into_iter().sum())
    }
}

fn linear(members: Vec<Member>) -> Result<Vec<Area>, Refusal> {
    let (mut areas, mut end) = (Vec::new(), 0);
    for Member { device, length, .. } in members {
        let extent = place(end, length)?;
        end = extent.end();
        areas.push(Area { extent, holds: Holds::Volume(device) });
    }
    Ok(areas)
}

fn partitions(disk: [u8; 16], members: Vec<Member>) -> Result<Vec<Area>, Refusal> {
    if members.len() > PARTITIONS_MAX {
        let count = members.len();
        return Err(Refusal::new(format!(
            "{count} volumes are too many for one disk: its table has {PARTITIONS_MAX} partitions"
        ))
        .hint("serve the volumes by more than one daemon"));
    }
    let mut table = Table::new(Uuid::from_bytes(disk));
    let (mut volumes, mut end) = (Vec::new(), ALIGNMENT_BYTES);
    for Member { name, id, device, length } in members {
        let extent = place(end, length)?;
        end = place(end, length.next_multiple_of(ALIGNMENT_BYTES))?.end();
        table.add(&name, id, extent);
        volumes.push(Area { extent, holds: Holds::Volume(device) });
    }
    let size = place(end, ALIGNMENT_BYTES)?.end();
    let (first, last) = table.written(size);
    let mut areas = vec![Area::table(0, first)];
    areas.append(&mut volumes);
    areas.push(Area::table(size - last.len() as u64, last));
    Ok(with_gaps_blank(areas))
}

/// The same with blank areas in between, so that each area begins where the one before it ends.
fn with_gaps_blank(areas: Vec<Area>) -> Vec<Area> {
    let (mut whole, mut end) = (Vec::new(), 0);
    for area in areas {
        let gap = Extent::between(end, area.extent.offset());
        if !gap.is_empty() {
            whole.push(Area { extent: gap, holds: Holds::Zeroes });
        }
        end = area.extent.end();
        whole.push(area);
    }
    whole
}

fn place(offset: u64, length: u64) -> Result<Extent, Refusal> {
    Extent::new(offset, length).filter(|extent| extent.end() <= DISK_BYTES_MAX).ok_or_else(|| {
        Refusal::new(format!("the volumes are larger than one disk may be: {DISK_BYTES_MAX} bytes"))
            .hint("serve them with layout = \"volumes\"")
    })
}
