//! Parts of a drive alone, for its benchmarks.

use hotbay_block::Request;
use hotbay_journal::Change;

use crate::attachment::see_released;
use crate::backlog::Pieces;
use crate::gate::Gate;
use crate::observed::Observed;
use crate::retained::RetainedWrites;
use crate::witness::Witness;

/// The gate before a medium or a journal.
#[derive(Debug, Default)]
pub struct LoneGate(Gate);

impl LoneGate {
    /// Goes in, and out again. Whether it was let in.
    pub fn pass(&self) -> bool {
        let is_in = self.0.enter();
        if is_in {
            self.0.leave();
        }
        is_in
    }
}

/// The retained writes of one attachment, with what is observed of its medium.
#[derive(Debug)]
pub struct LoneRetained {
    retained: RetainedWrites,
    observed: Observed,
}

impl LoneRetained {
    /// Keeps at most `limit_bytes`, allowances included, of a medium of `size_bytes`.
    #[must_use]
    pub fn new(limit_bytes: u64, size_bytes: u64) -> Self {
        let observed = Observed::new(size_bytes, &Witness::default());
        Self { retained: RetainedWrites::new(limit_bytes), observed }
    }

    /// Keeps a change; false where there is no room.
    #[must_use]
    pub fn keep(&mut self, change: &Request) -> bool {
        self.retained.keep(change)
    }

    /// The bytes kept, allowances included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.retained.bytes()
    }

    /// Lets go of all that is kept, as after a sync. How many changes that were.
    pub fn release_all(&mut self) -> u64 {
        let Self { retained, observed } = self;
        let mut count = 0;
        retained.release(retained.mark(), |released| {
            see_released(observed, released);
            count += 1;
        });
        count
    }

    /// Takes over what is kept, and lays it out as the pieces that clients are served from until it is in the journal, as after
    /// a loss. The changes, and the pieces.
    #[must_use]
    pub fn take_over(self) -> (Vec<Change>, LonePieces) {
        let changes = self.retained.into_changes();
        let pieces = Pieces::lay_out(&changes);
        (changes, LonePieces(pieces))
    }
}

/// What was taken over.
#[derive(Debug)]
pub struct LonePieces(#[expect(dead_code, reason = "it is dropped by whoever measures")] Pieces);
