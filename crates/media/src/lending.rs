//! Long reads that are answered with references to the page cache, in a pipe.
//!
//! All of a read is lent or nothing of it. What cannot be is read into memory as ever: that keeps what a short transfer or an
//! error means in one place.

use hotbay_block::{Extent, Lent, Pipe};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

const PAGE_BYTES: u64 = 4096;

/// Lends `extent`; `None` where the file or the pipe cannot. May wait for what is not in the page cache.
pub(crate) fn lend(file: impl AsFd, extent: Extent, pipe: Pipe) -> Option<Lent> {
    if !has_room(&pipe, extent) {
        return None;
    }
    let mut place = extent.offset();
    while place < extent.end() {
        let missing = usize::try_from(extent.end() - place).ok()?;
        // A full pipe is an error then, and nothing to wait for: nobody empties it.
        let flags = SpliceFlags::NONBLOCK;
        match splice(&file, Some(&mut place), pipe.writer(), None, missing, flags) {
            Ok(0) => return None,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    Some(pipe.filled(extent.len_in_memory()))
}

/// Whether the pages that an extent touches fit into a pipe, each of which takes a place in it.
fn has_room(pipe: &Pipe, extent: Extent) -> bool {
    let first = extent.offset() / PAGE_BYTES * PAGE_BYTES;
    let end = extent.end().next_multiple_of(PAGE_BYTES);
    u64::try_from(pipe.room_bytes()).is_ok_and(|room| end - first <= room)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pipe(room_bytes: usize) -> Pipe {
        let (reader, writer) = std::io::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(&writer, room_bytes).unwrap();
        Pipe::new(reader, writer, room_bytes)
    }

    #[test]
    fn what_is_lent_are_the_bytes_of_the_extent() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
        file.write_all(&bytes).unwrap();
        for extent in [(0, 1 << 20), (4096, 1 << 18), (5, 100_000), (1, 1 << 20), (1_199_999, 1)] {
            let extent = Extent::new(extent.0, extent.1).unwrap();
            let lent = lend(&file, extent, pipe(1 << 20));
            // One page more than the pipe has room for.
            assert_eq!(lent.is_none(), extent == Extent::new(1, 1 << 20).unwrap());
            if let Some(lent) = lent {
                assert!(lent.into_bytes() == bytes[Extent::between(0, 1_200_000).range_of(extent)]);
            }
        }
    }

    #[test]
    fn what_cannot_be_lent_whole_is_not_lent() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let past_the_end = Extent::between(4096, 12288);
        assert!(lend(&file, past_the_end, pipe(1 << 16)).is_none());
        // Says that it takes more than it does.
        let (reader, writer) = std::io::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
        let small = Pipe::new(reader, writer, 1 << 20);
        assert!(lend(&file, Extent::between(0, 8192), small).is_none());
    }
}
