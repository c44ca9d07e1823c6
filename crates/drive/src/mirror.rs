//! A mirror: volumes that hold the same bytes.
//!
//! Each copy is a volume of its own, with its medium, journal and promises: what it has acknowledged it keeps, also through
//! a removal. The mirror adds which copies hold everything (are *in sync*), and in which granules the others may be *behind*.
//!
//! * A change is made to every copy in sync, and answered when all of them have it. Overlapping changes come one
//!   after the other, so that all copies agree on the last one.
//! * Before a change begins, its granules are *marked* on stable storage: in them copies may differ after a crash. Marks are
//!   taken away when nobody has changed the granule for a while and all copies have flushed.
//! * A copy whose medium is away, while another copy in sync has its own, falls behind: its journal then does not take
//!   a second copy of the data. The last one in sync never falls behind; with all media away its journal takes the changes.
//! * A copy that is back catches up granule by granule, from one in sync, while clients go on.
//! * Which copies are in sync is recorded, with a generation that counts these changes, before it takes effect. So after any
//!   crash the newest copies are known by what was recorded, and nothing is guessed.
//!
//! Where to look: a request: `change`, `read`; which copies count: `standing`; marks: `marks`; a copy that goes or comes
//! back: `keeper`, `catch_up`; one that is to count though it lacks something: `newest`; comparing: `scrub`.

mod catch_up;
mod change;
mod granules;
mod keeper;
mod marks;
mod newest;
mod read;
mod record;
mod scrub;
mod standing;

use std::sync::Arc;

use hotbay_block::{BoxFuture, Device, DeviceInfo, Error, ErrorKind, Execution, Extent, Request};
use parking_lot::Mutex;
use tokio::sync::{Notify, RwLock, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::claims::Claims;
use crate::drive::Drive;
use crate::event::{EventKind, EventLog};
use crate::failure::Refusal;
use crate::handle::exchanged;
use crate::state::State;
use crate::volume::Volume;

use granules::Granules;
use marks::Marks;
pub use record::{CopyRecord, MirrorRecord, MirrorRecords};
pub use scrub::{Differences, Scrub};
use standing::Standings;

/// A volume as a copy.
#[derive(Debug)]
struct Copy {
    volume: Arc<Volume>,
    device: Arc<dyn Device>,
}

impl Copy {
    fn is_present(&self) -> bool {
        // A live copy to another medium has the first one in.
        matches!(self.volume.state(), State::Present | State::Copying)
    }
}

/// What the tasks and the sessions of a mirror share.
pub(crate) struct Mirrored {
    name: String,
    copies: Vec<Copy>,
    granules: Granules,
    /// Held for reading by each change, and for writing where no change may be under way: whenever a copy's standing changes.
    gate: RwLock<()>,
    claims: Claims,
    standings: Mutex<Standings>,
    marks: Marks,
    events: EventLog,
    /// A copy is not what it is taken for.
    news: Notify,
    /// The number of the content, for who waits for another one. Goes up before any of that can be read.
    contents: watch::Sender<u64>,
}

/// Several volumes as one device. Its tasks end when it is dropped; [`Mirror::stop`] ends it in order.
#[derive(Debug)]
pub struct Mirror {
    mirrored: Arc<Mirrored>,
    keeper: Mutex<JoinSet<()>>,
}

/// How a copy is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyStatus {
    /// Whether it has everything.
    pub in_sync: bool,
    /// Bytes in which it may be behind.
    pub behind_bytes: u64,
}

impl Mirror {
    /// Makes one device of all of a drive's volumes, named as the drive: see [`start_of`](Self::start_of).
    ///
    /// # Errors
    /// Those of `start_of`.
    pub async fn start(drive: &Drive, records: Arc<dyn MirrorRecords>) -> Result<Self, Refusal> {
        Self::start_of(drive, drive.name(), &drive.volumes(), records).await
    }

    /// Makes one device of some of a drive's volumes, which are in no other mirror. Where nothing is recorded yet, the first volume's
    /// content is the mirror's, and the others get all of it.
    ///
    /// # Errors
    /// Where there are less than two volumes, the record cannot be read or written or is of other sizes, or no copy that was
    /// in sync has the content that it had.
    pub async fn start_of(
        drive: &Drive,
        name: &str,
        volumes: &[Arc<Volume>],
        records: Arc<dyn MirrorRecords>,
    ) -> Result<Self, Refusal> {
        let copies = copies_on(volumes)?;
        let size = copies.iter().map(|copy| copy.device.info().size_bytes).min().unwrap_or(0);
        let granules = Granules::of(size);
        let (standings, record) = record::found(&copies, granules, &*records)?;
        let marks = Marks::new(records, record);
        let contents = watch::Sender::new(standings.content());
        let mirrored = Arc::new(Mirrored {
            name: name.to_owned(),
            copies,
            granules,
            gate: RwLock::new(()),
            claims: Claims::default(),
            standings: Mutex::new(standings),
            marks,
            events: drive.events().clone(),
            news: Notify::new(),
            contents,
        });
        mirrored.record_standings().await.map_err(|error| {
            Refusal::new(format!("the mirror's record cannot be written: {error}"))
                .hint("the state directory must be writable, and on stable storage")
        })?;
        let mut keeper = JoinSet::new();
        keeper.spawn(keeper::keep(Arc::clone(&mirrored)));
        Ok(Self { mirrored, keeper: keeper.into() })
    }

    /// The mirror as a device for one session.
    #[must_use]
    pub fn open(&self) -> Arc<dyn Device> {
        let mirrored = Arc::clone(&self.mirrored);
        let content = self.content();
        Arc::new(Handle { mirrored, content })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.mirrored.name
    }

    /// The place of its record.
    #[must_use]
    pub fn record_place(&self) -> String {
        self.mirrored.marks.record_place()
    }

    /// What identifies the mirror, through any change of its copies' media: the identities of its volumes.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        let ids = self.mirrored.copies.iter().flat_map(|copy| copy.volume.content().0);
        let name: Vec<u8> = b"mirror".iter().copied().chain(ids).collect();
        Uuid::new_v5(&Uuid::nil(), &name).into_bytes()
    }

    /// The number of its content, of which a session sees one.
    #[must_use]
    pub fn content(&self) -> u64 {
        *self.mirrored.contents.borrow()
    }

    /// How the copy on the volume of this name is doing; `None` where there is none.
    #[must_use]
    pub fn copy(&self, volume: &str) -> Option<CopyStatus> {
        let place = self.mirrored.copies.iter().position(|copy| copy.volume.name() == volume)?;
        let behind = self.mirrored.standings.lock().behind(place).map(|behind| behind.count());
        Some(CopyStatus {
            in_sync: behind.is_none(),
            behind_bytes: self.mirrored.granules.bytes_of(behind.unwrap_or(0)),
        })
    }

    /// Ends its tasks; to be called when no request is under way any more, before the drive is stopped. After that a start finds
    /// no granule in which copies in sync might differ.
    pub async fn stop(&self) {
        self.keeper.lock().abort_all();
        self.mirrored.take_away_all_marks().await;
    }
}

fn copies_on(volumes: &[Arc<Volume>]) -> Result<Vec<Copy>, Refusal> {
    let copy = |volume: &Arc<Volume>| Copy { volume: Arc::clone(volume), device: volume.open() };
    let copies: Vec<Copy> = volumes.iter().map(copy).collect();
    match copies.len() {
        2..=read::COPIES_MAX => Ok(copies),
        0 | 1 => Err(Refusal::new("a mirror of one volume keeps no second copy")
            .hint("name two volumes or more; each is one copy")),
        count => Err(Refusal::new(format!("a mirror of {count} copies is too large"))
            .hint(format!("a mirror has at most {} copies", read::COPIES_MAX))),
    }
}

impl Mirrored {
    /// Whether this is the content that a session knows.
    fn must_still_be(&self, content: u64) -> Result<(), Error> {
        match *self.contents.borrow() == content {
            true => Ok(()),
            false => Err(exchanged()),
        }
    }

    fn tell(&self, copy: usize, kind: EventKind, text: String) {
        self.events.record(self.copies[copy].volume.name(), kind, text);
    }
}

impl std::fmt::Debug for Mirrored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The mirror's record cannot be written: what is not recorded must not be acknowledged.
fn not_recorded(error: std::io::Error) -> Error {
    Error::new(ErrorKind::PreviousFailure, "the mirror's record cannot be written").caused_by(error)
}

/// A mirror as one session sees it: one content of it.
#[derive(Debug)]
struct Handle {
    mirrored: Arc<Mirrored>,
    content: u64,
}

impl Handle {
    fn read(&self, extent: Extent, request: Request) -> Execution {
        // Looked at afterwards: meanwhile an older copy may have become the newest.
        match self.mirrored.read(extent, request) {
            Execution::Done(answer) => {
                Execution::Done(self.mirrored.must_still_be(self.content).and(answer))
            }
            execution => {
                let (mirrored, content) = (Arc::clone(&self.mirrored), self.content);
                Execution::later(async move {
                    let answer = execution.answer().await;
                    mirrored.must_still_be(content).and(answer)
                })
            }
        }
    }
}

impl Device for Handle {
    fn info(&self) -> DeviceInfo {
        let copies = || self.mirrored.copies.iter().map(|copy| copy.device.info());
        DeviceInfo {
            size_bytes: self.mirrored.granules.size_bytes(),
            preferred_block_bytes: copies().map(|c| c.preferred_block_bytes).max().unwrap_or(4096),
            read_only: copies().any(|copy| copy.read_only),
            rotational: copies().any(|copy| copy.rotational),
        }
    }

    fn execute(&self, request: Request) -> Execution {
        let mirrored = || Arc::clone(&self.mirrored);
        match request {
            Request::Read { extent, .. } => self.read(extent, request),
            Request::Cache { .. } => self.mirrored.hint(request),
            Request::Flush => Execution::later(mirrored().flush(self.content)),
            _ => Execution::later(mirrored().change(self.content, request)),
        }
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        let (mut contents, mine) = (self.mirrored.contents.subscribe(), self.content);
        Box::pin(async move {
            // The sender lives as long as the mirror; without a mirror there is nothing to exchange.
            if contents.wait_for(|content| *content != mine).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}
