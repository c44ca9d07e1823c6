//! A volume at rest: nobody is at its medium, nothing is on its way to its journal, and everything is synced.
//!
//! So it is where something is done to it that no request may see half done. The gates are closed then, and requests wait;
//! whoever brings a volume to rest sees to it that it goes on.

use std::sync::Arc;

use hotbay_block::with_sources;
use tokio::time::timeout;

use crate::attachment::Attachment;
use crate::failure::Refusal;
use crate::journal_log::JournalLog;
use crate::record::VolumeRecord;
use crate::route::Path;
use crate::start::open_journal;
use crate::volume::{Stay, Volume};

impl Volume {
    /// Lets nobody in, waits for those who are, and syncs the medium that is in.
    ///
    /// # Errors
    /// Where the medium or the journal is at work for too long: then the volume goes on as before. Where the medium cannot be
    /// synced: then it counts as lost.
    pub(crate) async fn come_to_rest(
        &self,
        stay: &mut Stay,
        medium_in: Option<&Arc<Attachment>>,
    ) -> Result<(), Refusal> {
        if let Some(attachment) = medium_in {
            self.drain(attachment).await?;
            if let Err(error) = self.settle(attachment).await {
                let message = format!("{} could not be synced: {error}", attachment.medium.name());
                self.lost(stay, Arc::clone(attachment), &error).await;
                return Err(Refusal::new(message)
                    .hint("it counts as lost; what it may not have is kept in the journal"));
            }
        }
        if let Path::Journal { gate, .. } = &self.route.load_full().path {
            gate.close();
            let wait = self.settings().pause_max();
            if timeout(wait, gate.drained()).await.is_err() {
                self.go_on_as_before();
                return Err(Refusal::new(format!("the journal is still at work after {wait:?}"))
                    .hint("try again when its disk answers"));
            }
        }
        Ok(())
    }

    /// Opens the gates again; those who met them closed are sent the same way once more.
    pub(crate) fn go_on_as_before(&self) {
        let route = self.route.load_full();
        match &route.path {
            Path::Medium(attachment) => attachment.reopen(),
            Path::Journal { gate, .. } => gate.open(),
            Path::Closed => {}
        }
        self.set_route(route.state, route.path.clone());
    }

    /// Changes the record of a volume at rest whose journal is empty. Where that gives it another size, it gets an empty journal
    /// of that size: the earlier one is removed before the record names another size and the next one begun after it, so that a
    /// crash never leaves two that differ.
    ///
    /// # Errors
    /// Where it cannot be recorded, or no journal be begun. Then all is as before, or, where not even that is possible, the
    /// volume has failed.
    pub(crate) async fn renew_record(
        &self,
        stay: &mut Stay,
        change: impl FnOnce(&mut VolumeRecord),
    ) -> Result<(), Refusal> {
        let before = self.record.lock().await.clone();
        let mut after = before.clone();
        change(&mut after);
        let resized = before.size_bytes != after.size_bytes;
        let _nobody_reclaims = if resized { Some(self.reclaiming.stops().await) } else { None };
        if resized {
            let storage = Arc::clone(&self.journal_storage);
            let log = self.log();
            let removing = "a removal of the empty journal";
            let removed = log.beside(removing, move || hotbay_journal::remove(storage.as_ref()));
            let removed = removed.await.map_err(|why| why.to_string());
            if let Err(error) = removed.and_then(|done| done.map_err(|error| error.to_string())) {
                self.take_back(stay, before).await;
                return Err(Refusal::new(format!("cannot begin a new journal: {error}")));
            }
        }
        let recorded = self.update_record(|record| *record = after);
        let begun = match recorded.await {
            Ok(()) if resized => self.begin_journal().await,
            other => other,
        };
        if begun.is_err() && resized {
            self.take_back(stay, before).await;
        }
        begun
    }

    /// Opens the journal that the record asks for, in place of the one that was removed.
    async fn begin_journal(&self) -> Result<(), Refusal> {
        let record = self.record.lock().await.clone();
        let storage = Arc::clone(&self.journal_storage);
        let settings = self.settings();
        let wait = settings.io_deadline;
        let opening = open_journal(&settings, &record, storage);
        let opened = timeout(wait, opening).await.map_err(|_| {
            Refusal::new(format!("a new journal could not be begun within {wait:?}"))
        })?;
        let (journal, _) = opened.map_err(|error| Refusal::new(with_sources(&error)))?;
        self.log.store(Some(Arc::new(JournalLog::new(journal))));
        Ok(())
    }

    /// Goes back to the earlier record and an empty journal of the earlier size. Where that fails the volume does: it
    /// would write to a journal that nobody will find again.
    async fn take_back(&self, stay: &mut Stay, before: VolumeRecord) {
        let recorded = self.update_record(|record| *record = before).await;
        let begun = match recorded {
            Ok(()) => self.begin_journal().await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = begun {
            self.fail_now(stay, refusal.message());
        }
    }
}
