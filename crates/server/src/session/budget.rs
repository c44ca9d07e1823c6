//! The bytes that all sessions carry together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What all sessions of a server carry for their clients, in bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budget(Arc<AtomicUsize>);

/// What one session carries of it.
#[derive(Debug, Default)]
pub(crate) struct Share {
    all: Budget,
    bytes: usize,
}

impl Budget {
    /// That of one more session.
    pub(crate) fn share(&self) -> Share {
        Share { all: self.clone(), bytes: 0 }
    }
}

impl Share {
    /// What the other sessions carry.
    pub(super) fn of_others(&self) -> usize {
        self.all.0.load(Relaxed).saturating_sub(self.bytes)
    }

    /// Notes what this session carries now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.all.0.fetch_add(bytes - self.bytes, Relaxed);
        } else if bytes < self.bytes {
            self.all.0.fetch_sub(self.bytes - bytes, Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_session_carries_is_that_of_others_to_the_others() {
        let budget = Budget::default();
        let (mut one, mut other) = (budget.share(), budget.share());
        one.set(100);
        other.set(30);
        one.set(60);
        assert_eq!((one.of_others(), other.of_others()), (30, 60));
        drop(one);
        assert_eq!((budget.share().of_others(), other.of_others()), (30, 0));
    }
}
