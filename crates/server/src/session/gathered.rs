//! Futures that are polled together, and wake their task for what has come of them alone.
//!
//! A `FuturesUnordered` that has polled all it holds wakes its own task, so that one whose futures are ready again and again lets others
//! run. For a session that would be a turn of the scheduler, and another thread woken to help with it, for each request that
//! has to wait. So what it rings while it is polled is not passed on, but looked into at once; only what rings then again is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::stream::{FuturesUnordered, Stream as _};
use futures_util::task::AtomicWaker;

/// The futures are being polled.
const POLLED: u8 = 1;
/// It has rung since that was last looked at.
const RUNG: u8 = 2;

/// The futures. Dropping it drops them.
pub(super) struct Gathered<F: Future> {
    futures: FuturesUnordered<F>,
    bell: Arc<Bell>,
    rings: Waker,
}

/// What the futures wake.
#[derive(Debug, Default)]
struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(RUNG, SeqCst) & POLLED == 0 {
            self.task.wake();
        }
    }
}

impl<F: Future> fmt::Debug for Gathered<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<F: Future> Default for Gathered<F> {
    fn default() -> Self {
        let bell = Arc::<Bell>::default();
        Self { futures: FuturesUnordered::new(), rings: Arc::clone(&bell).into(), bell }
    }
}

impl<F: Future> Gathered<F> {
    /// Adds one. It is polled first with the next [`Self::poll_next`].
    pub(super) fn push(&mut self, future: F) {
        self.futures.push(future);
    }

    /// What one of them came to; `None` where there are none.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        self.bell.task.register(context.waker());
        self.bell.state.store(POLLED, SeqCst);
        let mut next = self.poll_once();
        if next.is_pending() && self.bell.state.swap(POLLED, SeqCst) & RUNG != 0 {
            next = self.poll_once();
        }
        if self.bell.state.swap(0, SeqCst) & RUNG != 0 {
            context.waker().wake_by_ref();
        }
        next
    }

    fn poll_once(&mut self) -> Poll<Option<F::Output>> {
        Pin::new(&mut self.futures).poll_next(&mut Context::from_waker(&self.rings))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.futures.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.futures.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::AtomicUsize;
    use std::task::Poll::{Pending, Ready};

    use hotbay_block::BoxFuture;
    use tokio::sync::oneshot;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn it_wakes_its_task_for_what_has_come_alone() {
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut gathered = Gathered::default();
        let mut senders = Vec::new();
        for _ in 0..40 {
            let (sender, receiver) = oneshot::channel();
            senders.push(sender);
            gathered.push(receiver);
            assert_eq!(gathered.poll_next(&mut context), Pending);
        }
        assert_eq!(count.0.load(SeqCst), 0, "nothing has come");
        for (number, sender) in senders.into_iter().enumerate() {
            sender.send(number).unwrap();
            assert_eq!(count.0.load(SeqCst), number + 1);
            assert_eq!(gathered.poll_next(&mut context), Ready(Some(Ok(number))));
            let rest = gathered.poll_next(&mut context);
            assert_eq!(rest, if number == 39 { Ready(None) } else { Pending });
        }
    }

    /// A future that rings whenever it is polled, as one does that has used up its turn, has to wait for the next one.
    #[test]
    fn what_rings_again_and_again_is_passed_on() {
        let count = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut gathered = Gathered::<BoxFuture<'static, ()>>::default();
        gathered.push(Box::pin(pending()));
        gathered.push(Box::pin(std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            Pending
        })));
        for turn in 1..=3 {
            assert_eq!(gathered.poll_next(&mut context), Pending);
            assert_eq!(count.0.load(SeqCst), turn);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_answer_of_another_thread_is_missed() {
        let mut gathered = Gathered::default();
        for _ in 0..20_000 {
            for _ in 0..3 {
                let (sender, receiver) = oneshot::channel();
                tokio::spawn(async move { sender.send(()) });
                gathered.push(receiver);
            }
            for _ in 0..3 {
                let next = std::future::poll_fn(|context| gathered.poll_next(context));
                let next = tokio::time::timeout(std::time::Duration::from_secs(60), next).await;
                next.expect("no answer is missed").unwrap().unwrap();
            }
            assert!(gathered.is_empty());
        }
    }
}
