//! Where a file has holes, as its file system says.

use std::fs::File;

use hotbay_block::{Allocation, Extent, Place, Status};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::open_file::Fault;

/// The pieces of an extent, at most so many, from its beginning. What has no answer, a block device for one, is stored
/// bytes. May wait for the disk.
///
/// The position of the descriptor moves; nothing else here uses it.
pub(crate) fn find(file: &File, extent: Extent, most: usize) -> Result<Vec<Status>, Fault> {
    let mut found = Vec::new();
    let mut at = extent.offset();
    while at < extent.end() && found.len() < most {
        let data = match next(file, SeekFrom::Data(at), extent)? {
            Some(data) => data,
            None => return Ok(vec![Status::unknown(extent)]),
        };
        let (allocation, end) = match data {
            data if data > at => (Allocation::Hole, data),
            _ => {
                let hole = next(file, SeekFrom::Hole(at), extent)?;
                // A file system whose answers make no progress is not asked again.
                let hole = hole.filter(|hole| *hole > at).unwrap_or(extent.end());
                (Allocation::Data, hole)
            }
        };
        let extent = Extent::between(at, end);
        Status { extent, allocation, place: Place::Medium }.add_to(&mut found);
        at = end;
    }
    Ok(found)
}

/// Where the next data, or the next hole, is, at most the extent's end; `None` where that cannot be told.
fn next(file: &File, whence: SeekFrom, extent: Extent) -> Result<Option<u64>, Fault> {
    match rustix::fs::seek(file, whence) {
        Ok(at) => Ok(Some(at.min(extent.end()))),
        // There is nothing but a hole up to the end, which has to be where it was.
        Err(Errno::NXIO) => match file.metadata() {
            Ok(found) if found.len() >= extent.end() => Ok(Some(extent.end())),
            _ => Err(Fault::EndedEarly),
        },
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::SPIPE) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn sparse() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 * MIB).unwrap();
        for offset in [MIB, 4 * MIB] {
            file.write_all_at(&[7; 1 << 20], offset).unwrap();
        }
        file
    }

    fn pieces(file: &File, start: u64, end: u64, most: usize) -> Vec<(Allocation, u64)> {
        let found = find(file, Extent::between(start * MIB, end * MIB), most).unwrap();
        let mut at = start * MIB;
        for status in &found {
            assert_eq!((status.extent.offset(), status.place), (at, Place::Medium));
            at = status.extent.end();
        }
        found.iter().map(|status| (status.allocation, status.extent.length() / MIB)).collect()
    }

    #[test]
    fn data_and_holes_are_told_apart() {
        use Allocation::{Data, Hole};
        let file = sparse();
        let all = [(Hole, 1), (Data, 1), (Hole, 2), (Data, 1), (Hole, 3)];
        assert_eq!(pieces(&file, 0, 8, 100), all);
        assert_eq!(pieces(&file, 0, 8, 2), all[..2]);
        assert_eq!(pieces(&file, 5, 8, 100), [(Hole, 3)]);
        assert_eq!(pieces(&file, 4, 5, 100), [(Data, 1)]);
    }

    #[test]
    fn what_was_cut_off_is_no_hole() {
        let file = sparse();
        file.set_len(2 * MIB).unwrap();
        let extent = Extent::between(6 * MIB, 8 * MIB);
        assert_eq!(find(&file, extent, 10), Err(Fault::EndedEarly));
    }

    #[test]
    fn what_cannot_be_asked_is_stored_bytes() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let extent = Extent::between(0, MIB);
        assert_eq!(find(&file, extent, 10), Ok(vec![Status::unknown(extent)]));
    }
}
