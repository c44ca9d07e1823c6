//! A medium that is a regular file or a block device.
//!
//! A request that the page cache can serve is carried out on the calling thread. A read that has to wait goes
//! through io_uring (`cold_reads`), where there is that; all else that waits goes to a thread of tokio's
//! blocking pool, and so does every look at the medium after an error, and every sync.
//!
//! The descriptor, and with it the lock, is closed with the last request under way: a request that hangs
//! keeps the medium from being opened again, because it could still reach it.

use std::io::Error as IoError;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

use bytes::{Bytes, BytesMut};
use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Durability, Error, ErrorKind, Execution, Extent, Hole, Identity,
    Medium, Pipe, Reply, Request, Result, Speed, Status,
};
use rustix::fs::Advice;
use rustix::io::Errno;

use crate::cold_reads::{ColdReads, Ended};
use crate::disk_name::DiskName;
use crate::lending;
use crate::open_file::{Fault, FileKind, OpenFile};
use crate::pool::blocking;
use crate::sync_queue::{SyncFailure, SyncQueue};
use crate::transfer::{self, Patience, Progress};
use crate::zeroing::{self, Refusals};
use crate::{IDENTIFYING_BYTES, content_ids, holes};

/// A regular file or a block device, open for this volume alone.
#[derive(Debug)]
pub struct FileMedium {
    name: String,
    backing: Arc<Backing>,
    syncs: Arc<SyncQueue>,
}

/// What every request under way shares.
#[derive(Debug)]
struct Backing {
    open: Arc<OpenFile>,
    patience: Patience,
    refusals: Refusals,
    /// Set up by the first read that needs it; `None` where threads have to do.
    cold_reads: OnceLock<Option<ColdReads>>,
}

impl FileMedium {
    /// Opens what is at `path`, and locks it. Blocks as long as the disk needs.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] where nothing is there, [`ErrorKind::Medium`] where it is in use (the context
    /// says by whom) or cannot be opened, [`ErrorKind::Invalid`] where it is neither a file nor a block
    /// device, and [`ErrorKind::ReadOnly`] where this user may not write it.
    pub fn open(path: &Path) -> Result<Self> {
        let open = OpenFile::open(path)?;
        let name = format!("file:{}", open.path().display());
        Ok(Self::of(Arc::new(Backing::of(open)), name))
    }

    /// Opens the block device that says `name` of itself, wherever it is now, and locks it. Blocks as long as the disk
    /// needs.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`ErrorKind::Gone`] where there is no such device now, [`ErrorKind::Medium`] where there
    /// are several.
    pub fn open_disk(name: &DiskName) -> Result<Self> {
        Ok(Self::of(Arc::new(Backing::of(OpenFile::open_disk(name)?)), name.to_string()))
    }

    fn of(backing: Arc<Backing>, name: String) -> Self {
        // Weak, because the thread that syncs lets go of the queue a moment after it has answered: who was
        // answered last and then drops the medium finds it closed.
        let synced = Arc::downgrade(&backing);
        let syncs = SyncQueue::new(move || Backing::sync(&synced));
        Self { name, backing, syncs }
    }

    fn read(&self, extent: Extent, buffer: BytesMut, pipe: Option<Pipe>) -> Execution {
        match pipe {
            Some(pipe) => self.lend(extent, buffer, pipe),
            None => self.copy(extent, buffer),
        }
    }

    /// Lends what is in the page cache. Where that is on a disk, nothing promises that it still is when it is lent: so it is done
    /// where one may wait.
    fn lend(&self, extent: Extent, buffer: BytesMut, pipe: Pipe) -> Execution {
        if self.backing.patience.never_waits() {
            return match lending::lend(self.backing.open.file(), extent, pipe) {
                Some(lent) => Execution::Done(Ok(Reply::Data(lent.into()))),
                None => self.copy(extent, buffer),
            };
        }
        if !self.backing.patience.seems_cached(self.backing.open.file(), extent) {
            return self.copy(extent, buffer);
        }
        self.later(move |backing| {
            if let Some(lent) = lending::lend(backing.open.file(), extent, pipe) {
                return Ok(Reply::Data(lent.into()));
            }
            let mut buffer = memory_for(extent, buffer);
            transfer::read_all(backing.open.file(), &mut buffer, extent)
                .map_err(|fault| backing.open.classify(&format!("read {extent}"), fault))?;
            Ok(Reply::Data(buffer.freeze().into()))
        })
    }

    fn copy(&self, extent: Extent, buffer: BytesMut) -> Execution {
        let mut buffer = memory_for(extent, buffer);
        let progress = self.backing.patience.read(self.backing.open.file(), &mut buffer, extent);
        match progress {
            Ok(Progress::Whole) => Execution::Done(Ok(Reply::Data(buffer.freeze().into()))),
            Ok(Progress::WouldWait) => {
                Execution::later(Arc::clone(&self.backing).read_later(extent, buffer))
            }
            Err(fault) => self.failed(format!("read {extent}"), fault),
        }
    }

    fn write(&self, extent: Extent, data: Bytes, durability: Durability) -> Execution {
        if let Err(error) = self.check_sync(durability) {
            return Execution::Done(Err(error));
        }
        let file = self.backing.open.file();
        match self.backing.patience.write(file, &data, extent.offset()) {
            Ok(done) if done == data.len() => match durability {
                Durability::Deferred => Execution::Done(Ok(Reply::Done)),
                Durability::Stable => self.flush(),
            },
            Ok(done) => self.change(durability, format!("write {extent}"), move |backing| {
                let offset = extent.offset() + done as u64;
                transfer::write_all(backing.open.file(), &data[done..], offset)
            }),
            Err(fault) => self.failed(format!("write {extent}"), fault),
        }
    }

    fn zero(&self, extent: Extent, hole: Hole, speed: Speed, durability: Durability) -> Execution {
        self.change(durability, format!("zero {extent}"), move |backing| {
            zeroing::zero(&backing.open, &backing.refusals, extent, hole, speed)
        })
    }

    fn trim(&self, extent: Extent, durability: Durability) -> Execution {
        self.change(durability, format!("trim {extent}"), move |backing| {
            zeroing::trim(&backing.open, &backing.refusals, extent)
        })
    }

    fn cache(&self, extent: Extent) -> Execution {
        self.later(move |backing| {
            let length = std::num::NonZeroU64::new(extent.length());
            // A hint always succeeds; what is wrong with the medium shows when it is read.
            let _ =
                rustix::fs::fadvise(backing.open.file(), extent.offset(), length, Advice::WillNeed);
            Ok(Reply::Done)
        })
    }

    fn find_holes(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        let backing = Arc::clone(&self.backing);
        Box::pin(blocking(move || {
            holes::find(backing.open.file(), extent, most).map_err(|fault| {
                backing.open.classify(&format!("look for holes in {extent}"), fault)
            })
        }))
    }

    fn flush(&self) -> Execution {
        let sync = self.sync();
        Execution::later(async move { sync.await.map(|()| Reply::Done) })
    }

    /// Keeps the medium open until it is done.
    fn sync(&self) -> impl Future<Output = Result<()>> + Send + 'static {
        let (backing, syncs) = (Arc::clone(&self.backing), Arc::clone(&self.syncs));
        async move {
            let outcome = syncs.sync().await;
            drop(backing);
            outcome
        }
    }

    /// A handle whose sync has failed takes no change that has to be stable.
    fn check_sync(&self, durability: Durability) -> Result<()> {
        match durability {
            Durability::Deferred => Ok(()),
            Durability::Stable => self.syncs.check(),
        }
    }

    /// Carries out a change that may wait, and then brings it to stable storage if it has to be there.
    fn change(
        &self,
        durability: Durability,
        doing: String,
        work: impl FnOnce(&Backing) -> Result<(), Fault> + Send + 'static,
    ) -> Execution {
        if let Err(error) = self.check_sync(durability) {
            return Execution::Done(Err(error));
        }
        let (backing, sync) = (Arc::clone(&self.backing), self.sync());
        Execution::later(async move {
            blocking(move || work(&backing).map_err(|fault| backing.open.classify(&doing, fault)))
                .await?;
            match durability {
                Durability::Deferred => {}
                Durability::Stable => sync.await?,
            }
            Ok(Reply::Done)
        })
    }

    fn failed(&self, doing: String, fault: Fault) -> Execution {
        self.later(move |backing| Err(backing.open.classify(&doing, fault)))
    }

    fn later(&self, work: impl FnOnce(&Backing) -> Result<Reply> + Send + 'static) -> Execution {
        let backing = Arc::clone(&self.backing);
        Execution::later(blocking(move || work(&backing)))
    }
}

impl Backing {
    fn of(open: OpenFile) -> Self {
        Self {
            patience: Patience::of(open.file()),
            open: Arc::new(open),
            refusals: Refusals::default(),
            cold_reads: OnceLock::new(),
        }
    }

    /// Reads what is missing of `extent` behind the bytes in `buffer`.
    async fn read_later(self: Arc<Self>, extent: Extent, buffer: BytesMut) -> Result<Reply> {
        let ended = match self.cold_reads() {
            Some(reads) => reads.read(Arc::clone(&self.open), extent, buffer).await,
            None => Ended::Unfinished(buffer),
        };
        let failed =
            move |backing: &Self, fault| backing.open.classify(&format!("read {extent}"), fault);
        match ended {
            Ended::Whole(buffer) => Ok(Reply::Data(buffer.freeze().into())),
            Ended::Failed(fault) => blocking(move || Err(failed(&self, fault))).await,
            Ended::Unfinished(mut buffer) => {
                blocking(move || {
                    transfer::read_all(self.open.file(), &mut buffer, extent)
                        .map_err(|fault| failed(&self, fault))?;
                    Ok(Reply::Data(buffer.freeze().into()))
                })
                .await
            }
        }
    }

    fn cold_reads(&self) -> Option<&ColdReads> {
        // Where a file system cannot read without waiting, io_uring has fewer threads than the pool.
        if !self.patience.can_refuse_reads() {
            return None;
        }
        let reads = self.cold_reads.get_or_init(|| match ColdReads::start() {
            Ok(reads) => Some(reads),
            Err(error) => {
                let medium = self.open.path().display();
                tracing::info!(%medium, %error, "there is no io_uring; threads read what is not cached");
                None
            }
        });
        reads.as_ref()
    }

    /// Brings everything to stable storage, and then looks whether anybody will find it there.
    fn sync(backing: &Weak<Self>) -> Result<(), SyncFailure> {
        let Some(backing) = backing.upgrade() else {
            return Err(SyncFailure {
                kind: ErrorKind::ShuttingDown,
                context: "the medium is closed".into(),
                source: None,
            });
        };
        if let Err(errno) = rustix::io::retry_on_intr(|| rustix::fs::fdatasync(backing.open.file()))
        {
            let error = backing.open.classify("sync all", Fault::Os(errno));
            return Err(sync_failure(&error, Some(errno)));
        }
        backing.open.presence().map_err(|error| sync_failure(&error, None))
    }

    fn identify(&self) -> Result<Identity> {
        let size_bytes = self.open.info().size_bytes;
        let head = Extent::between(0, size_bytes.min(IDENTIFYING_BYTES));
        let mut bytes = BytesMut::with_capacity(head.len_in_memory());
        transfer::read_all(self.open.file(), &mut bytes, head)
            .map_err(|fault| self.open.classify(&format!("read {head}"), fault))?;
        let path = self.open.path();
        let canonical = path.canonicalize().map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.open.classify("find the place", Fault::Os(errno))
        })?;
        let kind = self.open.kind();
        let (hardware, file) = match kind {
            FileKind::Regular { device, inode } => (None, Some(format!("inode:{device}:{inode}"))),
            FileKind::BlockDevice { .. } => {
                (kind.sys_device().and_then(|device| device.hardware()), None)
            }
        };
        let location = canonical.display().to_string();
        Ok(Identity { size_bytes, content: content_ids(&bytes), hardware, file, location })
    }
}

/// Memory for a read. What was given along is empty where a pipe was to be used.
fn memory_for(extent: Extent, mut buffer: BytesMut) -> BytesMut {
    buffer.clear();
    buffer.reserve(extent.len_in_memory());
    buffer
}

fn sync_failure(error: &Error, source: Option<Errno>) -> SyncFailure {
    SyncFailure { kind: error.kind(), context: error.to_string(), source }
}

impl Device for FileMedium {
    fn info(&self) -> DeviceInfo {
        self.backing.open.info()
    }

    fn execute(&self, request: Request) -> Execution {
        match request {
            Request::Read { extent, buffer, pipe } => self.read(extent, buffer, pipe),
            Request::Write { extent, data, durability } => self.write(extent, data, durability),
            Request::Zero { extent, hole, speed, durability } => {
                self.zero(extent, hole, speed, durability)
            }
            Request::Trim { extent, durability } => self.trim(extent, durability),
            Request::Cache { extent } => self.cache(extent),
            Request::Flush => self.flush(),
        }
    }

    fn status(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        self.find_holes(extent, most)
    }
}

impl Medium for FileMedium {
    fn name(&self) -> &str {
        &self.name
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        let backing = Arc::clone(&self.backing);
        Box::pin(blocking(move || backing.open.presence()))
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        let backing = Arc::clone(&self.backing);
        Box::pin(blocking(move || backing.identify()))
    }

    fn grow(&self, size_bytes: u64) -> BoxFuture<'_, Result<()>> {
        let backing = Arc::clone(&self.backing);
        Box::pin(blocking(move || backing.open.grow(size_bytes)))
    }
}

/// Creates an empty, sparse file of `size_bytes` that only its owner may touch, unless there is one
/// already. After a crash it is there or not, never with another size.
pub(crate) fn create_unless_there(path: &Path, size_bytes: u64) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let created = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path);
    let file = match created {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(cannot_create(path, error)),
    };
    let filled = file
        .set_len(size_bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| directory_of(path).and_then(|directory| directory.sync_all()));
    filled.map_err(|error| {
        // Best effort: what matters is the first error.
        let _ = std::fs::remove_file(path);
        cannot_create(path, error)
    })
}

fn directory_of(path: &Path) -> std::io::Result<std::fs::File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(parent.unwrap_or(Path::new(".")))
}

fn cannot_create(path: &Path, error: IoError) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::Gone,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::FileTooLarge => ErrorKind::NoSpace,
        _ => ErrorKind::Medium,
    };
    let what = match kind {
        ErrorKind::Gone => format!("there is no directory for {}", path.display()),
        _ => format!("cannot create {}", path.display()),
    };
    Error::new(kind, what).caused_by(error)
}

#[cfg(test)]
mod tests;
