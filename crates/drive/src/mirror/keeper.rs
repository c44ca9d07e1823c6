//! The keeper: lets copies whose medium is away fall behind, and those that are back catch up.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::event::EventKind;
use crate::state::State;

use super::Mirrored;

/// How often the copies are looked at.
const TICK: Duration = Duration::from_millis(100);

/// For how long a granule is not changed until its mark is taken away, at least.
const MARKS_STAY: Duration = Duration::from_secs(5);

/// How long after a failed attempt a copy tries again to catch up.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Looks after a mirror for ever; to be run as a task and dropped at the end.
pub(super) async fn keep(mirrored: Arc<Mirrored>) {
    let mut catching_up = JoinSet::new();
    let mut marks_since = Instant::now();
    loop {
        // Whatever comes first: a copy that is in doubt, or the time to look.
        let _ = timeout(TICK, mirrored.news.notified()).await;
        while catching_up.try_join_next().is_some() {}
        let leaving = mirrored.copies_that_leave();
        if !(leaving.is_empty() && mirrored.standings.lock().suspects().is_empty())
            && let Err(error) = mirrored.let_fall_behind(&leaving).await
        {
            tracing::warn!(mirror = mirrored.name, %error, "the record cannot be written");
        }
        if catching_up.is_empty() {
            for copy in mirrored.copies_that_are_back() {
                let mirrored = Arc::clone(&mirrored);
                catching_up.spawn(async move {
                    if !mirrored.catch_up(copy).await {
                        sleep(RETRY_PAUSE).await;
                    }
                });
            }
        }
        if marks_since.elapsed() >= MARKS_STAY {
            marks_since = Instant::now();
            mirrored.take_away_old_marks().await;
        }
    }
}

impl Mirrored {
    /// Copies in sync whose medium is away, while another one has its own.
    fn copies_that_leave(&self) -> Vec<usize> {
        let standings = self.standings.lock();
        if !standings.in_sync().any(|copy| self.copies[copy].is_present()) {
            return Vec::new();
        }
        standings.in_sync().filter(|copy| self.is_away(*copy)).collect()
    }

    /// Copies that are behind, with their medium in, as is that of one to catch up with.
    fn copies_that_are_back(&self) -> Vec<usize> {
        let standings = self.standings.lock();
        if !standings.in_sync().any(|copy| self.copies[copy].is_present()) {
            return Vec::new();
        }
        let behind = (0..self.copies.len()).filter(|copy| !standings.is_in_sync(*copy));
        behind.filter(|copy| self.copies[*copy].is_present()).collect()
    }

    /// Lets a copy be behind in everything, where another one has it beyond doubt; whether there is one.
    ///
    /// # Errors
    /// Where the record cannot be written; then all is as before.
    pub(super) async fn take_for_old(&self, copy: usize) -> io::Result<bool> {
        let _closed = self.gate.write().await;
        let turn = self.marks.saving().await;
        let mut next = self.standings.lock().clone();
        if !next.in_sync().any(|other| other != copy && !next.suspects().contains(&other)) {
            return Ok(false);
        }
        next.fall_behind(copy, self.granules.all());
        self.marks.save_all_marked(&turn, &next, self.granules.all()).await?;
        *self.standings.lock() = next;
        Ok(true)
    }

    pub(super) fn is_away(&self, copy: usize) -> bool {
        // Being replayed it has its medium, and takes changes.
        !self.copies[copy].is_present() && self.copies[copy].volume.state() != State::Replaying
    }

    /// Lets these copies, and those that have failed a change, fall behind; but never the last one in sync. Returns when
    /// that is recorded.
    ///
    /// # Errors
    /// Where the record cannot be written; then all is as before.
    pub(super) async fn let_fall_behind(&self, copies: &[usize]) -> io::Result<()> {
        let _closed = self.gate.write().await;
        let turn = self.marks.saving().await;
        let mut next = self.standings.lock().clone();
        let marked = self.marks.marked();
        let mut fallen = Vec::new();
        for copy in [next.suspects(), copies].concat() {
            if next.is_in_sync(copy) && next.in_sync().count() > 1 {
                next.fall_behind(copy, marked.clone());
                fallen.push(copy);
            }
        }
        next.trust_the_rest();
        if !fallen.is_empty() {
            self.marks.save(&turn, &next, &marked).await?;
        }
        *self.standings.lock() = next;
        for copy in fallen {
            let name = self.copies[copy].volume.name();
            let text = format!("the copy on {name} gets no changes until it is back");
            self.tell(copy, EventKind::FellBehind, text);
        }
        Ok(())
    }
}
