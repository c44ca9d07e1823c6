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
    held: Mutex<Vec<Extent>>,
    released: Notify,
}

impl Claims {
    /// Waits until no overlapping claim is held, then holds this one until the guard is dropped.
    pub(crate) async fn claim(&self, extent: Extent) -> Claim<'_> {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            if self.try_hold(extent) {
                return Claim { claims: self, extent };
            }
            released.await;
        }
    }

    /// Whether a claim is held that overlaps.
    pub(crate) fn is_held(&self, extent: Extent) -> bool {
        self.held.lock().iter().any(|other| other.overlaps(extent))
    }

    /// All that is claimed now.
    pub(crate) fn held(&self) -> Vec<Extent> {
        self.held.lock().clone()
    }

    fn try_hold(&self, extent: Extent) -> bool {
        let mut held = self.held.lock();
        let free = !held.iter().any(|other| other.overlaps(extent));
        if free {
            held.push(extent);
        }
        free
    }

    fn release(&self, extent: Extent) {
        let mut held = self.held.lock();
        let place = held.iter().position(|other| *other == extent);
        held.swap_remove(place.expect("a claim is released once"));
        drop(held);
        self.released.notify_waiters();
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
}
