//! One sync for all who wait: a sync covers everybody who came before it began.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::Mutex;

/// Joins syncs that are asked for at the same time.
///
/// Whoever comes draws a ticket. One at a time runs a sync, which covers each ticket drawn before it began;
/// those who find their ticket covered when their turn comes need not sync again.
#[derive(Debug, Default)]
pub(crate) struct GroupSync {
    tickets: AtomicU64,
    covered: Mutex<u64>,
}

impl GroupSync {
    /// Returns once a sync that began after this call has succeeded. `run` is only polled when it is needed.
    ///
    /// # Errors
    /// That of `run`, for the one who ran it; the others who waited run their own.
    pub(crate) async fn sync<E>(&self, run: impl Future<Output = Result<(), E>>) -> Result<(), E> {
        let ticket = self.tickets.fetch_add(1, SeqCst) + 1;
        let mut covered = self.covered.lock().await;
        if *covered >= ticket {
            return Ok(());
        }
        let covers = self.tickets.load(SeqCst);
        run.await?;
        *covered = covers;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_share_one_sync() {
        let (group, runs) = (GroupSync::default(), Cell::new(0));
        let run = async || {
            runs.set(runs.get() + 1);
            tokio::task::yield_now().await;
            Ok::<(), ()>(())
        };
        join_all((0..50).map(|_| group.sync(run()))).await;
        assert_eq!(
            runs.get(),
            2,
            "the first runs for itself, the second for all who came meanwhile"
        );
        group.sync(run()).await.unwrap();
        assert_eq!(runs.get(), 3, "who comes later is not covered");
    }

    #[tokio::test]
    async fn a_failure_covers_nobody() {
        let group = GroupSync::default();
        assert_eq!(group.sync(async { Err(5) }).await, Err(5));
        let ran = Cell::new(false);
        group
            .sync(async {
                ran.set(true);
                Ok::<(), ()>(())
            })
            .await
            .unwrap();
        assert!(ran.get());
    }
}
