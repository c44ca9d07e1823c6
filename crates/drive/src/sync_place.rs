//! Where a journal is synced: on a thread that may wait, or right where the request is.
//!
//! To hand a sync over to another thread and to be woken by it costs two wake-ups. Where the disk syncs in a fifth of a
//! millisecond these are a third of what a lone writer waits for. So whoever is alone on the way to the journal, of
//! which the last sync was short, syncs in place: the runtime gives its other tasks to another thread meanwhile, so that only the
//! session that asked stands still, for about as long as the hand-over would have taken. Who is not alone never does: others
//! would have to wait for the request that syncs, to be appended and to share its sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hotbay_journal::{Journal, JournalError};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::journal_log::blocking;
use crate::under_way::Entered;

/// A sync that takes longer than this is not waited for in place the next time.
const SHORT: Duration = Duration::from_micros(500);

/// Whether others are on their way to the journal at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// Nobody.
    Alone,
    /// Somebody, who may share the sync or must not be kept waiting by it.
    Others,
}

/// Chooses the place of the next sync by how long the last one took.
#[derive(Debug)]
pub(crate) struct SyncPlace {
    last_us: Arc<AtomicU64>,
}

impl Default for SyncPlace {
    /// Nothing is known of the disk yet.
    fn default() -> Self {
        Self { last_us: Arc::new(AtomicU64::new(u64::MAX)) }
    }
}

impl SyncPlace {
    /// Syncs the journal, and lets go of `entered` when that has ended, whoever still waits for it.
    ///
    /// # Errors
    /// As [`Journal::sync`].
    pub(crate) async fn run(
        &self,
        company: Company,
        journal: &Arc<Journal>,
        entered: Entered,
    ) -> Result<(), JournalError> {
        if self.is_here_for(company) {
            let synced = block_in_place(|| timed_sync(journal, &self.last_us));
            drop(entered);
            return synced;
        }
        let (journal, last_us) = (Arc::clone(journal), Arc::clone(&self.last_us));
        blocking(move || {
            let synced = timed_sync(&journal, &last_us);
            drop(entered);
            synced
        })
        .await
    }

    fn is_here_for(&self, company: Company) -> bool {
        let was_short = u128::from(self.last_us.load(Relaxed)) <= SHORT.as_micros();
        company == Company::Alone && was_short && can_block_in_place()
    }
}

fn timed_sync(journal: &Journal, last_us: &AtomicU64) -> Result<(), JournalError> {
    let begin = Instant::now();
    let synced = journal.sync();
    last_us.store(u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX), Relaxed);
    synced
}

/// A runtime of one thread has no other to go on with.
fn can_block_in_place() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(last_us: u64) -> SyncPlace {
        SyncPlace { last_us: Arc::new(AtomicU64::new(last_us)) }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_a_short_sync_that_nobody_else_waits_for_is_done_in_place() {
        assert!(after(200).is_here_for(Company::Alone));
        assert!(!after(200).is_here_for(Company::Others));
        assert!(!after(501).is_here_for(Company::Alone));
        assert!(!SyncPlace::default().is_here_for(Company::Alone), "nothing is known of the disk");
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_is_never_blocked() {
        assert!(!after(200).is_here_for(Company::Alone));
    }
}
