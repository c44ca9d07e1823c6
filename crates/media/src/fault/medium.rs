//! What stands before a medium so that faults can happen to it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};

use bytes::{Bytes, BytesMut};
use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Durability, Error, ErrorKind, Execution, Extent, Identity,
    Medium, Reply, Request, Result, Status,
};
use tokio::sync::Mutex;

use super::plan::{End, FaultPlan, Shown, Struck, error_of, gone};
use super::spec::Op;
use super::unsynced::{AfterThis, OldContent};

/// A medium with its volume's faults before it.
///
/// While none is armed each request costs one load of an atomic more than without.
#[derive(Debug)]
pub(crate) struct FaultyMedium(Arc<Stay>);

/// One medium, from when it is opened until nobody has it any more.
pub(super) struct Stay {
    medium: Arc<dyn Medium>,
    plan: Arc<FaultPlan>,
    /// Whether requests have to look at the plan.
    awake: AtomicBool,
    /// Whether a fault took it away. It stays away; the medium is opened again.
    gone: AtomicBool,
    /// Whether a fault made a sync fail: no other one succeeds on this handle.
    sync_failed: AtomicBool,
    /// Held for a change or a sync while what was not synced may be lost: these go one after the other then.
    old: Mutex<OldContent>,
}

impl FaultyMedium {
    pub(super) const fn new(stay: Arc<Stay>) -> Self {
        Self(stay)
    }
}

impl fmt::Debug for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stay").field("medium", &self.medium).finish_non_exhaustive()
    }
}

impl Device for FaultyMedium {
    fn info(&self) -> DeviceInfo {
        self.0.medium.info()
    }

    fn execute(&self, request: Request) -> Execution {
        let stay = &self.0;
        if !stay.awake.load(Relaxed) {
            return stay.medium.execute(request);
        }
        if stay.is_gone() {
            return Execution::Done(Err(gone()));
        }
        let struck = stay.plan.strike(stay, Op::of(&request), request.extent());
        let is_sync_after_failed = Op::of(&request) == Op::Sync && stay.sync_failed.load(SeqCst);
        if struck.is_nothing() && !is_sync_after_failed {
            return stay.medium.execute(request);
        }
        let stay = Arc::clone(stay);
        Execution::later(async move { stay.carry_out(request, struck).await })
    }

    /// Faults do not strike it; a medium that one took away has nothing to tell.
    fn status(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        if self.0.awake.load(Relaxed) && self.0.is_gone() {
            return Box::pin(std::future::ready(Err(gone())));
        }
        self.0.medium.status(extent, most)
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        self.0.medium.exchanged()
    }
}

impl Medium for FaultyMedium {
    fn name(&self) -> &str {
        self.0.medium.name()
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        if !self.0.awake.load(Relaxed) {
            return self.0.medium.presence();
        }
        Box::pin(async {
            self.0.meet_question(Op::Look).await?;
            self.0.medium.presence().await
        })
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        if !self.0.awake.load(Relaxed) {
            return self.0.medium.identify();
        }
        Box::pin(async {
            self.0.meet_question(Op::Identify).await?;
            self.0.medium.identify().await
        })
    }

    /// Faults do not strike it, so that a test counts its own requests alone; a medium that one took away has nothing to
    /// tell.
    fn sample(&self, blocks: Vec<Extent>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        if self.0.awake.load(Relaxed) && self.0.is_gone() {
            return Box::pin(std::future::ready(Err(gone())));
        }
        self.0.medium.sample(blocks)
    }

    /// Faults do not strike it.
    fn grow(&self, size_bytes: u64) -> BoxFuture<'_, Result<()>> {
        if self.0.awake.load(Relaxed) && self.0.is_gone() {
            return Box::pin(std::future::ready(Err(gone())));
        }
        self.0.medium.grow(size_bytes)
    }
}

impl Stay {
    pub(super) fn new(medium: Arc<dyn Medium>, plan: Arc<FaultPlan>) -> Self {
        Self {
            medium,
            plan,
            awake: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            sync_failed: AtomicBool::new(false),
            old: Mutex::default(),
        }
    }

    pub(super) fn wake(&self) {
        self.awake.store(true, SeqCst);
    }

    /// Lets requests pass again, unless what happened to this handle is for ever.
    pub(super) fn rest(&self) {
        self.awake.store(self.is_gone() || self.sync_failed.load(SeqCst), SeqCst);
    }

    pub(super) fn vanish(&self) {
        self.gone.store(true, SeqCst);
        self.wake();
    }

    fn is_gone(&self) -> bool {
        self.gone.load(SeqCst)
    }

    /// What is not a request: a look whether the medium is there, or who it is.
    async fn meet_question(&self, op: Op) -> Result<()> {
        if self.is_gone() {
            return Err(gone());
        }
        let struck = self.plan.strike(self, op, None);
        let _taking_away = struck.taking_away;
        for hold in struck.holds {
            hold.wait().await;
        }
        match struck.end {
            Some(End::Error(errno)) => {
                return Err(error_of(errno, &format!("{} failed", Shown(op, None))));
            }
            Some(End::LoseUnsynced) => self.lose_unsynced(struck.keep_old).await,
            Some(End::Vanish | End::Torn(_)) | None => {}
        }
        if self.is_gone() { Err(gone()) } else { Ok(()) }
    }

    async fn carry_out(&self, request: Request, struck: Struck) -> Result<Reply> {
        let Struck { holds, end, corrupt, keep_old, taking_away: _taking_away } = struck;
        for hold in holds {
            hold.wait().await;
        }
        let op = Op::of(&request);
        match end {
            Some(End::Error(errno)) => {
                if op == Op::Sync {
                    self.sync_failed.store(true, SeqCst);
                    self.wake();
                }
                let doing = format!("{} failed", Shown(op, request.extent()));
                return Err(error_of(errno, &doing));
            }
            Some(End::Torn(bytes)) => return self.tear(request, bytes).await,
            Some(End::LoseUnsynced) => self.lose_unsynced(keep_old).await,
            Some(End::Vanish) | None => {}
        }
        // Also what was held while the medium vanished: it does not land any more.
        if self.is_gone() {
            return Err(gone());
        }
        if op == Op::Sync && self.sync_failed.load(SeqCst) {
            return Err(Error::from(ErrorKind::PreviousFailure));
        }
        let request = corrupt.map_or_else(|| request.again(), |at| corrupt_write(&request, at));
        let is_read = matches!(request, Request::Read { .. });
        let extent = request.extent();
        let reply = match keep_old {
            Some(time) => self.carry_out_and_keep_old(time, request).await?,
            None => self.medium.execute(request).answer().await?,
        };
        if self.is_gone() {
            return Err(gone());
        }
        match (corrupt, extent) {
            (Some(at), Some(extent)) if is_read => Ok(corrupt_read(reply, extent, at)),
            _ => Ok(reply),
        }
    }

    /// Changes and syncs go one after the other, so that it is known which change a sync covers.
    async fn carry_out_and_keep_old(&self, time: u64, request: Request) -> Result<Reply> {
        if !request.is_change() && !matches!(request, Request::Flush) {
            return self.medium.execute(request).answer().await;
        }
        let mut old = self.old.lock().await;
        old.begin(time);
        if self.is_gone() {
            return Err(gone());
        }
        let Some(extent) = request.extent() else {
            let reply = self.medium.execute(request).answer().await?;
            old.forget();
            return Ok(reply);
        };
        let after = old.keep(self.medium.as_ref(), extent).await?;
        let stable = request.durability() == Some(Durability::Stable);
        let reply = self.medium.execute(request.deferred()).answer().await?;
        if stable || after == AfterThis::Sync {
            self.medium.execute(Request::Flush).answer().await?;
            old.forget();
        }
        Ok(reply)
    }

    /// The medium is gone already, so nothing new begins; what has begun has ended once `old` is held.
    async fn lose_unsynced(&self, time: Option<u64>) {
        let mut old = self.old.lock().await;
        if let Some(time) = time {
            old.begin(time);
        }
        old.bring_back(self.medium.as_ref()).await;
    }

    async fn tear(&self, request: Request, bytes: Option<u64>) -> Result<Reply> {
        if let Some(part) = first_part(request, bytes) {
            // Whatever it says: the medium is gone.
            let _ = self.medium.execute(part).answer().await;
        }
        Err(gone())
    }
}

/// The beginning of a change; `None` where that is nothing.
fn first_part(request: Request, bytes: Option<u64>) -> Option<Request> {
    let extent = request.extent()?;
    let length = bytes.unwrap_or(extent.length() / 2).min(extent.length());
    let part = Extent::between(extent.offset(), extent.offset() + length);
    if part.is_empty() {
        return None;
    }
    Some(match request.deferred() {
        Request::Write { data, durability, .. } => {
            let data = data.slice(..part.len_in_memory());
            Request::Write { extent: part, data, durability }
        }
        Request::Zero { hole, speed, durability, .. } => {
            Request::Zero { extent: part, hole, speed, durability }
        }
        Request::Trim { durability, .. } => Request::Trim { extent: part, durability },
        other => other,
    })
}

fn corrupt_write(request: &Request, at: u64) -> Request {
    match request {
        Request::Write { extent, data, durability } => {
            let data = turn_a_bit(data, *extent, at);
            Request::Write { extent: *extent, data, durability: *durability }
        }
        other => other.again(),
    }
}

fn corrupt_read(reply: Reply, extent: Extent, at: u64) -> Reply {
    match reply {
        Reply::Data(payload) => Reply::Data(turn_a_bit(&payload.into_bytes(), extent, at).into()),
        Reply::Done => Reply::Done,
    }
}

/// The lowest bit of one byte.
fn turn_a_bit(data: &[u8], extent: Extent, at: u64) -> Bytes {
    let mut bytes = BytesMut::from(data);
    let place = Extent::between(extent.offset(), at).len_in_memory();
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 1;
    }
    bytes.freeze()
}

/// The bytes that somebody else writes while the medium is away.
const CHANGED_BYTES: u64 = 512;

/// Turns every bit of a sector: at the place that the fault was aimed at, else in the middle.
pub(super) async fn change_behind_its_back(medium: &dyn Medium, at: Option<Extent>) -> Result<()> {
    let size = medium.info().size_bytes;
    let start = at.map_or(size / 2 / CHANGED_BYTES * CHANGED_BYTES, Extent::offset).min(size);
    let extent = Extent::between(start, size.min(start.saturating_add(CHANGED_BYTES)));
    if extent.is_empty() {
        return Ok(());
    }
    let read = medium.execute(Request::read(extent)).answer().await?;
    let data: Vec<u8> = read.into_payload().into_bytes().iter().map(|byte| !byte).collect();
    let durability = Durability::Deferred;
    medium.execute(Request::Write { extent, data: data.into(), durability }).answer().await?;
    medium.execute(Request::Flush).answer().await?;
    Ok(())
}
