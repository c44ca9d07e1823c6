//! One sync at a time, shared by all that wait for one, and none after one has failed.
//!
//! The kernel reports a failed write-back once for each open file description. Of two `fdatasync` under way
//! at once on one descriptor, one gets the error and the other may succeed although the data is lost. So
//! there is at most one under way, its outcome is recorded before the next one may begin, and after a
//! failure there is no next one.
//!
//! A request that arrives while a sync runs waits for the next: the one under way may have begun before the
//! writes that the request has to cover. All that arrive meanwhile share that next one.

use std::sync::Arc;

use hotbay_block::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use rustix::io::Errno;
use tokio::sync::oneshot;

/// Why a sync did not succeed; the same for all that waited for it.
#[derive(Clone, Debug)]
pub(crate) struct SyncFailure {
    pub(crate) kind: ErrorKind,
    pub(crate) context: String,
    pub(crate) source: Option<Errno>,
}

impl From<SyncFailure> for Error {
    fn from(failure: SyncFailure) -> Self {
        let error = Self::new(failure.kind, failure.context);
        match failure.source {
            Some(errno) => error.caused_by(std::io::Error::from(errno)),
            None => error,
        }
    }
}

type Outcome = Result<(), SyncFailure>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Health {
    #[default]
    Sound,
    /// A sync failed, or nobody knows how it ended. For ever.
    Failed,
}

#[derive(Debug, Default)]
struct State {
    health: Health,
    running: bool,
    waiting: Vec<oneshot::Sender<Outcome>>,
}

/// The syncs of one open medium. As many requests wait in it as the caller has under way.
pub(crate) struct SyncQueue {
    state: Mutex<State>,
    sync: Box<dyn Fn() -> Outcome + Send + Sync>,
}

impl std::fmt::Debug for SyncQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SyncQueue").field("state", &self.state).finish_non_exhaustive()
    }
}

impl SyncQueue {
    /// A queue for a medium that `sync`, which may block, brings to stable storage.
    pub(crate) fn new(sync: impl Fn() -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), sync: Box::new(sync) })
    }

    /// Fails where an earlier sync has failed.
    pub(crate) fn check(&self) -> Result<()> {
        match self.state.lock().health {
            Health::Sound => Ok(()),
            Health::Failed => Err(previous_failure().into()),
        }
    }

    /// Completes when a sync that began after the first poll has succeeded. Dropping it does not stop the
    /// sync.
    ///
    /// # Errors
    /// Those of the sync; [`ErrorKind::PreviousFailure`] after one that failed; [`ErrorKind::ShuttingDown`]
    /// where the runtime ends.
    pub(crate) async fn sync(self: Arc<Self>) -> Result<()> {
        let (answer, outcome) = oneshot::channel();
        if self.enter(answer)? {
            let mut round = Round::new(Arc::clone(&self));
            drop(tokio::task::spawn_blocking(move || round.run()));
        }
        match outcome.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => {
                Err(Error::new(ErrorKind::ShuttingDown, "the sync was given up before its end"))
            }
        }
    }

    /// Waits for the next sync; says whether the caller has to start it.
    fn enter(&self, answer: oneshot::Sender<Outcome>) -> Result<bool> {
        let mut state = self.state.lock();
        if state.health == Health::Failed {
            return Err(previous_failure().into());
        }
        state.waiting.push(answer);
        Ok(!std::mem::replace(&mut state.running, true))
    }

    /// Those whom the next sync is for, or `None` where nobody waits and the queue is at rest again.
    fn next_batch(&self) -> Option<Vec<oneshot::Sender<Outcome>>> {
        let mut state = self.state.lock();
        let batch = std::mem::take(&mut state.waiting);
        state.running = !batch.is_empty();
        state.running.then_some(batch)
    }

    /// From now on no sync begins; whoever waits for one is told.
    fn fail(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.health = Health::Failed;
            std::mem::take(&mut state.waiting)
        };
        for answer in waiting {
            // An error means that the asker has gone away, as it may.
            let _ = answer.send(Err(previous_failure()));
        }
    }
}

fn previous_failure() -> SyncFailure {
    SyncFailure {
        kind: ErrorKind::PreviousFailure,
        context: "an earlier sync of this medium failed; it must be opened again".into(),
        source: None,
    }
}

/// The duty to sync until nobody waits any more.
struct Round {
    queue: Arc<SyncQueue>,
    /// Those whom the sync under way is for. Here, so that they are let go only after [`drop`](Round::drop).
    batch: Vec<oneshot::Sender<Outcome>>,
    end: RoundEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoundEnd {
    NotReached,
    /// Nobody waits. The queue may already belong to the next round.
    Reached,
}

impl Round {
    fn new(queue: Arc<SyncQueue>) -> Self {
        Self { queue, batch: Vec::new(), end: RoundEnd::NotReached }
    }

    fn run(&mut self) {
        while let Some(batch) = self.queue.next_batch() {
            self.batch = batch;
            let outcome = (self.queue.sync)();
            if outcome.is_err() {
                self.queue.fail();
            }
            for answer in self.batch.drain(..) {
                // An error means that the asker has gone away, as it may.
                let _ = answer.send(outcome.clone());
            }
        }
        self.end = RoundEnd::Reached;
    }
}

impl Drop for Round {
    /// Where the round did not come to its end (a panic, a runtime that stops before it began), nobody knows
    /// what is stable, and nobody may wait for ever.
    fn drop(&mut self) {
        if self.end == RoundEnd::NotReached {
            self.queue.fail();
        }
    }
}

#[cfg(test)]
mod tests;
