//! A disk with a page cache: what a write reaches, what a flush makes durable, and how it is lost.
//!
//! As in Linux: writes go to the *cached* image and mark sectors dirty; a flush brings the sectors that were dirty when
//! it began to the *durable* image. A flush that fails marks them clean all the same, so that the next one
//! succeeds while the durable image holds the old data. Whoever relies on a second flush is found out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use hotbay_block::{Allocation, Error, ErrorKind, Extent, Identity, Reply, Request, Status};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

/// Longer than anything takes, on a clock that runs ahead.
pub const NEVER: Duration = Duration::from_secs(3600);

const SECTOR: usize = 512;

/// A change is never torn within so many bytes, where nothing else is said.
const TEAR_BYTES: usize = 64;

/// Where a sector begins, and its bytes.
type Sector = (usize, Vec<u8>);

/// A kind of I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Read,
    /// A write, zeroes or a trim.
    Change,
    Flush,
    /// A look whether it is there.
    Presence,
    /// A look who it is.
    Identify,
    Open,
    Grow,
}

impl Op {
    pub fn of(request: &Request) -> Self {
        match request {
            Request::Read { .. } | Request::Cache { .. } => Self::Read,
            Request::Flush => Self::Flush,
            _ => Self::Change,
        }
    }
}

/// What happens at the chosen I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk is gone, and what was not synced with it; nothing of this I/O happens.
    Gone,
    /// The same, and the first half of this I/O has reached the platter.
    GoneTorn,
    /// An error, with the disk still there. Of a flush: what was dirty is marked clean and was not written.
    Error,
}

/// Something that is scripted: at the `nth` (from 0) I/O of a kind, counted from when it was scripted.
#[derive(Debug)]
struct Script {
    op: Op,
    nth: usize,
    fault: Fault,
}

/// I/O of a kind that is held up until the test lets it go on.
#[derive(Debug)]
struct Hold {
    op: Op,
    when: When,
    release: watch::Receiver<bool>,
    stuck: watch::Sender<usize>,
}

/// When an I/O is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before it happens.
    Before,
    /// When it has happened, before anybody is told.
    After,
}

/// Lets held I/O go on when told, or when dropped.
#[derive(Debug)]
pub struct Held {
    disk: Arc<Disk>,
    release: watch::Sender<bool>,
    stuck: watch::Sender<usize>,
}

/// The place of an I/O that is held up.
pub struct Stuck {
    pub when: When,
    release: Release,
    stuck: watch::Sender<usize>,
}

enum Release {
    /// When the test says so.
    Held(watch::Receiver<bool>),
    /// When the disk lets all go that hangs.
    Hung(watch::Receiver<usize>),
}

impl Held {
    /// Waits until so many I/Os are held up.
    pub async fn until_stuck(&self, count: usize) {
        let mut stuck = self.stuck.subscribe();
        let all = stuck.wait_for(|stuck| *stuck >= count);
        timeout(NEVER, all).await.expect("so many I/Os come").unwrap();
    }

    /// How many I/Os have been held up.
    pub fn stuck(&self) -> usize {
        *self.stuck.borrow()
    }

    /// Holds up nothing more than is stuck already.
    pub fn let_new_ones_pass(&self) {
        self.disk.state.lock().hold = None;
    }

    pub fn release(self) {}
}

impl Stuck {
    pub(super) async fn until_released(mut self) {
        self.stuck.send_modify(|stuck| *stuck += 1);
        // A sender that was dropped releases as well.
        match &mut self.release {
            Release::Held(release) => drop(release.wait_for(|released| *released).await),
            Release::Hung(release) => drop(release.changed().await),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.state.lock().hold = None;
        self.release.send_replace(true);
    }
}

#[derive(Debug)]
struct DiskState {
    /// A change is never torn within so many bytes.
    tear_bytes: usize,
    tells_holes: bool,
    refuses_quick_zeroes: bool,
    cached: Vec<u8>,
    durable: Vec<u8>,
    dirty: Vec<bool>,
    /// Sectors that flushes under way will bring to the platter, oldest first.
    writing: Vec<(u64, Vec<Sector>)>,
    flushes: u64,
    is_there: bool,
    /// Counts how often it was plugged in; a handle is good for one stay.
    stay: u64,
    handles: usize,
    double_opens: usize,
    scripts: Vec<Script>,
    hold: Option<Hold>,
    /// Those that hang, of I/O to come: a kind and how many of it are answered before.
    hangs: Vec<(Op, usize)>,
    /// Counts how often what hung was let go.
    hung: watch::Sender<usize>,
    /// The present handle's disk is gone, or a flush of it failed.
    handle_is_dead: bool,
    flush_failed: bool,
    flushes_after_failure: usize,
    content_tells: bool,
    hardware: String,
    /// The seed of how often an I/O yields; 0: it is done at once.
    pace: u64,
}

/// What holes are told in.
const PAGE_BYTES: u64 = 4096;

/// A disk, in the cabinet or in a bay.
#[derive(Debug)]
pub struct Disk {
    pub name: String,
    state: Mutex<DiskState>,
    changes: AtomicU64,
    read_bytes: AtomicU64,
}

impl Disk {
    pub fn new(name: &str, size_bytes: usize) -> Arc<Self> {
        let state = DiskState {
            cached: vec![0; size_bytes],
            durable: vec![0; size_bytes],
            dirty: vec![false; size_bytes.div_ceil(SECTOR)],
            writing: Vec::new(),
            flushes: 0,
            is_there: true,
            stay: 0,
            handles: 0,
            double_opens: 0,
            scripts: Vec::new(),
            hold: None,
            hangs: Vec::new(),
            hung: watch::Sender::new(0),
            handle_is_dead: false,
            flush_failed: false,
            flushes_after_failure: 0,
            content_tells: false,
            hardware: format!("serial:{name}"),
            pace: 0,
            tear_bytes: TEAR_BYTES,
            tells_holes: false,
            refuses_quick_zeroes: false,
        };
        Arc::new(Self {
            name: name.to_owned(),
            state: Mutex::new(state),
            changes: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
        })
    }

    /// What would be found after a loss of everything that was not synced.
    pub fn durable(&self) -> Vec<u8> {
        self.state.lock().durable.clone()
    }

    pub fn cached(&self) -> Vec<u8> {
        self.state.lock().cached.clone()
    }

    /// Puts this on the platter, as if another machine had written it.
    pub fn fill(&self, byte: u8) {
        let mut state = self.state.lock();
        state.cached.fill(byte);
        state.durable.fill(byte);
    }

    /// Somebody else puts this there.
    pub fn overwrite(&self, offset: usize, bytes: &[u8]) {
        let mut state = self.state.lock();
        state.cached[offset..offset + bytes.len()].copy_from_slice(bytes);
        state.durable[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Its first eight bytes tell who it is, where they are not zero.
    pub fn content_tells_identity(&self) {
        self.state.lock().content_tells = true;
    }

    pub fn set_hardware(&self, hardware: &str) {
        self.state.lock().hardware = hardware.to_owned();
    }

    /// I/O yields a few times, differently each time.
    pub fn set_pace(&self, seed: u64) {
        self.state.lock().pace = seed;
    }

    /// It knows which of its pages are zeroes.
    pub fn tell_holes(&self) {
        self.state.lock().tells_holes = true;
    }

    /// It has no way of making zeroes but to write them.
    pub fn refuse_quick_zeroes(&self) {
        self.state.lock().refuses_quick_zeroes = true;
    }

    /// How much was read of it.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(SeqCst)
    }

    pub(super) fn status(&self, asked: Extent, most: usize) -> Vec<Status> {
        let state = self.state.lock();
        if !state.tells_holes {
            return vec![Status::unknown(asked)];
        }
        let mut known = Vec::new();
        for piece in asked.pieces(PAGE_BYTES) {
            let is_hole = state.cached[range(piece)].iter().all(|byte| *byte == 0);
            let allocation = if is_hole { Allocation::Hole } else { Allocation::Data };
            Status { allocation, ..Status::unknown(piece) }.add_to(&mut known);
        }
        known.truncate(most);
        known
    }

    /// What a client takes for one unit is there as a whole or not at all, as a sector of a real disk is.
    pub fn never_tear_within(&self, bytes: usize) {
        self.state.lock().tear_bytes = bytes;
    }

    /// Takes it out of whatever it is in. What was not synced is lost.
    pub fn yank(&self) {
        self.state.lock().go();
    }

    /// Puts it back within reach. Handles from before stay dead.
    pub fn plug(&self) {
        let mut state = self.state.lock();
        if !state.is_there {
            state.is_there = true;
            state.stay += 1;
        }
    }

    pub fn is_there(&self) -> bool {
        self.state.lock().is_there
    }

    /// Loses what was not synced, as a disk does that is not in use any more and whose power goes.
    pub fn lose_unsynced(&self) {
        self.state.lock().lose_unsynced();
    }

    /// Scripts a fault at the `nth` I/O of a kind from now on.
    pub fn script(&self, op: Op, nth: usize, fault: Fault) {
        self.state.lock().scripts.push(Script { op, nth, fault });
    }

    pub fn forget_scripts(&self) {
        self.state.lock().scripts.clear();
    }

    /// Holds up every I/O of a kind before it happens. It lands when it is released, on whatever is there then: a
    /// stuck I/O does not ask whether anybody still waits for it.
    pub fn hold(self: &Arc<Self>, op: Op) -> Held {
        self.hold_up(op, When::Before)
    }

    /// Holds up the answer of every I/O of a kind that has happened.
    pub fn hold_answers(self: &Arc<Self>, op: Op) -> Held {
        self.hold_up(op, When::After)
    }

    /// The `nth` I/O of a kind from now on hangs until it is let go, before it happens.
    pub fn hang(&self, op: Op, nth: usize) {
        self.state.lock().hangs.push((op, nth));
    }

    /// Lets land what hangs now.
    pub fn let_hung_land(&self) {
        self.state.lock().hung.send_modify(|times| *times += 1);
    }

    /// The same, and nothing hangs from now on.
    pub fn heal(&self) {
        self.state.lock().hangs.clear();
        self.let_hung_land();
    }

    /// How many I/Os hang.
    pub fn hanging(&self) -> usize {
        self.state.lock().hung.receiver_count()
    }

    fn hold_up(self: &Arc<Self>, op: Op, when: When) -> Held {
        let (release, released) = watch::channel(false);
        let stuck = watch::Sender::new(0);
        let hold = Hold { op, when, release: released, stuck: stuck.clone() };
        self.state.lock().hold = Some(hold);
        Held { disk: Arc::clone(self), release, stuck }
    }

    /// Ends a hold whose process was killed.
    pub fn lift_hold(&self) {
        self.state.lock().hold = None;
    }

    pub fn open_handles(&self) -> usize {
        self.state.lock().handles
    }

    /// How often it was opened while it was open.
    pub fn double_opens(&self) -> usize {
        self.state.lock().double_opens
    }

    /// Whether a handle is open on which nothing can be relied on any more.
    pub fn has_dead_handle(&self) -> bool {
        let state = self.state.lock();
        state.handles > 0 && state.handle_is_dead
    }

    /// Flushes made on a handle after one of them had failed.
    pub fn flushes_after_failure(&self) -> usize {
        self.state.lock().flushes_after_failure
    }

    /// Changes that have reached it.
    pub fn changes(&self) -> u64 {
        self.changes.load(SeqCst)
    }

    pub fn size_bytes(&self) -> u64 {
        self.state.lock().cached.len() as u64
    }

    /// Makes it longer, on the platter, as a file grows.
    pub fn grow(&self, size_bytes: usize) {
        let mut state = self.state.lock();
        state.cached.resize(size_bytes, 0);
        state.durable.resize(size_bytes, 0);
        state.dirty.resize(size_bytes.div_ceil(SECTOR), false);
    }

    pub(super) fn identity(&self) -> Identity {
        let state = self.state.lock();
        let head = &state.cached[..8];
        let tells = state.content_tells && head.iter().any(|&byte| byte != 0);
        Identity {
            size_bytes: state.cached.len() as u64,
            content: tells.then(|| format!("test:{head:02x?}")).into_iter().collect(),
            hardware: Some(state.hardware.clone()),
            file: None,
            location: self.name.clone(),
        }
    }

    /// Opens it; gives the number of the stay that the handle is good for.
    pub(super) fn open(&self) -> Result<u64, Error> {
        let mut state = self.state.lock();
        if !state.is_there {
            return Err(Error::new(ErrorKind::Gone, format!("{} is not there", self.name)));
        }
        if state.handles > 0 {
            state.double_opens += 1;
            return Err(Error::new(ErrorKind::Medium, format!("{} is in use", self.name)));
        }
        state.handles += 1;
        state.handle_is_dead = false;
        state.flush_failed = false;
        Ok(state.stay)
    }

    pub(super) fn close(&self) {
        self.state.lock().handles -= 1;
    }

    pub(super) fn presence(&self, stay: u64) -> Result<(), Error> {
        self.state.lock().presence(stay)
    }

    pub(super) fn sample(&self, blocks: &[Extent], stay: u64) -> Result<Vec<Option<Bytes>>, Error> {
        let state = self.state.lock();
        state.presence(stay)?;
        let bytes = |block: &Extent| Some(Bytes::copy_from_slice(&state.cached[range(*block)]));
        Ok(blocks.iter().map(bytes).collect())
    }

    /// How often the next I/O is to yield, before and after it happens; `None` for one that is done at once.
    pub(super) fn next_pace(&self) -> Option<(u64, u64)> {
        let mut state = self.state.lock();
        if state.pace == 0 {
            return None;
        }
        state.pace ^= state.pace << 13;
        state.pace ^= state.pace >> 7;
        state.pace ^= state.pace << 17;
        let bits = state.pace >> 20;
        (bits & 1 == 0).then_some(((bits >> 1) % 4, (bits >> 3) % 4))
    }

    /// Whether I/O of this kind is held up.
    pub(super) fn held_up(&self, op: Op) -> Option<Stuck> {
        let mut state = self.state.lock();
        if state.next_hangs(op) {
            let release = Release::Hung(state.hung.subscribe());
            return Some(Stuck { when: When::Before, release, stuck: watch::Sender::new(0) });
        }
        let hold = state.hold.as_ref().filter(|hold| hold.op == op)?;
        let (release, stuck) = (Release::Held(hold.release.clone()), hold.stuck.clone());
        Some(Stuck { when: hold.when, release, stuck })
    }

    /// A flush begins: notes what it covers. Nothing for any other request.
    pub(super) fn begin(&self, op: Op) -> u64 {
        let mut state = self.state.lock();
        if op != Op::Flush {
            return 0;
        }
        state.flushes_after_failure += usize::from(state.flush_failed);
        state.begin_flush()
    }

    /// Carries out an I/O that was not held up; a stuck one lands whatever has become of its handle.
    pub(super) fn finish(
        &self,
        request: Request,
        flush: u64,
        stay: u64,
        was_stuck: bool,
    ) -> Result<Reply, Error> {
        let mut state = self.state.lock();
        if was_stuck && request.is_change() {
            state.apply(&request, 1);
            self.changes.fetch_add(1, SeqCst);
        }
        state.presence(stay)?;
        if let Some(fault) = state.next_fault(Op::of(&request)) {
            return Err(state.fail(&request, flush, fault));
        }
        if state.refuses_quick_zeroes && request.must_be_fast() {
            return Err(ErrorKind::Slow.into());
        }
        match request {
            Request::Read { extent, mut buffer, .. } => {
                self.read_bytes.fetch_add(extent.length(), SeqCst);
                buffer.clear();
                buffer.extend_from_slice(&state.cached[range(extent)]);
                Ok(Reply::Data(buffer.freeze().into()))
            }
            Request::Flush => {
                state.finish_flushes_to(flush);
                Ok(Reply::Done)
            }
            Request::Cache { .. } => Ok(Reply::Done),
            change => {
                state.apply(&change, 1);
                self.changes.fetch_add(1, SeqCst);
                Ok(Reply::Done)
            }
        }
    }
}

impl DiskState {
    fn presence(&self, stay: u64) -> Result<(), Error> {
        match self.is_there && self.stay == stay {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Gone, "the disk is gone")),
        }
    }

    fn go(&mut self) {
        self.is_there = false;
        self.handle_is_dead = true;
        self.lose_unsynced();
    }

    fn lose_unsynced(&mut self) {
        self.writing.clear();
        self.dirty.fill(false);
        self.cached.copy_from_slice(&self.durable);
    }

    fn next_hangs(&mut self, op: Op) -> bool {
        let mut due = None;
        for (place, (kind, nth)) in self.hangs.iter_mut().enumerate() {
            if *kind == op {
                match nth {
                    0 => due = Some(place),
                    _ => *nth -= 1,
                }
            }
        }
        due.map(|place| self.hangs.remove(place)).is_some()
    }

    fn next_fault(&mut self, op: Op) -> Option<Fault> {
        let mut due = None;
        for (place, script) in self.scripts.iter_mut().enumerate() {
            if script.op == op {
                match script.nth {
                    0 => due = Some(place),
                    _ => script.nth -= 1,
                }
            }
        }
        due.map(|place| self.scripts.remove(place).fault)
    }

    fn fail(&mut self, request: &Request, flush: u64, fault: Fault) -> Error {
        if fault == Fault::Error {
            if matches!(request, Request::Flush) {
                self.writing.retain(|(number, _)| *number > flush);
                self.flush_failed = true;
                self.handle_is_dead = true;
            }
            return Error::new(ErrorKind::Medium, "a scripted error");
        }
        if fault == Fault::GoneTorn {
            match request {
                Request::Flush => self.tear_flush(flush),
                _ if request.is_change() => self.tear_change(request),
                _ => {}
            }
        }
        self.go();
        Error::new(ErrorKind::Gone, "the disk is gone, as scripted")
    }

    /// Half of the sectors of a flush reach the platter.
    fn tear_flush(&mut self, flush: u64) {
        for (_, sectors) in self.writing.iter_mut().filter(|(number, _)| *number <= flush) {
            sectors.truncate(sectors.len() / 2);
        }
        self.finish_flushes_to(flush);
    }

    /// Half of a change reaches the platter.
    fn tear_change(&mut self, request: &Request) {
        self.apply(request, 2);
        let half = range(request.extent().unwrap());
        let half = half.start..half.start + half.len() / 2 / self.tear_bytes * self.tear_bytes;
        let (cached, durable) = (&self.cached[half.clone()], &mut self.durable[half]);
        durable.copy_from_slice(cached);
    }

    /// Changes the cached image by the first `1/part` of a request.
    fn apply(&mut self, request: &Request, part: usize) {
        let all = range(request.extent().unwrap());
        let place = all.start
            ..all.start
                + if part == 1 {
                    all.len()
                } else {
                    all.len() / part / self.tear_bytes * self.tear_bytes
                };
        if place.is_empty() {
            return;
        }
        match request {
            Request::Write { data, .. } => {
                self.cached[place.clone()].copy_from_slice(&data[..place.len()]);
            }
            _ => self.cached[place.clone()].fill(0),
        }
        self.dirty[place.start / SECTOR..=(place.end - 1) / SECTOR].fill(true);
    }

    fn begin_flush(&mut self) -> u64 {
        let mut sectors = Vec::new();
        for sector in 0..self.dirty.len() {
            if std::mem::take(&mut self.dirty[sector]) {
                let start = sector * SECTOR;
                let end = self.cached.len().min(start + SECTOR);
                sectors.push((start, self.cached[start..end].to_vec()));
            }
        }
        self.flushes += 1;
        self.writing.push((self.flushes, sectors));
        self.flushes
    }

    fn finish_flushes_to(&mut self, flush: u64) {
        let writing = std::mem::take(&mut self.writing);
        for (number, sectors) in writing {
            if number > flush {
                self.writing.push((number, sectors));
                continue;
            }
            for (start, bytes) in sectors {
                self.durable[start..start + bytes.len()].copy_from_slice(&bytes);
            }
        }
    }
}

fn range(extent: Extent) -> std::ops::Range<usize> {
    usize::try_from(extent.offset()).unwrap()..usize::try_from(extent.end()).unwrap()
}
