//! A value whose watchers are told of a change in the order in which they began to wait.
//!
//! tokio's `watch` channel wakes its receivers in an order of chance. Those who wait here are requests that are to go on: first
//! come, first served; and a simulation of a drive gives the same history again.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A value, and whoever waits for it to change.
#[derive(Debug)]
pub(crate) struct Told<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T: Copy> Told<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    pub(crate) fn get(&self) -> T {
        *self.value.lock()
    }

    /// Changes it, and tells all who wait.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.value.lock());
        self.changed.notify_waiters();
    }

    /// Waits until the value is as it should be; gives it. May be dropped and called again.
    pub(crate) async fn until(&self, is_so: impl Fn(T) -> bool) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let value = self.get();
            if is_so(value) {
                return value;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;

    /// Fewer than a runtime polls before it looks at the test itself again.
    const WAITING: usize = 40;

    #[tokio::test]
    async fn who_waits_first_is_told_first() {
        let told = Arc::new(Told::new(0));
        let (sender, mut order) = mpsc::channel(WAITING);
        for number in 0..WAITING {
            let (told, sender) = (Arc::clone(&told), sender.clone());
            tokio::spawn(async move {
                told.until(|value| value == 1).await;
                sender.send(number).await.unwrap();
            });
        }
        tokio::task::yield_now().await;
        told.change(|value| *value = 1);
        for number in 0..WAITING {
            assert_eq!(order.recv().await, Some(number));
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_what_is_so_already() {
        let told = Told::new(7);
        assert_eq!(told.until(|value| value > 5).await, 7);
    }
}
