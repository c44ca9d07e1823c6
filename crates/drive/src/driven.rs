//! I/O that is driven to its end, also when nobody waits for it any more.
//!
//! To drop a medium's future does not undo its I/O: it may land at any later time. So it goes on in a task of its own then,
//! and keeps what must not be let go before it has ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use hotbay_block::{BoxFuture, Execution, Reply, Result};
use tokio::runtime::Handle;

/// An execution of a medium and what it keeps: the attachment, or the medium's handle.
pub(crate) struct Driven<K: Send + Unpin + 'static> {
    under_way: Option<(BoxFuture<'static, Result<Reply>>, K)>,
}

impl<K: Send + Unpin + 'static> Driven<K> {
    /// The answer where it is there already, else the I/O under way.
    pub(crate) fn begin(
        execution: Execution,
        keeps: impl FnOnce() -> K,
    ) -> std::result::Result<Result<Reply>, Self> {
        match execution {
            Execution::Done(answer) => Ok(answer),
            Execution::Later(future) => Err(Self { under_way: Some((future, keeps())) }),
        }
    }
}

impl<K: Send + Unpin + 'static> Future for Driven<K> {
    type Output = Result<Reply>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (future, _) = self.under_way.as_mut().expect("not polled after its end");
        let answer = std::task::ready!(future.as_mut().poll(context));
        self.under_way = None;
        Poll::Ready(answer)
    }
}

impl<K: Send + Unpin + 'static> Drop for Driven<K> {
    fn drop(&mut self) {
        // Without a runtime the process is ending.
        if let Some((future, keeps)) = self.under_way.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                // Its result does not count any more.
                let _ = future.await;
                drop(keeps);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_dropped_goes_on_and_keeps_what_it_needs() {
        let (land, landing) = oneshot::channel::<()>();
        let (landed, has_landed) = oneshot::channel();
        let execution = Execution::later(async move {
            let _ = landing.await;
            let _ = landed.send(());
            Ok(Reply::Done)
        });
        let kept = Arc::new(());
        let driven = Driven::begin(execution, || Arc::clone(&kept)).err().unwrap();
        drop(driven);
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&kept), 2);
        land.send(()).unwrap();
        has_landed.await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
