//! Gaining space in the journal: in the background, by one at a time.
//!
//! One who finds no room asks for it and then waits to be told. So after each who asked there is a look that began
//! later, whatever the one at work was about to do: one who asks just before it ends would otherwise wait for nobody.
//!
//! A step deletes files, and the files of a journal that takes the place of this one may have the same names. So a journal is
//! replaced, and closed, only between two steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use hotbay_block::with_sources;
use hotbay_journal::JournalError;
use tokio::sync::{Mutex, MutexGuard};

use crate::journal_log::is_broken;
use crate::volume::Volume;

/// Nobody is at work.
const IDLE: u8 = 0;
/// Somebody is, and nobody has asked since the last look began.
const AT_WORK: u8 = 1;
/// Somebody is, and is to look once more.
const ASKED: u8 = 2;

/// Who gains space.
#[derive(Debug, Default)]
pub(crate) struct Reclaiming {
    /// Whether somebody is at work, and whether others have asked meanwhile.
    state: AtomicU8,
    /// Held for a step, or by who closes the journal or puts another one in place. Whoever has `stay` may wait for it: a step waits for nobody but
    /// the journal's disk.
    turn: Mutex<()>,
}

impl Reclaiming {
    /// Asks for space. True to the one who has to begin the work.
    fn ask(&self) -> bool {
        self.state.swap(ASKED, SeqCst) == IDLE
    }

    /// Whether there is a step to do; where there is none the work has ended.
    fn goes_on(&self, is_wanted: impl Fn() -> bool) -> bool {
        loop {
            self.state.store(AT_WORK, SeqCst);
            if is_wanted() {
                return true;
            }
            if self.ends() {
                return false;
            }
        }
    }

    /// Waits for the step at work to end; none begins as long as what is given is held.
    pub(crate) async fn stops(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Ends the work, unless somebody has asked since the last look.
    fn ends(&self) -> bool {
        self.state.compare_exchange(AT_WORK, IDLE, SeqCst, SeqCst).is_ok()
    }
}

impl Volume {
    /// Gains space in the journal, in the background, until enough is gained.
    pub(crate) fn reclaim_soon(self: &Arc<Self>) {
        if self.reclaiming.ask() {
            self.around.runtime.spawn(reclaim(Arc::clone(self)));
        }
    }
}

async fn reclaim(volume: Arc<Volume>) {
    while volume.reclaiming.goes_on(|| !volume.is_closed() && volume.log().wants_reclaim()) {
        match step(&volume).await {
            Ok(()) => {}
            // For good, so that nobody looks any more.
            Err(error) if is_broken(&error) => return volume.fail(&with_sources(&error)),
            // It found no room itself, and would find none now. Who asked meanwhile may know better.
            Err(_) if volume.reclaiming.ends() => return,
            Err(_) => {}
        }
    }
}

/// On the journal that is in place then.
async fn step(volume: &Volume) -> Result<(), JournalError> {
    let _turn = volume.reclaiming.turn.lock().await;
    if volume.is_closed() {
        return Ok(());
    }
    volume.log().reclaim_step().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::ErrorKind;
    use std::pin::pin;

    use bytes::Bytes;
    use futures_util::FutureExt;
    use hotbay_journal::testing::{ImageStorage, Step};
    use hotbay_journal::{Change, Journal, Settings};

    use super::*;
    use crate::journal_log::JournalLog;

    const MIB: u64 = 1 << 20;

    #[test]
    fn who_asks_just_before_the_end_is_looked_after() {
        let reclaiming = Reclaiming::default();
        assert!(reclaiming.ask());
        let is_wanted = Cell::new(false);
        // When it has looked, and before it has ended, a change finds no room.
        let look = || {
            let seen = is_wanted.replace(true);
            assert!(seen || !reclaiming.ask(), "somebody is at work");
            seen
        };
        assert!(reclaiming.goes_on(look), "the change waits for it");
        is_wanted.set(false);
        assert!(!reclaiming.goes_on(|| false));
        assert!(reclaiming.ask(), "the next one begins it anew");
    }

    #[test]
    fn a_step_that_failed_is_done_again_only_where_somebody_asks() {
        let reclaiming = Reclaiming::default();
        assert!(reclaiming.ask());
        assert!(reclaiming.goes_on(|| true));
        assert!(!reclaiming.ask(), "during the step");
        assert!(!reclaiming.ends(), "this one waits for it");
        assert!(reclaiming.goes_on(|| true));
        assert!(reclaiming.ends());
        assert!(reclaiming.ask(), "the next one begins it anew");
    }

    fn write(mib: u64, length: usize) -> Change {
        Change::Write { offset: mib * MIB, data: Bytes::from(vec![7; length]) }
    }

    /// A journal with much to gain, whose newest segment has no room for what has to be copied before.
    fn scattered(storage: &ImageStorage) -> JournalLog {
        let settings = Settings { volume: [0; 16], size_bytes: 32 * MIB, limit_bytes: 16 * MIB };
        let (journal, _) = Journal::open(Arc::new(storage.clone()), settings).unwrap();
        let mut mib = 0;
        while !journal.wants_reclaim() {
            journal.append(&[write(mib, 1 << 20)]).unwrap();
            journal.append(&[write(mib, 3 << 18)]).unwrap();
            mib += 1;
        }
        storage.fail(Step::Create, 0, ErrorKind::StorageFull);
        while journal.append(&[write(mib, 1 << 16)]).is_ok() {}
        JournalLog::new(journal)
    }

    /// They would look for room at once, find none, and ask for the same step again.
    #[tokio::test]
    async fn a_step_that_failed_tells_nobody_who_waits_for_room() {
        let storage = ImageStorage::default();
        let log = scattered(&storage);
        let tells = async || {
            let mut told = pin!(log.room.notified());
            told.as_mut().enable();
            let step = log.reclaim_step().await;
            (step, told.now_or_never().is_some())
        };
        storage.fail(Step::Create, 0, ErrorKind::StorageFull);
        assert!(matches!(tells().await, (Err(JournalError::StorageFull(_)), false)));
        assert!(matches!(tells().await, (Ok(()), true)), "there may be room");
    }
}
