//! Marks: granules in which the copies may differ, known on stable storage before they do.
//!
//! A change finds its granules marked, or waits until they are. Changes that wait at the same time are marked by one write of the
//! record. The keeper takes marks away some time after the last change; a mark too many costs a copy of its granule after a
//! crash, a mark too few would leave a difference that nobody knows.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use futures_util::future::join_all;
use hotbay_block::Request;
use parking_lot::Mutex;

use crate::journal_log::blocking;

use super::Mirrored;
use super::granules::Set;
use super::record::{MirrorRecord, MirrorRecords, numbers};
use super::standing::Standings;

/// The marks of a mirror, and where they are kept.
pub(super) struct Marks {
    records: Arc<dyn MirrorRecords>,
    /// What never changes of it.
    record: MirrorRecord,
    sets: Mutex<Sets>,
    /// Held while the record is written, so that records are written in order.
    saving: tokio::sync::Mutex<()>,
}

struct Sets {
    /// On stable storage.
    marked: Set,
    /// Waited for.
    wanted: Set,
    /// Changed since marks were taken away last.
    recent: Set,
}

/// Nobody else writes the record.
pub(super) struct Saving<'a>(#[expect(dead_code, reason = "held")] tokio::sync::MutexGuard<'a, ()>);

impl Marks {
    /// As they were found.
    pub(super) fn new(records: Arc<dyn MirrorRecords>, record: MirrorRecord) -> Self {
        let granules = super::Granules::of(record.size_bytes);
        let mut marked = granules.none();
        record.marked.iter().for_each(|number| marked.insert(*number as usize));
        let sets = Sets { marked, wanted: granules.none(), recent: granules.none() };
        Self { records, record, sets: sets.into(), saving: tokio::sync::Mutex::default() }
    }

    /// The granules that are marked.
    pub(super) fn marked(&self) -> Set {
        self.sets.lock().marked.clone()
    }

    /// Waits for whoever writes the record.
    pub(super) async fn saving(&self) -> Saving<'_> {
        Saving(self.saving.lock().await)
    }

    /// Notes that granules are changed, and whether they are marked.
    fn note(&self, touched: &Range<usize>) -> bool {
        let mut sets = self.sets.lock();
        sets.recent.insert_range(touched.clone());
        let marked = sets.marked.contains_all_in_range(touched.clone());
        if !marked {
            sets.wanted.insert_range(touched.clone());
        }
        marked
    }

    /// Writes the record with these standings and all granules marked: a copy that is to get everything must do so after a
    /// restart too.
    ///
    /// # Errors
    /// Those of the write; then the marks are as before.
    pub(super) async fn save_all_marked(
        &self,
        turn: &Saving<'_>,
        standings: &Standings,
        all: Set,
    ) -> io::Result<()> {
        self.save(turn, standings, &all).await?;
        self.sets.lock().marked = all;
        Ok(())
    }

    /// The place of the record.
    pub(super) fn record_place(&self) -> String {
        self.records.place()
    }

    /// Writes the record. Of what is saved later nothing is lost by this, as there is a `Saving`.
    pub(super) async fn save(
        &self,
        _turn: &Saving<'_>,
        standings: &Standings,
        marked: &Set,
    ) -> io::Result<()> {
        let (generation, copies) = standings.generations();
        let mut record = MirrorRecord {
            generation,
            content: standings.content(),
            marked: numbers(marked),
            ..self.record.clone()
        };
        for (copy, generation) in record.copies.iter_mut().zip(copies) {
            copy.generation = *generation;
        }
        let records = Arc::clone(&self.records);
        blocking(move || records.save(&record)).await
    }
}

impl Mirrored {
    /// Returns when granules are marked on stable storage. For who holds the claim on what is to be changed.
    ///
    /// # Errors
    /// Where the record cannot be written: then they must not be changed.
    pub(super) async fn mark(&self, touched: Range<usize>) -> io::Result<()> {
        if self.marks.note(&touched) {
            return Ok(());
        }
        let turn = self.marks.saving().await;
        let marked = {
            let sets = self.marks.sets.lock();
            if sets.marked.contains_all_in_range(touched.clone()) {
                return Ok(());
            }
            &sets.marked | &sets.wanted
        };
        let standings = self.standings.lock().clone();
        self.marks.save(&turn, &standings, &marked).await?;
        let mut sets = self.marks.sets.lock();
        sets.wanted.difference_with(&marked);
        sets.marked = marked;
        Ok(())
    }

    /// Writes how the copies stand.
    pub(super) async fn record_standings(&self) -> io::Result<()> {
        let turn = self.marks.saving().await;
        let (standings, marked) = (self.standings.lock().clone(), self.marks.marked());
        self.marks.save(&turn, &standings, &marked).await
    }

    /// Takes away the marks of granules that nobody has changed since this was called last.
    pub(super) async fn take_away_old_marks(&self) {
        let old = {
            let mut sets = self.marks.sets.lock();
            let mut old = sets.marked.clone();
            old.difference_with(&sets.recent);
            sets.recent.clear();
            // What is under way for so long is not over.
            let held = |number: usize| self.claims.is_held(self.granules.extent(number));
            let under_way: Vec<usize> = old.ones().filter(|number| held(*number)).collect();
            under_way.into_iter().for_each(|number| old.set(number, false));
            old
        };
        self.take_away(old).await;
    }

    /// Takes away all marks. For when no change is under way any more.
    pub(super) async fn take_away_all_marks(&self) {
        let marked = {
            let mut sets = self.marks.sets.lock();
            sets.recent.clear();
            sets.marked.clone()
        };
        self.take_away(marked).await;
    }

    async fn take_away(&self, mut old: Set) {
        if old.is_clear() || !self.standings.lock().all_in_sync() || !self.all_have_flushed().await
        {
            return;
        }
        let turn = self.marks.saving().await;
        let standings = self.standings.lock().clone();
        // A copy that has fallen behind meanwhile is so in what is marked.
        if !standings.all_in_sync() {
            return;
        }
        let marked = {
            let mut sets = self.marks.sets.lock();
            old.difference_with(&sets.recent);
            // From here on a change of these has them marked again.
            sets.marked.difference_with(&old);
            sets.marked.clone()
        };
        if let Err(error) = self.marks.save(&turn, &standings, &marked).await {
            // There are more marks on stable storage than are needed.
            tracing::debug!(mirror = self.name, %error, "marks cannot be taken away");
        }
    }

    async fn all_have_flushed(&self) -> bool {
        let flushes = self.copies.iter().map(|copy| copy.device.execute(Request::Flush).answer());
        join_all(flushes).await.iter().all(Result::is_ok)
    }
}
