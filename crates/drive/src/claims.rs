//! Claims on extents: overlapping changes of one medium are carried out one after the other.
//!
//! The medium and the retained writes must agree on which of two overlapping changes came last; otherwise a loss
//! would bring back the older one after a client has read the newer. A claim is held from before the change is
//! given to the medium until it is retained. Changes that do not overlap never wait.

use parking_lot::Mutex;
use tokio::sync::Notify;

use hotbay_block::Extent;

/// The extents of the changes that are under way.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    held: Mutex<Held>,
    released: Notify,
}

#[derive(Debug, Default)]
struct Held {
    extents: Vec<Extent>,
    /// Whether somebody found an extent held since the last release, so that the next one is to be told of.
    is_waited_for: bool,
}

impl Claims {
    /// Waits until no overlapping claim is held, then holds this one until the guard is dropped.
    pub(crate) async fn claim(&self, extent: Extent) -> Claim<'_> {
        self.hold(extent).await;
        Claim { claims: self, extent }
    }

    /// Waits until no overlapping claim is held, then holds this one until [`Claims::release`]. Where the future is
    /// dropped before its end, nothing is held.
    pub(crate) async fn hold(&self, extent: Extent) {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            if self.try_hold(extent) {
                return;
            }
            released.await;
        }
    }

    /// Holds a claim until [`Claims::release`], unless an overlapping one is held.
    #[must_use]
    pub(crate) fn try_hold(&self, extent: Extent) -> bool {
        let mut held = self.held.lock();
        let free = !held.extents.iter().any(|other| other.overlaps(extent));
        if free {
            held.extents.push(extent);
        } else {
            held.is_waited_for = true;
        }
        free
    }

    /// Lets go of a claim that is held.
    pub(crate) fn release(&self, extent: Extent) {
        let mut held = self.held.lock();
        let place = held.extents.iter().position(|other| *other == extent);
        held.extents.swap_remove(place.expect("a claim is released once"));
        let is_waited_for = std::mem::take(&mut held.is_waited_for);
        drop(held);
        if is_waited_for {
            self.released.notify_waiters();
        }
    }

    /// Whether a claim is held that overlaps.
    pub(crate) fn is_held(&self, extent: Extent) -> bool {
        self.held.lock().extents.iter().any(|other| other.overlaps(extent))
    }

    /// All that is claimed now.
    pub(crate) fn held(&self) -> Vec<Extent> {
        self.held.lock().extents.clone()
    }
}

/// An extent that is held; released when dropped.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    claims: &'a Claims,
    extent: Extent,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.release(self.extent);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn only_an_overlapping_claim_waits() {
        let claims = Claims::default();
        let first = claims.claim(Extent::between(0, 10)).now_or_never().unwrap();
        let apart = claims.claim(Extent::between(10, 20)).now_or_never();
        assert!(apart.is_some());
        assert!(claims.claim(Extent::between(5, 15)).now_or_never().is_none());
        drop(first);
        drop(apart);
        assert!(claims.claim(Extent::between(5, 15)).now_or_never().is_some());
    }

    /// Each release tells all who wait, and none is told of that nobody waits for.
    #[tokio::test]
    async fn whoever_waits_is_told() {
        let claims = Claims::default();
        for _ in 0..3 {
            let first = claims.claim(Extent::between(0, 10)).await;
            let beside = claims.claim(Extent::between(20, 30)).await;
            let wait = |from, to| claims.claim(Extent::between(from, to));
            let (mut second, mut third) = (Box::pin(wait(5, 15)), Box::pin(wait(0, 25)));
            assert!((&mut second).now_or_never().is_none());
            assert!((&mut third).now_or_never().is_none());
            drop(beside);
            assert!((&mut second).now_or_never().is_none());
            assert!((&mut third).now_or_never().is_none(), "the first is still held");
            drop(first);
            let second = second.now_or_never().expect("nothing overlaps it any more");
            assert!((&mut third).now_or_never().is_none());
            drop(second);
            assert!(third.now_or_never().is_some());
            assert!(claims.held().is_empty() && !claims.held.lock().is_waited_for);
        }
    }
}
