//! Syncing what is written in bulk while it is written, so that the disk does not stand still until the end, and little is left
//! for the sync there.
//!
//! A sync along the way counts for nothing: what may be relied upon is decided by one that begins after the last write. But it is
//! a sync like any other where it fails: of what it was to bring to stable storage something is lost, and the next one
//! may not say so again.

use tokio::sync::watch;

/// So much is written between the syncs along the way.
const SYNC_ALONG_BYTES: u64 = 32 << 20;

/// Syncs each time that so many more bytes have been `written` than at the call, until nobody writes any more.
pub(crate) fn sync_along<E, F: Future<Output = Result<(), E>>>(
    mut written: watch::Receiver<u64>,
    sync: impl Fn() -> F,
) -> impl Future<Output = Result<(), E>> {
    let mut next = *written.borrow() + SYNC_ALONG_BYTES;
    async move {
        while let Ok(now) = written.wait_for(|written| *written >= next).await.map(|now| *now) {
            next = now + SYNC_ALONG_BYTES;
            sync().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const HALF: u64 = SYNC_ALONG_BYTES / 2;

    #[tokio::test]
    async fn it_syncs_each_time_that_enough_was_written_and_ends_with_the_writing() {
        let (written, seen) = watch::channel(100);
        let (now, synced_at) = (written.subscribe(), RefCell::new(Vec::new()));
        let sync = || async {
            synced_at.borrow_mut().push(*now.borrow());
            Ok::<(), ()>(())
        };
        let writing = async {
            for step in 1..=5 {
                written.send_replace(100 + step * HALF);
                // Whichever of the two is asked first, the other one sees this step.
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            }
            drop(written);
        };
        let ((), ended) = tokio::join!(writing, sync_along(seen, sync));
        assert_eq!(ended, Ok(()));
        assert_eq!(*synced_at.borrow(), [100 + 2 * HALF, 100 + 4 * HALF]);
    }

    #[tokio::test]
    async fn it_ends_with_the_first_sync_that_fails() {
        let (written, seen) = watch::channel(0);
        let ended = sync_along(seen, || async { Err("lost") });
        written.send_replace(SYNC_ALONG_BYTES);
        assert_eq!(ended.await, Err("lost"));
    }
}
