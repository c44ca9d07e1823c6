//! How a request waits: for a medium, for room in the journal, for what comes before it, for a change of state to end. Each wait is counted for
//! the status and bounded, all waits of one request together, by the volume's `absent_wait`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use hotbay_block::{Error, ErrorKind, Result};
use tokio::time::{Instant, sleep, timeout_at};

use crate::event::EventKind;
use crate::room::{NoRoom, RoomWait, Waiter, WhatIsFull};
use crate::route::Route;
use crate::settings::{AbsentReads, JournalFull};
use crate::volume::Volume;

/// How often one who waits for room looks whether the journal's file system has some again.
const ROOM_RETRY: Duration = Duration::from_secs(1);

/// The patience of one request. Its deadline is set when it waits for the first time.
#[derive(Debug)]
pub(crate) struct Patience<'a> {
    volume: &'a Arc<Volume>,
    deadline: Option<Instant>,
    /// Its place among those that wait for room, from the first look for some until it goes on.
    for_room: Option<RoomWait<'a>>,
    /// Whether it has looked for room on this route and found none.
    found_no_room: bool,
}

/// Where one who waited for room goes on.
enum Look {
    /// By the same route.
    Again,
    /// By another one.
    Elsewhere,
}

/// Counts one who waits while it is held.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    /// Counts one more, and says how many there were before.
    fn begin(counter: &'a AtomicU64) -> (Self, u64) {
        let before = counter.fetch_add(1, SeqCst);
        (Self(counter), before)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl<'a> Patience<'a> {
    pub(crate) const fn new(volume: &'a Arc<Volume>) -> Self {
        Self { volume, deadline: None, for_room: None, found_no_room: false }
    }

    fn deadline(&mut self) -> Instant {
        *self.deadline.get_or_insert_with(|| Instant::now() + self.volume.settings().absent_wait)
    }

    fn ran_out(&self, what: &str) -> Error {
        let (name, waited) = (self.volume.name(), self.volume.settings().absent_wait);
        Error::new(ErrorKind::TimedOut, format!("volume {name}: waited {waited:?} for {what}"))
    }

    /// Waits until requests go elsewhere than by `seen`.
    pub(crate) async fn until_routed_elsewhere(&mut self, seen: &Arc<Route>) -> Result<()> {
        let deadline = self.deadline();
        self.goes_elsewhere();
        let _waiting = Waiting::begin(&self.volume.waiting);
        let moved = self.volume.routed_elsewhere(seen);
        timeout_at(deadline, moved).await.map_err(|_| self.ran_out("a change of state to end"))
    }

    /// Waits until a medium may be in, where the volume's policy is to wait.
    pub(crate) async fn until_medium_is_in(&mut self, seen: &Arc<Route>) -> Result<()> {
        let name = self.volume.name();
        if self.volume.settings().absent_reads == AbsentReads::Error {
            return Err(Error::new(
                ErrorKind::TimedOut,
                format!("please insert volume {name}: its medium is away"),
            ));
        }
        let deadline = self.deadline();
        self.goes_elsewhere();
        let _waiting = Waiting::begin(&self.volume.waiting);
        let (_for_medium, others) = Waiting::begin(&self.volume.waiting_for_medium);
        if others == 0 {
            self.volume.event(EventKind::PleaseInsert, format!("please insert volume {name}"));
        }
        let moved = self.volume.routed_elsewhere(seen);
        timeout_at(deadline, moved).await.map_err(|_| {
            let waited = self.volume.settings().absent_wait;
            let text = format!("please insert volume {name}: waited {waited:?} for its medium");
            Error::new(ErrorKind::TimedOut, text)
        })
    }

    /// Waits until what was retained is in the journal.
    pub(crate) async fn until_backlog_is_in(&mut self, seen: &Arc<Route>) -> Result<()> {
        let log = self.volume.log();
        let deadline = self.deadline();
        self.goes_elsewhere();
        let _waiting = Waiting::begin(&self.volume.waiting);
        let change = async {
            tokio::select! {
                biased;
                () = log.backlog.all_in() => {}
                () = self.volume.routed_elsewhere(seen) => {}
            }
        };
        let waited = timeout_at(deadline, change).await;
        waited.map_err(|_| self.ran_out("the retained writes to enter the journal"))
    }

    /// It does not wait for room any more, whatever it waits for next.
    fn goes_elsewhere(&mut self) {
        (self.for_room, self.found_no_room) = (None, false);
    }

    /// Is counted among those that wait for room, once.
    fn waits_for_room(&mut self, full: WhatIsFull) {
        match &self.for_room {
            Some(place) => place.still(full),
            None => self.for_room = Some(self.volume.room_queue.enter(Waiter::Request, full)),
        }
    }

    /// Waits until there may be room in the journal: at once where space can be gained, else as the volume's policy
    /// says.
    pub(crate) async fn until_there_is_room(
        &mut self,
        seen: &Arc<Route>,
        lack: &NoRoom,
    ) -> Result<()> {
        let NoRoom { full, why } = lack;
        let log = self.volume.log();
        let deadline = self.deadline();
        let _waiting = Waiting::begin(&self.volume.waiting);
        let mut room = std::pin::pin!(log.room.notified());
        room.as_mut().enable();
        if log.wants_reclaim() {
            self.volume.reclaim_soon();
            // What there is to gain may not be enough, or not to be had while the disk is full.
            if self.found_no_room {
                self.waits_for_room(*full);
            }
        } else {
            self.volume.journal_is_full(why);
            if self.volume.settings().journal_full == JournalFull::Error {
                return Err(Error::new(ErrorKind::NoSpace, why.as_str()));
            }
            self.waits_for_room(*full);
        }
        self.found_no_room = true;
        let change = async {
            tokio::select! {
                biased;
                () = room => Look::Again,
                () = self.volume.routed_elsewhere(seen) => Look::Elsewhere,
                // Nobody tells when the file system has room again.
                () = sleep(ROOM_RETRY) => Look::Again,
            }
        };
        let waited = timeout_at(deadline, change).await;
        if matches!(waited, Ok(Look::Elsewhere)) {
            self.goes_elsewhere();
        }
        waited.map(drop).map_err(|_| Error::new(ErrorKind::NoSpace, format!("no room came: {why}")))
    }
}
