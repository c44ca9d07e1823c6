//! A regular file or a block device, open and ours alone, and the question whether it is still there.
//!
//! The descriptor alone cannot answer that: a file that was unlinked goes on taking writes and syncs that
//! nobody will find again, and a disk that was pulled may be back under the same number as another one. So
//! [`OpenFile::presence`] asks three times: does the name still lead to what is open; is what is open still
//! as large as it was; and, of a block device, does the hardware answer a read that no cache can serve.
//!
//! What a system call says is a hint at most. A disk that was pulled answers a write with ENOSPC and a read
//! with 0 bytes; a bad sector answers EIO with the disk still there. So each failure is followed by that
//! question.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hotbay_block::{DeviceInfo, Error, ErrorKind, Extent, Result};
use rustix::fs::{FileType, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use crate::disk_name::DiskName;
use crate::lock;
use crate::sysfs::{self, Found, SysDevice};

/// What kind of thing a path led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A regular file, `device` and `inode` of which tell it from any other while it is open.
    Regular { device: u64, inode: u64 },
    /// A block device with this number.
    BlockDevice { number: u64 },
}

impl FileKind {
    fn of(stat: &Stat) -> Option<Self> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                Some(Self::Regular { device: stat.st_dev, inode: stat.st_ino })
            }
            FileType::BlockDevice => Some(Self::BlockDevice { number: stat.st_rdev }),
            _ => None,
        }
    }

    /// What `/sys` knows about the block device that it is or that it lies on.
    pub(crate) fn sys_device(self) -> Option<SysDevice> {
        let (Self::Regular { device: number, .. } | Self::BlockDevice { number }) = self;
        SysDevice::find(rustix::fs::major(number), rustix::fs::minor(number))
    }
}

/// Whether the disk can be found now, and has something in it. Waits for no disk.
pub(crate) fn is_disk_there(name: &DiskName) -> bool {
    match sysfs::find_named(name) {
        Found::One(device) => device.node().is_some_and(|node| is_there(&node)),
        Found::Nothing | Found::Several(_) => false,
    }
}

/// Whether there is something at `path` now that could be opened as a medium. Waits for no disk.
pub(crate) fn is_there(path: &Path) -> bool {
    match rustix::fs::stat(path).ok().as_ref().and_then(FileKind::of) {
        Some(FileKind::Regular { .. }) => true,
        // A reader without a card is a device of 0 bytes.
        Some(kind @ FileKind::BlockDevice { .. }) => {
            kind.sys_device().and_then(|device| device.size_bytes()).is_none_or(|bytes| bytes > 0)
        }
        None => false,
    }
}

/// Why an operation did not succeed, before anybody asked whether the medium is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operating system said so.
    Os(Errno),
    /// A read came to an end inside the size.
    EndedEarly,
    /// Zeroes that must be quick would not be.
    Slow,
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Self::Os(errno)
    }
}

/// A regular file or block device that this process alone has open, as far as others keep to the rules.
#[derive(Debug)]
pub(crate) struct OpenFile {
    file: File,
    path: PathBuf,
    kind: FileKind,
    /// As it was opened, but for its size.
    info: DeviceInfo,
    size_bytes: AtomicU64,
    /// The unit in which a block device discards and zeroes; 1 for a file.
    granule_bytes: u64,
}

impl OpenFile {
    /// Opens what is at `path` to read and write, so that it is ours alone. May wait for the disk.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] where nothing is there, [`ErrorKind::Medium`] where it is in use or cannot be
    /// opened, [`ErrorKind::Invalid`] where it can be no medium, [`ErrorKind::ReadOnly`] where it may only
    /// be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        // Looked at before it is opened: opening a device of another kind may do something to it.
        let stat = rustix::fs::stat(path).map_err(|errno| cannot_open(path, errno))?;
        let kind = FileKind::of(&stat).ok_or_else(|| not_a_medium(path))?;
        let flags = match kind {
            FileKind::Regular { .. } => OFlags::NOCTTY,
            FileKind::BlockDevice { .. } => OFlags::NOCTTY | OFlags::EXCL,
        };
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(|error| {
                let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                if let (FileKind::BlockDevice { number }, Errno::BUSY) = (kind, errno) {
                    return lock::device_in_use(path, number);
                }
                cannot_open(path, errno)
            })?;
        // A device is ours alone by EXCL already. A lock on a disk is for those who write to it for a moment: udev looks at none
        // that is locked, for minutes, and whoever waits for udev to settle waits as well.
        if let FileKind::Regular { .. } = kind {
            lock::take(&file, path)?;
        }
        Self::describe(file, path, kind)
    }

    /// Opens the disk that says `name` of itself, as [`open`](Self::open) does.
    ///
    /// # Errors
    /// The same; and [`ErrorKind::Gone`] where no disk says so, [`ErrorKind::Medium`] where several do.
    pub(crate) fn open_disk(name: &DiskName) -> Result<Self> {
        let device = match sysfs::find_named(name) {
            Found::One(device) => device,
            Found::Nothing => {
                return Err(Error::new(ErrorKind::Gone, format!("no disk {name} is there")));
            }
            Found::Several(nodes) => {
                let nodes = nodes.join(", ");
                let context = format!("{name} is what several disks say of themselves: {nodes}");
                return Err(Error::new(ErrorKind::Medium, context));
            }
        };
        let node = device
            .node()
            .ok_or_else(|| Error::new(ErrorKind::Gone, format!("the disk {name} has no node")))?;
        let open = Self::open(&node)?;
        // Between the look and the open another disk may have come under that node.
        if open.kind.sys_device().is_some_and(|device| device.is_named(name)) {
            return Ok(open);
        }
        let shown = node.display();
        Err(Error::new(ErrorKind::Gone, format!("{shown} is not {name} any more")))
    }

    fn describe(file: File, path: &Path, expected: FileKind) -> Result<Self> {
        let failed = |errno| cannot_open(path, errno);
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        let kind = FileKind::of(&stat).filter(|kind| *kind == expected).ok_or_else(|| {
            let shown = path.display();
            Error::new(ErrorKind::Gone, format!("{shown} was exchanged while it was opened"))
        })?;
        let size_bytes = size_of(&file, kind).map_err(failed)?;
        let (granule_bytes, preferred) = match kind {
            FileKind::Regular { .. } => (1, u32::try_from(stat.st_blksize).unwrap_or_default()),
            // A reader of cards without a card.
            FileKind::BlockDevice { .. } if size_bytes == 0 => return Err(failed(Errno::NOMEDIUM)),
            FileKind::BlockDevice { .. } => (
                rustix::fs::ioctl_blksszget(&file).map_err(failed)?.into(),
                rustix::fs::ioctl_blkpbszget(&file).map_err(failed)?,
            ),
        };
        let info = DeviceInfo {
            size_bytes,
            preferred_block_bytes: preferred.clamp(4096, 65536).next_power_of_two(),
            read_only: false,
            rotational: kind.sys_device().is_some_and(|device| device.is_rotational()),
        };
        let size_bytes = size_bytes.into();
        Ok(Self { file, path: path.into(), kind, info, size_bytes, granule_bytes })
    }

    /// Something that is neither, such as a pipe, which answers when a test lets it.
    #[cfg(test)]
    pub(crate) fn pretending(file: File) -> Self {
        let info = DeviceInfo {
            size_bytes: u64::MAX,
            preferred_block_bytes: 4096,
            read_only: false,
            rotational: false,
        };
        let kind = FileKind::Regular { device: 0, inode: 0 };
        let size_bytes = info.size_bytes.into();
        Self { file, path: "pretended".into(), kind, info, size_bytes, granule_bytes: 1 }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn kind(&self) -> FileKind {
        self.kind
    }

    pub(crate) fn info(&self) -> DeviceInfo {
        DeviceInfo { size_bytes: self.size_bytes.load(Relaxed), ..self.info }
    }

    /// Makes a file longer, with a hole at its end, on stable storage. May wait for the disk.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where it is none, or longer already; [`ErrorKind::Gone`] where it is not there any more;
    /// [`ErrorKind::NoSpace`] where its file system allows no such length.
    pub(crate) fn grow(&self, size_bytes: u64) -> Result<()> {
        let shown = self.path.display();
        let unsupported = |why: String| Err(Error::new(ErrorKind::Unsupported, why));
        if let FileKind::BlockDevice { .. } = self.kind {
            return unsupported(format!("{shown} is a block device, not a file"));
        }
        self.presence()?;
        let doing = format!("grow to {size_bytes} bytes");
        let failed = |errno| self.classify(&doing, Fault::Os(errno));
        let now = size_of(&self.file, self.kind).map_err(failed)?;
        if now > size_bytes {
            return unsupported(format!("{shown} has {now} bytes already"));
        }
        rustix::fs::ftruncate(&self.file, size_bytes).map_err(failed)?;
        rustix::fs::fsync(&self.file).map_err(failed)?;
        self.size_bytes.store(size_bytes, Relaxed);
        Ok(())
    }

    /// `extent` without what does not fill whole granules at its ends.
    pub(crate) fn whole_granules(&self, extent: Extent) -> Extent {
        let granule = self.granule_bytes;
        let start = extent.offset().next_multiple_of(granule);
        Extent::between(start, extent.end() / granule * granule)
    }

    /// Whether the medium is still there. May take as long as a system call on it.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`], with how it was found to be missing.
    pub(crate) fn presence(&self) -> Result<()> {
        match self.missing() {
            None => Ok(()),
            Some(how) => Err(Error::new(ErrorKind::Gone, how)),
        }
    }

    /// How it is missing, as a sentence; `None` where it is there.
    fn missing(&self) -> Option<String> {
        let shown = self.path.display();
        let found = match rustix::fs::stat(&self.path) {
            Ok(stat) => FileKind::of(&stat),
            Err(Errno::NOENT) => return Some(format!("{shown} is not there any more")),
            Err(errno) => return Some(format!("{shown} cannot be reached: {errno}")),
        };
        if found != Some(self.kind) {
            return Some(format!("{shown} is another file now"));
        }
        let before = self.info().size_bytes;
        match (self.kind, size_of(&self.file, self.kind)) {
            (_, Err(errno)) => return Some(format!("{shown} does not tell its size: {errno}")),
            (FileKind::Regular { .. }, Ok(now)) if now < before => {
                return Some(format!("{shown} was truncated from {before} to {now} bytes"));
            }
            (FileKind::BlockDevice { .. }, Ok(now)) if now != before => {
                return Some(format!("{shown} changed its size from {before} to {now} bytes"));
            }
            (FileKind::Regular { .. }, Ok(_)) => return None,
            (FileKind::BlockDevice { .. }, Ok(_)) => {}
        }
        self.read_past_the_cache().err().map(|errno| format!("{shown} does not answer: {errno}"))
    }

    /// Reads from the hardware itself, in three places, because one may lie in a bad sector. A device that
    /// cannot be read around the cache is believed to be there.
    fn read_past_the_cache(&self) -> Result<(), Errno> {
        let opened = File::options()
            .read(true)
            .custom_flags((OFlags::DIRECT | OFlags::NOCTTY).bits().cast_signed())
            .open(&self.path);
        let direct = match opened {
            Ok(file) => file,
            Err(error) => {
                return match Errno::from_io_error(&error) {
                    Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => Ok(()),
                    errno => Err(errno.unwrap_or(Errno::IO)),
                };
            }
        };
        let size = self.info().size_bytes;
        let length = self.granule_bytes.max(4096).min(size);
        let last = size - length;
        let places = [0, last / 2 / length * length, last / length * length];
        let mut outcome = Ok(());
        for offset in places {
            match read_aligned(&direct, offset, length) {
                Ok(0) => outcome = Err(Errno::NODATA),
                Ok(_) | Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(()),
                Err(errno) => outcome = Err(errno),
            }
        }
        outcome
    }

    /// The error for a failure of `doing` (such as `read 4096+512`), after a look whether the medium is
    /// there. May take as long as a system call on it.
    pub(crate) fn classify(&self, doing: &str, fault: Fault) -> Error {
        let shown = self.path.display();
        let error = match (self.missing(), fault) {
            (Some(how), _) => Error::new(ErrorKind::Gone, format!("cannot {doing}: {how}")),
            (None, Fault::Os(errno)) => {
                Error::new(self.kind_of(errno), format!("cannot {doing} of {shown}"))
            }
            (None, Fault::EndedEarly) => {
                Error::new(ErrorKind::Medium, format!("cannot {doing} of {shown}: no bytes came"))
            }
            (None, Fault::Slow) => ErrorKind::Slow.into(),
        };
        match fault {
            Fault::Os(errno) => error.caused_by(std::io::Error::from(errno)),
            Fault::EndedEarly | Fault::Slow => error,
        }
    }

    /// The kind of an error that came although the medium seems to be there.
    fn kind_of(&self, errno: Errno) -> ErrorKind {
        match (errno, self.kind) {
            // These say by themselves that it is gone, and it may come back between the error and the look.
            (Errno::NXIO | Errno::NODEV | Errno::SHUTDOWN | Errno::STALE | Errno::NOMEDIUM, _) => {
                ErrorKind::Gone
            }
            (Errno::NOSPC | Errno::DQUOT | Errno::FBIG, FileKind::Regular { .. }) => {
                ErrorKind::NoSpace
            }
            _ => ErrorKind::Medium,
        }
    }
}

impl Drop for OpenFile {
    /// Closing unlocks as well, but only when nobody in the kernel has the file in hand any more: io_uring
    /// lets go of it a moment after it has told that a read is done.
    fn drop(&mut self) {
        lock::release(&self.file);
    }
}

/// The size by the descriptor, which for a device that was pulled is 0.
fn size_of(file: &File, kind: FileKind) -> Result<u64, Errno> {
    match kind {
        FileKind::Regular { .. } => {
            Ok(u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or_default())
        }
        FileKind::BlockDevice { .. } => rustix::fs::seek(file, SeekFrom::End(0)),
    }
}

/// Reads `length` bytes into memory that is aligned to at least as much.
fn read_aligned(file: &File, offset: u64, length: u64) -> Result<usize, Errno> {
    let length = usize::try_from(length).map_err(|_| Errno::INVAL)?;
    let alignment = length.next_power_of_two();
    let mut memory = vec![0; length + alignment];
    let start = memory.as_ptr().align_offset(alignment);
    rustix::io::pread(file, &mut memory[start..start + length], offset)
}

fn cannot_open(path: &Path, errno: Errno) -> Error {
    let shown = path.display();
    let error = match errno {
        Errno::NOENT | Errno::NOTDIR => {
            Error::new(ErrorKind::Gone, format!("there is no file {shown}"))
        }
        Errno::NOMEDIUM | Errno::NXIO | Errno::NODEV => {
            Error::new(ErrorKind::Gone, format!("there is no medium in {shown}"))
        }
        Errno::ACCESS | Errno::PERM => Error::new(
            ErrorKind::ReadOnly,
            format!("{shown} may not be read and written by this user; a medium needs both"),
        ),
        Errno::ROFS => {
            Error::new(ErrorKind::ReadOnly, format!("{shown} is read-only; a medium is written"))
        }
        _ => Error::new(ErrorKind::Medium, format!("cannot open {shown}")),
    };
    error.caused_by(std::io::Error::from(errno))
}

fn not_a_medium(path: &Path) -> Error {
    let shown = path.display();
    Error::new(ErrorKind::Invalid, format!("{shown} is neither a regular file nor a block device"))
}

#[cfg(test)]
mod tests;
