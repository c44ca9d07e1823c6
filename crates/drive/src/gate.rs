//! The gate before a medium or a journal: who is in is counted, and it can be closed and drained.
//!
//! One atomic holds both facts, so that a request passes with one addition: the top bit says closed, the rest
//! counts who is in. Entering a closed gate backs out at once. `drained` is only ever awaited after `close`, so the
//! count can only fall (but for those who are backing out) and the last one out wakes whoever waits.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::Notify;

const CLOSED: u64 = 1 << 63;

/// A gate that counts who is in.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    word: AtomicU64,
    empty: Notify,
}

impl Gate {
    /// Goes in, unless the gate is closed. Each success is to be matched by one [`Gate::leave`].
    #[must_use]
    pub(crate) fn enter(&self) -> bool {
        if self.word.fetch_add(1, SeqCst) & CLOSED == 0 {
            return true;
        }
        self.leave();
        false
    }

    /// Goes out.
    pub(crate) fn leave(&self) {
        let before = self.word.fetch_sub(1, SeqCst);
        debug_assert_ne!(before & !CLOSED, 0, "nobody leaves who is not in");
        if before == CLOSED | 1 {
            self.empty.notify_waiters();
        }
    }

    /// Lets nobody in any more. May be repeated.
    pub(crate) fn close(&self) {
        self.word.fetch_or(CLOSED, SeqCst);
    }

    /// Lets people in again.
    pub(crate) fn open(&self) {
        self.word.fetch_and(!CLOSED, SeqCst);
    }

    /// Whether nobody is in.
    pub(crate) fn is_empty(&self) -> bool {
        self.word.load(SeqCst) & !CLOSED == 0
    }

    /// Whether one is in and nobody else; for one who is in.
    pub(crate) fn has_one(&self) -> bool {
        self.word.load(SeqCst) & !CLOSED == 1
    }

    /// Waits until nobody is in; to be called on a closed gate. May be dropped and called again.
    pub(crate) async fn drained(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.empty.notified());
            emptied.as_mut().enable();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn nobody_enters_a_closed_gate() {
        let gate = Gate::default();
        assert!(gate.enter());
        gate.close();
        assert!(!gate.enter());
        gate.open();
        assert!(gate.enter());
        assert!(!gate.has_one());
        gate.leave();
        assert!(gate.has_one());
        gate.close();
        assert!(gate.has_one(), "closed or not");
        gate.leave();
        assert!(gate.is_empty() && !gate.has_one());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_last_one_out_ends_the_drain() {
        for _ in 0..2_000 {
            let gate = Arc::new(Gate::default());
            assert!(gate.enter());
            let inside = Arc::clone(&gate);
            let task = tokio::spawn(async move {
                if inside.enter() {
                    inside.leave();
                }
                inside.leave();
            });
            gate.close();
            gate.drained().await;
            assert!(gate.is_empty());
            task.await.unwrap();
        }
    }
}
