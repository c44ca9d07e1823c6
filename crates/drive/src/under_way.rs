//! What is under way on a disk and since when, so that what hangs is noticed.
//!
//! Only what waits for its disk is entered; what is answered at once never is. One look at the oldest entry, a few
//! times a second, serves all of them: there is no timer for each.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

use hotbay_block::{Extent, Request};
use parking_lot::Mutex;
use tokio::time::Instant;

/// What a disk was asked to do, for the message about one that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Read(Extent),
    Write(Extent),
    Zero(Extent),
    Trim(Extent),
    Cache(Extent),
    /// A look at what is stored.
    Map(Extent),
    Sync,
    /// A look whether the medium is there.
    Presence,
    /// A look who the medium is.
    Identify,
    /// Something else, in words.
    Other(&'static str),
}

impl Doing {
    pub(crate) const fn of(request: &Request) -> Self {
        match request {
            Request::Read { extent, .. } => Self::Read(*extent),
            Request::Write { extent, .. } => Self::Write(*extent),
            Request::Zero { extent, .. } => Self::Zero(*extent),
            Request::Trim { extent, .. } => Self::Trim(*extent),
            Request::Cache { extent } => Self::Cache(*extent),
            Request::Flush => Self::Sync,
        }
    }
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(extent) => write!(f, "a read of {extent}"),
            Self::Write(extent) => write!(f, "a write of {extent}"),
            Self::Zero(extent) => write!(f, "zeroes of {extent}"),
            Self::Trim(extent) => write!(f, "a trim of {extent}"),
            Self::Cache(extent) => write!(f, "a prefetch of {extent}"),
            Self::Map(extent) => write!(f, "a look at what is stored at {extent}"),
            Self::Sync => f.write_str("a sync"),
            Self::Presence => f.write_str("a look whether it is there"),
            Self::Identify => f.write_str("a look who it is"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// All that is under way on one disk.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// By the order in which they began: the first is the oldest.
    by_age: BTreeMap<u64, (Doing, Instant)>,
    begun: u64,
}

/// Something that is under way while this is held, whoever holds it.
#[derive(Debug)]
pub(crate) struct Entered {
    on: Arc<UnderWay>,
    number: u64,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.on.0.lock().by_age.remove(&self.number);
    }
}

/// What has not been answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hung {
    pub(crate) doing: Doing,
    pub(crate) deadline: Duration,
}

impl fmt::Display for Hung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has not been answered for {:?}", self.doing, self.deadline)
    }
}

impl UnderWay {
    /// Notes that something begins.
    pub(crate) fn enter(self: &Arc<Self>, doing: Doing) -> Entered {
        let mut entries = self.0.lock();
        let number = entries.begun;
        entries.begun += 1;
        entries.by_age.insert(number, (doing, Instant::now()));
        drop(entries);
        Entered { on: Arc::clone(self), number }
    }

    /// What has been under way longest, and for how long.
    pub(crate) fn oldest(&self) -> Option<(Doing, Duration)> {
        let entries = self.0.lock();
        entries.by_age.first_key_value().map(|(_, (doing, since))| (*doing, since.elapsed()))
    }

    /// What has been under way longest, where that is as long as `deadline`.
    pub(crate) fn hung(&self, deadline: Duration) -> Option<Hung> {
        let entries = self.0.lock();
        let (_, &(doing, since)) = entries.by_age.first_key_value()?;
        (since.elapsed() >= deadline).then_some(Hung { doing, deadline })
    }
}

/// Calls that are made one at a time, each on its caller's thread, where a clock would cost too much: they are only
/// counted, and who watches has the clock.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Odd while there is one.
    count: AtomicU64,
    /// The count that was seen last, and since when it has been seen.
    seen: Mutex<Option<(u64, Instant)>>,
}

/// A call, while this is held.
#[derive(Debug)]
pub(crate) struct Call<'a>(&'a AtomicU64);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.store(self.0.load(Relaxed) + 1, Release);
    }
}

impl Calls {
    /// Notes that a call begins. There must be no other one.
    pub(crate) fn begin(&self) -> Call<'_> {
        self.count.store(self.count.load(Relaxed) + 1, Release);
        Call(&self.count)
    }

    /// Whether the same call has been seen for this long.
    pub(crate) fn under_way_for(&self, time: Duration) -> bool {
        let count = self.count.load(Acquire);
        let mut seen = self.seen.lock();
        let since = match *seen {
            Some((before, since)) if before == count => since,
            _ => seen.insert((count, Instant::now())).1,
        };
        !count.is_multiple_of(2) && since.elapsed() >= time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_that_is_left_counts() {
        let under_way = Arc::new(UnderWay::default());
        let deadline = Duration::from_secs(3);
        let first = under_way.enter(Doing::Sync);
        tokio::time::advance(Duration::from_secs(2)).await;
        let second = under_way.enter(Doing::Read(Extent::between(512, 1024)));
        assert_eq!(under_way.hung(deadline), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(under_way.hung(deadline).unwrap().doing, Doing::Sync);
        drop(first);
        assert_eq!(under_way.hung(deadline), None, "the other one has more time");
        tokio::time::advance(Duration::from_secs(2)).await;
        let hung = under_way.hung(deadline).unwrap();
        assert_eq!(hung.to_string(), "a read of 512+512 has not been answered for 3s");
        drop(second);
        assert_eq!(under_way.hung(Duration::ZERO), None);
    }
}
