//! Segments as files of a directory: written with `pwritev`, read through a memory map.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hotbay_block::Pipe;
use memmap2::{Mmap, MmapOptions};
use rustix::fs::{
    Advice, FallocateFlags, FlockOperation, fadvise, fallocate, flock, fstatfs, fstatvfs,
};
use rustix::io::{Errno, pwritev};
use rustix::pipe::{SpliceFlags, splice};

use crate::format::{narrow, wide};
use crate::segment::number_of;
use crate::storage::{Access, SegmentFile, Storage};

/// The most slices that one system call takes (`IOV_MAX` of Linux).
const SLICES_MAX: usize = 1024;
/// The bytes of a file that are fetched at a time.
const FETCH_BYTES: usize = 256 << 10;
/// Zeroes are written in pieces of this many bytes where the file system cannot allocate without writing.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// What a file system does when bytes of a file are written for the second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overwriting {
    /// They go where they were. A block that was written before is then synced without a word to the file system's
    /// own journal, which one that was only allocated is not.
    InPlace,
    /// They go elsewhere, or nobody knows: to write zeroes first would cost room that the allocation had made sure of.
    Elsewhere,
}

impl Overwriting {
    /// From `statfs(2)`: ext2 to ext4, and XFS, where a file whose blocks are not shared is overwritten in place.
    const IN_PLACE: [u64; 2] = [0xef53, 0x5846_5342];

    fn of(directory: &File) -> io::Result<Self> {
        let kind = u64::try_from(fstatfs(directory)?.f_type).unwrap_or_default();
        Ok(if Self::IN_PLACE.contains(&kind) { Self::InPlace } else { Self::Elsewhere })
    }
}

/// The segments of one journal in one directory of a local file system.
#[derive(Debug)]
pub struct FileStorage {
    path: PathBuf,
    directory: File,
    overwriting: Overwriting,
}

impl FileStorage {
    /// The directory for a journal that is going to be written, created where it is missing (readable to its
    /// owner only). It is locked against other processes for as long as this value lives.
    ///
    /// # Errors
    /// `WouldBlock` where another process has the journal open; those of the file system.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        if DirBuilder::new().mode(DIRECTORY_MODE).create(&path).is_ok() {
            sync_parent(&path)?;
        }
        let directory = File::open(&path)?;
        flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path, overwriting: Overwriting::of(&directory)?, directory })
    }

    /// The directory of a journal that is only read: nothing is created or locked.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open_to_read(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let directory = File::open(&path)?;
        Ok(Self { path, overwriting: Overwriting::of(&directory)?, directory })
    }

    /// Refuses at once what cannot fit. To try would take whatever is left for a moment, and in that moment nobody else on
    /// this disk could write anything: not even the record of a volume whose medium is back and would make room.
    ///
    /// # Errors
    /// That there is no room.
    fn must_have_room_for(&self, length: u64) -> io::Result<()> {
        // Where the file system does not tell, it is tried.
        let Ok(system) = fstatvfs(&self.directory) else { return Ok(()) };
        let free = system.f_bfree.saturating_mul(system.f_frsize);
        if system.f_blocks > 0 && free < length {
            return Err(Errno::NOSPC.into());
        }
        Ok(())
    }

    fn segment_over(&self, file: File) -> io::Result<FileSegment> {
        let length = file.metadata()?.len();
        let map = if length == 0 { Bytes::new() } else { Bytes::from_owner(map(&file, length)?) };
        Ok(FileSegment { file, length: AtomicU64::new(length), map, overwriting: self.overwriting })
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

impl Storage for FileStorage {
    fn settle(&self) -> io::Result<()> {
        for name in self.list()?.iter().filter(|name| number_of(name).is_some()) {
            let file = OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
        self.directory.sync_all()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is not text is not a segment's.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Box<dyn SegmentFile>> {
        self.must_have_room_for(length)?;
        let path = self.path.join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)?;
        match allocate(&file, 0, length).and_then(|()| self.segment_over(file)) {
            Ok(segment) => Ok(Box::new(segment)),
            Err(error) => {
                // What is left of it is no segment, so failing to remove it costs only space.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn SegmentFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(access == Access::Write).open(self.path.join(name))?;
        Ok(Box::new(self.segment_over(file)?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.directory.sync_all()
    }
}

/// Gives the file blocks for `position..end`, so that a later write needs none.
fn allocate(file: &File, position: u64, end: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), position, end.saturating_sub(position)) {
        Ok(()) => Ok(()),
        // The length has to be durable before anything that says how long it is.
        Err(Errno::OPNOTSUPP) => write_zeroes(file, position, end).and_then(|()| file.sync_all()),
        Err(error) => Err(error.into()),
    }
}

fn write_zeroes(file: &File, mut position: u64, end: u64) -> io::Result<()> {
    while position < end {
        let step = end.saturating_sub(position).min(wide(ZEROES.len()));
        let zeroes = ZEROES.get(..narrow(step)).unwrap_or_default();
        write_all(file, &[IoSlice::new(zeroes)], position)?;
        position += step;
    }
    Ok(())
}

/// Writes all slices, however many calls that takes.
fn write_all(file: &File, slices: &[IoSlice<'_>], mut position: u64) -> io::Result<()> {
    let mut owned = slices.to_vec();
    let mut rest = owned.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let batch = rest.get(..SLICES_MAX).unwrap_or(rest);
        match pwritev(file, batch, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                position += wide(written);
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

struct FileSegment {
    file: File,
    /// What of the map is backed by the file; less than the map after an erasure that found no room.
    length: AtomicU64,
    map: Bytes,
    overwriting: Overwriting,
}

#[expect(unsafe_code, reason = "the journal is read through a memory map")]
fn map(file: &File, length: u64) -> io::Result<Mmap> {
    // SAFETY: the map is read-only, and nothing is read through it that can change or vanish meanwhile. `Bytes` keeps
    // a pointer to the whole map; slices of it are what is read:
    // * `SegmentFile::view` is asked only for bytes that were written before and that nobody writes again:
    //   segments are appended to, a writer holds the lock of the directory, and the files belong to it alone
    //   (mode 0600 in a directory of mode 0700). What is not yet written is behind the map but in no slice.
    // * The file is never made shorter than a byte that a view shows: `erase_from` is called by recovery,
    //   before any view behind the cut is given out, and a removed file keeps its blocks while it is mapped.
    // * Scanning a journal that another process is appending to would see bytes change; the scan looks at each
    //   header in a copy of it and trusts nothing it has not checked, and its report is then of no single moment.
    // The file lies on the machine's stable storage, so a page that cannot be read (SIGBUS) is the failure of
    // the disk that hotbay itself runs from; a medium, which may be pulled, is never mapped.
    unsafe { MmapOptions::new().len(narrow(length)).map(file) }
}

impl SegmentFile for FileSegment {
    fn len(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    fn fetch(&self) -> io::Result<()> {
        // By reading, since what the kernel reads ahead of a reader lies in larger pages than what it is only told to fetch or
        // what a map asks for, and costs it half as much.
        let mut piece = vec![0; FETCH_BYTES];
        let mut position = 0;
        while position < self.len() {
            match self.file.read_at(&mut piece, position) {
                Ok(0) => break,
                Ok(read) => position += wide(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        write_all(&self.file, slices, position)
    }

    fn prepare(&self, position: u64, length: u64) {
        if self.overwriting == Overwriting::InPlace {
            let _ = write_zeroes(&self.file, position, position.saturating_add(length));
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn erase_from(&self, position: u64) -> io::Result<()> {
        let end = self.len();
        self.file.set_len(position)?;
        self.length.store(position, Ordering::Release);
        self.file.sync_all()?;
        match allocate(&self.file, position, end) {
            Ok(()) => self.length.store(end, Ordering::Release),
            Err(error) if crate::error::is_storage_full(&error) => self.file.set_len(position)?,
            Err(error) => return Err(error),
        }
        self.file.sync_all()
    }

    fn view(&self, position: u64, length: u64) -> Bytes {
        assert!(
            position.checked_add(length).is_some_and(|end| end <= self.len()),
            "{length} bytes at {position} pass the end of the segment"
        );
        self.map.slice(narrow(position)..narrow(position + length))
    }

    fn lend(&self, mut position: u64, length: usize, pipe: &Pipe) -> usize {
        let mut lent = 0;
        while lent < length {
            // A full pipe is an error then, and nothing to wait for: nobody empties it.
            let (missing, flags) = (length - lent, SpliceFlags::NONBLOCK);
            match splice(&self.file, Some(&mut position), pipe.writer(), None, missing, flags) {
                Ok(0) => break,
                Ok(count) => lent += count,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        lent
    }
}
