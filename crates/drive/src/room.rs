//! Who waits for room in a volume's journal, and since when: for the status, so that somebody makes room in time.
//!
//! One who has looked again and found none is the same one still: it is counted from its first look until it goes on, or
//! elsewhere.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What is full where a journal has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhatIsFull {
    /// The journal: it is at its limit.
    Journal,
    /// The disk that it is on.
    Disk,
}

/// Why something is not in the journal that may be later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    pub(crate) full: WhatIsFull,
    pub(crate) why: String,
}

/// Who waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A client's request.
    Request,
    /// What was retained of a medium that is gone.
    Backlog,
}

/// What waits for room in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingForRoom {
    /// What is full.
    pub full: WhatIsFull,
    /// How many requests wait.
    pub requests: u64,
    /// For how long there has been somebody who waits.
    pub age: Duration,
    /// Unsynced changes of a medium that is gone: they are only in memory until there is room. 0 where all are in.
    pub only_in_memory_bytes: u64,
}

/// All of a volume that wait for room in its journal.
#[derive(Debug, Default)]
pub(crate) struct RoomQueue(Mutex<Option<Waiting>>);

#[derive(Debug)]
struct Waiting {
    full: WhatIsFull,
    since: Instant,
    requests: u64,
    backlogs: u64,
}

impl Waiting {
    const fn count(&mut self, waiter: Waiter) -> &mut u64 {
        match waiter {
            Waiter::Request => &mut self.requests,
            Waiter::Backlog => &mut self.backlogs,
        }
    }
}

/// A place among them, held for as long as one waits.
#[derive(Debug)]
pub(crate) struct RoomWait<'a> {
    queue: &'a RoomQueue,
    waiter: Waiter,
}

impl RoomQueue {
    /// Counts one more.
    pub(crate) fn enter(&self, waiter: Waiter, full: WhatIsFull) -> RoomWait<'_> {
        let mut waiting = self.0.lock();
        let waiting = waiting.get_or_insert_with(|| Waiting {
            full,
            since: Instant::now(),
            requests: 0,
            backlogs: 0,
        });
        // The last one who looked knows best.
        waiting.full = full;
        *waiting.count(waiter) += 1;
        RoomWait { queue: self, waiter }
    }

    /// Who waits, where somebody does; `backlog_bytes` is what of the backlog is not in.
    pub(crate) fn status(&self, backlog_bytes: u64) -> Option<WaitingForRoom> {
        let waiting = self.0.lock();
        waiting.as_ref().map(|waiting| WaitingForRoom {
            full: waiting.full,
            requests: waiting.requests,
            age: waiting.since.elapsed(),
            only_in_memory_bytes: if waiting.backlogs > 0 { backlog_bytes } else { 0 },
        })
    }
}

impl RoomWait<'_> {
    /// It has looked again and found none.
    pub(crate) fn still(&self, full: WhatIsFull) {
        if let Some(waiting) = self.queue.0.lock().as_mut() {
            waiting.full = full;
        }
    }
}

impl Drop for RoomWait<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.0.lock();
        if let Some(others) = waiting.as_mut() {
            *others.count(self.waiter) -= 1;
            if others.requests + others.backlogs == 0 {
                *waiting = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn they_are_counted_from_the_first_to_the_last() {
        let queue = RoomQueue::default();
        assert_eq!(queue.status(0), None);
        let first = queue.enter(Waiter::Request, WhatIsFull::Journal);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let second = queue.enter(Waiter::Request, WhatIsFull::Disk);
        drop(first);
        let left = queue.status(7).unwrap();
        assert_eq!((left.full, left.requests, left.age.as_secs()), (WhatIsFull::Disk, 1, 2));
        assert_eq!(left.only_in_memory_bytes, 0, "the backlog does not wait");
        second.still(WhatIsFull::Journal);
        assert_eq!(queue.status(0).unwrap().full, WhatIsFull::Journal);
        drop(second);
        assert_eq!(queue.status(0), None);
    }

    #[test]
    fn what_is_only_in_memory_is_told_while_it_waits() {
        let queue = RoomQueue::default();
        let backlog = queue.enter(Waiter::Backlog, WhatIsFull::Disk);
        let waiting = queue.status(4096).unwrap();
        assert_eq!((waiting.requests, waiting.only_in_memory_bytes), (0, 4096));
        drop(backlog);
        assert_eq!(queue.status(4096), None);
    }
}
